# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Some children exec while others are forked, all on one CPU. An exec frees the old memory
descriptor (mm) before the exec is reported; if it sleeps in between, the next fork gets the same mm.
Both images must still be found.

To sleep there, the exec has to read a page that isn't cached: the last one of the program's data,
behind which the kernel writes zeroes."""
import os
import shutil
import struct
import subprocess
import tempfile

from truth import MIB, begin, end

EXECS, STARTERS, FORKS = 10, 4, 200
# No read-ahead of the file's head comes as far as the end of its data.
SOURCE = "char data[4 << 20] = {1}; char zeroes[64]; int main(void) { return data[1] + zeroes[1]; }"


def build(folder):
    """A program for each starter, so that none is mapped by another's child when it is to be forgotten."""
    paths = [os.path.join(folder, "program%d" % i) for i in range(STARTERS)]
    subprocess.run(["cc", "-x", "c", "-", "-o", paths[0]], check=True, input=SOURCE.encode())
    for path in paths[1:]:
        shutil.copy(paths[0], path)
    for path in paths:
        with open(path, "rb") as f:
            os.fsync(f.fileno())
    return paths


def becomes_another(path):
    block = bytearray(MIB)  # L:before_exec
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    os.execv(path, [path])


def child():
    block = bytearray(MIB)  # L:child
    os._exit(0)


def starter(pipe, path):
    for _ in range(EXECS):
        pid = os.fork()
        if pid == 0:
            becomes_another(path)
        os.waitpid(pid, 0)
        os.write(pipe, struct.pack("i", pid))
    os._exit(0)


def all_of(pipe):
    data = b""
    while True:
        part = os.read(pipe, 65536)
        if not part:
            return [pid for pid, in struct.iter_unpack("i", data)]
        data += part


# On a disk: what is in memory anyway is never read.
folder = tempfile.mkdtemp(dir="/var/tmp")
programs = build(folder)
begin()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
take, give = os.pipe()
starters, forked = [], []
for path in programs:
    pid = os.fork()
    if pid == 0:
        starter(give, path)
    starters.append(pid)
os.close(give)
for _ in range(FORKS):
    pid = os.fork()
    if pid == 0:
        child()
    os.waitpid(pid, 0)
    forked.append(pid)
became = all_of(take)
for pid in starters:
    os.waitpid(pid, 0)
assert len(became) == EXECS * STARTERS
shutil.rmtree(folder)
end({}, children=[{"pid": p, "lines": {"before_exec": {"anon": MIB}}} for p in became] +
    [{"pid": p, "lines": {"child": {"anon": MIB}}} for p in forked])
