# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A forked child writes to inherited pages. RSS stays as it is: each write swaps a shared
page for a copy. Only the faults show it."""
import ctypes
import os

from truth import PAGE, begin, end, pause, region

PAGES, WRITTEN = 12288, 8192
begin()
address = region(PAGES * PAGE)
ctypes.memset(address, 1, PAGES * PAGE)  # L:build
view = (ctypes.c_char * (PAGES * PAGE)).from_address(address)
go, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(go[1])  # it ends if its parent does
    os.read(go[0], 1)
    for i in range(WRITTEN):
        view[i * PAGE] = b"\2"  # L:unshare
    os.write(done[1], b"x")
    os.read(go[0], 1)
    os._exit(0)
pause()
os.write(go[1], b"x")
os.read(done[0], 1)
end({"build": {"increment": PAGES * PAGE}},
    children=[{"pid": child, "lines": {"unshare": {"anon": 0, "cow": WRITTEN}}}])
os.write(go[1], b"x")
os.waitpid(child, 0)
