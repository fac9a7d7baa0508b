# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A pytest plugin: writes one line of JSON for each test when it ends, to the file PYMEM_RUN_REPORT.

junit's XML would not do: it has no node identifiers, with which a test can be run again, and it is written
only at the end.
"""
import json
import os

WORST = {"passed": 0, "skipped": 1, "failed": 2}


def skip_reason(report):
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return reason[len("Skipped: "):] if reason.startswith("Skipped: ") else reason


class Report:
    def __init__(self, path):
        self.file, self.open = open(path, "w", encoding="utf-8", errors="backslashreplace"), {}

    def write(self, **record):
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()

    def pytest_collectreport(self, report):
        if report.failed:
            self.write(id=report.nodeid, outcome="failed", text=report.longreprtext, seconds=0.0, again=False)

    def pytest_runtest_logreport(self, report):
        """Of setup, call and teardown the worst one counts; teardown is the last."""
        record = self.open.setdefault(report.nodeid, dict(
            id=report.nodeid, outcome="passed", text="", seconds=0.0, again=True))
        record["seconds"] += report.duration
        if WORST[report.outcome] > WORST[record["outcome"]]:
            record["outcome"] = report.outcome
            record["text"] = skip_reason(report) if report.skipped else report.longreprtext
        if report.when == "teardown":
            self.write(**self.open.pop(report.nodeid))

    def pytest_sessionfinish(self, session):
        """Without this line it has ended in the middle, whatever its status."""
        self.write(collected=session.testscollected)

    def pytest_unconfigure(self):
        self.file.close()


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(os.environ["PYMEM_RUN_REPORT"]))
