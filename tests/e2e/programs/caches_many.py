# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes more files than the profiler has room for, a page each, in the folder that is named on the command line."""
import os
import sys

from truth import begin, end

COUNT = 100000
names = [os.path.join(sys.argv[1], "%06d" % i) for i in range(COUNT)]


def put(name):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, b"x")  # L:put
    os.close(fd)


begin()
for name in names:
    put(name)
end({}, count=COUNT)
