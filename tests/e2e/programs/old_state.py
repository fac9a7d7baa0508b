# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A native thread that keeps its thread state while it is in C, as embedding programs do. More
threads come after it than are searched at each event."""
import ctypes
import os
import subprocess
import tempfile
import threading

from truth import MIB, begin, end, region

SOURCE = """
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
static sem_t turn, done;
static void (*call)(int);
static void *run(void *none)
{
	char *p;
	for (int i = 0;; i++) {
		sem_wait(&turn);
		p = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(p, 1, 1 << 16);
		call(i);
		sem_post(&done);
	}
	return none;
}
void start(void (*c)(int))
{ pthread_t t; call = c; sem_init(&turn, 0, 0); sem_init(&done, 0, 0); pthread_create(&t, 0, run, 0); }
void step(void) { sem_post(&turn); sem_wait(&done); }
"""
CALLS = 30


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def call(number):
    if number == 0:
        ctypes.pythonapi.PyGILState_Ensure()    # never released: the state stays
    else:
        ctypes.memset(region(MIB), 1, MIB)      # L:call


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "steps.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-pthread", "-x", "c", "-", "-o", path], check=True,
                   input=SOURCE.encode())
    library = ctypes.CDLL(path)
library.start(call)
library.step()
never = threading.Event()
for _ in range(20):
    threading.Thread(target=never.wait, daemon=True).start()
begin()
for _ in range(CALLS):
    library.step()
end({"call": {"increment": CALLS * MIB}})
os._exit(0)
