/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A real process's heap with more and more words of it replaced: the census goes on to hold what it
 * promises.
 *
 *   heap-faults ROUNDS SEED PID
 *
 * The copy is spoilt, not the process. Each round replaces some hundred words by NULL, -1,
 * addresses of other memory, its own address, values near what was there; then pools, chunks,
 * types, objects, the balance, references, dominators and holders are found anew. Built with
 * sanitizers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/balance.h"
#include "heap/blocks.h"
#include "heap/graph.h"
#include "heap/holders.h"
#include "heap/snapshot_private.h"
#include "python/py_heap_layouts.h"

#define FAULTS_A_ROUND 300
#define HOLDERS	       20

static uint64_t state;

static _Noreturn void fail(const char *what, int err)
{
	fprintf(stderr, "heap-faults: %s: %s\n", what, strerror(-err));
	exit(1);
}

static uint64_t dice(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

/* --- faults --- */

/* An address that was copied. */
static uint64_t some_address(const struct snapshot *s)
{
	for (;;) {
		const struct snapshot_run *run = &s->runs[dice(s->header.runs)];

		if (run->state & PAGE_COPIED)
			return run->start +
			       dice((uint64_t)run->pages << s->header.page_shift) / 8 * 8;
	}
}

/* Most of a heap is in few runs, so runs are taken by their pages. */
static uint64_t some_word(const struct snapshot *s)
{
	uint64_t page = dice(s->header.data_pages), pages = 0;

	for (uint64_t i = 0; i < s->header.runs; i++) {
		const struct snapshot_run *run = &s->runs[i];

		if (!(run->state & PAGE_COPIED))
			continue;
		if (page < pages + run->pages)
			return run->start + ((page - pages) << s->header.page_shift) +
			       dice(512) * 8;
		pages += run->pages;
	}
	return some_address(s);
}

static void spoil(const struct snapshot *s)
{
	uint64_t at = some_word(s), word = snapshot_word(s, at);
	const unsigned char *copy = snapshot_at(s, at, sizeof(word));

	switch (dice(8)) {
	case 0:
		word = 0;
		break;
	case 1:
		word = UINT64_MAX;
		break;
	case 2:
	case 3:
		word = some_address(s);
		break;
	case 4:
		word = at;
		break;
	case 5:
		word += (dice(33) - 16) * 8;
		break;
	case 6:
		word ^= 1ull << dice(64);
		break;
	default:
		word = snapshot_word(s, some_word(s));
		break;
	}
	if (copy && pwrite(s->memory_fd, &word, sizeof(word), copy - s->file) != sizeof(word))
		fail("a fault", -errno);
}

/* --- what must hold --- */

static void check_balance(const struct snapshot *snapshot, const struct heap_blocks *blocks)
{
	struct heap_balance balance;
	uint64_t sum = 0;

	heap_balance_make(snapshot, blocks, NULL, NULL, &balance);
#define ADD(name, text) sum += balance.name;
	HEAP_BALANCE(ADD)
#undef ADD
	if (sum != snapshot_rss_bytes(snapshot))
		fail("the balance is not RSS", -EINVAL);
}

static void check_blocks(const struct heap_blocks *blocks, const struct heap_types *types)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < heap_blocks_count(blocks); i++) {
		uint64_t addr = heap_blocks_addr(blocks, i);

		if (addr < end)
			fail("blocks overlap", -EINVAL);
		end = addr + heap_blocks_size(blocks, i);
		if (heap_blocks_type(blocks, i) >= (int32_t)heap_types_count(types))
			fail("no such type", -EINVAL);
	}
}

static void census(struct snapshot *snapshot, const struct py_process *process,
		   const struct py_heap_layout *layout)
{
	struct heap_types *types = heap_types_new(snapshot, layout, &process->layout);
	struct heap_blocks *blocks;
	struct heap_graph *graph;
	struct holder *holders;
	size_t count;
	int err = types ? heap_blocks_find(snapshot, layout, types, &blocks) : -ENOMEM;

	if (err)
		fail("blocks", err);
	if (!heap_blocks_count(blocks))
		fail("a heap without blocks", -EINVAL);
	check_blocks(blocks, types);
	check_balance(snapshot, blocks);
	err = heap_graph_build(snapshot, layout, &process->layout, process->runtime_addr, types,
			       blocks, &graph);
	if (!err)
		err = heap_holders_find(graph, HOLDERS, &holders, &count);
	if (err)
		fail("references", err);
	heap_holders_free(holders, count);
	heap_graph_free(graph);
	heap_blocks_free(blocks);
	heap_types_free(types);
}

int main(int argc, char **argv)
{
	const struct snapshot_options options = {.pause = false};
	static struct py_process process;
	struct py_heap_layout layout;
	struct py_image_cache *cache;
	struct snapshot *snapshot;
	int err, rounds;

	if (argc != 4) {
		fprintf(stderr, "heap-faults ROUNDS SEED PID\n");
		return 2;
	}
	rounds = atoi(argv[1]);
	state = strtoull(argv[2], NULL, 10) * 2 + 1;
	cache = py_image_cache_new();
	err = cache ? py_process_identify(cache, atoi(argv[3]), &process) : -ENOMEM;
	py_image_cache_free(cache);
	if (!err)
		err = py_heap_layout_find(&process, &layout);
	if (err)
		fail("this Python", err);
	for (int i = 0; i < rounds; i++) {
		/* Copies of what was given back are gone: each round has its own. */
		err = snapshot_take(atoi(argv[3]), &options, &snapshot);
		if (err)
			fail("snapshot", err);
		for (int k = 0; k < (i + 1) * FAULTS_A_ROUND; k++)
			spoil(snapshot);
		census(snapshot, &process, &layout);
		snapshot_free(snapshot);
	}
	printf("%d rounds\n", rounds);
	return 0;
}
