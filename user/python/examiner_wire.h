/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages between the program and its examiner (examiner.h), over a SOCK_SEQPACKET pair. A message
 * has a head, a body and descriptors. Both ends are this program, so sizes are checked and values
 * are trusted. */
#ifndef EXAMINER_WIRE_H
#define EXAMINER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "os/rights.h"
#include "python/examiner.h"

enum wire_op {
	WIRE_NEW,      /* to the keeper; answer: a: PID; descriptors: its socket, its pidfd */
	WIRE_IDENTIFY, /* answer: struct py_process */
	WIRE_DESCRIBE, /* answer: struct wire_description, what follows it; root, cwd */
	WIRE_RSS,      /* answer: a: bytes */
	WIRE_MEMORY,   /* a: address, b: bytes; answer: as many bytes as can be read */
	/* a: bytes of rights; body: rights, then the name with its NUL; descriptors: root, cwd.
	 * Answer: result: enum source_state; a: bits of a double; body: text. */
	WIRE_SOURCE,
	WIRE_PROBES,	  /* a: device, b: inode; answer: struct probe_file and its descriptor */
	WIRE_PROGRAM,	  /* a: enum probe_file_needs, body: name; answer: as of WIRE_PROBES */
	WIRE_PAGES,	  /* a: enum pagemap_kind; answer: array of struct pagemap_run */
	WIRE_COLLECTOR,	  /* answer: where it counts collections: struct wire_collector */
	WIRE_COLLECTIONS, /* body: struct wire_counter of each process; answer: struct wire_counts
			     of each */
	WIRE_PROC,	  /* b: bytes, body: name of a file in /proc/PID; answer: so many bytes */
};

#define WIRE_FDS_MAX 2
/* Which of the two descriptors come with the message: a process may lack one of these folders, or
 * it may not be seen. */
#define WIRE_HAS_ROOT 1u
#define WIRE_HAS_CWD  2u

struct wire_head {
	uint32_t number; /* of the request; its answer has the same */
	uint32_t op;
	int32_t pid;
	int32_t result; /* 0 or -errno */
	uint64_t a, b;
	uint64_t cpu_ns; /* in answers: CPU time that the examiner has used so far */
	uint64_t body_bytes;
	uint32_t has;	  /* WIRE_HAS_* */
	uint32_t in_file; /* the body is in a file; the last descriptor is that file */
};

struct wire_message {
	struct wire_head head;
	void *body; /* followed by a NUL that does not count; NULL: none */
	int fds[WIRE_FDS_MAX];
	unsigned fd_count;
};

struct wire_description {
	int32_t pid, ppid, ns_pid, pad_pid;
	uint64_t start_ticks;
	double start_wall;
	uint32_t kernel_thread;
	uint32_t argc;
	char state, comm[64], pad[7];
	uint64_t rights_bytes, argv_bytes, cgroup_bytes; /* bytes of what follows, in this order */
};

/* The answer of WIRE_COLLECTOR. */
struct wire_collector {
	struct py_collector place;
	char why[EXAMINER_WHY]; /* after -ENOTSUP */
};

/* Processes of one WIRE_COLLECTIONS: its answer fits into a message, too. */
#define WIRE_COUNTERS_MAX 400

struct wire_counter {
	int32_t pid;
	struct py_collector place;
};

struct wire_counts { /* of the process at the same place */
	int32_t error;
	uint64_t counts[PY_GENERATIONS];
};

/* Sends a message. Sets body_bytes and in_file of its head. 0 or -errno. */
int wire_send(int fd, struct wire_message *message);

/* Waits for a message. 1; 0: the other end is closed; -EMFILE: there was no number left for its
 * descriptors, the next message can be received; -errno. wire_fini() frees it. */
int wire_receive(int fd, struct wire_message *message);

/* Frees the body and closes the descriptors that were not taken out. */
void wire_fini(struct wire_message *message);

/* Takes a descriptor out of the message; the caller closes it. -1: there is none. */
int wire_take_fd(struct wire_message *message, unsigned index);

#endif
