# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of @profile (lines_checks.py): whatever it decorates, the program sees no difference. Each thing is
made twice, plain and decorated: by the decorator of the package, by the builtin of `python -m pymem_bpf`,
by a LineProfiler, and by mprof's."""
import abc
import asyncio
import contextlib
import functools
import inspect
import io
import pickle
import sys
import types

from lines_block import Block
from lines_checks_threads import with_shared_counter
from lines_common import equal
from pymem_bpf import _counting
from pymem_bpf.decorator import profile
from pymem_bpf.line_profiler import LineProfiler
from pymem_bpf.timestamps import TimeStamper


@contextlib.contextmanager
def stderr_read():
    """What is written to stderr meanwhile; what was said before may be said again."""
    before, text = sys.stderr, io.StringIO()
    _counting._said.clear()
    sys.stderr = text
    try:
        yield text
    finally:
        sys.stderr = before


class Shown:
    """A decorator, and how many functions it has profiled calls of since it was made."""

    def __init__(self, name, block):
        self.name, self.text = name, io.StringIO()
        self.profiler = LineProfiler(counter=block) if name == "builtin" else None
        self.stamper = TimeStamper() if name == "mprof" else None

    def __call__(self, thing):
        if self.name == "package":
            return profile(thing, stream=self.text)
        return (self.profiler or self.stamper)(thing)

    def count(self):
        if self.profiler:
            return sum(result.calls > 0 for result in self.profiler.results())
        if self.stamper:
            return len({record[0] for record in self.stamper.records})
        tables = self.text.getvalue().split("Filename: ")[1:]
        return len({table.splitlines()[4].split()[0] for table in tables})  # by their first lines


def decorators(check):
    """check(decorate) with each of them."""
    @with_shared_counter
    def wrapper(block):
        for name in "package", "builtin", "mprof":
            check(Shown(name, block))
    wrapper.__name__ = check.__name__
    return wrapper


@decorators
def check_descriptors_stay(decorate):
    def make(decorate):
        class Shop:
            def plain(self, n=1):
                return n + 1
            plain = decorate(plain)

            def still(n):
                return n + 2
            still = decorate(staticmethod(still))

            def of_class(cls, n):
                return cls, n
            of_class = decorate(classmethod(of_class))

            def price(self):
                "The price."
                return 7
            price = decorate(property(price))

            @price.setter
            def price(self, value):
                self.paid = value
            price = decorate(price)

            def slow(self):
                self.times = getattr(self, "times", 0) + 1
                return self.times
            slow = decorate(functools.cached_property(slow))

            def both(self, a, b):
                return a, b
            part = decorate(functools.partialmethod(both, 5))

            def kind(self, value):
                return "other"
            kind = decorate(functools.singledispatchmethod(kind))

            @kind.register(int)
            def _(self, value):
                return "int"
        return Shop
    plain, ours = make(lambda thing: thing), make(decorate)
    equal([type(value) for value in vars(ours).values()], [type(value) for value in vars(plain).values()])
    for shop in ours(), plain():
        equal((shop.plain(), shop.still(1), type(shop).still(1), shop.of_class(3)),
              (2, 3, 3, (type(shop), 3)))
        equal((shop.price, shop.slow, shop.slow, shop.part(6), shop.kind(1), shop.kind("")),
              (7, 1, 1, (5, 6), "int", "other"))
        shop.price = 9
        equal(shop.paid, 9)
        equal(type(shop).price.__doc__, "The price.")
    for name in "plain", "still", "of_class", "part":
        equal(str(inspect.signature(getattr(ours, name))), str(inspect.signature(getattr(plain, name))))
    equal(decorate.count(), 7 if decorate.name == "mprof" else 8)  # price's setter is of the same name


@decorators
def check_class_stays(decorate):
    class Meta(type):
        def __setattr__(cls, name, value):
            raise AttributeError("read-only")

    def helper(self):
        return 3

    class Base(metaclass=Meta):
        __slots__ = ("a",)
        number, other, run = 5, dict, helper

        def __init__(self):
            self.a = 1

        def __eq__(self, other):
            return self.a == other.a
        __hash__ = None

        @staticmethod
        def make():
            return Base()

        @property
        def twice(self):
            return 2 * self.a

        async def later(self):
            return self.a

        class Inside:
            def method(self):
                return 4
    before = dict(vars(Base))
    ours = decorate(Base)
    assert ours is Base and isinstance(ours.make(), Base) and type(ours()) is Base
    equal({name: type(value) for name, value in vars(ours).items()},
          {name: type(value) for name, value in before.items()})
    equal((ours().twice, ours() == ours(), asyncio.run(ours().later()), ours().run()), (2, True, 1, 3))
    equal((Base.Inside().method(), Base.run is helper, ours.other is dict), (4, True, True))
    assert inspect.iscoroutinefunction(ours.later)

    class Derived(Base):
        __slots__ = ()

        def __init__(self):
            super().__init__()
    equal(Derived().twice, 2)
    equal(decorate.count(), 5)  # __init__, __eq__, make, twice, later
    with stderr_read() as said:
        class Empty:
            x = 1
        assert decorate(Empty) is Empty and vars(Empty)["x"] == 1
    equal(said.getvalue().count("Empty has no methods in Python"), 1)


@decorators
def check_caches_and_partials(decorate):
    if sys.version_info >= (3, 9):
        def f(n, m=1):
            return [n]
        for made in functools.lru_cache(maxsize=3, typed=True)(f), functools.lru_cache(None)(f):
            parameters = made.cache_parameters()
            made.note = "of the program's"
            ours = decorate(made)
            assert type(ours) is type(made) and ours(1) is ours(1) and ours.note == made.note
            equal((ours.cache_info().hits, ours.cache_parameters()), (1, parameters))
            equal(ours.__wrapped__(4), [4])
            equal(str(inspect.signature(ours)), "(n, m=1)")
            ours.cache_clear()
        used = functools.lru_cache(None)(f)
        used(1)
        with stderr_read() as said:
            assert decorate(used) is used
        equal(said.getvalue().count("in use"), 1)
        equal(decorate.count(), 1)
    made = functools.partial(lambda a, b, c=0: (a, b, c), 1, c=3)
    made.note = "of the program's"
    ours = decorate(made)
    equal((type(ours), ours(2), ours.args, ours.keywords, ours.note),
          (functools.partial, (1, 2, 3), (1,), {"c": 3}, made.note))
    shop = types.SimpleNamespace(n=4)
    bound = types.MethodType(lambda self, m: self.n + m, shop)
    ours = decorate(bound)
    equal((type(ours), ours(3), ours.__self__ is shop), (types.MethodType, 7, True))


def of_module(n=0):
    return n


class OfModule:
    def method(self):
        return 5


@decorators
def check_pickled_by_name(decorate):
    """What pickle found by name it finds still."""
    module, plain = sys.modules[__name__], of_module
    with stderr_read() as said:
        part = functools.partial(plain, 3)
        assert decorate(part) is part
    equal(said.getvalue().count("pickle finds its function by name; put @profile on of_module"), 1)
    try:
        module.of_module = decorate(plain)
        equal(pickle.loads(pickle.dumps(module.of_module)), module.of_module)
        equal(pickle.loads(pickle.dumps(functools.partial(module.of_module, 8)))(), 8)
        bound = decorate(OfModule().method)
        equal(pickle.loads(pickle.dumps(bound))(), 5)
        if hasattr(functools.lru_cache(None)(len), "cache_parameters"):
            module.of_module = decorate(functools.lru_cache(None)(plain))
            equal(pickle.loads(pickle.dumps(module.of_module)), module.of_module)
    finally:
        module.of_module = plain


@decorators
def check_functions_stay_of_their_kind(decorate):
    async def coroutine(n):
        return n

    def generator(n):
        got = yield n
        return got

    async def async_generator(n):
        yield n

    @types.coroutine
    def of_generator(n):
        yield
        return n

    @contextlib.contextmanager
    def manager(n):
        yield n

    @contextlib.asynccontextmanager
    async def async_manager(n):
        yield n

    @functools.singledispatch
    def dispatched(n):
        return "other"
    dispatched.register(int, lambda n: "int")

    @abc.abstractmethod
    def abstract(n):
        return n
    marked = lambda n: coroutine(n)
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(marked)
    ours = {}
    for plain in (coroutine, generator, async_generator, of_generator, manager, async_manager, dispatched,
                  abstract, marked):
        ours[plain] = decorate(plain)
        for predicate in (inspect.isfunction, inspect.iscoroutinefunction, inspect.isgeneratorfunction,
                          inspect.isasyncgenfunction, asyncio.iscoroutinefunction
                          if sys.version_info < (3, 14) else callable):
            equal((plain.__name__, predicate(ours[plain])), (plain.__name__, predicate(plain)))
        equal(str(inspect.signature(ours[plain])), str(inspect.signature(plain)))
        equal(set(vars(plain)) - {"__wrapped__"}, set(vars(ours[plain])) - {"__wrapped__"})

    async def use():
        async with ours[async_manager](2) as got:
            pass
        return [got, await ours[coroutine](3), await ours[of_generator](4), await ours[marked](5),
                [n async for n in ours[async_generator](6)]]
    equal(asyncio.run(use()), [2, 3, 4, 5, [6]])
    equal(inspect.iscoroutine(ours[coroutine](1).close()), False)
    with ours[manager](7) as got:
        equal(got, 7)
    equal((ours[dispatched](1), ours[dispatched]("")), ("int", "other"))
    equal(ours[abstract].__isabstractmethod__, True)
    equal(list(ours[generator](8)), [8])
    if decorate.name == "builtin":
        called = {result.name.split(".")[-1] for result in decorate.profiler.results() if result.calls}
        equal(called, {"coroutine", "generator", "async_generator", "of_generator", "manager",
                       "async_manager", "dispatched", "<lambda>"})


class Callable:
    size = 3

    def __call__(self, n):
        return n + self.size


class Descriptor:
    def __init__(self, func):
        self.func = func

    def __get__(self, instance, owner):
        return self.func(instance)


@decorators
def check_what_can_not_be_wrapped_stays(decorate):
    """The same object comes back, and it is said once why."""
    things = (len, print, dict.get, "".join, object().__str__, int.from_bytes, Callable(),
              Descriptor(of_module), functools.partial(len), staticmethod(len), property(len), 5, "f", None,
              types, functools.lru_cache(None)(len), contextlib.suppress)
    for thing in things:
        if thing is None:
            continue
        with stderr_read() as said:
            assert decorate(thing) is thing, thing
            assert decorate(thing) is thing, thing
        lines = said.getvalue().splitlines()
        if thing is contextlib.suppress:  # a class in Python
            equal(lines, [])
            continue
        equal((thing, len(lines)), (thing, 1))
        assert lines[0].startswith("pymem_bpf: @profile of ") and lines[0].endswith(
            "; it is left as it is, unprofiled"), lines
    equal((Callable()(4), len([1])), (7, 1))


@decorators
def check_decorated_twice(decorate):
    """A part that is profiled already isn't once more: the getter of a property with a new setter."""
    def get(self):
        return 1

    def put(self, value):
        pass
    first = decorate(property(get))
    second = decorate(first.setter(put))
    assert second.fget is first.fget and second.fset is not put

    class Shop:
        p = second

        def method(self):
            return 2
        method = decorate(method)
    method = Shop.method
    assert decorate(Shop).method is method
    equal((Shop().p, Shop().method()), (1, 2))


@with_shared_counter
def check_stream_that_is_profiled(block):
    """A table is written by a function that is profiled, and whose table would go there."""
    class Stream:
        def __init__(self):
            self.tables = 0

        def write(self, text):
            self.tables += text.count("Filename: ")
            return len(text)
    stream = Stream()
    Stream.write = profile(Stream.write, stream=stream)
    equal(profile(lambda: 3, stream=stream)(), 3)
    equal(stream.tables, 1)


def check_wrapped_but_not_python():
    """A function that stands in for something without lines has lines of its own."""
    @functools.wraps(len)
    def size(thing):
        return len(thing)
    profiler = LineProfiler(size, counter=Block())
    equal(profiler.runcall(size, "abc"), 3)
    equal(profiler.results()[0].calls, 1)
