# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which functions code names, and those name in turn: whose lines are worth a look when it runs.

By names alone: what code imports or is handed while it runs is not found. Nothing of the values runs: of those that do
as they like with attributes (mocks, lazy proxies) none is looked at.

PYTEST_DONT_REWRITE
"""
import functools
import types

from ._functions import inner_codes

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from types import CodeType, FunctionType
    from typing import Any, Callable, Dict, Iterator, List, Tuple

__all__ = ["named"]

FUNCTIONS_LIMIT, DEPTH_LIMIT, WRAPPERS_LIMIT = 200, 3, 20
_CACHED = type(functools.lru_cache(maxsize=1)(lambda: None))


def _function_of(value: "Any") -> "FunctionType | None":
    """The function of a value, or of what it wraps. The type decides: of values that do as they like with attributes
    (mocks, lazy proxies) none is looked at."""
    found: "FunctionType | None" = None
    for _ in range(WRAPPERS_LIMIT):
        kind = type(value)
        if kind is types.FunctionType:
            found, value = value, vars(value).get("__wrapped__")
        elif kind in (staticmethod, classmethod, types.MethodType):
            value = value.__func__
        elif kind is functools.partial:
            value = value.func
        elif kind is _CACHED:
            value = value.__wrapped__
        else:
            break
    return found


def _functions_in(value: "Any") -> "Iterator[FunctionType]":
    values = list(type.__getattribute__(value, "__dict__").values()) if issubclass(type(value), type) else []
    for one in [value] + values:
        function = _function_of(one)
        if function is not None:
            yield function


def _members(value: "Any", names: "List[str]", of_instances: bool) -> "List[Any]":
    """What a module has of these names; else the value itself, and with of_instances what its class has of them."""
    if not issubclass(type(value), types.ModuleType):
        space = type.__getattribute__(type(value), "__dict__") if of_instances else {}
        return [value] + [space[name] for name in names if name in space]
    found = object.__getattribute__(value, "__dict__")  # past a module's own way, by which it would load itself
    return [found.get(name) for name in names]


def named(code: "CodeType", space: "Dict[str, Any]",
          is_wanted: "Callable[[CodeType], bool]", of_instances: bool = False) -> "List[Tuple[FunctionType, int]]":
    """[(function, how many names away from `code`, 1 or more)] of the functions and classes that code names, and those
    name in turn. space: its global names. is_wanted: tells of a function's code whether it is to be looked at.
    of_instances: methods, too, that it names of the class of an object that it names."""
    found: "List[Tuple[FunctionType, int]]" = []
    codes = {code}
    wait = [(code, space, 0)]
    while wait and len(found) < FUNCTIONS_LIMIT:
        one, names_of, depth = wait.pop(0)
        if depth == DEPTH_LIMIT:
            continue
        names = {name for each in [one] + list(inner_codes(one)) for name in each.co_names}
        for name in sorted(names):
            for member in _members(names_of.get(name), sorted(names), of_instances):
                for function in _functions_in(member):
                    inner = function.__code__
                    if inner not in codes and is_wanted(inner) and len(found) < FUNCTIONS_LIMIT:
                        codes.add(inner)
                        found.append((function, depth + 1))
                        wait.append((inner, function.__globals__, depth + 1))
    return found
