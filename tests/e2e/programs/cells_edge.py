# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Like cells.py. Each file name lies at the same address near the end of a page, where the text that
tells one cell from the next is easy to miss. Some names are so long that only their ends
differ."""
import ctypes
import sys

from truth import begin, end, region

STEP, FIRST, CELLS = 40 * 1024, 132 * 1024, 30
PAGE, NEAR = 4096, 80


def name_near_end(number, at, stem):
    """A new str object whose header is within NEAR bytes of its page's end; at `at`, if given
    and to be had."""
    held, second = [], None
    for _ in range(20000):
        name = "<%s%02d>" % (stem, number)
        held.append(name)
        if id(name) == at:
            return name
        if PAGE - id(name) % PAGE < NEAR:
            if at is None:
                return name
            second = second or name
    return second


def run(stem, near):
    at, seen = None, 0
    for i in range(CELLS):
        name = name_near_end(i, at, stem) if near else "<%s%02d>" % (stem, i)
        if name is None:
            # No room of this size class lies there in this build.
            name = "<%s%02d>" % (stem, i)
        code = compile("\nctypes.memset(region(%d), 1, %d)" % ((FIRST + i * STEP,) * 2), name, "exec")
        seen += id(code.co_filename) == at
        at = id(code.co_filename)
        del name
        exec(code)
        del code
    return seen


begin()
LONG = "d/" * 200
reused = run("edge", True)
run(LONG, False)
print("file names at their predecessor's address: %d" % reused, file=sys.stderr)
end({"<%s%02d>:2" % (stem, i): {"increment": FIRST + i * STEP, "tolerance": STEP // 2}
     for stem in ("edge", LONG) for i in range(CELLS)})
