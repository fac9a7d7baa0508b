# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line by line: which lines of some functions ran how often, and what each changed RSS by.

The counting is in C (native/_lines.c). Here it is decided which code objects are profiled, and how
the interpreter is asked to tell of their lines: sys.monitoring's local events on 3.12 and
later, so that other code costs nothing; before, a frame evaluation function that has frames
of that code, no others, run under the C trace hook (native/_lines_eval.c).

An increment is the sum over a line's runs of what the thread that ran it changed from the
run's start to its end, callees included. So the increments of a function add up to what the
function changed, in loops too, and other threads' doings are not among them.

A function is its code object and those inside it: comprehensions, lambdas, inner functions. Where
they share a row, what they changed is on it once.

All threads are profiled, those that run already included, from their next call of a profiled
function on; or, if so wished, only the thread that enables the profiler.
"""
import array
import collections
import dis
import functools
import inspect
import linecache
import os
import sys
import threading
import types

from ._supported import has_monitoring, require

require()
try:
    from . import _lines
    if hasattr(_lines, "install") == has_monitoring():
        raise ImportError("%s is for another Python" % _lines.__file__)
except ImportError as e:
    raise ImportError("the extension module is not there for this Python (%d.%d): build it, in the "
                      "source tree: make python PYTHON=%s (%s)" % (
                          sys.version_info[0], sys.version_info[1], sys.executable, e)) from e
from . import _alone
from ._calls import wrap_calls
from ._counting import Counting
from ._wrapping import decorate, mark
from .memory import choose_metric
from .table import show_results

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import (Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Set, Tuple, Type,
                        TypeVar)

    from .code_map import CodeMap

    T = TypeVar("T")

__all__ = ["LineProfiler", "LineResult", "FunctionResult", "show_results"]

#: What ran on one line. increment_bytes: net change of RSS; mem_usage_bytes: highest RSS at the
#: end of a run.
if TYPE_CHECKING:
    LineResult = NamedTuple("LineResult", [
        ("occurrences", int), ("increment_bytes", int), ("mem_usage_bytes", int)])
else:
    LineResult = collections.namedtuple("LineResult", "occurrences increment_bytes mem_usage_bytes")

#: One profiled function. calls: 0 if it never ran in this process; cut: the helper ended meanwhile
#: (or this process was forked), so that later changes are not in it; code: its code object; lines:
#: {number: LineResult}, those of comprehensions, lambdas and functions inside it included; untold:
#: something took the trace function (up to 3.11), so that some lines were not seen to run.
if TYPE_CHECKING:
    FunctionResult = NamedTuple("FunctionResult", [
        ("filename", str), ("name", str), ("first_line", int), ("last_line", int), ("calls", int),
        ("cut", bool), ("code", types.CodeType), ("lines", Dict[int, LineResult]), ("untold", bool)])
else:
    FunctionResult = collections.namedtuple(
        "FunctionResult", "filename name first_line last_line calls cut code lines untold")


def _code_lines(code: "types.CodeType") -> "array.array[int]":
    """The line of each code unit, as array('i'); 0: none."""
    lines = array.array("i", bytes(4 * ((len(code.co_code) + 1) // 2)))
    if hasattr(code, "co_lines"):
        for start, end, line in code.co_lines():
            for unit in range(start // 2, min(end // 2, len(lines))):
                lines[unit] = line or 0
        return lines
    starts = list(dis.findlinestarts(code)) + [(len(code.co_code), 0)]
    for (start, line), (end, _) in zip(starts, starts[1:]):
        for unit in range(start // 2, end // 2):
            lines[unit] = line
    return lines


def _inner_codes(code: "types.CodeType") -> "Iterator[types.CodeType]":
    """The code objects inside a code object, all levels."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner_codes(constant)


def _functions_of(thing: "Any", seen: "Set[int] | None" = None) -> "Iterator[types.FunctionType]":
    """The Python functions that a thing stands for: a function, method, class, property,
    partial, decorated function. TypeError says what it is instead."""
    seen = seen if seen is not None else set()
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, types.FunctionType):
        inner = getattr(thing, "__wrapped__", None)
        if inner is None or inner is thing:
            yield thing
            return
        try:
            yield from _functions_of(inner, seen)
        except TypeError:
            yield thing  # a function that stands in for something without lines
    elif isinstance(thing, (staticmethod, classmethod)) or inspect.ismethod(thing):
        yield from _functions_of(thing.__func__, seen)
    elif isinstance(thing, property):
        yield from _functions_of_property(thing, seen)
    elif isinstance(thing, (functools.partial, functools.partialmethod)):
        yield from _functions_of(thing.func, seen)
    elif hasattr(functools, "cached_property") and isinstance(thing, functools.cached_property):
        yield from _functions_of(thing.func, seen)
    elif isinstance(thing, functools.singledispatchmethod):
        for part in {id(f): f for f in thing.dispatcher.registry.values()}.values():
            yield from _functions_of(part, seen)
    elif isinstance(thing, type):
        yield from _functions_of_class(thing, seen)
    elif getattr(thing, "__wrapped__", None) is not None:
        yield from _functions_of(thing.__wrapped__, seen)
    elif isinstance(getattr(type(thing), "__call__", None), types.FunctionType):
        yield from _functions_of(type(thing).__call__, seen)
    else:
        raise TypeError("%s is %s: there are no Python lines in it to profile" % (
            getattr(thing, "__qualname__", None) or repr(thing)[:60],
            "built in or written in C" if isinstance(
                thing, (types.BuiltinFunctionType, types.MethodDescriptorType,
                        types.WrapperDescriptorType, types.MethodWrapperType))
            else "a %s, no function" % type(thing).__name__))


def _functions_of_property(thing: property, seen: "Set[int]") -> "Iterator[types.FunctionType]":
    """Of those of its parts that are in Python."""
    refusals = []
    for part in (thing.fget, thing.fset, thing.fdel):
        try:
            if part is not None:
                yield from _functions_of(part, seen)
        except TypeError as e:
            refusals.append(e)
    if refusals and len(refusals) == sum(part is not None for part in (thing.fget, thing.fset, thing.fdel)):
        raise refusals[0]


def _functions_of_class(cls: type, seen: "Set[int]") -> "Iterator[types.FunctionType]":
    found = False
    for value in list(vars(cls).values()):
        try:
            for function in _functions_of(value, seen):
                if function.__module__ == cls.__module__:
                    found = True
                    yield function
        except TypeError:
            continue  # no function: an attribute of the class
    if not found:
        raise TypeError("class %s has no methods in Python to profile" % cls.__qualname__)


class _Monitoring:
    """sys.monitoring (3.12 and later): a tool ID while anything is profiled."""

    def __init__(self) -> None:
        self.api: "Any" = getattr(sys, "monitoring")  # type checkers for older versions don't know it
        self.tool: "int | None" = None
        self.codes: "Dict[int, int]" = collections.Counter()

    def _claim(self) -> None:
        monitoring = self.api
        # The names with a meaning are the program's: what it starts (cProfile, coverage, a debugger) gives
        # up if its own is taken.
        for tool in (3, 4, monitoring.OPTIMIZER_ID):
            try:
                monitoring.use_tool_id(tool, "pymem_bpf")
            except ValueError:
                continue
            self.tool = tool
            break
        else:
            raise RuntimeError("sys.monitoring has no free tool (3, 4, %d): end another profiler first"
                               % monitoring.OPTIMIZER_ID)
        events = monitoring.events
        for event, callback in (
                (events.PY_START, _lines.on_start), (events.PY_RESUME, _lines.on_resume),
                (events.PY_THROW, _lines.on_resume), (events.LINE, _lines.on_line),
                (events.PY_RETURN, _lines.on_leave), (events.PY_YIELD, _lines.on_leave),
                (events.PY_UNWIND, _lines.on_leave)):
            monitoring.register_callback(self.tool, event, callback)
        # These two are told of all code or none.
        monitoring.set_events(self.tool, events.PY_UNWIND | events.PY_THROW)

    def _release(self) -> None:
        monitoring = self.api
        monitoring.set_events(self.tool, 0)
        for event in (monitoring.events.PY_START, monitoring.events.PY_RESUME,
                      monitoring.events.PY_THROW, monitoring.events.LINE,
                      monitoring.events.PY_RETURN, monitoring.events.PY_YIELD,
                      monitoring.events.PY_UNWIND):
            monitoring.register_callback(self.tool, event, None)
        monitoring.free_tool_id(self.tool)
        self.tool = None

    def begin(self, codes: "Iterable[types.CodeType]") -> None:
        if self.tool is None:
            self._claim()
        self.add(codes)

    def add(self, codes: "Iterable[types.CodeType]") -> None:
        events = self.api.events
        mask = (events.PY_START | events.PY_RESUME | events.LINE | events.PY_RETURN
                | events.PY_YIELD)
        for code in codes:
            self.codes[code_key(code)] += 1
            self.api.set_local_events(self.tool, code, mask)

    def end(self, codes: "Iterable[types.CodeType]") -> None:
        for code in codes:
            self.codes[code_key(code)] -= 1
            if not self.codes[code_key(code)]:
                del self.codes[code_key(code)]
                self.api.set_local_events(self.tool, code, 0)
        if not self.codes:
            self._release()


def code_key(code: "types.CodeType") -> int:
    """What tells a code object (int) from others, also from those that are equal to it."""
    return id(code)


class _Evaluation:
    """The frame evaluation function (before 3.12), there while anything is profiled."""

    def __init__(self) -> None:
        self.users = 0

    def begin(self, codes: "Iterable[types.CodeType]") -> None:
        _lines.install()  # in each thread: 3.11 has reasons (native/_lines_eval.c)
        self.users += 1

    def add(self, codes: "Iterable[types.CodeType]") -> None:
        pass

    def end(self, codes: "Iterable[types.CodeType]") -> None:
        self.users -= 1
        if not self.users:
            _lines.uninstall()


_hook: "_Monitoring | _Evaluation" = _Monitoring() if has_monitoring() else _Evaluation()
_lock = threading.RLock()


def _after_fork() -> None:
    """In the child: the lock may be held by a thread that is not there."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def _record(recorder: "Any", _: str, code: "types.CodeType", inner: "List[types.CodeType]") -> None:
    """A function's lines are counted by the recorder from now on."""
    for one in [code] + inner:
        lines = _code_lines(one)
        known = [line for line in lines if line > 0] + [one.co_firstlineno]
        recorder.add(one, min(known), max(known), one.co_firstlineno, lines.tobytes(), code)


class _Counted:
    """What wrap_calls() does at each call of a function: a profiler is enabled."""

    __slots__ = ("profiler",)

    def __init__(self, profiler: "LineProfiler") -> None:
        self.profiler = profiler

    def __call__(self) -> "Counting":
        return Counting(self.profiler)


def _unpickled(cls: "Type[LineProfiler]", include_children: bool, backend: "str | None",
               max_mem: "float | None", own_thread: bool) -> "LineProfiler":
    profiler = cls(include_children=include_children, backend=backend, max_mem=max_mem, own_thread=own_thread)
    profiler._only_process = 0
    return profiler


class LineProfiler:
    """Counts, for the lines of some functions, how often they run and by what they change resident memory,
    while it is enabled.

    functions: as add_function() takes them. counter: where the amounts come from, a Counter or what has its
    `block` and `fileno()`; None: the process's shared one, opened when profiling first begins.
    include_children: amounts are of the process and its children together. backend: "rss" (None), "pss",
    "uss", or memory_profiler's names for them; PSS and USS are the process's, whichever thread changed them,
    and slow: the kernel looks through all page tables at each line. max_mem: MiB of RSS from which on the
    debugger is to stop, once. own_thread: only the thread that enables it is profiled, else all are.

    ValueError: there is no such backend, or it can't be had with children. TypeError: as add_function().
    Its methods may be called from any thread. What is unpickled from it profiles nothing: its figures would
    be seen by nobody. As a context manager it is enabled for the block (enable_by_count()).
    """

    def __init__(self, *functions: object, counter: "Any" = None, include_children: bool = False,
                 backend: "str | None" = None, max_mem: "float | None" = None,
                 own_thread: bool = False) -> None:
        self._metric = "rss" if backend == "pymem_bpf" else choose_metric(backend)
        if self._metric != "rss" and include_children:
            raise ValueError("backend %r: with children lines are measured in RSS only" % (backend,))
        self.include_children = include_children
        self.backend = backend
        self.max_mem = max_mem
        self.own_thread = own_thread
        #: The one process that it profiles in; None: any.
        self._only_process: "int | None" = None
        #: Calls so near the limit of recursion that there was no room for counting.
        self.uncounted = 0
        self.enable_count = 0
        #: Whether it was ever enabled.
        self.begun = False
        self._counter = counter
        self._shared = False  # the counter is the process's
        self._owner: "int | None" = None  # process that the recorder was made in
        self._recorder: "_lines.Recorder | None" = None
        # (name, code, inner codes), in the order they were added
        self._functions: "List[Tuple[str, types.CodeType, List[types.CodeType]]]" = []
        self._codes: "List[types.CodeType]" = []
        for function in functions:
            self.add_function(function)

    def __reduce__(self) -> "Tuple[Any, ...]":
        return _unpickled, (LineProfiler, self.include_children, self.backend, self.max_mem, self.own_thread)

    def add_function(self, function: object) -> None:
        """Profiles a function from now on: of a class all its methods, of a property its three, of what is
        decorated (__wrapped__) or a partial what is inside. TypeError: there is no function in Python in it."""
        for found in _functions_of(function):
            # Where the source is, for a module that came from an archive.
            linecache.lazycache(found.__code__.co_filename, found.__globals__)
            self.add_code(found.__code__, getattr(found, "__qualname__", found.__name__))

    @property
    def code_map(self) -> "CodeMap":
        """A CodeMap, a view of the figures as memory_profiler's programs read them, in MiB."""
        from .code_map import CodeMap
        return CodeMap(self.include_children, self.backend, self)

    def add_code(self, code: "types.CodeType", name: "str | None" = None) -> None:
        """Profiles a code object, with those inside it, from now on. name: for its table; None: its own. Once
        more is no error."""
        if any(code is known for _, known, _ in self._functions):
            return
        with _lock:
            inner = list(_inner_codes(code))
            self._functions.append((name or code.co_name, code, inner))
            new = [c for c in [code] + inner if not any(c is known for known in self._codes)]
            self._codes += new
            if self._recorder is not None:
                _record(self._recorder, *self._functions[-1])
            if self.enable_count:
                _hook.add(new)

    def asks_for_helper(self) -> bool:
        """Whether enable() would have to get the process's shared Counter first, which takes time (bool)."""
        return ((self._counter is None or self._shared) and
                (self._recorder is None or self._owner != os.getpid()) and not self.idle())

    def prepare(self) -> None:
        """Gets the counter, without counting yet: enable() need not. HelperError: there is none. OSError: of PSS
        and USS, that /proc/self/smaps_rollup can't be read."""
        if self._recorder is not None and (self._owner == os.getpid() or not self._shared):
            return
        # After a fork a counter of the child's own, from nothing.
        if self._counter is None or self._shared:
            from .counter import shared
            self._counter = shared()
            self._shared = True
        counter = self._counter
        fd = counter.fileno()
        recorder = _lines.Recorder(counter.block, -1 if fd is None else fd,
                                   self.include_children, self.own_thread, self._metric)
        if self.max_mem is not None:
            recorder.alarm(int(self.max_mem * (1 << 20)), self._debug)
        for function in self._functions:
            _record(recorder, *function)
        self._recorder, self._owner = recorder, os.getpid()

    def _debug(self, rss_bytes: int) -> None:
        """Called by the hook from the frame of a line that begins above max_mem."""
        sys.stdout.write("Current memory %.2f MiB exceeded the maximum of %.2f MiB\n"
                         "Stepping into the debugger\n" % (rss_bytes / (1 << 20), self.max_mem or 0.0))
        sys.stdout.flush()
        with _alone.remembered():
            import pdb  # only here: few need it
        pdb.Pdb().set_trace(sys._getframe(1))

    def __call__(self, function: "Any" = None, precision: "int | None" = None) -> "Any":
        """As a decorator: the function, wrapped so that it is profiled whenever it is called; of anything else
        the same kind, with the functions inside it wrapped. What can't be comes back as it is, which stderr
        says once. Without a function: itself. precision: not used; memory_profiler's takes it, too."""
        if function is None:
            return self
        return decorate(function, self._add_and_wrap)

    def _add_and_wrap(self, function: "Any") -> "Any":
        self.add_function(function)
        return self.wrap_function(function)

    def wrap_function(self, function: "Callable[..., Any]") -> "Callable[..., Any]":
        """The function in a wrapper that enables the profiler while it runs; of a coroutine or a generator, while
        it is not suspended. The function's own lines are not added. A call that can't be counted runs all the
        same, and stderr says once why."""
        if isinstance(function, types.FunctionType):
            wrapped: "Callable[..., Any]" = mark(wrap_calls(function, _Counted(self)), function)
            return wrapped

        @functools.wraps(function)
        def wrapper(*args: "Any", **kwargs: "Any") -> "Any":
            with Counting(self):
                return function(*args, **kwargs)
        return wrapper

    def runcall(self, function: "Callable[..., T]", *args: "Any", **kwargs: "Any") -> "T":
        """Calls the function, enabled meanwhile, and returns what it returns. Raises what it raises, and what
        enable() does."""
        with self:
            return function(*args, **kwargs)

    def run(self, statement: "str | types.CodeType") -> "LineProfiler":
        """Executes statements in __main__, enabled meanwhile. Returns self. Raises what they raise, SyntaxError
        too, and what enable() does."""
        main = sys.modules["__main__"].__dict__
        return self.runctx(statement, main, main)

    def runctx(self, statement: "str | types.CodeType", globals: "Dict[str, Any]",
               locals: "Mapping[str, Any]") -> "LineProfiler":
        """As run(), with these namespaces for exec()."""
        with self:
            exec(statement, globals, locals)
        return self

    def idle(self) -> bool:
        """Whether it profiles nothing in this process, since it was made for another one (bool)."""
        return self._only_process not in (None, os.getpid())

    def enable(self) -> None:
        """Counts from now on, in all threads or in this one (own_thread). Once more is no error.

        HelperError: there is no helper, or it refuses. RuntimeError: another profiler is enabled with another
        counter, or (from 3.12 on) other tools have all places in sys.monitoring. OSError: as prepare()."""
        if self.enable_count or self.idle():
            return
        with _lock:
            self.prepare()
            recorder = self._recorder
            assert recorder is not None  # or prepare() has raised
            recorder.enable()
            try:
                _hook.begin(self._codes)
            except BaseException:
                recorder.disable()
                raise
            self.enable_count = 1
            self.begun = True

    def disable(self) -> None:
        """Counts no more, however often it was enabled. Lines that run, in any thread, are counted up to now. Once
        more is no error."""
        with _lock:
            if self.enable_count:
                self.enable_count = 0
                try:
                    _hook.end(self._codes)
                finally:
                    if self._recorder is not None:
                        self._recorder.disable()

    def drop_hook(self) -> None:
        """In the child of a fork, whose recorder counts no more: the interpreter tells of lines no more."""
        with _lock:
            if self.enable_count:
                self.enable_count = 0
                _hook.end(self._codes)

    def enable_by_count(self) -> None:
        """enable(), unless that was done. As many disable_by_count() are needed. Errors: those of enable(); then
        it does not count."""
        with _lock:
            if self.enable_count:
                self.enable_count += 1
            else:
                self.enable()

    def disable_by_count(self) -> None:
        """disable(), when it was called as often as enable_by_count(). More is no error."""
        with _lock:
            if self.enable_count > 1:
                self.enable_count -= 1
            else:
                self.disable()

    def __enter__(self) -> "LineProfiler":
        self.enable_by_count()
        return self

    def __exit__(self, *_: object) -> None:
        self.disable_by_count()

    @property
    def unread(self) -> int:
        """How often (int) PSS or USS could not be read, and was taken to be what it was before."""
        return 0 if self._recorder is None else self._recorder.unread

    @property
    def deep(self) -> int:
        """How often (int) counting stopped in a thread because its calls had used half of its C stack; always 0
        from 3.12 on. Other threads are counted on."""
        return 0 if self._recorder is None else self._recorder.deep

    @property
    def deep_threads(self) -> "Tuple[int, ...]":
        """The native IDs (threading.get_native_id()) of the first eight threads that `deep` is about."""
        return () if self._recorder is None else self._recorder.deep_threads

    @property
    def blind(self) -> bool:
        """Whether other threads may have made calls that were not counted while `deep` stopped counting in
        one (3.11): threads that began meanwhile, or that a debugger or coverage traced."""
        return self._recorder is not None and self._recorder.blind

    @property
    def cut(self) -> bool:
        """Whether the helper ended, or this process was forked, while this was enabled (bool): later changes are
        not in the figures."""
        return self._recorder is not None and self._recorder.cut

    @property
    def forked(self) -> bool:
        """Whether the figures are those of a process that this one was forked from (bool)."""
        return self._recorder is not None and self._recorder.forked

    @property
    def missed(self) -> int:
        """How often (int) a thread found no room among those that the kernel counts one by one: if not 0, the
        increments of some threads may lack."""
        return 0 if self._recorder is None else self._recorder.missed

    def results(self) -> "List[FunctionResult]":
        """A FunctionResult for each function, in the order they were added; amounts in bytes. Also while it is
        enabled: lines that have not ended are not in it. From any thread."""
        return [self._result(*function) for function in self._functions]

    def _result(self, name: str, code: "types.CodeType",
                inner: "List[types.CodeType]") -> "FunctionResult":
        calls, untold = 0, 0
        rows: "Dict[int, LineResult]" = {}
        if self._recorder is not None:
            calls = self._recorder.results(code)[0]
            for one in [code] + inner:
                _, lost, counted = self._recorder.results(one, code)
                untold += lost
                for number, (runs, change, usage) in counted.items():
                    row = rows.get(number, LineResult(0, 0, 0))
                    rows[number] = LineResult(row.occurrences + runs, row.increment_bytes + change,
                                              max(row.mem_usage_bytes, usage))
        lines = [line for c in [code] + inner for line in _code_lines(c) if line > 0]
        return FunctionResult(code.co_filename, name, code.co_firstlineno,
                              max(lines + [code.co_firstlineno]), calls, self.cut, code, rows, bool(untold))
