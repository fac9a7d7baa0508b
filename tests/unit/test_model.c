/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model.c, model_lines.c, model_ended.c, model_order.c: what a line gets, self and total,
 * conservation, order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "model/model.h"

#define PAGE 4096

static struct model_process *add_process(struct model *model)
{
	char *argv[] = {"python3", "x.py", NULL};
	struct model_process *p =
		model_add_process(model, 1, 0, "python3", argv, "/", "3.11.2", "walk");

	assert_non_null(p);
	return p;
}

static int setup(void **state)
{
	*state = model_new(PAGE);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	model_free(*state);
	return 0;
}

static const struct model_line *find(const struct model_process *p, const char *function, int line)
{
	size_t i;

	for (i = 0; i < p->line_count; i++) {
		if (!strcmp(p->lines[i].location->function, function) &&
		    p->lines[i].location->line == line)
			return &p->lines[i];
	}
	fail_msg("no line %s:%d", function, line);
	return NULL;
}

static void test_locations(void **state)
{
	struct model *model = *state;
	char name[] = "a.py";
	const struct model_location *a = model_location(model, name, "f", 3, 1);

	strcpy(name, "b.py"); /* strings are copied */
	assert_string_equal(a->file, "a.py");
	assert_ptr_equal(model_location(model, "a.py", "f", 3, 1), a);
	assert_ptr_not_equal(model_location(model, "a.py", "f", 4, 1), a);
	assert_ptr_not_equal(model_location(model, "a.py", "f", 3, 2), a);
	assert_ptr_not_equal(model_location(model, "a.py", "g", 3, 1), a);
	assert_ptr_not_equal(model_location(model, "b.py", "f", 3, 1), a);
	assert_int_equal(model_location(model, "a.py", "f", -7, 1)->line, 0);
	assert_string_equal(model_location(model, NULL, NULL, 1, 1)->file, "");
}

static void test_self_and_total(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model);
	const struct model_location *leaf = model_location(model, "a.py", "leaf", 9, 8);
	const struct model_location *other = model_location(model, "a.py", "other", 4, 3);
	const struct model_location *top = model_location(model, "a.py", "<module>", 20, 1);
	const struct model_location *one[] = {leaf, top}, *two[] = {other, top};
	struct pymem_counters c = {
		.pages =
			{[PYMEM_ANON] = 10, [PYMEM_FILE] = 2, [PYMEM_SHMEM] = -1, [PYMEM_SWAP] = 5},
		.grown_pages = 12,
		.freed_pages = 1,
		.peak_pages = 100,
		.minor_faults = 7,
		.major_faults = 1,
		.cow_faults = 3};
	struct pymem_counters d = {
		.pages = {[PYMEM_ANON] = -4}, .freed_pages = 4, .peak_pages = 200, .cow_faults = 2};
	struct pymem_vmcalls v = {.calls = {[PYMEM_VMCALL_BRK] = 2},
				  .bytes = {[PYMEM_VMCALL_BRK] = -8192}};
	const struct model_line *line;

	assert_int_equal(model_add_stack(model, p, one, 2, false, &c, &v), 0);
	assert_int_equal(model_add_stack(model, p, two, 2, false, &d, NULL), 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(p->line_count, 3);
	assert_int_equal(p->charged_bytes, 7 * PAGE);
	line = find(p, "leaf", 9);
	assert_int_equal(line->increment_bytes, 11 * PAGE); /* swap is no part of it */
	assert_int_equal(line->total_bytes, 11 * PAGE);
	assert_int_equal(line->anon_bytes, 10 * PAGE);
	assert_int_equal(line->file_bytes, 2 * PAGE);
	assert_int_equal(line->shmem_bytes, -PAGE);
	assert_int_equal(line->swap_bytes, 5 * PAGE);
	assert_int_equal(line->grown_bytes, 12 * PAGE);
	assert_int_equal(line->freed_bytes, PAGE);
	assert_int_equal(line->minor_faults, 7);
	assert_int_equal(line->major_faults, 1);
	assert_int_equal(line->cow_faults, 3);
	assert_int_equal(line->peak_bytes, 100 * PAGE);
	assert_int_equal(line->vm_calls[PYMEM_VMCALL_BRK], 2);
	assert_int_equal(line->vm_bytes[PYMEM_VMCALL_BRK], -8192);
	assert_int_equal(line->mem_usage_bytes, -1);
	assert_int_equal(line->occurrences, -1);
	line = find(p, "<module>", 20);
	assert_int_equal(line->increment_bytes, 0);
	assert_int_equal(line->total_bytes, 7 * PAGE);
	assert_int_equal(line->peak_bytes, 200 * PAGE);
	assert_int_equal(line->cow_faults, 0);
	assert_int_equal(line->cow_total_faults, 5);
	assert_int_equal(line->vm_calls[PYMEM_VMCALL_BRK], 0);
}

/* Frozen processes stay as they are while reports come and go. */
static void test_freeze(void **state)
{
	struct model *model = *state;
	struct model_process *p, *ended[3];
	const struct model_location *frames[] = {model_location(model, "a.py", "f", 5, 1)};
	struct pymem_counters c = {.pages = {[PYMEM_ANON] = 10}};
	size_t round, i;

	for (round = 0; round < 3; round++) {
		/* One process ends, another one lives on. */
		ended[round] = add_process(model);
		assert_int_equal(model_add_stack(model, ended[round], frames, 1, false, &c, NULL),
				 0);
		assert_int_equal(model_freeze(model), 0);
		assert_int_equal(model->process_count, 0);
		c.pages[PYMEM_ANON]++;
		p = add_process(model);
		assert_int_equal(model_add_stack(model, p, frames, 1, false, &c, NULL), 0);
		assert_int_equal(model_add_note(model, "a note"), 0);
		assert_int_equal(model_add_skip(model, 7, "x", "no Python"), 0);
		assert_int_equal(model_compute(model), 0);
		assert_int_equal(model_compute(model), 0); /* once more changes nothing */
		assert_int_equal(model->process_count, 2 + round);
		assert_ptr_equal(model->processes[0], p);
		assert_int_equal(p->charged_bytes, (11 + (int)round) * PAGE);
		for (i = 0; i <= round; i++) {
			assert_ptr_equal(model->processes[1 + i], ended[i]);
			assert_int_equal(ended[i]->charged_bytes, (10 + (int)i) * PAGE);
			assert_int_equal(ended[i]->line_count, 1);
			assert_int_equal(find(ended[i], "f", 5)->increment_bytes,
					 (10 + (int)i) * PAGE);
		}
		model_clear(model);
		assert_int_equal(model->process_count, 0);
		assert_int_equal(model->note_count, 0);
		assert_int_equal(model->skip_count, 0);
	}
	assert_int_equal(model_freeze(model), 0); /* nothing to freeze */
}

/* Called for each process that is gathered. */
static void hear(const struct model_process *process, void *arg)
{
	int *sum = arg;

	*sum += process->id;
}

static struct model_process *end_process(struct model *model, int id, int pages)
{
	struct model_process *p = add_process(model);
	const struct model_location *frame;
	struct pymem_counters c = {.pages = {[PYMEM_ANON] = pages}};
	char name[32];
	int i;

	p->id = id;
	p->rss_start_bytes = 100 * PAGE;
	p->rss_end_bytes = (100 + 3 * pages + 7) * PAGE;
	p->lost_bytes[PYMEM_LOSS_EXIT] = 7 * PAGE;
	snprintf(name, sizeof(name), "job-%d.py", id);
	for (i = 0; i < 3; i++) {
		frame = model_location(model, name, i ? "f" : "<module>", 5 + i, i);
		assert_int_equal(model_add_stack(model, p, &frame, 1, false, &c, NULL), 0);
	}
	assert_int_equal(model_freeze(model), 0);
	return p;
}

/* Ended processes stay within their limit: those that changed least are gathered, and their sums
 * stay. */
static void test_gather_ended(void **state)
{
	enum { COUNT = 100, KEPT = 12 };
	const struct model_ended_limits limits = {.bytes = KEPT * 2048};
	struct model *model = *state;
	const struct model_location *f;
	struct model_process *p;
	int64_t change = 0, charged = 0, lost = 0;
	int heard = 0, id, pages;
	size_t i;

	for (id = 1; id <= COUNT; id++) {
		/* Grown and shrunk. The one that changed most is neither the first nor the last. */
		pages = (id * 37 % COUNT) * (id % 2 ? 1 : -1);
		end_process(model, id, pages);
		change += (3 * pages + 7) * PAGE;
		assert_int_equal(model_gather_ended(model, &limits, hear, &heard), 0);
		/* A little more than the limit: each takes about 3 KiB. */
		assert_int_equal(model_compute(model), 0);
		assert_true(model->process_count <= KEPT + 1);
		model_clear(model);
	}
	assert_int_equal(model_compute(model), 0);
	assert_true(model->process_count >= KEPT / 3);
	assert_int_equal(model->process_count + model->gathered.processes, COUNT);
	change -= model->gathered.change_bytes;
	charged = model->gathered.charged_bytes;
	lost = model->gathered.lost_bytes[PYMEM_LOSS_EXIT];
	assert_int_equal(charged + lost, model->gathered.change_bytes);
	for (i = 0; i < model->process_count; i++) {
		p = model->processes[i];
		change -= p->rss_end_bytes - p->rss_start_bytes;
		heard += p->id;
		/* Names still exist, each once. */
		assert_int_equal(p->line_count, 3);
		f = p->lines[0].location;
		assert_int_equal(atoi(f->file + strlen("job-")), p->id);
		assert_ptr_equal(
			model_location(model, f->file, f->function, f->line, f->first_line), f);
	}
	assert_int_equal(change, 0);
	assert_int_equal(heard, COUNT * (COUNT + 1) / 2);
	/* The process that changed most is there. */
	model_sort_processes(model, MODEL_SORT_INCREMENT);
	assert_true(labs(model->processes[0]->charged_bytes) >= 3 * (COUNT - 2) * PAGE);
}

static void test_sort_processes(void **state)
{
	static const struct {
		int pid, start, end, peak, grown;
	} given[] = {
		{30, 10, 20, 90, 5}, {20, 50, 10, 60, 1}, {10, 10, 20, 70, 9}, {40, 5, 5, 99, 8}};
	static const struct {
		enum model_sort sort;
		int pids[4];
	} wanted[] = {
		{MODEL_SORT_INCREMENT, {20, 10, 30, 40}},
		{MODEL_SORT_TOTAL, {20, 10, 30, 40}},
		{MODEL_SORT_PEAK, {40, 30, 10, 20}},
		{MODEL_SORT_GROWN, {10, 40, 30, 20}},
	};
	struct model *model = *state;
	const struct model_location *f = model_location(model, "a.py", "f", 1, 1);
	struct model_process *p;
	size_t i, j;

	for (i = 0; i < 4; i++) {
		struct pymem_counters c = {.grown_pages = given[i].grown};

		p = add_process(model);
		p->pid = given[i].pid;
		p->rss_start_bytes = given[i].start * PAGE;
		p->rss_end_bytes = given[i].end * PAGE;
		p->rss_peak_bytes = given[i].peak * PAGE;
		assert_int_equal(model_add_stack(model, p, &f, 1, false, &c, NULL), 0);
	}
	assert_int_equal(model_compute(model), 0);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		assert_int_equal(model_sort_processes(model, wanted[i].sort), 0);
		for (j = 0; j < 4; j++)
			assert_int_equal(model->processes[j]->pid, wanted[i].pids[j]);
	}
}

/* A line that occurs twice on a stack gets its total once. Two locations of one line (one without
 * the function's first line) are one line. */
static void test_recursion(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model);
	const struct model_location *f = model_location(model, "a.py", "f", 5, 1);
	const struct model_location *f2 = model_location(model, "a.py", "f", 5, 0);
	const struct model_location *frames[] = {f, f, f2, f};
	struct pymem_counters c = {.pages = {[PYMEM_ANON] = 10}, .cow_faults = 1};

	assert_ptr_not_equal(f, f2);
	assert_int_equal(model_add_stack(model, p, frames, 4, true, &c, NULL), 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(p->line_count, 1);
	assert_int_equal(p->lines[0].increment_bytes, 10 * PAGE);
	assert_int_equal(p->lines[0].total_bytes, 10 * PAGE);
	assert_int_equal(p->lines[0].cow_total_faults, 1);
	assert_true(p->stacks[0].truncated);
}

/* Two imports, one of them from inside the other's module, and the interpreter's own. `gathered`:
 * the import statements get the increments and totals. */
static void check_imports(struct model *model, bool gathered)
{
	static const char external[] = "<frozen importlib._bootstrap_external>";
	static const char inner[] = "<frozen importlib._bootstrap>";
	const struct model_location *get = model_location(model, external, "get_data", 1131, 1),
				    *call = model_location(model, inner, "_call", 241, 1),
				    *by_name = model_location(model, "/lib/importlib/__init__.py",
							      "import_module", 126, 1),
				    *main = model_location(model, "main.py", "<module>", 3, 1),
				    *package = model_location(model, "p.py", "<module>", 7, 1);
	const struct model_location *reads[] = {get, call, main}, *runs[] = {package, call, main},
				    *nested[] = {get, call, by_name, package, call, main},
				    *starts[] = {get, call};
	struct pymem_counters c = {.pages = {[PYMEM_ANON] = 10}};
	struct pymem_vmcalls v = {.calls = {[PYMEM_VMCALL_MMAP] = 1}};
	const struct pymem_line run = {.runs = 5, .pages = 10};
	struct model_process *p = add_process(model);
	int64_t sum = 0;
	size_t i;

	model->imports_gathered = gathered;
	assert_int_equal(model_add_stack(model, p, reads, 3, false, &c, &v), 0);
	assert_int_equal(model_add_stack(model, p, runs, 3, false, &c, NULL), 0);
	assert_int_equal(model_add_stack(model, p, nested, 6, false, &c, NULL), 0);
	assert_int_equal(model_add_stack(model, p, starts, 2, false, &c, NULL), 0);
	assert_int_equal(model_add_runs(model, p, get, &run), 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(p->charged_bytes, 40 * PAGE);
	for (i = 0; i < p->line_count; i++)
		sum += p->lines[i].increment_bytes;
	assert_int_equal(sum, p->charged_bytes);
	assert_int_equal(p->line_count, gathered ? 3 : 5);
	assert_int_equal(find(p, "<module>", 3)->increment_bytes, gathered ? 10 * PAGE : 0);
	assert_int_equal(find(p, "<module>", 3)->total_bytes, 30 * PAGE);
	assert_int_equal(find(p, "<module>", 3)->vm_calls[PYMEM_VMCALL_MMAP], gathered);
	assert_int_equal(find(p, "<module>", 7)->increment_bytes, gathered ? 20 * PAGE : 10 * PAGE);
	assert_int_equal(find(p, "<module>", 7)->total_bytes, 20 * PAGE);
	assert_int_equal(find(p, "_call", 241)->increment_bytes, gathered ? 10 * PAGE : 0);
	if (!gathered)
		assert_int_equal(find(p, "get_data", 1131)->occurrences, 5);
}

static void test_imports(void **state)
{
	check_imports(*state, false);
}

static void test_imports_gathered(void **state)
{
	check_imports(*state, true);
}

static void test_equal_stacks_add_up(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model), *q = add_process(model);
	const struct model_location *f = model_location(model, "a.py", "f", 5, 1);
	const struct model_location *frames[] = {f, f};
	struct pymem_counters c = {.pages = {[PYMEM_ANON] = 10}, .peak_pages = 9};
	struct pymem_vmcalls v = {.calls = {[PYMEM_VMCALL_MMAP] = 1}};

	assert_int_equal(model_add_stack(model, p, frames, 0, false, &c, NULL), -EINVAL);
	assert_int_equal(model_add_stack(model, p, frames, 2, false, &c, &v), 0);
	c.peak_pages = 4;
	assert_int_equal(model_add_stack(model, p, frames, 2, false, &c, &v), 0);
	assert_int_equal(model_add_stack(model, p, frames, 1, false, &c, NULL), 0);
	assert_int_equal(model_add_stack(model, q, frames, 1, false, &c, NULL), 0);
	assert_int_equal(p->stack_count, 2);
	assert_int_equal(p->stacks[0].counters.pages[PYMEM_ANON], 20);
	assert_int_equal(p->stacks[0].counters.peak_pages, 9);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_compute(model), 0); /* it is not counted twice */
	assert_int_equal(p->lines[0].total_bytes, 30 * PAGE);
	assert_int_equal(p->lines[0].vm_calls[PYMEM_VMCALL_MMAP], 2);
	assert_int_equal(p->charged_bytes, 30 * PAGE);
	assert_int_equal(q->charged_bytes, 10 * PAGE);
	assert_int_equal(q->line_count, 1);
}

/* Stalls belong to the innermost line and to its node, by kind and in all. */
static void test_stalls(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model);
	const struct model_location *leaf = model_location(model, "a.py", "leaf", 9, 8);
	const struct model_location *top = model_location(model, "a.py", "<module>", 20, 1);
	const struct model_location *frames[] = {leaf, top};
	const struct pymem_counters none = {};
	struct pymem_vmcalls v = {
		.stalls = {[PYMEM_STALL_DIRECT] = 2, [PYMEM_STALL_MEMCG] = 3},
		.stall_ns = {[PYMEM_STALL_DIRECT] = 500, [PYMEM_STALL_MEMCG] = 70},
		.reclaimed_pages = 4};
	const struct model_line *line;
	uint64_t stalls, ns;

	model->trees_kept = true;
	assert_int_equal(model_add_stack(model, p, frames, 2, false, &none, &v), 0);
	v = (struct pymem_vmcalls){.stalls = {[PYMEM_STALL_COMPACTION] = 1},
				   .stall_ns = {[PYMEM_STALL_COMPACTION] = 6}};
	assert_int_equal(model_add_stack(model, p, frames, 2, false, &none, &v), 0);
	assert_int_equal(model_add_stack(model, p, frames + 1, 1, false, &none, &v), 0);
	assert_int_equal(model_compute(model), 0);
	line = find(p, "leaf", 9);
	assert_int_equal(line->stalls, 6);
	assert_int_equal(line->stalled_ns, 576);
	assert_int_equal(line->kind_stalls[PYMEM_STALL_DIRECT], 2);
	assert_int_equal(line->kind_ns[PYMEM_STALL_MEMCG], 70);
	assert_int_equal(line->kind_ns[PYMEM_STALL_COMPACTION], 6);
	assert_int_equal(line->reclaimed_bytes, 4 * PAGE);
	assert_int_equal(find(p, "<module>", 20)->stalled_ns, 6);
	assert_int_equal(p->nodes[model_find_node(model, p, NULL, frames, 2)].stalled_ns, 576);
	assert_int_equal(p->nodes[model_find_node(model, p, NULL, frames + 1, 1)].stalled_ns, 6);
	p->lost_stalls = 4;
	p->lost_stall_ns = 1000;
	model_stalls(p, &stalls, &ns);
	assert_int_equal(stalls, 6 + 1 + 4);
	assert_int_equal(ns, 576 + 6 + 1000);
	model_sort_lines(p, MODEL_SORT_STALLED);
	assert_int_equal(p->lines[0].location->line, 9);
}

/* Extras belong to the innermost line; pages become bytes. */
static void test_extras(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model);
	const struct model_location *leaf = model_location(model, "a.py", "leaf", 9, 8);
	const struct model_location *top = model_location(model, "a.py", "<module>", 20, 1);
	const struct model_location *frames[] = {leaf, top};
	const struct pymem_counters none = {};
	const struct pymem_vmcalls v = {.extras = {[PYMEM_EXTRA_HUGE_PAGES] = 3,
						   [PYMEM_EXTRA_COLLAPSES] = 2,
						   [PYMEM_EXTRA_COLLAPSE_FILLED] = 7,
						   [PYMEM_EXTRA_SWAPIN_NS] = 11}};
	const struct model_line *line;

	model->huge_page_bytes = 2 << 20;
	assert_int_equal(model_add_stack(model, p, frames, 2, false, &none, &v), 0);
	assert_int_equal(model_add_stack(model, p, frames, 2, false, &none, &v), 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_compute(model), 0);
	line = find(p, "leaf", 9);
	assert_int_equal(line->extras[PYMEM_EXTRA_HUGE_PAGES], 6);
	assert_int_equal(line->extras[PYMEM_EXTRA_COLLAPSES], 4);
	assert_int_equal(line->extras[PYMEM_EXTRA_COLLAPSE_FILLED], 14 * PAGE);
	assert_int_equal(line->extras[PYMEM_EXTRA_SWAPIN_NS], 22);
	assert_int_equal(find(p, "<module>", 20)->extras[PYMEM_EXTRA_HUGE_PAGES], 0);
	assert_int_equal(model_huge_bytes(model, line->extras), (12 << 20) + 14 * PAGE);
	assert_int_equal(model_huge_untouched(model, line->extras), (12 << 20) + 8 * PAGE);
	p->lost_extras[PYMEM_EXTRA_HUGE_PAGES] = 1;
	assert_int_equal(model_extra(p, PYMEM_EXTRA_HUGE_PAGES), 7);
	/* There is room for a few who took pages; one of them may take more. */
	for (int i = 1; i < 9; i++)
		model_add_taker(p, i, "x", 5);
	model_add_taker(p, 2, "x", 1);
	model_add_taker(p, 0, "nobody", 1);
	assert_int_equal(p->takers[1].bytes, 6);
	assert_int_equal(p->takers[PYMEM_TAKERS - 1].pid, PYMEM_TAKERS);
}

static void test_sorts(void **state)
{
	static const struct {
		int64_t pages, grown, freed, peak, cow;
	} given[] = {{10, 11, 1, 5, 0}, {-50, 0, 50, 9, 0}, {0, 90, 90, 7, 0}, {0, 0, 0, 1, 8}};
	static const int wanted[][4] = {
		[MODEL_SORT_INCREMENT] = {2, 1, 4, 3}, /* by size; a copy counts more than nothing
							*/
		[MODEL_SORT_TOTAL] = {1, 4, 3, 2},     [MODEL_SORT_PEAK] = {2, 3, 1, 4},
		[MODEL_SORT_GROWN] = {3, 1, 4, 2},     [MODEL_SORT_FREED] = {3, 2, 1, 4},
		[MODEL_SORT_COW] = {4, 1, 3, 2},
	};
	struct model *model = *state;
	struct model_process *p = add_process(model);
	enum model_sort sort;
	int i;

	for (i = 0; i < 4; i++) {
		const struct model_location *f = model_location(model, "a.py", "f", i + 1, 1);
		struct pymem_counters c = {.pages = {[PYMEM_ANON] = given[i].pages},
					   .grown_pages = given[i].grown,
					   .freed_pages = given[i].freed,
					   .peak_pages = given[i].peak,
					   .cow_faults = given[i].cow};

		assert_int_equal(model_add_stack(model, p, &f, 1, false, &c, NULL), 0);
	}
	assert_int_equal(model_compute(model), 0);
	for (sort = MODEL_SORT_INCREMENT; sort <= MODEL_SORT_COW; sort++) {
		model_sort_lines(p, sort);
		for (i = 0; i < 4; i++)
			assert_int_equal(p->lines[i].location->line, wanted[sort][i]);
	}
}

static void test_lost(void **state)
{
	struct model_process *p = add_process(*state);

	p->lost_bytes[PYMEM_LOSS_NO_FRAME] = 5 * PAGE;
	p->lost_bytes[PYMEM_LOSS_EXIT] = -7 * PAGE;
	assert_int_equal(model_lost_bytes(p), -2 * PAGE);
}

static void test_skips_and_notes(void **state)
{
	struct model *model = *state;
	int i;

	for (i = 0; i < 40; i++) {
		assert_int_equal(model_add_skip(model, i, "perl", "not Python"), 0);
		assert_int_equal(model_add_note(model, NULL), 0);
	}
	assert_int_equal(model->skips[39].pid, 39);
	assert_string_equal(model->skips[39].reason, "not Python");
	assert_string_equal(model->notes[39], "");
}

/* Many stacks: sums are exact, and the time does not grow faster than the stacks. */
/* Runs of one line add up over code objects; the highest usage and peak are kept. */
static void test_runs(void **state)
{
	struct model *model = *state;
	char *argv[] = {"python3", NULL};
	struct model_process *process =
		model_add_process(model, 1, 0, "python3", argv, "/", "3.11.2", "lines");
	const struct model_location *line = model_location(model, "a.py", "f", 3, 1);
	struct pymem_line first = {.runs = 2,
				   .pages = 5,
				   .once_pages = 4,
				   .row_pages = 3,
				   .usage_pages = 70,
				   .peak_pages = 80};
	struct pymem_line second = {.runs = 1,
				    .pages = -8,
				    .once_pages = -8,
				    .row_pages = -6,
				    .gc_pages = -7,
				    .collections = 1,
				    .usage_pages = 60,
				    .peak_pages = 90};

	assert_int_equal(model_add_runs(model, process, line, &first), 0);
	assert_int_equal(model_add_runs(model, process, line, &second), 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(process->line_count, 1);
	assert_int_equal(process->lines[0].occurrences, 3);
	assert_int_equal(process->lines[0].run_bytes, -3 * 4096);
	assert_int_equal(process->lines[0].once_bytes, -4 * 4096);
	assert_int_equal(process->lines[0].row_bytes, -3 * 4096);
	assert_int_equal(process->lines[0].gc_bytes, -7 * 4096);
	assert_int_equal(process->lines[0].collections, 1);
	assert_int_equal(process->lines[0].mem_usage_bytes, 70 * 4096);
	assert_int_equal(process->lines[0].peak_bytes, 90 * 4096);
	assert_int_equal(process->lines[0].increment_bytes, 0);
	assert_int_equal(process->charged_bytes, 0);
}

static void test_many(void **state)
{
	enum { STACKS = 20000, DEPTH = 100, LINES = 3000 };
	static const struct model_location *locations[LINES];
	struct model *model = *state;
	struct model_process *p = add_process(model);
	const struct model_location *frames[DEPTH];
	struct timespec begin, end;
	int64_t sum = 0, expected = 0;
	char name[32];
	size_t s, i;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < LINES; i++) {
		snprintf(name, sizeof(name), "module%zu.py", i % 50);
		locations[i] = model_location(model, name, "f", (int)i + 1, 1);
	}
	for (s = 0; s < STACKS; s++) {
		struct pymem_counters c = {.pages = {[PYMEM_ANON] = (int64_t)(s % 17) - 5}};

		for (i = 0; i < DEPTH; i++)
			frames[i] = locations[(s * 31 + i * (1 + s % 7)) % LINES];
		assert_int_equal(model_add_stack(model, p, frames, DEPTH, false, &c, NULL), 0);
		expected += c.pages[PYMEM_ANON] * PAGE;
	}
	assert_int_equal(model_compute(model), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (i = 0; i < p->line_count; i++)
		sum += p->lines[i].increment_bytes;
	assert_int_equal(p->line_count, LINES);
	assert_int_equal(sum, expected);
	assert_int_equal(p->charged_bytes, expected);
	/* 2 million frames take a fraction of a second, even with sanitizers. */
	assert_true(end.tv_sec - begin.tv_sec < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_locations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_self_and_total, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recursion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_equal_stacks_add_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_imports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_imports_gathered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stalls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extras, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sorts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skips_and_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freeze, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gather_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sort_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
