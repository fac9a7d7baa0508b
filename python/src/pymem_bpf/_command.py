# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""python -m pymem_bpf [options] SCRIPT.py | [-m] MODULE [arguments]

Runs a program with `profile` among the builtins: functions under @profile are profiled over all
their calls, and shown when the program ends, however it does so by itself.
"""
import argparse
import contextlib
import functools
import os
import sys

from . import __version__, _alone
from ._program import ProgramMissing, find_script, run_program
from ._helper import Descriptor, HelperError
from ._streams import tell
from .run_profiler import RunProfiler
from .table import show_results
from .timestamps import TimeStamper


TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Sequence, TextIO


def parse(argv: "Sequence[str]") -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pymem_bpf", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--pdb-mmem", dest="max_mem", metavar="MIB", type=float,
                        help="step into the debugger when memory exceeds MIB")
    parser.add_argument("--precision", type=int, default=3, help="digits after the point (3)")
    parser.add_argument("-o", dest="output", metavar="FILE", help="append the tables to FILE")
    parser.add_argument("--timestamp", action="store_true",
                        help="FUNC lines, as mprof's files have them, instead of tables")
    parser.add_argument("--include-children", action="store_true", help="add child processes")
    parser.add_argument("--backend", default=None, help="rss, pss, uss (slow)")
    parser.add_argument("--exact", action="store_true", default=None,
                        help="exact figures, or none: without a helper it is an error")
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a module")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="SCRIPT.py or MODULE, arguments")
    options = parser.parse_args(argv)
    if options.program[:1] == ["--"]:
        del options.program[0]
    if not options.program:
        parser.error("a program to run must be named")
    target = options.program[0]
    if target.endswith(".py") and not options.module and find_script(target) is None:
        parser.error("%s: no such file" % target)
    if options.precision < 0 or options.precision > 20:
        parser.error("--precision: from 0 to 20")
    return options


class Output:
    """The file of -o. It is opened before the program runs, which may go to another folder or give up rights;
    and again if the program has closed it."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._descriptor = Descriptor(self._open())

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def stream(self) -> "TextIO":
        """A stream to write to. The caller closes it."""
        fd = self._descriptor.fd if self._descriptor.is_ours() else self._open()
        return open(fd, "w", encoding="utf-8", errors="backslashreplace")


def main(argv: "Sequence[str] | None" = None) -> None:
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        profiler: "TimeStamper | RunProfiler"
        if options.timestamp:
            profiler = TimeStamper(options.backend, options.include_children)
        else:
            profiler = RunProfiler(include_children=options.include_children, backend=options.backend,
                                   max_mem=options.max_mem, exact=options.exact)
            profiler.prepare()
        output = Output(options.output) if options.output else None
    except (HelperError, ValueError, OSError) as e:
        sys.exit("pymem_bpf: %s" % e)
    try:
        run_program(options.program[0], options.program[1:], profiler, options.module,
                    functools.partial(_show, profiler, options, output))
    except ProgramMissing as e:
        sys.exit("%s: %s" % (sys.executable, e))


def _show(profiler: "TimeStamper | RunProfiler", options: argparse.Namespace, output: "Output | None") -> bool:
    """Writes the results. False: that failed, and stderr says so."""
    try:
        with _alone.remembered(), contextlib.ExitStack() as opened:
            stream = sys.stdout if output is None else opened.enter_context(output.stream())
            if isinstance(profiler, TimeStamper):
                profiler.show_results(stream)
            else:
                profiler.close()
                show_results(profiler, stream, options.precision)
    except Exception as e:
        tell("pymem_bpf: @profile: the result can't be written to %s (%s: %s)\n" % (
            options.output or "stdout", type(e).__name__, e))
        return False
    return True
