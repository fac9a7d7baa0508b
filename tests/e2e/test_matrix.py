# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of interpreters and features: what a cell says, and that the table is written only from a
complete run."""
import json
import os
import subprocess
import sys

import pytest

import harness
import matrix
import matrix_table

FACTS = {"version": "3.11.2", "build": "static", "debug": False, "free_threaded": False,
         "probes": "line"}


def result(path, test, feature, outcome="passed", python="one"):
    return {"id": test, "python": python, "feature": feature, "test": [path, test],
            "refusal": (path, test) in matrix.REFUSALS, "outcome": outcome}


def whole_run():
    """One interpreter, on which all tests of all features passed."""
    found = []
    for path, tests in matrix.TESTS.items():
        for test, feature in tests.items():
            features = set(feature.values()) if feature is matrix.PROGRAMS else {feature}
            found += [result(path, test, one) for one in sorted(features)]
    return [r for r in found if not r["refusal"]]


def refusals():
    return [result(path, test, "exact" if "no_probe" in test else "mprun", python="two")
            for path, test in matrix.REFUSALS]


def write(folder, results, pythons=("one",)):
    for group, facts in (("e2e", dict.fromkeys(pythons, FACTS)), ("python", {})):
        (folder / (group + ".json")).write_text(json.dumps(
            {"pythons": facts, "results": results if group == "e2e" else []}))
    env = {k: v for k, v in os.environ.items() if k != "PYMEM_E2E_PYTHONS"}
    script = os.path.join(harness.PROJECT, "tests", "matrix_table.py")
    done = subprocess.run([sys.executable, script, str(folder), str(folder / "table.md")],
                          stdout=subprocess.PIPE, env=env)
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("outcomes, word", [
    ([], "-"), (["skipped"], "-"), (["passed", "passed"], "yes"), (["passed", "failed"], "no"),
    (["failed", "skipped"], "no"), (["passed", "skipped"], "in part")])
def test_cell(outcomes, word):
    found = [result("e2e/test_lines.py", "test_counted", "exact", outcome) for outcome in outcomes]
    assert matrix_table.cell(found) == word


def test_refusal_is_said_only_if_asserted():
    refused = result("e2e/test_lines.py", "test_no_probe", "exact")
    assert matrix_table.cell([refused]) == "refused"
    counted = result("e2e/test_lines.py", "test_counted", "exact")
    assert matrix_table.cell([refused, counted]) == "yes"
    assert matrix_table.cell([dict(refused, outcome="failed")]) == "no"


def test_whole_run(tmp_path):
    others = [dict(r, python="two") for r in whole_run()
              if r["feature"] not in ("exact", "mprun", "numpy")]
    status, said = write(tmp_path, whole_run() + others + refusals(), ("one", "two"))
    assert status == 0, said
    rows = [line.split(" | ") for line in (tmp_path / "table.md").read_text().splitlines()
            if line.startswith(("| one", "| two"))]
    assert rows[0].count("yes") + rows[0].count("yes |") == len(matrix.FEATURES)
    assert rows[1].count("refused") == 2 and rows[1].count("- (1)") == 1
    _, said = write(tmp_path, whole_run() + others + refusals(), ("one", "two"))
    assert said.endswith("unchanged\n")


def test_a_failure_is_written_and_fails(tmp_path):
    results = whole_run() + refusals()
    results = [dict(r, outcome="failed") if r["feature"] == "threads" else r for r in results]
    status, said = write(tmp_path, results)
    assert status == 1 and "FAIL one: threads: no" in said
    assert "| no |" in (tmp_path / "table.md").read_text()


def test_nothing_is_written_from_less(tmp_path):
    """A feature that was not tested, and a test that ran nowhere."""
    everything = whole_run() + refusals()
    for results, word in (
            ([r for r in everything if r["feature"] != "threads"], "threads was not tested"),
            ([r for r in everything if r["test"][1] != "test_table"], "test_table ran nowhere")):
        status, said = write(tmp_path, results)
        assert status == 1 and word in said and "left alone" in said
        assert not (tmp_path / "table.md").exists()


def test_a_test_without_a_feature_stops_the_collection(tmp_path):
    """The rule that keeps the mapping whole."""
    class Item:
        name, originalname, fspath, nodeid = "test_new[x]", "test_new", tmp_path / "test_x.py", "x"
        user_properties = []

        class callspec:
            params = {"python": type("Python", (), {"name": "x", "command": ["x"]})}

    with pytest.raises(pytest.UsageError, match="belongs to no feature"):
        matrix.select(None, [Item])
