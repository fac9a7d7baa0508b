/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interface between a report and the source of its figures. A source is a live session
 * (track/tracker_counts.c) or the table of a unit test (tests/unit/counts_table.h). report/ adds
 * the figures up and does not know which source it has.
 *
 * The header lies in model/, the lowest folder that knows processes, lines and losses. A source may
 * lie below report/ (as track/ does) or above it.
 *
 * Invariant, for each image: pages of its stacks + pages of its threads + pages lost by its record
 * = change of its RSS. If the image runs while it is read, the two sides may differ by what changes
 * meanwhile. */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/death.h"
#include "os/cgroup_book.h"
#include "os/source.h"
#include "pymem.h"
#include "pymem_line.h"

struct counts_frame;

/* How a signal ended an image. Valid during the call. Made by a source, which frees it with
 * counts_free_death(). */
struct counts_death {
	struct death facts;
	struct counts_death_thread {
		struct death_thread facts;
		const struct counts_frame *frames; /* innermost first, facts.depth of them */
	} * threads;
	size_t count;
	/* The thread that sent the signal, or asked for the memory that there was not, if it is of
	 * another image that is watched; else NULL. */
	struct counts_death_thread *sender;
};

/* NULL is allowed. */
void counts_free_death(struct counts_death *death);

/* An image that belongs in the report. Pointers are valid during the call. */
struct counts_image {
	uint32_t id;
	pid_t pid, ppid;
	pid_t ns_pid; /* in its own PID namespace; 0: the same, or not known */
	const char *comm;
	char *const *argv;     /* ends with NULL; NULL: unknown */
	const char *cgroup;    /* NULL: unknown */
	unsigned memory_group; /* in counts_facts.groups, as cgroup_book_see() gives it */
	bool memory_moved;     /* it was in another group at the end */
	bool began;	       /* it began while it was watched */
	const char *python;    /* "3.11.2"; "": unknown */
	const char *reason;    /* why its stacks are not walked; "": they are */
	const struct source_root *root;
	const struct pymem_proc *record; /* its RSS, losses and quotas */
	/* Of a part of a recording: record->peak_pages is the least that the peak in it was. */
	bool peak_at_least;
	bool ended;
	bool held;	 /* it ran no Python before it was identified */
	bool lines;	 /* the exact engine is attached */
	bool functions;	 /* as `lines`: it counts functions */
	bool lines_late; /* as `lines`, but attached after the image had begun */
	/* Why the exact engine is not attached although it was asked for: -ENOTSUP no line probe,
	 * -ESRCH the image ended before, -ECANCELED the profile ended before, -EINPROGRESS not yet.
	 * 0: it is attached, or was not asked for. */
	int lines_error;
	const struct counts_death *death; /* NULL: no signal has ended it, as far as is known */
};

/* One instruction of a code object, and the source line that it belongs to. */
struct counts_frame {
	/* The code object: its address in the image, and a hash of its contents. */
	uint64_t code, fingerprint;
	int32_t lasti;	/* byte offset of the instruction */
	int line;	/* greater than 0 */
	int first_line; /* of the function */
	bool prologue;	/* before the function's first line: py_code_in_prologue() */
	const char *file, *function;
};

/* A thread of an image that is told apart from its others. */
struct counts_thread {
	uint64_t id;	  /* PYMEM_THREAD() */
	const char *name; /* as it was when a new stack of it was last met */
};

/* The figures of one stack of one image. Valid during the call. */
struct counts_stack {
	struct pymem_stack_key key;
	const struct counts_frame *frames;  /* innermost first */
	unsigned depth;			    /* 0: the frames are unknown */
	const struct counts_thread *thread; /* that runs it; NULL: unknown, or not told apart */
	bool truncated;			    /* its outermost frames are missing */
	/* A code object is unknown: that of a caller or, if `depth` is 0, that of the innermost
	 * frame. */
	bool cut;
	enum pymem_lack lack; /* why, if `cut` */
	const struct pymem_counters *counters;
	const struct pymem_vmcalls *vmcalls; /* NULL: none */
	/* Of a part of a recording: counters->peak_pages before it. What is in the counters is of
	 * the part, 0 if it is not known, because it was not higher. 0: there was nothing before.
	 */
	uint64_t peak_before_pages;
};

/* What the exact engine counted for one line of one image, or for one function, if that is what it
 * counts there. Valid during the call. */
struct counts_line {
	uint32_t image;
	const struct counts_frame *at; /* NULL: the code object is unknown */
	const struct pymem_line *counted;
	uint64_t peak_before_pages, usage_before_pages; /* as in a counts_stack, of `counted` */
};

/* What a stack of an image brought into the page cache of one file, in pages. Valid during the
 * call. */
struct counts_cached {
	const struct counts_stack *stack; /* its key and frames; depth 0: none are known, */
	enum pymem_loss loss;		  /* because of this */
	const char *path;		  /* NULL: one of the files beyond the table's size */
	bool deleted;			  /* it had no name any more */
	/* As in a struct pymem_cached. */
	uint64_t added_pages, gone_pages, unknown_pages, own_pages, other_pages;
};

/* The kernel's own memory for which a stack of an image stands. Valid during the call. */
struct counts_kernel {
	const struct counts_stack *stack; /* its key and frames; depth 0: none are known, */
	enum pymem_loss loss;		  /* because of this */
	struct pymem_kernel sums;	  /* `account` means nothing */
};

enum counts_verdict {
	COUNTS_LEFT,  /* the source keeps it */
	COUNTS_TAKEN, /* the report has taken it for good: the source frees it */
};

enum counts_want {
	COUNTS_NOTHING,
	COUNTS_FIGURES, /* without frames: `depth` is 0 */
	COUNTS_ALL,
};

/* What a source calls, in this order: for images, then stacks, threads and lines. An image may come
 * twice: then the first call counts. A figure may belong to an image that did not come in this
 * reading: one that was taken earlier, or one that is not for the report. A call that returns
 * -errno ends the reading. */
struct counts_reader {
	int (*image)(const struct counts_image *image, void *arg);
	/* Returns an enum counts_verdict or -errno. NULL: only images are read, by read() only. */
	int (*stack)(const struct counts_stack *stack, void *arg);
	/* What a thread has collected for a stack and has not added to it yet. */
	int (*thread)(const struct counts_stack *stack, void *arg);
	int (*line)(const struct counts_line *line, void *arg);
	/* Whether a stack, or what a thread has collected for it, is passed on, and its frames are
	 * found. Optional (NULL: all is wanted). Asked by read() only. */
	enum counts_want (*wants)(const struct pymem_stack_key *key,
				  const struct pymem_counters *counters, bool thread, void *arg);
	/* True: stacks that have not changed since the last reading that asked this may be left
	 * out. Asked after the images. At most one reader of a source may ask. Optional (NULL: all
	 * come). Asked by read() only. */
	bool (*changes)(void *arg);
	/* If stalls or extras are counted, after the stacks: these and the system calls of those
	 * that have some, also where nothing else of the stack has changed. Optional (NULL). Called
	 * by read() only. */
	void (*stalled)(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
			void *arg);
	/* What was brought into the page cache, after the stacks, if that is counted. 0 or -errno.
	 * Optional (NULL). */
	int (*cached)(const struct counts_cached *cached, void *arg);
	/* The kernel's own memory, after the stacks, if that is counted. A stack may come more than
	 * once: its figures add up. 0 or -errno. Optional (NULL). */
	int (*kernel)(const struct counts_kernel *kernel, void *arg);
};

/* Why some instructions of a code object have no line. X(ID, what a person is told) */
#define COUNTS_GAPS(X)                                                                          \
	X(UNREAD, "their line tables could not be read before they were gone")                  \
	X(TOO_LONG, "their line tables are more than is kept (64 MiB each, 256 MiB a process, " \
		    "512 MiB in all)")                                                          \
	X(OUTSIDE, "their line tables do not have the instructions")                            \
	X(MIXED, "others took their place that could not be told from them")

enum counts_gap {
#define COUNTS_GAP_ENUM(id, text) COUNTS_GAP_##id,
	COUNTS_GAPS(COUNTS_GAP_ENUM)
#undef COUNTS_GAP_ENUM
		COUNTS_GAP_COUNT,
};

struct counts_skip { /* a process that is not profiled */
	pid_t pid;
	char comm[64];
	char reason[192];
	struct counts_skip *next;
};

#define COUNTS_UNWATCHED_NAMED 16

struct counts_unwatched { /* a profiled process that has started Pythons that are not profiled */
	pid_t parent;
	pid_t pids[COUNTS_UNWATCHED_NAMED]; /* the first `named` of `count` */
	size_t named, count;
	bool more; /* it has more children than were looked at */
	bool late; /* as `more`, because time ran out */
	struct counts_unwatched *next;
};

#define COUNTS_COMMS_MAX 4

/* What could not be seen, kept or measured. It becomes the notes of a report. */
struct counts_facts {
	double end; /* when the figures were read, in seconds since the epoch */
	uint64_t dropped_images, dropped_messages;
	bool functions; /* the exact engine counts functions, if there is one */
	/* Probe events that no line, or function, could be charged with. */
	uint64_t line_misses[PYMEM_LINE_MISS_COUNT];
	unsigned unexamined; /* programs that ended before they could be examined */
	/* Their names, each once, COUNTS_COMMS_MAX of them; "": no more. */
	const char (*unexamined_comms)[16];
	unsigned unseen;	   /* the same, of programs that no traced process started */
	int copies_error;	   /* why copies on write can't be watched, -errno; 0: they can */
	bool no_faults, no_copies; /* page faults, copies on write are not counted */
	bool stalls;		   /* stalls are counted */
	bool cache;		   /* what is brought into the page cache is counted */
	unsigned extras;	   /* that are counted, enum pymem_extra_kind */
	uint64_t huge_page_bytes;  /* huge pages of that size are counted; 0: they are not */
	bool kernel;		   /* the kernel's own memory is counted */
	uint64_t malformed;	   /* messages with impossible contents */
	uint64_t refused;	   /* stacks and code objects refused for want of room */
	size_t image_bytes;	   /* the room for those of one image */
	size_t all_bytes;	   /* the room for those of all images */
	uint64_t no_memory;	   /* messages lost in part or as a whole because memory ran out */
	const uint64_t *gaps; /* by enum counts_gap: code objects that have such instructions */
	uint64_t more_skips;  /* those that are not in the list */
	unsigned skips_most;  /* how many the list can hold */
	const struct counts_skip *skips;
	const struct counts_unwatched *unwatched;
	/* What control groups use, at first and at the end (groups->ended). NULL: nobody asks. */
	const struct cgroup_book *groups;
};

enum counts_note {
	COUNTS_NOTE_KERNEL, /* what this kernel lacks or does in another way */
	COUNTS_NOTE_EVENTS, /* events that were not counted because a table was full */
	COUNTS_NOTE_PROBES, /* files whose line probes were refused */
};

/* What is resident now in one image, by what touched it first, in pages. */
struct counts_resident {
	uint32_t image;
	int error;		/* -errno: its pages could not be read, and nothing is known */
	uint64_t pages;		/* resident */
	uint64_t line_pages;	/* touched first by a known stack while it was watched */
	uint64_t before_pages;	/* resident before it was watched, and touched by nobody since */
	int64_t unplaced_pages; /* became resident while it was watched, at an unknown address */
	uint64_t refused_pages; /* touched when there was no room in the table */
	bool cut; /* what was touched before it was forked is not known: too many forks */
	/* Pages that stacks touched first and that are not resident any more are passed on, too. */
	bool away;
};

/* Pages of an image that a stack touched first. */
struct counts_touched {
	uint64_t resident_pages;
	uint64_t swapped_pages; /* in swap now */
	/* Of files and shared memory that are still mapped: not there any more. At most, since a
	 * fault may have mapped fewer pages than it is noted for. */
	uint64_t absent_pages;
};

/* Functions of a report for counts_ops.each_touched: for each image, then for each stack that
 * touched pages of it, which may come twice: then its figures add up. 0 or -errno, which ends the
 * reading. */
struct counts_touched_reader {
	int (*image)(const struct counts_resident *resident, void *arg);
	int (*stack)(uint32_t image, const struct counts_stack *stack,
		     const struct counts_touched *touched, void *arg);
	/* Optional (NULL). Asked before each image and now and then within one: true ends the
	 * reading, with -ETIME. The image that was being read has that error. The next reading with
	 * such a function begins with those that were not reached. */
	bool (*late)(void *arg);
	/* What is not resident any more is wanted, too, if swap or what others take is counted. */
	bool away;
};

/* Called for some places of 16 KiB at which a pool of Python's allocator begins. `stack` put
 * something there first, and the page is still first touched by it. `gone`: what it put there is
 * not there any more. Returns 0 or -errno, which ends the reading. */
typedef int counts_first_fn(const struct counts_stack *stack, bool gone, void *arg);

/* What a source implements. `self` is the source. Functions that return an int return 0 or
 * -errno. */
struct counts_ops {
	/* Passes on all figures that exist now. Frees only what the reader answers with
	 * COUNTS_TAKEN. */
	int (*read)(void *self, const struct counts_reader *reader, void *arg);
	/* Passes on, once, the figures of images that ended some time ago, or with `all` at any
	 * time. There are no threads among them. Then frees everything that is kept for these
	 * images. */
	int (*take_ended)(void *self, bool all, const struct counts_reader *reader, void *arg);
	/* True if the process that was passed on as a running image still runs. */
	bool (*is_running)(void *self, pid_t pid, uint64_t start_boottime_ns);
	/* Fills `facts`. Its pointers are valid until the next call of any function here. */
	void (*facts)(void *self, struct counts_facts *facts);
	void (*each_note)(void *self, enum counts_note which,
			  void (*fn)(const char *text, void *arg), void *arg);
	/* Passes on, for images that run, which stacks touched first what is resident now. Optional
	 * (NULL). Passes on nothing if touches are not noted. */
	int (*each_touched)(void *self, const struct counts_touched_reader *reader, void *arg);
	/* Looks whether what stacks of the image put first into some of the pages that they touched
	 * is still there. Takes some milliseconds. Optional (NULL). */
	int (*each_first)(void *self, uint32_t image, counts_first_fn *fn, void *arg);
};

/* The RSS in pages. `pages` has one counter for each enum pymem_member. */
static inline int64_t counts_rss_pages(const __s64 *pages)
{
	return pages[PYMEM_FILE] + pages[PYMEM_ANON] + pages[PYMEM_SHMEM];
}

struct counts {
	const struct counts_ops *ops;
	void *self;
};

#endif
