# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A native thread that calls into Python again and again, each time with a new thread state
(PyGILState_Ensure)."""
import ctypes
import os
import subprocess
import tempfile

from truth import MIB, begin, end, region

SOURCE = """
#include <pthread.h>
struct job { void (*call)(int); int count; };
static void *run(void *job) { struct job *j = job; for (int i = 0; i < j->count; i++) j->call(i); return 0; }
void calls(void (*call)(int), int count)
{ struct job j = { call, count }; pthread_t t; pthread_create(&t, 0, run, &j); pthread_join(t, 0); }
"""
CALLS = 30
junk = []


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def call(number):
    ctypes.memset(region(MIB), 1, MIB)      # L:call
    junk.append([None] * (number % 7 * 50))


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "calls.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-pthread", "-x", "c", "-", "-o", path], check=True,
                   input=SOURCE.encode())
    library = ctypes.CDLL(path)
begin()
library.calls(call, CALLS)
end({"call": {"increment": CALLS * MIB}})
