# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The server under test, and processes of any user that are its clients.

A client is a process of its own that runs this file and obeys commands, one JSON line at a time. The
test itself maps the client's counter block, so reading it costs the client nothing. Written only from
include/pymem_serve.h and include/pymem_block.h.
"""
import array
import ctypes
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

MAGIC, VERSION = 0x53424D50, 2
HELLO, TRACK, RESET, UNTRACK = 1, 2, 3, 4
OK, BAD_REQUEST, BAD_VERSION, NOT_PERMITTED, NO_PROCESS, LIMIT, STATE, FAILED = range(8)
REQUEST = struct.Struct("=IHHiIQQ")
REPLY = struct.Struct("=IHHIIiI16s208s")
# As in harness.py, which clients do not need.
PATIENCE = float(os.environ.get("PYMEM_E2E_PATIENCE", "120"))
PAGE_BYTES, PAGE_THREADS, PAGE_PROBES = 16384, 992, 8
HEAD = struct.Struct("=4I4q4I")
HEAD_FIELDS = ("version", "state", "missed", "images", "start", "rss", "tree", "foreign", "flags",
               "serial", "outer", "slots")
PEAKS = struct.Struct("=qqQ8x")  # of each slot
PEAKS_FIELDS = ("peak", "tree_peak", "resets")
SLOTS = 8
PARTIAL = 1
THREADS_AT = PAGE_BYTES - PAGE_THREADS * 16
LIVE, ENDED = 1, 2
PAGE = mmap.PAGESIZE


def request(op, pid=0, start_ticks=0, magic=MAGIC, version=VERSION, flags=0, pad=0):
    return REQUEST.pack(magic, version, op, pid, flags, start_ticks, pad)


def start_ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        return int(f.read().rsplit(")", 1)[1].split()[19])


class Connection:
    """One connection; an answer is a dictionary, None at the end."""

    def __init__(self, path=None, sock=None):
        self.socket = sock or socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.page_fd = -1
        if path:
            self.socket.connect(path)

    def send(self, message):
        self.socket.send(message)

    def receive(self):
        try:
            data, ancillary, _, _ = self.socket.recvmsg(1024, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            return None
        fds = array.array("i")
        for level, kind, content in ancillary:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            fds.frombytes(content)
        if not data:
            return None
        magic, version, op, status, block_bytes, pid, slot, program, message = REPLY.unpack(data)
        assert (magic, version) == (MAGIC, VERSION)
        if fds:
            assert len(fds) == 1 and op == TRACK and status == OK
            if self.page_fd >= 0:
                os.close(self.page_fd)
            self.page_fd = fds[0]
        text = message.rstrip(b"\0").decode()
        assert (status == OK) == (text == ""), (status, text)
        return {"op": op, "status": status, "block_bytes": block_bytes, "pid": pid, "slot": slot,
                "program": program.rstrip(b"\0").decode(), "message": text}

    def ask(self, *arguments, **more):
        self.send(request(*arguments, **more))
        return self.receive()

    def close(self):
        self.socket.close()
        if self.page_fd >= 0:
            os.close(self.page_fd)
            self.page_fd = -1


class Page:
    """A page mapped read-only, by its descriptor, with the peaks of one slot."""

    def __init__(self, fd, slot=0):
        self.map = mmap.mmap(fd, PAGE_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
        self.peaks_at = HEAD.size + slot * PEAKS.size

    def __getattr__(self, name):
        if name in PEAKS_FIELDS:
            return PEAKS.unpack_from(self.map, self.peaks_at)[PEAKS_FIELDS.index(name)]
        return HEAD.unpack_from(self.map)[HEAD_FIELDS.index(name)]

    def peak_now(self):
        return max(self.peak, self.rss)

    def net(self, tid):
        """Pages of that thread, None if it has no place."""
        for i in range(PAGE_PROBES):
            at = THREADS_AT + (tid + i) % PAGE_THREADS * 16
            found, _, pages = struct.unpack_from("=IIq", self.map, at)
            if found == tid:
                return pages
        return None


class Server:
    """`pymem-bpf serve`, listening."""

    def __init__(self, tool, path, *arguments, wait=True, **popen):
        self.path, self.said = path, b""
        self.process = subprocess.Popen([tool, "serve", "--socket", path] + list(arguments),
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **popen)
        self.listening = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if wait:
            assert self.listening.wait(PATIENCE) and self.process.poll() is None, self.said

    def read(self):
        for line in self.process.stderr:
            self.said += line
            if b"listening" in line:
                self.listening.set()
        self.listening.set()

    def connect(self):
        return Connection(self.path)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def wait(self):
        status = self.process.wait(PATIENCE)
        self.reader.join(30)
        return status

    def stop(self, number=15):
        self.process.send_signal(number)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(30)
        self.process.stderr.close()


def take_descriptor(pid, fd):
    """A copy of another process's descriptor (pidfd_getfd, 5.6)."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        got = libc.syscall(438, pidfd, fd, 0)
        assert got >= 0, os.strerror(ctypes.get_errno())
        return got
    finally:
        os.close(pidfd)


class Client:
    """A client process, of user and group `uid`."""

    def __init__(self, path, uid=0):
        # An own copy: the project's folder may be closed to that user.
        with open(__file__) as f:
            code = f.read()
        user = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        self.process = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, cwd="/", **user)
        self.pid = self.process.pid
        self.tell("hello")

    def tell(self, what, *arguments):
        self.process.stdin.write(json.dumps([what, arguments]).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client died"
        return json.loads(line.decode())

    def track(self, pid=0, ticks=0):
        reply = self.tell("track", pid, ticks)
        self.slot = reply["slot"]
        return reply

    def page(self):
        fd = take_descriptor(self.pid, self.tell("descriptor"))
        try:
            return Page(fd, self.slot)
        finally:
            os.close(fd)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


class Agent:
    """What a client process does when told."""

    def __init__(self, path):
        self.connection = Connection(path)
        self.blocks, self.children, self.tids, self.done = [], [], [], threading.Event()

    def hello(self):
        return self.connection.ask(HELLO)

    def track(self, pid, ticks):
        return self.connection.ask(TRACK, pid, ticks)

    def reset(self):
        return self.connection.ask(RESET)

    def untrack(self):
        return self.connection.ask(UNTRACK)

    def descriptor(self):
        return self.connection.page_fd

    def receive(self):
        return self.connection.receive()

    def grow(self, pages):
        block = mmap.mmap(-1, pages * PAGE)
        # Page by page: no huge page, whatever the system prefers.
        block.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, pages * PAGE, PAGE):
            block[at] = 1
        self.blocks.append(block)

    def shrink(self):
        self.blocks.pop().close()

    def thread(self, pages):
        """A thread that grows and stays; its ID."""
        grown = threading.Event()

        def work():
            self.tids.append(threading.get_native_id())
            self.grow(pages)
            grown.set()
            self.done.wait()

        threading.Thread(target=work, daemon=True).start()
        grown.wait()
        return self.tids[-1]

    def fork(self, pages):
        """A child that grows and stays; its PID."""
        readable, writable = os.pipe()
        pid = os.fork()
        if not pid:
            self.grow(pages)
            os.write(writable, b"!")
            time.sleep(1000)
            os._exit(0)
        os.read(readable, 1)
        os.close(readable)
        os.close(writable)
        self.children.append(pid)
        return pid

    def lineage(self, generations, pages):
        """A child, its child, and so on, each grown; the last one grows as much at each SIGUSR1.
        They end with their parents."""
        readable, writable = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writable)
            self.lineage_pids = json.loads(os.read(readable, 4096).decode())
            os.close(readable)
            self.children.append(pid)
            return
        pids = []
        for generation in range(generations):
            ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
            self.grow(pages)
            pids.append(os.getpid())
            if generation + 1 < generations and os.fork():
                time.sleep(1000)
        signal.signal(signal.SIGUSR1, lambda *_: self.grow(pages))
        os.write(writable, json.dumps(pids).encode())
        while True:
            time.sleep(1000)

    def descendants(self):
        return self.lineage_pids

    def end_children(self):
        while self.children:
            pid = self.children.pop()
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def main():
    agent = Agent(sys.argv[1])
    while True:
        line = sys.stdin.readline()
        if not line:
            break
        what, arguments = json.loads(line)
        print(json.dumps(getattr(agent, what)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
