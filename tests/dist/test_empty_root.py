# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The static program where there is no file but its own, on programs of the host."""
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.request

import pytest

from conftest import PATIENCE, Target, steps_during

GROWS = """# -*- coding: %s -*-
import sys
kept = []
print("ready", flush=True)
for line in sys.stdin:
    kept.append(bytearray(8 << 20))  # \u65e5\u672c\u8a9e
    print("done", flush=True)
"""
LINE = "grows.py:6"
SHOWN = "kept.append(bytearray(8 << 20))  # \u65e5\u672c\u8a9e"


@pytest.fixture(params=["utf-8", "shift_jis"])
def target(request, tmp_path):
    path = tmp_path / "grows.py"
    path.write_bytes((GROWS % request.param).encode(request.param))
    with Target(path) as started:
        yield started


def test_version(root):
    status, out, err = root.run("--version")
    assert (status, err) == (0, "") and out.startswith("pymem-bpf ")


def test_check(root):
    status, out, err = root.run("check")
    assert (status, err) == (0, ""), out + err
    assert "pymem-bpf can do its main job here" in out


def test_main_job(root, target):
    """Lines, their amounts and their source, in an encoding for which the C library would load code."""
    status, out, err = steps_during(target, lambda: root.run("-p", target.pid, "-d", "2", "-n", "0", "-q"))
    assert status == 0, err
    assert LINE in out and SHOWN in out, out


def test_json(root, target):
    """The amounts add up, to the page."""
    status, out, err = steps_during(target, lambda: root.run("-p", target.pid, "-d", "2", "--format", "json", "-q"))
    assert status == 0, err
    process = json.loads(out)["processes"][0]
    assert process["pid"] == int(target.pid)
    assert process["charged_bytes"] + sum(process["lost_bytes"].values()) == \
        process["rss_end_bytes"] - process["rss_start_bytes"]
    line = max(process["lines"], key=lambda row: row["increment_bytes"])
    assert (os.path.basename(line["file"]), line["line"]) == ("grows.py", 6)
    assert line["increment_bytes"] >= 8 << 20


def test_record_and_report(root, target):
    status, _, err = steps_during(target, lambda: root.run("record", "-p", target.pid, "-d", "2", "-o", "/tmp/a.pymem", "-q"))
    assert status == 0, err
    status, out, err = root.run("report", "/tmp/a.pymem", "-n", "0")
    assert status == 0, err
    assert LINE in out and SHOWN in out, out
    status, out, err = root.run("report", "/tmp/a.pymem", "--format", "html", "-o", "/tmp/a.html")
    assert status == 0, err
    with open(root.path("/tmp/a.html"), encoding="utf-8") as f:
        assert "grows.py" in f.read()


def test_heap(root, target):
    target.step()
    status, out, err = root.run("heap", "-p", target.pid)
    assert status == 0, err
    assert "__main__.kept" in out, out


def test_https(root, tmp_path):
    """The agent's metrics: TLS is in the program."""
    cert, key, token = (root.path("/" + name) for name in ("cert.pem", "key.pem", "token"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=agent", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, stderr=subprocess.DEVNULL)
    with open(token, "w") as f:
        f.write("0123456789abcdef0123456789abcdef\n")
    for path in key, token:
        os.chmod(path, 0o600)
    os.mkdir(root.path("/store"), 0o700)
    agent = subprocess.Popen(root.command("agent", "--store", "/store", "--listen", "0.0.0.0:0", "--tls-cert", "/cert.pem",
                                          "--tls-key", "/key.pem", "--metrics-token-file", "/token"),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, end = "", time.monotonic() + 4 * PATIENCE
        while "https://" not in said and time.monotonic() < end:
            line = agent.stdout.readline().decode()
            assert line, said
            said += line
        url = re.search(r"https://\S+:\d+\S*", said).group().replace("0.0.0.0", "127.0.0.1")
        request = urllib.request.Request(url, headers={"Authorization": "Bearer 0123456789abcdef0123456789abcdef"})
        context = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
            assert answer.status == 200 and b"pymem_agent" in answer.read()
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) == 0
    finally:
        agent.kill()
        agent.communicate()


def test_unknown_terminal(root):
    """The one thing that is needed of a host, for `top`: the description of its terminal. It is said by name."""
    done = subprocess.run(["script", "-qec", " ".join("'%s'" % word.replace("'", "'\\''") for word in root.command("top")),
                           "/dev/null"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=4 * PATIENCE,
                          env={"PATH": os.environ["PATH"], "TERM": "xterm-256color"})
    assert done.returncode != 0
    assert b"this terminal is not known (TERM=xterm-256color" in done.stdout, done.stdout
