/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file that a snapshot is: written by the child that copies, or by snapshot_save(); read by
 * snapshot_load(), which believes none of it.
 *
 *   offset 0            struct snapshot_header
 *   SNAPSHOT_DATA       copied pages, in order of address; then `live` pages read later
 *   meta_offset         regions, mappings, runs, threads, live addresses, names: arrays of the
 *                       records below, as many as the header says, one behind the other
 *
 * Numbers are the machine's own: a file is read where it was written, or on a machine alike.
 */
#ifndef SNAPSHOT_FILE_H
#define SNAPSHOT_FILE_H

#include <stdint.h>

#include "heap/snapshot.h"

#define SNAPSHOT_MAGIC "pyheap01"
/* The same for a field of eight, which has no room for the zero at the end of a string. */
#define SNAPSHOT_MAGIC_FIELD                           \
	{                                              \
		'p', 'y', 'h', 'e', 'a', 'p', '0', '1' \
	}
#define SNAPSHOT_DATA 65536 /* a multiple of every page size */

/* Limits of what is loaded, and so of what is taken. Names: bytes of them all. */
#define SNAPSHOT_REGIONS_MAX (1u << 20)
#define SNAPSHOT_PAGES_MAX   (1u << 27) /* 512 GiB: the numbers of pages have 27 bits */
#define SNAPSHOT_NAMES_MAX   (64u << 20)

struct snapshot_header {
	char magic[8];
	uint32_t page_shift;
	uint32_t later; /* 1: nothing is copied yet, there is only room for it */
	int64_t pid;
	double paused_ms;
	uint64_t regions, mappings, runs, threads, live; /* how many records there are */
	uint64_t names_bytes;				 /* the last one is a NUL */
	uint64_t data_pages, meta_offset;
	uint64_t progress; /* moves while the child works */
};

struct snapshot_file_region {
	uint64_t start, end;
	uint32_t kind;	 /* enum region_kind */
	uint32_t rights; /* 4 readable, 2 writable, 1 executable */
	uint64_t name;	 /* offset in the names */
};

/* A run is a struct snapshot_run. */
struct snapshot_file_mapping {
	uint64_t start, end;
};

struct snapshot_file_thread {
	int64_t tid;
	uint64_t stack_pointer;
};

/* With `later`: how many pages of the file come before those that are fetched, for the windows and
 * heads. */
static inline uint64_t snapshot_later_pages(unsigned page_shift)
{
	return (SNAPSHOT_WINDOWS * (uint64_t)SNAPSHOT_WINDOW_BYTES +
		SNAPSHOT_HEADS * SNAPSHOT_HEAD_BYTES) >>
	       page_shift;
}

#endif
