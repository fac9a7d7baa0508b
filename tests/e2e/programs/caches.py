# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Lines that read and write files, in the folder that is named on the command line; the page cache has none of them.
The truth is the kernel's own: mincore() of each file before and after each line."""
import ctypes
import mmap
import os
import sys

from truth import MIB, PAGE, begin, end, libc

libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


class File:
    def __init__(self, name, create=False):
        self.name = name
        self.fd = os.open(os.path.join(os.fsencode(sys.argv[1]), name), os.O_RDWR | (os.O_CREAT if create else 0))

    def there(self):
        """Bytes of the file that are in the page cache."""
        size = os.fstat(self.fd).st_size
        pages = (size + PAGE - 1) // PAGE
        if not size:
            return 0
        found = ctypes.create_string_buffer(pages)
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, self.fd, 0)
        if libc.mincore(address, size, found):
            raise OSError(ctypes.get_errno(), "mincore")
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
        return sum(state & 1 for state in found.raw) * PAGE


def wind(file):
    os.lseek(file.fd, 0, os.SEEK_SET)


def ask():
    for file in files:
        seen[file.name].append(file.there())


buffer = bytearray(MIB)
first, second = File(b"first.bin"), File(b"second.bin")
hidden, strange, known = File(b"hidden.bin"), File(b"str\x1b[31mange\xff\n.bin"), File(b"known.bin")
written = File(b"written.bin", create=True)
files = (first, second, hidden, strange, known, written)
seen = {file.name: [] for file in files}
os.unlink(os.path.join(os.fsencode(sys.argv[1]), hidden.name))
begin()
ask()
while os.readv(first.fd, [buffer]): pass  # L:cold
ask()
wind(first)
while os.readv(first.fd, [buffer]): pass  # L:warm
ask()
while os.readv(second.fd, [buffer]): pass  # L:second
ask()
while os.readv(hidden.fd, [buffer]): pass  # L:hidden
ask()
while os.readv(strange.fd, [buffer]): pass  # L:strange
ask()
while os.readv(known.fd, [buffer]): pass  # L:known
ask()
for _ in range(8): os.write(written.fd, buffer)  # L:write
ask()
os.posix_fadvise(second.fd, 0, os.fstat(second.fd).st_size // 2, os.POSIX_FADV_DONTNEED)  # L:drop
ask()
os.ftruncate(written.fd, 3 * MIB)  # L:cut
ask()
lines = ("cold", "warm", "second", "hidden", "strange", "known", "write", "drop", "cut")
changes = {label: {repr(name): after[i + 1] - after[i] for name, after in seen.items() if after[i + 1] != after[i]}
           for i, label in enumerate(lines)}
end({}, changes=changes, there={repr(name): after[-1] for name, after in seen.items()})
