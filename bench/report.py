# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tables and plots of what bench/suite.py measured, which lies in build/bench/.

  bench/report.py [--docs FOLDER] [--only NAME,…]

Writes the tables between the markers "<!-- bench: NAME -->" and "<!-- /bench: NAME -->" of BENCHMARKS.md, one of them of EVENTS.md, and
benchmarks.svg and benchmarks-touched.svg, into FOLDER (docs); what is around the tables is always that of docs. A section whose
file isn't there stays as it is; then the exit status is 1. Each section says on what it was measured.
"""
import argparse
import json
import os
import re
import sys

import common
import figures
import running
import svg
import tables

MIB = 1 << 20
DOCS = os.path.join(common.PROJECT, "docs")


def label(contender):
    return "%s (%s)" % (contender["name"], contender["python"].split()[-1].rsplit(".", 1)[0])


def number(value):
    """A slowdown: two decimals, fewer where it is large."""
    return "%.2f" % value if value < 9.95 else "%.1f" % value if value < 99.5 else "%.0f" % value


def percent(pair):
    """An error as the tables show it."""
    if pair is None:
        return "n/a"
    if isinstance(pair, str):
        return pair
    difference, share = pair
    if share is None:
        return "%+.1f MiB" % (difference / MIB)
    return ("%+.1f %%" if abs(share) < 0.0995 else "%+.0f %%") % (100 * share)


def table(head, rows):
    return tables.table(rows, head)


def contenders_table(data):
    rows = [[label(c), c["version"], c["measures"]] for c in data["contenders"]]
    rows += [[name, "not compared", reason] for name, reason in sorted(data["missing"].items())]
    return table(["contender (Python)", "version", "what it measures"], rows)


def ratio_cell(workload, contender, key, scale):
    ratios = figures.ratios(workload, contender, key)
    if not ratios:
        bad = figures.trouble(workload, contender)
        return bad["status"] if bad else "n/a"
    middle, least, most = (number(v) for v in figures.summary(ratios))
    cell = middle if len(ratios) == 1 else "%s (%s to %s)" % (middle, least, most)
    size = figures.of(workload, contender)[0]["scale"] / scale
    return cell if abs(size - 1) < 1e-9 else "%s [%g]" % (cell, size)


def ratio_table(data, key):
    names = list(data["workloads"])
    rows = [[label(c)] + [ratio_cell(data["workloads"][n], c, key, data["scale"]) for n in names]
            for c in data["contenders"]]
    titles = ["%s %s" % (n, data["workloads"][n]["title"]) for n in names]
    return table(["contender"] + titles, rows)


def peak_table(data):
    names = list(data["workloads"])
    rows = [[label(c), "RSS" if c["basis"] == "rss" else "allocation"] +
            [percent(figures.peak_error(data["workloads"][n], c)) for n in names]
            for c in data["contenders"]]
    return table(["contender", "its peak is of"] + names, rows)


def truth_cell(workload, mark):
    fact = max((t for t in workload["truth"] if mark in t["marks"]), key=lambda t: t["scale"])
    marks = fact["marks"]
    fact = marks[mark]
    if figures.is_copies(marks, mark):
        return "%.1f copied" % (fact["copied"] / MIB)
    rest = "" if fact["held"] is None else "; %.1f; %.1f" % (fact["held"] / MIB, fact["most"] / MIB)
    return "%.1f%s" % (fact["sum"] / MIB, rest)


def lines_table(data):
    chosen = [c for c in data["contenders"] if c["lines"]]
    kinds = {"sum": "Σ", "live": "live", "watermark": "live", "most": "most"}
    rows = []
    for name, workload in data["workloads"].items():
        for mark in figures.marks_of(workload):
            rows.append(["%s `%s`" % (name, mark), truth_cell(workload, mark)] +
                        [percent(figures.line_error(workload, c, mark)) for c in chosen])
    return table(["line", "truth, MiB: Σ; live; most"] +
                 ["%s, %s" % (label(c), kinds[c["lines"]]) for c in chosen], rows)


def trouble_list(data):
    """What went wrong, by name."""
    found = []
    for name, workload in data["workloads"].items():
        for contender in data["contenders"]:
            bad = figures.trouble(workload, contender)
            if bad:
                runs = figures.of(workload, contender)
                found.append("- %s, %s: %s in %d of %d runs: %s" % (
                    name, label(contender), bad["status"],
                    sum(r["status"] != "ok" for r in runs), len(runs), bad["reason"]))
            silent = {r["unreadable"] for r in figures.of(workload, contender)
                      if r.get("unreadable")}
            found += ["- %s, %s: its output can't be read: %s" % (name, label(contender), why)
                      for why in sorted(silent)]
    return "\n".join(found)


def everyone_text(data):
    parts = ["%s. %d round%s, scale %g." % (data["machine"], data["rounds"],
                                          "s" if data["rounds"] > 1 else "", data["scale"]),
             contenders_table(data),
             "**Slowdown** of the work itself, median of the rounds' ratios to bare (range). [0.02]: "
             "run at that share of the work, bare too, since the whole would take minutes to hours.",
             ratio_table(data, "seconds"),
             memray_part(data),
             "**Peak RSS** of the profiled process relative to bare, by its own VmHWM (median, "
             "range). At small shares this is mostly what the profiler, or IPython, brings along.",
             ratio_table(data, "hwm"),
             "**The peak they report**, error. Of RSS: against the VmHWM of that very process. Of "
             "austin, which counts from where it began: against VmHWM less the RSS before the work; "
             "imports in between count as too much. Of "
             "allocation: against what the work added to the bare program's RSS; there a difference "
             "need not be a mistake, since what is allocated and what is resident are two things. "
             "Tables of lines have no peak of their own: the highest Mem usage, which is that at the "
             "end of a line.",
             peak_table(data),
             "**The lines they report**, error. Σ: the sum of what the runs of the line changed; "
             "the truth is the process's own page tables before and after each run. live: what the "
             "line holds, against the most that one run of it added (for memray's high watermark "
             "with what the line needs for the moment, if it is the line that runs then). most: the "
             "line's own peak. `no line`: it says nothing about that line. Truths below 1 MiB: the "
             "difference. The truth is taken in a plain process of that interpreter and size (the "
             "column shows the largest size); what a profiler brings into the process changes what "
             "its heap can reuse, so small differences of those that run inside are not all theirs.",
             lines_table(data)]
    wrong = trouble_list(data)
    return "\n\n".join(parts + (["What went wrong:\n\n" + wrong] if wrong else []))


def memray_part(data):
    """pymem-bpf beside memray's plain mode: the same rounds, interpreter and size."""
    theirs = next((c for c in data["contenders"] if c["name"] == "memray"), None)
    ours = next((c for c in data["contenders"] if c["name"] == "pymem-bpf, walk" and
                 theirs and c["host"] == theirs["host"]), None)
    if not ours:
        return "memray could not be compared with on its interpreter."
    pairs = {name: figures.versus(w, ours, theirs) for name, w in data["workloads"].items()}
    return ("**Beside memray's plain mode**, both on %s: the work's seconds under pymem-bpf relative to "
            "those under memray in the same round. Below 1, pymem-bpf is the quicker.\n\n" %
            ours["python"] + tables.memray_text(data, pairs))


def touched_cell(data, contender, share):
    for run in data["runs"]:
        if (run["contender"], run["host"], run["percent"]) == (contender["name"], contender["host"],
                                                             share):
            if run["status"] != "ok":
                return run["status"]
            return "n/a" if run["said"] is None else "%.0f" % (run["said"] / MIB)
    return "n/a"


def line_amount(run, fact):
    said = run["lines"].get(str(fact["line"]))
    return "-" if said is None else "%.0f" % (said / MIB)


def touched_text(data):
    shares = sorted(int(share) for share in data["truth"])
    middle = shares[len(shares) // 2]
    truth = data["truth"]
    resident = ["**truth: resident**"] + [
        "%.0f" % (sum(truth[str(s)][m]["sum"] for m in ("allocate", "touch")) / MIB)
        for s in shares] + [" / ".join("%.0f" % (truth[str(middle)][m]["sum"] / MIB)
                                       for m in ("allocate", "touch"))]
    asked = ["**truth: asked for**"] + ["%.0f" % (data["size"] / MIB)] * len(shares) + [
        "%.0f / 0" % (data["size"] / MIB)]
    rows = [resident, asked]
    for contender in data["contenders"]:
        of_middle = [r for r in data["runs"] if r["percent"] == middle and
                     (r["contender"], r["host"]) == (contender["name"], contender["host"])]
        lines = "no line"
        if contender["lines"] and of_middle:
            lines = " / ".join(line_amount(of_middle[0], truth[str(middle)][m])
                               for m in ("allocate", "touch"))
        cells = [touched_cell(data, contender, s) for s in shares]
        rows.append([label(contender)] + cells + [lines])
    return table(["MiB, by share touched"] + ["%d %%" % s for s in shares] +
                 ["lines at %d %%: allocate / touch" % middle], rows)


def replace(text, name, body):
    """The text with what is between the markers replaced; they must be there, once."""
    pattern = re.compile(r"(<!-- bench: %s -->\n).*?(<!-- /bench: %s -->)" % (name, name), re.S)
    done, count = pattern.subn(lambda m: "%s\n%s\n\n%s" % (m[1], body, m[2]), text)
    if count != 1:
        raise ValueError("the markers of %s are there %d times, not once" % (name, count))
    return done


# Sections that are one file's text; everyone and touched have plots as well.
SECTIONS = {"run": tables.walk_text, "probe_cost": tables.probes_text, "mprun": tables.mprun_text,
            "memit": tables.memit_text, "tool": tables.tool_text, "nanoseconds": tables.nanoseconds_text,
            "host_cost": tables.host_text, "events": tables.events_text,
            "top": tables.top_text, "record": tables.record_text, "agent": tables.agent_text,
            "many": tables.many_text, "everyone": everyone_text,
            "touched": touched_text}
DOCUMENTS = {"events": "EVENTS.md"}  # where a section is that is not in BENCHMARKS.md
PLOTS = {"everyone": ("benchmarks.svg", svg.slowdowns, "Slowdown of each workload under each profiler"),
         "touched": ("benchmarks-touched.svg", svg.touched,
                     "What profilers report about an array that is partly touched")}


def load(name):
    """What was measured; None if it isn't there."""
    path = os.path.join(running.OUTPUT, name + ".json")
    if not os.path.exists(path):
        return None
    with open(path) as f:
        return json.load(f)


def section(name, data):
    """The text of a section."""
    if "skipped" in data:
        return "Not measured: %s." % data["skipped"]
    text = SECTIONS[name](data)
    return text + "\n\n![%s](%s)" % (PLOTS[name][2], PLOTS[name][0]) if name in PLOTS else text


def document_of(name):
    return DOCUMENTS.get(name, "BENCHMARKS.md")


def template(document):
    with open(os.path.join(DOCS, document), encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    print("wrote " + os.path.relpath(path, common.PROJECT))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs", default=DOCS, help="where all is written (docs)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas (all)")
    options = parser.parse_args()
    texts, missing = {}, []
    for name in [n for n in SECTIONS if n in options.only.split(",")]:
        data = load(name)
        if data is None:
            missing.append(name)
            continue
        document = document_of(name)
        texts[document] = replace(texts.get(document) or template(document), name, section(name, data))
        if name in PLOTS:
            write(os.path.join(options.docs, PLOTS[name][0]), PLOTS[name][1](data, label))
    for document, text in texts.items():
        write(os.path.join(options.docs, document), text)
    for name in missing:
        print("report.py: there is no build/bench/%s.json (bench/%s.py writes it): its section stays as "
              "it was" % (name, name), file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
