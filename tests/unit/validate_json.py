#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares JSON outputs with docs/json-schema.json, and with rules that a schema can't express.

  tests/unit/validate_json.py [FILE...]      default: tests/golden/*.json

Also checked: the output is ASCII without control bytes; sums add up (see docs/JSON.md); docs/JSON.md names
each key and each loss cause; the causes are those of include/pymem.h. Last: the schema refuses what it
should, since a validator that accepts anything proves nothing. Needs python3-jsonschema.
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


def check_sums(path, report):
    for process in report["processes"]:
        where = f"{path}: pid {process['pid']}"
        charged = sum(line["increment_bytes"] for line in process["lines"])
        assert charged == process["charged_bytes"], where
        change = process["rss_end_bytes"] - process["rss_start_bytes"]
        assert charged + sum(process["lost_bytes"].values()) == change, where
        for line in process["lines"]:
            kinds = line["anon_bytes"] + line["file_bytes"] + line["shmem_bytes"]
            assert kinds == line["increment_bytes"], f"{where}: {line}"
            gross = line["grown_bytes"] - line["freed_bytes"]
            assert gross == line["increment_bytes"], f"{where}: {line}"


def check_documented(schema):
    page = text_of("docs/JSON.md")
    causes = re.findall(r'X\([A-Z_]+, "([^"]+)",', text_of("include/pymem.h"))
    names = schema["$defs"]["process"]["properties"]["lost_bytes"]["required"]
    assert names == causes, f"schema and pymem.h differ: {set(names) ^ set(causes)}"
    keys = set(causes) | set(schema["properties"])
    for part in schema["$defs"].values():
        keys |= set(part["properties"])
    missing = [key for key in sorted(keys) if f"`{key}`" not in page and f'"{key}"' not in page]
    assert not missing, f"not in docs/JSON.md: {missing}"


def damages(report):
    """Copies of a valid report, each with one thing wrong."""

    def damaged(change):
        other = copy.deepcopy(report)
        change(other)
        return other

    process = report["processes"][0]
    for key in report:
        yield f"no {key}", damaged(lambda r, k=key: r.pop(k))
    for key in process:
        yield f"process: no {key}", damaged(lambda r, k=key: r["processes"][0].pop(k))
    for key in set(process["lines"][0]) - {"vm_calls"}:
        yield f"line: no {key}", damaged(lambda r, k=key: r["processes"][0]["lines"][0].pop(k))
        yield f"line: {key} is a list", damaged(
            lambda r, k=key: r["processes"][0]["lines"][0].update({k: []})
        )
    for cause in process["lost_bytes"]:
        yield f"no {cause}", damaged(lambda r, k=cause: r["processes"][0]["lost_bytes"].pop(k))
    yield "other schema", damaged(lambda r: r.update(schema="pymem-bpf/2"))
    yield "local time", damaged(lambda r: r.update(start="2026-01-01 00:00:00"))
    yield "negative growth", damaged(
        lambda r: r["processes"][0]["lines"][0].update(grown_bytes=-1)
    )


def main():
    paths = sys.argv[1:] or sorted(glob.glob(os.path.join(ROOT, "tests/golden/*.json")))
    assert paths, "nothing to validate"
    schema = json.loads(text_of("docs/json-schema.json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    reports = {path: load(path) for path in paths}
    for path, report in reports.items():
        validator.validate(report)
        check_sums(path, report)
    check_documented(schema)
    count = 0
    for report in reports.values():
        if not report["processes"] or not report["processes"][0]["lines"]:
            continue
        for what, other in damages(report):
            assert not validator.is_valid(other), f"the schema accepts: {what}"
            count += 1
        break
    print(f"{len(paths)} valid, {count} damaged ones refused")


if __name__ == "__main__":
    main()
