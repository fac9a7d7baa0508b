# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An array of 512 MiB of which 0 to 100 % is touched: what profilers of resident memory and
profilers of allocations say about it. bench/touched.py [--scale X] [--percents …]; all goes to
build/bench/touched.json, and bench/report.py makes a table and a plot of it.
"""
import argparse
import os
import sys

import common
import contenders
import everyone
import readings
import running

PROGRAM = os.path.join(contenders.SAME, "touched_array.py")


def measure(contender, percent, options):
    """What it says at this share: above what the program had at the start where it says RSS."""
    environment = {"PYMEM_BENCH_PERCENT": str(percent)}
    result = running.run(contender, PROGRAM, options.scale, options.timeout, environment)
    reading = result.get("reading") or readings.reading()
    said = reading["peak"]
    if said is not None and contender.basis == "rss" and not reading["relative"]:
        said -= result["rss_before"]
    return {"contender": contender.name, "host": contender.host.name, "percent": percent,
            "basis": contender.basis, "status": result["status"], "said": said,
            "reason": result.get("reason") or result.get("unreadable"),
            "lines": {str(k): v for k, v in reading["lines"].items()}}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--percents", default="0,25,50,75,100", help="with commas (0,25,50,75,100)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on 512 MiB (1)")
    parser.add_argument("--timeout", type=float, default=240, help="seconds a run may take (240)")
    parser.add_argument("--allow-missing", action="store_true",
                        help="no failure if a contender can't be had here")
    parser.add_argument("--output", default=os.path.join(running.OUTPUT, "touched.json"))
    options = parser.parse_args()
    try:
        options.shares = [int(word) for word in options.percents.split(",")]
    except ValueError:
        parser.error("--percents: no number: " + options.percents)
    if not all(0 <= p <= 100 for p in options.shares) or options.scale <= 0:
        parser.error("--percents are 0 to 100, --scale is positive")
    return options


def main():
    options = parse()
    found, missing = contenders.find()
    ready = everyone.opened(found, missing)
    runs, truths = [], {}
    try:
        if not ready:
            sys.exit("touched.py: no contender can run")
        for percent in options.shares:
            truths[percent] = running.truth(ready[0].host, PROGRAM, options.scale, options.timeout,
                                            {"PYMEM_BENCH_PERCENT": str(percent)})
            for contender in ready:
                runs.append(measure(contender, percent, options))
                if runs[-1]["reason"]:
                    print("%d %%, %s: %s" % (percent, contender.name, runs[-1]["reason"]),
                          file=sys.stderr, flush=True)
            print("%3d %% touched: %d runs" % (percent, len(ready)), flush=True)
    finally:
        for contender in ready:
            contender.close()
    common.save(options.output, {"machine": common.machine(), "truth": truths, "runs": runs,
                                 "size": int(round(512 * options.scale)) << 20,
                                 "missing": missing,
                                 "contenders": [everyone.describe(c) for c in ready]})
    return 1 if missing and not options.allow_missing else 0


if __name__ == "__main__":
    sys.exit(main())
