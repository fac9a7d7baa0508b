/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "walker.h"

#define PAGE	 4096ull
#define BUCKETS	 16384 /* a power of two */
#define USER_END 0x800000000000ull

struct page {
	struct page *next;
	uint64_t addr;
	bool readable;
	unsigned char bytes[PAGE];
};

struct image_faults image_faults;
long image_reads, image_bytes, image_steps, image_messages;
struct image_note *image_notes;
long image_notes_room;

static struct page *buckets[BUCKETS];
static unsigned page_count;
static pid_t process;

void image_open(pid_t pid)
{
	process = pid;
}

static struct page **bucket_of(uint64_t addr)
{
	return &buckets[(addr / PAGE * 0x9e3779b97f4a7c15ull >> 40) & (BUCKETS - 1)];
}

static struct page *page_new(uint64_t addr)
{
	struct page *page = calloc(1, sizeof(*page));

	if (!page)
		walker_broken("out of memory");
	page->addr = addr;
	page->next = *bucket_of(addr);
	*bucket_of(addr) = page;
	page_count++;
	return page;
}

static struct page *page_of(uint64_t addr)
{
	struct page *page;

	for (page = *bucket_of(addr); page; page = page->next)
		if (page->addr == addr)
			return page;
	page = page_new(addr);
	page->readable = proc_read_memory(process, addr, page->bytes, PAGE) == (ssize_t)PAGE;
	return page;
}

void image_close(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (buckets[i]) {
			struct page *page = buckets[i];

			buckets[i] = page->next;
			free(page);
		}
	}
}

unsigned image_pages(void)
{
	return page_count;
}

void image_add(uint64_t addr, const void *bytes, uint64_t size)
{
	const unsigned char *from = bytes;

	while (size) {
		uint64_t at = addr % PAGE, part = PAGE - at < size ? PAGE - at : size;
		struct page *page = page_of(addr - at);

		page->readable = true;
		memcpy(page->bytes + at, from, part);
		from += part;
		addr += part;
		size -= part;
	}
}

static void apply(unsigned char *to, uint64_t size, uint64_t from, const struct image_patch *patch)
{
	unsigned char bytes[8];

	memcpy(bytes, &patch->value, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		if (patch->addr + i - from < size)
			to[patch->addr + i - from] = bytes[i];
}

static bool copy(void *to, uint64_t size, uint64_t from, long number)
{
	unsigned char *out = to;
	uint64_t done = 0;

	if (from >= USER_END || size > USER_END - from)
		return false;
	while (done < size) {
		uint64_t at = (from + done) % PAGE;
		uint64_t part = PAGE - at < size - done ? PAGE - at : size - done;
		struct page *page = page_of(from + done - at);

		if (!page->readable)
			return false;
		memcpy(out + done, page->bytes + at, part);
		done += part;
	}
	for (unsigned i = 0; i < image_faults.patch_count; i++) {
		const struct image_patch *patch = &image_faults.patches[i];

		if (patch->only_read == IMAGE_ALWAYS || patch->only_read == number)
			apply(to, size, from, patch);
	}
	return true;
}

bool image_peek(void *to, uint64_t size, uint64_t from)
{
	return copy(to, size, from, -1);
}

int image_read(void *to, __u32 size, __u64 from)
{
	image_reads++;
	image_bytes += size;
	if (image_notes && image_reads <= image_notes_room)
		image_notes[image_reads - 1] = (struct image_note){from, size};
	if (image_reads == image_faults.fail_read || !copy(to, size, from, image_reads))
		return -EFAULT;
	return 0;
}

bool step_fails(enum walker_step step)
{
	if (step == WALKER_RING)
		image_messages++;
	return ++image_steps == image_faults.fail_step;
}
