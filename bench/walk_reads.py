#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How often, and how much, an event reads of a process's memory, by the depth of its stack: bench/walk_reads.py [--frames 4,33,103]

The BPF walker runs as a program (`make walker`; tests/walker/) over the memory of a stopped interpreter, whose stack is that of
bench/workloads/walks.py: a recursion to the depth asked for. Counted are the calls of bpf_probe_read_user() and their bytes: at a
thread's first event, at most of its later ones, and at those (one in 64 in the long run) that confirm that the stack's code objects
are still the same. It counts and does not time.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import common
import nanoseconds
import tables

sys.path.insert(0, os.path.join(common.PROJECT, "tests", "walker"))
import check_walker  # noqa: E402

WALKER = os.path.join(common.PROJECT, "build", "walker", "modern")
TARGET = '''\
import os, sys, threading

def truth(frame):
    while frame:
        code = frame.f_code
        yield "F %d\\t%s\\t%s\\n" % (frame.f_lineno, code.co_filename, getattr(code, "co_qualname", code.co_name))
        frame = frame.f_back

def stand():
    with open(sys.argv[1], "w") as out:
        out.write("T %d\\n" % threading.get_ident())
        out.writelines(truth(sys._getframe()))
    os.write(1, b"ready\\n"); os.read(0, 1)

def under(frames):
    return under(frames - 1) if frames > 0 else stand()

# Besides stand(): the last under() and the module.
under(int(sys.argv[2]) - 3)
'''


def reads(command, frames):
    """(frames, [(reads, bytes) of each event])"""
    with tempfile.TemporaryDirectory(dir=common.OUTPUT) as folder:
        program, truth = os.path.join(folder, "target.py"), os.path.join(folder, "truth")
        with open(program, "w", encoding="ascii") as f:
            f.write(TARGET)
        child = subprocess.Popen(command + ["-B", program, truth, str(frames)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            if child.stdout.readline() != b"ready\n":
                raise RuntimeError("%s: the target did not start" % command[-1])
            check_walker.stop(child.pid)
            said = subprocess.run([WALKER, "--reads", str(child.pid), truth], stdout=subprocess.PIPE, check=True).stdout.decode()
        finally:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()
    count, _, events = said.partition(":")
    return int(count), [tuple(map(int, pair.split("/"))) for pair in events.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", default=",".join(map(str, nanoseconds.FRAMES)), help="with commas, 3 or more (4,33,103)")
    options = parser.parse_args()
    os.makedirs(common.OUTPUT, exist_ok=True)
    rows = []
    for version, command in sorted(nanoseconds.interpreters().items(), key=lambda one: int(one[0].split(".")[1])):
        for wanted in map(int, options.frames.split(",")):
            frames, events = reads(command, wanted)
            if frames != wanted:
                raise RuntimeError("Python %s: a stack of %d frames in place of %d" % (version, frames, wanted))
            later = events[len(events) // 2:]
            usual = statistics.median_low(later)
            rows.append([version, "%d" % frames] + ["%d, %d" % pair for pair in (usual, max(later), events[0])] +
                        ["%d of %d" % (sum(one != usual for one in later), len(later))])
    print(tables.table(rows, ["Python", "frames", "an event: reads, bytes", "one that confirms", "the first", "that confirm"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
