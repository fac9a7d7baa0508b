/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Picks the struct py_heap_layout of a build of CPython.
 *
 * Version and kind of build decide. From a version's first release candidate on, CPython keeps its
 * internal structures as they are, so all releases of a version share one row. One thing changed
 * all the same: 3.14's collector is incremental up to 3.14.4, and has generations from 3.14.5 on,
 * in the same structure.
 */
#include "python/py_heap_layouts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define VERSION(major, minor) ((major) << 8 | (minor))
#define LAST_INCREMENTAL      4 /* 3.14.4 */

struct py_heap_layout_row {
	struct py_heap_layout layout;
	uint32_t debug_interned; /* interp_interned of debug builds: nothing else differs */
};

#include "python/py_heap_layout_table.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const struct py_heap_layout_row *find_row(const struct py_process *process)
{
	for (size_t i = 0; i < ARRAY_SIZE(py_heap_layout_table); i++) {
		const struct py_heap_layout_row *row = &py_heap_layout_table[i];

		if (row->layout.version == VERSION(process->major, process->minor))
			return row;
	}
	return NULL;
}

static bool free_threaded(const struct py_process *process)
{
	return process->free_threaded || process->layout.flags & PY_FREE_THREADED;
}

int py_heap_layout_find(const struct py_process *process, struct py_heap_layout *layout)
{
	const struct py_heap_layout_row *row = find_row(process);

	memset(layout, 0, sizeof(*layout));
	layout->version = VERSION(process->major, process->minor);
	if (free_threaded(process)) {
		layout->flags = PY_HEAP_FREE_THREADED;
		return -ENOTSUP;
	}
	if (!row || process->traces_refs)
		return -ENOTSUP;
	*layout = row->layout;
	if (process->debug_build) {
		layout->flags |= PY_HEAP_DEBUG_BUILD;
		layout->interp_interned = row->debug_interned;
	}
	if (layout->version == VERSION(3, 14) && process->micro <= LAST_INCREMENTAL)
		layout->flags |= PY_HEAP_GC_INCREMENTAL;
	return 0;
}

void py_heap_layout_explain(const struct py_process *process, char *text, size_t size)
{
	const char *version = *process->version ? process->version : "of unknown version";

	if (free_threaded(process))
		snprintf(text, size,
			 "Python %.32s is free-threaded: its objects lie in mimalloc's memory, "
			 "which can't be read",
			 version);
	else if (process->traces_refs)
		snprintf(text, size,
			 "Python %.32s is built with Py_TRACE_REFS: where its objects lie is not "
			 "known",
			 version);
	else
		snprintf(text, size,
			 "the heap of Python %.32s is not known: only that of 3.8 to 3.15 is",
			 version);
}
