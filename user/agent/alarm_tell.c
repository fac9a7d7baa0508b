/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An alarm is one line on stderr, which is the journal of a service, and the report of a process in
 * a file. Both are of the same reading of the figures. Texts of targets are escaped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/alarm_private.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/cgroup_name.h"
#include "os/write_all.h"
#include "render/render.h"
#include "report/report.h"

#define NAMES_TRIED 16	 /* of files, a second apart */
#define LINES_MOST  1000 /* of a report in the store */
#define NAME_MOST   256
#define PART_MOST   512 /* bytes of a part of the line */
#define PLACE_MOST  (PART_MOST + NAME_MOST + 16)

/* --- who --- */

static const char *program_name(const struct alarm_subject *program)
{
	return program && program->name ? program->name : "a Python";
}

static void put_process(char *text, size_t size, const struct alarm_subject *process)
{
	char number[TEXT_PID];

	text_pid(number, sizeof(number), process->pid, process->ns_pid, " ");
	snprintf(text, size, "%s, PID %s", program_name(process->of_program), number);
}

static void put_group(char *text, size_t size, const struct alarm_subject *group)
{
	cgroup_name(group->key, text, size);
	if (!*text)
		text_escape(text, size, group->key);
}

/* "worker.py in api.service", "worker.py of user 1000". */
static void put_program(char *text, size_t size, const struct alarm_subject *program)
{
	const char *place = program->place ?: "", *link = strncmp(place, "user ", 5) ? "in" : "of";

	if (*place)
		snprintf(text, size, "%s %s %s", program_name(program), link, place);
	else
		snprintf(text, size, "%s", program_name(program));
}

/* "worker.py, PID 16005, in docker:0123456789ab"; "docker:0123456789ab, 3 Pythons". */
static void put_who(char *text, size_t size, const struct alarm_subject *s)
{
	char name[PART_MOST], place[PART_MOST] = "";

	if (s->scope == ALARM_PROCESS) {
		put_process(name, sizeof(name), s);
		if (s->of_group)
			put_group(place, sizeof(place), s->of_group);
		snprintf(text, size, "%s%s%s", name, *place ? ", in " : "", place);
		return;
	}
	if (s->scope == ALARM_PROGRAM)
		put_program(name, sizeof(name), s);
	else
		put_group(name, sizeof(name), s);
	snprintf(text, size, "%s, %u Python%s", name, s->users, s->users == 1 ? "" : "s");
}

static bool is_in(const struct alarm_subject *process, const struct alarm_subject *s)
{
	return process == s || process->of_program == s || process->of_group == s;
}

/* The process that is to be looked at: of a growth that which has grown most since `base`, else the
 * largest one. NULL: they have all gone. */
static struct alarm_subject *culprit(const struct alarms *a, const struct alarm_subject *s,
				     const struct alarm_base *base)
{
	struct alarm_subject *most = NULL, *each;
	int64_t page = sysconf(_SC_PAGESIZE), most_bytes = 0;

	for (each = a->processes; each; each = each->hh.next) {
		int64_t bytes = each->rss - page * alarm_base_rss(base, each->image);

		if (!is_in(each, s) || (most && bytes <= most_bytes))
			continue;
		most = each;
		most_bytes = bytes;
	}
	return most;
}

/* --- how much --- */

/* "uses 51.3 MiB of its limit of 512.0 MiB (10 %)"; what is in a group has its limit. */
static void put_share(char *text, size_t size, const struct alarm_subject *s)
{
	const struct alarm_subject *group;
	int64_t bytes = alarms_part_of_limit(s, &group);
	char part[32], limit[32];

	alarm_put_bytes(part, sizeof(part), (double)bytes);
	if (!group) {
		snprintf(text, size, "%s", part);
		return;
	}
	alarm_put_bytes(limit, sizeof(limit), (double)group->limit);
	snprintf(text, size, "%s %s of %s limit of %s (%.0f %%)", group == s ? "uses" : "RSS", part,
		 group == s ? "its" : "its control group's", limit,
		 100.0 * (double)bytes / (double)group->limit);
}

static void put_figure(char *text, size_t size, const struct alarm_rule *rule,
		       const struct alarm_subject *s, const struct alarm_slope *slope)
{
	char rss[32], rate[96], time[32];

	alarm_put_bytes(rss, sizeof(rss), (double)s->rss);
	alarm_put_rate(rate, sizeof(rate), slope, rule);
	alarm_put_time(time, sizeof(time), slope->seconds);
	if (rule->what == ALARM_LIMIT)
		put_share(text, size, s);
	else
		snprintf(text, size, "RSS %s", rss);
	if (slope->known && slope->significant && slope->rate > 0)
		snprintf(text + strlen(text), size - strlen(text), ", %s over %s", rate, time);
}

/* When what grows so is at the limit of the group that it is in. */
static void put_limit(char *text, size_t size, const struct alarms *a,
		      const struct alarm_subject *s, const struct alarm_slope *slope)
{
	const struct alarm_subject *process = s->scope == ALARM_PROGRAM ? culprit(a, s, NULL) : s;
	struct alarm_subject *group = !process				? NULL
				      : process->scope == ALARM_PROCESS ? process->of_group
									: (struct alarm_subject *)s;
	struct alarm_forecast forecast;

	*text = '\0';
	if (!group)
		return;
	alarms_read_group(group, clock_seconds(CLOCK_MONOTONIC));
	if (group->limit <= 0 || group->used < 0)
		return;
	alarm_forecast_make(slope, group->limit > group->used ? group->limit - group->used : 0,
			    &forecast);
	alarm_put_forecast(text, size, &forecast, (double)group->limit);
}

/* --- which line --- */

/* The first one of its callers that is no library's; NULL: there is none. */
static const struct model_location *caller(const struct model_line *line)
{
	for (unsigned i = 0; line->location->library && i < line->path_count; i++) {
		const struct model_location *at = line->path[i].location;

		if (at && !at->library)
			return at;
	}
	return NULL;
}

static void put_place(char *text, size_t size, const struct model_location *at)
{
	char file[PART_MOST], function[NAME_MOST];

	text_escape(file, sizeof(file), at->file);
	text_escape(function, sizeof(function), at->function);
	snprintf(text, size, "%s:%d %s", file, at->line, function);
}

static const struct model_line *grown_most(const struct model_process *process)
{
	const struct model_line *most = NULL, *line;

	for (line = process->lines; line < process->lines + process->line_count; line++)
		if (line->increment_bytes > (most ? most->increment_bytes : 0))
			most = line;
	return most;
}

/* "grew most at shop.py:4 remember: +45.6 MiB (96 %) in 11 min". */
static void put_line(char *text, size_t size, const struct model_process *process, double seconds)
{
	int64_t whole = process->rss_end_bytes - process->rss_start_bytes;
	const struct model_line *most = grown_most(process);
	char place[PLACE_MOST], from[PLACE_MOST] = "", change[32], share[32] = "", time[32];

	if (!most) {
		snprintf(text, size, "no line of it has grown%s%s", process->note ? ": " : "",
			 process->note ?: "");
		return;
	}
	put_place(place, sizeof(place), most->location);
	if (caller(most))
		put_place(from, sizeof(from), caller(most));
	alarm_put_bytes(change, sizeof(change), (double)most->increment_bytes);
	alarm_put_time(time, sizeof(time), seconds);
	/* Others may have freed a part of it: then there is no share. */
	if (most->increment_bytes <= whole)
		snprintf(share, sizeof(share), " (%.0f %%)",
			 100.0 * (double)most->increment_bytes / (double)whole);
	snprintf(text, size, "grew most at %s%s%s: +%s%s in %s", place, *from ? ", called at " : "",
		 from, change, share, time);
}

/* --- the file --- */

/* Leaves the lines that changed most. 0 or -ENOMEM. */
static int cut_lines(struct model *model)
{
	struct model_process *process = model->processes[0];
	char note[128];

	if (process->line_count <= LINES_MOST)
		return 0;
	snprintf(note, sizeof(note), "of %zu lines these are the %d that changed most",
		 process->line_count, LINES_MOST);
	model_sort_lines(process, MODEL_SORT_INCREMENT);
	process->line_count = LINES_MOST;
	return model_add_note(model, note);
}

/* The report as text, which the caller frees. 0 or -errno. */
static int render(struct model *model, char **text, size_t *size)
{
	const struct render_options options = {.sort = MODEL_SORT_INCREMENT};
	FILE *out = open_memstream(text, size);
	int err;

	if (!out)
		return -errno;
	err = cut_lines(model) ?: render_json.emit(out, model, &options);
	return fclose(out) && !err ? -errno : err;
}

/* Writes it to a new file, whose path is written to `path`. 0 or -errno: then there is none. */
static int write_file(const struct alarms *a, int pid, const char *text, size_t size, char *path,
		      size_t path_size)
{
	int fd = -EEXIST, err;

	/* Another alarm may have been met by this process in this second. */
	for (int i = 0; i < NAMES_TRIED && fd == -EEXIST; i++)
		fd = store_new_alarm(a->store, clock_seconds(CLOCK_REALTIME) + i, pid, path,
				     path_size);
	err = fd < 0 ? fd : write_all(fd, text, size);
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	if (fd >= 0 && err)
		store_drop_alarm(a->store, path);
	return err;
}

/* Keeps the report of the process. "; PATH", or why there is none. 0 or -errno. */
static int keep_report(const struct alarms *a, struct model *model, char *path, size_t path_size,
		       char *said, size_t said_size)
{
	char *text = NULL;
	size_t size = 0;
	int err = render(model, &text, &size);

	if (!err && size > a->most)
		err = -EFBIG;
	if (!err)
		err = write_file(a, model->processes[0]->pid, text, size, path, path_size);
	free(text);
	if (err)
		snprintf(said, said_size, "; its report can't be kept: %s", strerror(-err));
	else
		snprintf(said, said_size, "; %s", path);
	return err;
}

/* --- its heap --- */

/* Notes in the report whether the heap of its process is looked at, or why not, which `words`
 * becomes. True: it is to be asked for. */
static bool plan_look(const struct alarms *a, struct model *model,
		      const struct alarm_heap_subject *subject, char *words, size_t size)
{
	char note[PART_MOST + 128];
	bool may;

	if (!a->heap)
		return false;
	may = alarm_heap_may(a->heap, subject, clock_seconds(CLOCK_MONOTONIC), words, size);
	snprintf(note, sizeof(note), "%s%s", words,
		 may ? ": the look is beside this file, with the same name and the "
		       "end " STORE_HEAP_TEXT
		     : "");
	if (model_add_note(model, note))
		agent_complain("alarms: PID %d can't be reported: %s", subject->pid,
			       strerror(ENOMEM));
	return may;
}

/* Keeps the report, and asks for a look at the heap. `said` becomes "; its heap is looked at; PATH"
 * and the like. */
static void keep_all(const struct alarms *a, struct alarm_subject *process, struct model *model,
		     char *said, size_t size)
{
	const struct alarm_heap_subject subject = {
		.pid = process->pid,
		.start_boottime_ns = process->start_boottime_ns,
		.rss_bytes = process->rss,
		.looked = process->looked,
	};
	char path[PATH_MAX + 64], kept[PATH_MAX + 128], words[PART_MOST] = "";
	bool look = plan_look(a, model, &subject, words, sizeof(words));

	if (!keep_report(a, model, path, sizeof(path), kept, sizeof(kept)) && look) {
		alarm_heap_ask(a->heap, &subject, path, program_name(process->of_program));
		process->looked = clock_seconds(CLOCK_MONOTONIC);
	} else if (look) {
		/* A look has the name of the report. */
		snprintf(words, sizeof(words), "its heap is not looked at, either");
	}
	snprintf(said, size, "%s%s%s", *words ? "; " : "", words, kept);
}

/* --- all of it --- */

/* Of a group also which of its processes it is. */
static void put_report(char *text, size_t size, const struct alarm_subject *s,
		       const struct alarm_subject *process, const struct model *model)
{
	char who[PART_MOST] = "", line[4 * PART_MOST];

	if (s != process)
		put_process(who, sizeof(who), process);
	put_line(line, sizeof(line), model->processes[0], model->end - model->start);
	snprintf(text, size, "; %s%s%s", who, *who ? " " : "", line);
}

void alarms_tell(struct alarms *a, const struct alarm_rule *rule, struct alarm_subject *s,
		 const struct alarm_slope *slope)
{
	/* What is large has become so at any time. */
	const struct alarm_base *base = rule->what == ALARM_GROWTH ? a->older ?: a->newer : NULL;
	char who[2 * PART_MOST + 32], figure[PART_MOST], limit[PART_MOST],
		line[8 * PART_MOST] = "", kept[PATH_MAX + 2 * PART_MOST] = "";
	struct alarm_subject *process;
	struct report *report = NULL;
	struct model *model = NULL;

	process = culprit(a, s, base);
	if (process)
		model = alarm_base_report(a->counts, base, process->image, process->start, &report);
	if (process && (!model || report_add_cgroups(model)))
		agent_complain("alarms: PID %d can't be reported: %s", process->pid,
			       strerror(errno));
	put_who(who, sizeof(who), s);
	put_figure(figure, sizeof(figure), rule, s, slope);
	put_limit(limit, sizeof(limit), a, s, slope);
	/* It may have ended since it was read. */
	if (model && model->process_count) {
		put_report(line, sizeof(line), s, process, model);
		keep_all(a, process, model, kept, sizeof(kept));
	}
	agent_complain("alarm %s: %s: %s%s%s%s%s", rule->text, who, figure, *limit ? "; " : "",
		       limit, line, kept);
	report_free(report);
}
