# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""python -m pymem_bpf: runs a program with `profile` among the builtins, prints the tables at its end.

Options are memory_profiler's. The program's exception and exit status are kept: tables go as far
as that. A process that it forks prints none.
"""
import argparse
import os
import sys

from . import __version__
from ._helper import HelperError
from .timestamps import TimeStamper, run_program


def parser_of_arguments():
    parser = argparse.ArgumentParser(
        prog="python -m pymem_bpf",
        usage="python -m pymem_bpf [options] script.py | [-m] module [arguments]",
        description="Line by line, what functions under @profile changed resident memory by.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--pdb-mmem", dest="max_mem", metavar="MIB", type=float,
                        help="step into the debugger at the first profiled line that begins above this")
    parser.add_argument("--precision", type=int, default=3, metavar="N",
                        help="digits after the point (default: 3)")
    parser.add_argument("-o", dest="output", metavar="FILE", help="append the tables to a file")
    parser.add_argument("--timestamp", action="store_true",
                        help="when functions under @profile ran, and RSS at both ends, no lines")
    parser.add_argument("--include-children", action="store_true",
                        help="add the memory of child processes")
    parser.add_argument("--backend", default=None,
                        help="rss (also psutil, posix); with --timestamp also pss, uss")
    parser.add_argument("-m", dest="is_module", action="store_true",
                        help="the program is a module (as any name is that doesn't end in .py)")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="and its arguments")
    return parser


def make_profiler(options):
    """A LineProfiler or TimeStamper. ValueError: no such backend; HelperError: nobody can count."""
    if options.timestamp:
        return TimeStamper(options.backend or "rss", options.include_children)
    from .line_profiler import LineProfiler
    profiler = LineProfiler(backend=options.backend, include_children=options.include_children,
                            max_mem=options.max_mem)
    profiler.prepare()
    return profiler


def report(options, profiler, stream):
    if options.timestamp:
        profiler.show_results(stream)
        return
    from .table import show_results
    show_results(profiler, stream, options.precision)
    if not profiler.results():
        sys.stderr.write("pymem_bpf: no function was profiled: decorate one with @profile\n")


def main(argv=None):
    parser = parser_of_arguments()
    options = parser.parse_args(argv)
    if not options.program:
        parser.error("a program to run is missing")
    if not 0 <= options.precision <= 50:
        parser.error("--precision: 0 to 50")
    target = options.program[0]
    if not options.is_module and target.endswith(".py") and not os.path.isfile(target):
        parser.error("%s: no such file" % target)
    try:
        profiler = make_profiler(options)
    except ValueError as e:
        parser.error(str(e))
    except HelperError as e:
        sys.exit("pymem_bpf: %s" % e)
    owner = os.getpid()
    try:
        run_program(target, options.program[1:], profiler, options.is_module)
    finally:
        if os.getpid() == owner:
            if options.output is None:
                report(options, profiler, sys.stdout)
            else:
                with open(options.output, "a", encoding="utf-8") as stream:
                    report(options, profiler, stream)


if __name__ == "__main__":
    main()
