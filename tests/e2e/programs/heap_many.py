# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many small objects: some 200 MiB of them."""
from truth import begin, end

kept = [(i, str(i), [i * 1.5]) for i in range(700000)]
begin()
end({}, kept=len(kept))
