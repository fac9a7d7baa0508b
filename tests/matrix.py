# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The feature that each test is about which runs on more than one interpreter. `make check-pythons` writes
the table of these (tests/matrix_table.py).

Used by the conftest.py of tests/e2e and tests/python. A test with an interpreter among its
parameters must be in TESTS, or nothing is collected. With PYMEM_MATRIX=FOLDER only such tests run,
tests/pythons.sh lists more interpreters, and FOLDER/GROUP.json gets each outcome.
"""
import json
import os
import re
import subprocess

import pytest

FOLDER = os.environ.get("PYMEM_MATRIX")

# key: title of the column
FEATURES = {
    "ps": "ps", "lines": "lines", "callers": "callers", "table": "-f table",
    "generators": "generators, coroutines", "deep": "deep recursion", "threads": "threads",
    "fork": "fork", "exec": "exec", "ends": "sudden end", "free": "free, munmap",
    "cow": "copy-on-write", "shared": "files, shared memory", "huge": "huge pages",
    "subinterpreters": "subinterpreters", "greenlet": "greenlet", "numpy": "numpy",
    "hostile": "hostile memory", "exact": "`--lines`", "functions": "`--functions`",
    "mprun": "package: lines", "memit": "package: memory", "heap": "heap",
}

# Why a feature may not be tested on an interpreter. What is not here must be tested on each.
ABSENT = {
    "greenlet": "greenlet is not installed for it",
    "numpy": "numpy is not installed for it",
    "subinterpreters": "it has no module for them (`_xxsubinterpreters` or `_interpreters`)",
    "hostile": "the test spoils frames as 3.8 to 3.10 have them",
    "memit": "the package is refused: see the column before it",
    "heap": "its heap is not known: that of 3.8 to 3.15 with the GIL is",
}

PROGRAMS = {
    "seed": "lines", "grow": "lines", "same_file": "lines", "importing": "lines", "cells": "lines",
    "cells_edge": "lines", "wide": "lines", "syscall_fault": "lines", "callers": "callers",
    "generator": "generators", "coroutine": "generators", "deep": "deep", "threads": "threads",
    "nogil": "threads", "fork": "fork", "fork_storm": "fork", "execs": "exec", "free": "free",
    "munmap": "free", "madvise": "free", "mremap": "free", "cow": "cow", "prefork": "cow",
    "file_map": "shared", "shared": "shared", "huge": "huge",
    "subinterpreter": "subinterpreters", "green": "greenlet", "numpy_temporaries": "numpy",
}

# group/file: {test: feature}; PROGRAMS: that of the program.
TESTS = {
    "e2e/test_amounts.py": {
        "test_amounts_on_lines": PROGRAMS, "test_dies_at_once": "ends", "test_launched": "lines",
        "test_several": "lines"},
    "e2e/test_vm_calls.py": {"test_counted": "lines"},
    "e2e/test_commands.py": {"test_ps": "ps", "test_json_has_every_field": "lines"},
    "e2e/test_output.py": {"test_control_bytes_are_escaped": "lines", "test_function": "table"},
    "e2e/test_hostile.py": {"test_corrupt_interpreter": "hostile"},
    "e2e/test_lines.py": dict.fromkeys((
        "test_counted", "test_amounts_on_lines", "test_separate_runs_agree",
        "test_memory_usage_and_peak", "test_threads_do_not_mix", "test_table",
        "test_rows_count_once", "test_collections_in_the_table", "test_beyond_the_stack",
        "test_collection_in_a_collection", "test_one_binary_that_refuses", "test_launched",
        "test_a_full_ring_misses_by_name", "test_zombies", "test_reused_pid",
        "test_whole_host", "test_children", "test_killed_tool_leaves_nothing", "test_target_killed",
        "test_no_probe"), "exact"),
    "e2e/test_functions.py": dict.fromkeys((
        "test_counted", "test_peak_and_return", "test_forked_meanwhile", "test_listed", "test_engines_agree",
        "test_separate_runs_agree", "test_amounts_on_lines",
        "test_threads_do_not_mix", "test_beyond_the_stack", "test_running_before", "test_thrown_into", "test_children",
        "test_more_than_there_is_room_for", "test_launched", "test_whole_host", "test_table", "test_few_rows", "test_one_function", "test_csv",
        "test_recorded", "test_no_probes", "test_lines_name_functions", "test_no_event_for_lines",
        "test_killed_tool_leaves_nothing"), "functions"),
    "e2e/test_heap.py": dict.fromkeys((
        "test_types", "test_types_only", "test_holders", "test_collector", "test_rss_is_the_kernels",
        "test_target_is_left_as_it_was", "test_refused_by_version", "test_changing_process",
        "test_temporary_is_no_growth"), "heap"),
    "e2e/test_heap_leaks.py": dict.fromkeys((
        "test_holder_comes_first", "test_retained_is_what_is_freed", "test_what_grows_comes_first",
        "test_bounded_cache_does_not_grow", "test_cycles", "test_malloc_without_free", "test_fragments"), "heap"),
    "e2e/test_heap_truth.py": dict.fromkeys((
        "test_pools", "test_types", "test_balance", "test_trim", "test_spoilt", "test_survey"), "heap"),
    "e2e/test_reused.py": {
        "test_join": "heap", "test_join_of_what_is_kept": "heap", "test_report_names_heap": "lines",
        "test_report_is_silent": "lines"},
    "e2e/test_threads.py": {"test_pythons": "threads"},
    "e2e/test_touched.py": {"test_pages": "cow", "test_exec": "exec"},
    "e2e/test_launch.py": {"test_short_children_under_lines": "lines"},
    "e2e/test_right_values.py": {
        "test_walk": "lines", "test_alike": "lines", "test_module_that_is_gone": "lines", "test_imports": "lines",
        "test_master": "fork", "test_module_that_is_gone_lines": "exact", "test_module_that_ends_at_once": "lines",
        "test_module_that_ends_at_once_lines": "exact",
        "test_lines_of_closures": "exact", "test_long_function": "exact"},
    "python/test_lines_truth.py": {"test_helper_stayed": "mprun", "test_lines": "mprun"},
    "python/test_approximate.py": {"test_figures_on_each_python": "mprun"},
    "python/test_lines_checks.py": {"test_check": "mprun", "test_development_mode": "mprun"},
    "python/test_lines_program.py": {
        "test_each_python": "mprun", "test_debugger_at_a_limit": "mprun",
        "test_decorator": "mprun", "test_decorated_functions_run_where_nothing_counts": "mprun",
        "test_estimated_they_do_the_same": "mprun", "test_profiled_they_do_the_same": "mprun"},
    "python/test_lines.py": {"test_amounts_and_occurrences": "mprun", "test_decorator": "mprun"},
    "python/test_eight_threads.py": {"test_amounts_of_eight_threads": "mprun"},
    "python/test_program.py": {"test_each_python": "mprun"},
    "python/test_await.py": {"test_asyncio_of_each_python": "memit"},
    "python/test_refused.py": {"test_refused": "mprun"},
    "python/test_children.py": {"test_children_run": "mprun", "test_children_of_copies": "mprun"},
    "python/test_memory.py": {"test_every_python": "memit"},
    "python/test_pytest_plugin.py": {"test_each_python": "memit"},
    "python/test_heap.py": {"test_each_python": "heap"},
}

# Tests that pass when the interpreter is refused by name.
REFUSALS = {("e2e/test_lines.py", "test_no_probe"), ("e2e/test_functions.py", "test_no_probes"), ("python/test_refused.py", "test_refused"),
            ("e2e/test_heap.py", "test_refused_by_version")}


def interpreter_of(item):
    """Name of the interpreter among an item's parameters, or None."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    for value in params.values():
        value = value[0] if isinstance(value, tuple) and value else value
        if hasattr(value, "command") and hasattr(value, "name"):
            return value.name
    return params.get("name") if isinstance(params.get("command"), list) else None


def test_of(item):
    """(group/file, function)"""
    path = os.path.join(os.path.basename(os.path.dirname(str(item.fspath))),
                        os.path.basename(str(item.fspath)))
    return path, item.originalname or item.name


def feature_of(item):
    path, function = test_of(item)
    feature = TESTS.get(path, {}).get(function)
    if feature is PROGRAMS:
        return PROGRAMS.get(item.callspec.params["python_program"][1])
    return feature


def select(config, items):
    """Notes each item's interpreter and feature; in a run of the matrix the others are left out."""
    chosen, others = [], []
    for item in items:
        python = interpreter_of(item)
        # One interpreter, taken for want of a better one, makes no row.
        if python is None:
            others.append(item)
            continue
        feature = feature_of(item)
        if feature is None:
            raise pytest.UsageError("%s runs on each interpreter and belongs to no feature "
                                    "(tests/matrix.py)" % item.nodeid)
        item.user_properties.append(("matrix", (python, feature, test_of(item))))
        chosen.append(item)
    if FOLDER and others:
        config.hook.pytest_deselected(items=others)
        items[:] = chosen


class Results:
    """A pytest plugin: outcomes of a run of the matrix, written at its end."""

    def __init__(self, group, facts):
        self.group, self.facts, self.outcomes = group, facts, {}

    def pytest_runtest_logreport(self, report):
        found = dict(report.user_properties).get("matrix")
        if found and (report.when == "call" or not report.passed):
            worst = self.outcomes.get(report.nodeid, (None, None))[1]
            if worst != "failed":
                self.outcomes[report.nodeid] = (found, report.outcome)

    def pytest_sessionfinish(self):
        rows = [{"id": name, "python": found[0], "feature": found[1], "test": found[2],
                 "refusal": tuple(found[2]) in REFUSALS, "outcome": outcome}
                for name, (found, outcome) in sorted(self.outcomes.items())]
        with open(os.path.join(FOLDER, self.group + ".json"), "w") as f:
            json.dump({"pythons": self.facts(), "results": rows}, f, indent=1)


def configure(config, group, facts):
    """`facts()`: what is known of each interpreter, by name."""
    if FOLDER:
        os.makedirs(FOLDER, exist_ok=True)
        config.pluginmanager.register(Results(group, facts))


def probes_of(pid):
    """CPython's own probes in what the process has mapped: line, entry, or none."""
    found = set()
    with open("/proc/%d/maps" % pid) as f:
        words = [line.split(None, 5) for line in f]
    for span in {w[0] for w in words if len(w) > 5 and "python" in os.path.basename(w[5])}:
        # Not by path, which may be another file in a chroot; names there have no leading zeros.
        name = "-".join("%x" % int(part, 16) for part in span.split("-"))
        said = subprocess.run(["readelf", "-nW", "/proc/%d/map_files/%s" % (pid, name)],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        found.update(re.findall(rb"Provider: python\s+Name: (\w+)", said))
    return "line" if b"line" in found else "entry" if b"function__entry" in found else "none"
