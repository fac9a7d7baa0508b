# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""%memplot: resident memory while a statement runs, as a plot. %memflame: the flame graph of what it needed."""
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope
from IPython.display import display

from ._helper import HelperError
from ._options import OptionError, split_options
from ._statement import Statement, caller_scope
from .flames import FlameGraph, FlameWatch
from .memplots import INTERVAL_SECONDS, MemoryPlot, PlotWatch

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple

SHORTEST_SECONDS, LONGEST_SECONDS = 1e-3, 3600


@magics_class
class PlotMagics(Magics):
    """Registers %memplot, %%memplot, %memflame and %%memflame."""

    def _parsed(self, line: str, cell: "str | None", spec: str) -> "Tuple[Dict[str, List[Any]], str]":
        try:
            options, text = split_options(line, spec)
        except OptionError as e:
            raise UsageError(str(e)) from None
        if cell is not None:
            text += "\n" + cell
        if not text.strip():
            raise UsageError("nothing to run")
        return options, text

    def _space(self, scope: "Dict[str, Any] | None") -> "Dict[str, Any]":
        """The names that a statement sees."""
        return dict(getattr(self.shell, "user_global_ns", {}), **dict(self.shell.user_ns, **(scope or {})))

    def _find(self, text: str, space: "Dict[str, Any]") -> "Any":
        try:
            return eval(text, space)
        except Exception as e:
            raise UsageError("could not find function %r: %s: %s" % (text, type(e).__name__, e)) from None

    @line_cell_magic
    @needs_local_scope
    def memplot(self, line: str = "", cell: "str | None" = None,
                local_ns: "Dict[str, Any] | None" = None) -> MemoryPlot:
        """Plots resident memory while a statement runs, and marks the lines by which it grew.

          %memplot [options] statement
          %%memplot [options] [statement]
          statements

        The lines are those of the statement and of functions of yours that it names. They need `pymem-bpf serve`, or
        root. Without it a note says so, and only functions named with -f are counted, approximately.

        -f FUNC  a function, method or class besides, or any expression that gives one; may be repeated
        -n       no lines: the code runs as fast as ever
        -e       exact figures of lines, or none: without a helper it is an error
        -i SEC   seconds between samples (0.01)
        -o FILE  write the plot to a file, too, as SVG

        The result is a MemoryPlot, which shows itself. If the statement raises, the plot is shown as far as that.
        """
        options, text = self._parsed(line, cell, "f:nei:o:")
        if "n" in options and ("f" in options or "e" in options):
            raise UsageError("-n is for a plot without lines: without -%s" % ("f" if "f" in options else "e"))
        scope = caller_scope(self.shell, local_ns)
        space = self._space(scope)
        functions = [self._find(named, space) for named in options.get("f", [])]
        statement = Statement(self.shell, text, scope).bind()
        what = "the statement" if cell is None else "the cell"
        try:
            watch = PlotWatch(*functions, lines="n" not in options, exact=True if "e" in options else None,
                              interval=_seconds(options), what=what)
            watch.add_code(statement.code, space, what, _blank_lines(text))
            watch.__enter__()
        except (RuntimeError, TypeError, ImportError, OSError) as e:  # HelperError is a RuntimeError
            raise UsageError(str(e)) from None
        try:
            with _Entered(watch):
                statement.run()
        except BaseException:
            if watch.plot is not None:
                display(watch.plot)
            raise
        finally:
            if watch.plot is not None and "o" in options:
                _keep(options["o"][-1], watch.plot.save)
        assert watch.plot is not None  # or the block has raised
        return watch.plot

    @line_cell_magic
    @needs_local_scope
    def memflame(self, line: str = "", cell: "str | None" = None,
                 local_ns: "Dict[str, Any] | None" = None) -> FlameGraph:
        """Runs a statement while pymem-bpf profiles this process, and shows the flame graph: which stacks needed memory.

          %memflame [options] statement
          %%memflame [options] [statement]
          statements

        pymem-bpf needs root: as another user it is started by `sudo -n`, which must not ask for a password.

        -o FILE  write the page to a file, too: for a browser, and if it is too large for a notebook

        The result is a FlameGraph, which shows itself. If the statement raises, it is shown as far as that.
        """
        options, text = self._parsed(line, cell, "o:")
        statement = Statement(self.shell, text, caller_scope(self.shell, local_ns)).bind()
        try:
            watch = FlameWatch()
            watch.__enter__()
        except HelperError as e:
            raise UsageError(str(e)) from None
        try:
            with _Entered(watch):
                statement.run()
        except HelperError as e:
            if watch.graph is None and watch.failed is e:
                raise UsageError(str(e)) from None
            raise
        except BaseException:
            if watch.graph is not None:
                display(watch.graph)
            raise
        finally:
            if watch.graph is not None and "o" in options:
                _keep(options["o"][-1], watch.graph.save)
            elif watch.graph is not None and watch.graph.is_large:
                watch.graph.save_aside()
        assert watch.graph is not None  # or the block has raised
        return watch.graph


class _Entered:
    """A context manager that was entered already, so that what its __enter__() raises is told from what the block
    raises."""

    def __init__(self, entered: "Any") -> None:
        self.entered = entered

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        self.entered.__exit__(*raised)


def _blank_lines(text: str) -> int:
    """How many there are at its start. IPython takes them away, and a cell's first line is one if it has only options."""
    return text[:len(text) - len(text.lstrip())].count("\n")


def _keep(path: str, save: "Callable[[str], None]") -> None:
    """Saves a result, and says so. If that fails it is shown all the same."""
    try:
        save(path)
        print("*** saved to %s" % path)
    except OSError as e:
        print("*** %s can't be written: %s" % (path, e.strerror or e))


def _seconds(options: "Dict[str, List[Any]]") -> float:
    if "i" not in options:
        return INTERVAL_SECONDS
    text = options["i"][-1]
    try:
        value = float(text)
        if not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
            raise ValueError
    except ValueError:
        raise UsageError("-i takes a number of seconds, from %g to %g, not %r"
                         % (SHORTEST_SECONDS, LONGEST_SECONDS, text)) from None
    return value


def load_ipython_extension(shell: "Any") -> None:
    """As that of pymem_bpf, for %memplot and %memflame alone."""
    shell.register_magics(PlotMagics)
