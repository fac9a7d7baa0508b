#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How the benchmarks read the output of profilers; their statistics, tables and plots.

The outputs in tests/unit/data/bench were recorded from the real profilers on bench/same/ and cut
down. What is expected of them was read by a person.
"""
import json
import contextlib
import io
import os
import sys
import tempfile
import unittest
from unittest import mock
from xml.etree import ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench"))

import everyone  # noqa: E402
import figures  # noqa: E402
import host_cost  # noqa: E402
import nanoseconds  # noqa: E402
import readings  # noqa: E402
import report  # noqa: E402
import running  # noqa: E402
import suite  # noqa: E402
import svg  # noqa: E402
import tables  # noqa: E402
import tool  # noqa: E402

MIB = 1 << 20
OBJECTS, PREFORK = "/srv/app/small_objects.py", "/srv/app/prefork.py"


def recorded(name):
    with open(os.path.join(HERE, "data", "bench", name), encoding="utf-8") as f:
        return f.read()


class Readings(unittest.TestCase):
    def test_memory_profiler_table(self):
        said = readings.line_tables(recorded("memory_profiler.txt"))
        self.assertEqual(said["peak"], int(50.184 * MIB))
        self.assertEqual(said["lines"][8], int(1.738 * MIB))
        self.assertEqual(said["lines"][9], int(1.812 * MIB))
        self.assertNotIn(6, said["lines"], "the first row is what was there before")

    def test_mprun_table(self):
        said = readings.line_tables(recorded("mprun.txt"))
        self.assertEqual(said["peak"], int(131.4 * MIB))
        self.assertEqual(said["lines"][8], int(48.6 * MIB))
        self.assertEqual(said["lines"][16], int(-77.5 * MIB))

    def test_mprof_samples(self):
        self.assertEqual(readings.mprof_file(recorded("mprof.dat"))["peak"], int(93.167969 * MIB))

    def test_scalene_profile(self):
        said = readings.scalene_profile(recorded("scalene.json"), OBJECTS)
        self.assertEqual([round(said["peak"] / MIB), round(said["lines"][8] / MIB),
                          round(said["lines"][9] / MIB)], [70, 40, 30])
        self.assertEqual(sorted(said["lines"]), [8, 9], "a line that held nothing is not named")

    def test_memray_lines(self):
        said = readings.memray_lines(recorded("memray.json"))
        self.assertEqual(said["peak"], 88959914)
        self.assertEqual((said["lines"][8], said["lines"][9]), (50842144, 37049712))

    def test_austin_samples(self):
        said = readings.austin_samples(recorded("austin.txt"), OBJECTS)
        self.assertEqual(said["lines"][8], 2 * (618496 + 32768) + 2 * 57344)
        self.assertEqual(said["lines"][16], -11493376 - 925696 - 20480)
        self.assertEqual(said["peak"], 126976 + said["lines"][8])
        self.assertTrue(said["relative"])

    def test_austin_recursion_counts_once(self):
        text = "P1;T0:1;/a.py:f:3;/a.py:f:3 4096\nP2;T0:2;/a.py:f:9 8192\n"
        said = readings.austin_samples(text, "/a.py")
        self.assertEqual(said["lines"], {3: 4096, 9: 8192})
        self.assertEqual(said["peak"], 4096, "another process is not part of the peak")

    def test_walk_has_copies_of_children(self):
        said = readings.pymem_report(recorded("walk.json"), PREFORK)
        self.assertEqual(said["lines"][11], 50688000)
        self.assertEqual(said["copies"][17], 193110016, "all four children")
        self.assertEqual(said["peak"], 61030400, "the parent's")

    def test_launchers_and_comprehensions(self):
        """The shell that became the interpreter isn't the program; of a line's two functions the
        one that changed more counts, down as well as up."""
        def image(python, lines):
            return {"pid": 5, "ppid": 1, "cmdline": ["sh", "/a.py"], "python": python,
                    "rss_peak_bytes": len(lines), "lines": lines}

        def entry(total):
            return {"file": "/a.py", "line": 2, "total_bytes": total, "cow_total_faults": 0}

        report_of = {"processes": [image(None, []), image("3.13.5", [entry(-9), entry(-4)])]}
        said = readings.pymem_report(json.dumps(report_of), "/a.py")
        self.assertEqual((said["peak"], said["lines"]), (2, {2: -9}))

    def test_lines_engine(self):
        said = readings.pymem_report(recorded("lines.json"), OBJECTS)
        self.assertEqual((said["lines"][8], said["lines"][9]), (5042176, 3977216))

    def test_tracemalloc(self):
        said = readings.traced(json.loads(recorded("tracemalloc.json")))
        self.assertEqual((said["peak"], said["lines"][8]), (10323842, 4577154))

    def test_what_is_no_output_is_refused(self):
        for read, text in ((readings.line_tables, "Filename: x\n"),
                           (readings.mprof_file, "CMDLINE"),
                           (lambda t: readings.scalene_profile(t, OBJECTS), '{"error": "short"}'),
                           (lambda t: readings.austin_samples(t, OBJECTS), "# austin: 3.7.0\n"),
                           (lambda t: readings.pymem_report(t, OBJECTS), '{"processes": []}'),
                           (lambda t: readings.traced(json.loads(t)), '{"traced_peak": null}')):
            with self.assertRaises(readings.NoReading):
                read(text)


def ran(contender, number, seconds, hwm=100 * MIB, scale=1.0, said=None, status="ok"):
    return {"contender": contender, "host": "system", "scale": scale, "round": number,
            "status": status, "reason": "no end in 9 s", "seconds": seconds, "hwm": hwm,
            "rss_before": 20 * MIB, "reading": said}


def contender(name, basis="rss", lines="sum"):
    return {"name": name, "host": "system", "python": "Python 3.11.2", "version": "1",
            "basis": basis, "lines": lines, "measures": "things"}


def sample():
    """Three rounds of a workload with a known outcome."""
    runs = []
    for number, bare, rss in ((0, 1.0, 2.0), (1, 2.0, 2.0), (2, 1.0, 1.5)):
        runs.append(ran("bare", number, bare))
        runs.append(ran("bare", number, bare / 100, scale=0.01))
        runs.append(ran("rss", number, rss, 110 * MIB, said=readings.reading(
            peak=121 * MIB, lines={"7": 33 * MIB}, copies={"9": 5 * MIB})))
        runs.append(ran("alloc", number, bare, said=readings.reading(
            peak=60 * MIB, lines={"7": 10 * MIB})))
        runs.append(ran("small", number, bare, scale=0.01, said=readings.reading(peak=100 * MIB)))
    runs.append(ran("late", 0, None, status="timeout"))
    marks = {"built": {"line": 7, "runs": 3, "sum": 30 * MIB, "held": 10 * MIB, "most": 12 * MIB,
                       "top": 90 * MIB, "copied": 0},
             "walk": {"line": 9, "runs": 4, "sum": 0, "held": 0, "most": 0, "top": 0,
                      "copied": 10 * MIB},
             "del": {"line": 8, "runs": 1, "sum": -30 * MIB, "held": 0, "most": 0, "top": 0,
                     "copied": 0}}
    truth = [{"host": "system", "scale": 1.0, "marks": marks}]
    return {"title": "a title", "truth": truth, "runs": runs}


class Figures(unittest.TestCase):
    def test_ratio_is_to_the_same_rounds_bare(self):
        found = figures.ratios(sample(), contender("rss"), "seconds")
        self.assertEqual(found, [2.0, 1.0, 1.5])
        self.assertEqual(figures.summary(found), (1.5, 1.0, 2.0))
        self.assertEqual(figures.ratios(sample(), contender("small"), "seconds"), [100.0] * 3)

    def test_peak_is_compared_with_what_it_claims(self):
        difference, share = figures.peak_error(sample(), contender("rss"))
        self.assertEqual((difference, round(share, 3)), (11 * MIB, 0.1))
        difference, share = figures.peak_error(sample(), contender("alloc", "alloc", "live"))
        self.assertEqual((difference, share), (-20 * MIB, -0.25))

    def test_relative_peak(self):
        """austin counts from what the process had when it attached."""
        workload = sample()
        for run in workload["runs"]:
            if run["contender"] == "rss":
                run["reading"].update(peak=99 * MIB, relative=True)
        difference, share = figures.peak_error(workload, contender("rss"))
        self.assertEqual((difference, round(share, 3)), (9 * MIB, 0.1))

    def test_lines_are_compared_with_what_they_claim(self):
        self.assertEqual(figures.line_error(sample(), contender("rss"), "built"), (3 * MIB, 0.1))
        self.assertEqual(figures.line_error(sample(), contender("alloc", "alloc", "live"), "built"),
                         (0, 0.0))
        self.assertEqual(figures.line_error(sample(), contender("rss"), "walk"), (-5 * MIB, -0.5))
        self.assertEqual(figures.line_error(sample(), contender("alloc"), "walk"), "no line")
        self.assertEqual(figures.line_error(sample(), contender("rss", lines=None), "built"),
                         "no line")
        self.assertIsNone(figures.line_error(sample(), contender("late"), "built"))

    def test_small_truths_have_no_percentage(self):
        self.assertEqual(figures.error(300000, 100000), (200000, None))

    def test_order_rotates(self):
        runs = list("abcd")
        orders = [everyone.rotated(runs, n) for n in range(4)]
        self.assertTrue(all(sorted(order) == runs for order in orders))
        self.assertEqual(len({tuple(order) for order in orders}), 4)
        for one in runs:
            self.assertGreater(len({order.index(one) for order in orders}), 1)

    def test_truth_adds_up(self):
        objects = [{"mark": "a", "line": 3, "rss": 5, "most": 6, "top": 10, "copied": 3},
                   {"mark": "a", "line": 3, "rss": -2, "most": 9, "top": 8, "copied": 4},
                   {"known": {"b": 8}}]
        self.assertEqual(running.add_up(objects, {"b": 6}), {
            "a": {"line": 3, "runs": 2, "sum": 3, "held": 5, "most": 9, "top": 10, "copied": 7},
            "b": {"line": 6, "runs": None, "sum": 8, "held": None, "most": None, "top": 0,
                  "copied": 0}})
        program = os.path.join(running.contenders.SAME, "prefork.py")
        found = running.marked_lines(program)
        with open(program, encoding="utf-8") as f:
            rows = f.read().splitlines()
        self.assertEqual({name: rows[line - 1].split("# ")[1] for name, line in found.items()},
                         {"built": "truth: built", "walk": "truth: walk"})

    def test_which_truth(self):
        """memray's figure of the line that runs at the watermark has its temporaries in it."""
        marks = {"a": {"top": 50}, "b": {"top": 70}}
        for kind, a, b in (("sum", "sum", "sum"), ("live", "held", "held"),
                           ("most", "most", "most"), ("watermark", "held", "most")):
            self.assertEqual(figures.claim(kind, marks, marks["a"]), a)
            self.assertEqual(figures.claim(kind, marks, marks["b"]), b)


def whole():
    return {"machine": "Linux", "rounds": 3, "scale": 1.0, "missing": {"x (tree)": "no mirror"},
            "workloads": {"W8": sample()},
            "contenders": [contender("rss"), contender("alloc", "alloc", "live"),
                           contender("small"), contender("late"), contender("never")]}


class Report(unittest.TestCase):
    def test_tables(self):
        text = report.everyone_text(whole())
        for cell in ("| rss (3.11) | 1.50 (1.00 to 2.00) |",
                     "| small (3.11) | 100 (100 to 100) [0.01] |",
                     "| late (3.11) | timeout |", "| x (tree) | not compared | no mirror |",
                     "| rss (3.11) | RSS | +10 % |", "| alloc (3.11) | allocation | -25 % |",
                     "| W8 `built` | 30.0; 10.0; 12.0 | +10 % | +0.0 % |",
                     "| W8 `walk` | 10.0 copied | -50 % |",
                     "- W8, late (3.11): timeout in 1 of 1 runs: no end in 9 s", "3 rounds, scale 1"):
            self.assertIn(cell, text)
        self.assertNotIn("`del`", text)
        widths = {row.count("|") for row in report.lines_table(whole()).splitlines()}
        self.assertEqual(len(widths), 1, "all rows have the same columns")

    def test_markers(self):
        text = "a\n<!-- bench: x -->\nold\n<!-- /bench: x -->\nb\n"
        new = report.replace(text, "x", "new \\1")
        self.assertEqual(new, "a\n<!-- bench: x -->\n\nnew \\1\n\n<!-- /bench: x -->\nb\n")
        self.assertEqual(report.replace(new, "x", "new \\1"), new)
        with self.assertRaises(ValueError):
            report.replace("nothing", "x", "new")

    def test_docs_have_the_markers(self):
        for name in report.SECTIONS:
            self.assertIn("body", report.replace(report.template(report.document_of(name)), name, "body"))

    def test_beside_memray(self):
        """Ours relative to memray in the same round, on memray's interpreter."""
        runs = [ran("pymem-bpf, walk", n, ours) for n, ours in enumerate((2.0, 3.0, 6.0))]
        runs += [ran("memray", n, 4.0) for n in range(3)]
        other = dict(ran("pymem-bpf, walk", 0, 99.0), host="tree")
        data = {"workloads": {"W1": {"title": "x", "truth": [], "runs": runs + [other]}},
                "contenders": [dict(contender("pymem-bpf, walk"), host="tree"),
                               contender("pymem-bpf, walk"), contender("memray")]}
        self.assertIn("| W1 x | 0.75 (0.50 to 1.50) |", report.memray_part(data))

    def test_sections_without_measurements_stay(self):
        with tempfile.TemporaryDirectory() as docs, tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(running, "OUTPUT", folder), mock.patch.object(report, "DOCS", docs), \
                mock.patch.object(sys, "argv", ["report.py", "--docs", folder]), \
                contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            for document in ("BENCHMARKS.md", "EVENTS.md"):
                with open(os.path.join(docs, document), "w", encoding="utf-8") as f:
                    f.write("".join("<!-- bench: %s -->\nold %s\n<!-- /bench: %s -->\n" % (n, n, n)
                                    for n in report.SECTIONS if report.document_of(n) == document))
            for name in ("probe_cost", "events"):
                with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
                    json.dump({"skipped": "no " + name}, f)
            self.assertEqual(report.main(), 1)
            written = [open(os.path.join(folder, document), encoding="utf-8") for document in ("BENCHMARKS.md", "EVENTS.md")]
            with written[0], written[1]:
                new, events = (f.read() for f in written)
        self.assertIn("Not measured: no probe_cost.", new)
        self.assertIn("old run", new)
        self.assertNotIn("old probe_cost", new)
        self.assertIn("Not measured: no events.", events)
        self.assertIn("no build/bench/everyone.json", err.getvalue())

    def test_own_tables(self):
        about = {"python": "Python 3.11.2", "machine": "Linux", "rounds": 3, "scale": 1.0}
        case = {"title": "storm", "bare": [1.0, 2.0, 3.0], "ratios": [1.1, 1.0, 1.2], "empty": [1.05, 1.0, 1.1], "faults": 7.0,
                "target": 1.2, "fault_ns": [3000.0, 400.0]}
        self.assertIn("| storm | 2.000 (1.000 to 3.000) | 7 | 1.100 (1.000 to 1.200) | <= 1.20 | 1.050 (1.000 to 1.100) "
                      "| 3000 + 400 |",
                      tables.walk_text(dict(about, cases=[case])))
        self.assertIn("| numpy | SKIP: none |",
                      tables.walk_text(dict(about, cases=[{"title": "numpy", "skipped": "none"}])))
        case = {"title": "lines", "bare": [1.0], "ours": [4.0], "target": 6.0, "theirs": [3000.0],
                "their_share": 0.005}
        self.assertIn("| lines | 1.000 | 4.00 | <= 6.00 | 3000 [0.005] |",
                      tables.mprun_text(dict(about, cases=[case])))
        text = tables.memit_text(dict(about, skipped_names={"memory_profiler": "too new"}, results={
            "pymem_bpf": [[300.0, 300.5, 0.2], [10.0, 300.5, 0.2]]}))
        self.assertIn("| pymem_bpf | 1 of 2 |", text)
        self.assertIn("| memory_profiler | SKIP: too new |", text)

    def test_nanoseconds(self):
        data = {"python": "Python 3.11.2", "machine": "Linux", "rounds": 3, "before": "2d1e8f4f4369", "load": [0.5, 21.0],
                "clock": [25.0, 27.0, 31.0], "counters": False, "missing": ["3.8"],
                "rows": [{"title": "walk", "target": 300, "unit": "ns", "before": [400.0, 420.0, 500.0],
                          "after": [200.0, 210.0, 190.0]},
                         {"title": "deep", "target": 2, "unit": "times", "before": [0.0], "after": [1.5]},
                         {"title": "floor", "target": None, "unit": "times bare", "before": [3.0], "after": [3.0]}]}
        text = tables.nanoseconds_text(data)
        for said in ("| walk | 420 (400 to 500) | 200 (190 to 210) | 0.48 | <= 300 ns |",
                     "| deep | 0.00 | 1.50 | - | <= 2 times |", "| floor | 3.00 | 3.00 | 1.00 | times bare |", "commit 2d1e8f4f4369", "0.5 when it began and 21.0",
                     "takes 27 (25 to 31) ns", "no counters of instructions", "Not there: Python 3.8."):
            self.assertIn(said, text)
        text = tables.nanoseconds_text(dict(data, counters=True, missing=[], clock=[]))
        for silent in ("no counters", "Not there", "empty program"):
            self.assertNotIn(silent, text)

    def test_nanoseconds_of_other_processes(self):
        """300 events, of which 100 are of the workload: each takes 27 ns of the clock, and those 100 take 200 more."""
        ns, clock = nanoseconds.net((1000, 10), (1000 + 300 * 27 + 100 * 200, 310), (0, 0), (300 * 27, 300), 100)
        self.assertEqual((round(ns), round(clock)), (200, 27))

    def test_walks_are_proven(self):
        """95 of 100 faults at the line that writes are too few, whichever of both counts has the others."""
        line = nanoseconds.marked_line(nanoseconds.WALKS)

        def share(written, others, lost, faults, name="/srv/walks.py"):
            def entry(number, count):
                return {"file": name, "line": number, "minor_faults": count, "major_faults": 0}
            process = {"pid": 7, "lines": [entry(line, written), entry(line + 1, others)], "lost_faults": lost}
            return nanoseconds.walked_share({"processes": [{"pid": 6, "lines": []}, process]}, 7, faults, line)
        for few in (share(95, 5, 0, 90), share(95, 0, 5, 90), share(95, 0, 0, 100), share(100, 0, 0, 100, "/srv/storm.py")):
            with self.assertRaisesRegex(SystemExit, "walk of 4 frames, after: .* not walks"):
                nanoseconds.must_walk("walk of 4 frames, after", few)
        nanoseconds.must_walk("walk", share(96, 2, 2, 100))

    def test_a_string_instruction_is_no_walk(self):
        """The line that is marked stores one byte: it is the workload's only one that touches memory."""
        with open(nanoseconds.WALKS, encoding="utf-8") as f:
            marked = [text.strip() for text in f if text.rstrip().endswith("# L:writes")]
        self.assertEqual(marked, ["block[at] = 1  # L:writes"])

    def test_bursts_beside_others_are_left_out(self):
        """Of six bursts two began or ended while others were attached to sys_exit."""
        seen = iter([0, 0, 1, 0, 2, 0, 0])

        class Caller:
            times = iter(range(100, 200))

            def ns(self, call, count):
                return float(next(self.times))
        options = mock.Mock(bursts=2, patience=60)
        with mock.patch.object(host_cost, "exits_attached", lambda: next(seen)), \
                mock.patch.object(host_cost.time, "sleep", lambda seconds: None):
            self.assertEqual(host_cost.bursts(Caller(), 0, options, {"getppid": 1})["getppid"], [100.0, 102.0])

    def test_host(self):
        data = {"machine": "Linux", "rounds": 5, "load": 2.0,
                "ns": {"nothing attached": {"getppid": [80.0, 84.0, 88.0], "brk": [1.0], "mmap": []},
                       "--sys-exit": {"getppid": [83.0, 83.0], "brk": [2.0], "mmap": [3.0]}}}
        text = tables.host_text(data)
        for said in ("Linux; 2 to 3 bursts of each, rounds: 5, load 2.0", "| nothing attached | 84 (80 to 88) | 1 (1 to 1) | - |",
                     "| `--sys-exit` | 83 (83 to 83) |"):
            self.assertIn(said, text)

    def test_events(self):
        def run(ns, least, **own):
            return {"ns": ns, "runs": 0.5, "loaded": sorted(own), "own": own, "least": least}
        ways = {"unit": "page", "off": [run(9, None, rss_stat=50)], "idle": [run(10, 31)],
                "busy": [run(40, 33, rss_stat=60, cache_added=390), run(60, 35, cache_added=410)]}
        text = tables.events_text({"machine": "Linux", "python": "Python 3.11.2", "rounds": 2, "load": 1.0, "sources": {"cache": ways}})
        self.assertIn("| `cache` | page | 9 | 10 | 50 | 0.50, 0.50, 0.50 | cache_added 400 |", text)
        self.assertIn("Medians of 2; Python 3.11.2; Linux, load 1.0 at the end. The quickest program took 31 ns a run", text)

    def test_quarters(self):
        totals = [(0, 0), (100, 1), (200, 2), (300, 3), (500, 4)]
        self.assertEqual(tool.quarters(totals), [100, 100, 100, 200])

    def test_touched(self):
        marks = {"allocate": {"line": 3, "sum": 0}, "touch": {"line": 4, "sum": 256 * MIB}}
        run = {"contender": "rss", "host": "system", "percent": 50, "status": "ok",
               "said": 257 * MIB, "lines": {"4": 256 * MIB}}
        data = {"size": 512 * MIB, "truth": {"50": marks}, "contenders": [contender("rss")],
                "runs": [run]}
        text = report.touched_text(data)
        self.assertIn("| rss (3.11) | 257 | - / 256 |", text)
        self.assertIn("| **truth: asked for** | 512 | 512 / 0 |", text)
        ElementTree.fromstring(svg.touched(data, report.label))

    def test_plot_has_each_figure(self):
        data = whole()
        data["workloads"]["W8"]["title"] = "a < b & c"
        root = ElementTree.fromstring(svg.slowdowns(data, report.label))
        name = "{http://www.w3.org/2000/svg}"
        self.assertEqual(len(list(root.iter(name + "circle"))), 3)
        self.assertIn("timeout", [t.text for t in root.iter(name + "text")])
        self.assertIn("prefers-color-scheme: dark", root.find(name + "style").text)
        self.assertLess(svg.place(1), svg.place(2))


class Suite(unittest.TestCase):
    def run_with(self, statuses, *words):
        """(exit status, what ran)"""
        ran_ = []

        def call(script, arguments):
            ran_.append((script, arguments))
            return statuses.get(script, 0)
        with mock.patch.object(suite, "call", call), mock.patch.object(
                sys, "argv", ["suite.py", *words]), contextlib.redirect_stdout(io.StringIO()), \
                mock.patch.object(suite.common, "OUTPUT", "/nonexistent"):
            return suite.main(), ran_

    def test_all_run_whatever_fails(self):
        status, ran_ = self.run_with({"mprun": 1, "run": 1})
        self.assertEqual(status, 1)
        self.assertEqual([name for name, _ in ran_], list(suite.STEPS) + ["report"])

    def test_a_skip_is_no_failure(self):
        self.assertEqual(self.run_with({"probe_cost": suite.common.SKIPPED})[0], 0)

    def test_a_report_that_fails(self):
        self.assertEqual(self.run_with({"report": 1})[0], 1)

    def test_missing_contenders_must_be_allowed(self):
        for words, allowed in (((), False), (("--allow-missing",), True)):
            _, ran_ = self.run_with({}, *words)
            for name, arguments in ran_:
                self.assertEqual("--allow-missing" in arguments, allowed and name in suite.COMPARE)


if __name__ == "__main__":
    unittest.main()
