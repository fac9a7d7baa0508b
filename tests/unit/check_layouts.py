#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares the layouts with live interpreters.

  tests/unit/check_layouts.py [ROOT:]PYTHON...

For each interpreter (inside the chroot ROOT, if given) a program with a known stack is started. Then its
interpreters, threads, frames and code objects are walked from outside, only through /proc/PID/mem, with the
struct py_layout that user/python/py_layouts.c chooses. Names, files, first lines and current lines
(user/python/py_code.c) are compared with the truth. The C files are compiled here and called through ctypes;
the struct is taken from include/py_layout.h. Needs root or ptrace rights, cc and readelf. Exit status 1 if
any interpreter differs.
"""

import ctypes
import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
NONE = 0xFFFF
MAX_NODES = 1000

# A file name that needs two bytes a character, a closure whose name is Latin-1, a method
# (qualified name), a generator, a call through C, and a second thread.
TARGET_NAME = "ziel_\u76ee_\U0001f40d.py"
TARGET = '''\
import os, sys, threading
hold = threading.Lock()
hold.acquire()

class Worker(threading.Thread):
    def run(self):  # first run
        self.st\u00f6p()  # line run

    def st\u00f6p(self):  # first st\u00f6p
        ready.set()
        hold.acquire()  # line st\u00f6p

def leaf():  # first leaf
    sys.stdout.write("ready %d\\n" % threading.get_ident())
    sys.stdout.flush()
    os.read(0, 1)  # line leaf

def numbers():  # first numbers
    x = 1
    yield x
    leaf()  # line numbers
    yield 2

def outer():  # first outer
    def key(n):  # first key
        for i in numbers():  # line key
            pass
    return sorted([1], key=key)  # line outer

ready = threading.Event()
Worker(daemon=True).start()
ready.wait()
outer()  # line <module>
'''
MAIN = ["leaf", "numbers", "key", "outer", "<module>"]
THREAD = ["st\u00f6p", "run"]
QUALIFIED = {"key": "outer.<locals>.key", "run": "Worker.run", "st\u00f6p": "Worker.st\u00f6p"}


def layout_struct():
    """struct py_layout as a ctypes structure, and the flags, from the header."""
    with open(os.path.join(PROJECT, "include/py_layout.h"), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    flags = {name: 1 << int(bit) for name, bit in re.findall(r"(PY_\w+) = 1 << (\d+)", text)}
    body = re.search(r"struct py_layout \{(.*?)\};", text, re.S).group(1)
    kinds = {"8": ctypes.c_uint8, "16": ctypes.c_uint16, "32": ctypes.c_uint32}
    fields = [(name, kinds[bits]) for bits, name in re.findall(r"__u(\d+) (\w+);", body)]
    return type("Layout", (ctypes.Structure,), {"_fields_": fields}), flags


class Code(ctypes.Structure):
    """struct py_code"""
    _fields_ = [("file", ctypes.c_char_p), ("function", ctypes.c_char_p),
                ("first_line", ctypes.c_int), ("line_flags", ctypes.c_uint32),
                ("linetable", ctypes.c_char_p), ("linetable_len", ctypes.c_size_t),
                ("truncated", ctypes.c_int), ("marks", ctypes.c_void_p),
                ("mark_count", ctypes.c_size_t)]


def load_library(folder):
    path = os.path.join(folder, "py.so")
    subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-I" + PROJECT + "/include",
                    "-I" + PROJECT + "/user", "-o", path, PROJECT + "/user/python/py_layouts.c",
                    PROJECT + "/user/python/py_code.c"], check=True)
    library = ctypes.CDLL(path)
    library.py_unicode_decode.restype = ctypes.c_void_p
    library.py_unicode_decode.argtypes = [ctypes.c_char_p] + [ctypes.c_size_t] * 2 + [
        ctypes.c_uint]
    return library


class Target:
    """A running interpreter, read through /proc/PID/mem."""

    def __init__(self, library, layout_type, flags, pid, version):
        self.library, self.flags, self.pid = library, flags, pid
        self.memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
        self.layout = layout_type()
        symbols, base = self.symbols()
        pointer = ctypes.byref(self.layout)
        if version >= (3, 13):
            self.root = base + symbols["_PyRuntime"]
            data = self.read(self.root, 2048)
            err = library.py_layout_from_debug_offsets(data, ctypes.c_size_t(len(data)), pointer)
        else:
            err = library.py_layout_from_table(version[0], version[1], pointer)
            self.root = base + symbols["_PyRuntime" if version >= (3, 7) else "interp_head"]
        if err:
            raise ValueError(f"no layout: {err}")

    def symbols(self):
        """Symbols of the mapped file that has the interpreter, and what to add to them."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as file:
            maps = [line.split(None, 5) for line in file]
        seen = set()
        for words in maps:
            path = words[5].strip() if len(words) > 5 else ""
            if not path.startswith("/") or path in seen:
                continue
            seen.add(path)
            # Not by path, which may be another file in a chroot.
            start, end = (int(word, 16) for word in words[0].split("-"))
            mapped = f"/proc/{self.pid}/map_files/{start:x}-{end:x}"
            text = subprocess.run(["readelf", "-hsW", mapped], capture_output=True,
                                  check=False, text=True, errors="replace").stdout
            found = {name: int(value, 16) for value, name in re.findall(
                r"^ *\d+: ([0-9a-f]+) .* OBJECT .* (_PyRuntime|interp_head)$", text, re.M)}
            if found:
                return found, 0 if re.search(r"Type: +EXEC", text) else start
        raise ValueError("no interpreter mapped")

    def read(self, address, size):
        self.memory.seek(address)
        return self.memory.read(size)

    def number(self, address, form="<Q"):
        return struct.unpack(form, self.read(address, struct.calcsize(form)))[0]

    def is_code(self, address):
        """Whether it lies in memory that is executed."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as file:
            for line in file:
                bounds, rights = line.split()[:2]
                start, end = (int(word, 16) for word in bounds.split("-"))
                if start <= address < end:
                    return "x" in rights
        return False

    def has(self, flag):
        return bool(self.layout.flags & self.flags[flag])

    def chain(self, first, offset):
        nodes = []
        while first and len(nodes) < MAX_NODES:
            nodes.append(first)
            first = self.number(first + offset)
        return nodes

    def text(self, address):
        layout = self.layout
        length = self.number(address + layout.unicode_length)
        state = self.number(address + layout.unicode_state, "<I")
        kind = state >> layout.unicode_kind_shift & 7
        if not state >> layout.unicode_compact_shift & 1:
            raise ValueError("a str that is not compact")
        is_ascii = state >> layout.unicode_ascii_shift & 1
        start = layout.unicode_ascii_size if is_ascii else layout.unicode_compact_size
        data = self.read(address + start, min(length, 4096) * kind)
        result = self.library.py_unicode_decode(data, len(data), length, kind)
        return ctypes.string_at(result).decode("utf-8")

    def lasti(self, frame, code):
        layout = self.layout
        if not self.has("PY_INSTR_POINTER"):
            lasti = self.number(frame + layout.frame_instr, "<i")
            return 2 * lasti if self.has("PY_LASTI_CODEUNIT") and lasti >= 0 else lasti
        start = code + layout.code_bytecode
        if self.has("PY_TLBC"):
            index = self.number(frame + layout.frame_tlbc_index, "<i")
            array = self.number(code + layout.code_tlbc)
            start = self.number(array + layout.tlbc_entries + 8 * index)
        return self.number(frame + layout.frame_instr) - start

    def frame(self, frame):
        """(name, file, first line, line), None for a frame without Python code."""
        layout = self.layout
        if layout.frame_owner != NONE:
            owner = self.number(frame + layout.frame_owner, "<B")
            if owner in (layout.owner_cstack, layout.owner_interpreter):
                return None
        code = self.number(frame + layout.frame_code)
        if self.has("PY_EXECUTABLE_TAGGED"):
            code &= ~3
        name = layout.code_qualname if layout.code_qualname != NONE else layout.code_name
        table = self.number(code + layout.code_linetable)
        size = self.number(table + layout.bytes_size)
        record = Code(first_line=self.number(code + layout.code_firstlineno, "<i"),
                      line_flags=layout.flags, linetable_len=size)
        record.linetable = self.read(table + layout.bytes_data, size)
        line = self.library.py_code_line(ctypes.byref(record), self.lasti(frame, code))
        return (self.text(self.number(code + name)),
                self.text(self.number(code + layout.code_name)),
                self.text(self.number(code + layout.code_filename)), record.first_line, line)

    def threads(self):
        """{thread_id: frames, innermost first}"""
        layout, found = self.layout, {}
        root = self.root + (0 if self.has("PY_TSTATE_CURRENT") else layout.runtime_interp_head)
        for interp in self.chain(self.number(root), layout.interp_next):
            for tstate in self.chain(self.number(interp + layout.interp_thread_head),
                                     layout.tstate_next):
                if self.number(tstate + layout.tstate_interp) != interp:
                    raise ValueError("tstate_interp is not the interpreter")
                frame = self.number(tstate + layout.tstate_frame)
                if self.has("PY_TSTATE_CFRAME"):
                    frame = self.number(frame + layout.cframe_frame)
                frames = [self.frame(f) for f in self.chain(frame, layout.frame_back)]
                found[self.number(tstate + layout.tstate_thread_id)] = [f for f in frames if f]
        return found


def marked_line(mark):
    for number, line in enumerate(TARGET.splitlines(), 1):
        if line.endswith("# " + mark):
            return number
    raise KeyError(mark)


def expected(names, path, qualified):
    for name in names:
        first = 1 if name == "<module>" else marked_line("first " + name)
        shown = QUALIFIED.get(name, name) if qualified else name
        yield shown, name, path, first, marked_line("line " + name)


def compare(target, main_id, path):
    threads = target.threads()
    qualified = target.layout.code_qualname != NONE
    main = threads.pop(main_id, None)
    if main != list(expected(MAIN, path, qualified)):
        raise ValueError(f"main thread {main_id:#x}: {main}")
    if len(threads) != 1:
        raise ValueError(f"{len(threads)} other threads, not 1")
    other = next(iter(threads.values()))
    if other[:2] != list(expected(THREAD, path, qualified)):
        raise ValueError(f"second thread: {other}")
    if not other[2:] or not all(f[2].endswith("threading.py") for f in other[2:]):
        raise ValueError(f"second thread's callers: {other[2:]}")
    return len(main) + len(other)


def check(python, library, layout_type, flags):
    root, _, exe = python.rpartition(":")
    prefix = ["chroot", root] if root else []
    script = os.path.join(tempfile.gettempdir(), f"layouts{os.getpid()}", TARGET_NAME)
    real = root + script
    os.makedirs(os.path.dirname(real), exist_ok=True)
    with open(real, "w", encoding="utf-8") as file:
        file.write(TARGET)
    # C.UTF-8, so that versions that take the locale's word decode the path.
    child = subprocess.Popen(prefix + [exe, script], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"})
    try:
        asked = subprocess.run(prefix + [exe, "-c", "import sys; print(*sys.version_info[:3])"],
                               check=True, capture_output=True, text=True).stdout
        version = tuple(map(int, asked.split()))
        word, _, main_id = child.stdout.readline().decode().partition(" ")
        if word != "ready":
            raise ValueError("the target did not start")
        target = Target(library, layout_type, flags, child.pid, version)
        # "ready" is printed just before the read: wait until the thread sleeps in it.
        while open(f"/proc/{child.pid}/syscall", encoding="ascii").read().split()[:2] not in (
                ["0", "0x0"], ["63", "0x0"]):
            pass
        frames = compare(target, int(main_id), script)
        kind = " free-threaded" if target.has("PY_FREE_THREADED") else ""
        print("ok   %d.%d.%d%s: %d frames (%s)" % (*version, kind, frames, python))
        return True
    except (ValueError, OSError, KeyError, struct.error) as error:
        print(f"FAIL {python}: {error}")
        return False
    finally:
        child.kill()
        child.wait()
        os.unlink(real)
        os.rmdir(os.path.dirname(real))


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: check_layouts.py [ROOT:]PYTHON...")
    layout_type, flags = layout_struct()
    with tempfile.TemporaryDirectory() as folder:
        library = load_library(folder)
        results = [check(python, library, layout_type, flags) for python in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
