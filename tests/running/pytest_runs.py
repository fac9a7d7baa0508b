# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A folder of pytest tests as one job: the outcome of each node, and how one is run again."""
import json
import os
import sys
import tempfile

from running import commands
from running.outcomes import FAILED, PASSED, SKIPPED, Outcome
from running.schedule import Job

# Bounds against hangs: several times what it takes beside other work. A test has its own, so that one that hangs
# is named, with its stack, and the others are run.
GROUP_SECONDS, NODE_SECONDS, TEST_SECONDS = 5400, 900, 600
HANGS = "Failed: Timeout >"  # what pytest-timeout says


class Tests:
    """Where tests are: `folder`, and `root`, from which their nodes are named."""

    def __init__(self, folder, root=commands.PROJECT):
        self.folder, self.root = folder, root

    def run(self, report, words, seconds, each=None, **environment):
        command = [sys.executable, "-B", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                   "-p", "running.pytest_report", "--timeout=%d" % TEST_SECONDS, "--timeout-method=signal",
                   "--rootdir", self.root] + words
        path = commands.TESTS + (":" + os.environ["PYTHONPATH"] if os.environ.get("PYTHONPATH") else "")
        env = dict(os.environ, PYTHONPATH=path, PYMEM_RUN_REPORT=report, **environment)
        return commands.run(command, seconds, each, env=env)

    def run_again(self, node):
        """(Did it pass, alone?, what was said). A run of the matrix keeps what it has of the first time."""
        with tempfile.TemporaryDirectory() as temporary:
            path, more = os.path.join(temporary, "records"), {"PYMEM_RUN_AGAIN": "1"}
            if os.environ.get("PYMEM_MATRIX"):
                more["PYMEM_MATRIX"] = os.path.join(temporary, "matrix")
            ended = self.run(path, [os.path.join(self.root, node)], NODE_SECONDS, **more)
            records, is_whole = read_records(path)
        good = [record["outcome"] for record in records] == ["passed"]
        return good and is_whole and ended.status == 0, ended.output()

    def outcome(self, record):
        status = {"passed": PASSED, "failed": FAILED, "skipped": SKIPPED}[record["outcome"]]

        def again():
            return self.run_again(record["id"])
        is_good_again = record["again"] and HANGS not in record["text"]
        return Outcome(short(record["id"]), status, record["text"], record["seconds"],
                       again if status == FAILED and is_good_again else None, is_said=True)


def read_records(path):
    """(one record for each test that ended, did pytest reach its own end?)"""
    try:
        with open(path, encoding="utf-8") as f:
            # The last line may be cut off where pytest was ended.
            records = [json.loads(line) for line in f if line.endswith("\n")]
    except FileNotFoundError:
        return [], False
    tests = [record for record in records if "id" in record]
    return tests, len(tests) < len(records)


def short(node):
    """A node's name without the folders that all have."""
    return node[len("tests/"):] if node.startswith("tests/") else node


class PytestJob(Job):
    """Tests of a folder: all, or those that pytest picks by `words`."""

    def __init__(self, name, tests, words=None, shares=False, seconds=GROUP_SECONDS):
        Job.__init__(self, name, shares=shares)
        self.tests, self.words, self.seconds, self.report = tests, words or [tests.folder], seconds, None

    def count(self):
        report = self.report
        return len(read_records(report)[0]) if report else 0

    def run(self, say):
        with tempfile.TemporaryDirectory() as temporary:
            self.report = os.path.join(temporary, "records")
            ended = self.tests.run(self.report, self.words, self.seconds, say)
            records, is_whole = read_records(self.report)
            self.report = None
        found = [self.tests.outcome(record) for record in records]
        is_bad = ended.status != 0 and not any(o.status == FAILED for o in found)
        if is_bad or not is_whole:
            found.append(Outcome("%s: pytest: %s after %d tests" % (
                self.name, commands.describe(ended.status), len(found)), FAILED,
                ended.output(), is_said=True))
        return found
