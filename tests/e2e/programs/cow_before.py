# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""As cow.py, with a child that was forked before the profiler attached."""
import ctypes
import os

from truth import PAGE, begin, end, fill_heap, region

PAGES, WRITTEN = 12288, 8192
address = region(PAGES * PAGE)
ctypes.memset(address, 1, PAGES * PAGE)
view = (ctypes.c_char * (PAGES * PAGE)).from_address(address)
fill_heap()
go, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(go[1])  # the end of the parent ends it
    os.read(go[0], 1)
    for i in range(WRITTEN):
        view[i * PAGE] = b"\2"  # L:unshare
    os.write(done[1], b"x")
    os.read(go[0], 1)
    os._exit(0)
begin(child=child)
os.write(go[1], b"x")
os.read(done[0], 1)
end({}, children=[{"pid": child, "lines": {"unshare": {"anon": 0, "cow": WRITTEN}}}])
os.write(go[1], b"x")
os.waitpid(child, 0)
