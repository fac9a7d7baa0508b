#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes line tables with this interpreter's own answers, for test_py_code.c.

  python3.X tests/unit/gen_code_cases.py >> tests/unit/data/py_code_cases.txt

The decoders of user/python/py_code.c must say what PyCode_Addr2Line says. Each case is one line:

  X.Y KIND FIRSTLINE TABLE_HEX OFFSET:LINE ...

KIND is lnotab, linetable or locations. The answer for a byte offset is that of the nearest OFFSET at or
before it ('-': no line). `END` closes the code. Answers come from PyCode_Addr2Line through ctypes, for each
instruction offset; without ctypes, from code.co_lines(), for which CPython uses the same decoder. The corpus
is a fixed sample of the standard library, and sources written below that have large and backward jumps.
Runs on 3.6 and newer.
"""

import random
import sys
import types

MODULES = ["argparse", "ast", "collections", "dataclasses", "datetime", "difflib", "enum",
           "functools", "inspect", "json.decoder", "logging", "pickle", "statistics", "tarfile",
           "textwrap", "tokenize", "typing", "unittest.mock", "zipfile"]
CODES_PER_MODULE = 3
MAX_TABLE = 700


def hard_sources():
    """Jumps of hundreds and of thousands of lines, forwards and backwards."""
    yield "def f(a,\n" + "\n" * 900 + "b=1):\n" + "\n" * 200 + " return a\n"
    yield "x = (\n" + "\n" * 300 + "f(1\n" + "\n" * 3000 + ",\n2))\n"
    yield "def g(n):\n  return [\n    n(\n      i,\n" + "\n" * 130 + \
          "      2)\n    for i in n\n    if (\n      n)]\n"
    yield "def h(x):\n try:\n  with x as y:\n   yield y\n finally:\n  x(\n   1)\n" + \
          "\n" * 127 + " del x\n" + "\n" * 128 + " return\n"
    yield "def wide(a):\n" + " a = a + 1; " * 200 + "\n" + "\n" * 255 + \
          " return (a.b\n  .c\n  .d)\n"
    yield "async def co(x):\n async with x:\n  async for i in x:\n   await (\n    i)\n"
    yield "\n" * 70000 + "def far(x): return x\n"
    yield "class C:\n" + "".join(" def m%d(self): return %d\n" % (i, i) for i in range(40))


def codes_in(code):
    found = [code]
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found += codes_in(const)
    return found


def corpus():
    for source in hard_sources():
        for code in codes_in(compile(source, "hard", "exec"))[:3]:
            yield code
    for name in MODULES:
        path = name.replace(".", "/")
        for base in [entry for entry in sys.path if entry]:
            text = None
            for tail in (".py", "/__init__.py"):
                try:
                    with open(base + "/" + path + tail, encoding="utf-8") as file:
                        text = file.read()
                    break
                except (OSError, NotADirectoryError):
                    continue
            if text is not None:
                break
        if text is None:
            continue
        codes = codes_in(compile(text, name, "exec"))
        random.Random(name).shuffle(codes)
        for code in codes[:CODES_PER_MODULE]:
            yield code


def addr2line():
    """PyCode_Addr2Line as a callable; None where there is no ctypes."""
    try:
        import ctypes
        function = ctypes.pythonapi.PyCode_Addr2Line
        function.argtypes = [ctypes.py_object, ctypes.c_int]
        function.restype = ctypes.c_int
        return function
    except (ImportError, AttributeError):
        return None


def answers(code):
    ask = addr2line()
    size = len(code.co_code)
    if ask:
        return [ask(code, at) for at in range(0, size, 2)]
    lines = [-1] * (size // 2)
    for start, end, line in code.co_lines():
        for at in range(start, end, 2):
            lines[at // 2] = -1 if line is None else line
    return lines


def table_of(code):
    if sys.version_info >= (3, 11):
        return "locations", code.co_linetable
    if sys.version_info >= (3, 10):
        return "linetable", code.co_linetable
    return "lnotab", code.co_lnotab


def main():
    if sys.version_info < (3, 10) and not addr2line():
        sys.exit("gen_code_cases.py: needs ctypes")
    for code in corpus():
        kind, table = table_of(code)
        if len(table) > MAX_TABLE:
            continue
        words, last = [], None
        for index, line in enumerate(answers(code)):
            if line != last:
                words.append("%d:%s" % (2 * index, "-" if line == -1 else line))
            last = line
        words.append("%d:END" % len(code.co_code))
        # An empty table is legal (3.6: a one-line function).
        print("%d.%d" % sys.version_info[:2], kind, code.co_firstlineno,
              bytes(table).hex() or ".", *words)


if __name__ == "__main__":
    main()
