# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sources with the same made-up file name, one after the other: code objects with the same parts at
the same addresses, which differ only in their line tables or in their names."""
import ctypes

from truth import MIB, PAGE, begin, end, region

LINES = [3] * 10 + [9] * 30 + [3, 9] * 10


def on_line(line):
    """Touches a MiB on that line of <gen>."""
    source = "\n" * (line - 1) + "ctypes.memset(region(%d), 1, %d)" % (MIB, MIB)
    exec(compile(source, "<gen>", "exec"))


def in_function(name):
    """The same in a function of that name, defined and called."""
    exec(compile("def %s():\n ctypes.memset(region(%d), 1, %d)\n%s()" % (name, MIB, MIB, name),
                 "<def>", "exec"), dict(globals()))


begin()
for line in LINES:
    on_line(line)
for i in range(40):
    in_function("f%02d" % (i // 10))
# Until the first replacement is noticed, up to 63 faults are lost, by name, not guessed.
TAIL = 64 * PAGE + 32768
end({"<gen>:3": {"increment": LINES.count(3) * MIB, "tolerance": TAIL},
     "<gen>:9": {"increment": LINES.count(9) * MIB, "tolerance": TAIL},
     "<def>:2": {"increment": 40 * MIB, "tolerance": TAIL}})
