# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Workers that fork, execute themselves, grow and die at random.

swarm.py SECONDS WORKERS SEED RECORD EXECS: keeps WORKERS workers alive for SECONDS. Each writes what it
does to the file RECORD. A line is one word and some numbers, written at once:

    f PID PARENT   was forked (written by the parent, once it is)
    g PID BYTES    has grown by so much, on the line `grow`
    e PID          is about to exec, then grows again
    k PID          was killed from outside, maybe between a growth and its record

There are at most EXECS execs in all, since the start of an interpreter is hundreds of lines of a report.
"""
import os
import sys
import time

PAGE, MIB = 4096, 1 << 20
RECORD, TOKENS = 100, 101  # descriptors that stay over exec


class Dice:
    """A generator of numbers that takes no import."""

    def __init__(self, seed):
        self.state = seed & 0xffffffff
        for _ in range(3):
            self.below(2)

    def below(self, n):
        self.state = (self.state * 1103515245 + 12345) & 0xffffffff
        return (self.state >> 16) % n


def record(*words):
    os.write(RECORD, (" ".join(map(str, words)) + "\n").encode())


def may_exec():
    try:
        return bool(os.read(TOKENS, 1))
    except BlockingIOError:
        return False


def work(seed, depth):
    """A worker's life. Never returns."""
    dice, me, blocks = Dice(seed ^ os.getpid() * 2654435761), os.getpid(), []
    for step in range(1 + dice.below(5)):
        time.sleep(dice.below(300) / 1000.0)
        what = dice.below(24)
        if what < 3 and depth < 3:
            child = os.fork()
            if child == 0:
                work(seed + step + 1, depth + 1)
            record("f", child, me)
        elif what == 3 and may_exec():
            record("e", me)
            os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "worker", str(seed + step + 1),
                                      str(depth + 1)])
        else:
            size = (64 + dice.below(192)) * PAGE
            blocks.append(bytearray(size - 64))  # L:grow
            record("g", me, size)
    if dice.below(3) == 0:
        os.kill(me, 9)
    os._exit(0)


def reap(alive, block):
    """How many have ended; the orphans of workers are ours too."""
    count = 0
    while True:
        try:
            pid, _ = os.waitpid(-1, 0 if block else os.WNOHANG)
        except ChildProcessError:
            return count
        if pid == 0:
            return count
        alive.discard(pid)
        count += 1


def swarm(seconds, workers, seed):
    dice, alive, started = Dice(seed), set(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reap(alive, False)
        while len(alive) < workers:
            started += 1
            child = os.fork()
            if child == 0:
                work(seed * 1000003 + started, 0)
            record("f", child, os.getpid())
            alive.add(child)
        if dice.below(4) == 0:
            victim = sorted(alive)[dice.below(len(alive))]
            record("k", victim)
            os.kill(victim, 9)
        time.sleep(0.01)
    reap(alive, True)
    return started


def main():
    from truth import begin, end, libc

    seconds, workers, seed, path, execs = sys.argv[1:]
    os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), RECORD)
    tokens = os.pipe()
    os.dup2(tokens[0], TOKENS)
    os.set_blocking(TOKENS, False)
    os.write(tokens[1], b"." * int(execs))
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    begin()
    end({}, started=swarm(float(seconds), int(workers), int(seed)))


if sys.argv[1] == "worker":
    work(int(sys.argv[2]), int(sys.argv[3]))
main()
