# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Draws .dat files with matplotlib. Nothing else needs that; without it, a message says what to do."""
import collections
import sys
import time

from . import dat

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    import argparse
    from typing import Any, Dict, Iterable, List, Tuple

    from .dat import Data

CALL_COLORS = ("c", "y", "g", "r", "b")
MISSING = """mprof: plot needs matplotlib, which this Python (%s) can't import: %s
Install it (Debian: apt-get install python3-matplotlib), or draw the files elsewhere: mprof of
memory_profiler reads them as they are."""


def _trend(times: "List[float]", amounts: "List[float]") -> "Tuple[float, float]":
    """(slope in MiB a second, amount at time 0) by least squares."""
    mean_t, mean_a = sum(times) / len(times), sum(amounts) / len(times)
    spread = sum((t - mean_t) ** 2 for t in times)
    slope = sum((t - mean_t) * (a - mean_a) for t, a in zip(times, amounts)) / spread if spread else 0.0
    return slope, mean_a - slope * mean_t


def function_labels(dotted_function_names: "Iterable[str]") -> "Dict[str, str]":
    """{name: the shortest end of it, from a dot on, that no other of these names has}."""
    names = list(dotted_function_names)
    ends = collections.Counter(end for name in names for end in set(_ends(name)))
    return {name: next((end for end in _ends(name) if ends[end] == 1), name) for name in names}


def _ends(name: str) -> "List[str]":
    """c, b.c and a.b.c of a.b.c."""
    parts = name.split(".")
    return [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def _curve(axes: "Any", samples: "List[Tuple[float, float]]", begin: float, label: str,
           with_slope: bool) -> None:
    times = [when - begin for _, when in samples]
    amounts = [amount for amount, _ in samples]
    if with_slope:
        slope, at_zero = _trend(times, amounts)
        axes.plot(times, [t * slope + at_zero for t in times], "--", linewidth=0.5)
        label += " slope %.5f" % slope
    axes.plot(times, amounts, "+-", label=label)


def _calls(axes: "Any", data: "Data", begin: float, flame: bool) -> None:
    """Functions: a bar from start to end at the memory it began with, or stacked by level."""
    layer = axes.twinx() if flame else axes
    labels = function_labels(data.functions)
    for number, (name, calls) in enumerate(sorted(data.functions.items())):
        color = CALL_COLORS[number % len(CALL_COLORS)]
        for at, (start, end, before, after, level) in enumerate(calls):
            label = " " + labels[name] if not at else None  # one that begins with _ has no legend
            if flame:
                layer.fill_betweenx((level, level + 1), start - begin, end - begin, color=color,
                                    alpha=0.4, label=label)
            else:
                layer.plot([start - begin, end - begin], [before, after], "|-", color=color,
                           linewidth=2, markersize=14, label=label)
    if flame:
        levels = [call[4] for calls in data.functions.values() for call in calls]
        layer.set_ylim(0, max(levels, default=0) + 2)
        layer.set_yticks([])
        layer.legend(loc="upper left")


def _one(axes: "Any", name: str, data: "Data", options: "argparse.Namespace", alone: bool) -> None:
    samples = sorted(data.samples, key=lambda one: one[1])
    begin = samples[0][1]
    label = name if not alone else time.strftime("start at %d/%m/%Y %H:%M:%S", time.localtime(begin))
    _curve(axes, samples, begin, label, options.slope)
    for child, of_child in data.children.items():
        _curve(axes, of_child, begin, "child %s" % child, options.slope)
    if alone and data.functions and not options.no_function_ts:
        _calls(axes, data, begin, options.flame)
    if alone:
        highest, when = max(samples)
        axes.axhline(highest, color="r", linestyle="--", linewidth=0.7)
        axes.axvline(when - begin, color="r", linestyle="--", linewidth=0.7)


def draw(names: "Iterable[str]", options: "argparse.Namespace") -> int:
    """Draws .dat files into one picture, on the screen or into a file. names: of the files. options: those of
    `mprof plot`. Returns the exit status: 1 if matplotlib can't be imported, which stderr says. ValueError: no
    .dat file, or one without samples. OSError: it can't be read or written."""
    try:
        import matplotlib
        if options.backend:
            matplotlib.use(options.backend)
        from matplotlib import pyplot
    except ImportError as e:
        print(MISSING % (sys.executable, e), file=sys.stderr)
        return 1
    files = [(name, dat.read(name)) for name in names]
    for name, data in files:
        if not data.samples:
            raise ValueError("%s has no samples: the program may have ended before the first" % name)
    figure, axes = pyplot.subplots(figsize=(14, 6), dpi=90)
    for name, data in files:
        _one(axes, name, data, options, len(files) == 1)
    if options.window:
        axes.set_xlim(*options.window)
    axes.set_xlabel("time (in seconds)")
    axes.set_ylabel("memory used (in MiB)")
    axes.set_title(options.title or (files[0][1].command if len(files) == 1 else ""))
    axes.grid(True)
    axes.legend(loc="best")
    if options.output:
        figure.savefig(options.output)
    else:
        pyplot.show()
    pyplot.close(figure)
    return 0
