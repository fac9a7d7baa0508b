# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A thread reads the file that is named on the command line, after the harness has put that thread, and no other one, into
another control group."""
import os
import sys
import threading

from truth import MIB, begin, end, pause


def work():
    tid, = {int(name) for name in os.listdir("/proc/self/task")} - {os.getpid()}
    pause(tid=tid)
    while os.readv(file, [buffer]): pass  # L:read


file = os.open(sys.argv[1], os.O_RDONLY)
buffer = bytearray(MIB)
begin()
thread = threading.Thread(target=work)
thread.start()
thread.join()
end({})
