/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/metric_book.c and render/metrics_text.c: rows are bounded, whatever targets are called;
 * sums over them are those of all processes; counters never fall while a group has its row, and
 * those of the rest never fall at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/metric_book.h"
#include "render/metrics_text.h"

#define PAGE   4096
#define GROUPS 100
#define DOCKER "/docker/"

static uint32_t next_id = 1;

static struct model_process *add(struct model *model, const char *script, const char *cgroup,
				 int64_t rss_pages)
{
	char *argv[] = {"python3", (char *)script, NULL};
	struct model_process *p = model_add_process(model, (int)next_id, 1, "python3", argv, cgroup,
						    "3.11.2", "walk");

	assert_non_null(p);
	p->id = next_id++;
	p->rss_end_bytes = rss_pages * PAGE;
	p->rss_start_bytes = p->rss_end_bytes;
	p->rss_peak_bytes = p->rss_end_bytes;
	p->swap_end_bytes = PAGE;
	p->pss_bytes = -1;
	return p;
}

static void grow(struct model *model, struct model_process *p, int line, int64_t pages)
{
	const struct model_location *at = model_location(model, "/srv/app.py", "f", line, 1);
	struct pymem_counters counters = {
		.pages = {[PYMEM_ANON] = pages}, .grown_pages = (uint64_t)pages, .minor_faults = 7};

	assert_int_equal(model_add_stack(model, p, &at, 1, false, &counters, NULL), 0);
	p->rss_start_bytes -= pages * PAGE;
}

struct whole {
	uint64_t grown, faults;
	int64_t rss, change, lines, lost;
	size_t processes;
};

static struct whole whole_of(const struct group_sums *sums)
{
	struct whole w = {};

	for (size_t i = 0; i < sums->count; i++) {
		const struct group_sum *sum = &sums->list[i];

		w.grown += sum->grown_bytes;
		w.faults += sum->minor_faults;
		w.rss += sum->rss_bytes;
		w.change += sum->change_bytes;
		w.lines += sum->other_lines_bytes;
		w.processes += sum->processes;
		for (size_t j = 0; j < sum->line_count; j++)
			w.lines += sum->lines[j].change_bytes;
		for (int j = 0; j < PYMEM_LOSS_COUNT; j++)
			w.lost += sum->lost_bytes[j];
		assert_int_equal(sum->rest, i + 1 == sums->count);
	}
	assert_int_equal(w.change, w.lines + w.lost);
	return w;
}

static const struct group_sum *row(const struct group_sums *sums, const char *name)
{
	for (size_t i = 0; i < sums->count; i++)
		if (!strcmp(sums->list[i].name, name))
			return &sums->list[i];
	return NULL;
}

static struct group_sums read_book(struct metric_book *book, struct model *model)
{
	struct group_sums sums;

	assert_int_equal(model_compute(model), 0);
	assert_int_equal(metric_book_sums(book, model, 3, &sums), 0);
	return sums;
}

static struct model *begin(struct metric_book **book, size_t groups)
{
	struct model *model = model_new(PAGE);

	*book = metric_book_new(MODEL_BY_PROGRAM, groups);
	assert_non_null(model);
	assert_non_null(*book);
	return model;
}

static void end(struct metric_book *book, struct model *model)
{
	metric_book_free(book);
	model_free(model);
}

static size_t series_of(const struct group_sums *sums, const struct model *model, enum model_by by,
			char **kept)
{
	char *text = NULL;
	size_t size, count = 0;
	struct metrics m = {
		.form.out = open_memstream(&text, &size),
		.prefix = "pymem_",
		.by = by,
		.model = model,
		.sums = sums,
		.counters = true,
		.swap = true,
		.lines = true,
	};

	assert_non_null(m.form.out);
	metrics_groups(&m);
	assert_int_equal(fclose(m.form.out), 0);
	for (char *line = text; *line; line = strchr(line, '\n') + 1)
		count += *line != '#';
	if (kept)
		*kept = text;
	else
		free(text);
	return count;
}

static void ten_thousand_programs(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, GROUPS);
	struct group_sums sums;
	struct whole w;
	char name[64], cgroup[128];
	int64_t rss = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "program_%c%c%c%c.py", 'a' + i % 10, 'a' + i / 10 % 10,
			 'a' + i / 100 % 10, 'a' + i / 1000);
		snprintf(cgroup, sizeof(cgroup), DOCKER "%064x", i);
		grow(model, add(model, name, cgroup, 10 + i), 1, 10);
		rss += (10 + i) * PAGE;
	}
	sums = read_book(book, model);
	assert_int_equal(sums.count, GROUPS + 1);
	w = whole_of(&sums);
	assert_int_equal(w.processes, 10000);
	assert_int_equal(w.rss, rss);
	assert_int_equal(w.change, (int64_t)10000 * 10 * PAGE);
	assert_int_equal(w.grown, (int64_t)10000 * 10 * PAGE);
	assert_int_equal(w.faults, 70000);
	/* 18 of each, three of which are of garbage collections, with lines and a cause. */
	assert_in_range(series_of(&sums, model, MODEL_BY_PROGRAM, NULL), GROUPS, (GROUPS + 1) * 20);
	group_sums_free(&sums);
	end(book, model);
}

/* A process that the model forgets leaves all it had to its program. */
static void ended(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, GROUPS);
	struct model_process *p = add(model, "worker.py", "/", 50);
	struct group_sums sums;

	(void)state;
	grow(model, p, 1, 20);
	p->lost_bytes[PYMEM_LOSS_NO_FRAME] = 2 * PAGE;
	p->rss_start_bytes -= 2 * PAGE;
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->grown_bytes, 20 * PAGE);
	group_sums_free(&sums);
	/* It grew once more, which no reading saw, and is gone. */
	grow(model, p, 2, 5);
	p->exited = true;
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(metric_book_gone(book, p), 0);
	model_clear(model);
	for (int i = 0; i < 2; i++) {
		sums = read_book(book, model);
		assert_int_equal(sums.count, 2);
		assert_int_equal(row(&sums, "worker.py")->grown_bytes, 25 * PAGE);
		assert_int_equal(row(&sums, "worker.py")->minor_faults, 14);
		assert_int_equal(row(&sums, "worker.py")->change_bytes, 27 * PAGE);
		assert_int_equal(row(&sums, "worker.py")->peak_bytes, 50 * PAGE);
		assert_int_equal(row(&sums, "worker.py")->rss_bytes, 0);
		assert_int_equal(row(&sums, "worker.py")->processes, 0);
		whole_of(&sums);
		group_sums_free(&sums);
	}
	/* Another one of the same program goes on. */
	grow(model, add(model, "worker.py", "/", 30), 1, 3);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->grown_bytes, 28 * PAGE);
	assert_int_equal(row(&sums, "worker.py")->processes, 1);
	whole_of(&sums);
	group_sums_free(&sums);
	end(book, model);
}

/* Garbage collections are told apart from readings, also of a process that no reading has had. */
static void collections(void **state)
{
	static const uint64_t some[GROUP_GENERATIONS] = {7, 5, 2}, none[GROUP_GENERATIONS];
	struct metric_book *book;
	struct model *model = begin(&book, 1);
	struct model_process *p = add(model, "worker.py", "/", 50);
	struct model_process *other = add(model, "small.py", "/", 1);
	struct group_sums sums;

	(void)state;
	assert_int_equal(metric_book_collected(book, p->id, some), 0);
	assert_int_equal(metric_book_collected(book, p->id, some), 0);
	assert_int_equal(metric_book_collected(book, other->id, some), 0);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->collections[0], 14);
	assert_int_equal(row(&sums, "worker.py")->collections[2], 4);
	assert_true(sums.list[1].rest);
	assert_int_equal(sums.list[1].collections[1], 5);
	group_sums_free(&sums);
	/* Once each. */
	assert_int_equal(metric_book_collected(book, p->id, none), 0);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->collections[0], 14);
	group_sums_free(&sums);
	/* What comes before its end, and after the last reading, counts. */
	assert_int_equal(metric_book_collected(book, p->id, some), 0);
	assert_int_equal(metric_book_gone(book, p), 0);
	model_clear(model);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->collections[0], 21);
	group_sums_free(&sums);
	add(model, "large.py", "/", 500);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "large.py")->collections[0], 0);
	assert_int_equal(sums.list[1].collections[0], 28);
	assert_int_equal(sums.list[1].collections[2], 8);
	group_sums_free(&sums);
	end(book, model);
}

/* By cause; a row that falls leaves them to the rest, and one that has no process keeps them. */
static void killed(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, 1);
	struct model_process *p = add(model, "worker.py", "/", 50);
	struct group_sums sums;

	(void)state;
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->killed[DEATH_OOM], 0);
	group_sums_free(&sums);
	metric_book_killed(book, p, DEATH_OOM);
	metric_book_killed(book, p, DEATH_OOM);
	metric_book_killed(book, p, DEATH_CRASH);
	metric_book_killed(book, add(model, "small.py", "/", 1), DEATH_KILL);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->killed[DEATH_OOM], 2);
	assert_int_equal(row(&sums, "worker.py")->killed[DEATH_KILL], 0);
	assert_int_equal(row(&sums, "worker.py")->killed[DEATH_CRASH], 1);
	assert_true(sums.list[1].rest);
	assert_int_equal(sums.list[1].killed[DEATH_KILL], 1);
	group_sums_free(&sums);
	model_clear(model);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->killed[DEATH_OOM], 2);
	group_sums_free(&sums);
	add(model, "large.py", "/", 500);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "large.py")->killed[DEATH_OOM], 0);
	assert_int_equal(sums.list[1].killed[DEATH_OOM], 2);
	assert_int_equal(sums.list[1].killed[DEATH_KILL], 1);
	assert_int_equal(sums.list[1].killed[DEATH_CRASH], 1);
	group_sums_free(&sums);
	end(book, model);
}

/* A process that is just ending is in no reading, and comes once more: it counts once. */
static void ends_meanwhile(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, GROUPS), *empty = model_new(PAGE);
	struct model_process *p = add(model, "worker.py", "/", 50);
	struct group_sums sums;

	(void)state;
	grow(model, p, 1, 20);
	sums = read_book(book, model);
	group_sums_free(&sums);
	sums = read_book(book, empty);
	assert_int_equal(row(&sums, "worker.py")->grown_bytes, 20 * PAGE);
	group_sums_free(&sums);
	p->exited = true;
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(metric_book_gone(book, p), 0);
	sums = read_book(book, empty);
	assert_int_equal(row(&sums, "worker.py")->grown_bytes, 20 * PAGE);
	assert_int_equal(row(&sums, "worker.py")->minor_faults, 7);
	group_sums_free(&sums);
	model_free(empty);
	end(book, model);
}

/* What does not add up when it is gone stays unsettled: the sums hold. */
static void unsettled(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, GROUPS);
	struct model_process *p = add(model, "worker.py", "/", 50);
	struct group_sums sums;

	(void)state;
	p->rss_start_bytes -= 4 * PAGE;
	p->exited = true;
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(metric_book_gone(book, p), 0);
	model_clear(model);
	sums = read_book(book, model);
	assert_int_equal(row(&sums, "worker.py")->lost_bytes[PYMEM_LOSS_UNSETTLED], 4 * PAGE);
	whole_of(&sums);
	group_sums_free(&sums);
	end(book, model);
}

/* Groups come and go, at random: no counter falls while its row is there, nor that of the rest, and
 * the whole is the sum of all that was ever added. */
static void churn(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, 5);
	uint64_t grown = 0, rest = 0, had[20] = {};
	struct group_sums sums;

	(void)state;
	srand(7);
	for (int round = 0; round < 300; round++) {
		char name[32];

		/* The same images as before, with more; some are gone for good. */
		while (model->process_count > 12) {
			struct model_process *p = model->processes[model->process_count - 1];

			p->exited = true;
			assert_int_equal(metric_book_gone(book, p), 0);
			model_clear(model);
		}
		for (int i = rand() % 4; i >= 0; i--) {
			int64_t pages = rand() % 50;

			snprintf(name, sizeof(name), "p%c.py", 'a' + rand() % 20);
			grow(model, add(model, name, "/", 10 + rand() % 1000), 1, pages);
			grown += (uint64_t)pages * PAGE;
		}
		sums = read_book(book, model);
		assert_in_range(sums.count, 1, 6);
		/* All that model_clear() forgot without a word was counted by a reading before. */
		assert_int_equal(whole_of(&sums).grown, grown);
		assert_true(sums.list[sums.count - 1].grown_bytes >= rest);
		rest = sums.list[sums.count - 1].grown_bytes;
		for (int i = 0; i < 20; i++) {
			const struct group_sum *sum;

			snprintf(name, sizeof(name), "p%c.py", 'a' + i);
			sum = row(&sums, name);
			if (sum && had[i])
				assert_true(sum->grown_bytes + 1 >= had[i]);
			had[i] = sum ? sum->grown_bytes + 1 : 0;
		}
		group_sums_free(&sums);
	}
	end(book, model);
}

/* Two groups of nearly the same size don't take turns for the last row. */
static void no_turns(void **state)
{
	struct metric_book *book;
	struct model *model = begin(&book, 1);
	struct model_process *a = add(model, "a.py", "/", 100), *b = add(model, "b.py", "/", 99);
	struct group_sums sums = read_book(book, model);

	(void)state;
	assert_non_null(row(&sums, "a.py"));
	group_sums_free(&sums);
	b->rss_start_bytes = b->rss_end_bytes = 110 * PAGE;
	sums = read_book(book, model);
	assert_non_null(row(&sums, "a.py"));
	group_sums_free(&sums);
	b->rss_start_bytes = b->rss_end_bytes = 130 * PAGE;
	sums = read_book(book, model);
	assert_null(row(&sums, "a.py"));
	assert_non_null(row(&sums, "b.py"));
	assert_int_equal(whole_of(&sums).rss, a->rss_end_bytes + b->rss_end_bytes);
	group_sums_free(&sums);
	end(book, model);
}

/* Names can end neither a label nor a line, and two that look alike are one series. */
static void hostile_names(void **state)
{
	static const char *const names[] = {"a\"} 1\npymem_x{y=\"", "b\\", "c\nd", "(other)",
					    "e\x80\xff"};
	struct metric_book *book;
	struct model *model = begin(&book, GROUPS);
	size_t count = sizeof(names) / sizeof(names[0]);
	struct group_sums sums;
	char *text;

	(void)state;
	for (size_t i = 0; i < count; i++)
		grow(model, add(model, names[i], "/", 10), 1, 2);
	sums = read_book(book, model);
	assert_int_equal(sums.count, count + 1);
	series_of(&sums, model, MODEL_BY_PROGRAM, &text);
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		size_t quotes = 0;
		bool escaped = false;

		if (*line == '#')
			continue;
		assert_int_equal(strncmp(line, "pymem_", 6), 0);
		for (char *c = line; *c != '\n'; c++) {
			assert_true((unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f);
			quotes += *c == '"' && !escaped;
			escaped = *c == '\\' && !escaped;
		}
		assert_int_equal(quotes % 2, 0);
	}
	assert_non_null(strstr(text, "{program=\"(other)_\""));
	assert_non_null(strstr(text, "_bytes_total{program=\"a\\\"} 1\\\\npymem_x{y=\\\"\""));
	free(text);
	group_sums_free(&sums);
	end(book, model);
}

/* In the older format, the head of a counter has the name of its samples. */
static void forms(void **state)
{
	(void)state;
	for (int plain = 0; plain < 2; plain++) {
		char text[512] = "";
		struct metrics_form form = {.out = fmemopen(text, sizeof(text), "w"),
					    .plain = plain};

		assert_non_null(form.out);
		metrics_family(&form, METRICS_COUNTER, "x_bytes", "bytes", "Help.");
		metrics_family(&form, METRICS_GAUGE, "y", NULL, "Help.");
		fclose(form.out);
		assert_string_equal(text, plain ? "# TYPE x_bytes_total counter\n"
						  "# HELP x_bytes_total Help.\n"
						  "# TYPE y gauge\n# HELP y Help.\n"
						: "# TYPE x_bytes counter\n# UNIT x_bytes bytes\n"
						  "# HELP x_bytes Help.\n"
						  "# TYPE y gauge\n# HELP y Help.\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_programs),
		cmocka_unit_test(ended),
		cmocka_unit_test(killed),
		cmocka_unit_test(collections),
		cmocka_unit_test(ends_meanwhile),
		cmocka_unit_test(unsettled),
		cmocka_unit_test(churn),
		cmocka_unit_test(no_turns),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
