# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A child made while attached grows on its own line; parent and child are told apart. The
child also maps the file pages again that fork left out, so its anonymous part is compared."""
import os

from truth import MIB, begin, end

begin()
mine = bytearray(8 * MIB)  # L:parent
go, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(go[1])  # it ends if its parent does
    block = bytearray(20 * MIB)  # L:child
    os.write(done[1], b"x")
    os.read(go[0], 1)
    os._exit(0)
os.read(done[0], 1)
end({"parent": {"increment": 8 * MIB}},
    children=[{"pid": child, "lines": {"child": {"anon": 20 * MIB}}}])
os.write(go[1], b"x")
os.waitpid(child, 0)
