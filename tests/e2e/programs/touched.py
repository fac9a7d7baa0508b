# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pages whose first toucher is known: dropped, touched again, unmapped, moved, made resident by a
system call, of files, shared, inherited, copied. What of a line's pages is resident at the end is the
truth of each line, in the parent and in its child."""
import ctypes
import mmap
import os

from truth import MADV_DONTNEED, MIB, PAGE, PRIVATE, begin, end, libc, pause, region

SIZE, MAYMOVE, POPULATE = 8 * MIB, 1, 0x8000
HALF = SIZE // 2
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


def file_of(size):
    """A file that is in the page cache and mapped nowhere."""
    fd = os.memfd_create("touched") if hasattr(os, "memfd_create") else os.open("/tmp", os.O_RDWR | os.O_TMPFILE)
    for _ in range(size // MIB):
        os.write(fd, b"x" * MIB)
    return fd


early = region(SIZE)
ctypes.memset(early, 1, SIZE)
fd = file_of(HALF)
begin()
ctypes.memset(early, 2, SIZE)  # L:early
dropped = region(SIZE)
ctypes.memset(dropped, 1, SIZE)  # L:dropped
libc.madvise(dropped, SIZE, MADV_DONTNEED)
ctypes.memset(dropped, 1, HALF)  # L:again
gone = region(SIZE)
ctypes.memset(gone, 1, SIZE)  # L:gone
libc.munmap(gone, SIZE)
reused = region(SIZE)
ctypes.memset(reused, 1, SIZE)  # L:reused
part = region(SIZE)
ctypes.memset(part, 1, SIZE)  # L:part
libc.munmap(part + HALF, HALF)
moving = region(SIZE)
ctypes.memset(moving, 1, SIZE)  # L:moved
# A page behind it, so that it can't grow where it is.
libc.mmap(moving + SIZE, PAGE, mmap.PROT_READ, PRIVATE | 0x10, -1, 0)
moved = libc.mremap(moving, SIZE, 4 * SIZE, MAYMOVE)
assert moved != moving
address = libc.mmap(None, SIZE, mmap.PROT_READ | mmap.PROT_WRITE, PRIVATE | POPULATE, -1, 0)  # L:populated
shared = mmap.mmap(fd, HALF, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
for i in range(0, HALF, PAGE):
    shared[i]  # L:mapped
written = region(HALF)
fill = open("/dev/zero", "rb", buffering=0)
fill.readinto((ctypes.c_char * HALF).from_address(written))  # L:written
mine = region(SIZE)
ctypes.memset(mine, 1, SIZE)  # L:inherited
go, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(go[1])  # it ends with its parent
    os.read(go[0], 1)
    ctypes.memset(mine, 2, SIZE // 4)  # L:copied_by_child
    own = region(HALF)
    ctypes.memset(own, 1, HALF)  # L:child
    os.write(done[1], b"x")
    os.read(go[0], 1)
    os._exit(0)
pause()  # copies are watched from now on
ctypes.memset(mine + SIZE - SIZE // 4, 2, SIZE // 4)  # L:copied_by_parent
os.write(go[1], b"x")
os.read(done[0], 1)
BOTH = {"dropped": 0, "again": HALF, "gone": 0, "reused": SIZE, "part": HALF, "moved": SIZE,
        "populated": SIZE, "written": HALF, "inherited": SIZE - SIZE // 4}


def resident(**more):
    # The line that makes a type of an array makes more than that.
    return {line: {"resident": size, "tolerance": MIB // 2 if line == "written" else 20 * PAGE}
            for line, size in dict(BOTH, **more).items()}


end(resident(early=0, mapped=HALF, copied_by_parent=SIZE // 4, copied_by_child=0, child=0),
    children=[{"pid": child, "lines": resident(copied_by_child=SIZE // 4, copied_by_parent=0, child=HALF)}])
os.write(go[1], b"x")
os.waitpid(child, 0)
