/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `pymem-bpf serve` and its clients say to each other: a SOCK_SEQPACKET unix socket,
 * one fixed-size record a message, one answer to each request, native byte order.
 *
 * A connection watches at most one process, and up to PYMEM_BLOCK_WATCHERS connections may
 * watch the same one, on the same block. TRACK begins it; its answer carries, as SCM_RIGHTS, a
 * descriptor to be mapped, read-only: see pymem_block.h. Closing the connection ends it. The server
 * closes the connection after an answer to a message that is no request, and at its own end:
 * end-of-file means that the block is the client's no longer, and may be frozen.
 */
#ifndef PYMEM_SERVE_H
#define PYMEM_SERVE_H

#include <linux/types.h>

#define PYMEM_SERVE_SOCKET  "/run/pymem-bpf.sock"
#define PYMEM_SERVE_MAGIC   0x53424d50 /* "PMBS" */
#define PYMEM_SERVE_VERSION 2

enum pymem_serve_op {
	PYMEM_SERVE_HELLO = 1, /* is a server there, and of which version */
	PYMEM_SERVE_TRACK,     /* watch `pid`, 0: the process that connected */
	PYMEM_SERVE_RESET,     /* forget the peaks: they begin anew at the present RSS */
	PYMEM_SERVE_UNTRACK,   /* stop watching; the connection stays */
};

enum pymem_serve_status {
	PYMEM_SERVE_OK,
	PYMEM_SERVE_BAD_REQUEST,   /* no request: wrong size, magic, op or flags */
	PYMEM_SERVE_BAD_VERSION,   /* another version of this protocol */
	PYMEM_SERVE_NOT_PERMITTED, /* another user's process */
	PYMEM_SERVE_NO_PROCESS,	   /* no such process, or another one has its PID now */
	PYMEM_SERVE_LIMIT,	   /* too many connections: of this user, of one process, in all */
	PYMEM_SERVE_STATE,	   /* TRACK twice, or RESET or UNTRACK without it */
	PYMEM_SERVE_FAILED,	   /* the kernel refused: the message says what */
};

struct pymem_serve_request {
	__u32 magic;	   /* PYMEM_SERVE_MAGIC */
	__u16 version;	   /* PYMEM_SERVE_VERSION */
	__u16 op;	   /* enum pymem_serve_op */
	__s32 pid;	   /* TRACK; as the server sees PIDs */
	__u32 flags;	   /* 0 */
	__u64 start_ticks; /* TRACK: field 22 of /proc/PID/stat, to notice a reused PID;
			    * 0: not checked */
	__u64 pad;	   /* 0 */
};

struct pymem_serve_reply {
	__u32 magic;
	__u16 version;
	__u16 op;	   /* of the request */
	__u32 status;	   /* enum pymem_serve_status */
	__u32 block_bytes; /* TRACK: to be mapped */
	__s32 pid;	   /* TRACK: the process watched, as the server sees it */
	__u32 slot;	   /* TRACK: which peaks of the block are this connection's */
	char program[16];  /* version of the server's program, NUL-terminated */
	char message[208]; /* what failed and its remedy, NUL-terminated; empty if OK */
};

_Static_assert(sizeof(struct pymem_serve_request) == 32, "part of the protocol");
_Static_assert(sizeof(struct pymem_serve_reply) == 248, "part of the protocol");

#endif
