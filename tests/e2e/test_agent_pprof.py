# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent's profiles, as `go tool pprof` fetches and reads them: what grew in some seconds, of processes that ended meanwhile
too, and what is resident. They add up to what the kernel says, and whoever waits for one holds nothing up."""
import collections
import contextlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import MIB
from test_agent import Agent, files, grown, image_of, is_recorded, rights_of_the_unit, stepping
from test_agent_metrics import secrets  # pylint: disable=unused-import
from test_agent_metrics import TOKEN, ask, connect, fresh, listening, rss_of, total, url_of
from test_formats import go_pprof, go_raw, go_top

pytestmark = pytest.mark.host


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def base_of(agent):
    return url_of(agent)[:-len("metrics")] + "debug/pprof/"


def answer(url, path="/dev/null"):
    """(status, headers) of what may be no text, which is written to the file."""
    done = subprocess.run(["curl", "-sS", "-o", str(path), "-D", "-", url], check=True, stdout=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    head, *lines = done.stdout.decode().split("\r\n")
    return int(head.split()[1]), dict(line.split(": ", 1) for line in lines if line)


def got(url, path):
    """What is made anew, after the pause that the agent asks for."""
    def is_there():
        status, headers = answer(url, path)
        assert status == 200 and headers["Content-Type"] == "application/octet-stream" or status == 429, (status, headers)
        if status == 429:
            time.sleep(int(headers["Retry-After"]))
        return status == 200
    harness.until(is_there, "made")
    return str(path)


def fetched(url, path, *options):
    """What pprof fetches, in a file. It also keeps what it has fetched, in a folder."""
    if not shutil.which("go"):
        pytest.skip("go is not installed: tools/install-deps test")
    done = subprocess.run(["go", "tool", "pprof", "-proto", "-symbolize=none", "-output=%s" % path, *options, url],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=harness.PATIENCE,
                          env=harness.environment(GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local",
                                                  PPROF_TMPDIR=str(path.parent)))
    assert done.returncode == 0, done.stdout
    return str(path)


def by_process(path):
    """{PID: {type: sum}}; None: samples without a PID."""
    types, samples = go_raw(path)
    sums = collections.defaultdict(lambda: collections.defaultdict(int))
    for values, labels in samples:
        pid = re.search(r"\bpid:\[(\d+)\]", labels)
        for name, value in zip(types, values):
            sums[int(pid[1]) if pid else None][name] += value
    return sums


class Waiting(threading.Thread):
    """Waits for a profile."""

    def __init__(self, url, path):
        super().__init__()
        self.url, self.path, self.failed = url, path, None
        self.start()

    def run(self):
        try:
            fetched(self.url, self.path)
        except BaseException as why:  # pylint: disable=broad-except
            self.failed = why

    def profile(self):
        self.join(harness.PATIENCE)
        assert not self.is_alive()
        if self.failed:
            raise self.failed
        return str(self.path)


def begun(agent, url):
    """Waits until a request has begun to wait: then the agent has used some time for it."""
    before = [total(fresh(url), "pymem_agent_profile_seconds")]

    def is_begun():
        return total(fresh(url), "pymem_agent_profile_seconds") > before[0]
    return is_begun


def test_rss(store, tmp_path):
    """What grew while it was asked for, by lines; and nothing that grew before. Of each process the figures add up to the
    change of its RSS, to the byte; a process that began and ended meanwhile is there."""
    with stepping(tmp_path) as target, stepping(tmp_path) as idle, listening(store, "--pprof") as agent:
        url = url_of(agent)
        target.step()
        is_begun = begun(agent, url)
        rss = rss_of(target.pid)
        waiting = Waiting(base_of(agent) + "rss?seconds=20", tmp_path / "rss.pb.gz")
        harness.until(lambda: is_begun() or waiting.failed, "begun")
        target.step()
        target.step()
        with stepping(tmp_path) as short:
            harness.until(lambda: total(fresh(url), "pymem_processes", program="steps.py") == 3, "known")
            # Of many that end meanwhile, those that changed most are kept.
            for _ in range(10):
                short.step()
        change = rss_of(target.pid) - rss
        assert waiting.is_alive()
        path = waiting.profile()
        sums = by_process(path)
        assert sums[target.pid]["rss_net"] == change, sums
        assert 8 * MIB <= sums[target.pid]["rss_growth"] <= 8 * MIB + harness.TOLERANCE
        assert sums[target.pid]["rss_growth"] - sums[target.pid]["rss_freed"] == change
        assert sums[idle.pid]["rss_net"] == 0
        _, flat = go_top(path, "rss_growth")
        assert flat["grow"] >= 48 * MIB, flat
        assert 40 * MIB <= sums[short.pid]["rss_growth"], sums
        text = go_pprof(path, "-tags")
        assert "steps.py (%d)" % target.pid in text and "steps.py (%d)" % short.pid in text, text
        # Nothing of it is in the next one.
        path = got(base_of(agent) + "rss?seconds=1", tmp_path / "next.pb.gz")
        assert by_process(path)[target.pid]["rss_net"] == 0
        metrics = fresh(url)
        assert total(metrics, "pymem_agent_profiles") == 2
        assert agent.stop() == 0, agent.text()


def test_seconds_of_pprof(store, tmp_path):
    """pprof asks for a time of its own."""
    with stepping(tmp_path), listening(store, "--pprof") as agent:
        url = base_of(agent)
        began = time.monotonic()
        # It gives up after half as much again.
        fetched(url + "rss", tmp_path / "some.pb.gz", "-seconds=10")
        assert time.monotonic() - began >= 10
        for words in "0", "61", "x", "-1", "":
            assert ask(url + "rss?seconds=" + words)[0] == 400
        assert ask(url)[::2] == (200, "profiles for pprof: rss?seconds=30 what grows from now on; kept: what is resident now\n")
        assert ask(url + "heap")[0] == 404
        status, _, text = ask(url + "kept")
        assert status == 404 and "--pprof-kept" in text
        status, headers, _ = ask(url + "rss", "HEAD")
        assert status == 405 and headers["Allow"] == "GET"
        assert ask(url + "rss", "POST")[0] == 405
        assert agent.stop() == 0, agent.text()


def test_kept(store, tmp_path):
    """What is resident is all of RSS: what lines touched first, and what was there before."""
    with stepping(tmp_path) as target, listening(store, "--pprof-kept") as agent:
        url = base_of(agent)
        url_of(agent)
        harness.until(lambda: total(fresh(url_of(agent)), "pymem_processes", program="steps.py") == 1, "known")
        target.step()
        target.step()

        def is_whole():
            path = got(url + "kept", tmp_path / "kept.pb.gz")
            return by_process(path)[target.pid]["inuse_space"] == rss_of(target.pid)
        harness.until(is_whole, "all of it")
        path = str(tmp_path / "kept.pb.gz")
        _, flat = go_top(path, "inuse_space")
        assert flat["grow"] >= 8 * MIB and flat["[resident before]"] > MIB, flat
        assert "Type: inuse_space" in go_pprof(path, "-top")
        # The recordings are as they are without it.
        harness.until(lambda: is_recorded(store, target.pid, 8 * MIB), "recorded")
        assert agent.stop() == 0, agent.text()
    assert sum(grown(image_of(path, target.pid)) for path in files(store)) >= 8 * MIB


def test_rights(store, tmp_path):
    """It takes no more capabilities than the unit has."""
    limited = ["setpriv", "--bounding-set", "-all," + ",".join("+" + name.lower() for name in rights_of_the_unit())]
    with stepping(tmp_path) as target, listening(store, "--pprof-kept", before=limited) as agent:
        url = base_of(agent)
        harness.until(lambda: total(fresh(url_of(agent)), "pymem_processes", program="steps.py") == 1, "known")
        # The first one that is asked for is not asked for too soon.
        is_begun = begun(agent, url_of(agent))
        waiting = Waiting(url + "rss?seconds=10", tmp_path / "rss.pb.gz")
        harness.until(lambda: is_begun() or waiting.failed, "begun")
        target.step()
        sums = by_process(waiting.profile())
        assert sums[target.pid]["rss_growth"] >= 4 * MIB, sums
        sums = by_process(got(url + "kept", tmp_path / "kept.pb.gz"))
        assert sums[target.pid]["inuse_space"] >= 4 * MIB, sums
        assert agent.stop() == 0, agent.text()


def test_not_asked_for(store):
    with listening(store) as agent:
        status, _, text = ask(base_of(agent) + "rss?seconds=1")
        assert status == 404 and text == "profiles are served with --pprof\n"
        assert agent.stop() == 0, agent.text()


@pytest.mark.parametrize("option", ["--pprof", "--pprof-kept"])
def test_needs_listen(store, option):
    with Agent(store, option) as agent:
        assert agent.wait() == 2
    assert "--pprof and --pprof-kept need --listen" in agent.text() and not store.exists()


def asks(url, seconds):
    s = connect(url)
    s.sendall(b"GET /debug/pprof/rss?seconds=%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % seconds)
    return s


@pytest.mark.attack("an end of the agent's recording", "100 requests for profiles of a minute, most of which go away")
def test_many_wait(store, tmp_path):
    """Four wait, the others are refused with a time. Meanwhile there are metrics, and it records."""
    with stepping(tmp_path) as target, listening(store, "--pprof-kept") as agent, contextlib.ExitStack() as stack:
        url = url_of(agent)
        for number in range(100):
            s = asks(url, 60)
            if number % 10:
                stack.enter_context(s)
            else:
                s.close()

        def refused():
            stack.enter_context(asks(url, 60))
            status, headers = answer(base_of(agent) + "rss?seconds=1")
            return status == 429 and 1 <= int(headers["Retry-After"]) <= 61
        harness.until(refused, "refused")
        target.step()
        assert total(fresh(url), "pymem_grown_bytes", program="steps.py") >= 4 * MIB
        harness.until(lambda: is_recorded(store, target.pid, 4 * MIB), "recorded")
        # It ends while they wait.
        assert agent.stop() == 0, agent.text()
    assert len(agent.lines()) == 3, agent.text()


def test_places_are_given_back(store):
    with listening(store, "--pprof") as agent:
        url = url_of(agent)
        for _ in range(3):
            with contextlib.ExitStack() as stack:
                for s in [stack.enter_context(asks(url, 60)) for _ in range(4)]:
                    s.shutdown(socket.SHUT_RDWR)

        def answered():
            return answer(base_of(agent) + "rss?seconds=1")[0] == 200
        harness.until(answered, "a place is free")
        assert agent.stop() == 0, agent.text()


@pytest.mark.attack("the stacks of a host", "asking for a profile without the token, or by another name")
def test_access(store, secrets):  # pylint: disable=redefined-outer-name
    options, context = secrets
    with listening(store, "--pprof-kept", *options, at="0.0.0.0:0") as agent:
        url = base_of(agent).replace("0.0.0.0", "127.0.0.1")
        for path in "rss?seconds=1", "kept", "":
            assert ask(url + path, context=context)[0] == 401
            assert ask(url + path, headers={"Authorization": "Bearer x" + TOKEN}, context=context)[0] == 401
        assert ask(url, headers={"Authorization": "Bearer " + TOKEN}, context=context)[0] == 200
        assert agent.stop() == 0, agent.text()
    with listening(store, "--pprof-kept") as agent:
        for path in "rss?seconds=1", "kept":
            assert ask(base_of(agent) + path, headers={"Host": "evil.example"})[0] == 403
        assert agent.stop() == 0, agent.text()
