/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sole owner of the BPF programs and maps. Everything the kernel side knows is asked
 * here; nothing here knows what it means. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "py_layout.h"
#include "pymem.h"
#include "pymem_line.h"
#include "pymem_block.h"

struct session_options {
	bool watch_host;	    /* tell of every exec on the host */
	bool follow_children;	    /* track children by fork and exec */
	bool faults;		    /* count block faults */
	bool syscalls;		    /* count memory system calls */
	unsigned max_stacks;	    /* distinct stacks in all */
	unsigned max_images;	    /* process images at one time */
	unsigned payer_images;	    /* of them, for each payer of session_target */
	unsigned all_payers_images; /* and for all payers together */
	size_t ring_bytes;	    /* power of two */
	bool lines;		    /* the exact engine: CPython's probes */
	bool many;		    /* processes are strangers to each other: none gets all room */
	bool count_only; /* only publish amounts on counter blocks: no stacks, nothing for reports
			  */
	int verbosity;	 /* of libbpf */
};

struct session;

/* Loads the programs. NULL with errno set; `why` (of `size` bytes) gets a sentence that
 * names what is missing and its remedy. */
struct session *session_new(const struct session_options *options, char *why, size_t size);

/* Attaches the event sources; from now on tracked processes are measured. 0 or -errno. */
int session_attach(struct session *session);

/* Detaches them: no event is seen any more. What was counted stays readable. */
void session_detach(struct session *session);

/* Brings the figures of live images to the kernel's own; after session_detach(). 0 or -errno. */
int session_settle(struct session *session);

/* Detaches and frees everything. NULL is fine. */
void session_free(struct session *session);

/* Is it told that a process maps a file executable (PYMEM_MSG_MAPPED)? */
bool session_sees_mappings(const struct session *session);

/* Hands to `fn` what a report has to say of the kernel: what was asked for and it lacks, what it
 * does differently. */
void session_each_note(const struct session *session, void (*fn)(const char *text, void *arg),
		       void *arg);

/* How many events each source could not count, a table being full, and what was not counted:
 * "memory system calls were not counted: …". */
void session_each_dropped(const struct session *session,
			  void (*fn)(uint64_t events, const char *text, void *arg), void *arg);

/* Registers a layout; its index, or -ENOSPC. The same layout gets the same index. */
int session_add_layout(struct session *session, const struct py_layout *layout);

struct session_target {
	pid_t pid;
	uint64_t start_ticks; /* 0: any process of that PID */
	bool identified;
	uint64_t runtime, interp_head;
	int layout;
	int block;	 /* from session_block_new(): publish it there, with its descendants;
			  * 0: nowhere */
	uint32_t expect; /* only if it is this image that it runs; 0: any */
	unsigned payer;	 /* < PYMEM_PAYERS: whose share of the images it uses, and what it forks;
			  * 0: nobody's */
	/* out */
	uint32_t id;
	enum pymem_wanted_result result;
};

/* Starts tracking `count` processes, or identifies them if they are tracked already:
 * one pass over the kernel's tasks. 0 or -errno; each target has its result. */
int session_track(struct session *session, struct session_target *targets, size_t count);

/* The accounts of all payers, PYMEM_PAYERS of them, which change meanwhile; [0] adds up the others.
 */
const volatile struct pymem_payer *session_payers(const struct session *session);

/* Pages that processes read about themselves (pymem_block.h). session_block_new() returns
 * the number of a new one, > 0, or -ENOSPC (PYMEM_BLOCKS at one time), -errno. */
int session_block_new(struct session *session);

/* The block `number`; the session's, until session_block_free(). NULL: none. */
const struct pymem_block *session_block(const struct session *session, int number);

/* A new descriptor of the block, to be mapped by another process: the caller closes it.
 * -errno. Nobody can write through it. */
int session_block_fd(const struct session *session, int number);

/* Has the kernel side change the block. `slot`: whose peaks, of DO_RESET. 0, -ENOENT: no such
 * block; -errno. */
int session_block_do(struct session *session, int number, enum pymem_block_command command,
		     unsigned slot);

/* The innermost block around that block, of whose sum it is part, that is to stay; 0: none. */
int session_block_around(const struct session *session, int number);

/* Ends the block and forgets the processes that were tracked on its behalf. It stays
 * readable, PYMEM_BLOCK_ENDED, for whoever has it mapped. */
void session_block_free(struct session *session, int number);

/* Waits up to `timeout_ms` for messages and hands each to `fn` (bytes as received).
 * Returns the number handled, 0 on timeout, -EINTR on a signal, -errno. */
typedef int (*session_message_fn)(void *arg, void *data, size_t size);
int session_set_reader(struct session *session, session_message_fn fn, void *arg);
int session_poll(struct session *session, int timeout_ms);
/* Ready to be read when messages wait that can't wait for long; the session's, after
 * session_set_reader(). */
int session_fd(const struct session *session);
/* Handles whatever is there without waiting. */
int session_consume(struct session *session);

/* Calls `fn` for each record until non-zero, which is returned; -errno on failure. */
int session_each_live(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg);
/* Images that have ended; each is removed from the kernel side as it is read. */
int session_take_dead(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg);
/* The counters of a stack; false if it has none. */
bool session_stack(struct session *session, const struct pymem_stack_key *key,
		   struct pymem_stack *stack);
int session_each_stack(struct session *session,
		       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
				 void *),
		       void *arg);
/* What threads have collected and not yet added to their stacks. */
int session_each_thread(struct session *session, int (*fn)(const struct pymem_collected *, void *),
			void *arg);
/* System calls of a stack; false if there are none. */
bool session_vmcalls(struct session *session, const struct pymem_stack_key *key,
		     struct pymem_vmcalls *vmcalls);

/* Lines that ran (exact engine). What still runs is among them once session_settle() is done. */
int session_each_line(struct session *session,
		      int (*fn)(const struct pymem_line_key *, const struct pymem_line *, void *),
		      void *arg);
/* Events of probes that were not counted, by enum pymem_line_miss. */
uint64_t session_line_misses(const struct session *session, enum pymem_line_miss cause);

/* Attaches the exact engine to the probes at `sites` of the file that is open as `fd`, as far as
 * `pid` runs it (-1: every process). The descriptor is not needed afterwards. The number that
 * detaches them, > 0, or -errno; -EMFILE: there is no room for that many. */
struct elf_probe_sites;
int session_attach_probes(struct session *session, pid_t pid, int fd,
			  const struct elf_probe_sites *sites);
/* Detaches them; does not wait for it. */
void session_detach_probes(struct session *session, int number);

/* On kernels that can't tell a probe by a cookie: where the process `pid` has the sites of a file
 * that it has loaded `bias` above its addresses. Elsewhere these do nothing. 0 or -errno. */
bool session_places_needed(const struct session *session);
int session_add_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
		       uint64_t bias);
void session_forget_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
			   uint64_t bias);

/* What the kernel side keeps of an image that has ended is removed: a stack's counters, the mark
 * of a code object handed over, a line that ran. 0 or -errno; what is not there is fine. */
int session_forget_stack(struct session *session, const struct pymem_stack_key *key);
int session_forget_code(struct session *session, uint32_t proc, uint64_t code,
			uint64_t fingerprint);
int session_forget_line(struct session *session, const struct pymem_line_key *key);

/* Places of a table that session_forget_*() have given back so far. */
uint64_t session_forgotten(const struct session *session, enum pymem_table table);

/* An image that has ended holds nothing any more: its user may have as much again. */
void session_settle_account(struct session *session, const struct pymem_proc *record);
/* Removes all that a table (not that of threads) has of images that is_gone() names, whatever
 * handed it over. 0 or -errno. */
int session_sweep(struct session *session, enum pymem_table table,
		  bool (*is_gone)(uint32_t proc, void *arg), void *arg);

/* Attaches the source that tells copies on write from pages kept, unless that was done.
 * It costs every process on the host a little. 0 or -errno. */
int session_watch_copies(struct session *session);

uint64_t session_dropped_messages(const struct session *session);
uint64_t session_dropped_images(const struct session *session);

#endif
