/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: py_layout_from_debug_offsets() with raw bytes, and with real offsets of which
 * words are replaced.
 *
 * Beyond memory safety: a layout that is returned keeps the promises of py_layouts.c, and a refusal
 * leaves the caller's layout as it was. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "python/py_layouts.h"
#include "../unit/data/py_debug_offsets.h"

#define CASES (sizeof(py_debug_cases) / sizeof(py_debug_cases[0]))

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check(const void *bytes, size_t size)
{
	struct py_layout layout, untouched;
	int err;

	memset(&layout, 0xa5, sizeof(layout));
	untouched = layout;
	err = py_layout_from_debug_offsets(bytes, size, &layout);
	if (err) {
		REQUIRE(err == -EINVAL || err == -ENOENT);
		REQUIRE(!memcmp(&layout, &untouched, sizeof(layout)));
		return;
	}
	REQUIRE(layout.version >= 0x30d && layout.version <= 0x30f);
	REQUIRE(layout.frame_size > 0 && layout.frame_size <= 256);
	REQUIRE(layout.frame_code + 8 <= layout.frame_size);
	REQUIRE(layout.frame_back + 8 <= layout.frame_size);
	REQUIRE(layout.frame_instr + 8 <= layout.frame_size);
	REQUIRE(layout.frame_owner < layout.frame_size);
	REQUIRE(layout.frame_tlbc_index == PY_NONE ||
		layout.frame_tlbc_index + 4 <= layout.frame_size);
	REQUIRE(!(layout.flags & PY_TLBC) == (layout.frame_tlbc_index == PY_NONE));
	REQUIRE(layout.runtime_interp_head != PY_NONE && layout.code_linetable != PY_NONE);
}

/* Input: a byte that picks a build, then pairs (word, value). */
static void check_patched(const uint8_t *data, size_t size)
{
	const struct py_debug_case *c = &py_debug_cases[data[0] % CASES];
	uint64_t words[160];

	memcpy(words, c->published, sizeof(words));
	for (size_t at = 1; at + 9 <= size; at += 9)
		memcpy(&words[data[at] % c->words], data + at + 1, 8);
	check(words, 8 * c->words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size);
	if (size)
		check_patched(data, size);
	return 0;
}
