# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A function around another one, that something is done around each of its calls.

A decorator that counts for the time of a call can't do without one. The program shall see as little of it
as can be: it is one frame, of the same kind (function, generator, coroutine, asynchronous generator) and with
the same parameters, so that what does not fit is refused by the call itself, and inspect finds the same.
To tracebacks and warnings its frame stands where the function begins. What is sent or thrown into a
generator arrives in the function's own, and what that answers comes out. While it is suspended, the frame
holds neither the arguments nor what was yielded: pymem_bpf_box is emptied as it is read.

What is done: begin(), called when a call begins to run, gives an object that is a context, entered for as
long as the function runs and is not suspended, and whose end() is called when the call is over.
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

_PREFIX = "pymem_bpf_"  # of the names in here: a parameter's may be any other
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
    """What calling it gives: "async generator", "coroutine", "generator", or "value". By its code: a
    function that is only marked as a coroutine function runs when it is called."""
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
        value = None  # an exception, whose traceback leads here


def _first(generator: "Any") -> "Any":
    """The first step of an asynchronous generator that the event loop shall not know of: it knows the
    one around it, and would close both at its end."""
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
    """The function, with begin() (see above) for each call. function: in Python. begin: what pickles the
    wrapper by value pickles it, too."""
    made: "Dict[str, Any]" = {}
    exec(_compiled(function), made)
    maker = made["make"](begin, function, _run, _first, StopIteration, StopAsyncIteration, BaseException)
    names = {name: getattr(function.__code__, name) for name in ("co_name", "co_qualname")
             if hasattr(function.__code__, name)}
    code = maker.__code__.replace(**names)
    # In the function's own module: who looks for its caller there finds that.
    wrapper = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__,
                                 maker.__closure__)
    wrapper.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(wrapper, function)
