# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who keeps the memory: of each way to keep it the right holder comes first, what it retains is what letting go of it
frees, and what grows is told from what does not.

All programs of one interpreter run at the same time, and are looked at together: once at rest, and twice while they go
on. Then each lets go of what it keeps."""
import contextlib
import functools

import pytest

import heaps
import matrix
from conftest import pythons
from harness import KIB, MIB

# Things kept before the look at rest: enough for the figures of one kind to stand out.
NUMBERS = {"sessions": 8000, "audit": 30000, "replaced": 40000, "bounded": 200, "lrucache": 12000, "handlers": 2500,
           "tasks": 3000, "closure": 16000, "classattribute": 12000, "errors": 3000, "cycles": 12000, "cmalloc": 2000,
           "fragments": 1, "queues": 150, "local": 15000, "views": 200}
HELD = [kind for kind in NUMBERS if kind not in ("cycles", "cmalloc", "fragments")]
GROWING = [kind for kind in HELD if kind != "bounded"]
SECONDS = 4


def chosen():
    """The first interpreter of each version whose heap is known; for the matrix all."""
    readable = [python for python in pythons() if python.version >= (3, 8) and not python.free_threaded]
    first = {}
    for python in readable:
        first.setdefault(python.version[:2], python)
    return readable if matrix.FOLDER else list(first.values())


def pytest_generate_tests(metafunc):
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", chosen(), ids=lambda python: python.name)


class Kept:
    """What became of one program: its answers, and what was found of it."""

    def __init__(self, keeper):
        self.keeper, self.holder, self.type = keeper, keeper.holder, keeper.type
        # Answers: bytes that its allocators have handed out.
        self.fresh = self.full = self.before_drop = self.empty = None
        self.at_rest = self.growing = self.full_look = self.dropped = None  # looks


def looks_at(kept, *arguments):
    """{kind: Look}, of one run of the command."""
    pids = ",".join(str(one.keeper.pid) for one in kept.values())
    by_pid = {look.data["pid"]: look for look in heaps.report("-p", pids, *arguments)["looks"]}
    return {kind: by_pid[one.keeper.pid] for kind, one in kept.items()}


def all_kinds(python):
    """{kind: Kept} of that interpreter."""
    with contextlib.ExitStack() as stack:
        kept = {}
        for kind in NUMBERS:
            if kind != "views" or "numpy" in python.modules:
                kept[kind] = Kept(stack.enter_context(heaps.Keeper(python.command, kind)))
        for kind, one in kept.items():
            one.fresh = one.keeper.asked("more", 0)
            one.full = one.keeper.asked("more", NUMBERS[kind])
        for kind, look in looks_at(kept).items():
            kept[kind].at_rest = look
        for one in kept.values():
            one.keeper.tell(b"run")
        for kind, look in looks_at(kept, "-d", SECONDS, "--pause").items():
            kept[kind].growing = look
        for one in kept.values():
            one.keeper.asked("more", 0)
        for kind, look in looks_at(kept).items():
            kept[kind].full_look = look
        for one in kept.values():
            one.before_drop = one.keeper.asked("more", 0)
            one.empty = one.keeper.asked("drop")
        for kind, look in looks_at(kept).items():
            kept[kind].dropped = look
        return kept


@functools.lru_cache(maxsize=None)
def tried(python):
    """The same once, or why it failed."""
    try:
        return all_kinds(python)
    except Exception as e:
        return e


def results(python, kind):
    kept = tried(python)
    if isinstance(kept, Exception):
        raise kept
    if kind not in kept:
        pytest.skip("%s has no numpy" % python.name)
    return kept[kind]


def close(figure, truth, part=0.1, least=32 * KIB):
    return abs(figure - truth) <= max(part * truth, least)


@pytest.mark.parametrize("kind", HELD)
def test_holder_comes_first(version, kind):
    kept = results(version, kind)
    first = kept.at_rest.holders[0]
    assert kept.holder in first["path"], [(h["path"], h["retained_bytes"]) for h in kept.at_rest.holders[:5]]
    assert first["type"] in (kept.type, "dict")  # a cache's own table
    assert first["path"] in kept.at_rest.verdict


@pytest.mark.parametrize("kind", HELD)
def test_retained_is_what_is_freed(version, kind):
    """By the allocators' own count, as the program tells it."""
    kept = results(version, kind)
    retained = kept.full_look.holder(kept.holder)["retained_bytes"]
    freed = kept.before_drop["in_use"] - kept.empty["in_use"]
    assert freed > 256 * KIB, "too little to test anything"
    assert close(retained, freed), "%d retained, %d freed" % (retained, freed)


@pytest.mark.parametrize("kind", GROWING)
def test_what_grows_comes_first(version, kind):
    kept = results(version, kind)
    first, verdict = kept.growing.holders[0], kept.growing.verdict
    assert kept.holder in first["path"], [(h["path"], h["grown_bytes"]) for h in kept.growing.holders[:5]]
    assert first["grown_bytes"] > 0 and not first["new"]
    assert verdict.startswith("Grows by ") and first["path"] in verdict, verdict


def test_bounded_cache_does_not_grow(version):
    kept = results(version, "bounded")
    look, cache = kept.growing, kept.growing.holder(kept.holder)
    assert cache["entries"] in (20, 21)
    if cache["entries"] == 21 or 0 < look.grown() <= 1.1 * cache["retained_bytes"] / cache["entries"]:
        return  # seen while an entry is being made, or between it and the one that goes
    assert look.verdict.startswith("Does not grow"), look.verdict


def test_cycles(version):
    """They are told from what is held, and who frees them is said."""
    kept = results(version, "cycles")
    data, verdict = kept.at_rest.data, kept.growing.verdict
    assert data["gc"]["enabled"] is False
    assert "only gc.collect() frees them" in kept.at_rest.verdict, kept.at_rest.verdict
    assert verdict.startswith("Grows by ") and "cycles that nobody reaches" in verdict, verdict
    truth = kept.full["in_use"] - kept.fresh["in_use"]
    assert close(data["garbage_bytes"], truth), (data["garbage_bytes"], truth)
    assert kept.dropped.data["garbage_bytes"] < 0.02 * data["garbage_bytes"]


def test_malloc_without_free(version):
    kept = results(version, "cmalloc")
    truth = kept.full["in_use"] - kept.fresh["in_use"]
    used = kept.at_rest.balance["malloc_used"]
    assert truth > MIB and used >= 0.95 * truth, (used, truth)
    verdict = kept.growing.verdict
    assert verdict.startswith("Grows by ") and "in malloc, used by C code" in verdict, verdict


def test_fragments(version):
    """Free, and not to be had back: what pins it is named."""
    kept = results(version, "fragments")
    balance, verdict = kept.at_rest.balance, kept.at_rest.verdict
    assert balance["pool_free"] + balance["arena_free"] > MIB
    assert "free in Python's own pools" in verdict, verdict
    pins = [pin["type"] for pin in kept.at_rest.data["pools"]["pinned_by"]]
    assert "heap_kinds.Node" in pins[:3], pins
