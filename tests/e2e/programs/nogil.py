# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory touched by C code with the GIL released, while another thread runs Python."""
import ctypes
import threading

from truth import MIB, begin, end, region

SIZE = 32 * MIB
stop = False
spins = 0


def spin():
    global spins
    while not stop:
        spins += 1


def touch(address):
    ctypes.memset(address, 1, SIZE)  # L:touch


begin()
other = threading.Thread(target=spin)
other.start()
touch(region(SIZE))
stop = True
other.join()
end({"touch": {"increment": SIZE, "anon": SIZE}})
