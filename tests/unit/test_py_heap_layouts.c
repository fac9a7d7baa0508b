/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* py_heap_layouts.c: which builds have a layout of their heap, and what is refused by which words.
 * What the layouts say is held against live processes by check_heap_layouts.py. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "python/py_heap_layouts.h"

static struct py_process version(unsigned major, unsigned minor, unsigned micro)
{
	struct py_process process = {.major = major, .minor = minor, .micro = micro};

	strcpy(process.version, "3.14.1");
	return process;
}

static struct py_heap_layout found(struct py_process process)
{
	struct py_heap_layout layout;

	assert_int_equal(py_heap_layout_find(&process, &layout), 0);
	assert_int_equal(layout.version, process.major << 8 | process.minor);
	return layout;
}

static void refused(struct py_process process, uint32_t flags, const char *word)
{
	struct py_heap_layout layout;
	char text[256] = "";

	memset(&layout, 0xff, sizeof(layout));
	assert_int_equal(py_heap_layout_find(&process, &layout), -ENOTSUP);
	assert_int_equal(layout.version, process.major << 8 | process.minor);
	assert_int_equal(layout.flags, flags);
	assert_int_equal(layout.pool_size, 0);
	py_heap_layout_explain(&process, text, sizeof(text));
	assert_non_null(strstr(text, word));
	assert_true(strlen(text) <= 192);
}

static void test_versions(void **state)
{
	(void)state;
	for (unsigned minor = 8; minor <= 15; minor++) {
		struct py_heap_layout layout = found(version(3, minor, 9));

		assert_int_equal(layout.pool_size, minor < 10 ? 4096 : 16384);
		assert_int_equal(layout.arena_size, minor < 10 ? 256 << 10 : 1 << 20);
		assert_int_equal(!!(layout.flags & PY_HEAP_OLD_KEYS), minor < 11);
		assert_int_equal(!!(layout.flags & PY_HEAP_FRAME_OBJECTS), minor < 11);
		assert_int_equal(!!(layout.flags & PY_HEAP_VALUES_TAGGED), minor == 12);
		assert_int_equal(!!(layout.flags & PY_HEAP_VALUES_INLINE), minor > 12);
		assert_int_equal(!!(layout.flags & PY_HEAP_GC_RING), minor > 14);
		assert_int_equal(layout.pre_bytes, minor < 11 ? 0 : 16);
		assert_int_equal(layout.pre_flags, minor < 11 ? 0 : minor < 12 ? 0x10 : 0x18);
		assert_int_equal(layout.runtime_gc == PY_NONE, minor != 8);
		assert_int_equal(layout.interp_gc == PY_NONE, minor == 8);
	}
}

static void test_debug_builds(void **state)
{
	(void)state;
	for (unsigned minor = 8; minor <= 15; minor++) {
		struct py_process process = version(3, minor, 9);
		struct py_heap_layout usual = found(process), debug;

		process.debug_build = true;
		debug = found(process);
		assert_int_equal(debug.flags, usual.flags | PY_HEAP_DEBUG_BUILD);
		assert_int_equal(debug.interp_interned != usual.interp_interned, minor > 11);
		debug.flags = usual.flags;
		debug.interp_interned = usual.interp_interned;
		assert_memory_equal(&debug, &usual, sizeof(usual));
	}
}

/* What's New In Python 3.14.5: the incremental collector was taken out again. */
static void test_incremental(void **state)
{
	(void)state;
	for (unsigned micro = 0; micro < 9; micro++)
		assert_int_equal(!!(found(version(3, 14, micro)).flags & PY_HEAP_GC_INCREMENTAL),
				 micro < 5);
	assert_false(found(version(3, 13, 0)).flags & PY_HEAP_GC_INCREMENTAL);
	assert_false(found(version(3, 15, 0)).flags & PY_HEAP_GC_INCREMENTAL);
}

static void test_refused(void **state)
{
	struct py_process process = version(3, 14, 1);

	(void)state;
	refused(version(3, 6, 15), 0, "3.8 to 3.15");
	refused(version(3, 7, 16), 0, "3.8 to 3.15");
	refused(version(3, 16, 0), 0, "3.8 to 3.15");
	refused(version(2, 7, 18), 0, "3.8 to 3.15");
	process.traces_refs = true;
	refused(process, 0, "3.14.1 is built with Py_TRACE_REFS");
	process.free_threaded = true;
	refused(process, PY_HEAP_FREE_THREADED, "3.14.1 is free-threaded");
	process = version(3, 13, 0);
	process.layout.flags = PY_FREE_THREADED;
	refused(process, PY_HEAP_FREE_THREADED, "free-threaded");
	*process.version = '\0';
	refused(process, PY_HEAP_FREE_THREADED, "unknown version");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_debug_builds),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
