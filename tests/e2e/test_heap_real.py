# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who keeps the memory of real services that do their work meanwhile: gunicorn with Flask and Django, celery, pandas, a
Jupyter kernel. Each leaks in two ways, one after the other, and then does both kinds of work mended.

All run at the same time, and are looked at together. What they retain is held against what letting go of it frees."""
import concurrent.futures
import contextlib
import functools
import importlib
import os

import pytest

import harness
import heaps
import services
from harness import KIB

SECONDS = 5
RATE = 25  # requests a second, of each service
# Done before the first look: what grows is there then.
WARM_UP = 30


class Leak:
    def __init__(self, service, kind, holder, *lines, type="list", made=None):
        self.service, self.kind, self.holder, self.type = service, kind, holder, type
        # Where a watch has met no insertion, bursts tell in which function the entries are made: this one of a file, or
        # one that names the holder.
        self.made = made
        self.lines = lines or (kind,)

    def __str__(self):
        return "%s-%s" % (self.service.__name__.lower(), self.kind)


# Lines: labels of the program, or the end of a library's file, for which a label is the caller's. Where a cache of functools
# is filled, the line that calls and the one that makes what is kept are equally right.
FIRST = [
    Leak(services.Flask, "contexts", "shop_flask.SLOW", made="flask/app.py Flask.request_context"),
    Leak(services.Django, "receivers", "shop_django.order_placed.receivers", "django/dispatch/dispatcher.py", "receivers"),
    Leak(services.Celery, "results", "jobs_celery.Reporting.results"),
    Leak(services.Pandas, "frames", "__main__.FRAMES"),
    Leak(services.Kernel, "outputs", "in __main__.Out and in ", "IPython/core/displayhook.py", type="numpy.ndarray",
         made="services/notebook.py analysis"),
]
SECOND = [
    Leak(services.Flask, "prices", "shop_flask.price", "prices", "price", type="functools._lru_cache_wrapper"),
    Leak(services.Django, "querysets", "shop_django.Recent.by_customer", type="dict",
         made="services/shop_django.py querysets"),
    Leak(services.Celery, "requests", "jobs_celery.REQUESTS", type="dict",
         made="celery/app/trace.py build_tracer.<locals>.trace_task"),
    Leak(services.Pandas, "columns", "__main__.LAST", type="dict"),
    Leak(services.Kernel, "history", "__main__.history"),
]


class Found:
    """Of one leak: the look while it leaked, the one after it, what was freed, and the look at what was mended."""

    growing = full = freed = mended = None


def looks_at(running, *arguments):
    """{class: Look}"""
    pids = ",".join(str(service.pid) for service in running.values())
    found = {look.data["pid"]: look for look in heaps.report("-p", pids, *arguments)["looks"]}
    return {cls: found[service.pid] for cls, service in running.items()}


@contextlib.contextmanager
def all_at_work(running, works):
    """works: {class: kinds of work}"""
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(running[cls].started(kinds, RATE)) for cls, kinds in works.items()]
        for load in loads:
            harness.until(lambda load=load: load.done >= WARM_UP or load.error, "%d requests" % WARM_UP)
        yield


def leak_and_let_go(running, leaks, found):
    with all_at_work(running, {leak.service: [leak.kind] for leak in leaks}):
        growing = looks_at(running, "-d", SECONDS)
    full = looks_at(running)
    for leak in leaks:
        one = found[str(leak)] = Found()
        one.growing, one.full = growing[leak.service], full[leak.service]
        told = running[leak.service].told(leak.kind)
        one.freed = told["before"] - told["after"]


def mended(running, found):
    works = {cls: [leak.kind + "_fixed" for leak in FIRST + SECOND if leak.service is cls] for cls in running}
    with all_at_work(running, works):
        looks = looks_at(running, "-d", SECONDS)
    for leak in FIRST + SECOND:
        found[str(leak)].mended = looks[leak.service]


@functools.lru_cache(maxsize=None)
def tried():
    """{name of a leak: Found}, once; or why it failed."""
    classes = [leak.service for leak in FIRST]
    # Several threads that import what needs each other may meet it half made.
    for library in "celery", "redis", "jupyter_client":
        importlib.import_module(library)
    try:
        with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor() as pool:
            starting = [pool.submit(cls) for cls in classes]
            for start in concurrent.futures.as_completed(starting):
                stack.callback(start.result().close)
            running = {cls: start.result() for cls, start in zip(classes, starting)}
            found = {}
            leak_and_let_go(running, FIRST, found)
            leak_and_let_go(running, SECOND, found)
            mended(running, found)
            return found
    except Exception as e:
        return e


def found_of(leak):
    found = tried()
    if isinstance(found, Exception):
        raise found
    return found[str(leak)]


each_leak = pytest.mark.parametrize("leak", FIRST + SECOND, ids=str)


@each_leak
def test_holder_comes_first(leak):
    look = found_of(leak).growing
    first = look.holders[0]
    assert leak.holder in first["path"], (look.verdict, [(h["path"], h["grown_bytes"]) for h in look.holders[:5]])
    assert first["type"] == leak.type and first["grown_bytes"] > 0 and first["entries_grown"] > 0
    assert look.verdict.startswith("Grows by ") and any(
        "kept %s%s (" % (by, first["path"]) in look.verdict.split(". ")[0] for by in ("by ", "")), look.verdict


def is_line(leak, row, label):
    """Is it the line with that label, or one of that library, called by the next label's?"""
    program = os.path.join(services.FOLDER, leak.service.program + ".py")
    labels = harness.labels(program)
    if row["method"] == "burst" and leak.made and ("%s %s" % (row["file"], row["function"])).endswith("/" + leak.made):
        return True
    if label in labels:
        return (row["file"], row["line"]) == (program, labels[label])
    if not label.endswith(".py"):  # of a cell
        return os.path.basename(os.path.dirname(row["file"])).startswith("ipykernel_") and row["function"] == "keep"
    caller = leak.lines[1:] and "%s:%d " % (program, labels[leak.lines[1]])
    return row["file"].endswith("/" + label) and row["line"] > 0 and (not caller or row["stack"][1].startswith(caller))


@each_leak
def test_line_comes_first(leak):
    look = found_of(leak).growing
    first = look.holders[0]["path"]
    rows = [row for row in look.data["births"] if row["holder"] == first]
    assert rows, (look.data["notes"], look.verdict)
    assert any(is_line(leak, rows[0], label) for label in leak.lines), rows[:2]
    how = {"watch": "put there by", "burst": "made in"}[rows[0]["method"]]
    line = rows[0]["file"], rows[0]["line"], rows[0]["function"]
    assert ", %s %s:%d %s" % (how, *line) in look.verdict, look.verdict


@each_leak
def test_retained_is_what_is_freed(leak):
    found = found_of(leak)
    retained = found.full.holder(leak.holder)["retained_bytes"]
    assert found.freed > 128 * KIB, "too little to test anything"
    assert abs(retained - found.freed) <= 0.1 * found.freed, "%d retained, %d freed" % (retained, found.freed)


@each_leak
def test_mended_does_not_grow(leak):
    look = found_of(leak).mended
    assert look.verdict.startswith("Does not grow"), (look.verdict, look.holders[:3])
