# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The statistics of bench/everyone.py's results. Pure: from what was measured to what is said."""
import statistics

MIB = 1 << 20
# Below this a percentage says nothing: the difference itself is given.
LEAST = 1 * MIB


def ok(runs):
    return [r for r in runs if r["status"] == "ok"]


def of(workload, contender):
    """A contender's runs of a workload."""
    return [r for r in workload["runs"]
            if (r["contender"], r["host"]) == (contender["name"], contender["host"])]


def bare_of(workload, run):
    """The bare run that a run is compared with: same round, interpreter and size."""
    for other in workload["runs"]:
        if other["contender"] == "bare" and other["status"] == "ok" and all(
                other[key] == run[key] for key in ("host", "scale", "round")):
            return other
    return None


def ratios(workload, contender, key):
    """A figure of each round relative to bare, where both runs have it."""
    found = []
    for run in ok(of(workload, contender)):
        bare = bare_of(workload, run)
        if bare and bare[key] > 0:
            found.append(run[key] / bare[key])
    return found


def versus(workload, ours, theirs):
    """Seconds of one contender relative to another's, of each round where both ran at the same size."""
    found = []
    for run in ok(of(workload, ours)):
        found += [run["seconds"] / other["seconds"] for other in ok(of(workload, theirs))
                  if (other["round"], other["scale"]) == (run["round"], run["scale"])]
    return found


def trouble(workload, contender):
    """The first run that went wrong: "timeout", "failed"; None if none did."""
    runs = of(workload, contender)
    return next((r for r in runs if r["status"] != "ok"), None)


def peak_truth(workload, contender, run):
    """What the peak was: of RSS, the run's own VmHWM, less what it had before the work where the
    profiler counts from there. What allocates is nearest to what the work added to RSS, in the
    bare run."""
    if contender["basis"] == "rss":
        return run["hwm"] - (run["rss_before"] if run["reading"]["relative"] else 0)
    bare = bare_of(workload, run)
    return bare["hwm"] - bare["rss_before"] if bare else None


def error(said, true):
    """(difference in bytes, share of the truth or None where that is too small)"""
    return said - true, (said - true) / true if abs(true) >= LEAST else None


def middle(errors):
    """The median by the difference's size; None of nothing."""
    return sorted(errors, key=lambda e: e[0])[len(errors) // 2] if errors else None


def peak_error(workload, contender):
    found = []
    for run in ok(of(workload, contender)):
        said = (run.get("reading") or {}).get("peak")
        true = peak_truth(workload, contender, run) if said is not None else None
        if true is not None:
            found.append(error(said, true))
    return middle(found)


def mark_truth(workload, contender, run, mark):
    """(what the contender's kind of figure should be, under which key of a reading), or None."""
    for truth in workload["truth"]:
        if (truth["host"], truth["scale"]) == (run["host"], run["scale"]):
            fact = truth["marks"].get(mark)
            if not fact:
                return None
            if is_copies(truth["marks"], mark):
                return fact["copied"], "copies"
            amount = fact[claim(contender["lines"], truth["marks"], fact)]
            return None if amount is None else (amount, "lines")
    return None


def claim(kind, marks, fact):
    """Which truth a figure about a line is to be held against. Of the line that runs at the high
    watermark, what it needs for the moment is live as well."""
    if kind == "watermark":
        return "most" if fact["top"] == max(m["top"] for m in marks.values()) else "held"
    return {"sum": "sum", "live": "held", "most": "most"}[kind]


def is_copies(marks, mark):
    """Is the mark about pages copied on write, rather than growth?"""
    return mark == "walk" and "built" in marks


def line_error(workload, contender, mark):
    """An error, "no line", or None if there is nothing to compare."""
    if contender["lines"] is None:
        return "no line"
    found, compared = [], False
    for run in ok(of(workload, contender)):
        truth = mark_truth(workload, contender, run, mark)
        if truth is None or not run.get("reading"):
            continue
        compared = True
        line = next(t["marks"][mark]["line"] for t in workload["truth"] if mark in t["marks"])
        said = run["reading"][truth[1]].get(str(line))
        if said is not None:
            found.append(error(said, truth[0]))
    if not compared:
        return None
    return middle(found) if found else "no line"


def summary(values):
    """(median, least, greatest)"""
    return statistics.median(values), min(values), max(values)


def marks_of(workload):
    """Names of the marks, in the order of their lines. What frees isn't compared."""
    found = {}
    for truth in workload["truth"]:
        for name, fact in truth["marks"].items():
            found[name] = fact["line"]
    return [n for n in sorted(found, key=found.get) if n != "del"]
