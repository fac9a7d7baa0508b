#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes into docs/EVENTS.md what kernels say of a control group's memory, beside what was counted by line.

  tests/memory_table.py here           measures on this kernel; prints its rows
  tests/memory_table.py write FILE…    writes the table from the rows in these files, and of nothing else

A row is a line "# memory: KERNEL, cgroup vN | KIND | …", as `here` prints it and guests do (tests/vm/guest_checks.py,
memory_cgroup). The program is tests/e2e/programs/cgroup_memory.py. The table lies between two marker lines; the
kernels of KERNELS must be in it, each with all its rows.
"""
import os
import re
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
EVENTS = os.path.join(os.path.dirname(HERE), "docs", "EVENTS.md")
BEGIN, END = "<!-- memory: begin, written by make memory-update -->", "<!-- memory: end -->"
HEAD = ("kernel", "kind", "the kernel's change", "by lines", "by no line", "remainder")
ROW = "memory: "
# Those of the guests (tests/vm); that of the host may be another one.
KERNELS = ("5.10", "6.1", "6.12", "7.2")
NAMES = {"anonymous": "anonymous", "files": "files", "shared": "shared memory", "kernel": "kernel", "other": "other",
         "total": "all"}
PARTS = {"page_tables": "page tables", "kernel_stacks": "kernel stacks", "per_cpu": "per-CPU memory",
         "objects": "objects, other pages"}


def kib(figure):
    return "-" if figure is None else "%+d KiB" % round(figure / 1024) if figure else "0"


def rows_of(group):
    """The rows of a group of a report (control_groups in JSON), as lines of text."""
    where = "%s, cgroup v%d" % (re.match(r"\d+\.\d+", os.uname().release)[0], group["version"])
    for name, text in NAMES.items():
        row = group["rows"][name]
        known = row["start_bytes"] is not None and row["end_bytes"] is not None
        yield ROW + " | ".join([where, text, kib(row["end_bytes"] - row["start_bytes"]) if known else "-",
                                kib(row["lines_bytes"]), kib(row["no_line_bytes"]), kib(row["remainder_bytes"])])
        if name == "kernel" and group["version"] == 2:
            for part, words in PARTS.items():
                if part in group["kernel_parts"]:
                    found = group["kernel_parts"][part]
                    yield ROW + " | ".join([where, "- " + words, kib(found["change_bytes"]), kib(found["counted_bytes"]),
                                            "", kib(found["remainder_bytes"])])


def here():
    sys.path.insert(0, os.path.join(HERE, "e2e"))
    import test_memory_cgroup  # pylint: disable=import-outside-toplevel
    _, group = test_memory_cgroup.check_all_kinds(types.SimpleNamespace(command=[sys.executable]))
    for row in rows_of(group):
        print("# " + row)


def found_in(paths):
    """{kernel: its rows}, oldest kernel first; the last measurement of each counts."""
    kernels = {}
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                match = re.match(r"# %s(.*\|.*)$" % ROW, line.rstrip("\n"))
                if not match:
                    continue
                cells = [cell.strip() for cell in match[1].split("|")]
                rows = kernels.setdefault(cells[0], {})
                rows[cells[1]] = cells
    return dict(sorted(kernels.items(), key=lambda pair: [int(n) for n in re.findall(r"\d+", pair[0])[:2]]))


def incomplete(kernels):
    """Why there is no table to be written: these kernels must be in it, each with all its rows."""
    missing = ["nothing of kernel %s" % kernel for kernel in KERNELS
               if not any(name.startswith(kernel + ",") for name in kernels)]
    return missing + ["%s has no %s" % (name, what) for name, rows in kernels.items()
                      for what in NAMES.values() if what not in rows]


def table(kernels):
    lines = ["| %s |" % " | ".join(HEAD), "|" + "---|" * len(HEAD)]
    for rows in kernels.values():
        lines += ["| %s |" % " | ".join(cells) for cells in rows.values()]
    return "\n".join(lines)


def put(text, what):
    assert text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END), "no place for the table"
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n\n" + what + "\n\n" + END + rest.split(END)[1]


def write(paths):
    kernels = found_in(paths)
    missing = incomplete(kernels)
    if missing:
        sys.exit("docs/EVENTS.md is left alone: " + "; ".join(missing))
    with open(EVENTS, encoding="utf-8") as f:
        text = put(f.read(), table(kernels))
    with open(EVENTS + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(EVENTS + ".new", EVENTS)


if __name__ == "__main__":
    if sys.argv[1:] == ["here"]:
        here()
    elif sys.argv[1:2] == ["write"] and sys.argv[2:]:
        write(sys.argv[2:])
    else:
        sys.exit(__doc__)
