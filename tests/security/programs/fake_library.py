# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A shared library that looks like an interpreter: it has the symbols and nothing else."""
import struct

PAGE = 4096
VERSION_AT = 0x200  # of the word Py_Version
RUNTIME_FAR = 0x10000000  # _PyRuntime, from the beginning of the library


def make(version=0x030C00F0):
    """The bytes of an ELF file for x86-64 with _PyRuntime and Py_Version."""
    names = b"\0_PyRuntime\0Py_Version\0"
    symbols = bytes(24)
    for name, address in ((b"_PyRuntime", RUNTIME_FAR), (b"Py_Version", VERSION_AT)):
        symbols += struct.pack("<IBBHQQ", names.index(name), 0x11, 0, 1, address, 8)
    section_names = b"\0.dynsym\0.dynstr\0.shstrtab\0"
    body = bytearray(8 * PAGE)
    struct.pack_into("<I", body, VERSION_AT, version)

    def add(content):
        body.extend(bytes(-len(body) % 16))
        body.extend(content)
        return len(body) - len(content)

    def section(name, kind, at, size, link=0, entry=0):
        return struct.pack("<IIQQQQIIQQ", section_names.index(name), kind, 2, at, at, size, link, 1,
                           8, entry)

    at = [add(part) for part in (names, symbols, section_names)]
    table = bytes(64) + section(b".dynsym", 11, at[1], len(symbols), 2, 24)
    table += section(b".dynstr", 3, at[0], len(names))
    table += section(b".shstrtab", 3, at[2], len(section_names))
    where = add(table)
    body[:64] = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 3, 62, 1, 0, 64,
                            where, 0, 64, 56, 1, 64, 4, 3)
    body[64:120] = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, len(body), len(body), PAGE)
    return bytes(body)
