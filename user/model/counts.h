/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the figures of a report come from. A live session has them (track/tracker_counts.c), a
 * recording has them, a test's table has them. report/ joins what it is handed, and does not know
 * which of these it is.
 *
 * This header lies in the lowest layer that knows what a process, a line and a loss is: what
 * implements it lies below report/ (track/) as well as above it (record/).
 *
 * Invariant, for each image: pages of all its stacks and threads + pages lost by its record =
 * change of its RSS. A source that is read while the image runs may miss that by what changes
 * meanwhile.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/source.h"
#include "pymem.h"
#include "pymem_line.h"

/* An image that belongs in the report. What it points to is valid during the call. */
struct counts_image {
	uint32_t id;
	pid_t pid, ppid;
	const char *comm;
	char *const *argv;  /* ends with NULL; NULL: not known */
	const char *cgroup; /* NULL: not known */
	const char *python; /* "3.11.2"; "": not known */
	const char *reason; /* why its stacks are not walked; "" */
	const struct source_root *root;
	const struct pymem_proc *record; /* its RSS, losses and quotas */
	bool ended;
	bool held;	 /* it could not run Python until it was identified */
	bool lines;	 /* the exact engine is attached */
	bool lines_late; /* likewise, but some time after the image began */
	int lines_error; /* the exact engine is wanted, and why it is not attached: -ENOTSUP no line
			  * probe, -ESRCH the image ended before, -ECANCELED the profile did,
			  * -EINPROGRESS not yet; 0 */
};

/* An instruction of a code object, and its place in the source. */
struct counts_frame {
	uint64_t code, fingerprint; /* which code object of the image */
	int32_t lasti;		    /* byte offset of the instruction */
	int line;		    /* > 0 */
	int first_line;		    /* of the function */
	bool prologue;		    /* it runs before the first line of the function does */
	const char *file, *function;
};

/* What was counted for one stack of one image. Valid during the call. */
struct counts_stack {
	struct pymem_stack_key key;
	const struct counts_frame *frames; /* innermost first */
	unsigned depth;			   /* 0: not known which frames these are */
	bool truncated;			   /* its outermost frames are missing */
	bool cut; /* likewise: a code object is missing, of a caller or, without depth, of
		   * the innermost frame */
	enum pymem_lack lack; /* why, if so */
	const struct pymem_counters *counters;
	const struct pymem_vmcalls *vmcalls; /* NULL: none */
};

/* What the exact engine counted of one line of one image. Valid during the call. */
struct counts_line {
	uint32_t image;
	const struct counts_frame *at; /* NULL: not known which code object this is */
	const struct pymem_line *counted;
};

enum counts_verdict {
	COUNTS_LEFT,  /* the source keeps what it handed over */
	COUNTS_TAKEN, /* the source frees it */
};

/* What a source hands its figures to, in this order. An image may come twice: the first time
 * counts. Figures may be of an image that has not come: of one that was taken over before, or that
 * is not for the report. Each returns -errno to end the reading. */
struct counts_reader {
	int (*image)(const struct counts_image *image, void *arg);
	/* An enum counts_verdict or -errno. */
	int (*stack)(const struct counts_stack *stack, void *arg);
	/* What a thread has collected for a stack and not yet added to it. */
	int (*thread)(const struct counts_stack *stack, void *arg);
	int (*line)(const struct counts_line *line, void *arg);
};

/* Why instructions of a code object have no line of their own. X(ID, what to tell a person) */
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

struct counts_unwatched { /* Pythons that a profiled process started and that are not profiled */
	pid_t parent;
	pid_t pids[COUNTS_UNWATCHED_NAMED]; /* `named` of the `count` */
	size_t named, count;
	bool more; /* children than were looked at */
	bool late; /* because it took too long */
	struct counts_unwatched *next;
};

#define COUNTS_COMMS_MAX 4

/* What was not seen, not kept or could not be had: the notes of a report. */
struct counts_facts {
	double end; /* when the figures were read; seconds since the epoch */
	uint64_t dropped_images, dropped_messages;
	uint64_t line_misses[PYMEM_LINE_MISS_COUNT]; /* events of probes that are in no line */
	unsigned unexamined;		    /* programs that ended before they could be examined */
	const char (*unexamined_comms)[16]; /* of COUNTS_COMMS_MAX of these, each once; "": no
					     * more */
	unsigned unseen;		    /* likewise, of those that no traced process started */
	int copies_error;		    /* -errno: copies on write can't be watched */
	uint64_t malformed;		    /* messages that were not as they should be */
	uint64_t refused;     /* stacks and code objects for which there was no room */
	size_t image_bytes;   /* for those of one image */
	size_t all_bytes;     /* for those of all */
	uint64_t no_memory;   /* messages taken not at all or in part: memory ran out */
	const uint64_t *gaps; /* code objects with such instructions, by enum counts_gap */
	uint64_t more_skips;  /* that are not in the list */
	unsigned skips_most;  /* in the list */
	const struct counts_skip *skips;
	const struct counts_unwatched *unwatched;
};

enum counts_note {
	COUNTS_NOTE_KERNEL, /* what this kernel lacks or does differently */
	COUNTS_NOTE_EVENTS, /* what was not counted, a table being full */
	COUNTS_NOTE_PROBES, /* files whose line probes were refused */
};

/* Each gets the source's `self`. Calls return 0 or -errno. */
struct counts_ops {
	/* Hands over all that is there now. Nothing is freed but what the reader has taken. */
	int (*read)(void *self, const struct counts_reader *reader, void *arg);
	/* Hands over what images did that have ended, some time ago or (`all`) at any time, each
	 * once; no threads. Then frees all that is kept of these images. */
	int (*take_ended)(void *self, bool all, const struct counts_reader *reader, void *arg);
	/* Does the process still run that was handed over as an image, and not as an ended one? */
	bool (*is_running)(void *self, pid_t pid, uint64_t start_boottime_ns);
	/* Valid until the source is used again. */
	void (*facts)(void *self, struct counts_facts *facts);
	void (*each_note)(void *self, enum counts_note which,
			  void (*fn)(const char *text, void *arg), void *arg);
};

/* The RSS, in pages, of counters by enum pymem_member. */
static inline int64_t counts_rss_pages(const __s64 *pages)
{
	return pages[PYMEM_FILE] + pages[PYMEM_ANON] + pages[PYMEM_SHMEM];
}

struct counts {
	const struct counts_ops *ops;
	void *self;
};

#endif
