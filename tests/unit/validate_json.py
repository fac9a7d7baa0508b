#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares JSON outputs with their schema in docs/, and with rules that a schema can't express.

  tests/unit/validate_json.py [FILE...]      default: tests/golden/*.json

Also checked: the output is ASCII without control bytes; sums add up (see docs/JSON.md); docs/JSON.md names
each key and each loss cause; the causes are those of include/pymem.h, the parts of a balance those of
user/model/heap_look.h. Last: the schema refuses what it should, since a validator that accepts
anything proves nothing. Needs python3-jsonschema.
"""

import copy
import glob
import json
import os
import re
import sys

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    bad = [byte for byte in data if byte != 0x0A and not 0x20 <= byte < 0x7F]
    assert not bad, f"{path}: bytes {bad[:5]}"
    return json.loads(data)


def check_balances(path, report):
    """The parts of RSS add up to it, to the byte; RSS is whole pages."""
    for process in report["processes"]:
        where = f"{path}: pid {process['pid']}"
        assert sum(process["balance"].values()) == process["rss_bytes"], where
        assert process["rss_bytes"] % 1024 == 0, where
        if process["balance_first"]:
            assert sum(process["balance_first"].values()) == process["rss_first_bytes"], where
        for row in process["touched"]:
            assert sum(part["bytes"] for part in row["now"]) == row["resident_bytes"], where
        if process["touched_before_bytes"] is not None:
            touched = sum(row["resident_bytes"] for row in process["touched"])
            rest = process["touched_before_bytes"] + process["touched_unknown_bytes"]
            assert touched + rest == process["rss_bytes"], where


def check_ended(path, report):
    """Lines of a program are what it was charged; programs are no more than all."""
    ended = report.get("ended", {"programs": []})
    for program in ended["programs"]:
        where = f"{path}: ended {program['program']}"
        charged = sum(line["increment_bytes"] for line in program["lines"]) + program["other_lines_bytes"]
        assert charged == program["charged_bytes"], where
        assert charged + sum(program["lost_bytes"].values()) == program["change_bytes"], where
    assert not ended["programs"] or sum(p["processes"] for p in ended["programs"]) <= ended["processes"], path


def check_sums(path, report):
    check_control_groups(path, report)
    check_ended(path, report)
    for process in report["processes"]:
        where = f"{path}: pid {process['pid']}"
        if "kernel_memory" in process:
            check_kernel_memory(where, process)
        charged = sum(line["increment_bytes"] for line in process["lines"])
        assert charged == process["charged_bytes"], where
        change = process["rss_end_bytes"] - process["rss_start_bytes"]
        assert charged + sum(process["lost_bytes"].values()) == change, where
        for line in process["lines"]:
            kinds = line["anon_bytes"] + line["file_bytes"] + line["shmem_bytes"]
            assert kinds == line["increment_bytes"], f"{where}: {line}"
            gross = line["grown_bytes"] - line["freed_bytes"]
            assert gross == line["increment_bytes"], f"{where}: {line}"


def kinds_bytes(kinds):
    return sum(kind["bytes"] - kind["gone_bytes"] for kind in kinds.values())


def check_kernel_memory(where, process):
    """What all lines have of the kernel's memory, and what none has, is all of it; and so are its kinds. Of a line it is
    not told how much of its kinds nobody knows, which is at most what is unknown of the process."""
    memory, unknown = process["kernel_memory"], 0
    in_lines = sum(line["kernel_bytes"] for line in process["lines"])
    assert in_lines + sum(memory["lost_bytes"].values()) == memory["bytes"], f"{where}: the kernel's memory"
    assert kinds_bytes(memory["kinds"]) - memory["unknown_bytes"] == memory["bytes"], f"{where}: kinds"
    for line in process["lines"]:
        rest = kinds_bytes(line.get("kernel_kinds", {})) - line["kernel_bytes"]
        assert rest >= 0, f"{where}: {line}"
        unknown += rest
    assert unknown <= memory["unknown_bytes"], f"{where}: unknown"


def check_control_groups(path, report):
    """Of each row the kernel's change is all its columns; each column adds up; kinds add up to the kernel's row."""
    for group in report.get("control_groups", ()):
        where = f"{path}: {group['path']}"
        rows = dict(group["rows"])
        for row in rows.values():
            if row["remainder_bytes"] is not None:
                sums = sum(row[key] or 0 for key in ("lines_bytes", "no_line_bytes", "ended_bytes", "remainder_bytes"))
                assert sums == row["end_bytes"] - row["start_bytes"], where
        total, parts = rows.pop("total"), group["kernel_parts"].values()
        for key in ("lines_bytes", "no_line_bytes", "ended_bytes"):
            assert sum(row[key] or 0 for row in rows.values()) == total[key], f"{where}: {key}"
        for key in ("start_bytes", "end_bytes", "remainder_bytes"):
            if all(row[key] is not None for row in rows.values()):
                assert sum(row[key] for row in rows.values()) == total[key], f"{where}: {key}"
        if parts and rows["kernel"]["lines_bytes"] is not None:
            assert sum(part["remainder_bytes"] for part in parts) == rows["kernel"]["remainder_bytes"], where
        for part in parts:
            assert part["change_bytes"] - part["counted_bytes"] == part["remainder_bytes"], where


def check_diff_sums(path, report):
    """Of each side, lines and losses add up to the change of RSS; and differences are what they say."""
    for side in "ab":
        total = report[side]["ended"]["change_bytes"]
        for program in report["programs"]:
            where = f"{path}: {program['program']}, {side}"
            one = program[side]
            charged = sum(line[side]["increment_bytes"] for line in program["lines"])
            assert charged == one["charged_bytes"], where
            change = one["rss_end_bytes"] - one["rss_start_bytes"]
            assert charged + sum(one["lost_bytes"].values()) + one["unaccounted_bytes"] == change, where
            assert change == one["change_bytes"], where
            total += change
        assert total == report[side]["change_bytes"], f"{path}: {side}"
    for whole in [report, *report["programs"]]:
        assert whole["b"]["change_bytes"] - whole["a"]["change_bytes"] == whole["difference_bytes"], path
    for line in (line for program in report["programs"] for line in program["lines"]):
        assert line["b"]["increment_bytes"] - line["a"]["increment_bytes"] == line["difference_bytes"], path
        assert (line["matched_by"] is None) == (line["a"]["file"] is None or line["b"]["file"] is None), path


def properties(schema):
    """Every key that the schema names, at any depth."""
    found = set(schema.get("properties", ()))
    for value in schema.values():
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            if isinstance(part, dict):
                found |= properties(part)
        if isinstance(value, dict):
            found |= properties(value)
    return found


def check_keys(keys):
    page = text_of("docs/JSON.md")
    missing = [key for key in sorted(keys) if f"`{key}`" not in page and f'"{key}"' not in page]
    assert not missing, f"not in docs/JSON.md: {missing}"


def check_documented(schema):
    causes = re.findall(r'X\([A-Z_]+, "([^"]+)",', text_of("include/pymem.h"))
    names = schema["$defs"]["process"]["properties"]["lost_bytes"]["required"]
    assert names == causes, f"schema and pymem.h differ: {set(names) ^ set(causes)}"
    check_keys(set(causes) | properties(schema))


def check_heap_documented(schema):
    parts = re.findall(r'X\((\w+), "', text_of("user/model/heap_look.h"))
    assert schema["$defs"]["balance"]["required"] == parts, "schema and heap_look.h differ"
    check_keys(properties(schema))


def check_diff_documented(schema):
    causes = re.findall(r'X\([A-Z_]+, "([^"]+)",', text_of("include/pymem.h"))
    assert schema["$defs"]["lost_bytes"]["required"] == causes, "schema and pymem.h differ"
    check_keys(properties(schema))


def damaged(report, change):
    """A copy, with one thing wrong."""
    other = copy.deepcopy(report)
    change(other)
    return other


def group_parts(report):
    """The objects in the first control group of a profile, each as a function that finds it in a copy."""
    if not report.get("control_groups"):
        return
    group = report["control_groups"][0]
    yield "group", lambda r: r["control_groups"][0]
    yield "rows", lambda r: r["control_groups"][0]["rows"]
    for name, row in group["rows"].items():
        yield name, lambda r, n=name: r["control_groups"][0]["rows"][n]
        if row["most"]:
            yield f"{name}: most", lambda r, n=name: r["control_groups"][0]["rows"][n]["most"]
    for name in group["kernel_parts"]:
        yield name, lambda r, n=name: r["control_groups"][0]["kernel_parts"][n]


def group_damages(report):
    for name, find in group_parts(report):
        for key in find(report):
            yield f"{name}: no {key}", damaged(report, lambda r, f=find, k=key: f(r).pop(k))
            yield f"{name}: {key} is a list", damaged(report, lambda r, f=find, k=key: f(r).update({k: []}))
    for name in ("start", "end") if report.get("control_groups") else ():
        for key in report["control_groups"][0][name]:
            yield f"{name}: negative {key}", damaged(
                report, lambda r, n=name, k=key: r["control_groups"][0][n].update({k: -1})
            )


def damages(report):
    """Copies of a valid profile, each with one thing wrong."""
    process = report["processes"][0]
    yield from group_damages(report)
    for kind, amounts in process["lines"][0].get("kernel_kinds", {}).items():
        for key in amounts:
            yield f"{kind}: no {key}", damaged(
                report, lambda r, n=kind, k=key: r["processes"][0]["lines"][0]["kernel_kinds"][n].pop(k)
            )
    for key in set(report) - {"control_groups", "groups", "ended"}:
        yield f"no {key}", damaged(report, lambda r, k=key: r.pop(k))
    for key in set(process) - {"page_cache", "cached_files", "huge", "swap", "taken", "away", "kernel_memory"}:
        yield f"process: no {key}", damaged(report, lambda r, k=key: r["processes"][0].pop(k))
    for key in process.get("page_cache", ()):
        yield f"page cache: no {key}", damaged(report, lambda r, k=key: r["processes"][0]["page_cache"].pop(k))
    for key in (process.get("cached_files") or [()])[0]:
        yield f"file: no {key}", damaged(report, lambda r, k=key: r["processes"][0]["cached_files"][0].pop(k))
    for name in ("huge", "swap", "taken", "away", "kernel_memory"):
        for key in process.get(name, ()):
            yield f"{name}: no {key}", damaged(report, lambda r, n=name, k=key: r["processes"][0][n].pop(k))
    for key in set(process["lines"][0]) - {"vm_calls", "stall_kinds", "huge", "swap", "away", "kernel_kinds"}:
        yield f"line: no {key}", damaged(report, lambda r, k=key: r["processes"][0]["lines"][0].pop(k))
        yield f"line: {key} is a list", damaged(
            report, lambda r, k=key: r["processes"][0]["lines"][0].update({k: []})
        )
    for cause in process["lost_bytes"]:
        yield f"no {cause}", damaged(report, lambda r, k=cause: r["processes"][0]["lost_bytes"].pop(k))
    yield "other schema", damaged(report, lambda r: r.update(schema="pymem-bpf/2"))
    yield "local time", damaged(report, lambda r: r.update(start="2026-01-01 00:00:00"))
    yield "negative growth", damaged(
        report, lambda r: r["processes"][0]["lines"][0].update(grown_bytes=-1)
    )


def heap_damages(report):
    """The same of a heap report."""
    process = report["processes"][0]
    for key in report:
        yield f"no {key}", damaged(report, lambda r, k=key: r.pop(k))
    for key in process:
        yield f"process: no {key}", damaged(report, lambda r, k=key: r["processes"][0].pop(k))
        yield f"process: {key} is true", damaged(report, lambda r, k=key: r["processes"][0].update({k: True}))
    for key in process["balance"]:
        yield f"no {key}", damaged(report, lambda r, k=key: r["processes"][0]["balance"].pop(k))
    for rows in ("types", "holders", "births", "touched"):
        for key in process[rows][0]:
            yield f"{rows}: no {key}", damaged(report, lambda r, k=key, n=rows: r["processes"][0][n][0].pop(k))
            if key != "stack":
                yield f"{rows}: {key} is an object", damaged(
                    report, lambda r, k=key, n=rows: r["processes"][0][n][0].update({k: {}})
                )
    yield "negative bytes", damaged(report, lambda r: r["processes"][0]["balance"].update(objects=-1))
    yield "a share of two", damaged(report, lambda r: r["processes"][0]["births"][0].update(share=2))


def parts_of(report):
    """The objects of a diff that have keys of their own, each as a function that finds it in a copy."""
    yield "report", lambda r: r
    yield "side", lambda r: r["a"]
    yield "ended", lambda r: r["b"]["ended"]
    yield "losses", lambda r: r["programs"][0]["a"]["lost_bytes"]
    yield "program", lambda r: r["programs"][0]
    yield "program's side", lambda r: r["programs"][0]["b"]
    yield "line", lambda r: r["programs"][0]["lines"][0]
    yield "line's side", lambda r: r["programs"][0]["lines"][0]["b"]


def diff_damages(report):
    """The same of a diff."""
    for name, find in parts_of(report):
        for key in find(report):
            yield f"{name}: no {key}", damaged(report, lambda r, f=find, k=key: f(r).pop(k))
            yield f"{name}: {key} is a list", damaged(report, lambda r, f=find, k=key: f(r).update({k: [[]]}))
    yield "other match", damaged(report, lambda r: r["programs"][0].update(matched_by="PID"))
    yield "negative growth", damaged(
        report, lambda r: r["programs"][0]["lines"][0]["a"].update(grown_bytes=-1)
    )


# Schema's name: its file, what its reports must be beside it, its documentation, and what it must refuse, of
# a report that `whole` says has all there is.
KINDS = {
    "pymem-bpf/1": (
        "docs/json-schema.json",
        check_sums,
        check_documented,
        damages,
        lambda report: report["processes"] and report["processes"][0]["lines"],
    ),
    "pymem-bpf-heap/1": (
        "docs/json-schema-heap.json",
        check_balances,
        check_heap_documented,
        heap_damages,
        lambda report: report["processes"] and report["processes"][0]["births"],
    ),
    "pymem-bpf-diff/1": (
        "docs/json-schema-diff.json",
        check_diff_sums,
        check_diff_documented,
        diff_damages,
        lambda report: report["programs"] and report["programs"][0]["lines"],
    ),
}


def unlike(reports):
    """The first report of each set of keys: many are there only if they were asked for."""
    found = {}
    for report in reports:
        keys = set(report)
        for process in report.get("processes", ())[:1]:
            keys |= {("process", key) for key in process}
            keys |= {("line", key) for line in process.get("lines", ())[:1] for key in line}
        found.setdefault(frozenset(keys), report)
    return found.values()


def check_kind(name, reports):
    """How many damaged copies were refused."""
    path, check, documented, harm, whole = KINDS[name]
    schema = json.loads(text_of(path))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for where, report in reports.items():
        validator.validate(report)
        check(where, report)
    documented(schema)
    count = 0
    for report in unlike(filter(whole, reports.values())):
        for what, other in harm(report):
            assert not validator.is_valid(other), f"{path} accepts: {what}"
            count += 1
    return count


def main():
    paths = sys.argv[1:] or sorted(glob.glob(os.path.join(ROOT, "tests/golden/*.json")))
    assert paths, "nothing to validate"
    reports = {path: load(path) for path in paths}
    refused = 0
    for name in KINDS:
        mine = {path: report for path, report in reports.items() if report["schema"] == name}
        refused += check_kind(name, mine) if mine else 0
    assert all(report["schema"] in KINDS for report in reports.values()), "a schema of no known name"
    print(f"{len(paths)} valid, {refused} damaged ones refused")


if __name__ == "__main__":
    main()
