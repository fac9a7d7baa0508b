/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a snapshot is a file, and a file may say anything. This makes a struct snapshot of it
 * whose invariants hold: regions and runs are sorted and do not overlap, each run lies in a region,
 * and each copied page has its data in the file. */
#include "heap/snapshot_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/snapshot_private.h"

/* The next `count` records of `size` bytes from `*at` on, which moves behind them. NULL: there are
 * not so many. */
static const void *section(const struct snapshot *s, uint64_t *at, uint64_t count, size_t size)
{
	uint64_t start = *at, left = s->file_bytes - start;

	if (count > left / size)
		return NULL;
	*at = start + ((count * size + 7) & ~7ull);
	if (*at > s->file_bytes)
		*at = s->file_bytes;
	return s->file + start;
}

static int check_header(const struct snapshot *s)
{
	const struct snapshot_header *h = &s->header;
	uint64_t room;

	if (memcmp(h->magic, SNAPSHOT_MAGIC, sizeof(h->magic)) || h->page_shift < 12 ||
	    h->page_shift > 16 || h->later > 1)
		return -EINVAL;
	if (h->meta_offset < SNAPSHOT_DATA || h->meta_offset > s->file_bytes || h->meta_offset & 7)
		return -EINVAL;
	room = (h->meta_offset - SNAPSHOT_DATA) >> h->page_shift;
	if (h->data_pages > SNAPSHOT_PAGES_MAX || h->data_pages > room ||
	    h->live > room - h->data_pages)
		return -EINVAL;
	if (h->regions > SNAPSHOT_REGIONS_MAX || h->names_bytes > SNAPSHOT_NAMES_MAX + 1)
		return -EINVAL;
	return 0;
}

static int read_names(struct snapshot *s, uint64_t *at, uint64_t skip)
{
	uint64_t where = *at + skip;
	const char *names;

	if (skip > s->file_bytes - *at)
		return -EINVAL;
	names = section(s, &where, s->header.names_bytes, 1);
	if (!names || !s->header.names_bytes)
		return -EINVAL;
	s->names = malloc(s->header.names_bytes);
	if (!s->names)
		return -ENOMEM;
	memcpy(s->names, names, s->header.names_bytes);
	s->names[s->header.names_bytes - 1] = '\0';
	return 0;
}

static int adopt_region(struct snapshot *s, const struct snapshot_file_region *from, size_t index)
{
	struct region *r = &s->regions[index];
	uint64_t page = 1ull << s->header.page_shift;

	if (from->start >= from->end || (from->start | from->end) & (page - 1) ||
	    from->kind > REGION_SPECIAL || from->name >= s->header.names_bytes ||
	    (index && r[-1].end > from->start))
		return -EINVAL;
	*r = (struct region){
		.start = from->start,
		.end = from->end,
		.kind = (enum region_kind)from->kind,
		.readable = from->rights & 4,
		.writable = from->rights & 2,
		.executable = from->rights & 1,
		.name = s->names + from->name,
	};
	return 0;
}

static int read_regions(struct snapshot *s, uint64_t *at)
{
	const struct snapshot_file_region *from = section(s, at, s->header.regions, sizeof(*from));
	int err = 0;

	if (!from)
		return -EINVAL;
	s->regions = calloc(s->header.regions + 1, sizeof(*s->regions));
	if (!s->regions)
		return -ENOMEM;
	for (size_t i = 0; i < s->header.regions && !err; i++)
		err = adopt_region(s, &from[i], i);
	return err;
}

static int read_mappings(struct snapshot *s, uint64_t *at)
{
	const struct snapshot_file_mapping *from =
		section(s, at, s->header.mappings, sizeof(*from));

	if (!from)
		return -EINVAL;
	s->mappings = malloc((s->header.mappings + 1) * sizeof(*from));
	if (!s->mappings)
		return -ENOMEM;
	memcpy(s->mappings, from, s->header.mappings * sizeof(*from));
	for (size_t i = 0; i < s->header.mappings; i++) {
		if (s->mappings[i].start >= s->mappings[i].end ||
		    (i && s->mappings[i - 1].end > s->mappings[i].start))
			return -EINVAL;
	}
	return 0;
}

/* --- pages --- */

struct loading {
	uint64_t pages, copied; /* so far */
	uint64_t end;		/* end of the run before */
	size_t region;		/* index of that run's region */
};

static int set_pages(struct snapshot *s, const struct snapshot_run *run, uint64_t first)
{
	uint32_t state = run->state & ((1u << SNAPSHOT_STATE_BITS) - 1);
	unsigned shift = s->header.page_shift;

	for (uint64_t i = 0; i < run->pages; i++) {
		uint64_t addr = run->start + (i << shift);
		uint32_t *slot, number = state & PAGE_COPIED ? (uint32_t)(first + i) : 0;

		if (!page_map_covers(addr))
			return 0;
		slot = page_map_slot(&s->memory.pages, addr);
		if (!slot)
			return -ENOMEM;
		*slot = number << SNAPSHOT_STATE_BITS | state;
	}
	return 0;
}

static void count_pages(struct snapshot *s, struct region *r, const struct snapshot_run *run)
{
	uint64_t bytes = (uint64_t)run->pages << s->header.page_shift;

	if (run->state & PAGE_RESIDENT) {
		r->resident_bytes += bytes;
		s->rss_bytes += bytes;
	}
	if (run->state & PAGE_SWAPPED) {
		r->swapped_bytes += bytes;
		s->swapped_bytes += bytes;
	}
	if (run->state & PAGE_COPIED)
		r->copied_bytes += bytes;
}

static int adopt_run(struct snapshot *s, const struct snapshot_run *run, struct loading *l)
{
	uint64_t page = 1ull << s->header.page_shift;
	uint64_t bytes = (uint64_t)run->pages << s->header.page_shift;
	struct region *r;
	int err;

	if (run->start & (page - 1) || !run->pages || run->start < l->end ||
	    run->start + bytes < run->start)
		return -EINVAL;
	while (l->region < s->header.regions && s->regions[l->region].end <= run->start)
		l->region++;
	r = &s->regions[l->region];
	if (l->region == s->header.regions || run->start < r->start || run->start + bytes > r->end)
		return -EINVAL;
	l->pages += run->pages;
	if (l->pages > SNAPSHOT_PAGES_MAX)
		return -EFBIG;
	if (run->state & PAGE_COPIED &&
	    (run->pages > s->header.data_pages - l->copied || !(run->state & PAGE_RESIDENT)))
		return -EINVAL;
	err = set_pages(s, run, l->copied);
	if (err)
		return err;
	count_pages(s, r, run);
	if (run->state & PAGE_COPIED)
		l->copied += run->pages;
	l->end = run->start + bytes;
	return 0;
}

static int read_runs(struct snapshot *s, uint64_t *at)
{
	const struct snapshot_run *runs = section(s, at, s->header.runs, sizeof(*runs));
	struct loading loading = {.pages = 0};
	int err;

	if (!runs)
		return -EINVAL;
	s->runs = malloc((s->header.runs + 1) * sizeof(*runs));
	if (!s->runs)
		return -ENOMEM;
	memcpy(s->runs, runs, s->header.runs * sizeof(*runs));
	err = page_map_init(&s->memory.pages, s->header.page_shift);
	for (uint64_t i = 0; i < s->header.runs && !err; i++)
		err = adopt_run(s, &s->runs[i], &loading);
	return err;
}

/* --- the rest --- */

static int read_threads(struct snapshot *s, uint64_t *at)
{
	const struct snapshot_file_thread *from = section(s, at, s->header.threads, sizeof(*from));

	if (!from)
		return -EINVAL;
	s->threads = calloc(s->header.threads + 1, sizeof(*s->threads));
	if (!s->threads)
		return -ENOMEM;
	for (size_t i = 0; i < s->header.threads; i++) {
		s->threads[i].tid = (pid_t)from[i].tid;
		s->threads[i].stack_pointer = from[i].stack_pointer;
	}
	return 0;
}

int snapshot_add_live(struct snapshot *s, uint64_t addr, const void *page)
{
	size_t bytes = (size_t)1 << s->header.page_shift;
	struct live_page *live = malloc(sizeof(*live) + bytes);

	if (!live)
		return -ENOMEM;
	live->addr = addr;
	memcpy(live->data, page, bytes);
	if (HASH_INSERT(s->live, addr, live)) {
		free(live);
		return -ENOMEM;
	}
	s->live_count++;
	return 0;
}

static int read_live_pages(struct snapshot *s, uint64_t *at)
{
	const uint64_t *addrs = section(s, at, s->header.live, sizeof(*addrs));
	int err = addrs ? 0 : -EINVAL;

	for (uint64_t i = 0; i < s->header.live && !err; i++) {
		uint64_t number = s->header.data_pages + i;

		err = snapshot_add_live(s, addrs[i],
					s->memory.data + (number << s->header.page_shift));
	}
	return err;
}

static uint64_t aligned(uint64_t count, size_t size)
{
	return (count * size + 7) & ~7ull;
}

/* Reads the names, which come last although regions refer to them. The counts were not checked yet,
 * so the sum must not overflow. */
static int find_names(struct snapshot *s, uint64_t *at)
{
	const struct snapshot_header *h = &s->header;
	uint64_t most = s->file_bytes / 8;

	if (h->mappings > most || h->runs > most || h->threads > most || h->live > most)
		return -EINVAL;
	return read_names(s, at,
			  aligned(h->regions, sizeof(struct snapshot_file_region)) +
				  aligned(h->mappings, sizeof(struct snapshot_file_mapping)) +
				  aligned(h->runs, sizeof(struct snapshot_run)) +
				  aligned(h->threads, sizeof(struct snapshot_file_thread)) +
				  aligned(h->live, sizeof(uint64_t)));
}

static int parse(struct snapshot *s)
{
	uint64_t at;
	int err;

	memcpy(&s->header, s->file, sizeof(s->header));
	s->memory.data = s->file + SNAPSHOT_DATA;
	at = s->header.meta_offset;
	err = check_header(s);
	if (!err)
		err = find_names(s, &at);
	if (!err)
		err = read_regions(s, &at);
	if (!err)
		err = read_mappings(s, &at);
	if (!err)
		err = read_runs(s, &at);
	if (!err)
		err = read_threads(s, &at);
	if (!err)
		err = read_live_pages(s, &at);
	return err;
}

int snapshot_open(int fd, struct snapshot **snapshot)
{
	struct snapshot *s;
	struct stat st;
	void *file;
	int err;

	*snapshot = NULL;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < SNAPSHOT_DATA)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->memory_fd = -1;
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	err = file == MAP_FAILED ? -errno : 0;
	if (!err) {
		s->file = file;
		s->file_bytes = (size_t)st.st_size;
		err = parse(s);
	}
	if (err) {
		snapshot_free(s);
		return err;
	}
	*snapshot = s;
	return 0;
}

/* Refuses a snapshot that is copied piece by piece: it is of no use without its child. */
int snapshot_load(int fd, struct snapshot **snapshot)
{
	int err = snapshot_open(fd, snapshot);

	if (err || !(*snapshot)->header.later)
		return err;
	snapshot_free(*snapshot);
	*snapshot = NULL;
	return -EINVAL;
}

/* --- saving --- */

static int write_at(int fd, const void *data, size_t bytes, uint64_t at)
{
	const char *from = data;

	while (bytes) {
		ssize_t n = pwrite(fd, from, bytes, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			from += n;
			at += (uint64_t)n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}

static int save_live_pages(const struct snapshot *s, int fd, uint64_t data_end, uint64_t addrs_at)
{
	size_t bytes = (size_t)1 << s->header.page_shift;
	struct live_page *live, *next;
	int err = 0;

	HASH_ITER(hh, s->live, live, next)
	{
		if (!err)
			err = write_at(fd, live->data, bytes, data_end);
		if (!err)
			err = write_at(fd, &live->addr, sizeof(live->addr), addrs_at);
		data_end += bytes;
		addrs_at += sizeof(live->addr);
	}
	return err;
}

/* Saves the snapshot as it was taken, with the pages that were read since. */
int snapshot_save(const struct snapshot *s, int fd)
{
	const struct snapshot_header *h = &s->header;
	uint64_t data_end = SNAPSHOT_DATA + (h->data_pages << h->page_shift);
	uint64_t meta = data_end + ((uint64_t)s->live_count << h->page_shift);
	uint64_t fixed = aligned(h->regions, sizeof(struct snapshot_file_region)) +
			 aligned(h->mappings, sizeof(struct snapshot_file_mapping)) +
			 aligned(h->runs, sizeof(struct snapshot_run)) +
			 aligned(h->threads, sizeof(struct snapshot_file_thread));
	struct snapshot_header header = *h;
	int err;

	header.meta_offset = meta;
	header.live = s->live_count;
	err = write_at(fd, s->memory.data, data_end - SNAPSHOT_DATA, SNAPSHOT_DATA);
	if (!err)
		err = write_at(fd, s->file + h->meta_offset, fixed, meta);
	if (!err)
		err = save_live_pages(s, fd, data_end, meta + fixed);
	if (!err)
		err = write_at(fd, s->names, h->names_bytes,
			       meta + fixed + aligned(s->live_count, sizeof(uint64_t)));
	return err ? err : write_at(fd, &header, sizeof(header), 0);
}
