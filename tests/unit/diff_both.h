/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two profiles and their diff, for tests of its renderers. To be included after cmocka.h. */
#ifndef DIFF_BOTH_H
#define DIFF_BOTH_H

#include "goldens.h"
#include "model/model_diff_heap.h"
#include "profiles.h"
#include "render/diff_parts.h"

#define APP   "/srv/app/app.py"
#define VIEWS "/srv/app/web/views.py"
#define LIB_A "/old/lib/python3.11/json/encoder.py"
#define LIB_B "/new/lib/python3.11/json/encoder.py"
#define MIBI  (1024 * 1024)

static const char app_before[] = "CACHE = []\n"
				 "def handle(request):\n"
				 "    rows = query(request)\n"
				 "    CACHE.append(rows)\n"
				 "    return render(rows)\n";
static const char app_after[] = "import time\n"
				"CACHE = []\n"
				"\n"
				"def handle(request):\n"
				"    if not request.old:\n"
				"        rows = query(request)\n"
				"        CACHE.append(rows)\n"
				"        return render_all(rows)\n";
static const char views[] = "def view():\n    return template.fill()\n";

struct both {
	struct profile profile[MODEL_DIFF_SIDES];
	struct source_cache *sources[MODEL_DIFF_SIDES];
	struct diff_report report;
	struct model_diff *diff;
	struct heap_times heap[MODEL_DIFF_SIDES];
};

static inline struct model_process *add_process(struct profile *profile, int pid, const char *comm,
						char *const *command)
{
	struct model_process *p = model_add_process(profile->model, pid, 1, comm, command,
						    "/system.slice/shop.service", "3.11.2", "walk");

	assert_non_null(p);
	profile_open_root(profile, p);
	profile_set_rss(p, MIB(20), MIB(20), MIB(90));
	return p;
}

static inline void add(struct profile *profile, struct model_process *p, const char *file,
		       const char *function, int line, int first_line, int64_t grown, int64_t freed,
		       uint64_t copied)
{
	struct sample sample = {
		.frames = {{file, function, line, first_line}},
		.anon = grown - freed,
		.grown = (uint64_t)grown,
		.freed = (uint64_t)freed,
		.minor = (uint64_t)grown + copied,
		.cow = copied,
	};

	profile_add(profile, p, &sample);
	p->rss_end_bytes += (grown - freed) * PAGE;
}

static inline void lose(struct model_process *p, int cause, int64_t pages)
{
	p->lost_bytes[cause] += pages * PAGE;
	p->rss_end_bytes += pages * PAGE;
}

static char *app_command[] = {"/usr/bin/python3", APP, "--port", "80", NULL};
static char *worker_command[] = {"gunicorn: worker [shop]", NULL};
static char *cron_command[] = {"python3", "-m", "cron", NULL};
static char *idle_command[] = {"python3", "idle.py", NULL};

static inline void fill_before(struct profile *profile)
{
	struct model_process *p = add_process(profile, 4711, "python3", app_command);

	profile_write(profile, APP, app_before, 1000);
	profile_write(profile, VIEWS, views, 1000);
	add(profile, p, APP, "handle", 3, 2, MIB(30), MIB(22), 0);
	add(profile, p, APP, "handle", 4, 2, MIB(1), 0, 0);
	add(profile, p, APP, "handle", 5, 2, MIB(3), MIB(1), 0);
	add(profile, p, VIEWS, "view", 2, 1, 20, 0, 0);
	add(profile, p, LIB_A, "encode", 200, 190, MIB(2), 0, 0);
	add(profile, p, "<string>", "<module>", 1, 1, 3, 0, 0);
	lose(p, PYMEM_LOSS_NO_FRAME, 230);
	p = add_process(profile, 4720, "gunicorn", worker_command);
	add(profile, p, VIEWS, "view", 2, 1, MIB(1), 0, MIB(2));
	add_process(profile, 4730, "python3", idle_command);
	if (model_add_note(profile->model, "faults are not counted on this kernel") ||
	    model_add_note(profile->model, "the ring buffer was full"))
		abort();
}

static inline void fill_after(struct profile *profile)
{
	struct model_process *p = add_process(profile, 815, "python3", app_command);

	profile_write(profile, APP, app_after, 1000);
	profile_write(profile, VIEWS, views, 1000);
	add(profile, p, APP, "handle", 6, 4, MIB(60), MIB(52), 0);
	add(profile, p, APP, "handle", 7, 4, MIB(25), 0, 0);
	add(profile, p, APP, "handle", 8, 4, MIB(9), MIB(1), 0);
	add(profile, p, VIEWS, "view", 2, 1, 22, 0, 0);
	add(profile, p, LIB_B, "encode", 200, 190, 100, MIB(1), 0);
	add(profile, p, "<string>", "<module>", 1, 1, 3, 0, 0);
	lose(p, PYMEM_LOSS_NO_FRAME, 210);
	lose(p, PYMEM_LOSS_OTHER_TASK, -12);
	p->truncated_stacks = 3;
	p->lost_faults = 17;
	p = add_process(profile, 820, "gunicorn", worker_command);
	add(profile, p, VIEWS, "view", 2, 1, MIB(1), 0, MIB(40));
	p = add_process(profile, 821, "gunicorn", worker_command);
	p->rss_peak_bytes = MIB(23) * PAGE;
	p->exited = true;
	p = add_process(profile, 830, "python3", idle_command);
	p = add_process(profile, 840, "python3", cron_command);
	add(profile, p, "/srv/cron.py", "tick", 1, 1, 30, 0, 0);
	lose(p, PYMEM_LOSS_UNSETTLED, 2);
	profile->model->gathered = (struct model_gathered){
		.processes = 31, .change_bytes = 3 * MIBI, .charged_bytes = 2 * MIBI};
	profile->model->gathered.lost_bytes[PYMEM_LOSS_EXIT] = MIBI;
	profile->model->unfolded = profile->model->gathered;
	if (model_add_note(profile->model, "faults are not counted on this kernel") ||
	    model_add_note(profile->model, "12 stacks were not kept") ||
	    model_add_skip(profile->model, 412, "gunicorn", "Python 2.7 is not supported"))
		abort();
}

static inline void both_init(struct both *both, void (*before)(struct profile *),
			     void (*after)(struct profile *))
{
	void (*const fill[])(struct profile *) = {before, after};

	*both = (struct both){.report = {.version = "0.1.0"}};
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		profile_init(&both->profile[side]);
		fill[side](&both->profile[side]);
		assert_int_equal(model_compute(both->profile[side].model), 0);
		both->sources[side] = source_cache_new(source_read_here);
		both->report.side[side] = (struct diff_report_side){
			.name = side ? "after.pymem@5m,6m" : "before.pymem",
			.sources = both->sources[side]};
	}
}

static inline const char *text_of(void *arg, const struct model_process *process, const char *file,
				  int line)
{
	return source_line(arg, &process->root, file, line, NULL);
}

static inline void compare(struct both *both, bool by_rates)
{
	struct model_diff_texts texts = {text_of, {both->sources[0], both->sources[1]}};

	both->diff = model_diff_new(both->profile[0].model, both->profile[1].model, &texts);
	assert_non_null(both->diff);
	model_diff_sort(both->diff, by_rates);
	both->report.diff = both->diff;
}

static inline void both_fini(struct both *both)
{
	model_diff_free(both->diff);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		heap_times_fini(&both->heap[side]);
		source_cache_free(both->sources[side]);
		profile_fini(&both->profile[side]);
	}
}

static inline struct heap_times_look *look(struct both *both, int side, size_t process,
					   double after)
{
	const struct model *model = both->profile[side].model;
	struct heap_times_look *look = heap_times_add(&both->heap[side]);

	assert_non_null(look);
	look->process = model->processes[process];
	look->time = model->start + after;
	both->report.side[side].looks++;
	return look;
}

static inline void hold(struct both *both, int side, struct heap_times_look *look, const char *path,
			const char *type, int64_t entries, uint64_t kib)
{
	assert_int_equal(
		heap_times_add_holder(&both->heap[side], look, path, type, entries, kib * 1024), 0);
	assert_int_equal(heap_times_add_type(&both->heap[side], look, type,
					     (uint64_t)(entries < 0 ? 1 : entries), kib * 900),
			 0);
}

static inline void take_looks(struct both *both)
{
	assert_int_equal(model_diff_take_heaps(both->diff, &both->heap[0], &both->heap[1]), 0);
}

static inline struct rendered render(const struct both *both, const char *format,
				     struct render_options options)
{
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);

	assert_non_null(out);
	output.err = diff_renderer_find(format)->emit(out, &both->report, &options);
	fclose(out);
	return output;
}

struct golden {
	const char *name, *format;
	struct render_options options;
	double seconds; /* of B; 0: as long as A */
	uint64_t limit_bytes;
};

#endif
