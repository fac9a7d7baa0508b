# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Code objects that replace each other, alike in all but two bytes in the middle of line tables that are
longer than one event sends: same names, lines, sizes and bytecode. One of them allocates on one line,
the other on the next."""
import ctypes
import sys

from truth import MIB, begin, end, region

# Up to 3.10 a line takes two bytes.
BEFORE = AFTER = 9000 if sys.version_info >= (3, 11) else 18000
ROUNDS = 2
AMOUNTS = [MIB, 3 * MIB]


def source(which):
    """An empty line after the call, or before it."""
    call = "ctypes.memset(region(%d), 1, %d)\n" % (4 * MIB, AMOUNTS[which])
    lines = [call, "\n"] if which == 0 else ["\n", call]
    return "x = 1\n" * BEFORE + "".join(lines) + "x = 1\n" * AFTER


def alike():
    """Tables of both, without what differs."""
    tables = []
    for which in 0, 1:
        code = compile(source(which), "<alike>", "exec")
        tables.append(code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab)
    return tables


one, other = alike()
assert len(one) == len(other) > 65536, (len(one), len(other))
assert one[:1024] == other[:1024] and one[-1024:] == other[-1024:]
assert sum(a != b for a, b in zip(one, other)) <= 4
del one, other
begin()
for number in range(2 * ROUNDS):
    exec(compile(source(number % 2), "<alike>", "exec"))
end({"<alike>:%d" % (BEFORE + 1): {"increment": ROUNDS * AMOUNTS[0]},
     "<alike>:%d" % (BEFORE + 2): {"increment": ROUNDS * AMOUNTS[1]}})
