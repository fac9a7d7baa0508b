/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The memory of a stopped process. A page is copied when it is first asked for, and can then be
 * changed without changing the process. */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define IMAGE_ALWAYS 0

/* One word with another value. */
struct image_patch {
	uint64_t addr, value;
	long only_read; /* the number of the only read that sees it, from 1; or IMAGE_ALWAYS */
};

struct image_faults {
	long fail_read; /* the number of the read that fails, from 1; 0: none */
	long fail_step; /* the same, of other helpers */
	struct image_patch patches[2];
	unsigned patch_count;
};

extern struct image_faults image_faults;
/* So far; set to 0 before an event. Messages: those that were tried to be sent. */
extern long image_reads, image_bytes, image_steps, image_messages;

void image_open(pid_t pid);
void image_close(void);

/* Reads the memory with the patches that apply to all reads. */
bool image_peek(void *to, uint64_t size, uint64_t from);

/* Adds memory at an address where the process has none. */
void image_add(uint64_t addr, const void *bytes, uint64_t size);
unsigned image_pages(void);

/* While it is set, the address and size of each read are noted in it, up to `room` of them. */
struct image_note {
	uint64_t addr;
	uint32_t size;
};
extern struct image_note *image_notes;
extern long image_notes_room;

#endif
