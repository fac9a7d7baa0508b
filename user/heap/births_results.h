/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the births' child hands over to its parent, in a file: a header, stacks with their lines,
 * samples. The child reads memory that the target controls, so the parent checks all of it. */
#ifndef BIRTHS_RESULTS_H
#define BIRTHS_RESULTS_H

#include "heap/births.h"

#define BIRTHS_MAGIC	   0x7368747269624871ull
#define BIRTHS_RESULTS_MAX (64u << 20) /* bytes of the file */
#define BIRTHS_STACKS_MAX  (1u << 17)

struct births_header {
	uint64_t magic;
	int32_t error; /* -errno: why the child could not collect; 0 */
	uint32_t stacks, samples, pad;
	struct births_figures figures;
};

struct births_stack_header {
	uint32_t depth;
};

/* The bytes of the file's name and of the function's follow, without a NUL, then the hashes of the
 * names, 4 bytes each. */
struct births_line_header {
	int32_t line;
	uint16_t file_bytes, function_bytes, names, pad;
};

/* Hash of a name's `size` bytes (FNV-1a, 32 bits: Fowler, Noll and Vo). */
static inline uint32_t births_name_hash(const char *name, size_t size)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return hash;
}

struct births_results {
	struct births_figures figures;
	struct birth_stack *stacks;
	uint32_t stack_count;
	struct birth_sample *samples; /* each with a stack below stack_count, and change >= 0 */
	uint32_t sample_count;
};

/* Fills *results, which is empty, from the file's `size` bytes. 0; the child's -errno; -EINVAL: it
 * is no such file; -ENOMEM. births_results_fini() frees it in each case. */
int births_results_read(struct births_results *results, const void *file, size_t size);
void births_results_fini(struct births_results *results);

/* As heap_births_rows(). */
int births_results_rows(const struct births_results *results, const struct heap_graph *graph,
			const struct heap_blocks *blocks, const struct heap_types *types,
			const struct holder *holders, size_t holder_count,
			struct heap_birth_row **rows, size_t *count);

#endif
