# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): tables of any source, into any stream."""
import io
import linecache
import os
import shutil
import sys
import tempfile

from lines_block import Block
from lines_common import equal, with_counter
from pymem_bpf.decorator import profile
from pymem_bpf.line_profiler import LineProfiler, show_results


def shown_of(path, function_name="f"):
    """The table of a function of a file that is run once; the file is run by its bytes."""
    with open(path, "rb") as f:
        code = compile(f.read(), path, "exec")
    block = Block()
    space = {"block": block}
    exec(code, space)
    profiler = LineProfiler(space[function_name], counter=block)
    profiler.runcall(space[function_name])
    text = io.StringIO()
    show_results(profiler, text)
    return text.getvalue()


def check_source_of_any_encoding():
    """As the file says (PEP 263), whatever the name of the file."""
    folder = tempfile.mkdtemp(prefix="pymem-bpf-test-")
    try:
        for name, encoding, cookie, words in (
                (b"latin.py", "latin-1", "# -*- coding: latin-1 -*-", "äö ß"),
                (b"sjis.py", "shift_jis", "# vim: set fileencoding=shift_jis :", "日本語 表"),
                (b"named-\xe4\xff.py", "utf-8", "# coding: utf-8", "ä日")):
            path = os.fsdecode(os.path.join(os.fsencode(folder), name))
            source = "%s\ndef f():\n    s = '%s'\n    return block.grow(2)\n" % (cookie, words)
            with open(path, "wb") as f:
                f.write(source.encode(encoding))
            text = shown_of(path)
            assert "Filename: %s\n" % path in text, text
            equal([line.split("s = ")[1] for line in text.splitlines() if "s = " in line], ["'%s'" % words])
            assert "    return block.grow(2)" in text, text
    finally:
        shutil.rmtree(os.fsencode(folder))


def check_source_that_has_become_another():
    """Bytes of no encoding, half a string, nothing: the rows are there."""
    folder = tempfile.mkdtemp(prefix="pymem-bpf-test-")
    path = os.path.join(folder, "changed.py")
    try:
        for now in (b"\xff\xfe\xff\ndef f():\n  '\xe4'\n", b"# coding: nonsense\nx\n", b"'''\n" * 3,
                    b"(\n" * 5, b""):
            with open(path, "wb") as f:
                f.write(b"\ndef f():\n    x = 1\n    return block.grow(256) or 7\n")
            with open(path, "rb") as f:
                code = compile(f.read(), path, "exec")
            block = Block()
            space = {"block": block}
            exec(code, space)
            with open(path, "wb") as f:
                f.write(now)
            linecache.cache.pop(path, None)
            text = io.StringIO()
            decorated = profile(space["f"], stream=text)
            with with_counter(block):
                equal(decorated(), 7)
            fourth = [line for line in text.getvalue().splitlines() if line.startswith("     4 ")]
            assert fourth and "1.0 MiB" in fourth[0], (now, text.getvalue())
    finally:
        shutil.rmtree(folder)


def check_source_that_must_not_be_read():
    """A pipe (python /dev/stdin): what is in it is the program's."""
    folder = tempfile.mkdtemp(prefix="pymem-bpf-test-")
    path = os.path.join(folder, "pipe")
    os.mkfifo(path)
    try:
        space = {"block": Block()}
        exec(compile("def f():\n    return block.grow(1)\n", path, "exec"), space)
        profiler = LineProfiler(space["f"], counter=space["block"])
        profiler.runcall(space["f"])
        text = io.StringIO()
        show_results(profiler, text)
        assert "not available" in text.getvalue(), text.getvalue()
    finally:
        shutil.rmtree(folder)


def check_code_without_a_file_name():
    space = {"block": Block()}
    exec(compile("def f():\n    return block.grow(1)\n", "", "exec"), space)
    profiler = LineProfiler(space["f"], counter=space["block"])
    profiler.runcall(space["f"])
    text = io.StringIO()
    show_results(profiler, text)
    assert "Filename: (no file name)\n" in text.getvalue(), text.getvalue()


class Refusing(io.StringIO):
    """A stream of an encoding, whose write() raises at the n-th call."""

    def __init__(self, encoding=None, raises=None):
        super().__init__()
        self.named, self.raises = encoding, raises

    @property
    def encoding(self):
        return self.named

    def write(self, text):
        if self.raises:
            raise self.raises
        if self.named:
            text.encode(self.named)
        return super().write(text)


def check_streams():
    """Whatever the stream does: the result is returned, one line is said at most."""
    from pymem_bpf import _counting
    block = Block()

    def f():
        s = "größe 日本"
        return block.grow(1) or len(s)
    closed, ascii_, binary = io.StringIO(), Refusing("ascii"), io.BytesIO()
    closed.close()
    read, write = os.pipe()
    os.close(read)
    broken = open(write, "w")
    full = open("/dev/full", "w")
    bad = [closed, 5, object(), broken, full]
    bad += [Refusing(raises=e) for e in (KeyError("x"), RecursionError(), AttributeError(), OSError(5, "x"))]
    for stream, said in [(io.StringIO(), 0), (ascii_, 0), (binary, 0)] + [(stream, 1) for stream in bad]:
        before, stderr = sys.stderr, Refusing("ascii")
        _counting._said.clear()
        sys.stderr = stderr
        try:
            with with_counter(block):
                equal(profile(f, stream=stream)(), 8)
                equal(profile(f, stream=stream)(), 8)
        finally:
            sys.stderr = before
        equal((stream, stderr.getvalue().count("\n")), (stream, said))
    assert "gr\\xf6\\xdfe \\u65e5\\u672c" in ascii_.getvalue(), ascii_.getvalue()
    assert "größe 日本" in binary.getvalue().decode("utf-8"), binary.getvalue()
    broken.close()  # nothing of ours is left in it
    full.close()
    # A file's name may be of no encoding: each stream escapes what it can't have.
    space = {"block": block}
    exec(compile("def g():\n    return 9\n", "\udcff.py", "exec"), space)
    text, binary = Refusing("utf-8"), io.BytesIO()
    with with_counter(block):
        equal([profile(space["g"], stream=stream)() for stream in (text, binary)], [9, 9])
    for said in text.getvalue(), binary.getvalue().decode():
        assert "Filename: \\udcff.py" in said, said
    for name in "stdout", "stderr":
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = ((None, io.StringIO()) if name == "stdout" else
                                  (Refusing(raises=OSError()), None))
        try:
            with with_counter(block):
                equal(profile(f)(), 8)
        finally:
            sys.stdout, sys.stderr = before
