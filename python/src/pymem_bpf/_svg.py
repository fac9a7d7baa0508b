# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A MemoryPlot as SVG: RSS over seconds, the peak, and numbers where lines grew.

It is written by hand, so that a plot needs no other package. Screen readers get a title and a description, which is
the answer in a sentence.

In a page it is an image, with the picture in its address. Notebooks that are not trusted keep images, but of SVG that is
part of a page they leave the texts alone, in a heap. What is in an image does not know the page's colours, so it has a
paper of its own: a dark one where the page says that it is dark (color-scheme), or, of a file, the browser.
"""
from ._shapes import MIB, escaped, ticks

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Iterator, List, Tuple

    from .memplots import MemoryPlot

__all__ = ["image", "svg"]

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 22, 36
INKS, PAPERS = ("#1f2328", "#e7e9ec"), ("#fcfbf9", "#15171a")  # light, dark
CURVE, ACCENT = "#2f7fc1", "#b8520f"
STYLE = ("<style>@media (prefers-color-scheme:dark){svg{color:%s}rect{fill:%s}}</style>" % (INKS[1], PAPERS[1]))
POINTS_LIMIT, MARK_RADIUS, HEADROOM = 600, 8, 1.08
TEXT = "<text x='%.1f' y='%.1f' text-anchor='%s' fill='currentColor' font-size='11'>%s</text>"
LINE = "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='1' stroke-opacity='%s'%s/>"


class _Scale:
    """Where seconds and bytes are in the picture. The axis of bytes begins below the lowest amount, not at 0: growth of
    10 MiB is to be seen in a process of 2 GiB. Its figures say so."""

    def __init__(self, plot: "MemoryPlot") -> None:
        amounts = [amount for _, amount in plot.samples] + [plot.peak_bytes, plot.start_bytes]
        low, high = min(amounts), max(amounts)
        room = max((high - low) * (HEADROOM - 1), 0.1 * MIB)
        self.low, self.high = max(0.0, low - room), high + room
        self.until = max(plot.seconds, 1e-6)

    def x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, seconds / self.until))

    def y(self, amount: float) -> float:
        share = (amount - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1.0, max(0.0, share))


def _grid(scale: _Scale) -> "Iterator[str]":
    steps = ticks(scale.low / MIB, scale.high / MIB, 5)
    digits = "%.0f" if len(steps) > 1 and steps[1] - steps[0] >= 1 else "%.2f"
    for tick in steps:
        y = scale.y(tick * MIB)
        yield LINE % (LEFT, y, WIDTH - RIGHT, y, "currentColor", "0.18", "")
        yield TEXT % (LEFT - 6, y + 4, "end", digits % tick)
    for second in ticks(0, scale.until, 8):
        yield TEXT % (scale.x(second), HEIGHT - BOTTOM + 16, "middle", "%g" % round(second, 6))
    yield TEXT % (LEFT - 6, TOP - 8, "end", "MiB")
    yield TEXT % (WIDTH - RIGHT, HEIGHT - 6, "end", "seconds")
    yield LINE % (LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "currentColor", "0.6", "")


def _thinned(plot: "MemoryPlot") -> "List[Tuple[float, int]]":
    from ._proc import thinned
    points = [(amount, when) for when, amount in plot.samples]
    while len(points) > POINTS_LIMIT:
        points = thinned(points)
    return [(when, amount) for amount, when in points]


def _curve(plot: "MemoryPlot", scale: _Scale) -> "Iterator[str]":
    path = " ".join("%.1f,%.1f" % (scale.x(when), scale.y(amount)) for when, amount in _thinned(plot))
    first, last = path.split(" ")[0].split(",")[0], path.split(" ")[-1].split(",")[0]
    floor = HEIGHT - BOTTOM
    yield "<polygon points='%s,%d %s %s,%d' fill='%s' fill-opacity='0.14'/>" % (first, floor, path, last, floor, CURVE)
    yield "<polyline points='%s' fill='none' stroke='%s' stroke-width='2' stroke-linejoin='round'/>" % (path, CURVE)


def _peak(plot: "MemoryPlot", scale: _Scale) -> "Iterator[str]":
    y = scale.y(plot.peak_bytes)
    yield LINE % (LEFT, y, WIDTH - RIGHT, y, ACCENT, "0.9", " stroke-dasharray='4 3'")
    start = plot.peak_seconds is not None and plot.peak_seconds < plot.seconds / 2
    yield TEXT % (WIDTH - RIGHT if start else LEFT + 4, y - 5, "end" if start else "start",
                  "peak %.1f MiB" % (plot.peak_bytes / MIB))
    if plot.peak_seconds is not None:
        yield "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'/>" % (scale.x(plot.peak_seconds), y, ACCENT)


def _marks(plot: "MemoryPlot", scale: _Scale) -> "Iterator[str]":
    """A number for each line, where it had brought half of its growth; those at one place stand above each other."""
    taken: "List[Tuple[float, float]]" = []
    for number, line in enumerate(plot.lines, 1):
        x, y = scale.x(line.seconds), scale.y(plot.at(line.seconds))
        label_y = y + 20 if y + 30 < HEIGHT - BOTTOM else y - 20
        step = 2 * MARK_RADIUS + 2 if label_y > y else -2 * MARK_RADIUS - 2
        while any(abs(x - a) < 2 * MARK_RADIUS and abs(label_y - b) < 2 * MARK_RADIUS for a, b in taken):
            label_y += step
        taken.append((x, label_y))
        yield LINE % (x, y, x, label_y, ACCENT, "0.9", "")
        yield "<circle cx='%.1f' cy='%.1f' r='%d' fill='%s'/>" % (x, label_y, MARK_RADIUS, ACCENT)
        yield ("<text x='%.1f' y='%.1f' text-anchor='middle' fill='#fff' font-size='11' font-weight='bold'>%d</text>"
               % (x, label_y + 4, number))


def _described(plot: "MemoryPlot") -> str:
    return escaped(" ".join([plot.verdict] + plot.legend()))


def _title(plot: "MemoryPlot") -> str:
    return "Resident memory while %s ran" % escaped(plot.what)


def svg(plot: "MemoryPlot") -> str:
    """The picture."""
    scale = _Scale(plot)
    inside = "".join(part for each in (_grid(scale), _curve(plot, scale), _peak(plot, scale), _marks(plot, scale))
                     for part in each)
    return ("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' role='img' color='%s' "
            "style='max-width:100%%;height:auto' font-family='sans-serif'>"
            "<title>%s</title><desc>%s</desc>%s<rect width='%d' height='%d' rx='4' fill='%s'/>%s</svg>" % (
                WIDTH, HEIGHT, WIDTH, HEIGHT, INKS[0], _title(plot), _described(plot), STYLE, WIDTH, HEIGHT, PAPERS[0],
                inside))


def image(plot: "MemoryPlot") -> str:
    """The picture as part of a page, in HTML."""
    from base64 import b64encode
    return "<img width='%d' height='%d' style='max-width:100%%;height:auto' alt='%s: %s' src='data:image/svg+xml;base64,%s'/>" % (
        WIDTH, HEIGHT, _title(plot), _described(plot), b64encode(svg(plot).encode("utf-8")).decode("ascii"))
