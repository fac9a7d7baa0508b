# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ELF files as an attacker makes them."""
import os
import struct


def sparse_elf(path, size=256 << 20):
    """All tables that are searched are as large as may be, and holes but for a name."""
    names = b"\0.dynsym\0.dynstr\0.symtab\0.strtab\0.rodata\0.data\0.PyRuntime\0.shstrtab\0"
    base, machine = 1 << 20, {"x86_64": 62, "aarch64": 183}[os.uname().machine]

    def section(name, kind, offset, size, link=0, entry=0):
        return struct.pack("<IIQQQQIIQQ", names.index(name + b"\0") if name else 0, kind, 2, 0x100, offset,
                           size, link, 0, 8, entry)
    sections = [section(b"", 0, 0, 0), section(b".dynsym", 11, base, size, 2, 24),
                section(b".dynstr", 3, base, size), section(b".symtab", 2, base, size, 4, 24),
                section(b".strtab", 3, base, size), section(b".rodata", 1, base, size),
                section(b".data", 1, base, size), section(b".PyRuntime", 1, base, 64),
                section(b".shstrtab", 3, 4096, len(names))]
    with open(path, "wb") as f:
        f.write(struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, 64, 8192, 0, 64, 56, 1,
                            64, len(sections), 8))
        f.write(struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 4096, 4096, 4096))
        f.seek(4096)
        f.write(names)
        f.seek(8192)
        f.write(b"".join(sections))
        f.seek(base + 100)
        f.write(b"_PyRuntime\0")
        f.truncate(base + size)
    os.chmod(path, 0o644)
