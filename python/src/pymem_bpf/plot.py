# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Draws .dat files and recordings with matplotlib. Nothing else needs that; without it, a message says what to do."""
import collections
import sys
import time

from . import dat, recording
from ._streams import printable

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    import argparse
    from typing import Any, Dict, Iterable, List, Tuple

    from .dat import Data
    from .recording import Curve, Image, Recording

MIB = float(1 << 20)
IMAGES_SHOWN, TREND_POINTS = 8, 500
CALL_COLORS = ("c", "y", "g", "r", "b")
MISSING = """mprof: plot needs matplotlib, which this Python (%s) can't import: %s
Install it (Debian: apt-get install python3-matplotlib), or draw the files elsewhere: mprof of
memory_profiler reads them as they are."""


def _plain(text: str) -> str:
    """A text from a file as matplotlib is to show it: what stands between two $ is no formula."""
    return printable(text).replace("$", "\\$")


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
            label = " " + _plain(labels[name]) if not at else None  # one that begins with _ has no legend
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
    label = _plain(name) if not alone else time.strftime("start at %d/%m/%Y %H:%M:%S", time.localtime(begin))
    _curve(axes, samples, begin, label, options.slope)
    for child, of_child in data.children.items():
        _curve(axes, of_child, begin, "child %s" % _plain(child), options.slope)
    if alone and data.functions and not options.no_function_ts:
        _calls(axes, data, begin, options.flame)
    if alone:
        highest, when = max(samples)
        axes.axhline(highest, color="r", linestyle="--", linewidth=0.7)
        axes.axvline(when - begin, color="r", linestyle="--", linewidth=0.7)


def _amount_at(curve: "Curve", when: float) -> int:
    amount = 0
    for held, since in curve.points:
        if since > when:
            break
        amount = held
    return amount


def _steps(axes: "Any", curve: "Curve", begin: float, end: float, label: str, with_slope: bool, **style: "Any") -> "Any":
    """A curve whose amounts hold until the next one. Its color."""
    points = curve.points
    times = [when - begin for _, when in points] + [end - begin]
    amounts = [amount / MIB for amount, _ in points] + [points[-1][0] / MIB]
    line = axes.plot(times, amounts, drawstyle="steps-post", **style)[0]
    if with_slope:
        # Of equal parts of the time: a point of the curve may stand for a second or for an hour.
        even = [times[0] + (times[-1] - times[0]) * n / (TREND_POINTS - 1) for n in range(TREND_POINTS)]
        slope, at_zero = _trend(even, [_amount_at(curve, begin + t) / MIB for t in even])
        axes.plot(even, [t * slope + at_zero for t in even], "--", linewidth=0.5, color=line.get_color())
        label += ", slope %.5f" % slope
    line.set_label(label)
    return line.get_color()


def _image(axes: "Any", image: "Image", begin: float, end: float, options: "argparse.Namespace") -> None:
    """A process: its curve, its peak, and a cross where it ended."""
    label = "%d %s, peak %.1f MiB" % (image.pid, _plain(image.name), image.peak_bytes / MIB)
    points = image.curve.points
    if image.ended is not None:
        label += ", ended"
    color = _steps(axes, image.curve, begin, max(image.ended or end, points[-1][1]), label, options.slope)
    highest, when = max(points)
    axes.plot([when - begin], [image.peak_bytes / MIB], "^", color=color)
    if image.ended is not None:
        axes.plot([image.ended - begin], [points[-1][0] / MIB], "x", color=color, markersize=9)


def _recorded(axes: "Any", name: str, found: "Recording", options: "argparse.Namespace", alone: bool) -> None:
    """A recording: the sum, and by itself the largest processes, too."""
    many = len(found.images) > 1
    label = _plain(name)
    if alone:  # the sum is known where intervals end, so it may have been higher
        label = "sum of %d processes, peak at least %.1f MiB" % (len(found.images), found.peak_bytes / MIB)
    if many or not alone:
        _steps(axes, found.total, found.start, found.end, label, options.slope, linewidth=2.5 if many else 1.5,
               **({"color": "0.4"} if alone else {}))
    for image in found.images[:IMAGES_SHOWN] if alone else []:
        _image(axes, image, found.start, found.end, options)
    more = len(found.images) - IMAGES_SHOWN
    if alone and more > 0:
        axes.plot([], [], " ", label="and %d smaller, in the sum" % more)


def _read(name: str, options: "argparse.Namespace") -> "Data | Recording":
    """What a file holds. ValueError: as draw()'s."""
    if not recording.is_recording(name):
        data = dat.read(name)
        if not data.samples:
            raise ValueError("%s has no samples: the program may have ended before the first" % name)
        return data
    if options.flame:
        raise ValueError("%s is a recording, and has no functions: --flame is for .dat files" % name)
    found = recording.read(name)
    if not found.images:
        raise ValueError("%s has no figures: it may have ended before the first" % name)
    return found


def _title(found: "Data | Recording") -> str:
    if isinstance(found, recording.Recording):
        when = time.strftime("start at %d/%m/%Y %H:%M:%S", time.localtime(found.start))
        return _plain("%s, %s" % (found.host, when) if found.host else when)
    return _plain(found.command)


def draw(names: "Iterable[str]", options: "argparse.Namespace") -> int:
    """Draws .dat files and recordings into one picture, on the screen or into a file. names: of the files. options: those
    of `mprof plot`. Returns the exit status: 1 if matplotlib can't be imported, which stderr says. ValueError: a file is
    none of these, or is without samples, or --flame is asked for of a recording. OSError: it can't be read or written."""
    try:
        import matplotlib
        if options.backend:
            matplotlib.use(options.backend)
        from matplotlib import pyplot
    except ImportError as e:
        print(MISSING % (sys.executable, e), file=sys.stderr)
        return 1
    files = [(name, _read(name, options)) for name in names]
    figure, axes = pyplot.subplots(figsize=(14, 6), dpi=90)
    for name, found in files:
        if isinstance(found, recording.Recording):
            _recorded(axes, name, found, options, len(files) == 1)
        else:
            _one(axes, name, found, options, len(files) == 1)
    if options.window:
        axes.set_xlim(*options.window)
    axes.set_xlabel("time (in seconds)")
    axes.set_ylabel("memory used (in MiB)")
    axes.set_title(options.title or (_title(files[0][1]) if len(files) == 1 else ""))
    axes.grid(True)
    axes.legend(loc="best")
    if options.output:
        figure.savefig(options.output)
    else:
        pyplot.show()
    pyplot.close(figure)
    return 0
