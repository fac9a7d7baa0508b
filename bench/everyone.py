# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""All profilers on the same work: bench/everyone.py [--rounds N] [--scale X] [--only …].

Each round runs each contender of a workload once, bare included, in an order that rotates. The
slowdown is the ratio to the bare run of the same round, of the same interpreter and size, of the
seconds that the work itself took: start-up and reports are not in it. What they say is read in
the first rounds and compared with the truth, which an extra run of each program measures
(bench/same/truth.py). All goes to build/bench/everyone.json; bench/report.py makes tables of it.
"""
import argparse
import os
import sys
import time

import common
import contenders
import running

# name: program, environment, what it is
WORKLOADS = {
    "W1": ("sum_of_lists.py", {}, "sum_of_lists"),
    "W2": ("pure_cpu.py", {}, "pure CPU"),
    "W3": ("fault_storm.py", {"PYMEM_BENCH_DEPTH": "0"}, "fault storm, 5 frames"),
    "W3 deep": ("fault_storm.py", {"PYMEM_BENCH_DEPTH": "30"}, "fault storm, 35 frames"),
    "W4": ("small_objects.py", {}, "small objects"),
    "W5": ("numpy_temporaries.py", {}, "numpy temporaries"),
    "W6": ("standard_library.py", {}, "standard library"),
    "W7": ("eight_threads.py", {}, "eight threads"),
    "W8": ("prefork.py", {}, "prefork, copy on write"),
}
READ_ROUNDS = 3
ATTEMPTS = 3  # austin fails to find the interpreter that it starts, now and then


def rotated(runs, number):
    """Another one first each round; each second round backwards, so that neighbours change too."""
    first = number % len(runs)
    order = runs[first:] + runs[:first]
    return order[::-1] if number % 2 else order


class Pairing:
    """The contenders of one workload, each with the bare run that it is compared with."""

    def __init__(self, workload, found, scale):
        self.workload, self.runs = workload, []
        self.program = os.path.join(contenders.SAME, WORKLOADS[workload][0])
        self.environment = WORKLOADS[workload][1]
        bare = {}
        for contender in found:
            size = scale * contender.scale(workload)
            key = (contender.host.name, size)
            if key not in bare:
                bare[key] = contenders.Bare(contender.host)
                self.runs.append((bare[key], size))
            self.runs.append((contender, size))

    def truths(self, seconds):
        """[{"host", "scale", "marks"}], one for each kind of bare run."""
        return [{"host": c.host.name, "scale": size,
                 "marks": running.truth(c.host, self.program, size, seconds, self.environment)}
                for c, size in self.runs if c.name == "bare"]

    def measure(self, rounds, seconds):
        """[a run's result, with who, how large and in which round]"""
        done, given_up, first = [], set(), time.monotonic()
        for number in range(rounds):
            if number == 1:
                print("%-8s about %.0f s more" % (
                    self.workload, (time.monotonic() - first) * (rounds - 1)), flush=True)
            for contender, size in rotated(self.runs, number):
                key = (contender.name, contender.host.name, size)
                if key in given_up:
                    continue
                for _ in range(ATTEMPTS):
                    done.append(self.run(contender, size, number, seconds))
                    if done[-1]["status"] != "failed":
                        break
                if done[-1]["status"] != "ok":
                    given_up.add(key)
        return done

    def run(self, contender, size, number, seconds):
        """A run in round `number`; what goes wrong in it is said."""
        begin = time.monotonic()
        result = running.run(contender, self.program, size, seconds, self.environment,
                             number < READ_ROUNDS)
        result.update(contender=contender.name, host=contender.host.name, scale=size,
                      round=number, command_seconds=time.monotonic() - begin)
        if result["status"] != "ok":
            print("%s, %s (%s): %s: %s" % (
                self.workload, contender.name, contender.host.name, result["status"],
                result["reason"]), file=sys.stderr, flush=True)
        elif "unreadable" in result:
            print("%s, %s: %s" % (self.workload, contender.name, result["unreadable"]),
                  file=sys.stderr, flush=True)
        return result


def describe(contender):
    return {"name": contender.name, "host": contender.host.name, "python": contender.host.label,
            "version": contender.version, "basis": contender.basis, "lines": contender.lines,
            "measures": contender.measures}


def opened(found, missing):
    """Those that are ready; who can't get ready goes to the missing."""
    ready = []
    for contender in found:
        try:
            contender.open()
            ready.append(contender)
        except contenders.Unavailable as e:
            missing["%s (%s)" % (contender.name, contender.host.name)] = str(e)
    return ready


def measure_all(options, ready, keep):
    """All workloads; each is kept as soon as it is measured."""
    workloads = {}
    for name in options.workloads:
        pairing = Pairing(name, ready, options.scale)
        begin = time.monotonic()
        # Not counted: the first run pays for memory that the host has yet to hand out.
        for contender, size in pairing.runs:
            if contender.name == "bare":
                running.run(contender, pairing.program, size, options.timeout, pairing.environment)
        workloads[name] = {"title": WORKLOADS[name][2], "truth": pairing.truths(options.timeout),
                           "runs": pairing.measure(options.rounds, options.timeout)}
        keep(workloads)
        print("%-8s %d runs in %.0f s" % (name, len(workloads[name]["runs"]),
                                          time.monotonic() - begin), flush=True)
    return workloads


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each workload (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the work done (1)")
    parser.add_argument("--only", default="", help="workloads, with commas: " + ",".join(WORKLOADS))
    parser.add_argument("--timeout", type=float, default=240, help="seconds a run may take (240)")
    parser.add_argument("--allow-missing", action="store_true",
                        help="no failure if a contender can't be had here")
    parser.add_argument("--output", default=os.path.join(running.OUTPUT, "everyone.json"))
    options = parser.parse_args()
    options.workloads = options.only.split(",") if options.only else list(WORKLOADS)
    unknown = [w for w in options.workloads if w not in WORKLOADS]
    if unknown:
        parser.error("no such workload: " + ", ".join(unknown))
    if options.rounds < 1 or options.scale <= 0 or options.timeout <= 0:
        parser.error("--rounds, --scale and --timeout must be positive")
    return options


def main():
    options = parse()
    found, missing = contenders.find()
    ready = opened(found, missing)
    try:
        for name, reason in missing.items():
            print("not compared: %s: %s" % (name, reason), flush=True)
        if not ready:
            sys.exit("everyone.py: no contender can run")
        measure_all(options, ready, lambda workloads: common.save(
            options.output, {"machine": common.machine(), "rounds": options.rounds,
                             "scale": options.scale, "missing": missing,
                             "contenders": [describe(c) for c in ready], "workloads": workloads}))
    finally:
        for contender in ready:
            contender.close()
    return 1 if missing and not options.allow_missing else 0


if __name__ == "__main__":
    sys.exit(main())
