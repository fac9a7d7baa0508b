/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The answer: the report for people, without -v. Stored outputs as in test_render.c; and that what
 * it says adds up, keeps its order on a live screen, and fits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "goldens.h"
#include "profiles.h"
#include "render/render.h"

#define SHOP	"/srv/shop/shop.py"
#define VIEWS	"/srv/shop/web/views.py"
#define CONFIG	"/srv/shop/config.py"
#define LIB	"/usr/lib/python3.11/"
#define PACKAGE "/opt/venv/lib/python3.11/site-packages/"
#define IMPORT	"<frozen importlib._bootstrap>"

static const char shop_source[] = "import config, web.views\n"
				  "\n"
				  "AUDIT = []\n"
				  "\n"
				  "class Application:\n"
				  "    def __call__(self, environ, start):\n"
				  "        return self.answer(report(environ))\n"
				  "\n"
				  "def report(environ):\n"
				  "    big = bytearray(30 << 20)\n"
				  "    return render(big)\n"
				  "\n"
				  "def audit(number):\n"
				  "    AUDIT.append(\"request %d\" % number)\n";

static struct rendered render(struct profile *profile, struct render_options options)
{
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);

	assert_non_null(out);
	options.sources = source_cache_new(source_read_here);
	output.err = renderer_find("table")->emit(out, profile->model, &options);
	source_cache_free(options.sources);
	fclose(out);
	assert_int_equal(output.err, 0);
	return output;
}

struct frame {
	const char *file, *function;
	int line;
};

/* A stack, innermost frame first; `pages` of net change, of which `freed` were freed. */
static void add(struct profile *profile, struct model_process *p, int64_t pages, uint64_t freed,
		const struct frame *frames, unsigned depth)
{
	struct pymem_counters counters = {
		.pages = {[PYMEM_ANON] = pages},
		.grown_pages = freed + (pages > 0 ? (uint64_t)pages : 0),
		.freed_pages = freed + (pages < 0 ? (uint64_t)-pages : 0),
	};
	const struct model_location *locations[64];
	unsigned i;

	for (i = 0; i < depth; i++)
		locations[i] = model_location(profile->model, frames[i].file, frames[i].function,
					      frames[i].line, 1);
	assert_int_equal(
		model_add_stack(profile->model, p, locations, depth, false, &counters, NULL), 0);
	p->rss_end_bytes += pages * PAGE;
}

#define ADD(profile, p, pages, freed, ...)                           \
	add(profile, p, pages, freed, (struct frame[]){__VA_ARGS__}, \
	    sizeof((struct frame[]){__VA_ARGS__}) / sizeof(struct frame))

#define SERVED                                                                                  \
	{SHOP, "Application.__call__", 7}, {PACKAGE "gunicorn/workers/sync.py", "handle", 177}, \
		{PACKAGE "gunicorn/workers/sync.py", "accept", 30},                             \
		{PACKAGE "gunicorn/arbiter.py", "spawn_worker", 609},                           \
		{PACKAGE "gunicorn/app/base.py", "run", 72},                                    \
	{                                                                                       \
		"/opt/venv/bin/gunicorn", "<module>", 8                                         \
	}

static struct model_process *add_worker(struct profile *profile, int pid, int ppid, int64_t start)
{
	char *command[] = {"/opt/venv/bin/python3",
			   "/opt/venv/bin/gunicorn",
			   "-w",
			   "3",
			   "shop:application",
			   NULL};
	struct model_process *p = model_add_process(profile->model, pid, ppid, "gunicorn", command,
						    "/shop.service", "3.11.2", "walk");

	profile_open_root(profile, p);
	p->id = (uint32_t)pid;
	p->rss_start_bytes = p->rss_end_bytes = start * PAGE;
	p->rss_peak_bytes = p->rss_end_bytes;
	return p;
}

static void serve(struct profile *profile, struct model_process *p, int64_t factor)
{
	ADD(profile, p, 740 * factor, 20000, {SHOP, "report", 10}, SERVED);
	ADD(profile, p, 30 * factor, 0, {LIB "json/encoder.py", "iterencode", 258},
	    {LIB "json/encoder.py", "encode", 200}, {LIB "json/__init__.py", "dumps", 231},
	    {VIEWS, "report_view", 5}, SERVED);
	ADD(profile, p, 40 * factor, 0, {SHOP, "audit", 14}, SERVED);
	ADD(profile, p, 2, 0, {SHOP, "audit", 13}, SERVED);
	ADD(profile, p, 1, 0, {VIEWS, "report_view", 4}, SERVED);
	/* Under an import: the system itself, and a module's own code. */
	ADD(profile, p, 6 * factor, 0, {IMPORT, "_load_unlocked", 690}, {SHOP, "<module>", 1},
	    {"/opt/venv/bin/gunicorn", "<module>", 8});
	ADD(profile, p, 9 * factor, 0, {CONFIG, "<module>", 3}, {IMPORT, "_load_unlocked", 690},
	    {SHOP, "<module>", 1}, {"/opt/venv/bin/gunicorn", "<module>", 8});
}

/* A service of a parent that does nothing and three workers that do the same. */
static void fill_service(struct profile *profile)
{
	struct model_process *p;
	int i;

	profile_init(profile);
	profile->model->imports_gathered = true;
	profile_write(profile, SHOP, shop_source, 1000);
	add_worker(profile, 25397, 1, 4000);
	for (i = 1; i <= 3; i++) {
		p = add_worker(profile, 25400 + i, 25397, 18000);
		serve(profile, p, i);
		p->lost_bytes[PYMEM_LOSS_NO_FRAME] = i * 10 * PAGE;
		p->rss_end_bytes += i * 10 * PAGE;
	}
	assert_int_equal(model_compute(profile->model), 0);
}

/* Lines that grow, and others that free what those have grown. */
static void fill_both_ways(struct profile *profile)
{
	char *command[] = {"/usr/bin/python3", "/srv/shop/shop.py", "200", NULL};
	struct model_process *p;

	profile_init(profile);
	profile_write(profile, SHOP, shop_source, 1000);
	p = model_add_process(profile->model, 20929, 1, "python3", command, "", "3.11.2", "walk");
	profile_open_root(profile, p);
	p->rss_start_bytes = p->rss_end_bytes = 7347 * PAGE;
	ADD(profile, p, 19895, 0, {SHOP, "report", 10}, {SHOP, "<module>", 1});
	ADD(profile, p, -15872, 0, {SHOP, "Application.__call__", 7}, {SHOP, "<module>", 1});
	ADD(profile, p, 136, 0, {SHOP, "audit", 14}, {SHOP, "<module>", 1});
	p->rss_peak_bytes = p->rss_end_bytes + MIB(40) * PAGE;
	assert_int_equal(model_compute(profile->model), 0);
}

static const struct golden {
	const char *name;
	void (*fill)(struct profile *profile);
	struct render_options options;
	bool trees;
} goldens[] = {
	{"answer-80.txt", fill_service, {.top = 20, .width = 80}, false},
	{"answer-120.txt", fill_service, {.top = 20, .width = 120}, false},
	{"answer-200.txt", fill_service, {.top = 20, .width = 200}, false},
	{"answer-40.txt", fill_service, {.top = 20, .width = 40}, false},
	{"answer-unlimited.txt", fill_service, {.top = 20}, false},
	{"answer-color-100.txt", fill_service, {.top = 20, .width = 100, .color = true}, false},
	{"answer-live-80.txt",
	 fill_service,
	 {.top = 20, .width = 80, .live = true, .height = 12},
	 false},
	{"answer-all-80.txt", fill_service, {.width = 80}, false},
	{"answer-both-ways-80.txt", fill_both_ways, {.width = 80, .top = 2}, false},
	{"answer-freed-100.txt",
	 fill_both_ways,
	 {.top = 20, .width = 100, .sort = MODEL_SORT_FREED},
	 false},
	{"answer-tree-80.txt", fill_service, {.top = 20, .width = 80, .tree = true}, true},
	{"answer-tree-120.txt", fill_service, {.top = 20, .width = 120, .tree = true}, true},
};

static void fill_several(struct profile *profile)
{
	profile_init(profile);
	profile_fill(profile);
}

static void fill_resident(struct profile *profile)
{
	profile_init(profile);
	profile_fill_touched(profile);
}

static void fill_stalled(struct profile *profile)
{
	profile_init(profile);
	profile_fill_stalled(profile);
}

static void fill_kernel(struct profile *profile)
{
	profile_init(profile);
	profile_fill_kernel(profile);
}

static void fill_cached(struct profile *profile)
{
	profile_init(profile);
	profile_fill_cached(profile);
}

static void fill_away(struct profile *profile)
{
	profile_init(profile);
	profile_fill_away(profile);
}

static void fill_extras(struct profile *profile)
{
	profile_init(profile);
	profile_fill_extras(profile);
}

static void fill_hostile(struct profile *profile)
{
	profile_init(profile);
	profile->model->trees_kept = true;
	profile_fill_hostile(profile);
}

static const struct golden more_goldens[] = {
	{"answer-several-80.txt", fill_several, {.top = 20, .width = 80}, false},
	{"answer-several-120.txt", fill_several, {.top = 20, .width = 120}, false},
	{"answer-cow-100.txt",
	 fill_several,
	 {.top = 20, .width = 100, .sort = MODEL_SORT_COW},
	 false},
	{"answer-touched-120.txt", fill_resident, {.top = 20, .width = 120}, false},
	{"answer-stalled-120.txt", fill_stalled, {.top = 20, .width = 120}, false},
	{"answer-kernel-120.txt", fill_kernel, {.top = 20, .width = 120}, false},
	{"answer-cached-120.txt", fill_cached, {.top = 20, .width = 120}, false},
	{"answer-extras-120.txt", fill_extras, {.top = 20, .width = 120}, false},
	{"answer-away-120.txt", fill_away, {.top = 20, .width = 120}, false},
	{"answer-hostile-100.txt", fill_hostile, {.top = 20, .width = 100}, false},
	{"answer-hostile-20.txt", fill_hostile, {.top = 20, .width = 20}, false},
};

static void compare(const struct golden *golden)
{
	struct profile profile;
	struct rendered output;

	golden->fill(&profile);
	if (golden->trees) {
		profile.model->trees_kept = true;
		assert_int_equal(model_compute(profile.model), 0);
	}
	output = render(&profile, golden->options);
	golden_compare(golden->name, &output);
	if (!golden->options.color)
		golden_harmless(&output, golden->options.width < 40 ? 0 : golden->options.width);
	free(output.text);
	profile_fini(&profile);
}

static void test_goldens(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++)
		compare(&goldens[i]);
	for (i = 0; i < sizeof(more_goldens) / sizeof(more_goldens[0]); i++)
		compare(&more_goldens[i]);
}

/* The amounts at the beginning of the rows, in tenths of MiB. */
static long sum_of_rows(const char *text)
{
	const char *at = strstr(text, "\n\n");
	double sum = 0, amount;
	char unit[8];

	assert_non_null(at);
	for (at += 2; *at && *at != '\n'; at = strchr(at, '\n') + 1) {
		if (sscanf(at, "%lf %7s", &amount, unit) == 2)
			sum += strcmp(unit, "KiB") ? amount * 10 : amount / 102.4;
	}
	return (long)(sum + 0.5);
}

/* Whatever is left out, the amounts of all rows are what is attributed. */
static void test_adds_up(void **state)
{
	static const unsigned tops[] = {0, 1, 2, 3, 100};
	struct profile profile;
	struct rendered output;
	int64_t attributed = 0;
	size_t i;

	(void)state;
	fill_service(&profile);
	for (i = 0; i < profile.model->process_count; i++)
		attributed += profile.model->processes[i]->charged_bytes;
	for (i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		output = render(&profile, (struct render_options){.top = tops[i]});
		assert_in_range(sum_of_rows(output.text), attributed * 10 / (1 << 20) - 3,
				attributed * 10 / (1 << 20) + 3);
		free(output.text);
	}
	profile_fini(&profile);
}

/* The per cents of rows that grew, and of what is unattributed. */
static double sum_of_shares(const char *text)
{
	const char *at = strstr(text, "\n\n"), *lost = strstr(text, "%) unattributed");
	double sum = 0, amount, share;
	char unit[8];

	assert_non_null(at);
	for (at += 2; *at && *at != '\n'; at = strchr(at, '\n') + 1)
		if (sscanf(at, "%lf %7s %lf", &amount, unit, &share) == 3 && amount > 0)
			sum += share;
	while (lost && lost > text && lost[-1] != '(')
		lost--;
	return lost ? sum + atof(lost) : sum;
}

/* Lines and what is unattributed grew, and others shrank: parts of the difference would be more
 * than all of it. So would be the imports of a line that has freed more since. */
static void test_shares_add_up(void **state)
{
	char *command[] = {"/usr/bin/python3", "/srv/shop/shop.py", NULL};
	struct profile profile;
	struct rendered output;
	struct model_process *p;

	(void)state;
	for (int imports = 0; imports < 2; imports++) {
		profile_init(&profile);
		profile.model->imports_gathered = true;
		p = model_add_process(profile.model, 1, 1, "python3", command, "", "3.11.2",
				      "walk");
		profile_open_root(&profile, p);
		p->rss_start_bytes = p->rss_end_bytes = 7000 * PAGE;
		ADD(&profile, p, 6000, 0, {SHOP, "report", 10}, {SHOP, "<module>", 1});
		if (imports) {
			ADD(&profile, p, 9000, 0, {CONFIG, "load", 3},
			    {IMPORT, "_load_unlocked", 690}, {SHOP, "<module>", 1});
			ADD(&profile, p, -8500, 0, {CONFIG, "load", 3}, {SHOP, "<module>", 1});
		} else {
			ADD(&profile, p, -5000, 0, {SHOP, "audit", 14}, {SHOP, "<module>", 1});
			p->lost_bytes[PYMEM_LOSS_NO_THREAD] = 6000 * PAGE;
			p->rss_end_bytes += 6000 * PAGE;
		}
		assert_int_equal(model_compute(profile.model), 0);
		output = render(&profile, (struct render_options){0});
		assert_in_range((int)sum_of_shares(output.text), 98, 101);
		free(output.text);
		profile_fini(&profile);
	}
}

/* A process that did nothing, for which there is no more than a sentence. */
static void test_still(void **state)
{
	struct profile profile;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	add_worker(&profile, 7, 1, 57574);
	assert_int_equal(model_compute(profile.model), 0);
	output = render(&profile, (struct render_options){0});
	assert_string_equal(output.text, "gunicorn -w 3 shop:application   PID 7   Python 3.11.2\n"
					 "RSS did not change in 60 s (224.9 MiB).\n");
	free(output.text);
	profile_fini(&profile);
}

/* A head that fills the line to its last column is not broken. */
static void test_full_line(void **state)
{
	static const char head[] =
		"shop.py 200   PID 20929   Python 3.11.2   60 s   RSS 28.7 → 44.9 MiB"
		"   +16.2 MiB (+16.2/min, +57 %)   peak 84.9 MiB\n";
	struct profile profile;
	struct rendered output;
	unsigned columns = text_columns(head) - 2; /* without the escaped end of the line */

	(void)state;
	fill_both_ways(&profile);
	output = render(&profile, (struct render_options){.width = columns});
	assert_memory_equal(output.text, head, strlen(head));
	free(output.text);
	output = render(&profile, (struct render_options){.width = columns - 1});
	assert_memory_equal(output.text, head, strlen("shop.py 200   PID 20929   Python 3.11.2"));
	assert_int_equal(output.text[strlen("shop.py 200   PID 20929   Python 3.11.2")], '\n');
	free(output.text);
	profile_fini(&profile);
}

/* Of workers that came and went there is a sum: their RSS was never there at one time. */
static void test_many_ended(void **state)
{
	struct profile profile;
	struct rendered output;
	struct model_process *p;
	int i;

	(void)state;
	profile_init(&profile);
	add_worker(&profile, 100, 1, 1000);
	for (i = 0; i < 20; i++) {
		p = add_worker(&profile, 200 + i, 100, 1000);
		p->exited = true;
		ADD(&profile, p, MIB(2), 0, {SHOP, "report", 10});
	}
	assert_int_equal(model_compute(profile.model), 0);
	output = render(&profile, (struct render_options){0});
	assert_non_null(strstr(output.text, "   20 workers and their parent   "));
	assert_non_null(strstr(output.text, "   60 s   RSS +40.0 MiB in all\n"));
	assert_non_null(strstr(output.text, "\n      100  RSS 3.9 → 3.9 MiB  0.0 MiB\n"
					    "           and 20 more  +40.0 MiB  ended\n"));
	free(output.text);
	profile_fini(&profile);
}

/* Many that did nothing are a number. */
static void test_many_still(void **state)
{
	char script[32], *command[] = {"python3", script, NULL};
	struct profile profile;
	struct rendered output;
	int i;

	(void)state;
	profile_init(&profile);
	for (i = 0; i < 40; i++) {
		snprintf(script, sizeof(script), "/srv/job%d.py", i);
		model_add_process(profile.model, i + 2, 1, "python3", command, "", "3.11.2",
				  "walk");
	}
	assert_int_equal(model_compute(profile.model), 0);
	output = render(&profile, (struct render_options){0});
	assert_string_equal(output.text, "40 processes did not change (-v lists them)\n");
	free(output.text);
	profile_fini(&profile);
}

/* Memory that a module's own code took while it was imported is that line's, not the imports'. */
static void test_large_import(void **state)
{
	struct profile profile;
	struct rendered output;
	struct model_process *p;

	(void)state;
	profile_init(&profile);
	profile.model->imports_gathered = true;
	p = add_worker(&profile, 7, 1, 1000);
	ADD(&profile, p, MIB(100), 0, {CONFIG, "<module>", 3}, {IMPORT, "_load_unlocked", 690},
	    {SHOP, "<module>", 1});
	ADD(&profile, p, MIB(5), 0, {IMPORT, "_load_unlocked", 690}, {SHOP, "<module>", 1});
	ADD(&profile, p, MIB(2), 0, {VIEWS, "<module>", 1}, {IMPORT, "_load_unlocked", 690},
	    {SHOP, "<module>", 1});
	assert_int_equal(model_compute(profile.model), 0);
	output = render(&profile, (struct render_options){0});
	assert_non_null(strstr(output.text, "\n93 % of it by config.py:3 <module>. Nothing "
					    "unattributed.\n"));
	assert_non_null(strstr(output.text, "100.0 MiB   93 %  config.py:3 <module> "));
	assert_non_null(strstr(output.text, "7.0 MiB    7 %  imports"));
	assert_null(strstr(output.text, "views.py"));
	free(output.text);
	profile_fini(&profile);
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	while ((text = strstr(text, what))) {
		text++;
		count++;
	}
	return count;
}

/* The screen is used, and never exceeded; -n is obeyed. */
static void test_fits(void **state)
{
	struct profile profile;
	struct rendered output;
	unsigned height, before = 0, lines;

	(void)state;
	fill_service(&profile);
	for (height = 5; height < 30; height++) {
		output = render(&profile, (struct render_options){
						  .width = 100, .height = height, .live = true});
		lines = (unsigned)count_of(output.text, "\n");
		assert_in_range(lines, before, height);
		before = lines;
		free(output.text);
	}
	output =
		render(&profile,
		       (struct render_options){.width = 100, .height = 30, .live = true, .top = 1});
	assert_non_null(strstr(output.text, "shop.py:10 report"));
	assert_null(strstr(output.text, "encoder.py"));
	free(output.text);
	profile_fini(&profile);
}

/* Many programs: those that there is room for, and a sum of the others. */
static void test_fits_many(void **state)
{
	char script[32], *command[] = {"python3", script, NULL};
	struct profile profile;
	struct rendered output;
	struct model_process *p;
	int i;

	(void)state;
	profile_init(&profile);
	for (i = 0; i < 40; i++) {
		snprintf(script, sizeof(script), "/srv/job%d.py", i);
		p = model_add_process(profile.model, i + 2, 1, "python3", command, "", "3.11.2",
				      "walk");
		p->id = (uint32_t)i;
		ADD(&profile, p, MIB(i + 1), 0, {SHOP, "report", 10});
	}
	assert_int_equal(model_compute(profile.model), 0);
	output =
		render(&profile, (struct render_options){.width = 100, .height = 23, .live = true});
	assert_in_range(count_of(output.text, "\n"), 15, 23);
	assert_non_null(strstr(output.text, "job39.py"));
	assert_non_null(strstr(output.text, " more processes, +"));
	free(output.text);
	profile_fini(&profile);
}

/* Draws two lines of these amounts; true if the first one comes first. `second` 0: the last
 * time. */
static bool is_first(struct render_memory *memory, int64_t first, int64_t second)
{
	static struct profile profile;
	struct rendered output;
	struct model_process *p;
	bool result;

	/* The model stays, as it does while a screen is redrawn. */
	if (!profile.model)
		profile_init(&profile);
	model_clear(profile.model);
	p = add_worker(&profile, 7, 1, 1000);
	ADD(&profile, p, MIB(first), 0, {SHOP, "report", 10});
	ADD(&profile, p, MIB(second), 0, {SHOP, "audit", 14});
	assert_int_equal(model_compute(profile.model), 0);
	output = render(&profile,
			(struct render_options){
				.width = 100, .height = 30, .live = true, .memory = memory});
	/* In a sentence, there is no source behind them. */
	result = !second || strstr(output.text, "shop.py:10 report  (") <
				    strstr(output.text, "shop.py:14 audit   (");
	free(output.text);
	if (second == 0)
		profile_fini(&profile);
	return result;
}

/* Rows change places only if one has clearly passed the other. */
static void test_order_stays(void **state)
{
	struct render_memory memory = {.count = 0};

	(void)state;
	assert_true(is_first(&memory, 100, 90));
	assert_true(is_first(&memory, 100, 110));
	assert_true(is_first(&memory, 100, 124));
	assert_false(is_first(&memory, 100, 130));
	assert_false(is_first(&memory, 140, 130));
	assert_true(is_first(&memory, 200, 130));
	assert_true(is_first(&memory, 200, 0));
}

/* No width breaks it, whatever the names are. */
static void test_widths(void **state)
{
	void (*const fills[])(struct profile *) = {fill_service, fill_several, fill_hostile};
	struct profile profile;
	struct rendered output;
	unsigned width, f, i;

	(void)state;
	for (f = 0; f < 3; f++) {
		fills[f](&profile);
		profile.model->trees_kept = true;
		assert_int_equal(model_compute(profile.model), 0);
		for (width = 1; width <= 220; width += width < 40 ? 4 : 7) {
			for (i = 0; i < 4; i++) {
				output = render(&profile, (struct render_options){.width = width,
										  .height = 24,
										  .live = i & 1,
										  .tree = i & 2});
				golden_harmless(&output, width < 60 ? 0 : width);
				assert_true(output.size < 40000);
				free(output.text);
			}
		}
		profile_fini(&profile);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens),	      cmocka_unit_test(test_adds_up),
		cmocka_unit_test(test_shares_add_up), cmocka_unit_test(test_still),
		cmocka_unit_test(test_many_ended),    cmocka_unit_test(test_full_line),
		cmocka_unit_test(test_many_still),    cmocka_unit_test(test_large_import),
		cmocka_unit_test(test_fits),	      cmocka_unit_test(test_fits_many),
		cmocka_unit_test(test_order_stays),   cmocka_unit_test(test_widths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
