/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a recording keeps what changed in an interval: rows of figures, packed. docs/RECORDING.md
 * describes the format.
 *
 * A row is an identifier, flags, and one figure for each field of its kind. Sums are kept as what
 * was added in the interval, maxima as they were at its end; figures that did not change are left
 * out. So a row mostly takes 8 to 20 bytes, and rows of several intervals can be put together
 * without knowing what they mean. */
#ifndef AMOUNTS_H
#define AMOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pymem.h"
#include "pymem_line.h"

/* The numbers are in the file: append only, below AMOUNTS_FIELDS. */
enum amounts_kind {
	AMOUNTS_STACKS, /* the identifier is a node of the tree of calls; 0: frames not known */
	AMOUNTS_RUNS,	/* of the exact engine; a frame; 0: its code object is not known */
	AMOUNTS_RECORD, /* of the image itself; always 0 */
	AMOUNTS_CACHED, /* brought into the page cache; a node, or 0: in no line */
	AMOUNTS_KERNEL, /* the kernel's own memory; a node, or 0: in no line */
	AMOUNTS_KINDS
};

#define AMOUNTS_FIELDS 48

/* Kinds of stalls that have their fields together. Those that were added later are at the end, and
 * each has both there, one behind the other. */
#define STALLS_AT_FIRST (PYMEM_STALL_COMPACTION + 1)
#define STALLS_LATER	(PYMEM_STALL_COUNT - STALLS_AT_FIRST)

/* The fields of AMOUNTS_STACKS: what most stacks have comes first. */
enum {
	STACK_ANON,
	STACK_GROWN,
	STACK_FREED,
	STACK_MINOR,
	STACK_PEAK, /* a maximum */
	STACK_FILE,
	STACK_COW,
	STACK_MAJOR,
	STACK_SHMEM,
	STACK_SWAP,
	STACK_CALLS, /* by enum pymem_vmcall */
	STACK_BYTES = STACK_CALLS + PYMEM_VMCALL_COUNT,
	STACK_STALLS = STACK_BYTES + PYMEM_VMCALL_COUNT, /* by enum pymem_stall */
	STACK_STALL_NS = STACK_STALLS + STALLS_AT_FIRST,
	STACK_RECLAIMED = STACK_STALL_NS + STALLS_AT_FIRST,
	STACK_EXTRAS, /* by enum pymem_extra, with room for kinds to come */
	STACK_LATER = AMOUNTS_FIELDS - 2 * STALLS_LATER,
	STACK_FIELDS = AMOUNTS_FIELDS
};
_Static_assert((int)STACK_EXTRAS + (int)PYMEM_EXTRA_COUNT <= (int)STACK_LATER,
	       "more fields than a row has");
_Static_assert((int)STACK_LATER == 44, "the numbers are in files: kinds to come go below it");
/* Flags of their rows. */
#define STACK_TRUNCATED	 1
#define STACK_CUT	 2
#define STACK_LACK_SHIFT 2    /* enum pymem_lack; 5 bits */
#define STACK_EMPTY	 0x80 /* it is there, and nothing came of it; the row has no figures */

enum {
	RUN_RUNS,
	RUN_PAGES,
	RUN_ONCE,
	RUN_ROW,
	RUN_GC,
	RUN_COLLECTIONS,
	RUN_USAGE, /* a maximum */
	RUN_PEAK,  /* a maximum */
	RUN_FIELDS
};

enum { CACHED_ADDED, CACHED_GONE, CACHED_UNKNOWN, CACHED_OWN, CACHED_OTHER, CACHED_FIELDS };
/* Flags of their rows: without a node, why (enum pymem_loss, plus 1); the number of the file's
 * path, 0: one of those that found the table full. */
#define CACHED_LOSS	  0x1f
#define CACHED_DELETED	  0x20
#define CACHED_TEXT_SHIFT 6

/* By enum pymem_kernel_kind, with room for kinds to come. Flags of their rows: without a node, why
 * (enum pymem_loss, plus 1). */
enum {
	KERNEL_BYTES,
	KERNEL_GONE = KERNEL_BYTES + PYMEM_KERNEL_ROOM,
	KERNEL_OBJECTS = KERNEL_GONE + PYMEM_KERNEL_ROOM,
	KERNEL_UNKNOWN = KERNEL_OBJECTS + PYMEM_KERNEL_ROOM,
	KERNEL_FIELDS
};
#define KERNEL_LOSS CACHED_LOSS
_Static_assert((int)KERNEL_FIELDS <= AMOUNTS_FIELDS, "more fields than a row has");

enum {
	RECORD_LOST, /* by enum pymem_loss, with room for causes to come */
	RECORD_TRUNCATED = RECORD_LOST + 16,
	RECORD_LOST_FAULTS,
	RECORD_UNWATCHED,
	RECORD_HELD, /* by enum pymem_table */
	RECORD_REFUSED = RECORD_HELD + PYMEM_TABLE_COUNT,
	RECORD_DENIED = RECORD_REFUSED + PYMEM_TABLE_COUNT,
	RECORD_LATE = RECORD_DENIED + PYMEM_TABLE_COUNT, /* pages lost after its end */
	RECORD_THREADS,					 /* pymem_proc.threads */
	RECORD_LOST_STALLS,
	RECORD_LOST_STALL_NS,
	RECORD_CACHED_UNKEPT, /* pymem_proc.cached_unkept */
	RECORD_EXTRAS,	      /* pymem_proc.lost_extras */
	RECORD_FIELDS = RECORD_EXTRAS + PYMEM_EXTRA_COUNT
};
_Static_assert((int)RECORD_FIELDS <= AMOUNTS_FIELDS, "more fields than a row has");

struct amounts {
	int64_t at[AMOUNTS_FIELDS];
};

/* The two ways between figures of the BPF side and fields. `vmcalls` may be NULL. */
void amounts_of_stack(struct amounts *amounts, const struct pymem_counters *counters,
		      const struct pymem_vmcalls *vmcalls);
void amounts_to_stack(const struct amounts *amounts, struct pymem_counters *counters,
		      struct pymem_vmcalls *vmcalls);
void amounts_of_kernel(struct amounts *amounts, const struct pymem_kernel *sums);
void amounts_to_kernel(const struct amounts *amounts, struct pymem_kernel *sums);
void amounts_of_run(struct amounts *amounts, const struct pymem_line *run);
void amounts_to_run(const struct amounts *amounts, struct pymem_line *run);
/* Without the fields of RECORD_LATE. */
void amounts_of_record(struct amounts *amounts, const struct pymem_proc *record);
void amounts_to_record(const struct amounts *amounts, struct pymem_proc *record);

/* Adds `more`: sums are added up, of maxima the larger one stays. */
void amounts_add(enum amounts_kind kind, struct amounts *amounts, const struct amounts *more);
/* What is to be kept of an interval that began with `before` and ended with `now`. */
void amounts_change(enum amounts_kind kind, struct amounts *change, const struct amounts *before,
		    const struct amounts *now);
/* Leaves all but the maxima. */
void amounts_drop_maxima(enum amounts_kind kind, struct amounts *amounts);
bool amounts_none(const struct amounts *amounts);
/* True if a figure of a stack that can only rise is less in `now` than in `before`. */
bool amounts_fall(const struct amounts *before, const struct amounts *now);
/* Sets such figures that are below zero to zero. */
void amounts_raise(struct amounts *amounts);

/* --- packed rows --- */

struct amounts_buffer { /* all zeros at first; the owner frees `bytes` */
	unsigned char *bytes;
	size_t size, room;
	bool failed; /* memory ran out: the contents are of no use */
};

/* Appends a row. */
void amounts_put(struct amounts_buffer *buffer, uint64_t id, uint64_t flags,
		 const struct amounts *amounts);
/* Appends a number; bytes as they are; bytes with their length. */
void amounts_put_number(struct amounts_buffer *buffer, uint64_t number);
void amounts_put_all(struct amounts_buffer *buffer, const void *bytes, size_t size);
void amounts_put_bytes(struct amounts_buffer *buffer, const void *bytes, size_t size);

/* Appends the rows of an image and a kind: a part of what is kept of an interval. Parts of several
 * images and intervals may follow one another. */
void amounts_put_part(struct amounts_buffer *buffer, uint32_t image, enum amounts_kind kind,
		      const struct amounts_buffer *rows);

struct amounts_reader { /* what is left to read; it may be hostile */
	const unsigned char *at, *end;
	bool failed; /* it was not what amounts_put() writes */
};

/* The next row. False: there is no more, or `failed`. */
bool amounts_next(struct amounts_reader *reader, uint64_t *id, uint64_t *flags,
		  struct amounts *amounts);
/* The next part. Its rows stay in the reader's memory; `kind` may be one that is not known. False:
 * there is no more, or `failed`. */
struct amounts_part {
	uint64_t image, kind;
	struct amounts_reader rows;
};
bool amounts_next_part(struct amounts_reader *reader, struct amounts_part *part);
/* The next number; 0 if it failed. The next bytes, which stay in the reader's memory; NULL if it
 * failed. */
uint64_t amounts_next_number(struct amounts_reader *reader);
const void *amounts_next_bytes(struct amounts_reader *reader, size_t *size);

#endif
