# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which Python functions a thing stands for, and what lines their code has."""
import array
import dis
import functools
import inspect
import types

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Iterator, Set

__all__ = ["code_lines", "functions_of", "inner_codes"]


def code_lines(code: "types.CodeType") -> "array.array[int]":
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


def inner_codes(code: "types.CodeType") -> "Iterator[types.CodeType]":
    """The code objects inside a code object, all levels."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from inner_codes(constant)


def functions_of(thing: "Any", seen: "Set[int] | None" = None) -> "Iterator[types.FunctionType]":
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
            yield from functions_of(inner, seen)
        except TypeError:
            yield thing  # a function that stands in for something without lines
    elif isinstance(thing, (staticmethod, classmethod)) or inspect.ismethod(thing):
        yield from functions_of(thing.__func__, seen)
    elif isinstance(thing, property):
        yield from _functions_of_property(thing, seen)
    elif isinstance(thing, (functools.partial, functools.partialmethod)):
        yield from functions_of(thing.func, seen)
    elif hasattr(functools, "cached_property") and isinstance(thing, functools.cached_property):
        yield from functions_of(thing.func, seen)
    elif isinstance(thing, functools.singledispatchmethod):
        for part in {id(f): f for f in thing.dispatcher.registry.values()}.values():
            yield from functions_of(part, seen)
    elif isinstance(thing, type):
        yield from _functions_of_class(thing, seen)
    elif getattr(thing, "__wrapped__", None) is not None:
        yield from functions_of(thing.__wrapped__, seen)
    elif isinstance(getattr(type(thing), "__call__", None), types.FunctionType):
        yield from functions_of(type(thing).__call__, seen)
    else:
        raise TypeError("%s is %s: there are no Python lines in it to profile" % (
            getattr(thing, "__qualname__", None) or repr(thing)[:60],
            "built in or written in C" if isinstance(
                thing, (types.BuiltinFunctionType, types.MethodDescriptorType,
                        types.WrapperDescriptorType, types.MethodWrapperType))
            else "a %s, no function" % type(thing).__name__))


def _functions_of_property(thing: property, seen: "Set[int]") -> "Iterator[types.FunctionType]":
    """The functions of its parts. TypeError: no part is in Python."""
    refusals = []
    for part in (thing.fget, thing.fset, thing.fdel):
        try:
            if part is not None:
                yield from functions_of(part, seen)
        except TypeError as e:
            refusals.append(e)
    if refusals and len(refusals) == sum(part is not None for part in (thing.fget, thing.fset, thing.fdel)):
        raise refusals[0]


def _functions_of_class(cls: type, seen: "Set[int]") -> "Iterator[types.FunctionType]":
    found = False
    for value in list(vars(cls).values()):
        try:
            for function in functions_of(value, seen):
                if function.__module__ == cls.__module__:
                    found = True
                    yield function
        except TypeError:
            continue  # no function: an attribute of the class
    if not found:
        raise TypeError("class %s has no methods in Python to profile" % cls.__qualname__)
