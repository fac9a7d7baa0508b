# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/SECURITY.md lists what is tested, and the service unit does what the page promises."""
import os
import re
import shutil
import subprocess

import pytest

import attacks
import attacks_table
import harness

SECURITY = os.path.join(harness.PROJECT, "docs", "SECURITY.md")


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


# What systemd-analyze may find open, in tenths. docs/SECURITY.md says what systemd 252 finds: one less.
EXPOSURE = {"pymem-bpf": 17, "pymem-bpf-agent": 37}


@pytest.mark.parametrize("unit, most", sorted(EXPOSURE.items()))
def test_unit_is_confined(units, unit, most):
    done = systemd_analyze("security", "--offline=yes", "--threshold=%d" % most, str(units / (unit + ".service")))
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("unit", sorted(EXPOSURE))
def test_unit_has_its_limits(units, unit):
    """systemd-analyze does not rate these: neither memory nor processes without end."""
    with open(units / (unit + ".service")) as f:
        settings = dict(line.split("=", 1) for line in f.read().splitlines() if "=" in line and line[0] != "#")
    assert re.fullmatch(r"[1-9]\d*M", settings.get("MemoryMax", "")), settings
    assert re.fullmatch(r"[1-9]\d*", settings.get("TasksMax", "")), settings
    assert settings["NoNewPrivileges"] == "yes" and settings["ProtectSystem"] == "strict"


def test_exposure_is_what_the_page_says():
    with open(SECURITY) as f:
        said = re.findall(r"systemd-analyze security\s+--offline=yes` says (\d\.\d), (\d\.\d) of the agent's", f.read())
    assert said == [tuple("%.1f" % ((EXPOSURE[unit] - 1) / 10) for unit in sorted(EXPOSURE))]
