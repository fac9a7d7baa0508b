# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A FUSE file system with one file, of which a child has a page mapped executable. After that no request
is answered: whoever reads the file, or asks for its size, waits for ever, SIGKILL or not.

With a FILE the file system's has its contents, and it is requests of the kind HANGS (FUSE's number; 0: none)
that are not answered.

Run in a mount namespace of its own (unshare -m), with a folder to mount on, and a program, which maps
descriptor 9 and says "m" to 8: fuse_hang.py FOLDER PROGRAM [FILE HANGS]. Says `child PID`; ends, and
lets everybody go, when its input does. Exits with 77 where there is no FUSE.
"""
import ctypes
import mmap
import os
import struct
import sys
import threading
import time

CONTENTS = b"A" * (1 << 20)
HANGS = None
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as contents:
        CONTENTS = contents.read()
    HANGS = int(sys.argv[4])
SIZE = len(CONTENTS)
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, OPENDIR, INTERRUPT, BATCH_FORGET = \
    1, 2, 3, 14, 15, 17, 18, 25, 26, 27, 36, 42

folder = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
try:
    device = os.open("/dev/fuse", os.O_RDWR)
except OSError as e:
    sys.exit(77 if print("no /dev/fuse: %s" % e) is None else 0)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
if libc.mount(b"hang", folder.encode(), b"fuse", 6, options):
    print("no FUSE: " + os.strerror(ctypes.get_errno()))
    sys.exit(77)
hangs = False


def attributes(node):
    mode = 0o40755 if node == 1 else 0o100755
    return struct.pack("<QQQQQQIIIIIIIIII", node, SIZE if node != 1 else 0, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0,
                       0, 4096, 0)


def answer(request):
    """The body of the answer, an error, or None: no answer."""
    operation, node = struct.unpack_from("<4xI8xQ", request)
    if operation == INIT:
        return struct.pack("<IIIIHHIIHH", 7, 31, 65536, 0, 12, 10, 131072, 1, 1, 0) + b"\0" * 28
    if operation in (FORGET, BATCH_FORGET, INTERRUPT) or hangs or operation == HANGS:
        return None
    if operation == LOOKUP:
        return struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + attributes(2)
    if operation == GETATTR:
        return struct.pack("<QII", 0, 0, 0) + attributes(node)
    if operation in (OPEN, OPENDIR):
        return struct.pack("<QII", 0, 0, 0)
    if operation == READ:
        offset, size = struct.unpack_from("<8xQI", request, 40)
        return CONTENTS[offset:offset + size]
    if operation == STATFS:
        return struct.pack("<QQQQQIIII24x", 1, 0, 0, 1, 0, 4096, 255, 4096, 0)
    if operation in (RELEASE, FLUSH):
        return b""
    return -38


def serve():
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError:
            return
        body = answer(request)
        if body is None:
            continue
        error, body = (body, b"") if isinstance(body, int) else (0, body)
        os.write(device, struct.pack("<Ii", 16 + len(body), error) + request[8:16] + body)


threading.Thread(target=serve, daemon=True).start()
readable, writable = os.pipe()
child = os.fork()
if not child:
    os.close(device)
    fd = os.open(os.path.join(folder, "file"), os.O_RDONLY)
    os.dup2(fd, 9, inheritable=True)
    os.dup2(writable, 8, inheritable=True)
    # No Python in it: perl, or what else can map a file.
    os.execv(sys.argv[2], [sys.argv[2]])
os.close(writable)
if os.read(readable, 1) != b"m":
    sys.exit("the child has mapped nothing")
hangs = HANGS is None
print("child %d" % child, flush=True)
sys.stdin.read()
os.kill(child, 9)
os._exit(0)
