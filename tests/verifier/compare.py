#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares the verifier's figures of each BPF program on this kernel with bench/verifier.txt.

  compare.py [MODE]    instructions or states that grew by more than 5 % fail. MODE (lines, functions, serve, touched,
                       locks, exits or events) is for machines where a load takes long; default: all
  compare.py update    takes the files of build/verifier/, one for each kernel measured, and writes the
                       table of docs/BENCHMARKS.md

Both measure the running kernel first. Figures belong to one kernel release, and to the major version of the
clang that built the programs: the code of another clang may have a quarter more states. For another release
of the same kernel version, the newest figures of that version are taken, and 10 % more is allowed, since a
verifier changes little within a version. A clang or a kernel version without figures is reported, and is no
failure.
"""
import glob
import os
import platform
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(PROJECT, "build")
STATS = os.path.join(BUILD, "verifier-stats")
KEPT = os.path.join(PROJECT, "bench", "verifier.txt")
PAGE = os.path.join(PROJECT, "docs", "BENCHMARKS.md")
BEGIN, END = "<!-- verifier -->\n", "<!-- /verifier -->"
SHOWN = ("rss_stat", "fault_user", "mmap_ends", "call_tail", "lock_released", "line", "process_exec", "process_exit", "process_fork")
SHOWN_OF_EVENTS = ("cache_added", "collapse_ends", "tables_rss", "cache_object")
COLUMNS = ("release", "mode", "program", "insns", "most_states", "total_states", "peak_states")
CLANG = "clang"  # one more column, in the file
UNNAMED_CLANG = 14  # rows without it
GROWTH, GROWTH_OF_ANOTHER = 1.05, 1.10
FEW = 20  # a small program may grow by so much, whatever that is in per cent
REMEDY = "run make verifier-update and review"


def parse(text):
    """{(release, mode, program): (insns, most, total, peak)}; comments are left out."""
    by_clang = parse_by_clang(text)
    if len(by_clang) > 1:
        raise ValueError("figures of several clangs: %s" % sorted(by_clang))
    return next(iter(by_clang.values()), {})


def parse_by_clang(text):
    """{clang: what parse() returns}"""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) not in (len(COLUMNS), len(COLUMNS) + 1):
            raise ValueError("not %d columns, and one for clang: %r" % (len(COLUMNS), line))
        clang = int(words[len(COLUMNS)]) if len(words) > len(COLUMNS) else UNNAMED_CLANG
        found.setdefault(clang, {})[tuple(words[:3])] = tuple(int(w) for w in words[3:len(COLUMNS)])
    return found


def built_by(build=BUILD):
    """Major version of the clang that built the BPF programs, which it noted in them."""
    found = set()
    for path in glob.glob(os.path.join(build, "*", "*", "*.bpf.o")):
        with open(path, "rb") as f:
            found.update(int(n) for n in re.findall(rb"clang version (\d+)\.", f.read()))
    if len(found) != 1:
        raise ValueError("%s: the BPF programs were built by %s; run make clean all" % (
            build, " and ".join("clang %d" % n for n in sorted(found)) or "no clang that says so"))
    return found.pop()


def measure(modes=()):
    """The running kernel's figures, as text and as rows."""
    done = subprocess.run([STATS] + list(modes), check=True, stdout=subprocess.PIPE)
    rows = parse(done.stdout.decode())
    if not rows:
        raise ValueError("%s says nothing" % STATS)
    return done.stdout, rows


def keep(text):
    """The running kernel's figures beside those of guests, for an update."""
    os.makedirs(os.path.join(BUILD, "verifier"), exist_ok=True)
    path = os.path.join(BUILD, "verifier", platform.release() + ".txt")
    with open(path + ".tmp", "wb") as f:
        f.write(text)
    os.rename(path + ".tmp", path)


def reference(kept, release):
    """The release whose figures are to be compared with; None if there is none of its version."""
    releases = {key[0] for key in kept}
    if release in releases:
        return release
    same = [r for r in releases if version(r)[:2] == version(release)[:2]]
    return max(same, key=version) if same else None


def as_release(rows, release):
    """Figures as if they were those of that release."""
    return {(release,) + key[1:]: value for key, value in rows.items()}


def complaints(kept, now, growth=GROWTH):
    """Sentences on what grew, is new, or is gone; none if the release is not kept."""
    measured = {key[:2] for key in now}
    known = {key: value for key, value in kept.items() if key[:2] in measured}
    if not known:
        return []
    found = []
    for key in sorted(set(known) | set(now)):
        name = "%s %s %s" % key
        if key not in known:
            found.append("%s: is not in the file" % name)
            continue
        if key not in now:
            found.append("%s: is in the file, but no program" % name)
            continue
        for at, what in ((0, "instructions"), (2, "states"), (3, "states at the peak")):
            before, after = known[key][at], now[key][at]
            if after > before * growth and after - before > FEW:
                found.append("%s: %s %d, were %d (%+.0f %%)" % (
                    name, what, after, before, 100.0 * (after - before) / before))
    return found


def read_kept():
    with open(KEPT) as f:
        return parse_by_clang(f.read())


def not_compared(now, reason):
    print("# verifier: not compared: %s: %d programs load, the most takes %d instructions" % (
        reason, len(now), max(v[0] for v in now.values())))
    return 0


def judge(by_clang, clang, now):
    """The exit status, of the figures `now` of programs built by that clang."""
    release = next(iter(now))[0]
    if clang not in by_clang:
        return not_compared(now, "bench/verifier.txt has figures of clang %s, these programs were built by "
                            "clang %d" % (" and ".join(map(str, sorted(by_clang))), clang))
    kept = by_clang[clang]
    other = reference(kept, release)
    if not other:
        return not_compared(now, "nothing of the version of %s with clang %d is in bench/verifier.txt" % (
            release, clang))
    found = complaints(kept, as_release(now, other), GROWTH if other == release else GROWTH_OF_ANOTHER)
    for sentence in found:
        print("# verifier: " + sentence)
    if found:
        print("# verifier: " + REMEDY)
    else:
        print("# verifier: %s, clang %d: %d programs as in bench/verifier.txt%s" % (
            release, clang, len(now), "" if other == release else " for %s, to 10 %%" % other))
    return 1 if found else 0


def compare(modes):
    return judge(read_kept(), built_by(), measure(modes)[1])


def version(release):
    return [int(w) if w.isdigit() else 0 for w in release.replace("-", ".").replace(
        "+", ".").split(".")]


def take_over(kept, rows):
    """Releases that were measured replace what there is of their version; others stay."""
    versions = [version(key[0])[:2] for key in rows]
    kept = {key: value for key, value in kept.items() if version(key[0])[:2] not in versions}
    kept.update(rows)
    return kept


def write_kept(by_clang):
    form = "%-24s %-9s %-22s %8s %12s %12s %12s %6s\n"
    with open(KEPT + ".tmp", "w") as f:
        f.write("# What the kernel's verifier says of each BPF program, two CPUs assumed, and the major\n"
                "# version of the clang that built it (14 where there is none).\n"
                "# Written by make verifier-update. lines: the profiler with --lines, which has\n"
                "# all programs of a profile; functions: with --functions; serve: what pymem-bpf\n"
                "# serve loads;\n"
                "# touched: a profile with --touched; locks: the same where programs can't be attached\n"
                "# to functions; exits: a profile with --sys-exit there; events: one with --events\n"
                "# cache,huge,swap,external,kernel.\n")
        f.write("# " + form % (COLUMNS + (CLANG,)))
        for clang, kept in sorted(by_clang.items()):
            for key in sorted(kept, key=lambda k: (version(k[0]), k[1:])):
                f.write(form % (key + kept[key] + (clang,)))
    os.rename(KEPT + ".tmp", KEPT)


def update():
    """Figures of the clang that built the programs; those of others stay. The page has the oldest's, which builds releases."""
    keep(measure()[0])
    by_clang, clang = read_kept() if os.path.exists(KEPT) else {}, built_by()
    kept = by_clang.get(clang, {})
    for path in sorted(glob.glob(os.path.join(BUILD, "verifier", "*.txt"))):
        with open(path) as f:
            kept = take_over(kept, parse(f.read()))
    by_clang[clang] = kept
    write_kept(by_clang)
    if clang != min(by_clang):
        return 0
    with open(PAGE) as f:
        page = f.read()
    before, rest = page.split(BEGIN)
    with open(PAGE + ".tmp", "w") as f:
        f.write(before + BEGIN + "\n" + table(kept) + "\n" + END + rest.split(END)[1])
    os.rename(PAGE + ".tmp", PAGE)
    return 0


def table(kept):
    """Instructions of the programs that matter most, a column each version."""
    releases = sorted({key[0] for key in kept}, key=version)
    head = ["program"] + ["%d.%d" % tuple(version(r)[:2]) for r in releases]
    rows = [head, ["---"] * len(head)]
    for name in SHOWN:
        rows.append([name + (" (`--lines`)" if name == "line" else "")] + [
            str(kept[r, "lines", name][0]) if (r, "lines", name) in kept else "-" for r in releases])
    for name in SHOWN_OF_EVENTS:
        rows.append(["%s (`--events`)" % name] + [
            str(kept[r, "events", name][0]) if (r, "events", name) in kept else "-" for r in releases])
    return "".join("| %s |\n" % " | ".join(row) for row in rows)


def main():
    arguments = sys.argv[1:]
    if arguments == ["update"]:
        return update()
    if arguments not in ([], ["lines"], ["functions"], ["serve"], ["touched"], ["locks"], ["exits"], ["events"]):
        sys.exit("usage: compare.py [lines|functions|serve|touched|locks|exits|events], compare.py update")
    return compare(arguments)


if __name__ == "__main__":
    sys.exit(main())
