# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads the heap of a live interpreter with the struct py_heap_layout that
user/python/py_heap_layouts.c chooses for it: for check_heap_layouts.py."""

import ctypes
import os
import re
import struct
import subprocess

from check_layouts import NONE, PROJECT

SHIM = '''
#include "python/py_heap_layouts.c"
int find_layout(unsigned major, unsigned minor, unsigned micro, int debug, int free_threaded,
                struct py_heap_layout *layout)
{
        struct py_process process = {.major = major, .minor = minor, .micro = micro,
                .debug_build = debug, .free_threaded = free_threaded};
        return py_heap_layout_find(&process, layout);
}
'''


def layout_struct():
    """struct py_heap_layout as a ctypes structure, and the flags, from the header."""
    with open(os.path.join(PROJECT, "include/py_heap_layout.h"), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    flags = {name: 1 << int(bit) for name, bit in re.findall(r"PY_HEAP_(\w+) = 1 << (\d+)", text)}
    body = re.search(r"struct py_heap_layout \{(.*?)\n\};", text, re.S).group(1)
    kinds = {"16": ctypes.c_uint16, "32": ctypes.c_uint32}
    fields = [(name.strip(), kinds[bits]) for bits, names in re.findall(r"uint(\d+)_t\s+([^;]+);", body)
              for name in names.split(",")]
    return type("HeapLayout", (ctypes.Structure,), {"_fields_": fields}), flags


def debug_hooks():
    """(bytes before, bytes after) what a debug build's block holds, from the header."""
    with open(os.path.join(PROJECT, "include/py_heap_layout.h"), encoding="utf-8") as file:
        text = file.read()
    return [int(re.search(r"define PY_HEAP_DEBUG_%s +(\d+)" % name, text).group(1))
            for name in ("BEFORE", "AFTER")]


def load_library(folder):
    source, path = os.path.join(folder, "shim.c"), os.path.join(folder, "heap.so")
    with open(source, "w", encoding="ascii") as file:
        file.write(SHIM)
    subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-I" + PROJECT + "/include",
                    "-I" + PROJECT + "/user", "-o", path, source], check=True)
    return ctypes.CDLL(path)


def same(what, got, expected):
    if got != expected:
        raise ValueError(f"{what}: {got!r}, not {expected!r}")


class Heap:
    """A target's heap. Attributes are fields of its layout; those asked for are remembered."""

    def __init__(self, target, layout, flags):
        self.target, self.layout, self.flag_bits = target, layout, flags
        self.used = set()

    def __getattr__(self, name):
        value = getattr(self.layout, name)
        if value == NONE:
            raise ValueError(f"{name} is needed, and missing")
        self.used.add(name)
        return value

    def has(self, flag):
        return bool(self.layout.flags & self.flag_bits[flag])

    def word(self, address, form="<Q"):
        return self.target.number(address, form)

    def words(self, address, count, step=8):
        data = self.target.read(address, count * step)
        return [struct.unpack_from("<Q", data, at * step)[0] for at in range(count)]

    def c_string(self, address):
        return self.target.read(address, 100).split(b"\0")[0].decode()

    def keys(self, keys):
        """Keys object: [(key, value)] of all entries, number of slots, is general."""
        general = True
        if self.has("OLD_KEYS"):
            slots = self.word(keys + self.keys_size)
            width = 1 if slots <= 0xFF else 2 if slots <= 0xFFFF else 4
            start = keys + self.keys_indices + slots * width
        else:
            slots = 1 << self.word(keys + self.keys_log2_size, "<B")
            general = self.word(keys + self.keys_kind, "<B") == self.keys_kind_general
            start = keys + self.keys_indices + (1 << self.word(keys + self.keys_log2_index_bytes, "<B"))
        size, key, value = self.entry_size, self.entry_key, self.entry_value
        if not general:
            size, key, value = self.unicode_entry_size, self.unicode_entry_key, self.unicode_entry_value
        places = range(start, start + self.word(keys + self.keys_nentries) * size, size)
        rows = [(self.word(at + key), self.word(at + value)) for at in places]
        return rows, slots, general

    def dict_entries(self, address):
        rows, _, _ = self.keys(self.word(address + self.dict_keys))
        values = self.word(address + self.dict_values)
        if values:
            rows = [(key, self.word(values + self.values_first + 8 * i)) for i, (key, _) in enumerate(rows)]
        found = [[key, value] for key, value in rows if value]
        same("ma_used", self.word(address + self.dict_used), len(found))
        return found

    def tuple_items_of(self, address):
        return self.words(address + self.tuple_items, self.word(address + self.object_size))
