# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes what a run of fleet.py found into docs/FLEET.md, between marker lines."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench"))
import common  # noqa: E402  pylint: disable=wrong-import-position

BEGIN, END = "<!-- %s: begin, written by make check-fleet -->", "<!-- %s: end -->"
FLEETS = 1, 10, 100, 1000, 10000
SCRAPE, DAYS = 15, 15  # seconds, days that samples are kept
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def size(number):
    """Bytes as people write them."""
    for unit, name in (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"):
        if number >= unit:
            return "%.1f %s" % (number / unit, name)
    return "%d B" % number


def table(head, rows):
    return "\n".join(["| %s |" % " | ".join(row) for row in [head, ["---"] * len(head)] + rows])


def cell(text):
    """Of a table; files of this project without where that is."""
    return str(text).replace(common.PROJECT + "/", "").replace("|", "\\|").replace("<", "&lt;")


def result(rows, facts):
    return "%s; %s; %d Pythons, %.0f minutes.\n\n%s" % (
        time.strftime("%Y-%m-%d", time.gmtime()), common.machine(), facts["count"], facts["minutes"],
        table(["what was to be", "what was"], [[cell(what), cell(measured)] for what, measured, _ in rows]))


def fleet(facts):
    head = "Measured: %.0f series a host, a text of %s; %.2f bytes a sample on the disk (of %.1f million), %s of memory a series.\n\n" % (
        facts["series"], size(facts["page"]), facts["bytes_per_sample"], facts["samples"] / 1e6,
        size(facts["head_bytes_per_series"]))
    rows = []
    for hosts in FLEETS:
        series = hosts * facts["series"]
        ingest = series / SCRAPE
        rows.append(["{:,}".format(hosts), "{:,.0f}".format(series), "{:,.0f}".format(ingest),
                     size(hosts * facts["page"] / SCRAPE), size(ingest * facts["bytes_per_sample"] * 86400 * DAYS),
                     size(series * facts["head_bytes_per_series"])])
    return head + table(["hosts", "series", "samples a second", "received a second", "disk, %d days" % DAYS, "memory"], rows)


def put(text, name, what):
    begin, end = BEGIN % name, END % name
    before, rest = text.split(begin, 1)
    _, after = rest.split(end, 1)
    return before + begin + "\n\n" + what + "\n\n" + end + after


def write(path, rows, facts):
    """Replaces both tables of the file. rows: (what, measured, whether it was so); facts: Run.facts."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = put(put(text, "result", result(rows, facts)), "sizes", fleet(facts))
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)
