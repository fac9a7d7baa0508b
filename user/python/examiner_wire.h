/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What goes between the program and its examiner (examiner.h): messages of a head, a body and
 * descriptors, over a SOCK_SEQPACKET pair. Both ends are this program: sizes are checked, values
 * are believed. */
#ifndef EXAMINER_WIRE_H
#define EXAMINER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "os/rights.h"

enum wire_op {
	WIRE_NEW,      /* to the keeper; back: result 0, the pid in a, its socket and pidfd */
	WIRE_IDENTIFY, /* back: struct py_process */
	WIRE_DESCRIBE, /* back: struct wire_description and what it announces, root, cwd */
	WIRE_RSS,      /* back: bytes in a */
	WIRE_MEMORY,   /* a: address, b: bytes; back: so many of them as can be read */
	WIRE_SOURCE,  /* a: bytes of rights, which begin the body, then the name with its NUL; root,
		       * cwd; back: enum source_state in result, bits of a double in a, text */
	WIRE_PROBES,  /* a: device, b: inode; back: struct probe_file and its descriptor */
	WIRE_PROGRAM, /* a: only one of fixed addresses, body: its name; back: the same */
	WIRE_PROC,    /* b: bytes, body: name of a file in /proc/PID; back: so many of them */
};

#define WIRE_FDS_MAX 2
/* Where a process has no such folder (or none that may be seen) the other is sent alone. */
#define WIRE_HAS_ROOT 1u
#define WIRE_HAS_CWD  2u

struct wire_head {
	uint32_t number; /* of the request, and so of its answer */
	uint32_t op;
	int32_t pid;
	int32_t result; /* 0, -errno */
	uint64_t a, b;
	uint64_t cpu_ns; /* answers: that the examiner has used so far */
	uint64_t body_bytes;
	uint32_t has;	  /* WIRE_HAS_* */
	uint32_t in_file; /* the body lies in a file, whose descriptor is the last one */
};

struct wire_message {
	struct wire_head head;
	void *body; /* with a NUL after it, which is not counted; NULL: none */
	int fds[WIRE_FDS_MAX];
	unsigned fd_count;
};

struct wire_description {
	int32_t pid, ppid;
	uint64_t start_ticks;
	double start_wall;
	uint32_t kernel_thread;
	uint32_t argc;
	char state, comm[64], pad[7];
	uint64_t rights_bytes, argv_bytes, cgroup_bytes; /* they follow, in this order */
};

/* Sends a message, whose head's body_bytes and in_file are set here. 0 or -errno. */
int wire_send(int fd, struct wire_message *message);

/* Waits for a message. 1; 0: the other end is closed; -errno; -EMFILE: there was no number left for
 * its descriptors, and the next message can be received. wire_fini() frees it. */
int wire_receive(int fd, struct wire_message *message);

/* Frees the body and closes the descriptors that are left. */
void wire_fini(struct wire_message *message);

/* Takes a descriptor out of the message, -1 if there is none. The caller closes it. */
int wire_take_fd(struct wire_message *message, unsigned index);

#endif
