# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent's metrics, as real clients fetch them: they add up, counters never fall, and nothing that a client does stops
the recording."""
import collections
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import harness
from harness import MIB
from test_agent import Agent, files, grown, image_of, is_recorded, rights_of_the_unit, stepping
from test_agent import check_sums as check_image
from test_by import LIMIT, memory  # pylint: disable=unused-import
from test_metrics import free_port, only, parsed
from test_record_marks import Collecting
from test_top_levels import ID

pytestmark = pytest.mark.host

OPEN = "application/openmetrics-text"
TOKEN = "a-token-of-this-test-0123456789"


def listening(store, *options, at="127.0.0.1:0", **how):
    return Agent(store, "--listen", at, *options, **how)


def url_of(agent):
    agent.says("and all that will start")
    return re.search(r"serves metrics at (\S+)", agent.text()).group(1)


def ask(url, method="GET", headers=None, context=None, timeout=None):
    """(status, headers, text)"""
    request = urllib.request.Request(url, method=method, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=timeout or harness.PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def fresh(url):
    """Metrics of a text that was not there before this call."""
    seen = []

    def made():
        status, headers, text = ask(url)
        assert status == 200, text
        assert headers["Content-Type"] == OPEN + "; version=1.0.0; charset=utf-8"
        seen.append(parsed(text))
        time.sleep(0.1)
        return seen[0]["pymem_profile_seconds"] != seen[-1]["pymem_profile_seconds"]
    harness.until(made, "made anew")
    return seen[-1]


def total(metrics, name, **labels):
    return sum(only(metrics[name], **labels))


def rss_of(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return int(re.search(r"^Rss:\s+(\d+) kB", f.read(), re.M).group(1)) * harness.KIB


def check_sums(metrics):
    """For each program and container the parts are the whole; and over all programs, what it is over all containers."""
    sums = collections.defaultdict(int)
    for name, sign in ("pymem_rss_change_bytes", -1), ("pymem_unattributed_bytes", 1), ("pymem_line_change_bytes", 1):
        for labels, value in metrics.get(name, {}).items():
            sums[dict(labels)["program"], dict(labels)["where"]] += sign * value
    if "pymem_line_change_bytes" in metrics:
        assert not any(sums.values()), sums
    for name in "processes", "rss_bytes", "rss_change_bytes", "swap_bytes", "grown_bytes", "freed_bytes", "faults", \
            "copied_pages", "unattributed_bytes", "gc_collections":
        if "pymem_" + name in metrics:
            assert total(metrics, "pymem_" + name) == total(metrics, "pymem_container_" + name), name
    assert total(metrics, "pymem_interpreters") == total(metrics, "pymem_processes")


def check_budget(before, after):
    """By default a tenth of all CPUs and 256 MiB; what counts for it, by what took it."""
    assert total(after, "pymem_agent_budget_cpu_ratio") == pytest.approx(0.1 * os.sysconf("SC_NPROCESSORS_ONLN"))
    assert total(after, "pymem_agent_budget_memory_bytes") == 256 * MIB
    assert MIB / 4 < total(after, "pymem_agent_memory_bytes") <= total(after, "pymem_agent_rss_bytes")
    name = "pymem_agent_budget_spent_seconds"
    spent = [{dict(labels)["what"]: value for labels, value in metrics[name].items()} for metrics in (before, after)]
    assert set(spent[0]) == {"agent", "requests", "walks", "faults"}
    assert all(spent[1][what] >= spent[0][what] for what in spent[0])
    assert spent[1]["agent"] > 0 and spent[1]["requests"] > spent[0]["requests"]
    assert spent[1]["walks"] + spent[1]["faults"] == pytest.approx(total(after, "pymem_agent_bpf_cpu_seconds"))


def check_never_falls(before, after):
    """Counters that are there in both, of which there are many."""
    seen = 0
    for name in "pymem_grown_bytes", "pymem_freed_bytes", "pymem_faults", "pymem_copied_pages", "pymem_container_grown_bytes", \
            "pymem_agent_cpu_seconds", "pymem_agent_requests", "pymem_agent_dropped":
        for labels, value in before.get(name, {}).items():
            assert after[name][labels] >= value, (name, labels)
            seen += 1
    return seen


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_tcp(store, tmp_path):
    """What a program grew by, by which line; sums; the pages that there are."""
    with stepping(tmp_path) as target, listening(store, "--metrics-lines", "3") as agent:
        url = url_of(agent)
        first = fresh(url)
        target.step()
        target.step()
        second = fresh(url)
        for metrics in first, second:
            check_sums(metrics)
        assert check_never_falls(first, second) > 10
        grown = [total(m, "pymem_grown_bytes", program="steps.py") for m in (first, second)]
        assert 8 * MIB <= grown[1] - grown[0] <= 8 * MIB + harness.TOLERANCE
        # Lines are computed for a small part of the time only.
        def line_has_grown():
            metrics = fresh(url)
            check_sums(metrics)
            assert 0 <= total(metrics, "pymem_agent_lines_age_seconds") < 120
            return only(metrics["pymem_line_change_bytes"], program="steps.py", file=str(tmp_path / "steps.py"),
                        line="5") >= [8 * MIB]
        harness.until(line_has_grown, "in a line")
        assert total(second, "pymem_rss_bytes", program="steps.py") == rss_of(target.pid)
        assert total(second, "pymem_agent_recording") == 1 and total(second, "pymem_agent_recordings") == 1
        assert total(second, "pymem_agent_rss_bytes") > MIB and total(second, "pymem_agent_cpu_seconds") > 0
        check_budget(first, second)
        base = url[:-len("/metrics")]
        assert ask(base + "/")[::2] == (200, "the metrics of pymem-bpf agent are at /metrics\n")
        assert ask(base + "/-/healthy")[::2] == (200, "the agent runs\n")
        assert ask(base + "/metrics/x")[0] == 404
        for method in "POST", "PUT", "DELETE", "OPTIONS":
            status, headers, _ = ask(url, method)
            assert status == 405 and headers["Allow"] == "GET, HEAD"
        status, headers, text = ask(url, "HEAD")
        assert status == 200 and text == "" and int(headers["Content-Length"]) > 1000
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_container(memory, store, tmp_path):
    """Its limit, how much of it is used, and what was killed in it."""
    with stepping(tmp_path) as target:
        memory(target)
        target.step()
        with listening(store) as agent:
            metrics = fresh(url_of(agent))
            place = {"container": "docker:" + ID[:12], "id": ID}
            limit, = only(metrics["pymem_container_limit_bytes"], **place)
            used, = only(metrics["pymem_container_memory_bytes"], **place)
            share, = only(metrics["pymem_container_limit_used_ratio"], **place)
            assert limit == LIMIT and used > 0 and 0 < share < 1 and abs(share - used / limit) < 0.01
            assert only(metrics["pymem_container_oom_kills"], **place) == [0]
            assert only(metrics["pymem_container_processes"], **place) == [1]
            assert only(metrics["pymem_processes"], program="steps.py", where=place["container"]) == [1]
            check_sums(metrics)


def test_collections(store, system):
    """As many as gc.collect() was called, by generation, of a program and its container; also after its end."""
    with listening(store, "--interval", "1") as agent, Collecting(system) as target:
        url = url_of(agent)

        def seen(generation, kind=""):
            return only(fresh(url)["pymem_%sgc_collections" % kind], program="collects.py", generation=str(generation))

        def is_read():
            target.collect(1)
            return sum(seen(2)) > 0
        harness.until(is_read, "read")
        # One of another generation comes behind them, so when that is there, they are.
        target.collect(-1)
        harness.until(lambda: seen(1) == [1], "all of them")
        before, = seen(2)
        target.collect(7)
        target.collect(-4)
        harness.until(lambda: seen(1) == [5], "these, too")
        assert seen(2) == [before + 7] and seen(0) == [0]
        metrics = fresh(url)
        check_sums(metrics)
        assert only(metrics["pymem_agent_gc_processes"], state="read")[0] >= 1
        assert {dict(labels)["state"] for labels in metrics["pymem_agent_gc_processes"]} == {"read", "waits", "unseen"}
        assert total(metrics, "pymem_agent_gc_missed_readings") == 0
        target.process.kill()
        harness.until(lambda: total(fresh(url), "pymem_processes", program="collects.py") == 0, "ended")
        assert seen(2) == [before + 7] and seen(1) == [5]
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_interpreters(store, tmp_path, system):
    """Each process that runs is counted by its version and its engine."""
    path = tmp_path / "steps.py"
    path.write_text("print('ready', flush=True)\ninput()\n")
    command = system.command + [str(path)]
    version = subprocess.check_output(system.command + ["-c", "import platform; print(platform.python_version())"]).decode().strip()
    with listening(store) as agent, contextlib.ExitStack() as stack:
        url = url_of(agent)

        def count():
            return sum(only(fresh(url)["pymem_interpreters"], version=version, engine="walk"))
        before = count()
        for _ in range(3):
            stack.enter_context(harness.Stepping(command))
        harness.until(lambda: count() >= before + 3, "all three")
        check_sums(fresh(url))
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_killed(store, tmp_path):
    """Counted by cause, in its program and its container, which were there with 0 before."""
    with listening(store) as agent, stepping(tmp_path) as target:
        url = url_of(agent)
        harness.until(lambda: total(fresh(url), "pymem_processes", program="steps.py") == 1, "known")
        before = fresh(url)
        assert total(before, "pymem_killed", program="steps.py") == 0 and only(before["pymem_killed"], program="steps.py")
        target.process.kill()
        harness.until(lambda: total(fresh(url), "pymem_killed", program="steps.py", cause="kill") == 1, "counted")
        after = fresh(url)
        assert total(after, "pymem_killed", program="steps.py") == 1
        assert total(after, "pymem_killed") == total(after, "pymem_container_killed")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_lines_are_asked_for(store, tmp_path):
    with stepping(tmp_path), listening(store) as agent:
        metrics = fresh(url_of(agent))
        assert "pymem_line_change_bytes" not in metrics
        check_sums(metrics)


def test_unix_socket(store, tmp_path):
    """It is its owner's alone, is replaced when its agent is dead, and is gone at the end."""
    path = tmp_path / "run" / "metrics.sock"
    with listening(store, at="unix:%s" % path) as agent:
        assert url_of(agent) == "unix:%s" % path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_ISSOCK(path.stat().st_mode)
        done = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", str(path), "http://agent/metrics"], check=True,
                              stdout=subprocess.PIPE, timeout=harness.PATIENCE)
        metrics = parsed(done.stdout.decode())
        assert only(metrics["pymem_agent_recording"]) == [1]
        agent.process.kill()
        agent.wait()
    assert path.exists()
    with listening(store, at="unix:%s" % path) as agent:
        url_of(agent)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert not path.exists()
    path.write_text("mine")
    with listening(store, at="unix:%s" % path) as agent:
        assert agent.wait() == 1
    assert "it is there and is no socket; it is left alone" in agent.text()
    assert path.read_text() == "mine"


def test_counters_never_fall(store, tmp_path):
    """Over the ends of many processes, of which the agent keeps few, and over recordings."""
    short = tmp_path / "short.py"
    short.write_text("import json, decimal, email.message\nkept = [bytearray(1 << 20) for i in range(4)]\n")
    with stepping(tmp_path) as target, listening(store, "--rotate", "2", "--interval", "1") as agent:
        url = url_of(agent)
        last, grown = fresh(url), []
        for _ in range(6):
            for _ in range(6):
                subprocess.run(["/usr/bin/python3", str(short)], check=True, timeout=harness.PATIENCE)
            target.step()
            now = fresh(url)
            check_never_falls(last, now)
            check_sums(now)
            grown.append(total(now, "pymem_grown_bytes", program="short.py"))
            last = now
        # An end is dealt with a moment after it.
        def finished():
            last = fresh(url)
            grown.append(total(last, "pymem_grown_bytes", program="short.py"))
            check_sums(last)
            return total(last, "pymem_processes", program="short.py") == 0
        harness.until(finished, "all have ended")
        assert grown == sorted(grown) and grown[-1] >= 30 * 3 * MIB, grown
        assert total(last, "pymem_agent_recordings") >= 3
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_recording_is_the_same(store, tmp_path):
    """Who asks all the time changes nothing in the recordings: they follow one another without a gap, and have to the byte
    what the program did."""
    with stepping(tmp_path) as target, listening(store, "--rotate", "2", "--interval", "1") as agent:
        url = url_of(agent)
        for _ in range(12):
            target.step()
            for _ in range(4):
                assert ask(url)[0] == 200
                time.sleep(0.15)
        metrics = fresh(url)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    images = [image for image in (image_of(path, target.pid) for path in files(store)) if image]
    assert len(images) >= 3
    for image in images:
        check_image(image)
    for before, after in zip(images, images[1:]):
        assert before["rss_end_bytes"] == after["rss_start_bytes"], (before, after)
    assert 48 * MIB <= sum(map(grown, images)) <= 48 * MIB + harness.TOLERANCE
    assert total(metrics, "pymem_rss_bytes", program="steps.py") == images[-1]["rss_end_bytes"]
    assert total(metrics, "pymem_grown_bytes", program="steps.py") == \
        sum(line["grown_bytes"] for image in images for line in image["lines"])


def connect(url):
    where = urllib.parse.urlsplit(url)
    return socket.create_connection((where.hostname, where.port), timeout=harness.PATIENCE)


def garbage(url):
    for words in b"\x00" * 1000, b"GET /metrics HTTP/9.9\r\n\r\n", b"\r\n" * 5000, os.urandom(20000), b"GET " + b"/" * 60000:
        with connect(url) as s, contextlib.suppress(OSError):
            s.sendall(words)
            s.shutdown(socket.SHUT_WR)
            s.recv(1000)


def large_headers(url):
    with connect(url) as s, contextlib.suppress(OSError):
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for number in range(1000):
            s.sendall(b"X-%d: " % number + b"x" * 1000 + b"\r\n")
        assert b"200 OK" not in s.recv(1000)


def posts(url):
    where = urllib.parse.urlsplit(url)
    for _ in range(5):
        with contextlib.closing(http.client.HTTPConnection(where.hostname, where.port, timeout=harness.PATIENCE)) as c, \
                contextlib.suppress(OSError):
            c.request("POST", "/metrics", body=b"x" * MIB)
            assert c.getresponse().status == 405


@pytest.mark.attack("an end of the agent's recording", "garbage, headers of a megabyte and uploads to its metrics")
def test_hostile_requests(store, tmp_path):
    with stepping(tmp_path) as target, listening(store) as agent:
        url = url_of(agent)
        garbage(url)
        large_headers(url)
        posts(url)
        target.step()
        assert total(fresh(url), "pymem_grown_bytes", program="steps.py") >= 4 * MIB
        harness.until(lambda: is_recorded(store, target.pid, 4 * MIB), "recorded")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert len(agent.lines()) == 3, agent.text()


@pytest.mark.attack("an end of the agent's recording", "100 connections to its metrics that send a byte now and then")
def test_slow_clients(store, tmp_path):
    """They are dropped after seconds, others get their answer, and the recording goes on."""
    with stepping(tmp_path) as target, listening(store) as agent, contextlib.ExitStack() as stack:
        url = url_of(agent)
        slow = [stack.enter_context(connect(url)) for _ in range(100)]
        ended = set()

        def trickle():
            for s in slow:
                try:
                    s.setblocking(False)
                    s.send(b"G")
                    if s.recv(100) == b"":
                        ended.add(s)
                except BlockingIOError:
                    pass
                except OSError:
                    ended.add(s)
            return len(ended) == 100
        trickle()
        target.step()
        # Within seconds of its own; reading what is recorded takes no turn of the agent.
        harness.until(lambda: trickle() or is_recorded(store, target.pid, 4 * MIB), "recorded")
        assert is_recorded(store, target.pid, 4 * MIB)
        began = time.monotonic()
        harness.until(trickle, "dropped")
        assert time.monotonic() - began < 60
        metrics = fresh(url)
        assert total(metrics, "pymem_agent_requests", result="dropped") >= 100
        # Who asks, and then does not read.
        idle = stack.enter_context(connect(url))
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        idle.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert fresh(url)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.mark.attack("the metrics of a host", "a web page whose name is made to lead to the agent")
def test_other_hosts(store):
    with listening(store) as agent:
        url = url_of(agent)
        port = urllib.parse.urlsplit(url).port
        for host in "evil.example", "evil.example:%d" % port, "127.0.0.1.evil.example", "localhost.evil":
            status, _, text = ask(url, headers={"Host": host})
            assert status == 403 and "localhost" in text
        for host in "localhost", "localhost:%d" % port, "127.0.0.1:%d" % port, "[::1]:%d" % port:
            assert ask(url, headers={"Host": host})[0] == 200


def test_one_text_a_second(store):
    with listening(store) as agent:
        url = url_of(agent)
        began = time.monotonic()
        for _ in range(50):
            assert ask(url)[0] == 200
        rounds = time.monotonic() - began
        made = total(fresh(url), "pymem_agent_renderings")
        assert 1 <= made <= rounds + 2
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_older_format(store):
    """For those who ask for it; promtool, which reads it, finds nothing wrong."""
    with listening(store, "--metrics-lines", "2") as agent:
        url = url_of(agent)
        for accept, kind in (("text/plain", "text/plain; version=0.0.4"), ("*/*", OPEN), ("text/plain;q=0.5," + OPEN, OPEN)):
            status, headers, text = ask(url, headers={"Accept": accept})
            assert status == 200 and headers["Content-Type"].startswith(kind)
            assert text.endswith("# EOF\n") == (kind == OPEN)
        if not shutil.which("promtool"):
            pytest.skip("promtool is missing: tools/install-deps test installs prometheus")
        text = ask(url, headers={"Accept": "text/plain"})[2]
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
        assert (done.returncode, done.stdout) == (0, b"")


@pytest.fixture
def secrets(tmp_path):
    """Options of a certificate, its key and a token; and how a client trusts it."""
    cert, key, token = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "token"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=agent", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(TOKEN + "\n")
    return ["--tls-cert", cert, "--tls-key", key, "--metrics-token-file", token], ssl.create_default_context(cafile=cert)


@pytest.mark.attack("the metrics of a host", "asking from the network without the token, or with a wrong one")
def test_network(store, secrets):
    """Other addresses: HTTPS, and a token."""
    options, context = secrets
    with listening(store, *options, at="0.0.0.0:0") as agent:
        url = url_of(agent).replace("0.0.0.0", "127.0.0.1")
        assert url.startswith("https://")
        for given in None, "Bearer " + TOKEN + "x", "Bearer " + TOKEN[:-1], "Bearer ", "Basic " + TOKEN, TOKEN:
            status, headers, _ = ask(url, headers={"Authorization": given} if given else {}, context=context)
            assert status == 401 and headers["WWW-Authenticate"] == "Bearer"
        status, _, text = ask(url, headers={"Authorization": "Bearer " + TOKEN, "Host": "host.example"}, context=context)
        assert status == 200
        assert total(parsed(text), "pymem_agent_requests", result="refused") == 6
        with pytest.raises(urllib.error.URLError):
            ask(url)
        with contextlib.suppress(OSError):
            garbage(url)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.mark.parametrize("options, words", [
    (["--listen", "0.0.0.0:9746"], "others could read it from the network"),
    (["--listen", "[::]:9746"], "others could read it from the network"),
    (["--listen", "localhost:9746"], "addresses as numbers"),
    (["--metrics-lines", "3"], "need --listen"),
    (["--listen", "127.0.0.1:0", "--tls-cert", "/dev/null"], "need each other"),
    (["--listen", "127.0.0.1:0", "--metrics-token-file", "/etc/passwd"], "others may read it: chmod 600"),
])
def test_refused(store, options, words):
    with Agent(store, *options) as agent:
        assert agent.wait() == 2
    assert words in agent.text() and not store.exists()


def test_no_certificate(store, secrets):
    options, _ = secrets
    with open(options[1], "w") as cert:
        cert.write("no certificate\n")
    with listening(store, *options) as agent:
        assert agent.wait() == 2
    assert "they are no certificate and its key" in agent.text()


def test_taken(store, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        at = "127.0.0.1:%d" % other.getsockname()[1]
        with listening(store, at=at) as agent:
            assert agent.wait() == 1
    assert "--listen %s: Address already in use" % at in agent.text()


def test_config(store, tmp_path):
    """In its file, too. SIGHUP takes over the lines, and says what it can't change."""
    config = tmp_path / "agent.toml"
    config.write_text("listen = '127.0.0.1:0'\n")
    with Agent(store, "--config", config) as agent:
        url = url_of(agent)
        assert "pymem_line_change_bytes" not in fresh(url)
        config.write_text("listen = '127.0.0.1:1'\nmetrics-lines = 2\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.says("--listen can't be changed while it runs: restart it")
        assert "pymem_line_change_bytes" in fresh(url)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.mark.parametrize("at", ["127.0.0.1:0", "unix"])
def test_rights(store, tmp_path, at):
    """It needs no more capabilities than without it."""
    limited = ["setpriv", "--bounding-set", "-all," + ",".join("+" + name.lower() for name in rights_of_the_unit())]
    path = tmp_path / "metrics.sock"
    with listening(store, at="unix:%s" % path if at == "unix" else at, before=limited) as agent:
        url = url_of(agent)
        if at == "unix":
            subprocess.run(["curl", "-sS", "--fail", "--unix-socket", str(path), "http://agent/metrics"], check=True,
                           stdout=subprocess.DEVNULL, timeout=harness.PATIENCE)
        else:
            assert fresh(url)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert not path.exists()


# --- Prometheus ---

SAMPLES = os.path.join(harness.PROJECT, "packaging", "prometheus")


def test_samples():
    """The configuration and the rules that are shipped are right, and their metrics are those that there are."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: tools/install-deps test installs prometheus")
    for what, name in ("config", "prometheus.yml"), ("rules", "pymem-bpf.rules.yml"):
        done = subprocess.run(["promtool", "check", what, name], cwd=SAMPLES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=harness.PATIENCE)
        text = done.stdout.decode()
        # A sample has no certificate of yours.
        assert done.returncode == 0 or "/etc/prometheus/pymem-bpf" in text, text


def test_metrics_of_samples(store):
    with open(os.path.join(SAMPLES, "pymem-bpf.rules.yml"), encoding="utf-8") as f:
        names = set(re.findall(r"(?<![:\w])pymem_\w+", f.read()))
    with listening(store, "--pss") as agent:
        url = url_of(agent)
        harness.until(lambda: "\npymem_pss_bytes{" in ask(url, headers={"Accept": "text/plain"})[2], "PSS is read")
        text = ask(url, headers={"Accept": "text/plain"})[2]
    known = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    assert names <= known, names - known


RULES_TEST = """
rule_files: [%s]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: 'pymem_rss_bytes{program="leaks.py",where="",instance="a"}', values: '100000000+4000000x180'}
  - {series: 'pymem_rss_bytes{program="steady.py",where="",instance="a"}', values: '9000000000+1000x180'}
  - {series: 'pymem_container_oom_kills_total{container="c",pod="",id="1",instance="a"}', values: '3x170 4x10'}
  - {series: 'pymem_killed_total{program="leaks.py",where="",cause="oom",instance="a"}', values: '0x170 1x10'}
  - {series: 'pymem_killed_total{program="leaks.py",where="",cause="kill",instance="a"}', values: '0x170 9x10'}
  - {series: 'pymem_agent_recording{instance="a"}', values: '1x180'}
  - {series: 'pymem_rss_bytes{program="web.py",where="",instance="b"}', values: '500x180'}
  - {series: 'pymem_pss_bytes{program="web.py",where="",instance="b"}', values: '150x180'}
  - {series: 'pymem_pss_bytes{program="(other)",where="",instance="b"}', values: '30x180'}
  - {series: 'pymem_pss_unread_processes{program="web.py",where="",instance="b"}', values: '2x180'}
  - {series: 'pymem_pss_unread_processes{program="(other)",where="",instance="b"}', values: '1x180'}
  promql_expr_test:
  - expr: instance:pymem_pss_bytes:sum
    eval_time: 10m
    exp_samples:
    - {labels: 'instance:pymem_pss_bytes:sum{instance="b"}', value: 180}
  - expr: instance:pymem_pss_unread_processes:sum
    eval_time: 10m
    exp_samples:
    - {labels: 'instance:pymem_pss_unread_processes:sum{instance="b"}', value: 3}
  - expr: instance:pymem_rss_bytes_shared_in_each:sum
    eval_time: 0m
    exp_samples:
    - {labels: 'instance:pymem_rss_bytes_shared_in_each:sum{instance="a"}', value: 9100000000}
  alert_rule_test:
  - eval_time: 100m
    alertname: PythonProgramGrows
    exp_alerts:
    - exp_labels: {program: leaks.py, instance: a, severity: warning}
      exp_annotations:
        summary: "leaks.py on a grew by 228.9MiB in an hour"
        description: "pymem-bpf report of the recordings in /var/lib/pymem-bpf there says by which lines."
  - eval_time: 60m
    alertname: PythonProgramGrows
    exp_alerts: []
  - eval_time: 175m
    alertname: PythonContainerKilled
    exp_alerts:
    - exp_labels: {container: c, id: "1", instance: a, severity: critical}
      exp_annotations:
        summary: "a process of c on a was killed for want of memory"
  - eval_time: 175m
    alertname: PythonProgramKilled
    exp_alerts:
    - exp_labels: {program: leaks.py, cause: oom, instance: a, severity: critical}
      exp_annotations:
        summary: "leaks.py on a was killed for want of memory"
        description: "pymem-bpf oom there shows its last words."
  - eval_time: 160m
    alertname: PythonProgramKilled
    exp_alerts: []
  - eval_time: 160m
    alertname: PythonContainerKilled
    exp_alerts: []
  - eval_time: 175m
    alertname: PymemAgentDoesNotRecord
    exp_alerts: []
"""


def test_alerts(tmp_path):
    """They fire for what they are meant for, and for nothing else."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: tools/install-deps test installs prometheus")
    (tmp_path / "test.yml").write_text(RULES_TEST % os.path.join(SAMPLES, "pymem-bpf.rules.yml"))
    done = subprocess.run(["promtool", "test", "rules", str(tmp_path / "test.yml")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stdout.decode()


def query(port, text):
    where = "http://127.0.0.1:%d/api/v1/query?%s" % (port, urllib.parse.urlencode({"query": text}))
    try:
        return json.loads(ask(where)[2])["data"]["result"]
    except (OSError, ValueError):
        return []


def is_told(port, target):
    """True if who collects at that port says that the stepping target grows, which it does by 8 MiB a second meanwhile."""
    target.step()
    time.sleep(0.5)
    found = query(port, "topk(5, rate(pymem_grown_bytes_total[30s]))")
    return {one["metric"]["program"]: float(one["value"][1]) for one in found}.get("steps.py", 0) > MIB


def test_prometheus(store, tmp_path):
    """A real one collects from the agent, and tells which program grows."""
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is missing: tools/install-deps test installs it")
    with stepping(tmp_path) as target, listening(store) as agent:
        at = urllib.parse.urlsplit(url_of(agent)).netloc
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: pymem\n  static_configs:\n  - targets: [%r]\n" % at)
        port = free_port()
        server = subprocess.Popen(["prometheus", "--config.file=%s" % (tmp_path / "prometheus.yml"),
                                   "--storage.tsdb.path=%s" % (tmp_path / "tsdb"), "--web.listen-address=127.0.0.1:%d" % port],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            harness.until(lambda: is_told(port, target), "told")
            assert query(port, "up")[0]["value"][1] == "1"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(harness.PATIENCE)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
