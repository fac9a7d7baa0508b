# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The kernel's own delay accounting (taskstats) of the thread that asks: how often it freed memory itself, and how long
that took, with all that it waited for within."""
import os
import socket
import struct
import time

GENERIC, CONTROL, GET_FAMILY, FAMILY_NAME, FAMILY_ID = 16, 16, 3, 2, 1
TASKSTATS_GET, TASKSTATS_PID, TASKSTATS_STATS = 1, 1, 3
FREED = 312  # of freepages_count in struct taskstats; freepages_delay_total is behind it


def attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        yield kind & 0x3fff, data[4:length]
        data = data[(length + 3) & ~3:]


def ask(family, command, kind, value):
    """{kind: value} of the answer; the header of each message is 16 + 4 bytes."""
    attribute = struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    channel.send(struct.pack("IHHIIBBxx", 20 + len(attribute), family, 1, 1, 0, command, 1) + attribute)
    return dict(attributes(channel.recv(8192)[20:]))


channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
family = struct.unpack("H", ask(CONTROL, GET_FAMILY, FAMILY_NAME, b"TASKSTATS\0")[FAMILY_ID])[0]


def delays():
    """(times, nanoseconds) of this thread so far, and a clock."""
    for kind, value in ask(family, TASKSTATS_GET, TASKSTATS_PID, struct.pack("I", os.getpid())).items():
        stats = dict(attributes(value)).get(TASKSTATS_STATS)
        if stats:
            return struct.unpack_from("QQ", stats, FREED) + (time.monotonic_ns(),)
    raise OSError("taskstats did not answer")
