#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How long a web page of 100,000 stacks takes to open from disk, in Chromium and in Firefox, and how large pages are.

  make build/tests/test_render_stacks build/tests/test_diff_page && bench/html.py [--rounds N]

The pages are those of tests/unit/test_render_stacks.c and test_diff_page.c: stacks of 24 frames that have little in common,
so nearly two million frames; in a diff as many on each side, of which half are in both. A time is from the beginning of the navigation until the page shows what it has to show. Exit status 1
if the median is above a second, 77 if something is missing."""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(PROJECT, "tests", "e2e"))

import browsers  # noqa: E402
import firefox  # noqa: E402

READY = "Number(document.documentElement.dataset.ready)"
LIMIT_MS = 1000
SKIPPED = 77


def write_pages(folder):
    """Lets the unit tests write their reports into the folder. The paths of the pages."""
    for name in ("test_render_stacks", "test_diff_page"):
        test = os.path.join(PROJECT, "build", "tests", name)
        if not os.path.exists(test):
            raise browsers.Missing("there is no %s: make unit" % test)
        subprocess.run([test], check=True, cwd=PROJECT, env={**os.environ, "PYMEM_KEEP_MANY": folder},
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    paths = {}
    for kind in ("many", "many-diff"):
        for form in ("flamegraph", "html"):
            name = form if kind == "many" else "diff " + form
            paths[name] = os.path.join(folder, "%s.%s.html" % (kind, form))
            os.rename(os.path.join(folder, "%s.%s" % (kind, form)), paths[name])
    return paths


def in_chromium(path, rounds):
    steps = [step for _ in range(rounds) for step in (["open", ""], ["evaluate", READY])]
    return browsers.open_page(path, *steps)


def in_firefox(path, rounds):
    if not firefox.find():
        raise browsers.Missing("there is no Firefox: tools/install-deps test")
    times = []
    with firefox.Firefox() as browser:
        for _ in range(rounds):
            browser.open("file://" + path)
            times.append(browser.wait_for(READY))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds, slow = parser.parse_args().rounds, False
    with tempfile.TemporaryDirectory(prefix="pymem-pages-") as folder:
        try:
            paths = write_pages(folder)
            for form, path in paths.items():
                print("%-15s  100,000 stacks  %.1f MiB" % (form, os.path.getsize(path) / (1 << 20)))
                for name, opened in (("Chromium", in_chromium), ("Firefox", in_firefox)):
                    times = opened(path, rounds)
                    median = statistics.median(times)
                    slow |= median > LIMIT_MS
                    print("                 %-8s  %4.0f ms (%.0f to %.0f, %d rounds)" % (
                        name, median, min(times), max(times), len(times)))
        except browsers.Missing as why:
            print("bench/html.py: %s" % why, file=sys.stderr)
            return SKIPPED
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
