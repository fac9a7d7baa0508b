/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the snapshot share. */
#ifndef SNAPSHOT_PRIVATE_H
#define SNAPSHOT_PRIVATE_H

#include "base/hash.h"
#include "heap/snapshot_file.h"

struct live_page {
	uint64_t addr;
	UT_hash_handle hh;
	unsigned char data[];
};

struct snapshot {
	struct snapshot_memory memory; /* first: snapshot_at() */
	const unsigned char *file;     /* all of it, mapped */
	size_t file_bytes;
	int memory_fd;		       /* the file, if it is memory of ours; -1 */
	struct snapshot_header header; /* a copy: the file may change, this may not */
	struct region *regions;
	struct snapshot_file_mapping *mappings;
	struct snapshot_run *runs;
	struct snapshot_thread *threads;
	char *names;
	uint64_t rss_bytes, swapped_bytes;
	struct live_page *live;
	size_t live_count;
	struct snapshot_child *child; /* NULL: none, or given up */
};

/* Remembers a page that was read later: its bytes are copied. 0 or -ENOMEM. */
int snapshot_add_live(struct snapshot *snapshot, uint64_t addr, const void *page);
/* --- the child (snapshot_child.c) and who asks it (snapshot_take.c) --- */

struct snapshot_request {
	int32_t pid;
	bool pause;
	uint64_t copy_limit_bytes;
};

/* Copies `request->pid` into `memory_fd`, answers with an int32_t on `socket`, then answers each
 * address of a page (uint64_t) with an int32_t and that page, until the socket is closed. */
void snapshot_child_serve(const struct snapshot_request *request, int memory_fd, int socket);

/* Asks the child for one page. 0 or -errno. */
int snapshot_child_read(struct snapshot_child *child, uint64_t addr, void *page, size_t bytes);
void snapshot_child_end(struct snapshot_child *child);

#endif
