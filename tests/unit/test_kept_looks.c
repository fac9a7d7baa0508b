/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/kept_looks.c and model/heap_brief.c: looks in brief, of many processes, and what a helper
 * that was taken over may write. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/kept_looks.h"
#include "model/heap_brief.h"

static int file_of(const char *text)
{
	int fd = memfd_create("brief", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static int take(struct kept_looks *kept, pid_t pid, uint64_t start, double time, const char *text)
{
	int fd = file_of(text), err = kept_looks_take(kept, pid, start, time, fd);

	close(fd);
	return err;
}

static json_int_t rss_of(const struct kept_looks *kept, pid_t pid, uint64_t start)
{
	json_t *value = kept_looks_find(kept, pid, start, 500);
	json_int_t rss;

	assert_non_null(value);
	rss = json_is_null(value) ? -1 : json_integer_value(json_object_get(value, "rss_bytes"));
	json_decref(value);
	return rss;
}

static const char *brief_of(unsigned rss)
{
	static char text[160];

	snprintf(text, sizeof(text),
		 "{\"rss_bytes\":%u,\"holders\":[],\"holders_in_all\":0,\"types\":[],\"types_in_"
		 "all\":0}",
		 rss);
	return text;
}

static void test_newest(void **state)
{
	struct kept_looks kept = {};
	json_t *value;

	(void)state;
	assert_int_equal(rss_of(&kept, 1, 1), -1);
	for (unsigned i = 1; i <= KEPT_LOOKS_MOST; i++)
		assert_int_equal(take(&kept, (pid_t)i, 7, i, brief_of(i)), 0);
	assert_int_equal(rss_of(&kept, 1, 7), 1);
	assert_int_equal(rss_of(&kept, 1, 8), -1); /* another process of that PID */
	/* A later look takes the place of the one before; another process that of the oldest. */
	assert_int_equal(take(&kept, 1, 7, 100, brief_of(1000)), 0);
	assert_int_equal(rss_of(&kept, 1, 7), 1000);
	assert_int_equal(take(&kept, 99, 7, 101, brief_of(99)), 0);
	assert_int_equal(rss_of(&kept, 2, 7), -1);
	assert_int_equal(rss_of(&kept, 3, 7), 3);
	assert_int_equal(rss_of(&kept, 99, 7), 99);
	value = kept_looks_find(&kept, 99, 7, 103.5);
	assert_true(json_real_value(json_object_get(value, "age_s")) == 2.5);
	assert_string_equal(json_string_value(json_object_get(value, "time")),
			    "1970-01-01T00:01:41.000Z");
	json_decref(value);
	kept_looks_free(&kept);
}

static void test_hostile(void **state)
{
	static const char *const bad[] = {
		"",
		"no JSON",
		"[]",
		"{}",
		"{\"rss_bytes\":-1,\"holders\":[],\"holders_in_all\":0,\"types\":[],\"types_in_"
		"all\":0}",
		"{\"rss_bytes\":1,\"holders\":[7],\"holders_in_all\":0,\"types\":[],\"types_in_"
		"all\":0}",
		"{\"rss_bytes\":1,\"holders\":[],\"holders_in_all\":0,\"types\":[{\"type\":\"x\"}],"
		"\"types_in_all\":0}",
		"{\"rss_bytes\":1,\"holders\":[],\"holders_in_all\":0,\"types\":{},\"types_in_"
		"all\":0}",
	};
	struct kept_looks kept = {};

	(void)state;
	assert_int_equal(take(&kept, 5, 7, 1, brief_of(4)), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (take(&kept, 5, 7, 2, bad[i]) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
	assert_int_equal(kept_looks_take(&kept, 5, 7, 2, -1), -EBADF);
	assert_int_equal(rss_of(&kept, 5, 7), 4);
	kept_looks_free(&kept);
}

/* However long names are and however many rows there are, it has its size, and is one. */
static void test_large(void **state)
{
	static char name[5000];
	static struct heap_holder_row holders[30];
	static struct heap_type_row types[30];
	const struct heap_look look = {.rss_bytes = 1ull << 40,
				       .holders = holders,
				       .holder_count = 30,
				       .types = types,
				       .type_count = 30};
	json_t *value;
	char *text;

	(void)state;
	memset(name, 0xff, sizeof(name) - 1);
	for (int i = 0; i < 30; i++) {
		holders[i] = (struct heap_holder_row){
			.path = name, .type = name, .retained_bytes = UINT64_MAX, .entries = 1};
		types[i] = (struct heap_type_row){.type = name, .bytes = UINT64_MAX};
	}
	value = heap_brief_value(&look);
	assert_true(heap_brief_is_one(value));
	assert_int_equal(json_array_size(json_object_get(value, "holders")), HEAP_BRIEF_ROWS);
	text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
	assert_non_null(text);
	assert_true(strlen(text) < HEAP_BRIEF_BYTES);
	free(text);
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
