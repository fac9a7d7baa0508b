# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program with known objects, for check_heap_layouts.py: says in JSON where they are and what is in
them, then waits; once more inside a garbage collection. Runs on 3.6 and newer."""
import collections
import gc
import importlib
import json
import os
import sys
import weakref


class Plain(object):
    def __init__(self, a, b):
        self.first, self.second = a, b

    def method(self):
        return self


class Slotted(object):
    __slots__ = ("one", "other")


class Text(str):
    pass


def counting(source):
    for item in source:
        yield item


def nested(x, y=7, *, key=8):
    def inner():
        return x
    return inner


def entries(mapping):
    return [[id(key), id(value)] for key, value in mapping.items()]


def describe_type(cls):
    return {"at": id(cls), "name": cls.__name__, "basicsize": cls.__basicsize__, "itemsize": cls.__itemsize__,
            "flags": cls.__flags__, "base": id(cls.__base__), "dictoffset": cls.__dictoffset__,
            "weakrefoffset": cls.__weakrefoffset__}


def with_module():
    """Types made by extension modules, which know their module: (type, module)."""
    for module, name in (("posix", "DirEntry"), ("_random", "Random"), ("_struct", "Struct"),
                         ("_functools", "partial"), ("select", "epoll")):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        cls = getattr(found, name, None)
        if isinstance(cls, type) and cls.__flags__ & 1 << 9:
            keep.append((cls, found))
            yield [id(cls), id(found)]


keep = []
facts = {"version": list(sys.version_info[:3]), "free_threaded": not getattr(sys, "_is_gil_enabled", bool)()
         if hasattr(sys, "_is_gil_enabled") else False, "debug": hasattr(sys, "gettotalrefcount")}


def say_types():
    cls = type("Caf\u00e9" * 3, (Plain,), {})
    one = Slotted()
    one.one, one.other = object(), object()
    keep.extend([cls, one])
    facts["types"] = [describe_type(c) for c in (Plain, Slotted, cls, int, tuple, type, Text)]
    facts["heap_type"] = {"at": id(Plain), "name": id(Plain.__name__), "qualname": id(Plain.__qualname__),
                          "dict": id(gc.get_referents(Plain.__dict__)[0])}
    facts["cached_utf8"] = {"type": id(cls), "text": id(cls.__name__), "bytes": len(cls.__name__.encode())}
    facts["slots"] = {"type": id(Slotted), "at": id(one), "one": id(one.one), "other": id(one.other)}
    facts["modules_of_types"] = list(with_module())
    facts["root_types"] = [id(object), id(type)]


def say_instances():
    """One with its values beside it, one whose dict was asked for, one with a dict that Python made."""
    values, asked = Plain(object(), object()), Plain(object(), object())
    reference = weakref.ref(asked, keep.append)
    attributes = asked.__dict__
    keep.extend([values, asked, reference])
    facts["values"] = {"at": id(values), "type": id(Plain), "items": [id(values.first), id(values.second)],
                       "names": ["first", "second"]}
    facts["managed"] = {"at": id(asked), "type": id(Plain), "dict": id(attributes), "weakref": id(reference)}
    facts["split"] = {"at": id(attributes), "entries": entries(attributes)}
    facts["weakref"] = {"at": id(reference), "callback": id(reference.__callback__)}
    keep.append(reference.__callback__)


def say_containers():
    numbers = {n * 1000: object() for n in range(9)}
    texts = {"name%d" % n: object() for n in range(300)}
    for gone in (2000, 5000):
        del numbers[gone]
    items = [object() for _ in range(5)]
    items.append(items)
    small, large = {object() for _ in range(3)}, {object() for _ in range(100)}
    queue = collections.deque(object() for _ in range(200))
    for _ in range(70):
        queue.popleft()
    array = bytearray(b"known bytes" * 9)
    keep.extend([numbers, texts, items, small, large, queue, array, tuple(items)])
    facts["dicts"] = [{"at": id(d), "entries": entries(d), "dead": dead, "size": size, "general": general}
                      for d, dead, size, general in ((numbers, 2, 16, True), (texts, 0, 512, False))]
    facts["list"] = {"at": id(items), "items": [id(item) for item in items]}
    facts["tuple"] = {"at": id(keep[-1]), "items": [id(item) for item in items]}
    facts["sets"] = [{"at": id(s), "items": sorted(id(item) for item in s), "small": len(s) < 5}
                     for s in (small, large)]
    facts["deque"] = {"at": id(queue), "items": [id(item) for item in queue]}
    owned = sys.version_info >= (3, 15)  # by a bytes object, which __alloc__() counts whole
    facts["bytearray"] = {"at": id(array), "text": array.decode(), "bytes": owned,
                          "alloc": array.__alloc__() - (bytes.__basicsize__ if owned else 0)}


def say_leaves():
    text, numbers = Text("\u00fcber" * 5), [3 * 2 ** 60 + 2 ** 31 + 5, -7 - 2 ** 90]
    keep.extend([text, numbers])
    facts["text"] = {"at": id(text), "latin1": str(text)}
    facts["ints"] = [[id(n), str(n)] for n in numbers]


def say_code():
    function = nested(object(), 5)
    function.attribute = 1
    nested.attribute = 2
    bound = keep[0].method if isinstance(keep[0], Plain) else Plain(1, 2).method
    closure = function.__closure__[0]
    keep.extend([function, bound, closure])
    for name, f in (("inner", function), ("outer", nested)):
        facts[name] = {"at": id(f)}
        for field in "globals name qualname code closure defaults kwdefaults dict module".split():
            value = getattr(f, "__%s__" % field)
            facts[name][field] = 0 if value is None else id(value)
    facts["cell"] = {"at": id(closure), "content": id(closure.cell_contents)}
    facts["method"] = {"at": id(bound), "function": id(bound.__func__), "self": id(bound.__self__)}
    facts["module"] = {"at": id(json), "dict": id(json.__dict__), "name": "json"}


def say_generators():
    names = counting.__code__.co_varnames
    source = iter([object() for _ in range(3)])
    waiting, ended = counting(source), counting(iter([1]))
    next(waiting)
    list(ended)
    keep.extend([source, waiting, ended, names])
    facts["waiting"] = {"at": id(waiting), "name": id(waiting.__name__), "qualname": id(waiting.__qualname__),
                        "code": id(waiting.gi_code), "frame": id(waiting.gi_frame), "on_stack": id(source)}
    facts["ended"] = {"at": id(ended)}


def say_pools():
    """Enough objects of 481 to 488 bytes to fill arenas."""
    blocks = [bytes(496 - bytes.__basicsize__ - 15 + n % 8) for n in range(20000)]
    keep.append(blocks)
    facts["pools"] = {"bytes": 488, "blocks": [id(block) for block in blocks]}


def say_collector():
    gc.collect()
    facts["gc_tracked"] = [id(o) for o in (keep, facts, sys.modules, Plain)]
    keep.append([])
    gc.freeze()
    facts["gc_frozen"] = {"count": gc.get_freeze_count(), "some": [id(keep), id(Plain)]}
    later = [[] for _ in range(5)]
    keep.append(later)
    facts["gc_young"] = [id(o) for o in later]
    gc.set_threshold(123456, 78, 9)
    for _ in range(3):
        gc.collect(0)
    gc.collect(1)
    gc.collect(0)
    gc.collect(0)
    facts["gc"] = {"threshold": gc.get_threshold(), "enabled": gc.isenabled(), "stats": gc.get_stats(),
                   "garbage": id(gc.garbage)}
    facts["gc"]["count"] = gc.get_count()


def wait_in_collection(phase, info):
    if phase == "start":
        wait("collecting")


def wait(word):
    os.write(1, (word + "\n").encode())
    os.read(0, 1)


def deep(levels, kept):
    """Frames beyond one chunk of the data stack, then the one that is looked at."""
    if levels:
        return deep(levels - 1, kept)
    return last(object(), object(), kept)


def last(one, two, kept):
    free = [object()]

    def inner():
        return free
    frame = sys._getframe()
    facts["frame"] = {"at": id(frame), "code": id(frame.f_code), "globals": id(globals()),
                      "locals": {"one": id(one), "two": id(two), "kept": id(kept), "inner": id(inner)},
                      "cell": id(inner.__closure__[0]),
                      "nlocals": frame.f_code.co_nlocals, "stacksize": frame.f_code.co_stacksize,
                      "names": list(frame.f_code.co_names)}
    os.write(1, (json.dumps(facts) + "\n").encode())
    os.read(0, 1)
    return inner


def main():
    if sys.version_info < (3, 8) or facts["free_threaded"]:
        wait(json.dumps(facts))  # has no layout
    gc.disable()
    say_types()
    say_instances()
    say_containers()
    say_leaves()
    say_code()
    say_generators()
    say_pools()
    word = sys.intern("known interned text")
    keep.append(word)
    facts["interned"] = id(word)
    facts["sys_modules"] = id(sys.modules)
    say_collector()
    deep(450, object())
    gc.callbacks.append(wait_in_collection)
    gc.collect()


main()
