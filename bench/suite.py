# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Everything that `make bench` measures, one after the other, then the tables and plots of it.

  bench/suite.py [--quick] [--allow-missing] [--only NAME,…]

A step that fails does not keep the others from running: its section of the docs stays as it was, and
the exit status is 1 at the end. So it is for a target that was missed, and for a profiler that can't
be had here, unless --allow-missing. What this Python has not what it needs for is skipped by name.
--quick: fewer rounds of less work; the docs are left alone, all goes to build/bench/.
"""
import argparse
import os
import subprocess
import sys
import time

import common

# name: arguments, those of --quick, minutes it takes on two CPUs, the same of --quick
STEPS = {
    "run": ([], ["--rounds", "1", "--scale", "0.2"], 3, 0.5),
    "probe_cost": ([], ["--rounds", "1", "--scale", "0.2"], 1, 0.2),
    "mprun": (["5"], ["1"], 3, 0.7),
    "memit": (["20"], ["2"], 2, 0.2),
    "tool": ([], ["--rounds", "2", "--seconds", "5", "--scale", "0.2", "--steady", "6"], 4, 1.5),
    "nanoseconds": ([], ["--rounds", "1", "--scale", "0.2", "--bursts", "2"], 13, 2),
    "host_cost": ([], ["--rounds", "1", "--bursts", "2"], 1, 0.3),
    "events": ([], ["--rounds", "1"], 6, 1.2),
    "top": ([], ["--seconds", "5", "--settle", "2", "--count", "50"], 6, 1),
    "record": (["--without"], ["--seconds", "10", "--settle", "2", "--count", "20"], 6, 1),
    "agent": ([], ["--seconds", "15", "--settle", "5", "--count", "20"], 8, 2),
    "many": ([], ["--rounds", "2", "--seconds", "5", "--count", "100", "--minutes", "0.5"], 9, 1),
    "everyone": (["--scale", "0.25"], ["--rounds", "1", "--scale", "0.1"], 10, 4),
    "touched": ([], ["--percents", "0,50,100", "--scale", "0.25"], 3, 1),
}
COMPARE = ("everyone", "touched")
REPORT_QUICK = ["--docs", common.OUTPUT]


def call(script, arguments):
    return subprocess.call([sys.executable, "-B", os.path.join(common.HERE, script + ".py")] +
                           arguments)


def step(name, options):
    """What became of it, in a word or two; None if all is well."""
    path = os.path.join(common.OUTPUT, name + ".json")
    # What an earlier run measured is no result of this one.
    if os.path.exists(path):
        os.unlink(path)
    arguments = list(STEPS[name][1 if options.quick else 0])
    if name in COMPARE and options.allow_missing:
        arguments.append("--allow-missing")
    status = call(name, arguments)
    return {0: None, common.SKIPPED: "skipped"}.get(status, "FAILED, status %d" % status)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds of less work")
    parser.add_argument("--allow-missing", action="store_true",
                        help="no failure if a profiler to compare with can't be had here")
    parser.add_argument("--only", default="", help="steps, with commas: " + ",".join(STEPS))
    options = parser.parse_args()
    options.steps = options.only.split(",") if options.only else list(STEPS)
    unknown = [name for name in options.steps if name not in STEPS]
    if unknown:
        parser.error("no such step: " + ", ".join(unknown))
    return options


def main():
    options = parse()
    minutes = {name: STEPS[name][3 if options.quick else 2] for name in options.steps}
    print("%s: about %.0f minutes" % (", ".join(options.steps), sum(minutes.values())), flush=True)
    ends = {}
    for name in options.steps:
        print("\n== %s, about %g min" % (name, minutes[name]), flush=True)
        start = time.monotonic()
        ends[name] = step(name, options)
        print("%s: %s, %.1f min" % (name, ends[name] or "done", (time.monotonic() - start) / 60),
              flush=True)
    print("\n== report", flush=True)
    if call("report", ["--only", ",".join(n for n in options.steps if ends[n] != "skipped")] + (REPORT_QUICK if options.quick else [])):
        ends["report"] = "FAILED"
    wrong = ["%s: %s" % (name, end) for name, end in ends.items() if end and end != "skipped"]
    print("\n".join(wrong) or "all steps are done")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
