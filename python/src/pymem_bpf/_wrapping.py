# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What @profile gives back: a thing of the same kind, with the functions inside it profiled.

The program must not see a difference: a property stays one, a class stays the same class, a cache keeps
its cache_info(). If the functions inside can't be exchanged without a difference, the thing is given back
as it is, unprofiled, and stderr says so once.

decorate() knows the kinds of things. Its caller says what is done to a function.
"""
import abc
import contextlib
import copy
import functools
import inspect
import sys
import types
import weakref

from ._counting import note_once
from ._supported import require

require()

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple, TypeVar

    Wrap = Callable[[Any], Any]
    T = TypeVar("T")

__all__ = ["decorate", "mark", "note_refused", "own_methods"]

_ours: "weakref.WeakSet[Any]" = weakref.WeakSet()  # wrappers that were made here: not to be wrapped again


class Refused(Exception):
    """The thing stays as it is; says why."""


def decorate(thing: "Any", wrap: "Wrap") -> "Any":
    """The thing with each Python function `f` inside it replaced by wrap(f). wrap: may raise TypeError,
    whose text says why the function can't be profiled."""
    try:
        return _inside(thing, wrap)
    except Exception as e:  # the program's own code may run, in a metaclass or a property of a thing
        note_refused(thing, e)
        return thing


def note_refused(thing: object, reason: object) -> None:
    """Says once why a thing stays unprofiled."""
    note_once("@profile of %s" % _name(thing), "refused", "%s; it is left as it is, unprofiled" % reason)


def mark(wrapper: "Any", function: "Any") -> "Any":
    """Notes the wrapper of a function as ours, and makes it awaitable if the function is (types.coroutine)."""
    if function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE:
        wrapper = types.coroutine(wrapper)
    _ours.add(wrapper)
    return wrapper


def _name(thing: object) -> str:
    try:
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    except Exception:
        name = None
    return name if isinstance(name, str) else "a " + type(thing).__qualname__


def _inside(thing: "Any", wrap: "Wrap") -> "Any":
    exchange = _KINDS.get(type(thing))
    if exchange is None and issubclass(type(thing), type):
        exchange = _of_class
    if exchange is not None:
        return exchange(thing, wrap)
    if callable(thing) and hasattr(type(thing), "__call__") and isinstance(
            inspect.getattr_static(type(thing), "__call__", None), types.FunctionType):
        raise Refused("it is an object with __call__; decorate that method in %s"
                      % type(thing).__qualname__)
    inner = getattr(thing, "__wrapped__", None) or getattr(thing, "func", None)
    if isinstance(inner, types.FunctionType):
        raise Refused("what a %s does with its function is not known; put @profile below it, on the "
                      "function itself" % type(thing).__qualname__)
    raise Refused("it is %s: there are no Python lines in it to profile" % (
        "built in or written in C" if isinstance(thing, _BUILT_IN) else
        "a %s, no function" % type(thing).__qualname__))


_BUILT_IN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
             types.MethodWrapperType, types.ClassMethodDescriptorType)


def _of_function(function: "Any", wrap: "Wrap") -> "Any":
    helper = _HELPERS.get(function.__code__)
    inner = getattr(function, "__wrapped__", None)
    if helper is None or not isinstance(inner, types.FunctionType):
        return wrap(function)
    # A context manager's block runs when its function has returned: its generator is to be profiled.
    inner = wrap(inner)
    new = functools.update_wrapper(helper(inner), function)
    new.__wrapped__ = inner
    return new


def _helpers() -> "Dict[types.CodeType, Callable[..., Any]]":
    """{code of the functions that a decorator makes: the decorator}"""
    def function() -> "Any":
        yield
    found = [getattr(contextlib, name, None) for name in ("contextmanager", "asynccontextmanager")]
    return {decorator(function).__code__: decorator for decorator in found if decorator}


def _part(thing: "Any", wrap: "Wrap") -> "Any":
    """The thing inside another; what has been profiled already stays."""
    return thing if isinstance(thing, types.FunctionType) and thing in _ours else _inside(thing, wrap)


def _of_method(method: "Any", wrap: "Wrap") -> "Any":
    return types.MethodType(_part(method.__func__, wrap), method.__self__)


def _with_attributes(new: "T", old: object, but: "Tuple[str, ...]" = ("__wrapped__",)) -> "T":
    """Copies the attributes of the old thing to the new one, which it returns."""
    for name, value in getattr(old, "__dict__", {}).items():
        if name not in but:
            new.__dict__[name] = value
    return new


def _of_static(thing: "Any", wrap: "Wrap") -> "Any":
    return _with_attributes(type(thing)(_part(thing.__func__, wrap)), thing)


def _of_property(thing: "Any", wrap: "Wrap") -> "Any":
    parts, refusal = [], None
    for part in (thing.fget, thing.fset, thing.fdel):
        try:
            parts.append(part if part is None else _part(part, wrap))
        except (Refused, TypeError) as e:
            parts.append(part)
            refusal = e
    if refusal is not None and all(a is b for a, b in zip(parts, (thing.fget, thing.fset, thing.fdel))):
        raise refusal
    # A property with the docstring of its getter gets that of the new getter.
    own = thing.__doc__ if thing.__doc__ != getattr(thing.fget, "__doc__", None) else None
    return type(thing)(*parts, doc=own)


def _of_cached_property(thing: "Any", wrap: "Wrap") -> "Any":
    func = _part(thing.func, wrap)
    new = copy.copy(thing)
    new.func = func
    return new


def _of_partial_method(thing: "Any", wrap: "Wrap") -> "Any":
    new = functools.partialmethod(_part(thing.func, wrap), *thing.args, **thing.keywords)
    return _with_attributes(new, thing, ("func",))


def _of_single_dispatch_method(thing: "Any", wrap: "Wrap") -> "Any":
    new = functools.singledispatchmethod(_part(thing.func, wrap))
    for kind, function in thing.dispatcher.registry.items():
        if function is not thing.func:
            new.dispatcher.register(kind, function)
    return _with_attributes(new, thing, ("func", "dispatcher"))


def _found_by_name(function: object) -> bool:
    """Would pickle find the function where its name says?"""
    found: object = sys.modules.get(str(getattr(function, "__module__", None)))
    for name in getattr(function, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is function


def _of_partial(thing: "Any", wrap: "Wrap") -> "Any":
    if _found_by_name(thing.func):
        raise Refused("pickle finds its function by name; put @profile on %s itself" % _name(thing.func))
    new = functools.partial(_part(thing.func, wrap), *thing.args, **thing.keywords)
    return _with_attributes(new, thing)


def _of_cache(thing: "Any", wrap: "Wrap") -> "Any":
    if not hasattr(thing, "cache_parameters"):  # 3.8
        raise Refused("how the cache was made is not known; put @profile below @lru_cache")
    if any(thing.cache_info()[:2]):
        raise Refused("the cache is in use; put @profile below @lru_cache")
    new = functools.lru_cache(**thing.cache_parameters())(_part(thing.__wrapped__, wrap))
    return _with_attributes(new, thing)


def own_methods(cls: type) -> "List[Tuple[str, Any]]":
    """[(name, value)] of attributes with functions that the class's body defines, not of those that it refers
    to. Refused: there are none."""
    found = []
    for name, value in list(vars(cls).items()):
        # Its type alone decides: a proxy for another thing would run code of the program's.
        if type(value) in _KINDS and _defined_in(cls, value):
            found.append((name, value))
    if not found:
        raise Refused("class %s has no methods in Python to profile" % cls.__qualname__)
    return found


def _of_class(cls: "Any", wrap: "Wrap") -> "Any":
    """The same class, its own methods exchanged."""
    made: "Dict[int, Any]" = {}
    found = False
    for name, value in own_methods(cls):
        try:
            new = made.get(id(value))
            if new is None:
                new = made[id(value)] = _part(value, wrap)
            if new is not value:
                type.__setattr__(cls, name, new)
                _named(new, cls, name)
            found = True
        except Exception:
            continue  # an attribute that stays
    if not found:
        raise Refused("class %s has no methods in Python to profile" % cls.__qualname__)
    return cls


def _named(new: object, cls: type, name: str) -> None:
    """Gives a property its name again, which it takes from the class body (3.13 on)."""
    if isinstance(new, property) and hasattr(new, "__set_name__"):
        new.__set_name__(cls, name)


def _defined_in(cls: type, value: object) -> bool:
    """Does a method, in whatever descriptor, come from the body of the class?"""
    try:
        for name in ("__func__", "fget", "func", "__wrapped__"):
            inner = inspect.getattr_static(value, name, None)
            if inner is not None and not isinstance(value, types.FunctionType):
                return _defined_in(cls, getattr(value, name))
        return (getattr(value, "__module__", None) == cls.__module__
                and str(getattr(value, "__qualname__", "")).startswith(cls.__qualname__ + "."))
    except Exception:  # the program's own, from a name that is no string
        return False


_HELPERS = _helpers()
_KINDS = {
    types.FunctionType: _of_function,
    types.MethodType: _of_method,
    staticmethod: _of_static,
    classmethod: _of_static,
    abc.abstractstaticmethod: _of_static,
    abc.abstractclassmethod: _of_static,
    property: _of_property,
    abc.abstractproperty: _of_property,
    functools.cached_property: _of_cached_property,
    functools.partialmethod: _of_partial_method,
    functools.singledispatchmethod: _of_single_dispatch_method,
    functools.partial: _of_partial,
    type(functools.lru_cache(None)(len)): _of_cache,
}
