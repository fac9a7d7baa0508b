/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Picks the struct py_layout of a build of CPython.
 *
 * Up to 3.12 the version decides: the table is generated from the headers of that version. From
 * 3.13 on the target's own _Py_DebugOffsets decide, since free-threaded and debug builds have other
 * offsets. What is not published there (bits of str, owners of frames) comes from the headers.
 *
 * _Py_DebugOffsets has another shape in each minor version. So a version that is not described here
 * is refused, including alphas and betas of known ones: CPython freezes these structures with the
 * first release candidate.
 *
 * Invariant: each offset of a layout lies inside its structure, and the members of a frame within
 * FRAME_SIZE_MAX bytes, whatever the target published. */
#include "python/py_layouts.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define FRAME_SIZE_MAX	  256
#define LEVEL_CANDIDATE	  0xc
#define PUBLISHED_VERSION 8
#define PUBLISHED_THREADS 16
#define PUBLISHED_MIN	  24 /* cookie, version, free_threaded: equal in all versions */

static const char debug_cookie[8] = {'x', 'd', 'e', 'b', 'u', 'g', 'p', 'y'};

/* A member of py_layout that the target publishes. */
struct py_debug_field {
	__u16 field;   /* offset of a __u16 in struct py_layout; 0: end of the list */
	__u16 at;      /* its offset in _Py_DebugOffsets */
	__u16 size_at; /* offset there of the size of the structure it belongs to */
	__u16 width;   /* bytes of what lies at the published offset */
};

struct py_debug_format {
	__u16 size; /* bytes of _Py_DebugOffsets */
	struct py_layout layout;
	struct py_debug_field fields[28];
};

#include "python/py_layout_table.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

int py_layout_from_table(unsigned major, unsigned minor, struct py_layout *layout)
{
	if (major > 0xff || minor > 0xff)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(py_layout_table); i++) {
		if (py_layout_table[i].version != (major << 8 | minor))
			continue;
		*layout = py_layout_table[i];
		return 0;
	}
	return -ENOENT;
}

static uint64_t read_word(const void *runtime, size_t at)
{
	uint64_t word;

	memcpy(&word, (const char *)runtime + at, sizeof(word));
	return word;
}

static const struct py_debug_format *find_format(uint64_t version, bool free_threaded)
{
	if ((version >> 4 & 0xf) < LEVEL_CANDIDATE)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(py_debug_formats); i++) {
		const struct py_layout *layout = &py_debug_formats[i].layout;

		if (layout->version == version >> 16 &&
		    !!(layout->flags & PY_FREE_THREADED) == free_threaded)
			return &py_debug_formats[i];
	}
	return NULL;
}

/* True if `value` can be the offset of `width` bytes in a structure of `size` bytes. */
static bool plausible(uint64_t value, uint64_t size, unsigned width)
{
	if (value >= PY_NONE || size < width || value > size - width)
		return false;
	return !width || value % width == 0;
}

static int take_published(const void *runtime, const struct py_debug_format *format,
			  struct py_layout *layout)
{
	for (const struct py_debug_field *f = format->fields; f->field; f++) {
		uint64_t value = read_word(runtime, f->at);
		__u16 narrow = (__u16)value;

		if (!plausible(value, read_word(runtime, f->size_at), f->width))
			return -EINVAL;
		memcpy((char *)layout + f->field, &narrow, sizeof(narrow));
	}
	return 0;
}

static void extend(__u16 *end, __u16 offset, unsigned width)
{
	if (offset != PY_NONE && *end < offset + width)
		*end = (__u16)(offset + width);
}

/* The frame_size for the published offsets; 0: one of them is larger than any frame. */
static __u16 frame_size(const struct py_layout *layout)
{
	__u16 end = 0;

	if (layout->frame_back > FRAME_SIZE_MAX || layout->frame_code > FRAME_SIZE_MAX ||
	    layout->frame_instr > FRAME_SIZE_MAX || layout->frame_owner > FRAME_SIZE_MAX ||
	    (layout->frame_tlbc_index != PY_NONE && layout->frame_tlbc_index > FRAME_SIZE_MAX))
		return 0;
	extend(&end, layout->frame_back, 8);
	extend(&end, layout->frame_code, 8);
	extend(&end, layout->frame_instr, 8);
	extend(&end, layout->frame_owner, 1);
	extend(&end, layout->frame_tlbc_index, 4);
	return end > FRAME_SIZE_MAX ? 0 : end;
}

int py_layout_from_debug_offsets(const void *runtime, size_t len, struct py_layout *layout)
{
	const struct py_debug_format *format;
	uint64_t version, free_threaded;
	struct py_layout found;
	int err;

	if (len < PUBLISHED_MIN || memcmp(runtime, debug_cookie, sizeof(debug_cookie)))
		return -EINVAL;
	version = read_word(runtime, PUBLISHED_VERSION);
	free_threaded = read_word(runtime, PUBLISHED_THREADS);
	if (version > UINT32_MAX || free_threaded > 1)
		return -EINVAL;
	format = find_format(version, free_threaded);
	if (!format)
		return -ENOENT;
	if (len < format->size)
		return -EINVAL;

	found = format->layout;
	err = take_published(runtime, format, &found);
	if (err)
		return err;
	found.frame_size = frame_size(&found);
	/* Instructions have two bytes. If the head of an object has another size (Py_TRACE_REFS),
	 * members that are not published have moved too. */
	if (!found.frame_size || found.code_bytecode % 2 ||
	    found.unicode_ascii_size != format->layout.unicode_ascii_size ||
	    found.unicode_compact_size != format->layout.unicode_compact_size)
		return -EINVAL;
	*layout = found;
	return 0;
}
