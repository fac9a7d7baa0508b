# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The plots of the benchmarks, as SVG that is readable on light and on dark. Same figures, same
bytes: nothing depends on the day or the machine."""
import math
from xml.sax.saxutils import escape

import figures

MIB = 1 << 20
STYLE = """<style>
svg { --paper: #ffffff; --ink: #1f2328; --faint: #d0d7de; --grey: #57606a;
      --ours: #0969da; --other: #bc4c00; font: 11px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #0d1117; --ink: #e6edf3; --faint: #373e47; --grey: #9da7b3;
        --ours: #58a6ff; --other: #f0883e; }
}
.paper { fill: var(--paper); } text { fill: var(--ink); } .small { fill: var(--grey); font-size: 10px; }
.title { font-weight: 600; font-size: 12px; }
.grid { stroke: var(--faint); stroke-width: 1; } .one { stroke: var(--grey); stroke-width: 1; }
.a { stroke: var(--ours); fill: var(--ours); } .b { stroke: var(--other); fill: var(--other); }
.range { stroke-width: 2; opacity: .5; } .line { fill: none; stroke-width: 2; }
</style>"""
ROW, NAMES, PANEL, GAP, TOP = 15, 190, 210, 24, 34
LEAST, MOST = 0.5, 5000.0


def text(x, y, words, kind="", anchor="start"):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (
        x, y, anchor, ' class="%s"' % kind if kind else "", escape(words))


def line(x1, y1, x2, y2, kind):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>' % (x1, y1, x2, y2, kind)


def document(width, height, title, parts):
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">' % (
        width, height), "<title>%s</title>" % escape(title), STYLE,
        '<rect width="100%" height="100%" class="paper"/>'] + parts + ["</svg>", ""])


def place(ratio):
    """Where on the logarithmic axis, 0 to PANEL."""
    ratio = min(max(ratio, LEAST), MOST)
    return PANEL * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def kind_of(contender):
    ours = contender["name"].startswith("pymem-bpf") or contender["name"] == "%mprun"
    return "a" if ours else "b"


def panel(x, y, title, workload, contenders):
    """One workload: a dot at each contender's median, a bar over its range."""
    bottom = y + ROW * len(contenders)
    parts = [text(x, y - 18, title, "title")]
    for tick in (1, 10, 100, 1000):
        parts.append(line(x + place(tick), y - 4, x + place(tick), bottom,
                          "one" if tick == 1 else "grid"))
        parts.append(text(x + place(tick), y - 7, "%d×" % tick, "small", "middle"))
    for i, contender in enumerate(contenders):
        middle = y + ROW * i + ROW / 2
        ratios = figures.ratios(workload, contender, "seconds")
        if not ratios:
            bad = figures.trouble(workload, contender)
            parts.append(text(x + place(1) + 4, middle + 3, bad["status"] if bad else "n/a",
                              "small"))
            continue
        median, least, most = figures.summary(ratios)
        kind = kind_of(contender)
        parts.append(line(x + place(least), middle, x + place(most), middle, kind + " range"))
        parts.append('<circle cx="%.1f" cy="%.1f" r="3.5" class="%s"/>' % (
            x + place(median), middle, kind))
    return parts


def slowdowns(data, label):
    contenders, names = data["contenders"], list(data["workloads"])
    height = ROW * len(contenders) + TOP + 16
    parts = []
    for i, name in enumerate(names):
        row, column = divmod(i, 3)
        y = TOP + row * height
        if column == 0:
            parts += [text(NAMES - 10, y + ROW * k + ROW / 2 + 4, label(c), anchor="end")
                      for k, c in enumerate(contenders)]
        workload = data["workloads"][name]
        parts += panel(NAMES + column * (PANEL + GAP), y, "%s %s" % (name, workload["title"]),
                       workload, contenders)
    rows = (len(names) + 2) // 3
    legend = "Slowdown of the work, times bare; median and range of %d round%s; logarithmic" % (
        data["rounds"], "s"[:data["rounds"] > 1])
    parts.append(text(NAMES, rows * height + 12, legend, "small"))
    return document(NAMES + 3 * (PANEL + GAP), rows * height + 22,
                    "Slowdown of each workload under each profiler", parts)


def touched(data, label):
    """Said against touched: profilers of RSS on the diagonal, of allocations along the top."""
    left, top, size, wide = 50, 24, 260, 640
    most = max([data["size"]] + [r["said"] or 0 for r in data["runs"]]) * 1.05
    parts = []

    def spot(share, amount):
        return left + size * share / 100, top + size - size * max(amount, 0) / most

    for share in (0, 25, 50, 75, 100):
        x, _ = spot(share, 0)
        parts += [line(x, top, x, top + size, "grid"),
                  text(x, top + size + 14, "%d %%" % share, "small", "middle")]
    for part in range(0, 5):
        _, y = spot(0, data["size"] * part / 4)
        parts += [line(left, y, left + size, y, "grid"),
                  text(left - 6, y + 4, "%.0f" % (data["size"] * part / 4 / MIB), "small", "end")]
    legend = {"rss": [], "alloc": []}
    for contender in data["contenders"]:
        runs = sorted((r["percent"], r["said"]) for r in data["runs"] if r["said"] is not None and
                      (r["contender"], r["host"]) == (contender["name"], contender["host"]))
        kind = "a" if contender["basis"] == "rss" else "b"
        spots = " ".join("%.1f,%.1f" % spot(*run) for run in runs)
        if spots:
            legend[contender["basis"]].append(label(contender))
            parts.append('<polyline points="%s" class="%s line"/>' % (spots, kind))
    y = top + 10
    for basis, kind, title in (("alloc", "b", "they count what was asked for"),
                               ("rss", "a", "they count what is resident")):
        parts += [line(left + size + 30, y - 4, left + size + 50, y - 4, kind + " line"),
                  text(left + size + 56, y, title, "title")]
        for name in legend[basis]:
            y += ROW
            parts.append(text(left + size + 56, y, name))
        y += 2 * ROW
    parts += [text(left + size / 2, top + size + 30, "share of the array that is touched", "small",
                   "middle"), text(left - 40, top - 8, "MiB reported", "small")]
    return document(wide, top + size + 40, "What profilers report about an array that is partly "
                    "touched", parts)
