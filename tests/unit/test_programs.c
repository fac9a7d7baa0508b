/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the answer is made of: how lines were reached, what imports changed, stacks as a tree, and
 * processes gathered by program. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/programs.h"
#include "os/rights.h"

#define PAGE   4096
#define MAIN   "/srv/app/main.py"
#define JSON   "/usr/lib/python3.11/json/encoder.py"
#define FLASK  "/v/lib/python3.11/site-packages/flask/app.py"
#define IMPORT "<frozen importlib._bootstrap>"

struct frame {
	const char *file, *function;
	int line;
};

static struct model_process *add_process(struct model *model, int pid, char *const *command)
{
	struct model_process *p =
		model_add_process(model, pid, 1, "python3", command, "/c", "3.11.2", "walk");

	assert_non_null(p);
	p->id = (uint32_t)pid;
	return p;
}

static void add(struct model *model, struct model_process *p, int64_t pages, bool truncated,
		const struct frame *frames, unsigned depth)
{
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = pages},
					  .grown_pages = pages > 0 ? (uint64_t)pages : 0};
	const struct model_location *locations[64];
	unsigned i;

	assert_true(depth <= 64);
	for (i = 0; i < depth; i++)
		locations[i] = model_location(model, frames[i].file, frames[i].function,
					      frames[i].line, 1);
	assert_int_equal(model_add_stack(model, p, locations, depth, truncated, &counters, NULL),
			 0);
	p->rss_end_bytes += pages * PAGE;
}

#define ADD(model, p, pages, ...)                                  \
	add(model, p, pages, false, (struct frame[]){__VA_ARGS__}, \
	    sizeof((struct frame[]){__VA_ARGS__}) / sizeof(struct frame))

static const struct model_line *line_at(const struct model_process *p, const char *file, int number)
{
	size_t i;

	for (i = 0; i < p->line_count; i++)
		if (!strcmp(p->lines[i].location->file, file) &&
		    p->lines[i].location->line == number)
			return &p->lines[i];
	fail_msg("no line %s:%d", file, number);
	return NULL;
}

static char *none[] = {"python3", "main.py", NULL};

/* main.py:9 was reached by two ways; the one that changed more is kept. */
static void fill(struct model *model, struct model_process *p)
{
	ADD(model, p, 10, {MAIN, "leaf", 9}, {MAIN, "little", 5}, {MAIN, "<module>", 1});
	ADD(model, p, -20, {MAIN, "leaf", 9}, {JSON, "a", 1}, {JSON, "b", 2}, {FLASK, "c", 3},
	    {MAIN, "much", 6}, {MAIN, "much", 6}, {MAIN, "<module>", 1});
}

static void check_path(const struct model_line *line)
{
	assert_int_equal(line->path_count, 3);
	assert_null(line->path[0].location);
	assert_int_equal(line->path[0].frames, 3);
	assert_string_equal(line->path[1].location->function, "much");
	assert_int_equal(line->path[1].frames, 2);
	assert_string_equal(line->path[2].location->function, "<module>");
	assert_int_equal(line->path_more, 0);
	assert_false(line->path_open);
}

/* Paths stay when the stacks are freed, and when locations of others are collected. */
static void gone(const struct model_process *process, void *arg)
{
	(void)process;
	++*(int *)arg;
}

static void test_paths(void **state)
{
	const struct model_ended_limits limits = {.bytes = 11200};
	struct model *model = model_new(PAGE);
	struct model_process *p = add_process(model, 1, none), *other;
	char argument[3000], *large[] = {argument, NULL};
	int count = 0;

	(void)state;
	/* What is gathered has to be worth it. */
	memset(argument, 'x', sizeof(argument) - 1);
	argument[sizeof(argument) - 1] = '\0';
	model->trees_kept = true;
	fill(model, p);
	ADD(model, p, 5000, {MAIN, "large", 99});
	assert_int_equal(model_compute(model), 0);
	check_path(line_at(p, MAIN, 9));
	assert_int_equal(line_at(p, MAIN, 5)->path_count, 0);
	other = add_process(model, 2, large);
	ADD(model, other, 1, {"/srv/app/other.py", "f", 1}, {"/srv/app/other.py", "g", 2});
	assert_int_equal(model_freeze(model), 0);
	assert_int_equal(model_gather_ended(model, &limits, gone, &count), 0);
	assert_int_equal(count, 1);
	model_clear(model);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model->process_count, 1);
	check_path(line_at(model->processes[0], MAIN, 9));
	assert_string_equal(model->processes[0]->nodes[1].location->file, MAIN);
	model_free(model);
}

static void test_long_path(void **state)
{
	struct frame frames[40];
	struct model *model = model_new(PAGE);
	struct model_process *p = add_process(model, 1, none);
	const struct model_line *line;
	int i;

	(void)state;
	for (i = 0; i < 40; i++)
		frames[i] = (struct frame){MAIN, "f", i + 1};
	add(model, p, 1, true, frames, 40);
	assert_int_equal(model_compute(model), 0);
	line = line_at(p, MAIN, 1);
	assert_int_equal(line->path_count, MODEL_PATH_MOST);
	assert_int_equal(line->path_more, 39 - MODEL_PATH_MOST);
	assert_true(line->path_open);
	model_free(model);
}

static void test_libraries(void **state)
{
	static const struct {
		const char *file, *part;
		bool library;
	} files[] = {
		{MAIN, NULL, false},
		{JSON, "/json/encoder.py", true},
		{FLASK, "/flask/app.py", true},
		{"/usr/lib/python3/dist-packages/x.py", "/x.py", true},
		{"/usr/lib64/python3.9/os.py", "/os.py", true},
		{"/usr/lib/python311.zip/os.py", "/os.py", true},
		{"/home/me/lib/python/tool.py", NULL, false},
		{"<frozen runpy>", NULL, true},
		{"<string>", NULL, false},
		{"", NULL, false},
	};
	struct model *model = model_new(PAGE);
	const char *part;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		part = model_library_part(files[i].file);
		assert_int_equal(model_location(model, files[i].file, "f", 1, 1)->library,
				 files[i].library);
		if (files[i].part)
			assert_string_equal(part, files[i].part);
		else
			assert_null(part);
	}
	model_free(model);
}

static void test_imports(void **state)
{
	struct model *model = model_new(PAGE);
	struct model_process *p = add_process(model, 1, none);
	const struct model_line *line;

	(void)state;
	model->imports_gathered = true;
	ADD(model, p, 7, {IMPORT, "_find", 1}, {FLASK, "<module>", 2}, {IMPORT, "_load", 5},
	    {MAIN, "<module>", 1});
	ADD(model, p, 100, {FLASK, "<module>", 4}, {IMPORT, "_load", 5}, {MAIN, "<module>", 1});
	ADD(model, p, 1, {FLASK, "<module>", 4});
	ADD(model, p, 3, {IMPORT, "_find", 1}, {MAIN, "<module>", 1});
	assert_int_equal(model_compute(model), 0);
	line = line_at(p, FLASK, 2);
	assert_int_equal(line->increment_bytes, 7 * PAGE);
	assert_int_equal(line->import_bytes, 7 * PAGE);
	assert_int_equal(line->import_system_bytes, 7 * PAGE);
	assert_int_equal(line->imported_bytes, 0);
	line = line_at(p, FLASK, 4);
	assert_int_equal(line->increment_bytes, 101 * PAGE);
	assert_int_equal(line->import_bytes, 100 * PAGE);
	assert_int_equal(line->import_system_bytes, 0);
	line = line_at(p, MAIN, 1);
	assert_int_equal(line->imported_bytes, 110 * PAGE);
	assert_int_equal(line->import_system_bytes, 3 * PAGE);
	model_free(model);
}

static const struct model_node *child(const struct model_process *p, const struct model_node *node,
				      int line)
{
	size_t i;

	for (i = node->first; i; i = p->nodes[i].next)
		if (p->nodes[i].location->line == line)
			return &p->nodes[i];
	fail_msg("no call of line %d", line);
	return NULL;
}

static void test_tree(void **state)
{
	struct model *model = model_new(PAGE);
	struct model_process *p = add_process(model, 1, none);
	const struct model_node *node;

	(void)state;
	fill(model, p);
	assert_int_equal(model_compute(model), 0);
	assert_null(p->nodes);
	model->trees_kept = true;
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(p->nodes[0].total_bytes, -10 * PAGE);
	node = child(p, p->nodes, 1);
	assert_int_equal(node->total_bytes, -10 * PAGE);
	assert_int_equal(node->own_bytes, 0);
	assert_int_equal(child(p, child(p, node, 5), 9)->own_bytes, 10 * PAGE);
	/* A call of itself is a node of its own. */
	assert_int_equal(child(p, child(p, node, 6), 6)->total_bytes, -20 * PAGE);
	model_free(model);
}

static void test_gathering(void **state)
{
	static char *commands[][6] = {
		{"/usr/bin/python3", "/srv/worker.py", "--shard", "1", NULL},
		{"python3.11", "-u", "/srv/worker.py", "--shard", "2", NULL},
		{"python3", "/srv/worker.py", "mail", NULL},
		{"python3", "/opt/worker.py", NULL},
		{"python3", "-m", "worker", NULL},
		{"gunicorn: worker [shop]", NULL},
		{"gunicorn: master [shop]", NULL},
	};
	struct model *model = model_new(PAGE);
	struct model_programs programs;
	struct model_program *program;
	struct model_process *p;
	const struct model_line *line;
	size_t i;

	(void)state;
	model->trees_kept = true;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		p = add_process(model, (int)i + 1, commands[i]);
		p->lost_bytes[0] = 10;
		fill(model, p);
		if (i == 1)
			ADD(model, p, 40, {MAIN, "leaf", 9}, {MAIN, "other", 7});
	}
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_INCREMENT, &programs), 0);
	assert_int_equal(programs.count, 5);
	/* +20 in all, of two processes; the others -10 each, the two titles -20. */
	for (i = 0, program = NULL; i < programs.count; i++)
		if (programs.list[i]->processes[0]->pid < 3)
			program = programs.list[i];
	assert_non_null(program);
	assert_int_equal(program->count, 2);
	assert_false(program->alike);
	assert_int_equal(program->processes[0]->pid, 2); /* +30 is more than -10 */
	assert_int_equal(program->sum.id, 1);
	assert_int_equal(program->sum.rss_end_bytes, 20 * PAGE);
	assert_int_equal(program->sum.charged_bytes, 20 * PAGE);
	assert_int_equal(program->sum.lost_bytes[0], 20);
	assert_int_equal(program->sum.nodes[0].total_bytes, 20 * PAGE);
	line = line_at(&program->sum, MAIN, 9);
	assert_int_equal(line->increment_bytes, 20 * PAGE);
	assert_int_equal(line->grown_bytes, 60 * PAGE);
	/* The path is of the process in which the line changed most. */
	assert_string_equal(line->path[0].location->function, "other");
	/* The processes are as they were. */
	assert_int_equal(line_at(program->processes[1], MAIN, 9)->increment_bytes, -10 * PAGE);
	model_programs_free(&programs);
	model_free(model);
}

static void add_cached(struct model *model, struct model_process *p, int line, const char *path,
		       uint64_t pages, uint64_t gone)
{
	const struct model_location *at = model_location(model, MAIN, "f", line, 1);
	const struct model_cache_amounts amounts = {
		.bytes = pages * PAGE, .gone_bytes = gone * PAGE, .other_bytes = PAGE};

	assert_int_equal(model_add_cached(model, p, &at, line ? 1 : 0, PYMEM_LOSS_NO_FRAME, path,
					  false, &amounts),
			 0);
}

/* So is the kernel's own memory: by line, by cause and by kind. */
static void test_kernel(void **state)
{
	struct pymem_kernel sums = {.bytes = {4096, 0, 700}, .gone = {0, 0, 200}, .unknown = 50};
	struct model *model = model_new(PAGE);
	struct model_programs programs;
	const struct model_process *sum;

	(void)state;
	for (int i = 1; i <= 2; i++) {
		const struct model_location *at = model_location(model, MAIN, "f", 9, 1);
		struct model_process *p = add_process(model, i, none);

		assert_int_equal(model_add_kernel(model, p, &at, 1, PYMEM_LOSS_NO_FRAME, &sums), 0);
		assert_int_equal(model_add_kernel(model, p, &at, 0, PYMEM_LOSS_EXIT, &sums), 0);
	}
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_KERNEL, &programs), 0);
	sum = &programs.list[0]->sum;
	assert_int_equal(sum->kernel.bytes[PYMEM_KERNEL_TABLES], 4 * 4096);
	assert_int_equal(model_line_kernel_bytes(line_at(sum, MAIN, 9)), 2 * (4096 + 450));
	assert_int_equal(sum->kernel_lost_bytes[PYMEM_LOSS_EXIT], 2 * (4096 + 450));
	assert_int_equal(model_kernel_bytes(&sum->kernel), 4 * (4096 + 450));
	model_programs_free(&programs);
	model_free(model);
}

/* What two workers brought into the page cache is added up: by line, by cause and by file. */
static void test_cached(void **state)
{
	struct model *model = model_new(PAGE);
	const struct model_cached_file *const *files;
	const struct model_process *sum;
	struct model_programs programs;

	(void)state;
	for (int i = 1; i <= 2; i++) {
		struct model_process *p = add_process(model, i, none);

		add_cached(model, p, 9, "/data/both", 100, 10);
		add_cached(model, p, 8, "/data/both", i == 1 ? 150 : 20, 0);
		add_cached(model, p, 0, "/data/both", 3, 0);
		add_cached(model, p, 7, i == 1 ? "/data/one" : "/data/two", 50u * i, 0);
		add_cached(model, p, 7, NULL, 1, 0);
	}
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_CACHED, &programs), 0);
	assert_int_equal(programs.count, 1);
	assert_int_equal(programs.list[0]->count, 2);
	sum = &programs.list[0]->sum;
	assert_int_equal(sum->cached.bytes, 528 * PAGE);
	assert_int_equal(sum->cached.gone_bytes, 20 * PAGE);
	assert_int_equal(sum->cached.other_bytes, 10 * PAGE);
	assert_int_equal(sum->cached_lost_bytes[PYMEM_LOSS_NO_FRAME], 6 * PAGE);
	assert_int_equal(line_at(sum, MAIN, 9)->cached.bytes, 200 * PAGE);
	assert_int_equal(line_at(sum, MAIN, 9)->cached.gone_bytes, 20 * PAGE);
	assert_int_equal(line_at(sum, MAIN, 7)->cached.bytes, 152 * PAGE);
	files = sum->cached_files;
	assert_int_equal(sum->cached_file_count, 4);
	assert_string_equal(files[0]->path, "/data/both");
	assert_int_equal(files[0]->amounts.bytes, 376 * PAGE);
	/* Of one it has 150 pages, of the other it is not the first; line 9 has 100 of that. */
	assert_int_equal(files[0]->most->line, 8);
	assert_int_equal(files[0]->most_bytes, 150 * PAGE);
	assert_string_equal(files[1]->path, "/data/two");
	assert_string_equal(files[2]->path, "/data/one");
	assert_null(files[3]->path);
	assert_int_equal(files[3]->amounts.bytes, 2 * PAGE);
	/* The processes are as they were. */
	assert_int_equal(model->processes[0]->cached_files[0]->amounts.bytes, 253 * PAGE);
	model_programs_free(&programs);
	model_free(model);
}

/* Who may read less is not gathered with who may read more: the text of lines is read for the first
 * one of a program. */
static void test_rights(void **state)
{
	struct rights rights = {.uid = 65534, .gid = 65534};
	struct model *model = model_new(PAGE);
	struct model_programs programs;
	struct model_process *p;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		p = add_process(model, i + 1, none);
		fill(model, p);
		if (i)
			p->root.root_fd = open(i < 3 ? "/" : "/proc", O_PATH | O_CLOEXEC);
		if (i > 1)
			source_root_set_rights(&p->root, &rights);
	}
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_INCREMENT, &programs), 0);
	assert_int_equal(programs.count, 4);
	model_programs_free(&programs);
	/* As the third one. */
	source_root_set_rights(&model->processes[1]->root, &rights);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_INCREMENT, &programs), 0);
	assert_int_equal(programs.count, 3);
	model_programs_free(&programs);
	model_free(model);
}

/* Of recorded processes only the numbers of their views are known. */
static void test_recorded(void **state)
{
	struct model *model = model_new(PAGE);
	struct model_programs programs;

	(void)state;
	for (int i = 1; i <= 4; i++) {
		struct model_process *p = add_process(model, i, none);

		p->root.recorded = 5;
		p->root.recorded_cwd = i < 3 ? 6 : 7;
	}
	model->processes[3]->root.recorded = 8;
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_INCREMENT, &programs), 0);
	assert_int_equal(programs.count, 3);
	model_programs_free(&programs);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	  cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_libraries), cmocka_unit_test(test_imports),
		cmocka_unit_test(test_tree),	  cmocka_unit_test(test_gathering),
		cmocka_unit_test(test_rights),	  cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_cached),	  cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
