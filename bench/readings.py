# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each profiler's output says about a program: {"peak": bytes or None, "lines": {line:
bytes}, "copies": {line: bytes}, "relative": whether the peak is above what the process had when the
profiler began to look}. Pure functions of texts; tests feed them recorded ones.

"lines" are of the program's own file and include what a line's callees did, wherever the profiler
knows. "copies": pages copied on write, where it knows of them.
"""
import json
import os
import re

MIB = 1 << 20
PAGE = 4096
TABLE_ROW = re.compile(r"^\s*(\d+)\s+(-?[\d.]+) MiB\s+(-?[\d.]+) MiB\s+(\d+)\s")


class NoReading(ValueError):
    """The output is not what the profiler is known to write."""


def reading(peak=None, lines=None, copies=None, relative=False):
    return {"peak": peak, "lines": lines or {}, "copies": copies or {}, "relative": relative}


def line_tables(text):
    """memory_profiler's table of lines, which %mprun prints as well. There is no peak in it but
    the highest Mem usage. The first row of a table holds what was there before."""
    peak, lines, first = 0.0, {}, False
    for row in text.splitlines():
        if row.startswith("Line #"):
            first = True
        match = TABLE_ROW.match(row)
        if not match:
            continue
        number, usage, increment = int(match[1]), float(match[2]), float(match[3])
        peak = max(peak, usage)
        if not first:
            lines[number] = lines.get(number, 0) + int(increment * MIB)
        first = False
    if not peak:
        raise NoReading("no table of lines in it")
    return reading(int(peak * MIB), lines)


def mprof_file(text):
    """mprof's samples: "MEM MiB time", and "FUNC …" with its RSS at a call's begin and end."""
    samples = [float(row.split()[1]) for row in text.splitlines() if row.startswith("MEM ")]
    if not samples:
        raise NoReading("no sample in it")
    return reading(int(max(samples) * MIB))


def scalene_profile(text, program):
    """n_peak_mb: the most that a line held at one time."""
    profile = json.loads(text)
    if "max_footprint_mb" not in profile:
        raise NoReading("no max_footprint_mb: %s" % (profile.get("error") or text[:80]))
    rows = profile["files"].get(program, {}).get("lines", [])
    lines = {row["lineno"]: int(row["n_peak_mb"] * MIB) for row in rows if row["n_peak_mb"] > 0}
    return reading(int(profile["max_footprint_mb"] * MIB), lines)


def memray_lines(text):
    """What bench/same/memray_lines.py prints."""
    said = json.loads(text)
    return reading(said["peak"], {int(k): v for k, v in said["lines"].items()})


def austin_samples(text, program):
    """Stacks with the change of RSS since the sample before, in bytes. The first process is the
    program; its peak is the highest sum, above what it had at the first sample."""
    rss, peak, lines, process = 0, 0, {}, None
    for row in text.splitlines():
        if not row.startswith("P") or " " not in row:
            continue
        stack, _, number = row.rpartition(" ")
        parts = stack.split(";")
        process = process or parts[0]
        if parts[0] == process:
            rss += int(number)
            peak = max(peak, rss)
        seen = {int(part.rsplit(":", 1)[1]) for part in parts[2:]
                if part.startswith(program + ":")}
        for line in seen:
            lines[line] = lines.get(line, 0) + int(number)
    if process is None:
        raise NoReading("no sample in it")
    return reading(peak, lines, relative=True)


def pymem_report(text, program):
    """pymem-bpf's JSON. A line shared by two functions (a comprehension) is two entries, of which
    the outer's total has the inner's in it, but for short-lived frames: the greater counts."""
    # What started the interpreter has the program's name in its arguments as well.
    processes = [p for p in json.loads(text)["processes"] if p["python"] and runs(p, program)]
    if not processes:
        raise NoReading("it doesn't have the process")
    # A fork keeps its parent's command line: the parent is the one whose parent isn't there.
    pids = {p["pid"] for p in processes}
    root = next(p for p in processes if p["ppid"] not in pids)
    lines, copies = {}, {}
    for entry in root["lines"]:
        if entry["file"] == program:
            said = entry.get("run_increment_bytes", entry["total_bytes"])
            lines[entry["line"]] = max(lines.get(entry["line"], 0), said, key=abs)
    for process in processes:
        of_process = {}
        for entry in process["lines"]:
            if entry["file"] == program:
                of_process[entry["line"]] = max(of_process.get(entry["line"], 0),
                                                entry["cow_total_faults"] * PAGE)
        for line, said in of_process.items():
            copies[line] = copies.get(line, 0) + said
    return reading(root["rss_peak_bytes"], {k: v for k, v in lines.items() if v},
                   {k: v for k, v in copies.items() if v})


def runs(process, program):
    return any(os.path.basename(word) == os.path.basename(program) for word in process["cmdline"])


def traced(result):
    """tracemalloc, from what the program says of itself (bench/same/measured.py)."""
    if result.get("traced_peak") is None:
        raise NoReading("tracemalloc was not on")
    return reading(result["traced_peak"], {int(k): v for k, v in (result["live"] or {}).items()})
