# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Last words: what a process did when a signal ended it, who sent that, and whether it was the OOM killer. In reports, in
recordings, in the agent's folder, and by `oom`."""
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time

import jsonschema
import pytest

import harness
from harness import MIB, Report, Tool
from kernel_side import limited

LIMIT = 48 * MIB
PATH = harness.program_path("last_words")
LINES = harness.labels(PATH)


class Doomed:
    """programs/last_words.py, with `what` to do after go()."""

    def __init__(self, system, what, members=None, words=()):
        enter = ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', members] if members else []
        self.process = subprocess.Popen(enter + system.command + [PATH, what, *map(str, words)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=harness.environment())
        self.pid = self.process.pid
        assert self.process.stdout.readline() == b"ready\n"

    def go(self):
        self.process.stdin.write(b"x\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.end_process(self.process)


def join(members):
    with open(members, "w") as f:
        f.write(str(os.getpid()))


def places(stack):
    return [(frame["function"], frame["line"]) for frame in stack["frames"] if frame["file"] == PATH]


def stack_of(words, tid):
    found, = (stack for stack in words["stacks"] if stack["tid"] == tid)
    return found


def check_threads(words, pid, function, label):
    """The main thread was in that line, the other one slept; no other thread was there."""
    assert words["threads"] == len(words["stacks"]) == 2, words
    main = stack_of(words, pid)
    assert places(main) == [(function, LINES[label]), ("run", LINES["run"]), ("<module>", LINES["main"])], words
    other, = (stack for stack in words["stacks"] if stack["tid"] != pid)
    assert places(other) == [("rest", LINES["rest"])], words
    assert not any(stack["lost"] or stack["truncated"] for stack in words["stacks"]), words
    assert words["thread"] == pid, words


def ended(report, target):
    """The last words of the target, which has ended."""
    image = report.image(target.pid)
    assert image["exited"]
    report.check_conservation(target.pid)
    return image


def check_group(words, kept=0):
    """Its control group, with `kept` bytes that others in it hold: what it used, and how often which bound was met."""
    group = words["group"]
    assert words["group_missing"] is None, words
    assert re.fullmatch(r"(memory:)?/\S*pymem-test\.%d" % os.getpid(), group["path"]), group
    assert group["version"] == (1 if group["path"].startswith("memory:") else 2), group
    assert 0 < group["late_ms"] < harness.PATIENCE * 1000, group
    # By then the process may have given its memory back; what others hold is there.
    assert kept <= group["stat_bytes"]["anon"] <= LIMIT, group
    assert kept <= group["current_bytes"] <= LIMIT, group
    assert group["events"]["max"] > 0 and group["events"]["oom_kill"] == 1, group


def killed(system, what, members=None, end=None):
    """(the image in a report, the target) of a program that was ended while it was profiled."""
    with Doomed(system, what, members) as target, Tool("-p", target.pid) as tool:
        tool.attached()
        before = time.time()
        target.go()
        if end:
            end(target)
        report = tool.report()
        image = ended(report, target)
        words = image.get("last_words")
        if words:
            said = time.strptime(words["time"][:19], "%Y-%m-%dT%H:%M:%S")
            assert before - 1 <= time.mktime(said) - time.timezone <= time.time() + 1, words
            assert words["rss_bytes"] == words["anon_bytes"] + words["file_bytes"] + words["shmem_bytes"]
        with open(os.path.join(harness.PROJECT, "docs", "json-schema.json")) as f:
            jsonschema.validate(report.data, json.load(f))
        return image, target


@contextlib.contextmanager
def killer(pid, name):
    """Another program of that name, which kills the process once it may."""
    code = ("import os, sys\nopen('/proc/self/comm', 'w').write(%r)\nprint('ready', flush=True)\n"
            "sys.stdin.readline()\nos.kill(%d, 9)\nsys.stdin.readline()" % (name, pid))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_out_of_memory(system):
    """The line that filled the control group is named, and the limit."""
    with limited(LIMIT) as members:
        image, target = killed(system, "fill", members)
    words = image["last_words"]
    assert words["cause"] == "oom" and words["signal"] == "SIGKILL" and words["by_kernel"], words
    assert words["sender"]["pid"] == target.pid, words
    assert words["limit_bytes"] == LIMIT, words
    check_group(words)
    # Pages of files that others brought into memory are no part of the group's use.
    assert 0.7 * LIMIT < words["anon_bytes"] <= LIMIT, words
    check_threads(words, target.pid, "fill", "fill")


def test_group_of_others(system):
    """What others in the group hold is in its figures: the process that filled the rest is not alone."""
    kept = 16 * MIB
    code = "import sys\nkept = b'x' * %d\nprint('ready', flush=True)\nsys.stdin.readline()" % kept
    with limited(LIMIT) as members, subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                                                     stdout=subprocess.PIPE, preexec_fn=lambda: join(members)) as other:
        try:
            assert other.stdout.readline() == b"ready\n"
            image, _ = killed(system, "fill", members)
        finally:
            other.kill()
    words = image["last_words"]
    assert words["cause"] == "oom" and words["limit_bytes"] == LIMIT, words
    assert words["anon_bytes"] < LIMIT - kept, words
    check_group(words, kept)


def test_no_group(system):
    """Without a limit the group is its own one, or it is said why there is none."""
    image, _ = killed(system, "crash")
    words = image["last_words"]
    assert (words["group"] is None) == (words["group_missing"] in ("root", "unnamed")), words
    assert words["limit_bytes"] is not None or words["group"] is None or words["group"]["path"], words


def test_group(system):
    """With memory.oom.group all processes of the group are killed, and each was the OOM killer's."""
    with limited(LIMIT) as members:
        switch = os.path.join(os.path.dirname(members), "memory.oom.group")
        if not os.path.exists(switch):
            pytest.skip("no cgroup v2")
        with open(switch, "w") as f:
            f.write("1")
        with Doomed(system, "wait", members) as other, Doomed(system, "fill", members) as target, \
                Tool("-p", "%d,%d" % (target.pid, other.pid)) as tool:
            tool.attached()
            other.go()
            harness.until(lambda: harness.in_system_call(other.pid), "asleep")
            target.go()
            report = tool.report()
    for one, what in (target, "fill"), (other, "wait"):
        words = ended(report, one)["last_words"]
        assert words["cause"] == "oom" and words["sender"]["pid"] == target.pid, words
        assert one is target or places(words["sender_stack"])[0] == ("fill", LINES["fill"]), words
        check_threads(words, one.pid, what, what)


def everywhere(system, little_memory):
    """The OOM killer of the host, which is to have all its memory: little_memory() leaves less of that. The guests of
    tests/vm call this."""
    with Doomed(system, "fill") as target, Tool("-p", target.pid) as tool:
        tool.attached()
        with open("/proc/%d/oom_score_adj" % target.pid, "w") as f:
            f.write("1000")
        with little_memory():
            target.go()
            report = tool.report()
    words = ended(report, target)["last_words"]
    assert words["cause"] == "oom" and words["limit_bytes"] is None, words
    check_threads(words, target.pid, "fill", "fill")


def test_killed_by_another(system):
    """The sender is named, with the line in which the process slept."""
    senders = []

    def end(target):
        with killer(target.pid, "reaper of men") as process:
            harness.until(lambda: harness.in_system_call(target.pid), "asleep")
            time.sleep(0.2)
            process.stdin.write(b"x\n")
            process.stdin.flush()
            target.process.wait(harness.PATIENCE)
            senders.append(process.pid)
    image, target = killed(system, "wait", end=end)
    words = image["last_words"]
    assert words["cause"] == "kill" and words["signal"] == "SIGKILL" and not words["by_kernel"], words
    assert words["sender"] == {"pid": senders[0], "comm": "reaper of men", "uid": os.getuid()}, words
    # Before 6.2 threads count some pages for themselves, for a while.
    assert abs(words["rss_bytes"] - image["rss_end_bytes"]) <= 128 * harness.PAGE, words
    check_threads(words, target.pid, "wait", "wait")


def check_sender(words, pid, label):
    """It was that process, which is watched too, in that line."""
    sender = words["sender_stack"]
    assert words["sender"]["pid"] == sender["tid"] == pid and not sender["lost"], words
    assert places(sender) == [(label, LINES[label]), ("run", LINES["run"]), ("<module>", LINES["main"])], words


def test_killed_by_a_python(system):
    """Of a sender that is watched, too, the line is known in which it was."""
    with Doomed(system, "wait") as target, Doomed(system, "kill", words=[target.pid]) as other, \
            Tool("-p", "%d,%d" % (target.pid, other.pid)) as tool:
        tool.attached()
        target.go()
        harness.until(lambda: harness.in_system_call(target.pid), "asleep")
        time.sleep(0.2)
        other.go()
        report = tool.report()
    words = ended(report, target)["last_words"]
    assert words["cause"] == "kill", words
    check_sender(words, other.pid, "kill")
    check_threads(words, target.pid, "wait", "wait")


def test_asked_by_another(system, tmp_path):
    """The OOM killer chooses one process, and another one had asked for memory: where that was is known, and in a recording."""
    file = tmp_path / "run.pymem"
    with limited(LIMIT) as members, Doomed(system, "keep", members) as target, Doomed(system, "fill", members) as other, \
            Tool("-p", "%d,%d" % (target.pid, other.pid), "--record", file) as tool:
        tool.attached()
        with open("/proc/%d/oom_score_adj" % target.pid, "w") as f:
            f.write("1000")
        target.go()
        harness.until(lambda: harness.rss(target.pid) > 24 * MIB and harness.in_system_call(target.pid), "keeps")
        other.go()
        report = tool.report()
    words = ended(report, target)["last_words"]
    assert words["cause"] == "oom", words
    check_sender(words, other.pid, "fill")
    check_threads(words, target.pid, "keep", "keep")
    # The other one goes on, and is chosen next.
    own = ended(report, other)["last_words"]
    assert own["cause"] == "oom" and own["sender"]["pid"] == other.pid and own["sender_stack"] is None, own
    done = subprocess.run([harness.TOOL, "report", file, "--format", "json"], check=True, stdout=subprocess.PIPE)
    assert Report(json.loads(done.stdout.decode())).image(target.pid)["last_words"] == words
    table = subprocess.run([harness.TOOL, "report", file], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert re.search(r"\(PID %d, user %d\) asked for memory in \S*last_words\.py:%d fill\." % (
        other.pid, os.getuid(), LINES["fill"]), " ".join(table.split())), table


@pytest.mark.parametrize("what, name, code", [("crash", "SIGSEGV", 1), ("abort", "SIGABRT", -6)])
def test_crash(system, what, name, code):
    """Which thread crashed, and where; the other ones, too."""
    image, target = killed(system, what)
    words = image["last_words"]
    assert words["cause"] == "crash" and words["signal"] == name and words["code"] == code, words
    check_threads(words, target.pid, what, what)
    assert [stack["tid"] for stack in words["stacks"] if stack["raised"]] == [target.pid], words


@pytest.mark.parametrize("what", ["end", "handle"])
def test_ordinary_end(system, what):
    """A process that exits kills its other threads with the very signal, and one that handles a signal goes on."""
    image, _ = killed(system, what)
    assert "last_words" not in image


def test_asked_to_end(system):
    """SIGTERM is no accident."""
    image, _ = killed(system, "wait", end=lambda target: target.process.terminate())
    assert "last_words" not in image


def test_many_threads(system, tmp_path):
    """Of many threads, 64 are told; how many there were is known."""
    path = tmp_path / "many.py"
    path.write_text("import threading, time, os\n"
                    "for _ in range(99): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
                    "os.kill(os.getpid(), 9)\n")
    with Tool("--", *system.command, path) as tool:
        report = tool.report(128 + signal.SIGKILL)
    image, = report.data["processes"]
    words = image["last_words"]
    assert words["threads"] == 100 and 64 <= len(words["stacks"]) <= 66, words
    assert words["sender"]["pid"] == image["pid"], words


def check_lines(document):
    """The first ten lines, the largest one first; they add up."""
    lines = document["lines"]
    assert (lines[0]["function"], lines[0]["line"]) == ("fill", LINES["fill"]) and len(lines) <= 10, lines
    sizes = [abs(line["increment_bytes"]) for line in lines]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 0.5 * LIMIT, lines
    for line in lines:
        assert line["grown_bytes"] - line["freed_bytes"] == line["increment_bytes"], line
    assert sum(line["increment_bytes"] for line in lines) + document["other_lines_bytes"] == document["charged_bytes"]


def text_of(image):
    return image["last_words"]["signal"], image["last_words"]["stacks"]


def test_recording(system, tmp_path):
    """A recording has what the report had; a part of it before the end has not."""
    file = tmp_path / "run.pymem"
    with limited(LIMIT) as members, Doomed(system, "fill", members) as target, \
            Tool("-p", target.pid, "--record", file) as tool:
        tool.attached()
        time.sleep(2.5)
        target.go()
        live = tool.report().image(target.pid)
    done = subprocess.run([harness.TOOL, "report", file, "--format", "json"], check=True, stdout=subprocess.PIPE)
    image = Report(json.loads(done.stdout.decode())).image(target.pid)
    assert image["last_words"] == live["last_words"]
    done = subprocess.run([harness.TOOL, "report", file, "--until", "1", "--format", "json"], check=True,
                          stdout=subprocess.PIPE)
    assert b'"last_words":' not in done.stdout
    table = subprocess.run([harness.TOOL, "report", file], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert re.search(r"\nKilled by the kernel's OOM killer at \S+ \S+ UTC: RSS \S+ MiB, limit of its control group 48.0 MiB; "
                     r"it asked for memory itself\. It was in \S*last_words\.py:%d fill" % LINES["fill"], table), table
    redacted = subprocess.run([harness.TOOL, "report", file, "--redact", "--format", "json"], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
    assert '"last_words":' in redacted and os.path.dirname(PATH) not in redacted


def oom(*words, status=0):
    done = subprocess.run([harness.TOOL, "oom", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


def of_agent(store, target):
    return [path for path in store.glob("*-*.json") if path.name.endswith("-%d.json" % target.pid)] \
        if store.is_dir() else []


@pytest.mark.host
def test_agent(system, tmp_path):
    """The agent says it, writes a file that nobody else may read, and `oom` shows it."""
    store = tmp_path / "store"
    with Tool("agent", "--store", store, output=False) as agent, limited(LIMIT) as members:
        harness.until(lambda: agent.waits() and b"and all that will start" in agent.stderr, "recording")
        with Doomed(system, "fill", members) as first, Doomed(system, "crash") as second:
            time.sleep(1)
            first.go()
            harness.until(lambda: of_agent(store, first), "written")
            time.sleep(1.1)  # a name has seconds
            second.go()
            harness.until(lambda: of_agent(store, second), "written")
        assert agent.stop(signal.SIGTERM) == 0
    said = agent.stderr.decode()
    (one,), (other,) = of_agent(store, first), of_agent(store, second)
    assert re.search(r"last_words\.py: PID %d was killed by the kernel's OOM killer at .* It was in \S*last_words\.py:%d "
                     r"fill.*\(%s\)\n" % (first.pid, LINES["fill"], one.name), said), said
    assert re.search(r"PID %d crashed with SIGSEGV at .* ← \S*last_words\.py:%d crash" % (second.pid, LINES["crash"]), said), said
    assert one.name.startswith("oom-") and other.name.startswith("crash-")
    for path in one, other:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(one.read_text())
    with open(os.path.join(harness.PROJECT, "docs", "json-schema-oom.json")) as f:
        jsonschema.validate(document, json.load(f))
    assert document["pid"] == first.pid and document["grew_most"]["line"] == LINES["fill"], document
    check_threads(document["last_words"], first.pid, "fill", "fill")
    check_lines(document)
    assert document["heap"] is None

    listed, errors = oom(store, "-n", "0", "--width", "200")
    rows = [row for row in listed.splitlines() if re.search(r" (%d|%d)  (OOM|SIG)" % (first.pid, second.pid), row)]
    assert not errors and len(rows) == 2, listed
    assert "SIGSEGV" in rows[0] and "string_at" in rows[0], listed  # the newest first
    assert "OOM" in rows[1] and "itself" in rows[1], listed
    # A process that is ending has left its control group of version 1, and the agent watches the whole host.
    assert "48.0 MiB" in rows[1] or os.path.exists("/sys/fs/cgroup/memory/memory.usage_in_bytes"), listed
    narrow = oom(store, "-n", "0", "--width", "100")[0].splitlines()
    assert all(len(row) <= 100 for row in narrow) and len(narrow) == 2 * len(listed.splitlines()) - 1, narrow
    shown, _ = oom(one)
    assert shown == oom(store, "-p", first.pid)[0]
    assert "Killed by the kernel's OOM killer" in shown and "Thread %d" % first.pid in shown, shown
    assert "last_words.py:%d rest" % LINES["rest"] in shown, shown
    assert "What its lines changed RSS by" in shown and "Control group" in shown or document["last_words"]["group"] is None, shown
    assert json.loads(oom(one, "--format", "json")[0]) == document
    everything = json.loads(oom(store, "-n", "0", "--format", "json")[0])
    assert document in [file["document"] for file in everything["files"]]


def test_what_is_no_file(tmp_path):
    """What can't be read is named; the others are shown all the same."""
    assert "oom: %s: No such file" % (tmp_path / "none") in oom(tmp_path / "none", status=1)[1]
    (tmp_path / "oom-20261130T120000Z-7.json").write_text("{}")
    (tmp_path / "oom-20261130T120001Z-8.json").write_text('{"schema": "pymem-bpf-oom/9"}')
    (tmp_path / "oom-20261130T120002Z-9.json").symlink_to("/etc/passwd")
    (tmp_path / "notes.json").write_text("{}")
    listed, errors = oom(tmp_path)
    assert listed.count("\n") == 1, listed
    assert "oom-20261130T120000Z-7.json: it is no file of last words" in errors, errors
    assert "oom-20261130T120001Z-8.json: another version of pymem-bpf wrote it" in errors, errors
    assert "oom-20261130T120002Z-9.json: Too many levels of symbolic links" in errors and "notes" not in errors, errors
    assert "nothing is known of its end" in oom(tmp_path, "-p", 9, status=1)[1]
    oom(tmp_path / "notes.json", status=1)


@pytest.mark.host
def test_last_look(system, tmp_path):
    """Who kept memory when an alarm had its heap looked at is in the last words of the process, and how long ago that was."""
    store, path = tmp_path / "store", tmp_path / "keeps.py"
    path.write_text("import select, sys\nkept = []\nprint('ready', flush=True)\nwhile True:\n"
                    "    kept.append(b'x' * (1 << 20))\n    select.select([sys.stdin], [], [], 0.2)\n")
    limit = 8 * LIMIT
    with limited(limit) as members, Tool("agent", "--store", store, "--alarm", "process:growth>2MiB/s over 10s",
                                         "--alarm-heap", output=False) as agent:
        harness.until(lambda: agent.waits() and b"and all that will start" in agent.stderr, "recording")
        with subprocess.Popen(system.command + [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              preexec_fn=lambda: join(members)) as target:
            assert target.stdout.readline() == b"ready\n"
            looked = ("heap of keeps.py, PID %d: " % target.pid).encode()
            harness.until(lambda: agent.waits() and looked in agent.stderr, "looked at")
            target.stdin.write(b"x\n")
            target.stdin.flush()
            harness.until(lambda: list(store.glob("oom-*-%d.json" % target.pid)), "written")
        assert agent.stop(signal.SIGTERM) == 0
    file, = store.glob("oom-*-%d.json" % target.pid)
    document = json.loads(file.read_text())
    with open(os.path.join(harness.PROJECT, "docs", "json-schema-oom.json")) as f:
        jsonschema.validate(document, json.load(f))
    heap = document["heap"]
    assert heap["holders"][0]["path"] == "__main__.kept" and heap["holders"][0]["type"] == "list", heap
    assert 10 * MIB <= heap["holders"][0]["retained_bytes"] <= heap["rss_bytes"] <= limit, heap
    assert 0 < heap["age_s"] < harness.PATIENCE, heap
    shown, _ = oom(file)
    assert re.search(r"\nWhat kept memory in the last look at its heap, \S+ s before, at RSS \S+ MiB\n"
                     r" +\S+ MiB  __main__\.kept  list\n", shown), shown


@pytest.mark.host
def test_folder_stays_small(tmp_path):
    """The agent removes its oldest files, and no others."""
    store = tmp_path / "store"
    store.mkdir(0o700)
    for number in range(230):
        (store / ("oom-20200101T%02d%02d00Z-%d.json" % (number // 60, number % 60, number + 1))).write_text("{}")
    (store / "oom-notes.json").write_text("{}")
    with Tool("agent", "--store", store, output=False) as agent:
        harness.until(lambda: agent.waits() and len(list(store.glob("oom-2*.json"))) == 200, "trimmed")
        assert agent.stop(signal.SIGTERM) == 0
    assert not (store / "oom-20200101T002900Z-30.json").exists()
    assert (store / "oom-20200101T003000Z-31.json").exists() and (store / "oom-notes.json").exists()
