/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Snapshots: what is read of a file that may say anything. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "fake_heap.h"

#define BASE 0x7f1000000000ull
#define PAGE FAKE_PAGE

/* --- files --- */

/* Three regions; in the second a page that is not there and one that was not copied. */
static void make_three(struct fake_heap *h)
{
	fake_init(h);
	fake_region(h, BASE, BASE + 4 * PAGE, REGION_FILE, 5, "/lib/libc.so.6");
	fake_region(h, BASE + 8 * PAGE, BASE + 16 * PAGE, REGION_ANONYMOUS, 6, "");
	fake_region(h, BASE + 16 * PAGE, BASE + 18 * PAGE, REGION_SHARED, 6, "/dev/shm/x");
	fake_state(h, BASE, PAGE_RESIDENT | PAGE_FILE);
	for (unsigned i = 8; i < 16; i++)
		fake_word(h, BASE + i * PAGE, i);
	fake_state(h, BASE + 10 * PAGE, 0);
	fake_state(h, BASE + 13 * PAGE, PAGE_RESIDENT);
	fake_state(h, BASE + 15 * PAGE, PAGE_SWAPPED);
	fake_state(h, BASE + 16 * PAGE, PAGE_RESIDENT | PAGE_FILE);
	h->threads[0] = (struct snapshot_file_thread){77, BASE + 9 * PAGE};
	h->thread_count = 1;
}

static void check_three(const struct snapshot *s)
{
	const struct snapshot_thread *threads;
	uint64_t start, end;

	assert_int_equal(snapshot_regions(s), 3);
	assert_string_equal(snapshot_region(s, 0)->name, "/lib/libc.so.6");
	assert_int_equal(snapshot_rss_bytes(s), (1 + 6 + 1) * PAGE);
	assert_int_equal(snapshot_swapped_bytes(s), PAGE);
	assert_int_equal(snapshot_region(s, 1)->resident_bytes, 6 * PAGE);
	assert_int_equal(snapshot_region(s, 1)->copied_bytes, 5 * PAGE);
	assert_int_equal(snapshot_page(s, BASE + 13 * PAGE + 5), PAGE_RESIDENT);
	assert_int_equal(snapshot_page(s, BASE + 10 * PAGE), 0);
	assert_int_equal(snapshot_page(s, 0), 0);
	assert_int_equal(snapshot_page(s, UINT64_MAX), 0);
	assert_int_equal(snapshot_threads(s, &threads), 1);
	assert_int_equal(threads[0].tid, 77);
	assert_ptr_equal(snapshot_region_of(s, BASE + 8 * PAGE), snapshot_region(s, 1));
	assert_null(snapshot_region_of(s, BASE + 4 * PAGE));
	assert_null(snapshot_region_of(s, 0));
	assert_null(snapshot_region_of(s, BASE + 18 * PAGE));
	assert_true(snapshot_mapping_of(s, BASE + 17 * PAGE, &start, &end));
	assert_int_equal(start, BASE + 16 * PAGE);
	assert_int_equal(end, BASE + 18 * PAGE);
	assert_false(snapshot_mapping_of(s, BASE + 5 * PAGE, &start, &end));
}

static void test_at(void **state)
{
	struct fake_heap h;
	struct snapshot *s;

	(void)state;
	make_three(&h);
	s = fake_snapshot(&h);
	check_three(s);
	assert_int_equal(snapshot_word(s, BASE + 8 * PAGE), 8);
	assert_int_equal(snapshot_word(s, BASE + 9 * PAGE), 9);
	assert_non_null(snapshot_at(s, BASE + 8 * PAGE, 2 * PAGE));
	assert_null(snapshot_at(s, BASE + 8 * PAGE, 2 * PAGE + 1));
	assert_non_null(snapshot_at(s, BASE + 9 * PAGE - 1, 1));
	assert_non_null(snapshot_at(s, BASE + 9 * PAGE - 1, 2));
	assert_null(snapshot_at(s, BASE + 9 * PAGE, 3 * PAGE)); /* what is between is missing */
	assert_null(snapshot_at(s, BASE + 12 * PAGE, 3 * PAGE));
	assert_null(snapshot_at(s, BASE + 13 * PAGE, 1));
	assert_null(snapshot_at(s, BASE + 14 * PAGE, SIZE_MAX));
	assert_null(snapshot_at(s, BASE + 14 * PAGE, 1ull << 62));
	assert_null(snapshot_at(s, UINT64_MAX, 8));
	assert_non_null(snapshot_at(s, BASE + 14 * PAGE, 0));
	assert_int_equal(snapshot_word(s, BASE + 13 * PAGE), 0);
	assert_int_equal(snapshot_resident(s, BASE + 9 * PAGE + 100, BASE + 12 * PAGE + 1),
			 PAGE - 100 + PAGE + 1);
	assert_int_equal(snapshot_resident(s, UINT64_MAX - 10, UINT64_MAX), 0);
	assert_int_equal(snapshot_read_live(s, BASE, &h, 8), -ENOTCONN);
	snapshot_free(s);
	fake_fini(&h);
}

static void test_save(void **state)
{
	struct fake_heap h;
	struct snapshot *s, *again;
	int fd = memfd_create("saved", MFD_CLOEXEC);
	char text[16] = "";

	(void)state;
	make_three(&h);
	s = fake_snapshot(&h);
	assert_int_equal(snapshot_save(s, fd), 0);
	assert_int_equal(snapshot_load(fd, &again), 0);
	check_three(again);
	assert_int_equal(snapshot_word(again, BASE + 14 * PAGE), 14);
	assert_int_equal(snapshot_read_live(again, BASE + 1, text, 4), -ENOTCONN);
	snapshot_free(again);
	snapshot_free(s);
	close(fd);
	fake_fini(&h);
}

/* Sets a field of the header. */
#define SPOIL(name, value)                                               \
	do {                                                             \
		struct snapshot_header header_;                          \
		memcpy(&header_, f.bytes, sizeof(header_));              \
		header_.name = (value);                                  \
		memcpy(bytes, f.bytes, f.size);                          \
		memcpy(bytes, &header_, sizeof(header_));                \
		assert_int_equal(fake_load(bytes, f.size, &s), -EINVAL); \
		assert_null(s);                                          \
	} while (0)

static void test_hostile_header(void **state)
{
	struct fake_heap h;
	struct fake_file f;
	struct snapshot *s;
	unsigned char *bytes;

	(void)state;
	make_three(&h);
	fake_file(&h, &f);
	bytes = malloc(f.size);
	SPOIL(magic[0], 'x');
	SPOIL(page_shift, 11);
	SPOIL(page_shift, 17);
	SPOIL(page_shift, UINT32_MAX);
	SPOIL(regions, UINT64_MAX);
	SPOIL(regions, 2);
	SPOIL(regions, SNAPSHOT_REGIONS_MAX);
	SPOIL(mappings, UINT64_MAX);
	SPOIL(mappings, 1ull << 60);
	SPOIL(runs, UINT64_MAX / 8);
	SPOIL(runs, 1ull << 40);
	SPOIL(threads, 1ull << 59);
	SPOIL(live, UINT64_MAX);
	SPOIL(live, 1);
	SPOIL(names_bytes, 0);
	SPOIL(names_bytes, UINT64_MAX);
	SPOIL(names_bytes, 1);
	SPOIL(data_pages, UINT64_MAX);
	SPOIL(data_pages, 1);
	SPOIL(data_pages, 6);
	SPOIL(meta_offset, 0);
	SPOIL(meta_offset, SNAPSHOT_DATA + 4);
	SPOIL(meta_offset, UINT64_MAX - 7);
	assert_int_equal(fake_load(f.bytes, SNAPSHOT_DATA - 1, &s), -EINVAL);
	for (size_t size = SNAPSHOT_DATA; size < f.size; size += 512)
		assert_int_equal(fake_load(f.bytes, size, &s), -EINVAL);
	free(bytes);
	free(f.bytes);
	fake_fini(&h);
}

/* Overwrites the bytes at `offset` behind the records' beginning. */
static int load_spoilt(const struct fake_file *f, size_t offset, const void *with, size_t size)
{
	unsigned char *bytes = malloc(f->size);
	struct snapshot_header header;
	struct snapshot *s;
	int err;

	memcpy(bytes, f->bytes, f->size);
	memcpy(&header, bytes, sizeof(header));
	memcpy(bytes + header.meta_offset + offset, with, size);
	err = fake_load(bytes, f->size, &s);
	snapshot_free(s);
	free(bytes);
	return err;
}

#define RUNS_AT (3 * sizeof(struct snapshot_file_region) + 3 * sizeof(struct snapshot_file_mapping))

static void test_hostile_records(void **state)
{
	const struct snapshot_file_region regions[] = {
		{BASE, BASE, REGION_FILE, 5, 0},
		{BASE + 1, BASE + 4 * PAGE, REGION_FILE, 5, 0},
		{BASE, BASE + 9 * PAGE, REGION_FILE, 5, 0},
		{BASE, BASE + 4 * PAGE, 77, 5, 0},
		{BASE, BASE + 4 * PAGE, REGION_FILE, 5, 1 << 20},
		{BASE + PAGE, BASE + 4 * PAGE, REGION_FILE, 5, 0},
	};
	const struct snapshot_run runs[] = {
		{BASE, 0, PAGE_RESIDENT},
		{BASE, 5, PAGE_RESIDENT},
		{BASE + 8, 1, PAGE_RESIDENT},
		{BASE, UINT32_MAX, PAGE_RESIDENT},
		{BASE, 1, PAGE_COPIED},
		{BASE, 1, PAGE_COPIED | PAGE_RESIDENT},
		{UINT64_MAX - PAGE + 1, 1, PAGE_RESIDENT},
		{BASE + 8 * PAGE, 4, PAGE_RESIDENT},
	};
	const struct snapshot_file_mapping mapping = {BASE + 5 * PAGE, BASE + 5 * PAGE};
	struct fake_heap h;
	struct fake_file f;

	(void)state;
	make_three(&h);
	fake_file(&h, &f);
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		assert_int_equal(load_spoilt(&f, 0, &regions[i], sizeof(regions[i])), -EINVAL);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		assert_int_equal(load_spoilt(&f, RUNS_AT, &runs[i], sizeof(runs[i])), -EINVAL);
	assert_int_equal(
		load_spoilt(&f, 3 * sizeof(struct snapshot_file_region), &mapping, sizeof(mapping)),
		-EINVAL);
	free(f.bytes);
	fake_fini(&h);
}

/* An address that has no place in the table of pages: counted, never read. */
static void test_beyond(void **state)
{
	const uint64_t far = 1ull << 52;
	struct fake_heap h;
	struct snapshot *s;

	(void)state;
	fake_init(&h);
	fake_region(&h, BASE, BASE + PAGE, REGION_ANONYMOUS, 6, "");
	fake_region(&h, far, far + 2 * PAGE, REGION_ANONYMOUS, 6, "");
	fake_word(&h, BASE, 1);
	fake_word(&h, far, 2);
	s = fake_snapshot(&h);
	assert_int_equal(snapshot_rss_bytes(s), 2 * PAGE);
	assert_null(snapshot_at(s, far, 8));
	assert_int_equal(snapshot_word(s, BASE), 1);
	snapshot_free(s);
	fake_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_hostile_header),
		cmocka_unit_test(test_hostile_records),
		cmocka_unit_test(test_beyond),
	};

	return cmocka_run_group_tests_name("heap_snapshot", tests, NULL, NULL);
}
