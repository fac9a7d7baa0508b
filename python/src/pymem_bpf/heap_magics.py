# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""%memheap: who keeps the memory of this process, or what a statement leaves behind in it."""
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope

from ._helper import HelperError
from ._options import OptionError, split_options
from ._statement import Statement, caller_scope
from .heaps import HeapReport, HeapWatch, heap

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict

NUMBER_LIMIT = 1e9


def _number(options: "Dict[str, Any]", letter: str, kind: "Any", default: "Any") -> "Any":
    """The last value of an option as a number > 0."""
    if letter not in options:
        return default
    try:
        value = kind(options[letter][-1])
        if not 0 < value <= NUMBER_LIMIT:
            raise ValueError
    except ValueError:
        raise UsageError("-%s takes a number, more than 0, not %r" % (letter, options[letter][-1])) from None
    return value


@magics_class
class HeapMagics(Magics):
    """Registers %memheap and %%memheap."""

    @line_cell_magic
    @needs_local_scope
    def memheap(self, line: str = "", cell: "str | None" = None,
                local_ns: "Dict[str, Any] | None" = None) -> "HeapReport | None":
        """Tells who keeps the memory of this process.

          %memheap [options]
          %memheap [options] statement
          %%memheap [options]
          statements

        With a statement: what has come by its end and stayed, by holder and type.

        -d SEC  without a statement: look twice, so far apart, and tell what came in between and stayed
        -p PID  another process, which you may look at; without a statement
        -P      stop the process while its memory is copied

        The result is a HeapReport, which shows itself.
        """
        try:
            options, statement = split_options(line, "d:p:P")
        except OptionError as e:
            raise UsageError(str(e)) from None
        seconds, pid = _number(options, "d", float, 0), _number(options, "p", int, None)
        if cell is not None:
            statement += "\n" + cell
        try:
            if not statement.strip():
                return heap(pid, seconds, "P" in options)
            if seconds or pid is not None:
                raise UsageError("-%s is for looks without a statement" % ("d" if seconds else "p"))
            return self._around(statement, caller_scope(self.shell, local_ns), "P" in options)
        except HelperError as e:
            raise UsageError(str(e)) from None

    def _around(self, text: str, scope: "Dict[str, Any] | None", pause: bool) -> "HeapReport | None":
        statement = Statement(self.shell, text, scope).bind()
        with HeapWatch(pause=pause) as watch:
            statement.run()
        return watch.report


def load_ipython_extension(shell: "Any") -> None:
    """As that of pymem_bpf, for %memheap alone."""
    shell.register_magics(HeapMagics)
