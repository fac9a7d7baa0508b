/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The only owner of BPF programs and maps. All that the BPF side knows is asked for here; what it
 * means is not known here. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "py_layout.h"
#include "pymem.h"
#include "pymem_cache.h"
#include "pymem_line.h"
#include "pymem_block.h"

struct session_options {
	bool watch_host;	    /* report each exec on the host */
	bool follow_children;	    /* track children after fork and exec */
	bool faults;		    /* count page faults */
	bool syscalls;		    /* count memory system calls, */
	bool sys_exit;		    /* at a cost for the whole host if there is no other way */
	bool no_function_ends;	    /* for tests: as where fexit programs can't be attached */
	bool stalls;		    /* count waits of threads that have to free memory themselves */
	bool cache;		    /* count what is brought into the page cache */
	bool huge;		    /* count huge pages */
	bool swap;		    /* count what goes to swap and comes back; needs `faults` */
	bool external;		    /* count what other tasks take, and who */
	bool kernel;		    /* count the kernel's own memory, by stack */
	bool last_words;	    /* note where threads are when a signal ends them */
	bool touched;		    /* note which stack touches a page first */
	bool threads;		    /* stacks of different threads are different stacks */
	bool limits_itself;	    /* session_limit_walks() and session_cpu_ns() are of use */
	bool changes;		    /* session_each_changed_stack() reads only what has changed */
	unsigned max_stacks;	    /* distinct stacks of all images together */
	unsigned max_images;	    /* process images at the same time */
	unsigned payer_images;	    /* of these, for each payer (session_target.payer) */
	unsigned all_payers_images; /* and for all payers together */
	size_t ring_bytes;	    /* a power of two */
	bool lines;		    /* the exact engine: CPython's own probes */
	bool functions;		    /* with `lines`: it counts calls of functions, no lines */
	bool many;	 /* processes have nothing to do with each other: none may take all room, or
			    have code named without end (bpf/python/names.bpf.h) */
	bool count_only; /* only fill counter blocks: no stacks, nothing for reports */
	int verbosity;	 /* what libbpf prints: 0 nothing */
};

struct session;

/* Loads the programs. The caller frees the session with session_free(). NULL with errno set; then
 * `why` (`size` bytes) has a sentence that names what is missing and what helps. */
struct session *session_new(const struct session_options *options, char *why, size_t size);

/* Attaches the event sources. Tracked processes are measured from now on. 0 or -errno. */
int session_attach(struct session *session);

/* Detaches them. No event is seen any more; what was counted can still be read. */
void session_detach(struct session *session);

/* To be called after session_detach(): brings the figures of live images to those of the kernel. 0
 * or -errno. */
int session_settle(struct session *session);

/* Detaches and frees everything. NULL is allowed. */
void session_free(struct session *session);

/* True if the kernel tells when a process maps an executable file (PYMEM_MSG_MAPPED). */
bool session_sees_mappings(const struct session *session);

/* True if page faults, if copies on write are counted where the kernel lets them be watched. */
bool session_counts_faults(const struct session *session);
bool session_counts_copies(const struct session *session);

/* True if stalls of at least one kind are counted. */
bool session_counts_stalls(const struct session *session);

/* True if it is counted what is brought into the page cache. */
bool session_counts_cache(const struct session *session);

/* The kinds of extras that are counted: bits of enum pymem_extra_kind. How large the huge pages are
 * that are counted, in bytes; 0: they are not counted. */
unsigned session_extras(const struct session *session);
size_t session_huge_page_bytes(const struct session *session);

/* True if the kernel's own memory is counted by stack. */
bool session_counts_kernel(const struct session *session);

/* Calls `fn` with each note about the kernel for a report: what was asked for and is missing, and
 * what works in another way. */
void session_each_note(const struct session *session, void (*fn)(const char *text, void *arg),
		       void *arg);

/* Calls `fn` for each source with the number of events for which a table was full, and with a text
 * to print behind it: "memory system calls were not counted: …". Then, likewise, with the number of
 * stacks that were cut since their image may not name more code (session_options.many). */
void session_each_dropped(const struct session *session,
			  void (*fn)(uint64_t events, const char *text, void *arg), void *arg);

/* Registers a layout. Returns its index, or -ENOSPC. Equal layouts have the same index. */
int session_add_layout(struct session *session, const struct py_layout *layout);

struct session_target {
	pid_t pid;
	uint64_t start_ticks; /* 0: any process with that PID */
	bool identified;
	uint64_t runtime, interp_head;
	int layout; /* PYMEM_LAYOUT_SHED as an int: stacks are not walked */
	int block;  /* number of the counter block that shows it with its descendants; 0: none */
	uint32_t expect; /* track it only if it runs this image; 0: any */
	/* Less than PYMEM_PAYERS: it and what it forks count against this payer's share of images.
	 * 0: against no payer's. */
	unsigned payer;
	/* results: image id, error */
	uint32_t id;
	enum pymem_wanted_result result;
};

/* Starts to track `count` processes; those that are tracked already get their layout. One pass over
 * the kernel's tasks. 0, or -errno if the pass failed; each target has its own result. */
int session_track(struct session *session, struct session_target *targets, size_t count);

/* The figures of all payers, PYMEM_PAYERS of them. They change at any time; [0] is the sum of the
 * others. Belongs to the session. */
const volatile struct pymem_payer *session_payers(const struct session *session);

/* Counter blocks that processes read about themselves (pymem_block.h). Returns the number of a new
 * one, greater than 0; -ENOSPC: there are PYMEM_BLOCKS already; or -errno. */
int session_block_new(struct session *session);

/* Counter block `number`. It belongs to the session and is valid until session_block_free(). NULL:
 * there is none. */
const struct pymem_block *session_block(const struct session *session, int number);

/* A new descriptor of the counter block, for another process to map; the caller closes it. Nobody
 * can write through it. Or -errno. */
int session_block_fd(const struct session *session, int number);

/* Makes the BPF side change the counter block. `slot`: which peaks PYMEM_BLOCK_DO_RESET resets. 0;
 * -ENOENT: there is no such block; or -errno. */
int session_block_do(struct session *session, int number, enum pymem_block_command command,
		     unsigned slot);

/* The innermost counter block around this one that is not being closed; its sum includes this one.
 * 0: none. */
int session_block_around(const struct session *session, int number);

/* Ends the counter block and forgets the processes that were tracked for it. It stays readable,
 * marked PYMEM_BLOCK_ENDED, for those who have it mapped. */
void session_block_free(struct session *session, int number);

/* Waits up to `timeout_ms` milliseconds for messages, and calls `fn` for each with the bytes
 * received. `fn` returns 0, or -errno to end. Returns the number of messages handled, 0 after the
 * time, -EINTR after a signal, or -errno. session_set_reader() sets `fn`. */
typedef int (*session_message_fn)(void *arg, void *data, size_t size);
int session_set_reader(struct session *session, session_message_fn fn, void *arg);
int session_poll(struct session *session, int timeout_ms);
/* A descriptor that becomes readable when a message waits that is urgent. It belongs to the session
 * and exists after session_set_reader(). */
int session_fd(const struct session *session);
/* Handles all messages that are there, without waiting. Returns as session_poll(). */
int session_consume(struct session *session);

/* Calls `fn` for the record of each live image until it returns something other than 0, which is
 * then returned. -errno: reading failed. The other session_each_…() do the same. */
int session_each_live(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg);
/* The same for images that have ended. Each record is removed from the kernel when it is read. */
int session_take_dead(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg);
/* Copies the counters of a stack. False: it has none. */
bool session_stack(struct session *session, const struct pymem_stack_key *key,
		   struct pymem_stack *stack);
/* Calls `fn` for each stack that has some, with its system calls and stalls. */
int session_each_vmcalls(struct session *session,
			 int (*fn)(const struct pymem_stack_key *, const struct pymem_vmcalls *,
				   void *),
			 void *arg);
/* Calls `fn` for each stack with its counters. */
int session_each_stack(struct session *session,
		       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
				 void *),
		       void *arg);
/* The same, but unless `all` is set it may leave out stacks that have not changed since its last
 * call, or have not for all that can be told: on arm64 one in many thousand changes is told late.
 * Without session_options.changes all are read. */
int session_each_changed_stack(struct session *session, bool all,
			       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
					 void *),
			       void *arg);
/* Calls `fn` with what a thread has collected for a stack and not added to it yet, for each thread
 * and stack. */
int session_each_thread(struct session *session, int (*fn)(const struct pymem_collected *, void *),
			void *arg);
/* Copies the system calls of a stack. False: it has none. */
bool session_vmcalls(struct session *session, const struct pymem_stack_key *key,
		     struct pymem_vmcalls *vmcalls);

/* Calls `fn` for each line that ran (exact engine). Lines that are still running are among them
 * after session_settle(). */
int session_each_line(struct session *session,
		      int (*fn)(const struct pymem_line_key *, const struct pymem_line *, void *),
		      void *arg);
/* The number of probe events that were not counted, for this cause. */
uint64_t session_line_misses(const struct session *session, enum pymem_line_miss cause);

/* True if the exact engine counts functions. */
bool session_counts_functions(const struct session *session);

/* Attaches the exact engine to the probes at `sites` of the file that `fd` refers to, for process
 * `pid` (-1: all processes). The caller may close `fd` afterwards. Returns a number greater than 0
 * for session_detach_probes(), or -errno. -EMFILE: too few descriptors are left. */
struct elf_probe_sites;
int session_attach_probes(struct session *session, pid_t pid, int fd,
			  const struct elf_probe_sites *sites);
/* Detaches them, without waiting until that is done. */
void session_detach_probes(struct session *session, int number);

/* True on kernels on which BPF can't ask for a probe's cookie. There, session_add_places() tells
 * the BPF side at which addresses process `pid`, which has loaded the file at `bias`, has its
 * sites, and session_forget_places() takes that back. On other kernels they do nothing. 0 or
 * -errno. */
bool session_places_needed(const struct session *session);
int session_add_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
		       uint64_t bias);
void session_forget_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
			   uint64_t bias);

/* For an image that has ended: copies a stack's counters, and deletes them from the BPF side's
 * tables (map_take()). What a thread adds later makes a new entry. 0; -ENOENT: there are none (any
 * more); -errno. session_take_vmcalls() does the same for its system calls. */
int session_take_stack(struct session *session, const struct pymem_stack_key *key,
		       struct pymem_stack *stack);
int session_take_vmcalls(struct session *session, const struct pymem_stack_key *key,
			 struct pymem_vmcalls *vmcalls);

/* Removes what the BPF side keeps for an image that has ended: the counters of a stack, the mark
 * that a code object was sent, the counts of a line. 0 or -errno. No entry is no error. */
int session_forget_stack(struct session *session, const struct pymem_stack_key *key);
int session_forget_code(struct session *session, uint32_t proc, uint64_t code,
			uint64_t fingerprint);
int session_forget_line(struct session *session, const struct pymem_line_key *key);

/* The number of places in a table that session_forget_…() and session_sweep() have given back. */
uint64_t session_forgotten(const struct session *session, enum pymem_table table);

/* Removes all entries of a table for images of which is_gone() is true, however they came there.
 * Not for the table of threads. 0 or -errno. */
int session_sweep(struct session *session, enum pymem_table table,
		  bool (*is_gone)(uint32_t proc, void *arg), void *arg);

/* The leaf (bpf/account/touched.bpf.h) that the directory `dir` has for this address. Ids in it may
 * change at any time. NULL: none; nor is there any without session_options.touched. It belongs to
 * the session and is valid until session_forget_touched(). */
const volatile struct pymem_touched_leaf *session_touched_leaf(const struct session *session,
							       uint32_t dir, uint64_t address);
/* True if it is noted which stack touches a page first: asked for, and possible. */
bool session_sees_touches(const struct session *session);
/* Calls `fn` with what stacks put first into what they touched (struct pymem_first), in no order,
 * until it returns something other than 0, which is then returned. -errno: reading failed. */
int session_each_first(struct session *session, int (*fn)(const struct pymem_first *, void *),
		       void *arg);
/* Gives back all leaves of directories that is_gone() names. 0 or -errno. */
int session_forget_touched(struct session *session, bool (*is_gone)(uint32_t dir, void *arg),
			   void *arg);

/* Calls `fn` for each pair of a stack and a file, with what the stack brought into the page cache
 * of the file. The file is NULL if the table of files was full. Both are valid during the call; the
 * file is the table's own, which programs may be writing.
 * Until `fn` returns something other than 0, which is then returned. Nothing without
 * session_options.cache
 */
int session_each_cached(struct session *session,
			int (*fn)(const struct pymem_cached *, const struct pymem_cache_file *,
				  void *),
			void *arg);
/* Gives back all places of images that is_gone() names; with `files` also files that have had none
 * for two such calls. 0 or -errno. */
int session_forget_cached(struct session *session, bool files,
			  bool (*is_gone)(uint32_t proc, void *arg), void *arg);

/* Calls `fn` for each stack, or cause (struct pymem_kernel), with the kernel's memory that it
 * stands for, until it returns something other than 0, which is then returned. -errno: reading
 * failed. Nothing without session_options.kernel. */
int session_each_kernel(struct session *session,
			int (*fn)(const struct pymem_stack_key *, const struct pymem_kernel *,
				  void *),
			void *arg);
/* Removes what the BPF side keeps of it for images that is_gone() names. 0 or -errno. */
int session_forget_kernel(struct session *session, bool (*is_gone)(uint32_t proc, void *arg),
			  void *arg);

/* Attaches the source that tells a copy on write from a page that is kept, if it is not attached
 * yet. It costs each process on the host a little. 0 or -errno. */
int session_watch_copies(struct session *session);

/* For a profiler that limits itself (session_shed.c).
 *
 * session_shed_events(): detaches the sources that amounts can do without (event_source.shed), or
 * attaches them again. What they count is counted in part then. With options.touched only copies
 * are shed: who touched a page is known by the others. 0 or
 * -errno: all of them are shed still, and it can be tried again.
 * session_limit_walks(): from now on walks look at `frames` frames at most; 0 or more than
 * PYMEM_MAX_WALK: at all of them. It is rounded down to a multiple of 2, up to 6.1 of 16.
 * session_shed_stacks(): the number of stacks that were cut for that.
 *
 * Without session_options.limits_itself programs neither time walks nor shorten them. */
int session_shed_events(struct session *session, bool shed);
/* Calls `fn` with what is not counted while events are shed: "page faults". */
void session_each_shed(const struct session *session, void (*fn)(const char *what, void *arg),
		       void *arg);
void session_limit_walks(struct session *session, unsigned frames);
uint64_t session_shed_stacks(const struct session *session);
/* CPU time in nanoseconds that programs have taken so far in the processes that run them, all
 * together: an estimate. `*walks_ns`: of walks, from those that are timed; `*faults_ns`: of the
 * host's page faults. To be called from time to time; between calls it knows nothing of the latter.
 */
void session_cpu_ns(struct session *session, uint64_t *walks_ns, uint64_t *faults_ns);

/* The numbers of messages for which the ring buffer had no room, and of images for which a table
 * had none. */
uint64_t session_dropped_messages(const struct session *session);
uint64_t session_dropped_images(const struct session *session);

#endif
