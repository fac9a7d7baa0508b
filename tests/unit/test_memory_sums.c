/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Balances of control groups: what the kernel says, beside what lines of processes changed that
 * run, have ended, or began meanwhile; and the sentences about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/memory_sums.h"
#include "os/cgroup_memory.h"
#include "render/render_memory.h"

#define PAGE 4096
#define MIB  (1 << 20)

struct given {
	struct model *model;
	struct memory_sums sums;
};

static int begin(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->model = model_new(PAGE);
	if (!g->model)
		return -1;
	g->model->kernel_known = g->model->cache_known = true;
	g->model->memory_batch = PAGE;
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct given *g = *state;

	memory_sums_free(&g->sums);
	model_free(g->model);
	free(g);
	return 0;
}

/* A group that had 100 MiB of each kind; each has changed by so many, in all by that of all four.
 */
static struct cgroup_stat *add_group(struct given *g, const char *path, int anon, int file,
				     int shmem, int kernel)
{
	struct model_memory_group group = {.path = (char *)path};
	int64_t *b = group.end.bytes;

	for (int i = 0; i < CGROUP_PART_COUNT; i++)
		group.start.bytes[i] = b[i] = 100ll * MIB;
	group.start.bytes[CGROUP_TOTAL] = b[CGROUP_TOTAL] = 1000ll * MIB;
	b[CGROUP_ANON] += (int64_t)anon * MIB;
	b[CGROUP_FILE] += (int64_t)(file + shmem) * MIB;
	b[CGROUP_SHMEM] += (int64_t)shmem * MIB;
	b[CGROUP_KERNEL] += (int64_t)kernel * MIB;
	b[CGROUP_TOTAL] += (int64_t)(anon + file + shmem + kernel) * MIB;
	group.start.v1 = group.end.v1 = !strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1));
	assert_int_equal(model_add_memory_group(g->model, &group), 0);
	return &g->model->memory_groups[g->model->memory_group_count - 1].end;
}

/* A process of that group, which had so many MiB of anonymous memory. */
static struct model_process *add_process(struct given *g, unsigned group, int pid, int anon)
{
	struct model_process *p =
		model_add_process(g->model, pid, 1, "python3", NULL, "", "3.11.2", "walk");

	assert_non_null(p);
	p->memory_group = group;
	p->rss_start_bytes = p->anon_start_bytes = p->rss_end_bytes = p->anon_end_bytes =
		(int64_t)anon * MIB;
	return p;
}

/* A line of the process adds so many MiB. */
static void add_anon(struct given *g, struct model_process *p, int line, int mib, uint64_t copied)
{
	const struct model_location *at = model_location(g->model, "/srv/app.py", "work", line, 1);
	struct pymem_counters counters = {.cow_faults = copied};

	assert_non_null(at);
	counters.pages[PYMEM_ANON] = mib * (MIB / PAGE);
	assert_int_equal(model_add_stack(g->model, p, &at, 1, false, &counters, NULL), 0);
	p->anon_end_bytes += (int64_t)mib * MIB;
	p->rss_end_bytes += (int64_t)mib * MIB;
}

static void add_kernel(struct given *g, struct model_process *p, int line,
		       enum pymem_kernel_kind kind, int mib)
{
	const struct model_location *at = model_location(g->model, "/srv/app.py", "work", line, 1);
	struct pymem_kernel kernel = {};

	kernel.bytes[kind] = (int64_t)mib * MIB;
	assert_int_equal(model_add_kernel(g->model, p, line ? &at : NULL, line ? 1 : 0,
					  PYMEM_LOSS_NO_FRAME, &kernel),
			 0);
}

static void add_cached(struct given *g, struct model_process *p, int line, int mib, int gone,
		       int other)
{
	const struct model_location *at = model_location(g->model, "/srv/app.py", "work", line, 1);
	const struct model_cache_amounts amounts = {.bytes = (uint64_t)mib * MIB,
						    .gone_bytes = (uint64_t)gone * MIB,
						    .other_bytes = (uint64_t)other * MIB};

	assert_int_equal(model_add_cached(g->model, p, line ? &at : NULL, line ? 1 : 0,
					  PYMEM_LOSS_NO_FRAME, "/x", false, &amounts),
			 0);
}

static const struct memory_sum *made(struct given *g, size_t count)
{
	memory_sums_free(&g->sums);
	assert_int_equal(model_compute(g->model), 0);
	assert_int_equal(memory_sums_make(g->model, SIZE_MAX, &g->sums), 0);
	assert_int_equal(g->sums.count, count);
	return g->sums.list;
}

/* The row, in MiB; and each of them adds up. */
static void check_row(const struct memory_sum *sum, enum memory_row_id id, int lines, int no_line,
		      int ended, int remainder)
{
	const struct memory_row *row = &sum->rows[id];

	assert_true(row->known);
	assert_int_equal(row->end - row->start,
			 row->lines + row->no_line + row->ended + row->remainder);
	assert_int_equal(row->lines, (int64_t)lines * MIB);
	assert_int_equal(row->no_line, (int64_t)no_line * MIB);
	assert_int_equal(row->ended, (int64_t)ended * MIB);
	assert_int_equal(row->remainder, (int64_t)remainder * MIB);
}

static char *said(struct given *g, struct render_options options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(model_compute(g->model), 0);
	assert_int_equal(render_memory(out, g->model, &options), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void check_said(struct given *g, struct render_options options, const char *has,
		       const char *lacks)
{
	char *text = said(g, options);

	if (has && !strstr(text, has))
		fail_msg("\"%s\" is not in: %s", has, text);
	if (lacks && strstr(text, lacks))
		fail_msg("\"%s\" is in: %s", lacks, text);
	free(text);
}

static void test_sums(void **state)
{
	struct given *g = *state;
	const struct memory_sum *sum;
	struct model_process *p;

	add_group(g, "/a", 50, 12, 0, 9)->processes = 3;
	p = add_process(g, 1, 10, 20);
	add_anon(g, p, 5, 30, 0);
	add_anon(g, p, 6, -2, 0);
	p->anon_end_bytes += 4 * MIB; /* by no line */
	add_kernel(g, p, 5, PYMEM_KERNEL_TABLES, 3);
	add_kernel(g, p, 7, PYMEM_KERNEL_PIPES, 4);
	add_kernel(g, p, 0, PYMEM_KERNEL_STACKS, 1);
	add_cached(g, p, 8, 20, 6, 5);
	sum = made(g, 1);
	check_row(sum, MEMORY_ANON, 28, 4, 0, 18);
	/* A quarter is another group's, also of what is still there. */
	assert_int_equal(sum->rows[MEMORY_FILES].lines, 14 * MIB * 3 / 4);
	assert_int_equal(sum->rows[MEMORY_FILES].remainder, 12 * MIB - 14 * MIB * 3 / 4);
	check_row(sum, MEMORY_SHMEM, 0, 0, 0, 0);
	check_row(sum, MEMORY_KERNEL, 7, 1, 0, 1);
	check_row(sum, MEMORY_OTHER, 0, 0, 0, 0);
	assert_int_equal(sum->rows[MEMORY_TOTAL].lines, 35 * MIB + 14 * MIB * 3 / 4);
	assert_int_equal(sum->processes, 1);
	assert_int_equal(sum->others, 2);
	assert_int_equal(sum->rows[MEMORY_ANON].most->line, 5);
	assert_int_equal(sum->rows[MEMORY_KERNEL].most->line, 7);
	assert_int_equal(sum->rows[MEMORY_FILES].most->line, 8);
	assert_int_equal(sum->rows[MEMORY_TOTAL].most->line, 5);
	assert_int_equal(sum->rows[MEMORY_TOTAL].most_bytes, 33 * MIB);
	assert_null(sum->rows[MEMORY_SHMEM].most);
	/* By kind: the kernel's page tables and stacks did not change, says the kernel. */
	assert_int_equal(sum->parts[MEMORY_PART_TABLES].remainder, -3 * MIB);
	assert_int_equal(sum->parts[MEMORY_PART_STACKS].remainder, -1 * MIB);
	assert_int_equal(sum->parts[MEMORY_PART_OBJECTS].remainder, 5 * MIB);
}

/* What has ended has given back all; of one that began meanwhile, only what came. */
static void test_ended(void **state)
{
	struct given *g = *state;
	const struct memory_sum *sum;
	struct model_process *p;

	add_group(g, "/a", -20, 5, 0, -1);
	p = add_process(g, 1, 10, 20); /* it was there before */
	add_anon(g, p, 5, 30, 0);
	p->tables_start_bytes = 1 * MIB;
	add_kernel(g, p, 5, PYMEM_KERNEL_TABLES, 2);
	add_cached(g, p, 8, 5, 0, 0);
	p->exited = true;
	p = add_process(g, 1, 11, 20); /* its child */
	add_anon(g, p, 6, 7, 99);
	p->tables_start_bytes = 1 * MIB;
	p->began = p->exited = true;
	sum = made(g, 1);
	check_row(sum, MEMORY_ANON, 37, 0, -57, 0);
	check_row(sum, MEMORY_FILES, 5, 0, 0, 0);
	check_row(sum, MEMORY_KERNEL, 2, 1, -4, 0);
	check_row(sum, MEMORY_TOTAL, 44, 1, -61, 0);
	assert_int_equal(sum->parts[MEMORY_PART_TABLES].counted, -1 * MIB);
	assert_int_equal(sum->ended, 2);
	assert_int_equal(sum->processes, 0);
	/* Pages that it copied are gone, too. */
	assert_int_equal(sum->copied_bytes, 0);
	assert_int_equal(sum->others, 0);
}

/* Pages of another group's that have gone are not taken off those of the own group that are there;
 * and what is by no line is not what lines make of it. */
static void test_other_files(void **state)
{
	struct given *g = *state;
	struct model_process *p;

	add_group(g, "/a", 0, 13, 0, 0);
	p = add_process(g, 1, 10, 20);
	add_cached(g, p, 5, 24, 24, 24);
	add_cached(g, p, 6, 10, 0, 0);
	add_cached(g, p, 7, 8, 0, 8);
	add_cached(g, p, 0, 6, 3, 0);
	check_row(made(g, 1), MEMORY_FILES, 10, 3, 0, 0);
	/* More of another group's than there is: read at different instants. */
	add_cached(g, p, 7, 0, 0, 1);
	check_row(made(g, 1), MEMORY_FILES, 10, 3, 0, 0);
}

/* A group below another one is part of it; a name that only begins alike is none of it. */
static void test_below(void **state)
{
	struct given *g = *state;
	const struct memory_sum *sum;

	add_group(g, "/a", 7, 0, 0, 0)->processes = -1;
	add_group(g, "/a/b", 4, 0, 0, 0);
	add_group(g, "/ab", 2, 0, 0, 0);
	add_group(g, "/none", 90, 0, 0, 0);
	add_anon(g, add_process(g, 1, 10, 1), 5, 3, 3);
	add_anon(g, add_process(g, 2, 11, 1), 5, 4, 0);
	add_anon(g, add_process(g, 3, 12, 1), 5, 2, 0);
	add_anon(g, add_process(g, 0, 13, 1), 5, 50, 0);
	sum = made(g, 3);
	check_row(&sum[0], MEMORY_ANON, 7, 0, 0, 0);
	check_row(&sum[1], MEMORY_ANON, 4, 0, 0, 0);
	check_row(&sum[2], MEMORY_ANON, 2, 0, 0, 0);
	assert_string_equal(sum[0].group->path, "/a");
	assert_int_equal(sum[0].processes, 2);
	assert_int_equal(sum[0].others, -1);
	assert_int_equal(sum[0].copied_bytes, 3 * PAGE);
	/* The same line of two processes is one. */
	assert_int_equal(sum[0].rows[MEMORY_ANON].most_bytes, 7 * MIB);
	/* Of groups that are not shown it is not looked for. */
	assert_non_null(sum[1].rows[MEMORY_ANON].most);
	memory_sums_free(&g->sums);
	assert_int_equal(memory_sums_make(g->model, 1, &g->sums), 0);
	sum = g->sums.list;
	assert_non_null(sum[0].rows[MEMORY_ANON].most);
	assert_null(sum[1].rows[MEMORY_ANON].most);
	check_row(&sum[1], MEMORY_ANON, 4, 0, 0, 0);
	/* Figures of the group alone. */
	g->model->memory_groups[0].start.alone = g->model->memory_groups[0].end.alone = true;
	g->model->memory_groups[0].end.has_children = true;
	sum = made(g, 3);
	check_row(&sum[0], MEMORY_ANON, 3, 0, 0, 4);
	assert_int_equal(sum[0].processes, 1);
	check_said(g, (struct render_options){.cgroup = true}, "The remainder:", "groups below it");
	g->model->memory_groups[0].start.alone = false;
	/* A number that no group has. */
	g->model->processes[3]->memory_group = 77;
	made(g, 3);
}

static void test_unknown(void **state)
{
	struct given *g = *state;
	const struct memory_sum *sum;
	struct cgroup_stat *stat = add_group(g, "memory:/a", 5, 0, 0, 2);
	struct model_process *p = add_process(g, 1, 10, 1);

	for (int i = CGROUP_KERNEL_STACK; i < CGROUP_PART_COUNT; i++)
		stat->bytes[i] = -1;
	stat->bytes[CGROUP_SHMEM] = -1;
	add_kernel(g, p, 5, PYMEM_KERNEL_TABLES, 2);
	sum = made(g, 1);
	assert_false(sum->rows[MEMORY_SHMEM].known);
	check_row(sum, MEMORY_KERNEL, 2, 0, 0, 0);
	/* What is not told apart is among the objects. */
	assert_false(sum->parts[MEMORY_PART_TABLES].known);
	assert_int_equal(sum->parts[MEMORY_PART_OBJECTS].counted, 2 * MIB);
	assert_int_equal(sum->parts[MEMORY_PART_OBJECTS].remainder, 0);
	stat->bytes[CGROUP_KERNEL] = -1;
	sum = made(g, 1);
	assert_false(sum->rows[MEMORY_KERNEL].known || sum->rows[MEMORY_OTHER].known ||
		     sum->kernel_known);
	assert_true(sum->rows[MEMORY_TOTAL].known);
	assert_int_equal(sum->rows[MEMORY_KERNEL].end, -1);
	assert_int_equal(sum->rows[MEMORY_KERNEL].remainder, 0);
	/* All of it is the total's. */
	assert_int_equal(sum->rows[MEMORY_TOTAL].remainder, 5 * MIB);
}

/* --- in words --- */

static void test_sentences(void **state)
{
	const struct render_options plain = {.top = 20}, whole = {.top = 20, .cgroup = true};
	struct given *g = *state;
	struct cgroup_stat *stat;
	struct model_process *p;

	/* Nobody asked. */
	check_said(g, plain, NULL, "\n");
	stat = add_group(g, "/a\033[31m", 60, 0, 0, 9);
	stat->processes = 3;
	p = add_process(g, 1, 10, 20);
	add_anon(g, p, 5, 40, 20 * MIB / PAGE);
	add_kernel(g, p, 5, PYMEM_KERNEL_PIPES, 4);
	check_said(g, plain,
		   "Control group /a\\x1b[31m: files 0.0 MiB, 0.0 MiB: 0.0 MiB by lines, 0.0 MiB "
		   "by no line, 0.0 MiB remainder; kernel 109.0 MiB, +9.0 MiB: +4.0 MiB by lines, "
		   "0.0 MiB by no line, +5.0 MiB remainder (+5.0 MiB objects and other pages). The "
		   "remainder: 2 processes of the group are not watched; what the kernel allocates "
		   "in interrupts and in threads of its own is counted for nobody.\n",
		   "anonymous");
	check_said(g, whole, "20.0 MiB were copied on write", NULL);
	check_said(g, plain, NULL, "copied");
	/* Nothing is left over: no reasons. */
	stat->bytes[CGROUP_KERNEL] = 104ll * MIB;
	check_said(g, plain, "kernel 104.0 MiB, +4.0 MiB: +4.0 MiB by lines", "The remainder:");
	stat->bytes[CGROUP_KERNEL] += 100;
	check_said(g, plain, "adds up in batches, each figure may be wrong by 4 KiB", "interrupts");
	stat->bytes[CGROUP_KERNEL] -= 2 * MIB;
	check_said(g, plain, "does not tell that they are freed", "interrupts");
	stat->bytes[CGROUP_PERCPU] = -1;
	check_said(g, plain, "Not told apart by this kernel: per-CPU memory.", NULL);
	stat->derived = true;
	check_said(g, plain, "no figure of its own memory", NULL);
	stat->bytes[CGROUP_KERNEL] = -1;
	check_said(g, plain, "This kernel does not say of the group: kernel.", "anonymous");
	check_said(g, whole, "does not say of the group: kernel, other.", NULL);
	/* Only what was counted is told of. */
	g->model->kernel_known = false;
	check_said(g, plain, "files 0.0 MiB", "kernel");
	p->exited = true;
	check_said(g, whole, "0 processes watched, 1 more ended", NULL);
	check_said(g, (struct render_options){.live = true}, NULL, "\n");
}

/* A process that is the first of its group, and profiled from its beginning, has what it used by
 * then twice: no fork is made the reason. */
static void test_began(void **state)
{
	const struct render_options plain = {.top = 20}, whole = {.top = 20, .cgroup = true};
	const char *const why = "profiled from its beginning", *const fork = "share after a fork";
	struct given *g = *state;
	struct model_process *p;

	add_group(g, "/a", 30, 0, 0, 0)->processes = 1;
	p = add_process(g, 1, 10, 20);
	add_anon(g, p, 5, 40, 0);
	check_said(g, whole, fork, why);
	g->model->memory_groups[0].began = p->began = true;
	check_said(g, whole, why, fork);
	check_said(g, plain, NULL, why);
	add_kernel(g, p, 5, PYMEM_KERNEL_PIPES, 4);
	check_said(g, plain, why, fork);
	add_process(g, 1, 11, 1);
	check_said(g, whole, why, NULL);
	check_said(g, whole, fork, NULL);
}

/* Swapped memory, and pages that outlive who shared them: reasons only where they apply. */
static void test_other_reasons(void **state)
{
	const struct render_options whole = {.top = 20, .cgroup = true};
	const char *const swapped = "in the swap cache", *const shared = "an ended process shared";
	struct model_location const *at;
	struct pymem_counters counters = {};
	struct given *g = *state;
	struct model_process *p;

	add_group(g, "/a", 30, 6, 0, 0);
	p = add_process(g, 1, 10, 20);
	add_anon(g, p, 5, 4, 0);
	check_said(g, whole, "files' pages that others brought", swapped);
	check_said(g, whole, NULL, shared);
	at = model_location(g->model, "/srv/app.py", "work", 5, 1);
	counters.pages[PYMEM_SWAP] = -3;
	assert_int_equal(model_add_stack(g->model, p, &at, 1, false, &counters, NULL), 0);
	check_said(g, whole, swapped, shared);
	p = add_process(g, 1, 11, 20);
	p->began = p->exited = true;
	check_said(g, whole, shared, NULL);
	/* Nothing is left over of them. */
	g->model->memory_groups[0].end.bytes[CGROUP_FILE] = 100 * MIB;
	g->model->memory_groups[0].end.bytes[CGROUP_ANON] = 104 * MIB;
	check_said(g, whole, NULL, swapped);
	check_said(g, whole, NULL, shared);
}

/* A process that has moved to another group is told of, and is none that is watched of the first.
 */
static void test_moved(void **state)
{
	const struct render_options whole = {.top = 20, .cgroup = true};
	const char *const moved = "1 process moved to another group: what it did since is here by "
				  "lines";
	struct given *g = *state;
	struct cgroup_stat *stat = add_group(g, "/a", 30, 0, 0, 9);
	struct model_process *p = add_process(g, 1, 10, 20);

	add_anon(g, p, 5, 40, 0);
	stat->processes = 1;
	check_said(g, whole, "The remainder:", "moved to another group");
	assert_int_equal(made(g, 1)->moved, 0);
	assert_int_equal(made(g, 1)->others, 0);
	p->memory_moved = true;
	check_said(g, whole, moved, NULL);
	assert_int_equal(made(g, 1)->moved, 1);
	assert_int_equal(made(g, 1)->others, 1);
	/* Once it has ended nothing is known of that. */
	p->exited = true;
	check_said(g, whole, NULL, "moved to another group");
}

/* A group that is gone at the end is not told of as if the kernel did not say; and one that has a
 * predecessor's figures at first says so, in place of reasons. */
static void test_gone(void **state)
{
	const struct render_options plain = {.top = 20}, whole = {.top = 20, .cgroup = true};
	const char *const removed = "It was removed before the end", *const anew = "made anew";
	struct given *g = *state;
	struct cgroup_stat *stat = add_group(g, "/a", 30, 0, 0, 9);

	add_anon(g, add_process(g, 1, 10, 20), 5, 40, 0);
	g->model->memory_groups[0].start.inode = stat->inode = 77;
	check_said(g, whole, "The remainder:", "removed");
	assert_false(made(g, 1)->removed || made(g, 1)->replaced);
	stat->inode = 78;
	check_said(g, whole, anew, "The remainder:");
	check_said(g, plain, anew, removed);
	assert_true(made(g, 1)->replaced && !made(g, 1)->removed);
	memset(stat->bytes, 0xff, sizeof(stat->bytes));
	stat->inode = 0;
	check_said(g, whole, removed, "does not say");
	check_said(g, plain,
		   "Control group /a: It was removed before the end: what it used then is "
		   "not known.\n",
		   anew);
	assert_true(made(g, 1)->removed && !made(g, 1)->replaced);
}

/* Many groups: the first ones are told, the others counted; -n 0 tells all. A narrow terminal gets
 * sentences. */
static void test_many(void **state)
{
	struct given *g = *state;
	char path[32];

	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "/many/%02d", i);
		add_group(g, path, i, 0, 0, 0);
		add_process(g, (unsigned)i + 1, 100 + i, 1);
	}
	check_said(g, (struct render_options){.top = 20}, "and 12 more control groups", "/many/11");
	check_said(g, (struct render_options){.top = 20}, "/many/12", "/many/11");
	check_said(g, (struct render_options){.top = 0}, "/many/00", "more control groups");
	check_said(g, (struct render_options){.top = 20, .cgroup = true, .width = 79},
		   "Control group /many/19:", "Kernel's");
	check_said(g, (struct render_options){.top = 20, .cgroup = true, .width = 80}, "Kernel's",
		   "Mostly by");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, begin, end),
		cmocka_unit_test_setup_teardown(test_ended, begin, end),
		cmocka_unit_test_setup_teardown(test_other_files, begin, end),
		cmocka_unit_test_setup_teardown(test_below, begin, end),
		cmocka_unit_test_setup_teardown(test_unknown, begin, end),
		cmocka_unit_test_setup_teardown(test_sentences, begin, end),
		cmocka_unit_test_setup_teardown(test_began, begin, end),
		cmocka_unit_test_setup_teardown(test_other_reasons, begin, end),
		cmocka_unit_test_setup_teardown(test_moved, begin, end),
		cmocka_unit_test_setup_teardown(test_gone, begin, end),
		cmocka_unit_test_setup_teardown(test_many, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
