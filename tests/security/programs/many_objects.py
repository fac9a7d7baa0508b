# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Has the kernel make COUNT objects or a few more, and keeps them: messages of a byte in sockets that nobody reads, two
objects each. COUNT is on the command line."""
import resource
import socket
import sys

print("ready", flush=True)
sys.stdin.readline()
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
pairs, left = [], int(sys.argv[1])
while left > 0:
    pair = socket.socketpair()
    pair[0].setblocking(False)
    pairs.append(pair)
    try:
        while left > 0:
            pair[0].send(b"x")  # L:send
            left -= 2
    except BlockingIOError:
        pass
print("done", flush=True)
sys.stdin.readline()
