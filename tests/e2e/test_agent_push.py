# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent pushes its profiles: a server gets what grew, by program; and whatever it does instead of taking
them, the agent records, and sends them later, or drops them and says so."""
import base64
import itertools
import os
import re
import signal
import ssl
import subprocess
import time

import pytest

import harness
from harness import MIB
from pyroscopes import PATH, Pyroscope
from test_agent import Agent, is_recorded, rights_of_the_unit, stepping
from test_agent_metrics import secrets  # pylint: disable=unused-import
from test_agent_metrics import fresh, total, url_of

pytestmark = pytest.mark.host
SECRET = "glc_a-token-of-this-test"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


RESTLESS = """
import mmap, time
while True:
    with mmap.mmap(-1, 1 << 20) as made:
        made.write(bytes(1 << 20))
    time.sleep(0.2)
"""


@pytest.fixture(scope="module", autouse=True)
def another_program(tmp_path_factory):
    """Nothing is pushed while nothing changes; on a quiet host that may be for long. Here something does all the time."""
    path = tmp_path_factory.mktemp("restless") / "restless.py"
    path.write_text(RESTLESS)
    with subprocess.Popen(["/usr/bin/python3", str(path)]) as process:
        yield
        process.kill()


@pytest.fixture(scope="module", autouse=True)
def the_server_itself():
    """What reads messages is tested by hand: this one has a number of two bytes, and one below zero."""
    from pyroscopes import fields, numbers  # pylint: disable=import-outside-toplevel
    assert fields(b"\x08\x96\x01\x12\x02hi") == [(1, 150), (2, b"hi")]
    assert numbers(b"\x01" + b"\xff" * 9 + b"\x01") == [1, -1]


def secret(tmp_path, text=SECRET, mode=0o600):
    path = tmp_path / "secret"
    path.write_text(text + "\n")
    os.chmod(path, mode)
    return path


def pushing(store, server, *options, **how):
    return Agent(store, "--push", server.url(), "--push-every", "1", *options, **how)


def series_of(server, program, kind="rss"):
    return [(labels, profile) for request in list(server.requests) for labels, profile in request.series
            if labels["service_name"] == program and labels["__name__"] == kind]


def grown(server, program="steps.py"):
    return sum(profile.flat.get(("grow", "rss_growth"), 0) for _, profile in series_of(server, program))


def test_rss(store, tmp_path):
    """What grows arrives, under the name of its program. Nothing tells processes apart, and nothing is below
    zero, since Pyroscope leaves out such samples."""
    with Pyroscope() as server, stepping(tmp_path) as target, pushing(store, server) as agent:
        agent.says("pushes profiles to %s every 1 s" % server.url())
        agent.says("%s takes profiles" % server.url())
        for _ in range(5):
            target.step()
            time.sleep(0.4)
        harness.until(lambda: grown(server) >= 20 * MIB, "pushed")
        harness.until(lambda: is_recorded(store, target.pid, 20 * MIB), "recorded")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
        assert not server.trouble, server.trouble
    # A step may have come just when one window ended and the next one had begun.
    assert 20 * MIB <= grown(server) <= 24 * MIB + harness.TOLERANCE
    for request in server.requests:
        assert (request.method, request.path) == ("POST", PATH)
        assert request.headers["content-type"] == "application/proto" and request.headers["connect-protocol-version"] == "1"
        assert "authorization" not in request.headers and "x-scope-orgid" not in request.headers
        assert len(request.series) <= 21 and sum(profile.size for _, profile in request.series) <= 960 << 10
        names = [tuple(sorted(labels.items())) for labels, _ in request.series]
        assert len(set(names)) == len(names), names
        for labels, profile in request.series:
            assert {"__name__", "service_name", "hostname"} <= set(labels) <= \
                {"__name__", "service_name", "hostname", "container", "where"}, labels
            assert profile.types == ["rss_growth", "rss_freed", "cow_copied", "page_faults", "inuse_space"]
            assert profile.least >= 0 and not profile.labels


def test_kept(store, tmp_path):
    """With --pprof-kept also what is resident. --pprof-kept needs no --listen then."""
    with Pyroscope() as server, stepping(tmp_path) as target, pushing(store, server, "--pprof-kept") as agent:
        agent.says("takes profiles")
        target.step()
        target.step()

        def is_there():
            kept = series_of(server, "steps.py", "kept")
            return kept and kept[-1][1].flat.get(("grow", "inuse_space"), 0) >= 8 * MIB
        harness.until(is_there, "pushed")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_the_last_one(store, tmp_path):
    """What came in the last window is pushed when it ends."""
    with Pyroscope() as server, stepping(tmp_path) as target, \
            Agent(store, "--push", server.url(), "--push-every", "600") as agent:
        agent.says("records")
        harness.until(lambda: (target.step() or is_recorded(store, target.pid, 8 * MIB)), "recorded")
        assert not server.requests
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert is_recorded(store, target.pid, grown(server) - harness.TOLERANCE) and grown(server) >= 8 * MIB


@pytest.mark.attack("an agent that does not end", "a server of profiles that says nothing")
def test_ends(store, tmp_path):
    def how_long(agent):
        began = time.monotonic()
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
        return time.monotonic() - began

    with stepping(tmp_path), Agent(tmp_path / "other") as agent:
        agent.says("records")
        without = how_long(agent)
    with Pyroscope("hang") as server, stepping(tmp_path), pushing(store, server) as agent:
        harness.until(lambda: server.requests, "pushed")
        # It tries for 2 s. The last profile has to be made, too, and machines are not the same all the time.
        assert how_long(agent) < 2 * without + 2 + 3 + harness.PATIENCE / 20
        assert re.search(r"ends with \d+ profiles? that (was|were) not pushed to " + re.escape(server.url()), agent.text())


@pytest.mark.attack("an end of the agent's recording", "a server of profiles that refuses, hangs, or answers without an end")
@pytest.mark.parametrize("mode, words", [
    (500, "500 Internal Server Error"), ("half", r"it closed the connection without an answer|Connection reset by peer|Broken pipe"),
    ("head", "the head of its answer has no end"), ("hang", "no answer within 10 s"), ("deaf", "no answer within 10 s"),
    ((429, ("Retry-After: 1",), b'{"code":"resource_exhausted","message":"too much\x1b[2J"}'),
     r"429 Too Many Requests: too much\\x1b\[2J")])
def test_later(store, tmp_path, mode, words):
    """It is said once, tried again, and nothing is missing afterwards; it records meanwhile."""
    with Pyroscope(mode, mode, "ok") as server, stepping(tmp_path) as target, \
            pushing(store, server, "--listen", "127.0.0.1:0") as agent:
        agent.says("profiles can't be pushed to %s, which is tried again: " % server.url())
        assert re.search("which is tried again: (%s)$" % words, agent.text(), re.M), agent.text()
        before = grown(server)
        target.step()
        target.step()
        harness.until(lambda: is_recorded(store, target.pid, 8 * MIB), "recorded")
        agent.says("takes profiles again; 0 were dropped meanwhile")
        harness.until(lambda: grown(server) - before >= 8 * MIB, "pushed")
        metrics = fresh(url_of(agent))
        assert total(metrics, "pymem_push_failed") == 2 and total(metrics, "pymem_push_dropped") == 0
        assert total(metrics, "pymem_push_sent") >= 1 and total(metrics, "pymem_push_bytes") > 0
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert agent.text().count("can't be pushed") == 1, agent.text()


@pytest.mark.parametrize("mode, words", [
    ((400, (), b'{"code":"invalid_argument","message":"service \\"x\\" is unknown"}'), '400 Bad Request: service "x" is unknown'),
    ((200, ("Content-Type: text/html",), b"<html>"), "200: its answer is not a Pyroscope's"),
    (401, "401 Unauthorized"), ((302, ("Location: http://127.0.0.1:1/",), b""), "302 a redirect, which is not followed")])
def test_refused(store, tmp_path, mode, words):
    """What can't succeed is dropped, and said once."""
    with Pyroscope(mode, mode, mode, "ok") as server, stepping(tmp_path), \
            pushing(store, server, "--listen", "127.0.0.1:0") as agent:
        agent.says("%s refuses profiles, which are dropped: %s\n" % (server.url(), words))
        agent.says("takes profiles again; 3 were dropped meanwhile")
        assert total(fresh(url_of(agent)), "pymem_push_dropped", why="refused") == 3
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert agent.text().count("refuses profiles") == 1, agent.text()


def test_gone(store, tmp_path):
    """A server that is not there when it starts, and comes."""
    with Pyroscope() as server:
        port = server.port
    with stepping(tmp_path), Agent(store, "--push", "http://127.0.0.1:%d" % port, "--push-every", "1") as agent:
        agent.says("which is tried again: Connection refused")
        with Pyroscope(port=port) as server:
            agent.says("%s takes profiles again; 0 were dropped meanwhile" % server.url())
            assert server.requests and not server.trouble, server.trouble
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.fixture
def https(secrets):  # pylint: disable=redefined-outer-name
    """(options of a server's TLS, the file of its authority)"""
    options, _ = secrets
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options[1], options[3])
    return context, options[1]


def test_https(store, tmp_path, https):  # pylint: disable=redefined-outer-name
    context, authority = https
    with Pyroscope(context=context) as server, stepping(tmp_path), \
            pushing(store, server, "--push-ca", authority, "--push-token-file", secret(tmp_path), "--push-tenant", "team-a",
                    before=["setpriv", "--bounding-set",
                            "-all," + ",".join("+" + name.lower() for name in rights_of_the_unit())]) as agent:
        agent.says("takes profiles")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
        for request in server.requests:
            assert request.headers["authorization"] == "Bearer " + SECRET and request.headers["x-scope-orgid"] == "team-a"
    assert SECRET not in agent.text()


@pytest.mark.attack("profiles of a host, and its token", "a server with a certificate that nobody known has signed, or for another host")
def test_wrong_certificate(store, tmp_path, https):  # pylint: disable=redefined-outer-name
    """Nothing is sent to a server that is not the one it claims to be."""
    context, authority = https
    with Pyroscope(context=context) as server:
        for url, options in (server.url(), ()), (server.url("localhost"), ("--push-ca", authority)):
            with stepping(tmp_path), Agent(store, "--push", url, "--push-every", "1", "--push-token-file", secret(tmp_path),
                                           *options) as agent:
                agent.says("which is tried again: TLS: The certificate is NOT trusted.")
                assert agent.stop(signal.SIGTERM) == 0, agent.text()
        assert server.connections >= 2 and not server.requests


@pytest.mark.attack("the token of a server", "a server, or a proxy before it, that says what it was sent")
def test_repeats(store, tmp_path):
    said = (401, (), b'{"message":"Authorization: Bearer %s"}' % SECRET.encode())
    with Pyroscope(said) as server, stepping(tmp_path), pushing(store, server, "--push-token-file", secret(tmp_path)) as agent:
        agent.says("refuses profiles, which are dropped: 401 Unauthorized: (it repeats the secret)")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert SECRET not in agent.text()


def test_password(store, tmp_path):
    """The file of a password is read again at SIGHUP, and so is what the config file says."""
    config, path = tmp_path / "agent.toml", secret(tmp_path, "shop:first")
    with Pyroscope() as server, Pyroscope() as other, stepping(tmp_path):
        config.write_text('push = "%s"\npush-every = 1\npush-password-file = "%s"\n' % (server.url(), path))
        with Agent(store, "--config", config) as agent:
            agent.says("takes profiles")
            secret(tmp_path, "shop:second")
            config.write_text('push = "%s/of/us/"\npush-every = "2s"\npush-password-file = "%s"\n' % (other.url(), path))
            agent.process.send_signal(signal.SIGHUP)
            harness.until(lambda: other.requests, "pushed elsewhere")
            assert other.requests[0].path == "/of/us" + PATH
            secret(tmp_path, "shop:third", 0o644)
            agent.process.send_signal(signal.SIGHUP)
            agent.says("others may read it: chmod 600 %s" % path)
            agent.says("goes on as it was")
            config.write_text("")
            agent.process.send_signal(signal.SIGHUP)
            agent.says("--push can't be changed while it runs: restart it")
            assert agent.stop(signal.SIGTERM) == 0, agent.text()
        for requests, word in (server.requests, b"shop:first"), (other.requests, b"shop:second"):
            assert {request.headers["authorization"] for request in requests} == {"Basic " + base64.b64encode(word).decode()}


def test_reloads(store, tmp_path):
    """Whoever reloads it all the time, with another time between pushes each time, gets profiles nevertheless: the window that
    is open is not begun again."""
    config, turns = tmp_path / "agent.toml", itertools.cycle([3, 2])

    def say(seconds):
        config.write_text('push = "%s"\npush-every = "%ds"\n' % (server.url(), seconds))

    def reload():
        say(next(turns))
        agent.process.send_signal(signal.SIGHUP)
        target.step()
        time.sleep(0.3)
        return len(server.requests) >= 3

    with Pyroscope() as server, stepping(tmp_path) as target:
        say(2)
        with Agent(store, "--config", config) as agent:
            agent.says("pushes profiles to %s every 2 s" % server.url())
            harness.until(reload, "pushed")
            windows = [profile.seconds for request in server.requests for _, profile in request.series]
            assert windows and min(windows) > 1.5 and max(windows) < 3.5 + harness.PATIENCE / 20, windows
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_names(store, tmp_path):
    """`localhost` is known without a name server. Another name is looked up by a helper, whose answer the agent does not wait
    for."""
    with Pyroscope() as server, stepping(tmp_path) as target:
        with Agent(store, "--push", server.url("localhost"), "--push-every", "1") as agent:
            agent.says("takes profiles")
            assert agent.stop(signal.SIGTERM) == 0, agent.text()
        with Agent(store, "--push", "http://profiles.invalid", "--push-every", "1") as agent:
            agent.says("profiles can't be pushed to http://profiles.invalid, which is tried again: ")
            assert re.search("there is no such host|no name server answers|its name was not looked up within 10 s", agent.text())
            target.step()
            harness.until(lambda: is_recorded(store, target.pid, 4 * MIB), "recorded")
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.mark.parametrize("options, words", [
    (["--push", "127.0.0.1:4040"], "--push 127.0.0.1:4040: give http://HOST[:PORT] or https://HOST[:PORT]"),
    (["--push", "http://me:secret@x"], "--push: a name and a password go into --push-password-file"),
    (["--push", "http://me:p/secret@x"], "--push: a name and a password go into --push-password-file"),
    (["--push-every", "15"], "--push-ca need --push"),
    (["--push", "http://127.0.0.1", "--push-every", "901"], "seconds from 1 to 900"),
    (["--push", "http://192.0.2.1", "--push-token-file", "SECRET"], "others on the network could read the token or the password"),
    (["--push", "https://192.0.2.1", "--push-ca", "/dev/null"], "--push-ca /dev/null: it is no file"),
    (["--push", "http://127.0.0.1", "--push-tenant", "a b"], "--push-tenant: a tenant has"),
    (["--push", "http://127.0.0.1", "--pprof"], "--pprof and --pprof-kept need --listen, or --pprof-kept --push")])
def test_options(store, tmp_path, options, words):
    path = secret(tmp_path)
    with Agent(store, *[str(path) if word == "SECRET" else word for word in options]) as agent:
        assert agent.wait() == 2
    assert words in agent.text() and not store.exists()
    assert "secret@" not in agent.text()
