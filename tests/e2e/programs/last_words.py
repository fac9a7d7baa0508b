"""Says that it is ready, and then does what its argument says until something ends it. A second thread sleeps."""
import ctypes
import os
import signal
import sys
import threading
import time


def rest():
    while True:
        time.sleep(1)  # L:rest


def wait():
    while True:
        time.sleep(0.05)  # L:wait


def fill():
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))  # L:fill


def keep():
    kept = b"x" * (24 << 20)
    while kept:
        time.sleep(0.05)  # L:keep


def kill():
    os.kill(int(sys.argv[2]), signal.SIGKILL)  # L:kill


def crash():
    ctypes.string_at(0)  # L:crash


def abort():
    os.abort()  # L:abort


def handle():
    signal.signal(signal.SIGFPE, lambda *_: None)
    os.kill(os.getpid(), signal.SIGFPE)
    print("handled", flush=True)


def run():
    what = {"wait": wait, "fill": fill, "keep": keep, "kill": kill, "crash": crash, "abort": abort, "handle": handle, "end": lambda: None}
    threading.Thread(target=rest, daemon=True, name="sleeper").start()
    print("ready", flush=True)
    sys.stdin.readline()
    what[sys.argv[1]]()  # L:run


run()  # L:main
