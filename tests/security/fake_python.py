# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A library that looks like Python 3.12 with line probes, and can say anything about them."""
import struct

PROBES = ("gc__start", "gc__done", "function__return", "function__entry", "line")
SITES = {name: 0x3002 + 0x10 * i for i, name in enumerate(PROBES)}
SEMAPHORE = 0x5030
DATA = 1 << 30  # where the second segment is loaded: the same bytes, writable
CODE = 0x8000
VERSION_AT, RUNTIME_AT = 0x200, 0x400


def note(provider, name, site, semaphore=DATA + SEMAPHORE, args=b"8@%rdi 8@%rsi -4@%edx"):
    text = struct.pack("<QQQ", site, 0, semaphore) + b"\0".join(
        [provider.encode(), name.encode(), args, b""])
    raw = struct.pack("<III", 8, len(text), 3) + b"stapsdt\0" + text
    return raw + b"\0" * (-len(raw) % 4)


def build(padding=0, lines=1, notes_size=None, args=b"8@%rdi 8@%rsi -4@%edx", version=0x030c00f0, others=()):
    """The file's bytes. `padding`: notes of another provider; `lines`: places of the line probe;
    `notes_size`: what the section says of itself (the file is to be made so long); `others`: places of
    another probe of Python's."""
    notes = b"".join(note("python", name, SITES[name], args=args) for name in PROBES[:-1])
    notes += b"".join(note("python", "line", SITES["line"] + i, args=args) for i in range(lines))
    notes += b"".join(note("python", "audit", site, args=b"") for site in others)
    notes += note("nothing", "at_all", 0x1100, 0) * padding
    body = bytearray(b"\x90" * CODE)
    body[SEMAPHORE:SEMAPHORE + 2] = b"\0\0"
    struct.pack_into("<Q", body, VERSION_AT, version)
    names = b"\0_PyRuntime\0Py_Version\0"
    symbol = struct.Struct("<IBBHQQ")
    symbols = symbol.pack(0, 0, 0, 0, 0, 0) + symbol.pack(1, 0x11, 0, 1, RUNTIME_AT, 8) \
        + symbol.pack(12, 0x11, 0, 1, VERSION_AT, 8)
    section_names = b"\0.dynsym\0.dynstr\0.note.stapsdt\0.shstrtab\0"
    # The notes come last: they may go on in a hole.
    parts, at = {}, CODE
    for name, data in ((".dynsym", symbols), (".dynstr", names), (".shstrtab", section_names)):
        parts[name] = (at, len(data))
        body += data + b"\0" * (-len(data) % 16)
        at = len(body)
    table_at = at
    at += 5 * 64
    parts[".note.stapsdt"] = (at, notes_size or len(notes))

    def section(name, kind, link=0, entry=0):
        offset, size = parts[name]
        return struct.pack("<IIQQQQIIQQ", section_names.index(name.encode()), kind, 2, offset, offset, size,
                           link, 1, 4 if kind == 7 else 8, entry)

    body += bytes(64) + section(".dynsym", 11, 2, 24) + section(".dynstr", 3) \
        + section(".note.stapsdt", 7) + section(".shstrtab", 3) + notes
    struct.pack_into("<16sHHIQQQIHHHHHH", body, 0, b"\x7fELF\x02\x01\x01" + bytes(9), 3, 62, 1, 0x1000, 64,
                     table_at, 0, 64, 56, 2, 64, 5, 4)
    for number, (flags, address) in enumerate(((5, 0), (6, DATA))):
        struct.pack_into("<IIQQQQQQ", body, 64 + 56 * number, 1, flags, 0, address, address, CODE, CODE,
                         0x1000)
    return bytes(body)
