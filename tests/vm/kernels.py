# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which guests a run boots, their results, and the table of these (docs/KERNELS.md). Pure but for write():
texts of guest_checks.py in, sentences and tables out."""
import os
import re

ALL = "5.10 6.1 6.12 7.2"
# With more CPUs than two: the newest kernel. The cost of an event must not grow with their number.
MORE_CPUS = (8, 32)
GROWTH = 1.5
PER_CPU_SINCE = (6, 2)
# Booted so that one thread can take the CPU from another at any place in the kernel, as kernels for desktops are: the
# last but one, and one whose tracepoints leave that on.
PREEMPTS = ("6.12", "7.2")

HEAD = """# Kernels

Written by `make check-vm` from the outcomes of its checks on %s; do not edit. What a check demands is
in [TESTING.md](TESTING.md#kernels). **yes**: it passed; **no**: it failed; **-**: not part of that guest's
run (with more CPUs than two, only what depends on their number is).

"""
COST = """
## Cost of an event

By the kernel's own clock around each program, in an emulator, where one thread is all CPUs: the figures
compare with one another only. On kernels since 6.2 the cost with 32 CPUs must not be over %g times that
with 2.

""" % GROWTH


def version(name):
    return tuple(int(n) for n in re.findall(r"\d+", name)[:2])


def plan(names, cpus, full):
    """[(kernel, CPUs)]: two CPUs each, and in full more for the newest, unless CPUs are given."""
    names = names.split()
    numbers = [int(n) for n in cpus.replace(",", " ").split()]
    guests = [(name, n) for name in names for n in numbers or [2]]
    if full and not numbers:
        guests += [(max(names, key=version), n) for n in MORE_CPUS]
    # The longest first: two run at a time.
    return sorted(guests, key=lambda g: (g[1] != 2, version(g[0])))


def parse(output):
    """{"release", "planned", "checks": {name: good}, "costs": {program: (runs, ns)}} of a guest."""
    found = {"release": None, "planned": 0, "checks": {}, "costs": {}}
    for line in output.splitlines():
        guest = re.match(r"# guest: (\S+), \d+ CPUs$", line)
        if guest:
            found["release"] = guest.group(1)
        total = re.match(r"1\.\.(\d+)$", line)
        if total:
            found["planned"] = int(total.group(1))
        point = re.match(r"(not )?ok \d+ - (\w+)$", line)
        if point:
            found["checks"][point.group(2)] = not point.group(1)
        cost = re.match(r"# cost: \S+ \d+ CPUs: (\w+) (\d+) runs, (\d+) ns each$", line)
        if cost:
            found["costs"][cost.group(1)] = (int(cost.group(2)), int(cost.group(3)))
    return found


def cost_points(guests):
    """[(good, sentence)] for each kernel that ran with 2 CPUs and with more: what an event costs
    there. `guests`: {(kernel, CPUs): what parse() found}."""
    points = []
    for (kernel, cpus), found in sorted(guests.items()):
        few = guests.get((kernel, 2))
        if cpus == 2 or not few or version(kernel) < PER_CPU_SINCE:
            continue
        for program, (_, ns) in sorted(few["costs"].items()):
            many = found["costs"].get(program)
            points.append((bool(many) and many[1] <= ns * GROWTH, "%s: %s: %d ns an event with 2 CPUs, "
                           "%s with %d; up to %g times is allowed" % (
                               kernel, program, ns, many[1] if many else "none", cpus, GROWTH)))
    return points


def rows(head, body):
    lines = ["| %s |" % " | ".join(head), "|" + "---|" * len(head)]
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in body]) + "\n"


def table(guests, day):
    """The text of docs/KERNELS.md."""
    order = sorted(guests, key=lambda g: (version(g[0]), g[1]))
    names = []
    for guest in order:
        names += [name for name in guests[guest]["checks"] if name not in names]
    words = {True: "yes", False: "no", None: "-"}
    text = HEAD % day + rows(
        ["check"] + ["%s, %d CPUs" % guest for guest in order],
        [["release"] + [guests[g]["release"] or "-" for g in order]] +
        [["`%s`" % name] + [words[guests[g]["checks"].get(name)] for g in order] for name in names])
    costs = [[g[0], str(g[1]), "`%s`" % program, str(runs), str(ns)] for g in order
             for program, (runs, ns) in sorted(guests[g]["costs"].items())]
    if costs:
        text += COST + rows(["kernel", "CPUs", "program", "events", "ns an event"], costs)
    return text


def incomplete(guests):
    """Why the table can't be written: sentences."""
    missing = ["kernel %s did not run" % name for name in ALL.split() if (name, 2) not in guests]
    missing += ["%d CPUs did not run" % n for n in MORE_CPUS if not any(g[1] == n for g in guests)]
    return missing + ["%s, %d CPUs: %d of %d checks" % (g + (len(found["checks"]), found["planned"]))
                      for g, found in sorted(guests.items())
                      if not found["planned"] or len(found["checks"]) != found["planned"]]


def write(path, guests, day):
    """Says what it did. A run that was not whole leaves the table alone."""
    missing = incomplete(guests)
    if missing:
        return "%s is left alone: %s" % (os.path.basename(path), "; ".join(missing))
    with open(path, "w", encoding="utf-8") as f:
        f.write(table(guests, day))
    return "%s: written" % os.path.basename(path)
