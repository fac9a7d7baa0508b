# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""take_places SOCKET N: opens N connections, says how many were served, and keeps them until its
standard input ends."""
import socket
import struct
import sys

HELLO = struct.pack("=IHHiIQQ", 0x53424D50, 2, 1, 0, 0, 0, 0)
kept = []
for _ in range(int(sys.argv[2])):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(sys.argv[1])
    try:
        connection.send(HELLO)
    except BrokenPipeError:
        pass  # the reason can be read all the same
    if struct.unpack_from("=IHHI", connection.recv(248))[3] == 0:
        kept.append(connection)
print(len(kept), flush=True)
sys.stdin.read()
