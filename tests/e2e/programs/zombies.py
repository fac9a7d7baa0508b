# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Children that have ended and are not waited for yet."""
import os

from truth import begin, end, pause

CHILDREN = 6
begin(forked=CHILDREN)
held, hold = os.pipe()
for _ in range(CHILDREN):
    if not os.fork():
        os.close(hold)
        os.read(held, 1)
        os._exit(0)
pause(alive=True)
os.close(hold)
pause(alive=False)
end({})
