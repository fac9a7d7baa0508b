/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a look at a process's heap found, as it is reported: pure data, owned by the look. Byte
 * figures are of resident memory. Text that comes from the target is raw: renderers escape it.
 *
 * A look is made of one census of the heap, or of two. With two, figures are those of the second,
 * and what has "grown" in its name is the second less the first.
 */
#ifndef HEAP_LOOK_H
#define HEAP_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Each resident page's bytes are in exactly one of these; their sum is RSS. The order is that of
 * the JSON. */
#define HEAP_BALANCE(X)                       \
	X(objects, "objects")                 \
	X(buffers, "their buffers")           \
	X(pool_free, "free in pools")         \
	X(arena_free, "free in arenas")       \
	X(malloc_used, "used by C code")      \
	X(malloc_free, "free in malloc")      \
	X(mapped_buffers, "mapped buffers")   \
	X(anonymous_other, "other anonymous") \
	X(stacks, "stacks")                   \
	X(files, "files")                     \
	X(shared, "shared")                   \
	X(unexplained, "unexplained")

struct heap_balance {
#define BALANCE_FIELD(name, text) uint64_t name;
	HEAP_BALANCE(BALANCE_FIELD)
#undef BALANCE_FIELD
};

struct heap_type_row {
	char *type;
	uint64_t objects, bytes; /* bytes: with buffers, unless heap_look.types_only */
	int64_t objects_grown, bytes_grown;
};

struct heap_holder_row {
	char *path, *type;
	char *shared_by; /* those that share it, if no single holder dominates; else NULL */
	uint64_t entries, retained_bytes;
	bool has_entries;
	int64_t entries_grown, grown_bytes;
	bool is_new;	   /* was not there at the first census */
	bool is_local;	   /* of a running function: it may go when that returns */
	bool is_temporary; /* local, and not in a variable: it may go in the midst of a line */
	bool is_unreached; /* nothing that leads there was found */
};

/* Of a watch: a line that puts something into the holder. Of a burst: one in which objects were
 * made that the holder keeps, of those that were executing the innermost one whose function names
 * the holder; else the innermost one. */
struct heap_birth_row {
	char *holder, *file, *function, *type;
	int line;
	char **stack; /* "file:line function", that line and its callers; ended by NULL; may be NULL
		       */
	char *made;   /* the innermost line, if it is another one, in that form; NULL */
	const char *method;  /* "watch" or "burst" */
	uint64_t insertions; /* of a burst: objects that were seen */
	uint64_t entries;    /* of these: entries of the holder; the others are kept by entries */
	double share;	     /* of the insertions seen for that holder */
};

struct heap_now {
	char *what;
	uint64_t bytes;
};

struct heap_touched_row {
	char *file, *function;
	int line;
	uint64_t resident_bytes;
	struct heap_now *now;
	size_t now_count;
};

/* What keeps pools from becoming free: live blocks in pools that are less than half full. */
struct heap_pin_row {
	char *type;	       /* a type's name, or "buffers" */
	uint64_t bytes, pools; /* of these blocks; pools that hold one at least */
};

struct heap_generation {
	uint64_t count, threshold, collections, collected, uncollectable;
};

struct heap_look {
	pid_t pid, ns_pid;     /* that in its own PID namespace; 0: the same, or not known */
	char *comm, **cmdline; /* ended by NULL; may be NULL */
	char python[32];
	char allocator[64];  /* "pymalloc+glibc" */
	char *opaque;	     /* the allocator whose memory can't be read; NULL: none */
	double paused_ms[2]; /* < 0: not paused */
	double seconds;	     /* between the two censuses; 0: there is one */
	uint64_t rss_bytes, rss_first_bytes;
	uint64_t swapped_bytes;
	struct heap_balance balance, balance_first;
	uint64_t trimmable_bytes; /* what malloc_trim(0) would give back */
	/* Pools that hold a live block, and of these how many are up to 10 % full, 20 %, … */
	uint64_t pools, pools_by_fullness[10];
	struct heap_pin_row *pins;
	size_t pin_count;
	struct heap_type_row *types;
	size_t type_count;
	/* No holders were looked for. Then no buffer has an owner, and none is in a type's
	 * bytes. */
	bool types_only;
	bool has_holders; /* holders were looked for */
	struct heap_holder_row *holders;
	size_t holder_count;
	struct heap_birth_row *births;
	size_t birth_count;
	/* The rows' resident bytes, touched_before_bytes and touched_unknown_bytes add up to
	 * rss_bytes. */
	bool touched_known; /* it was noted which lines touched pages between the two censuses */
	struct heap_touched_row *touched; /* largest first; a row's parts add up to it */
	size_t touched_count;
	uint64_t touched_before_bytes;	/* resident before the first census */
	uint64_t touched_unknown_bytes; /* by no line that is known */
	/* Cycles that nobody reaches. */
	uint64_t garbage_bytes, garbage_objects;
	int64_t garbage_grown;
	bool gc_known, gc_enabled;
	struct heap_generation generations[3];
	unsigned generation_count;
	uint64_t gc_frozen, gc_uncollectable;
	char **skipped, **notes; /* sentences, ended by NULL; may be NULL */
};

/* A new, empty look, which heap_look_free() frees. NULL: out of memory. */
struct heap_look *heap_look_new(void);
/* Free `rows`, or the look, and all that these own. NULL is allowed. */
void heap_birth_rows_free(struct heap_birth_row *rows, size_t count);
void heap_look_free(struct heap_look *look);
/* Is it a line that put something into the holder? Else it is one in which objects were made. */
bool heap_birth_is_insertion(const struct heap_birth_row *row);

/* The sum of the balance's parts, in bytes: RSS. */
uint64_t heap_balance_sum(const struct heap_balance *balance);
/* Bytes that a program allocated and has not freed: objects, their buffers, what C holds. */
uint64_t heap_balance_live(const struct heap_balance *balance);

/* With two censuses: true if what the holder has more of is no growth. So it is if the holder is
 * new and belongs to a running function, which may let it go when it returns, or nothing that leads
 * to it was found; if no variable has it, so that the next one like it may take the same place; or
 * if it is part of a holder that was there before and did not grow, such as an entry that took
 * another one's place in a cache or was being filled. */
bool heap_look_is_passing(const struct heap_look *look, const struct heap_holder_row *holder);

/* The least growth of one holder that is told from noise, in bytes: a census of a process that runs
 * on is not of one moment. */
int64_t heap_look_noise(const struct heap_look *look);
/* With two censuses: true if the holder grew by more than noise, and not by what is passing. */
bool heap_look_holder_grows(const struct heap_look *look, const struct heap_holder_row *holder);

/* The bytes by which heap_balance_live() grew between two censuses; 0 if there is one. */
int64_t heap_look_live_grown(const struct heap_look *look);
/* The part of that growth which running functions work on, in bytes: what passes, without what is
 * part of another such holder. At most heap_look_live_grown(). */
int64_t heap_look_passing_grown(const struct heap_look *look);

/* Sorts the look's holders: largest first; with two censuses, those that grew most first, and what
 * is passing after what is not. 0, or -ENOMEM: the order is unchanged. */
int heap_look_sort_holders(struct heap_look *look);

/* Adds a sentence to a list such as look->notes. 0 or -ENOMEM. */
int heap_look_say(char ***sentences, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A census lists so many holders at most, and only those that retain at least a part of all that is
 * retained, and so many bytes. */
#define HEAP_LOOK_HOLDERS     200
#define HEAP_LOOK_LEAST_PART  4096
#define HEAP_LOOK_LEAST_BYTES 4096

/* What one run of the command reports: looks at one process or more. */
struct heap_skip {
	pid_t pid;
	char *comm, *reason;
};

struct heap_report {
	const char *host, *kernel, *version; /* borrowed */
	double start, end;		     /* seconds since the epoch */
	struct heap_look **looks;	     /* owned, as the skips */
	size_t look_count, look_room;
	struct heap_skip *skips;
	size_t skip_count, skip_room;
};

/* Sorts the looks: the process that grew most comes first; those with one census by PID. */
void heap_report_sort(struct heap_report *report);

/* Adds a look, which the report owns from then on. 0, or -ENOMEM: the caller still owns it. */
int heap_report_add(struct heap_report *report, struct heap_look *look);
/* Adds a process that was asked for and could not be looked at. Strings are copied. 0 or
 * -ENOMEM. */
int heap_report_skip(struct heap_report *report, pid_t pid, const char *comm, const char *reason);
/* Frees what the report owns. */
void heap_report_fini(struct heap_report *report);

#endif
