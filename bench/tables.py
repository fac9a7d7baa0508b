# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tables of docs/BENCHMARKS.md about pymem-bpf alone, from what run.py, probe_cost.py, mprun.py,
nanoseconds.py, host_cost.py, memit.py, tool.py, top.py, record.py and agent.py keep in build/bench/. Pure: each takes one file's object."""
import statistics

TOLERANCE_MIB = 1.0


def table(rows, head=None):
    lines = ["| %s |" % " | ".join(head), "|" + "---|" * len(head)] if head else []
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in rows])


def spread(values, form="%.2f"):
    """Median (least to greatest)."""
    if len(values) == 1:
        return form % values[0]
    return (form + " (" + form + " to " + form + ")") % (
        statistics.median(values), min(values), max(values))


def target(value):
    return "<= %.2f" % value if value else ""


def measured_on(data, scale=None):
    rounds = "%d round%s" % (data["rounds"], "s"[:data["rounds"] > 1])
    return "%s; %s; %s%s. Medians, in brackets the least and the greatest.\n\n" % (
        data["python"], data["machine"], rounds, ", scale %g" % scale if scale else "")


def walk_row(case):
    if "skipped" in case:
        return [case["title"], "SKIP: " + case["skipped"], "", "", "", "", ""]
    per_fault = "%.0f + %.0f" % tuple(case["fault_ns"]) if "fault_ns" in case else ""
    return [case["title"], spread(case["bare"], "%.3f"), "%d" % case["faults"],
            spread(case["ratios"], "%.3f"), target(case["target"]),
            spread(case["empty"], "%.3f") if "empty" in case else "", per_fault]


def walk_text(data):
    return measured_on(data, data["scale"]) + table(
        [walk_row(case) for case in data["cases"]],
        ["workload", "bare s", "faults", "slowdown", "target", "empty programs", "ns a fault: kernel + ours"])


def probes_text(data):
    return measured_on(data, data["scale"]) + table(
        [[c["title"], spread(c["bare"], "%.3f"), spread(c["empty_ns"], "%.0f"), spread(c["lines_ns"], "%.0f"),
          spread(c["ratios"]), target(c["target"])] for c in data["cases"]],
        ["workload", "bare s", "ns an event, empty", "ns an event, the engine", "ratio", "target"])


def mprun_row(case):
    theirs = "not installed for this Python"
    if case["theirs"]:
        theirs = "%s [%.2g]" % (spread(case["theirs"], "%.0f"), case["their_share"])
    return [case["title"], spread(case["bare"], "%.3f"), spread(case["ours"]), target(case["target"]), theirs]


def mprun_text(data):
    return measured_on(data) + table(
        [mprun_row(case) for case in data["cases"]],
        ["function", "bare s", "pymem_bpf, times bare", "target",
         "memory_profiler, times bare [share of the work]"])


def memit_text(data):
    rows = []
    for name, runs in data["results"].items():
        right = sum(abs(said - true) <= TOLERANCE_MIB for said, true, _ in runs)
        rows.append([name, "%d of %d" % (right, len(runs)), spread([r[0] for r in runs], "%.1f"),
                     spread([r[1] for r in runs], "%.1f"), spread([r[2] for r in runs], "%.3f")])
    rows += [[name, "SKIP: " + why, "", "", ""] for name, why in data["skipped_names"].items()]
    return measured_on(data) + table(rows, ["`%memit` of", "right within 1 MiB", "said, MiB",
                                            "VmHWM, MiB", "s"])


NANOSECONDS_FORMS = {"ns": "%.0f", "ms": "%.0f", "MiB": "%.0f", "times": "%.2f", "times bare": "%.2f"}


def nanoseconds_row(row):
    form = NANOSECONDS_FORMS[row["unit"]]
    before, after = (statistics.median(row[side]) for side in ("before", "after"))
    return [row["title"], spread(row["before"], form), spread(row["after"], form),
            "%.2f" % (after / before) if before else "-",
            "%s%s" % ("<= %g " % row["target"] if row["target"] else "", row["unit"])]


def nanoseconds_text(data):
    notes = ["Before: commit %s. The machine's load was %.1f when it began and %.1f at its end." % (
        data["before"], *data["load"])]
    if data["clock"]:
        notes.append("An empty program takes %s ns by the same clock, which is subtracted." %
                     spread(data["clock"], "%.0f"))
    if not data["counters"]:
        notes.append("This machine has no counters of instructions or cache misses: a virtual one.")
    if data["missing"]:
        notes.append("Not there: Python %s." % ", ".join(data["missing"]))
    return measured_on(data) + table(
        [nanoseconds_row(row) for row in data["rows"]],
        ["what", "before", "after", "after / before", "target"]) + "\n\n" + " ".join(notes)


def host_text(data):
    """data["ns"]: {way: {call: [ns]}}"""
    rows = [["`%s`" % way if way.startswith("-") else way] + [
        "%.0f (%.0f to %.0f)" % (statistics.median(ns), min(ns), max(ns)) if ns else "-" for ns in calls.values()]
            for way, calls in data["ns"].items()]
    counts = [len(calls["getppid"]) for calls in data["ns"].values()]
    bursts = "%d" % counts[0] if min(counts) == max(counts) else "%d to %d" % (min(counts), max(counts))
    return "%s; %s bursts of each, rounds: %d, load %.1f at the end. Medians, in brackets the least and the greatest.\n\n" % (
        data["machine"], bursts, data["rounds"], data["load"]) + table(
        rows, ["ns of a process that is not profiled", "getppid", "brk up and down", "mmap and munmap"])


EVENT_WAYS = ("off", "idle", "busy")


def median_of(runs, key):
    values = [run[key] for run in runs if run[key] is not None]
    return statistics.median(values) if values else None


def own_programs(ways):
    """"cache_added 640, cache_deleted 210": what a run of each takes that is loaded with the source alone."""
    others = {name for run in ways["off"] for name in run["loaded"]}
    names = sorted({name for run in ways["busy"] for name in run["own"]} - others)
    return ", ".join("%s %.0f" % (name, statistics.median(run["own"][name] for run in ways["busy"] if name in run["own"]))
                     for name in names) or "-"


def events_text(data):
    """data["sources"]: {source: {"unit": what is counted, way: [what bench/events.py found, of each round]}}"""
    sources = data["sources"]
    quickest = [median_of(ways[way], "least") for ways in sources.values() for way in EVENT_WAYS]
    rows = [["`%s`" % source, ways["unit"]] + ["%.0f" % median_of(ways[way], "ns") for way in EVENT_WAYS] +
            [", ".join("%.2f" % median_of(ways[way], "runs") for way in EVENT_WAYS), own_programs(ways)]
            for source, ways in sources.items()]
    return table(rows, ["source", "unit", "off, ns", "idle, ns", "busy, ns", "runs of programs: off, idle, busy",
                        "its own programs, ns a run, busy"]) + (
        "\n\nMedians of %d; %s; %s, load %.1f at the end. The quickest program took %.0f ns a run, the clock's own time included." % (
            data["rounds"], data["python"], data["machine"], data["load"], min(ns for ns in quickest if ns is not None)))


def tool_text(data):
    return measured_on(data, data["scale"]) + table(data["rows"],
                                                    ["the profiler", "measured", "target"])


def many_text(data):
    return "%s; %s; %d rounds. Medians, in brackets the least and the greatest.\n\n" % (
        data["python"], data["machine"], data["rounds"]) + table(data["rows"], ["%d Pythons" % data["count"], "measured", "target"])


def top_text(data):
    return "%s; %s; over %g s.\n\n" % (data["python"], data["machine"], data["seconds"]) + table(
        data["rows"], ["the screen shows", "of a CPU, and by process", "bytes a second to the terminal", "target"])


def record_text(data):
    return "%s; %s; over %g s (bytes of one process: %g s), %g steps a second of each process.\n\n" % (
        data["python"], data["machine"], data["seconds"], data["long"], data["rate"]) + table(
        data["rows"], ["recorded", "of a CPU", "with CPUs kept awake", "without a recording", "stacks that change in a second",
                       "bytes of each", "an hour", "of that, names and sources"])


def agent_text(data):
    return "%s; %s; over %g s; those that grow make %g steps a second, metrics are asked for every %d s.\n\n" % (
        data["python"], data["machine"], data["seconds"], data["rate"], data["scrape"]) + table(
        data["rows"], ["Pythons", "of a CPU, and by process", "BPF in others", "RSS", "PSS", "it wakes up, a second",
                       "stacks recorded in a second (once an interval each)", "Pythons in all", "the host starts, a second"])


def memray_text(data, pairs):
    """`pairs`: {workload: [pymem-bpf's seconds / memray's, of each round]}"""
    return table([[name + " " + data["workloads"][name]["title"],
                   spread(ratios) if ratios else "n/a"] for name, ratios in pairs.items()],
                 ["workload", "pymem-bpf, walk / memray"])
