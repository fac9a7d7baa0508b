# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A function frees much in large steps. Its memory is reused before the process ends."""
from truth import MIB, begin, end

SIZE, ROUNDS = 64 * MIB, 3


def work():
    for _ in range(ROUNDS):
        block = bytearray(SIZE)  # L:make
        del block  # L:free


begin()
work()
del work
other = [compile("x = %d" % i, "other", "exec") for i in range(5000)]
end({"make": {"grown": ROUNDS * SIZE}, "free": {"freed": ROUNDS * SIZE}})
