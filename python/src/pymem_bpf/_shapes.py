# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pieces of HTML and of text plots: escaped text, bars behind figures, axes.

Colours are of a middle brightness, and text has the page's own: what is drawn can be read on light and on dark pages.
"""
import math
from html import escape

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import List, Sequence, Tuple

    Points = Sequence[Tuple[float, float]]

__all__ = ["BLOCKS", "columns", "escaped", "heat", "mib", "paragraph", "ticks"]

MIB = 1 << 20
GREW, WENT = "rgba(230,120,20,.38)", "rgba(60,130,220,.32)"
BLANKS = "\xa0\u2002\u2003\u2009\u202f\u3000"  # no control characters, though they count as not printable
BLOCKS = " ▁▂▃▄▅▆▇█"


def mib(amount: float, sign: bool = False) -> str:
    """An amount of bytes in MiB, with its sign if asked for."""
    text = ("%+.1f" if sign else "%.1f") % (amount / MIB)
    return ("0.0" if float(text) == 0 else text) + " MiB"


def escaped(text: str) -> str:
    """A text from elsewhere as HTML: tabs and line ends become blanks, what can't be encoded is escaped, and characters
    that control what is shown become question marks."""
    text = text.expandtabs(8).replace("\n", " ").encode("utf-8", "backslashreplace").decode("utf-8")
    return escape("".join(c if c.isprintable() or c in BLANKS else "?" for c in text))


def paragraph(text: str) -> str:
    """The same of a text of several lines."""
    return "<br/>".join(escaped(line) for line in text.split("\n"))


def heat(amount: float, most: float) -> str:
    """Style of a table's cell with a bar as wide as the amount's share of `most`; another colour below 0. Empty: less
    than a hundredth. The figure itself stands in the cell, so the bar says nothing that can only be seen."""
    share = round(100 * min(1.0, abs(amount) / most)) if most else 0
    if not share:
        return ""
    return "background:linear-gradient(to right,%s %d%%,transparent %d%%)" % (GREW if amount > 0 else WENT, share, share)


def ticks(least: float, most: float, count: int) -> "List[float]":
    """Round numbers from least to most, some `count` of them."""
    if not most > least:
        return [least]
    rough = (most - least) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(least / step - 1e-9)
    return [n * step for n in range(first, int(math.floor(most / step + 1e-9)) + 1)]


def columns(points: "Points", until: float, count: int) -> "List[Tuple[float, float]]":
    """(lowest, highest) in each of `count` equal parts of the time from 0 to until. points: (time, value), in order
    of time, at least one; a value holds until the next."""
    found: "List[Tuple[float, float]]" = []
    at, value = 0, points[0][1]
    for number in range(count):
        end = until * (number + 1) / count
        low = high = value
        while at < len(points) and (points[at][0] <= end or number == count - 1):
            value = points[at][1]
            low, high = min(low, value), max(high, value)
            at += 1
        found.append((low, high))
    return found
