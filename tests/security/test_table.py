# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/SECURITY.md lists what is tested, and the service unit does what the page promises."""
import os
import shutil
import subprocess

import pytest

import attacks
import attacks_table
import harness

SECURITY = os.path.join(harness.PROJECT, "docs", "SECURITY.md")
UNIT = os.path.join(harness.PROJECT, "packaging", "pymem-bpf.service.in")


def test_table_has_each_attack():
    assert attacks_table.check(SECURITY) == [], "make check-security writes it"


def test_each_attack_says_what_it_is():
    marked = attacks.marked()
    assert marked
    for test, mark in marked.items():
        assert len(mark) == 2 and all(mark), test
    assert len(set(marked.values())) == len(marked), "two say the same"


def test_each_folder_has_attacks():
    """A group of which pytest collects none fails make check-security, and so it should."""
    marked = attacks.marked()
    for folder in attacks.FOLDERS:
        assert [test for test in marked if test.startswith(folder + "/")], folder
    with open(os.path.join(harness.PROJECT, "Makefile")) as f:
        recipe = f.read().split("\ncheck-security:\n")[1].split("\n\n")[0]
    assert "-m attack" in recipe and "= 5" not in recipe


def test_partial_runs_write_nothing():
    marked = {"a::x": ("g", "h"), "a::y": ("g", "i"), "a::z": ("g", "j")}
    whole = {"a::x": {"x": "passed"}, "a::y": {"y[1]": "passed", "y[2]": "skipped"}, "a::z": {"z": "passed"}}
    assert attacks_table.problems(marked, whole) == []
    for broken in ({}, {"z": "skipped"}, {"z": "failed"}):
        assert len(attacks_table.problems(marked, dict(whole, **{"a::z": broken}))) == 1
    text = attacks_table.table(marked, whole)
    assert attacks_table.rows(text) == marked and "held, 1 of 2 ways" in text


@pytest.fixture
def units(tmp_path):
    for name in ("pymem-bpf.socket", "pymem-bpf.service.in", "pymem-bpf-agent.service.in"):
        with open(os.path.join(harness.PROJECT, "packaging", name)) as f:
            text = f.read().replace("@SBINDIR@/pymem-bpf", "/bin/true")
        (tmp_path / name.replace(".in", "")).write_text(text)
    return tmp_path


def systemd_analyze(*arguments):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed (package systemd)")
    return subprocess.run(["systemd-analyze"] + list(arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=harness.PATIENCE)


def test_unit_is_valid(units):
    done = systemd_analyze("verify", "--man=no", str(units / "pymem-bpf.service"),
                           str(units / "pymem-bpf.socket"), str(units / "pymem-bpf-agent.service"))
    ours = [line for line in done.stdout.decode().splitlines() if "pymem-bpf" in line]
    assert done.returncode == 0 and ours == [], done.stdout.decode()


def test_unit_is_confined(units):
    done = systemd_analyze("security", "--offline=yes", "--threshold=25", str(units / "pymem-bpf.service"))
    assert done.returncode == 0, done.stdout.decode()
