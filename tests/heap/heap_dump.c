/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a census says of a process, as one JSON object, for tests that compare it with what the
 * process itself says:
 *
 *   heap-dump [--pause] [--survey] [--save FILE] PID
 *
 * --survey takes a survey (survey.h), which has no figures of pools by size.
 * --save keeps the snapshot (snapshot_save()), with all that was read beside it. Buffers count as
 * owned: no graph is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "heap/balance.h"
#include "heap/blocks_private.h"
#include "heap/survey.h"
#include "os/proc.h"
#include "python/py_heap_layouts.h"

static _Noreturn void fail(const char *what, int err)
{
	fprintf(stderr, "heap-dump: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* --- parts of the object --- */

static json_t *balance_object(const struct heap_balance *balance)
{
	json_t *object = json_object();

#define SET_FIELD(name, text) \
	json_object_set_new(object, #name, json_integer((json_int_t)balance->name));
	HEAP_BALANCE(SET_FIELD)
#undef SET_FIELD
	return object;
}

/* [[bytes of a block, pools with a block in use, blocks in use, blocks free in them]], as
 * sys._debugmallocstats() has it, but for blocks that were never carved. */
static json_t *pools_array(const struct heap_blocks *blocks)
{
	enum { CLASSES = 64 };
	uint64_t pools[CLASSES] = {0}, used[CLASSES] = {0}, spare[CLASSES] = {0};
	json_t *array = json_array();

	for (size_t i = 0; i < blocks->run_count; i++) {
		const struct heap_run *run = &blocks->runs[i];
		unsigned class = run->stride / 16;

		if (run->kind != RUN_POOL)
			continue;
		pools[class]++;
		for (uint32_t k = 0; k < run->count; k++) {
			if (heap_blocks_type(blocks, run->first + k) == BLOCK_FREE)
				spare[class]++;
			else
				used[class]++;
		}
	}
	for (unsigned class = 0; class < CLASSES; class ++) {
		if (pools[class])
			json_array_append_new(array, json_pack("[iIII]", class * 16, pools[class],
							       used[class], spare[class]));
	}
	return array;
}

/* Adds a type's figures to those that have its name. */
static void add_type(json_t *object, const char *name, uint64_t objects, uint64_t bytes)
{
	json_t *row = json_object_get(object, name);

	if (row) {
		objects += (uint64_t)json_integer_value(json_array_get(row, 0));
		bytes += (uint64_t)json_integer_value(json_array_get(row, 1));
	}
	if (objects)
		json_object_set_new_nocheck(
			object, name, json_pack("[II]", (json_int_t)objects, (json_int_t)bytes));
}

/* {name: [objects, bytes of their blocks]}; types of one name together. */
static json_t *types_object(const struct heap_types *types, const struct heap_blocks *blocks)
{
	uint64_t(*sums)[2] = calloc(heap_types_count(types) + 1, sizeof(*sums));
	json_t *object = json_object();

	for (uint32_t i = 0; sums && i < heap_blocks_count(blocks); i++) {
		int32_t type = heap_blocks_type(blocks, i);

		if (type >= 0) {
			sums[type][0]++;
			sums[type][1] += heap_blocks_size(blocks, i);
		}
	}
	for (uint32_t i = 0; sums && i < heap_types_count(types); i++)
		add_type(object, heap_types_get(types, (int32_t)i)->name, sums[i][0], sums[i][1]);
	free(sums);
	return object;
}

static void add_allocators(json_t *object, const struct heap_allocators *a)
{
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{"pool_count", a->pools},
		{"free_pools", a->free_pools},
		{"broken_pools", a->broken_pools},
		{"broken_chunks", a->broken_chunks},
		{"cached_bytes", a->cached_bytes},
		{"malloc_used_bytes", a->malloc_used_bytes},
		{"malloc_free_bytes", a->malloc_free_bytes},
		{"malloc_top_bytes", a->malloc_top_bytes},
		{"malloc_trimmable_bytes", a->malloc_trimmable_bytes},
		{"mapped_chunk_bytes", a->mapped_chunk_bytes},
	};

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		json_object_set_new(object, figures[i].name,
				    json_integer((json_int_t)figures[i].value));
	if (a->opaque)
		json_object_set_new(object, "opaque", json_string(a->opaque));
}

/* --- the whole --- */

static void save(const struct snapshot *snapshot, const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : snapshot_save(snapshot, fd);

	if (err || close(fd))
		fail(name, err ? err : -errno);
}

/* Most that this process had resident, in KiB. Not getrusage(): what that says of a process counts
 * from before its exec, when it was a copy of whoever started it. */
static json_int_t peak_kib(void)
{
	static const char field[] = "\nVmHWM:";
	char text[8192];
	const char *at = NULL;
	ssize_t n = proc_file_read(getpid(), "status", text, sizeof(text) - 1);

	if (n > 0) {
		text[n] = '\0';
		at = strstr(text, field);
	}
	if (!at)
		fail("VmHWM", n < 0 ? (int)n : -EPROTO);
	return strtoll(at + strlen(field), NULL, 10);
}

/* Most that this process and its child, which runs no program of its own, had resident; what they
 * share counts twice. */
static json_int_t own_kib(void)
{
	struct rusage children;

	getrusage(RUSAGE_CHILDREN, &children);
	return peak_kib() + children.ru_maxrss;
}

static void print(json_t *object)
{
	json_object_set_new(object, "own_kib", json_integer(own_kib()));
	json_dumpf(object, stdout, JSON_COMPACT);
	puts("");
	json_decref(object);
}

static void identify(pid_t pid, struct py_process *process, struct py_heap_layout *layout)
{
	int err = py_process_identify(py_image_cache_new(), pid, process);

	if (!err)
		err = py_heap_layout_find(process, layout);
	if (err)
		fail("this Python", err);
}

static json_t *begin_object(const struct snapshot *snapshot, double begin,
			    const struct heap_balance *balance)
{
	json_t *object = json_pack("{sfsIsIsf}", "seconds", clock_seconds(CLOCK_MONOTONIC) - begin,
				   "rss_bytes", (json_int_t)snapshot_rss_bytes(snapshot),
				   "swapped_bytes", (json_int_t)snapshot_swapped_bytes(snapshot),
				   "paused_ms", snapshot_paused_ms(snapshot));

	json_object_set_new(object, "balance", balance_object(balance));
	return object;
}

static void dump(pid_t pid, const struct snapshot_options *options, const char *file)
{
	static struct py_process process;
	struct py_heap_layout layout;
	struct heap_balance balance;
	struct heap_blocks *blocks;
	struct snapshot *snapshot;
	struct heap_types *types;
	double begin;
	json_t *object;
	int err;

	identify(pid, &process, &layout);
	begin = clock_seconds(CLOCK_MONOTONIC);
	err = snapshot_take(pid, options, &snapshot);
	if (err)
		fail("snapshot", err);
	types = heap_types_new(snapshot, &layout, &process.layout);
	err = types ? heap_blocks_find(snapshot, &layout, types, &blocks) : -ENOMEM;
	if (!err)
		err = heap_balance_make(snapshot, blocks, NULL, NULL, &balance);
	if (err)
		fail("blocks", err);
	object = begin_object(snapshot, begin, &balance);
	json_object_set_new(object, "pools", pools_array(blocks));
	json_object_set_new(object, "types", types_object(types, blocks));
	add_allocators(object, heap_blocks_allocators(blocks));
	if (file)
		save(snapshot, file);
	heap_blocks_free(blocks);
	heap_types_free(types);
	snapshot_free(snapshot);
	print(object);
}

static void dump_survey(pid_t pid, const struct snapshot_options *options)
{
	double begin = clock_seconds(CLOCK_MONOTONIC);
	static struct py_process process;
	struct py_heap_layout layout;
	struct heap_survey *survey;
	json_t *object, *types = json_object();
	int err;

	identify(pid, &process, &layout);
	err = heap_survey_take(pid, options, &layout, &process.layout, &survey);
	if (err)
		fail("survey", err);
	for (size_t i = 0; i < survey->row_count; i++)
		add_type(types, heap_types_get(survey->types, survey->rows[i].type)->name,
			 survey->rows[i].objects, survey->rows[i].bytes);
	object = begin_object(survey->snapshot, begin, &survey->balance);
	json_object_set_new(object, "types", types);
	add_allocators(object, &survey->allocators);
	heap_survey_free(survey);
	print(object);
}

int main(int argc, char **argv)
{
	struct snapshot_options options = {.pause = false};
	const char *file = NULL;
	bool survey = false;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--pause") == 0)
			options.pause = true;
		else if (strcmp(argv[i], "--survey") == 0)
			survey = true;
		else if (strcmp(argv[i], "--save") == 0 && i + 1 < argc)
			file = argv[++i];
	}
	if (i != argc - 1) {
		fprintf(stderr, "heap-dump [--pause] [--survey] [--save FILE] PID\n");
		return 2;
	}
	if (survey)
		dump_survey(atoi(argv[i]), &options);
	else
		dump(atoi(argv[i]), &options, file);
	return 0;
}
