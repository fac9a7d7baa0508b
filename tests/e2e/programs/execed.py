# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The program that execs.py executes."""
from truth import MIB, end, pause

pause()
after = bytearray(28 * MIB)  # L:after
end({"execed.py#after": {"increment": 28 * MIB}, "execs.py#before": {"grown": 12 * MIB}})
