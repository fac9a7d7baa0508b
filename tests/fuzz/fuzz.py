#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs libFuzzer targets of build/fuzz for a while each.

  tests/fuzz/fuzz.py [--seconds N] [--seed N] [--finds FOLDER] [TARGET…]   default: all targets, 60 s

For each target, the inputs that once failed come first (tests/fuzz/regressions/TARGET), each by itself.
Then it fuzzes from the seeds (tests/fuzz/corpus/TARGET) and from what earlier runs found, which is kept in
FOLDER (default: build/fuzz-finds). It prints how many edges were covered, of how many. The exit status is
1 if a target failed. Then the input is in FOLDER/TARGET.crashes, and the output says how to keep it as a
regression case.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
LONGEST = 16384
SLACK_SECONDS = 120


def names():
    return sorted(os.path.basename(path) for path in glob.glob(PROJECT + "/build/fuzz/fuzz_*")
                  if "." not in os.path.basename(path))


def run(command, seconds):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds)
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode("utf-8", "replace") + "\nno end in %d s" % seconds


def regressions(target):
    return sorted(glob.glob(os.path.join(HERE, "regressions", target, "*")))


def keep_case(target, text):
    """What is to be done with the input that failed."""
    found = re.search(r"Test unit written to (\S+)", text)
    if not found:
        return
    path = os.path.relpath(found.group(1), PROJECT)
    print("%s failed. To keep the input as a regression case, give it a name that says what it is:\n"
          "  mkdir -p tests/fuzz/regressions/%s\n"
          "  cp %s tests/fuzz/regressions/%s/NAME\n"
          "To see it again: build/fuzz/%s %s" % (target, target, path, target, target, path))


def replay(target):
    """True if all inputs that once failed are well now."""
    cases = regressions(target)
    if not cases:
        return True
    status, text = run([os.path.join(PROJECT, "build", "fuzz", target), *cases], SLACK_SECONDS)
    if status != 0:
        print(text.rstrip())
        print("%s: a regression case fails" % target)
    return status == 0


def fuzz(target, seconds, seed, finds):
    folder, crashes = os.path.join(finds, target), os.path.join(finds, target + ".crashes")
    seeds = os.path.join(HERE, "corpus", target)
    for path in folder, crashes:
        os.makedirs(path, exist_ok=True)
    if not os.listdir(seeds):
        raise FileNotFoundError(seeds)
    status, text = run([os.path.join(PROJECT, "build", "fuzz", target), "-print_final_stats=1",
                        "-max_total_time=%d" % seconds, "-seed=%d" % seed, "-max_len=%d" % LONGEST, "-timeout=30",
                        "-artifact_prefix=" + crashes + "/", folder, seeds],
                       seconds + SLACK_SECONDS)
    if status != 0:
        print(text.rstrip())
        keep_case(target, text)
        return False
    edges = re.search(r"\((\d+) inline 8-bit counters\)", text)
    covered = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", text)
    runs = re.search(r"Done (\d+) runs", text)
    if not edges or not covered or not runs:
        print(text.rstrip())
        print("%s: it does not say what it covered" % target)
        return False
    print("%-20s %5s of %5s edges, corpus %5s, %9s runs, %d regression cases"
          % (target, covered[-1][0], edges.group(1), covered[-1][1], runs.group(1),
             len(regressions(target))), flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="of its dice; 0: another each time")
    parser.add_argument("--finds", default=os.path.join(PROJECT, "build", "fuzz-finds"))
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    known = names()
    # "lines" is "fuzz_lines".
    targets = ["fuzz_" + t[5:] if t.startswith("fuzz_") else "fuzz_" + t for t in options.targets]
    for target in targets:
        if target not in known:
            parser.error("%s: no such target; there are %s" % (target, " ".join(known)))
    failed = [t for t in targets or known
              if not (replay(t) and fuzz(t, options.seconds, options.seed, options.finds))]
    if failed:
        print("failed: " + " ".join(failed))
    return 1 if failed or not known else 0


if __name__ == "__main__":
    sys.exit(main())
