# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Wraps a function, so that something is done around each of its calls.

A decorator that counts during calls needs such a wrapper. The program should see as little of it as possible.
The wrapper is one frame, of the same kind (function, generator, coroutine, asynchronous generator) and with
the same parameters. So wrong arguments are refused by the call itself, and inspect finds the same signature.
In tracebacks and warnings its frame is on the line where the function begins. What is sent or thrown into a
generator goes to the function's own, and its answer comes out. While it is suspended, the frame holds neither
the arguments nor what was yielded: pymem_bpf_box is emptied as it is read.

begin() is called when a call begins to run. It gives a context manager with a method end(). The context is
entered while the function runs, and left while it is suspended. end() is called when the call is over.
"""
import ast
import functools
import inspect
import keyword
import sys
import types

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Generator, List, Tuple

__all__ = ["kind_of", "wrap_calls"]

_PREFIX = "pymem_bpf_"  # of all names in the templates: a parameter may have any other name
_TEMPLATE = """\
def make(pymem_bpf_begin, pymem_bpf_function, pymem_bpf_run, pymem_bpf_first, pymem_bpf_stop,
         pymem_bpf_stop_async, pymem_bpf_any):
%s
    return wrapper
"""
_VALUE = """\
    def wrapper(%(parameters)s):
        pymem_bpf_call = pymem_bpf_begin()
        try:
            with pymem_bpf_call:
                return pymem_bpf_function(%(arguments)s)
        finally:
            pymem_bpf_call.end()
"""
_COROUTINE = """\
    async def wrapper(%(parameters)s):
        pymem_bpf_call = pymem_bpf_begin()
        try:
            pymem_bpf_inner = pymem_bpf_function(%(arguments)s)
            %(forget)s
            return await pymem_bpf_run(pymem_bpf_call, pymem_bpf_inner)
        finally:
            pymem_bpf_call.end()
"""
_GENERATOR = """\
    def wrapper(%(parameters)s):
        pymem_bpf_call = pymem_bpf_begin()
        pymem_bpf_inner = pymem_bpf_function(%(arguments)s)
        %(forget)s
        pymem_bpf_act, pymem_bpf_box = pymem_bpf_inner.send, [None]
        try:
            while True:
                try:
                    with pymem_bpf_call:
                        pymem_bpf_box.append(pymem_bpf_act(pymem_bpf_box.pop()))
                except pymem_bpf_stop as pymem_bpf_end:
                    return pymem_bpf_end.value
                try:
                    pymem_bpf_box.append((yield pymem_bpf_box.pop()))
                    pymem_bpf_act = pymem_bpf_inner.send
                except pymem_bpf_any as pymem_bpf_thrown:
                    pymem_bpf_box.append(pymem_bpf_thrown)
                    pymem_bpf_act = pymem_bpf_inner.throw
        finally:
            pymem_bpf_box.clear()
            pymem_bpf_call.end()
"""
_ASYNC_GENERATOR = """\
    async def wrapper(%(parameters)s):
        pymem_bpf_call = pymem_bpf_begin()
        pymem_bpf_inner = pymem_bpf_function(%(arguments)s)
        %(forget)s
        pymem_bpf_box = [pymem_bpf_first(pymem_bpf_inner)]
        try:
            while True:
                try:
                    pymem_bpf_box.append(await pymem_bpf_run(pymem_bpf_call, pymem_bpf_box.pop()))
                except pymem_bpf_stop_async:
                    return
                try:
                    pymem_bpf_box.append(pymem_bpf_inner.asend((yield pymem_bpf_box.pop())))
                except pymem_bpf_any as pymem_bpf_thrown:
                    pymem_bpf_box.append(pymem_bpf_inner.athrow(pymem_bpf_thrown))
        finally:
            pymem_bpf_box.clear()
            pymem_bpf_call.end()
"""
_BODIES = {"value": _VALUE, "coroutine": _COROUTINE, "generator": _GENERATOR,
           "async generator": _ASYNC_GENERATOR}


def kind_of(function: "Callable[..., Any]") -> str:
    """What calling it gives: "async generator", "coroutine", "generator", or "value". Its code
    decides: a function that is only marked as a coroutine function runs when it is called."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return ("async generator" if flags & inspect.CO_ASYNC_GENERATOR else
            "coroutine" if flags & inspect.CO_COROUTINE else
            "generator" if flags & inspect.CO_GENERATOR else "value")


@types.coroutine
def _run(call: "Any", inner: "Any") -> "Generator[Any, Any, Any]":
    """Awaits a coroutine, or a step of an asynchronous generator, as part of a call."""
    act: "Callable[[Any], Any]" = inner.send
    value: "Any" = None
    try:
        while True:
            try:
                with call:
                    value = act(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield value
                act = inner.send
            except BaseException as e:
                act, value = inner.throw, e
    finally:
        value = None  # it may be an exception, whose traceback refers to this frame


def _first(generator: "Any") -> "Any":
    """The first step of an asynchronous generator of which the event loop must not know: the loop knows the
    wrapper's, and would close both at its end."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _signature(code: types.CodeType) -> "Tuple[str, str, List[str]]":
    """(parameters, arguments, names of the parameters) of a function that passes on what one with this code
    takes."""
    count, keywords = code.co_argcount, code.co_kwonlyargcount
    names = list(code.co_varnames[:count + keywords + bool(code.co_flags & inspect.CO_VARARGS)
                                  + bool(code.co_flags & inspect.CO_VARKEYWORDS)])
    if not all(name.isidentifier() and not keyword.iskeyword(name) and not name.startswith(_PREFIX)
               for name in names):
        return "*args, **kwargs", "*args, **kwargs", ["args", "kwargs"]  # no source has such a name
    positional, only = names[:count], names[count:count + keywords]
    rest = names[count + keywords:]
    parameters = positional[:]
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    arguments = positional[:]
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append("*" + rest[0])
        arguments.append("*" + rest.pop(0))
    elif only:
        parameters.append("*")
    parameters += only
    arguments += ["%s=%s" % (name, name) for name in only]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append("**" + rest[0])
        arguments.append("**" + rest[0])
    return ", ".join(parameters), ", ".join(arguments), names


def _compiled(function: types.FunctionType) -> types.CodeType:
    """The code object of a maker of wrappers."""
    parameters, arguments, names = _signature(function.__code__)
    forget = "del " + ", ".join(names) if names else "pass"
    tree = ast.parse(_TEMPLATE % _BODIES[kind_of(function)]
                     % {"parameters": parameters, "arguments": arguments, "forget": forget})
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = function.__code__.co_firstlineno
            node.col_offset = node.end_col_offset = 0
    code: types.CodeType = compile(tree, function.__code__.co_filename, "exec", dont_inherit=True)
    return code


def wrap_calls(function: "Any", begin: "Callable[[], Any]") -> "Any":
    """A wrapper of a Python function that calls begin() (see above) at each call. What pickles the wrapper by
    value pickles `begin`, too."""
    made: "Dict[str, Any]" = {}
    exec(_compiled(function), made)
    maker = made["make"](begin, function, _run, _first, StopIteration, StopAsyncIteration, BaseException)
    names = {name: getattr(function.__code__, name) for name in ("co_name", "co_qualname")
             if hasattr(function.__code__, name)}
    code = maker.__code__.replace(**names)
    # With the globals of the function's module: code that looks for the module of its caller finds that one.
    wrapper = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__,
                                 maker.__closure__)
    wrapper.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(wrapper, function)
