# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the programs of this folder share. run() does the work and writes one JSON object, on a
line of its own, to $PYMEM_BENCH_RESULT: seconds of the work (start-up excluded), VmHWM, RSS
before and after, page faults. PYMEM_BENCH_SCALE scales the work.

The comment "# truth: NAME" marks a line whose growth truth.py measures; "# known: NAME" one whose
growth the program knows by arithmetic and says itself (run's `known`).
"""
import builtins
import json
import os
import resource
import sys
import time

SCALE = float(os.environ.get("PYMEM_BENCH_SCALE", "1"))
MIB = 1 << 20
_state = {"excluded": 0.0, "hwm": None, "live": None, "traced_peak": None}


def scaled(count):
    return max(1, int(round(count * SCALE)))


def profile(function):
    """memory_profiler's decorator where it is asked for; nothing for all others."""
    if os.environ.get("PYMEM_BENCH_DECORATE") and hasattr(builtins, "profile"):
        return builtins.profile(function)
    return function


def status_bytes(key):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(key + ":"))


def tracing():
    """The module tracemalloc if it is on."""
    if "tracemalloc" not in sys._xoptions:
        return None
    import tracemalloc
    return tracemalloc if tracemalloc.is_tracing() else None


def at_peak():
    """Programs call this where they hold most: there a user of tracemalloc takes the snapshot. Its
    time is not part of the work, its memory not of the peak."""
    tracemalloc = tracing()
    if _state["live"] is not None or not tracemalloc or not os.environ.get("PYMEM_BENCH_SNAPSHOT"):
        return
    start = time.perf_counter()
    _state["hwm"] = status_bytes("VmHWM")
    _state["traced_peak"] = tracemalloc.get_traced_memory()[1]
    _state["live"] = live_lines(tracemalloc, sys.modules["__main__"].__file__)
    _state["excluded"] += time.perf_counter() - start


def live_lines(tracemalloc, program):
    """{line of the program: live bytes allocated there or in what it called}"""
    live = {}
    for group in tracemalloc.take_snapshot().statistics("traceback"):
        lines = {f.lineno for f in group.traceback if f.filename == program}
        for line in lines:
            live[line] = live.get(line, 0) + group.size
    return live


def say(**what):
    path = os.environ.get("PYMEM_BENCH_RESULT")
    text = (json.dumps(what) + "\n").encode()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else 1
    os.write(fd, text)
    if path:
        os.close(fd)


def run(work, known=None):
    tracemalloc = tracing()
    rss = status_bytes("VmRSS")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start - _state["excluded"]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    traced = _state["traced_peak"]
    if traced is None and tracemalloc:
        traced = tracemalloc.get_traced_memory()[1]
    say(seconds=seconds, hwm=_state["hwm"] or status_bytes("VmHWM"), rss_before=rss,
        rss_after=status_bytes("VmRSS"), faults=faults, known=known or {}, live=_state["live"],
        traced_peak=traced)
