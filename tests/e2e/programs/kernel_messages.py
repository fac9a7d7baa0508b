# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Data that waits in sockets, in pieces as large as the kernel likes them; and a table of many descriptors."""
import _socket
import os
import resource

from truth import begin, end

SOCKETS, BYTES, DESCRIPTORS = 64, 65536, 4096

resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
pairs = [_socket.socketpair() for _ in range(SOCKETS)]
data = bytes(BYTES)
begin()
for one, _ in pairs:
    one.send(data)  # L:send
os.dup2(1, DESCRIPTORS)  # L:table
end({}, sent=SOCKETS * BYTES)
