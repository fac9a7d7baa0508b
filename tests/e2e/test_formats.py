# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Formats for other programs: what their real readers say of them is what the JSON has, to the byte.

The readers are Python's csv, `go tool pprof`, and speedscope in a browser (tests/e2e/viewers), which also reads
folded stacks and pprof. Several profilers watch one process at the same time, one for each format."""
import collections
import contextlib
import csv
import gzip
import io
import json
import os
import pty
import re
import shutil
import subprocess

import jsonschema
import pytest

import browsers
import harness
from harness import Target, Tool
from test_output import CONTROL

VIEWERS = browsers.VIEWERS
METRICS = ("grown", "freed", "net", "copied", "faults")
BELOW = "[freed on balance]"


# --- what the report says ---

def truth_of(report):
    """{metric: sum} of a report in JSON, with what belongs to no line."""
    sums = collections.Counter()
    for process in report["processes"]:
        for line in process["lines"]:
            sums["grown"] += line["grown_bytes"]
            sums["freed"] += line["freed_bytes"]
            sums["copied"] += line["cow_faults"] * harness.PAGE
            sums["faults"] += line["minor_faults"] + line["major_faults"]
        for bytes_ in process["lost_bytes"].values():
            sums["grown" if bytes_ > 0 else "freed"] += abs(bytes_)
        sums["faults"] += process["lost_faults"]
        sums["net"] += process["rss_end_bytes"] - process["rss_start_bytes"]
        if process["resident_before_bytes"] is not None:
            sums["resident"] += process["rss_end_bytes"]
    assert sums["grown"] - sums.get("freed", 0) == sums["net"]
    return sums


def by_function(report, key):
    """{function: sum of that key over its lines} of a report in JSON; what is 0 is not there."""
    sums = collections.Counter()
    for process in report["processes"]:
        for line in process["lines"]:
            sums[line["function"]] += line[key]
    return {name: value for name, value in sums.items() if value}


# --- what the formats say ---

def rows_of_csv(text):
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    head, *rest = rows
    assert all(len(row) == len(head) for row in rest)
    return [dict(zip(head, row)) for row in rest]


def column(rows, name, only=None):
    return sum(int(row[name]) for row in rows if row[name] and (only is None or row["row"] == only))


def stacks_of_folded(text):
    """[(frames, amount)]; below zero what is below that frame."""
    assert text.endswith("\n") or not text
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"(.+) (\d+)", line)
        frames = match[1].split(";")
        found.append((frames, -int(match[2]) if frames[1] == BELOW else int(match[2])))
    return found


def sums_of_speedscope(data):
    """{name of the profile: sum of its weights}"""
    frames, sums = data["shared"]["frames"], {}
    for profile in data["profiles"]:
        sums[profile["name"]] = sum(
            -weight if frames[stack[1]]["name"] == BELOW else weight
            for stack, weight in zip(profile["samples"], profile["weights"]))
        assert profile["endValue"] == sum(profile["weights"]) and len(profile["samples"]) == len(profile["weights"])
    return sums


def go_pprof(path, *options):
    """What `go tool pprof` prints of the file."""
    if not shutil.which("go"):
        pytest.skip("go is not installed: tools/install-deps test")
    done = subprocess.run(["go", "tool", "pprof", *options, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=harness.environment(GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local",
                                                  PPROF_TMPDIR=os.path.dirname(path)),
                          timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def go_top(path, index):
    """(total, {function: flat}) of its -top, in bytes."""
    text = go_pprof(path, "-top", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0", "-unit=bytes",
                    "-sample_index=" + index)
    total = re.search(r"of (-?\d+)B? total", text)
    flat = {}
    for line in text.split("flat%", 1)[1].splitlines()[1:]:
        amount, _, _, _, _, name = line.split(None, 5)
        name = re.sub(r" \(inline\)$", "", name)
        flat[name] = flat.get(name, 0) + int(amount.rstrip("B"))
    return int(total[1]), {name: value for name, value in flat.items() if value}


def go_raw(path):
    """(names of the types, [(values, labels)]) of its -raw."""
    text = go_pprof(path, "-raw")
    samples = text.split("Samples:\n", 1)[1].split("Locations\n", 1)[0].splitlines()
    types = [word.split("/")[0] for word in samples[0].replace("[dflt]", "").split()]
    found = []
    for line in samples[1:]:
        match = re.fullmatch(r"((?: +-?\d+)+): [\d ]*", line)
        if match:
            found.append(([int(word) for word in match[1].split()], ""))
        else:
            found[-1] = found[-1][0], found[-1][1] + line.strip() + " "
    return types, found


# --- viewers from npm ---

@pytest.fixture(scope="session")
def viewers():
    """The folder in whose node_modules/ they are, as the lock file has them. They are in the cache."""
    try:
        return browsers.viewers(harness.PATIENCE)
    except browsers.Missing as why:
        pytest.skip(str(why))


def shown_by_speedscope(viewers, *paths):
    """{path: (totals of its profiles, {frame: [total, self]} of the first one)}, as the texts of its page."""
    try:
        browser = browsers.chromium()
    except browsers.Missing as why:
        pytest.skip(str(why))
    done = subprocess.run(["node", os.path.join(VIEWERS, "open_speedscope.mjs"), viewers, browser, *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=harness.environment(PYMEM_E2E_PATIENCE=str(harness.PATIENCE)),
                          timeout=2 * harness.PATIENCE)
    assert done.returncode == 0, done.stderr.decode()
    return {path: (shown["totals"], {name: cells for *cells, name in shown["rows"]})
            for path, shown in json.loads(done.stdout.decode()).items()}


def as_speedscope_says(bytes_):
    """Its text for an amount of bytes."""
    units, value = ["B", "KB", "MB", "GB"], float(bytes_)
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return "%.2f %s" % (value, units[0])


# --- one process in all formats ---

class Reports:
    """The files of the reports on one process, by name; `json` is read. `change`: of its RSS meanwhile, as the page
    tables have it."""

    def __init__(self, folder, pid, change):
        self.folder, self.pid, self.change = folder, pid, change

    def path(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        with open(self.path(name), encoding="utf-8", newline="") as f:
            return f.read()

    @property
    def json(self):
        return json.loads(self.text("report.json"))


FORMATS = {"report.json": ["json"], "report.txt": ["table", "-v"], "report.csv": ["csv"], "report.pb.gz": ["pprof"],
           "report.speedscope.json": ["speedscope"],
           **{"%s.folded" % m: ["folded", "--metric", m] for m in METRICS}}


def all_reports(command, program, folder, *options, names=None):
    """Watches one process with a profiler for each format."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(Target(command, program))
        tools = [stack.enter_context(Tool("-p", target.pid, "-o", os.path.join(folder, name), "--format", *form,
                                          *options, output=False))
                 for name, form in FORMATS.items() if names is None or name in names]
        before = harness.rss_at_rest(target.pid)
        for tool in tools:
            tool.attached()
        target.go()
        change = harness.rss_at_rest(target.pid) - before
        for tool in tools:
            assert tool.stop() == 0, tool.stderr
    return Reports(folder, target.pid, change)


@pytest.fixture(scope="module")
def seed(tmp_path_factory):
    from conftest import pythons
    return all_reports(pythons()[0].command, "seed", str(tmp_path_factory.mktemp("seed")))


def test_table(seed):
    """Its sums, in pages, are those of the rows of CSV."""
    change, lines, lost = map(int, re.search(r"\((-?\d+) = (-?\d+) \+ (-?\d+) pages\)", seed.text("report.txt")).groups())
    rows = rows_of_csv(seed.text("report.csv"))
    assert change * harness.PAGE == column(rows, "increment_bytes") == truth_of(seed.json)["net"]
    assert lines * harness.PAGE == column(rows, "increment_bytes", "line")
    assert lost * harness.PAGE == column(rows, "increment_bytes", "unattributed")


def test_csv(seed):
    rows, truth = rows_of_csv(seed.text("report.csv")), truth_of(seed.json)
    process, = seed.json["processes"]
    assert column(rows, "increment_bytes") == truth["net"]
    for key in ("increment_bytes", "total_bytes", "grown_bytes", "freed_bytes", "anon_bytes", "file_bytes",
                "shmem_bytes", "swap_bytes", "minor_faults", "major_faults", "cow_faults", "cow_total_faults"):
        assert column(rows, key, "line") == sum(line[key] for line in process["lines"]), key
    for call in ("brk", "mmap", "munmap", "mremap", "madvise"):
        for part in ("calls", "bytes"):
            assert column(rows, "%s_%s" % (call, part)) == sum(
                line.get("vm_calls", {}).get(call, {}).get(part, 0) for line in process["lines"])
    lost = {row["function"]: int(row["increment_bytes"]) for row in rows if row["row"] == "unattributed"}
    assert lost == {cause: bytes_ for cause, bytes_ in process["lost_bytes"].items() if bytes_}
    assert {int(row["pid"]) for row in rows} == {process["pid"]}
    assert len([row for row in rows if row["row"] == "line"]) == len(process["lines"])


@pytest.mark.parametrize("metric", METRICS)
def test_folded(seed, metric):
    stacks = stacks_of_folded(seed.text("%s.folded" % metric))
    assert sum(amount for _, amount in stacks) == truth_of(seed.json)[metric]
    pid = seed.json["processes"][0]["pid"]
    assert all(frames[0] == "seed.py (%d)" % pid for frames, _ in stacks)
    if metric == "grown":
        line = harness.labels(harness.program_path("seed"))["list"]
        assert any(re.search(r"sum_of_lists.* \(.*/seed\.py:%d\)$" % line, frames[-1]) for frames, _ in stacks)


def test_pprof_sums(seed):
    """Each column of -raw, and the total of -top."""
    truth, path = truth_of(seed.json), seed.path("report.pb.gz")
    types, samples = go_raw(path)
    names = {"rss_growth": "grown", "rss_freed": "freed", "rss_net": "net", "cow_copied": "copied",
             "page_faults": "faults"}
    assert types == [*names, "inuse_space"]
    for at, name in enumerate(names):
        assert sum(values[at] for values, _ in samples) == truth[names[name]], name
    assert all(values[-1] == max(values[2], 0) for values, _ in samples)
    above = sum(amount for _, amount in stacks_of_folded(seed.text("net.folded")) if amount > 0)
    assert go_top(path, "inuse_space")[0] == above
    pid = seed.json["processes"][0]["pid"]
    assert all("pid:[%d]" % pid in labels and "process:[seed.py (%d)]" % pid in labels for _, labels in samples)
    assert go_top(path, "rss_growth")[0] == truth["grown"]
    assert go_top(path, "rss_freed")[0] == truth["freed"]


def test_pprof_functions(seed):
    """-top has for each function what the lines of the JSON have; -peek the same for one of them."""
    path = seed.path("report.pb.gz")
    for index, key in (("rss_growth", "grown_bytes"), ("rss_freed", "freed_bytes"), ("rss_net", "increment_bytes")):
        flat = {n: v for n, v in go_top(path, index)[1].items() if not n.startswith("[unattributed")}
        assert flat == by_function(seed.json, key), index
    # Without an index it is inuse_space.
    assert "Type: inuse_space" in go_pprof(path, "-top")
    most = max(by_function(seed.json, "grown_bytes").items(), key=lambda pair: pair[1])
    peek = go_pprof(path, "-peek", "^%s$" % re.escape(most[0]), "-unit=bytes", "-sample_index=rss_growth")
    assert re.search(r"^ *%dB .*\| +%s$" % (most[1], re.escape(most[0])), peek, re.M), peek


def test_pprof_names(system, tmp_path):
    """Names in angle brackets stay as they are: pprof would take them for templates of C++."""
    path = str(tmp_path / "r.pb.gz")
    done = said("-q", "--format", "pprof", "-o", path, "--", *system.command, "-c", "kept = bytearray(9 << 20)")
    assert done.returncode == 0, done.stderr
    _, flat = go_top(path, "rss_growth")
    assert flat["<module>"] >= 9 * harness.MIB and not any("[python]" in name for name in flat), flat


def test_pprof_is_reproducible(seed):
    """gzip without a name and a time; nothing behind it."""
    with open(seed.path("report.pb.gz"), "rb") as f:
        data = f.read()
    assert data[:2] == b"\x1f\x8b" and data[3] == 0 and data[4:8] == bytes(4)
    assert gzip.decompress(data)


def schema_of(viewers):
    with open(os.path.join(viewers, "node_modules", "speedscope", "dist", "release", "file-format-schema.json")) as f:
        return json.load(f)


def test_speedscope_file(seed, viewers):
    data = json.loads(seed.text("report.speedscope.json"))
    jsonschema.validate(data, schema_of(viewers))
    truth, sums = truth_of(seed.json), sums_of_speedscope(data)
    assert sums["grown"] == truth["grown"] and sums["freed"] == truth["freed"]
    assert sums["net (grown - freed)"] == truth["net"] and sums["page faults"] == truth["faults"]


@pytest.mark.parametrize("name", ["profile.speedscope", "hostile.speedscope"])
def test_stored_speedscope_files(viewers, name):
    with open(os.path.join(harness.PROJECT, "tests", "golden", name)) as f:
        jsonschema.validate(json.load(f), schema_of(viewers))


def test_speedscope(seed, viewers):
    """The real one loads each of our formats that it knows, and shows our totals."""
    truth, pid = truth_of(seed.json), seed.json["processes"][0]["pid"]
    process = "seed.py (%d)" % pid
    ours, folded, pprof = map(seed.path, ("report.speedscope.json", "grown.folded", "report.pb.gz"))
    shown = shown_by_speedscope(viewers, ours, folded, pprof)
    totals, rows = shown[ours]
    weights = {p["name"]: p["endValue"] for p in json.loads(seed.text("report.speedscope.json"))["profiles"]}
    assert weights["grown"] == truth["grown"] and weights["freed"] == truth["freed"]
    assert {name: total for name, total in totals.items() if name != "page faults"} == {
        name: as_speedscope_says(weight) for name, weight in weights.items() if name != "page faults"}
    assert rows[process][0] == as_speedscope_says(truth["grown"]) + " (100%)"
    # It takes folded amounts for plain numbers.
    assert shown[folded][1][process][0] == "{:,} (100%)".format(truth["grown"])
    # Of pprof it shows the default: what stacks have added on balance. The line that has most of it has that row.
    leaves = collections.Counter()
    for frames, amount in stacks_of_folded(seed.text("net.folded")):
        leaves[frames[-1]] += max(amount, 0)
    most = as_speedscope_says(max(leaves.values()))
    assert any(own.startswith(most + " (") for _, own in shown[pprof][1].values()), (most, shown[pprof])


# --- other runs ---

def check_change(reports):
    """The change of the process's RSS, as each format has it by itself."""
    rows = [row for row in rows_of_csv(reports.text("report.csv")) if row["pid"] == str(reports.pid)]
    assert column(rows, "increment_bytes") == reports.change
    ours = "%s.py (%d)" % (rows[0]["program"].rsplit(".", 1)[0], reports.pid)
    stacks = stacks_of_folded(reports.text("net.folded"))
    assert sum(amount for frames, amount in stacks if frames[0] == ours) == reports.change
    types, samples = go_raw(reports.path("report.pb.gz"))
    at = types.index("rss_net")
    assert sum(values[at] for values, labels in samples if "pid:[%d]" % reports.pid in labels) == reports.change
    data = json.loads(reports.text("report.speedscope.json"))
    frames = data["shared"]["frames"]
    net = next(p for p in data["profiles"] if p["name"].startswith("net"))
    assert reports.change == sum(
        -weight if frames[stack[1]]["name"] == BELOW else weight
        for stack, weight in zip(net["samples"], net["weights"]) if frames[stack[0]]["name"] == ours)


def test_change_of_rss(seed):
    check_change(seed)


def test_several_processes(system, tmp_path):
    """Children and what has ended: each process is a root of its own. When a child begins, each profiler sees a little
    later than the one before; so each report is compared with itself."""
    reports = all_reports(system.command, "fork", str(tmp_path))
    check_change(reports)
    pids = {p["pid"] for p in reports.json["processes"] if p["lines"]}
    assert len(pids) > 1
    rows = rows_of_csv(reports.text("report.csv"))
    assert pids <= {int(row["pid"]) for row in rows}
    for row in rows:
        if row["row"] == "line":
            assert int(row["grown_bytes"]) - int(row["freed_bytes"]) == int(row["increment_bytes"])
    for pid in pids:
        assert any(frames[0].endswith(" (%d)" % pid) for frames, _ in stacks_of_folded(reports.text("grown.folded")))
    types, samples = go_raw(reports.path("report.pb.gz"))
    assert {pid for pid in pids if any("pid:[%d]" % pid in labels for _, labels in samples)} == pids
    grown, freed, net = (sum(values[types.index(name)] for values, _ in samples)
                         for name in ("rss_growth", "rss_freed", "rss_net"))
    assert grown - freed == net
    sums = sums_of_speedscope(json.loads(reports.text("report.speedscope.json")))
    assert sums["grown"] - sums.get("freed", 0) == sums["net (grown - freed)"]


def test_resident(system, tmp_path):
    """--touched: RSS at the end, to the byte, in each format."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(Target(system.command, "grow"))
        runs = {"csv": ["csv"], "folded": ["folded", "--metric", "resident"], "pb.gz": ["pprof"],
                "speedscope.json": ["speedscope"]}
        tools = [stack.enter_context(Tool("-p", target.pid, "-o", str(tmp_path / ("r." + name)), "--touched",
                                          "--format", *form, output=False)) for name, form in runs.items()]
        for tool in tools:
            tool.attached()
        target.go()
        rss = harness.rss_at_rest(target.pid)
        for tool in tools:
            assert tool.stop() == 0, tool.stderr
    rows = rows_of_csv((tmp_path / "r.csv").read_text())
    if any("not known" in tool.stderr.decode() or "noted" in tool.stderr.decode() for tool in tools):
        pytest.skip("this kernel can't tell who touches pages first")
    assert column(rows, "resident_bytes") == rss
    assert sum(amount for _, amount in stacks_of_folded((tmp_path / "r.folded").read_text())) == rss
    types, samples = go_raw(str(tmp_path / "r.pb.gz"))
    at = types.index("resident")
    assert sum(values[at] for values, _ in samples) == rss
    with open(tmp_path / "r.speedscope.json") as f:
        assert sums_of_speedscope(json.load(f))["resident, by first touch"] == rss


@pytest.mark.attack("who opens a report with another program",
                    "names of functions and files with control characters, quotes, semicolons and formulas")
def test_hostile_names(system, tmp_path):
    reports = all_reports(system.command, "escapes", str(tmp_path))
    truth = truth_of(reports.json)
    for name in FORMATS:
        with open(reports.path(name), "rb") as f:
            data = f.read()
        data = gzip.decompress(data) if name.endswith(".gz") else data
        if not name.endswith(".gz"):
            assert not CONTROL.search(data), (name, CONTROL.search(data))
        assert b"\x1b" not in data or name.endswith(".gz")
    assert column(rows_of_csv(reports.text("report.csv")), "increment_bytes") == truth["net"]
    assert sum(a for _, a in stacks_of_folded(reports.text("grown.folded"))) == truth["grown"]
    printed = go_pprof(reports.path("report.pb.gz"), "-top", "-nodefraction=0")
    assert "evil" in printed and not CONTROL.search(printed.encode())
    assert sums_of_speedscope(json.loads(reports.text("report.speedscope.json")))["grown"] == truth["grown"]


# --- command lines ---

def said(*words, **how):
    return subprocess.run([harness.TOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE, **how)


@pytest.mark.parametrize("words, why", [
    (["--metric", "net"], "--metric is for --format folded"),
    (["--format", "csv", "--metric", "net"], "--metric is for --format folded"),
    (["--format", "folded", "--metric", "no"], "--metric"),
    (["--format", "pprof", "--tree"], "--tree is for --format table"),
    (["--format", "csv", "--tree"], "--tree is for --format table"),
    (["--format", "folded", "-f", "x"], "-f is for --format table"),
    (["--format", "csv", "-f", "x"], "-f is for --format table"),
    (["--format", "pprof", "--pager"], "leave out --pager"),
    (["--format", "folded", "--metric", "faults", "--no-faults"], "leave out --no-faults"),
    (["--format", "folded", "--metric", "resident", "--no-faults"], "--touched needs page faults")])
def test_refused(words, why):
    done = said(*words, "-p", "1")
    assert done.returncode == 2 and why in done.stderr.decode() and not done.stdout, done


@pytest.mark.parametrize("words", [[], ["-o", "-"], ["-o", "/dev/stdout"], ["-o", "/proc/self/fd/1"]])
def test_not_to_a_terminal(words):
    """A binary report is not written to a terminal; the message says what to do."""
    ours, theirs = pty.openpty()
    done = subprocess.run([harness.TOOL, "--format", "pprof", *words, "-p", "1"], stdout=theirs,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "--format pprof is binary" in done.stderr.decode() and "-o FILE" in done.stderr.decode()


def test_nothing_is_resident_of_what_has_ended(tmp_path):
    """An empty report, and why."""
    done = said("-q", "--format", "folded", "--metric", "resident", "-o", tmp_path / "report", "--", "/usr/bin/python3",
                "-c", "kept = [b'x' * (1 << 20) for i in range(9)]")
    assert done.returncode == 0 and "it is known of no process" in done.stderr.decode(), done


@pytest.mark.parametrize("metric", ["copied", "faults", "resident", "stalled", "cached", "kernel", "huge", "swapped", "swap-wait"])
def test_not_recorded(tmp_path, metric):
    """What a recording has not counted is said by name, and there is no report: an empty one would mean that there was none."""
    path, report = tmp_path / "run.pymem", tmp_path / "report"
    done = said("record", "-q", "--no-faults", "-o", path, "--", "/usr/bin/python3", "-c", "kept = [b'x' * (1 << 20) for i in range(9)]")
    assert done.returncode == 0, done
    for form in ("folded", "html", "flamegraph"):
        done = said("report", path, "--format", form, "--metric", metric, "-o", report)
        text = done.stderr.decode()
        assert done.returncode == 2 and not report.exists(), done
        assert "record with --touched" in text if metric == "resident" else \
            "--metric %s: this was not counted: record with --events " % metric in text, text
    done = said("report", path, "--format", "folded", "--metric", "grown", "-o", report)
    assert done.returncode == 0 and report.stat().st_size, done


@pytest.mark.parametrize("form", ["csv", "folded", "pprof", "speedscope", "openmetrics"])
def test_full_disk(form):
    """Not half a report with status 0."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([harness.TOOL, "-q", "--format", form, "--", "/usr/bin/python3", "-c",
                               "kept = [b'x' * (1 << 20) for i in range(9)]"], stdout=full, stderr=subprocess.PIPE,
                              timeout=harness.PATIENCE)
    assert done.returncode == 1 and "No space left" in done.stderr.decode(), done


ORPHAN = """import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; kept = bytearray(1 << 20); time.sleep(8)"])
time.sleep(6)"""


@pytest.mark.parametrize("form, quiet", [("csv", False), ("folded", False), ("speedscope", False), ("openmetrics", False), ("csv", True)])
def test_asides(form, quiet):
    """What these formats have no place for is said on stderr, such as a child that is not profiled; not with -q."""
    with Tool(*["-q"] * quiet, "--no-children", "--format", form, "-d", "3", "--", "/usr/bin/python3", "-c", ORPHAN,
              output=False) as tool:
        assert tool.wait() is not None
        assert (b"Note: " in tool.stderr) != quiet, tool.stderr


def test_notes_are_comments(tmp_path):
    """pprof has a place for them."""
    path = str(tmp_path / "r.pb.gz")
    with Tool("--no-children", "--format", "pprof", "-o", path, "-d", "3", "--", "/usr/bin/python3", "-c", ORPHAN,
              output=False) as tool:
        assert tool.wait() is not None and b"Note: " not in tool.stderr
    assert "Note: " in go_pprof(path, "-comments")
