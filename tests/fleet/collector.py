# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A real Prometheus that collects from the agent, with the rules that are shipped, and what it takes to keep what an agent
says: measured with many agents, which are pages of one that are served again."""
import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import harness
from test_metrics import free_port

RULES = os.path.join(harness.PROJECT, "packaging", "prometheus", "pymem-bpf.rules.yml")
HOUR = 3600


def scaled(text, hour):
    """Rules whose hour is `hour` seconds long: times, and what grows in them, are divided by the same number."""
    part = hour / HOUR

    def time_of(match):
        seconds = int(match.group(1)) * {"m": 60, "h": HOUR}[match.group(2)]
        return "%ds" % max(5, round(seconds * part))
    text = re.sub(r"\b(\d+)([mh])(?=[\]\n) ])", time_of, text)
    # What is a growth of an hour: 100 MiB, and a half.
    text, count = re.subn(r"100 \* 1024 \* 1024", str(round(100 * 1024 * 1024 * part)), text)
    text, more = re.subn(r"1\.5 \* \(", "%.3f * (" % (1 + 0.5 * part), text)
    assert count == 1 and more == 1, "the rules are not as they were"
    return text


class Prometheus:
    """One that collects from `targets`, addresses, each `interval` seconds. rules: text of a file of rules."""

    def __init__(self, folder, targets, interval, rules=None):
        self.folder, self.port = folder, free_port()
        os.makedirs(folder, exist_ok=True)
        if rules:
            with open(os.path.join(folder, "rules.yml"), "w", encoding="utf-8") as f:
                f.write(rules)
        config = {"global": {"scrape_interval": "%ds" % interval, "evaluation_interval": "%ds" % interval},
                  "rule_files": ["rules.yml"] if rules else [],
                  "scrape_configs": [{"job_name": "pymem-bpf", "sample_limit": 20000, "static_configs": [
                      {"targets": [at], "labels": {"host": "host%d" % number}} for number, at in enumerate(targets)]}]}
        with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as f:
            json.dump(config, f)  # JSON is YAML
        self.process = None

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.enable-admin-api",
                 "--web.listen-address=127.0.0.1:%d" % self.port], cwd=self.folder, stdout=log, stderr=log)
        harness.until(lambda: self.query("vector(1)"), "Prometheus answers")
        return self

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(harness.PATIENCE)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def ask(self, path, data=None):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.port, path), data=data)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return answer.read().decode()

    def query(self, text):
        """[(labels, value)]; nothing if it can't be asked."""
        try:
            answer = json.loads(self.ask("/api/v1/query?" + urllib.parse.urlencode({"query": text})))
        except (OSError, ValueError):
            return []
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def own(self, name):
        """A metric of its own, all of its labels together."""
        found = re.findall(r"^%s(?:\{[^}]*\})? (\S+)$" % name, self.ask("/metrics"), re.M)
        assert found, name
        return sum(map(float, found))

    def alert(self, name):
        """Labels of the alerts of that name that fire."""
        return [labels for labels, _ in self.query('ALERTS{alertname="%s",alertstate="firing"}' % name)]

    def snapshot(self):
        """Bytes of all samples that it has, as blocks on the disk."""
        name = json.loads(self.ask("/api/v1/admin/tsdb/snapshot", data=b""))["data"]["name"]
        top = os.path.join(self.folder, "tsdb", "snapshots", name)
        return sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(top) for file in files)


@contextlib.contextmanager
def replayed(pages):
    """A server that says what an agent said, one page (a file) after the other to each that asks. Its address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        turns = {}

        def do_GET(self):
            turn = Handler.turns[self.path] = Handler.turns.get(self.path, -1) + 1
            with open(pages[turn % len(pages)], "rb") as f:
                body = f.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield "127.0.0.1:%d" % server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def sizes(folder, pages, hosts, seconds):
    """What Prometheus needs for so many agents: {"series", "bytes_per_sample", "head_bytes_per_series"}."""
    with Prometheus(os.path.join(folder, "empty"), [], 1) as empty:
        base = empty.own("process_resident_memory_bytes")
    with replayed(pages) as at, Prometheus(os.path.join(folder, "many"), [at] * hosts, 1) as many:
        time.sleep(seconds)
        series, samples = many.own("prometheus_tsdb_head_series"), many.own("prometheus_tsdb_head_samples_appended_total")
        memory = many.own("process_resident_memory_bytes")
        return {"series": series / hosts, "samples": samples, "bytes_per_sample": many.snapshot() / samples,
                "head_bytes_per_series": (memory - base) / series}
