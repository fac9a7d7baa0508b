# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--by: rows of containers, units, users, programs and processes, of processes in real control groups that are named as
runtimes name them. Sums are compared with the processes of the same report, to the byte."""
import contextlib
import json
import os
import subprocess

import pytest

import harness
from harness import MIB, TOOL, Tool
from test_top import KEEP, Steps
from test_top_levels import DOCKER, ID, MACHINE, PLAIN, cgroups

pytestmark = pytest.mark.host

MEMORY = "/sys/fs/cgroup/memory"
LIMIT = 512 * MIB


@pytest.fixture
def memory():
    """A group of cgroup v1's memory controller with a limit, named as Docker does; puts a process there."""
    if not os.path.exists(MEMORY + "/memory.usage_in_bytes"):
        pytest.skip("the memory controller is not one of cgroup v1")
    folder = "%s/pymem-test-%d/docker-%s.scope" % (MEMORY, os.getpid(), ID)
    try:
        os.makedirs(folder)
        with open(folder + "/memory.limit_in_bytes", "w") as f:
            f.write(str(LIMIT))
    except OSError as error:
        pytest.skip("no group with a limit can be made: %s" % error)

    def put(target):
        with open(folder + "/cgroup.procs", "w") as f:
            f.write(str(target.pid))

    def empty():
        with open(folder + "/cgroup.procs") as f:
            return not f.read()
    yield put
    harness.until(empty, "without processes")
    os.rmdir(folder)
    os.rmdir(os.path.dirname(folder))


@pytest.fixture
def targets(system, tmp_path):
    """Two of a program in a container, one in another, one in a service."""
    with cgroups(DOCKER, MACHINE, PLAIN) as put, contextlib.ExitStack() as stack:
        made = []
        for name, where in (("shop.py", DOCKER), ("shop.py", DOCKER), ("batch.py", MACHINE), ("cron.py", PLAIN)):
            made.append(stack.enter_context(Steps(system, tmp_path, name=name)))
            put(made[-1], where)
        yield made


def pids(targets):
    return ",".join(str(target.pid) for target in targets)


def worked(targets, *options, output=True):
    """The tool, after the first one did two steps and the others one."""
    tool = Tool("-p", pids(targets), *options, output=output)
    tool.attached()
    for target in targets[:1] + targets:
        target.step()
    assert tool.stop() == 0, tool.stderr
    return tool


def read(tool):
    with open(tool.file) as f:
        return json.load(f)


def change(process):
    return process["rss_end_bytes"] - process["rss_start_bytes"]


def check_sums(report):
    """All rows together are all processes; each has its parts."""
    rows, processes = report["groups"]["rows"], report["processes"]
    assert sum(row["change_bytes"] for row in rows) == sum(map(change, processes))
    assert sum(row["rss_bytes"] for row in rows) == sum(p["rss_end_bytes"] for p in processes if not p["exited"])
    assert sum(row["processes"] for row in rows) == sum(not p["exited"] for p in processes)
    for row in rows:
        assert sum(line["increment_bytes"] for line in row["lines"]) + row["other_lines_bytes"] + \
            sum(row["lost_bytes"].values()) == row["change_bytes"]
    schema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    with open(os.path.join(harness.PROJECT, "docs", "json-schema.json")) as f:
        schema.Draft202012Validator(json.load(f)).validate(report)
    return {row["name"]: row for row in rows}


def test_containers(targets):
    with worked(targets, "--by", "container", "-n", "1") as tool:
        report = read(tool)
        rows = check_sums(report)
        assert set(rows) == {"docker:" + ID[:12], "nspawn:web", None}
        docker = rows["docker:" + ID[:12]]
        assert docker["processes"] == 2 and docker["lines"][0]["line"] == KEEP
        assert docker["lines"][0]["increment_bytes"] >= 24 * MIB
        assert docker["container"]["id"] == ID and docker["container"]["runtime"] == "docker"
        assert docker["container"]["unit"] == DOCKER
        # Each page once: what the two share is half of each's.
        assert 0 < docker["pss_bytes"] < docker["rss_bytes"]
        by_pid = {p["pid"]: p["container"] for p in report["processes"]}
        assert by_pid[targets[2].pid]["name"] == "nspawn:web" and by_pid[targets[3].pid] is None


# Groups that a user made in what systemd delegates to him. The last one is called as Docker's container is.
DELEGATED = ["user.slice", "user.slice/user-7.slice", "user.slice/user-7.slice/user@7.service"]
FORGED = DELEGATED[-1] + "/" + DOCKER


@pytest.mark.attack("the row of another one's container", "a user who names a control group of his own as that one's")
def test_forged(system, tmp_path):
    """He has a row of his own, without that container's id."""
    with cgroups(DOCKER, *DELEGATED, FORGED) as put, Steps(system, tmp_path, name="shop.py") as shop, \
            Steps(system, tmp_path, name="shop.py") as forger:
        put(shop, DOCKER)
        put(forger, FORGED)
        for by, mine, his in (("container", "docker:" + ID[:12], "docker:%s of user 7" % ID[:12]),
                              ("program", "shop.py", "shop.py")):
            with worked([shop, forger], "--by", by) as tool:
                report = read(tool)
                check_sums(report)
                rows = {(row["name"], row["where"]): row["processes"] for row in report["groups"]["rows"]}
            if by == "container":
                assert rows == {(mine, None): 1, (his, None): 1}
            else:
                assert rows == {(mine, "docker:" + ID[:12]): 1, (his, "docker:%s of user 7" % ID[:12]): 1}
        done = subprocess.run([TOOL, "-p", pids([shop, forger]), "-d", "1", "--by", "container", "--format", "openmetrics"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
        text = done.stdout.decode()
        assert done.returncode == 0, done.stderr
        assert 'pymem_processes{container="docker:%s",pod="",id="%s"} 1\n' % (ID[:12], ID) in text
        assert 'pymem_processes{container="docker:%s of user 7",pod="",id=""} 1\n' % ID[:12] in text


@pytest.mark.attack("a name without its owner", "long names, blanks, and bytes that are shown as four")
@pytest.mark.parametrize("group", [DOCKER, "api.service" + 40 * " " + ".service", "lxc.payload." + 200 * "\udcff"],
                         ids=["container", "blanks", "bytes"])
def test_owner_is_kept(group, system, tmp_path):
    """Whose a group is, is in every row: of narrow tables, and of metrics."""
    where = DELEGATED[-1] + "/" + group
    with cgroups(*DELEGATED, where) as put, Steps(system, tmp_path, name="shop.py") as forger:
        put(forger, where)
        for by in ("unit", "container") if group != DOCKER else ("container",):
            if by == "container" and group.endswith("service"):
                continue
            for words, wanted in ((["--width", "60"], " of user 7  "), (["--width", "100"], " of user 7  "),
                                  (["--format", "openmetrics"], ' of user 7"')):
                done = subprocess.run([TOOL, "-p", str(forger.pid), "-d", "1", "-q", "--by", by, *words],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
                text = done.stdout.decode()
                assert done.returncode == 0, done.stderr
                assert wanted in text and "  .service" not in text, text


@pytest.mark.parametrize("by, names", [
    ("unit", {DOCKER, MACHINE, PLAIN}), ("program", {"shop.py", "batch.py", "cron.py"}), ("user", {str(os.getuid())})])
def test_others(targets, by, names):
    with worked(targets, "--by", by) as tool:
        assert set(check_sums(read(tool))) == names


def test_processes(targets):
    with worked(targets, "--by", "process") as tool:
        report = read(tool)
        check_sums(report)
        assert {row["pid"] for row in report["groups"]["rows"]} == {target.pid for target in targets}


def test_servers(system, tmp_path):
    """Two applications under a server of one name are two programs."""
    with contextlib.ExitStack() as stack:
        served = [stack.enter_context(Steps(system, tmp_path, ("-w", "2", "-b", "127.0.0.1:80", name), name="gunicorn"))
                  for name in ("shop:application", "shop:application", "blog:application")]
        with worked(served, "--by", "program") as tool:
            rows = check_sums(read(tool))
    assert {name: row["processes"] for name, row in rows.items()} == {
        "gunicorn shop:application": 2, "gunicorn blog:application": 1}


def test_table(targets):
    """The answer comes first, then the rows by growth."""
    with worked(targets, "--by", "container", output=False) as tool:
        lines = tool.stdout().decode().splitlines()
        assert lines[0].startswith("docker:%s grew most: +" % ID[:12]), lines
        assert "Most of it at " in lines[0] and "shop.py:%d keep" % KEEP in lines[0]
        assert lines[1].startswith("4 Pythons, 3 programs, 2 containers ")
        assert "PSS" in lines[2] and "CONTAINER" in lines[2]
        assert "docker:" in lines[3]
        assert {"nspawn:web", "(no container)"} == {name for line in lines[4:6]
                                                     for name in ("nspawn:web", "(no container)") if name in line}


def test_limit(system, tmp_path, memory):
    """What the kernel says of the container's group, in cgroup v1; and no column that it does not have there."""
    with Steps(system, tmp_path) as target:
        memory(target)
        with worked([target], "--by", "container") as tool:
            row, = read(tool)["groups"]["rows"]
        with worked([target], "--by", "container", "--record", tmp_path / "run.pymem", output=False) as tool:
            said = tool.stdout().decode()
    recorded = json.loads(subprocess.check_output([TOOL, "report", tmp_path / "run.pymem", "--format", "json"],
                                                  timeout=harness.PATIENCE))["processes"][0]["container"]
    assert recorded["limit_bytes"] == LIMIT and 16 * MIB < recorded["limited_bytes"] < LIMIT
    container = row["container"]
    assert container["name"] == "docker:" + ID[:12]
    assert container["limit_bytes"] == LIMIT and container["limited_bytes"] == container["current_bytes"]
    assert 16 * MIB < container["current_bytes"] < LIMIT
    assert container["oom_kills"] == 0 and container["pressure_some_avg10"] is None
    assert " of its limit of 512.0 MiB (" in said and " USED " in said and " LIMIT " in said
    assert "PRESSURE" not in said and "KILLS" not in said


def test_recording(targets, tmp_path):
    """A report of a recording has the same rows; whose a process was is not recorded, and it says so."""
    recording = tmp_path / "run.pymem"
    with worked(targets, "--by", "container", "--record", recording) as tool:
        live = check_sums(read(tool))
    words = [TOOL, "report", recording, "--format", "json", "--by"]
    again = check_sums(json.loads(subprocess.check_output(words + ["container"], timeout=harness.PATIENCE)))
    assert {name: row["change_bytes"] for name, row in live.items()} == \
        {name: row["change_bytes"] for name, row in again.items()}
    refused = subprocess.run(words + ["user"], stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert refused.returncode == 2 and b"--by user: a recording does not say of whom" in refused.stderr


@pytest.mark.parametrize("options, why", [
    (["--format", "csv"], b"--by is for --format table, json and openmetrics"), (["--tree"], b"--by and --tree exclude"),
    (["-f", "keep"], b"--by and -f exclude")])
def test_refused(options, why):
    done = subprocess.run([TOOL, "-a", "--by", "unit", *options], stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 2 and why in done.stderr, done.stderr
