/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a signal ended a process: who sent it, how much memory the process had, and where its threads
 * were. */
#ifndef DEATH_H
#define DEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/cgroup_last.h"
#include "pymem.h"

#define DEATH_BY_KERNEL 0x80 /* SI_KERNEL: si_code of what the kernel itself sends */

/* Frames kept of a thread, innermost first. */
#define DEATH_FRAMES 32

enum death_cause {
	DEATH_OOM,   /* the OOM killer chose it */
	DEATH_KILL,  /* a process, or the kernel, sent it a signal */
	DEATH_CRASH, /* what it did itself raised the signal */
	DEATH_CAUSES,
};

struct death {
	double time; /* seconds since the epoch */
	int signal;  /* SIGKILL, SIGSEGV, ... */
	int code;    /* si_code of the signal */
	bool victim; /* the OOM killer had chosen the process */
	/* The signal was seen to be sent; else the sender is not known. Of the OOM killer it is the
	 * process that asked for memory when there was none. */
	bool sent;
	int sender, sender_thread; /* PID, TID */
	unsigned sender_uid;
	char sender_comm[16];
	int64_t anon_bytes, file_bytes, shmem_bytes, swap_bytes; /* when it was sent */
	int64_t limit_bytes; /* of its control group, the lowest one; -1: none, or not known */
	unsigned threads;    /* that the process had */
	/* The group with that limit; without a limit, its own one. */
	struct cgroup_last group;
};

struct death_thread {
	int tid;
	char name[PYMEM_THREAD_NAME];
	bool raised;	      /* the signal was delivered to it, not only to its process */
	bool truncated;	      /* outer frames are missing */
	enum pymem_loss loss; /* without frames: why */
	unsigned depth;
};

/* What sent the signal. The kernel may do so while any process runs, and a timer does. */
enum death_sender {
	DEATH_SENDER_UNSEEN,
	DEATH_SENDER_PROCESS, /* death.sender */
	DEATH_SENDER_TIMER,
	DEATH_SENDER_KERNEL,
};
enum death_sender death_sender(const struct death *death);

/* Why the process `pid` has ended. */
enum death_cause death_cause(const struct death *death, int pid);

/* "oom", "kill", "crash". */
const char *death_cause_name(enum death_cause cause);

/* RSS when the signal was sent, in bytes. */
int64_t death_rss(const struct death *death);

/* "SIGKILL"; "signal 35" in `text` (`size` bytes) for one without a name. */
const char *death_signal(int signal, char *text, size_t size);

/* How good an answer the thread is to the question what process `pid` did; 0: none. The thread that
 * made the signal is the best one, or for whom the OOM killer was called; then the main thread. */
unsigned death_rank(const struct death *death, const struct death_thread *thread, int pid);

#endif
