/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Families of metrics that have a sample of each group. All samples of a family stand together, as
 * OpenMetrics wants it. */
#include "render/metrics_text.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

#define LABEL_BYTES 1024
#define NAME_BYTES  96

/* --- text --- */

void metrics_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (;;) {
		size_t plain = strcspn(value, "\"\\");

		fwrite(value, 1, plain, out);
		value += plain;
		if (!*value)
			break;
		fputc('\\', out);
		fputc(*value++, out);
	}
	fputc('"', out);
}

static const char *metrics_end(enum metrics_kind kind)
{
	return kind == METRICS_COUNTER ? "_total" : "";
}

void metrics_family(const struct metrics_form *form, enum metrics_kind kind, const char *name,
		    const char *unit, const char *help)
{
	const char *end = form->plain ? metrics_end(kind) : "";

	fprintf(form->out, "# TYPE %s%s %s\n", name, end,
		kind == METRICS_COUNTER ? "counter" : "gauge");
	if (unit && !form->plain)
		fprintf(form->out, "# UNIT %s %s\n", name, unit);
	fprintf(form->out, "# HELP %s%s %s\n", name, end, help);
}

/* False if it has to be escaped or cut: then it might look like another one. */
static bool is_plain(const char *text)
{
	char escaped[LABEL_BYTES];

	text_escape(escaped, sizeof(escaped), text);
	return !strcmp(escaped, text);
}

/* Labels of names, by enum model_by. */
static const struct {
	const char *name, *where; /* NULL: there is no place */
} labels[] = {
	[MODEL_BY_LINE] = {"program", "where"},	   [MODEL_BY_PROCESS] = {"program", "where"},
	[MODEL_BY_PROGRAM] = {"program", "where"}, [MODEL_BY_CONTAINER] = {"container", "pod"},
	[MODEL_BY_UNIT] = {"unit", "container"},   [MODEL_BY_USER] = {"user", NULL},
};

static void put_label(const struct metrics *m, const char *name, const char *value)
{
	fputc(',', m->form.out);
	metrics_label(m->form.out, name, value);
}

void metrics_begin_sample(const struct metrics *m, enum metrics_kind kind, const char *name,
			  const struct group_sum *sum)
{
	fprintf(m->form.out, "%s%s%s{", m->prefix, name, metrics_end(kind));
	metrics_label(m->form.out, labels[m->by].name, sum->name);
	if (labels[m->by].where)
		put_label(m, labels[m->by].where, sum->where);
	if (m->by == MODEL_BY_CONTAINER || m->by == MODEL_BY_UNIT)
		put_label(m, "id", sum->id);
	if (m->by == MODEL_BY_PROCESS)
		fprintf(m->form.out, ",pid=\"%d\",image=\"%" PRIu32 "\"",
			sum->first ? sum->first->pid : 0, sum->first ? sum->first->id : 0);
}

static void put_sample(const struct metrics *m, enum metrics_kind kind, const char *name,
		       const struct group_sum *sum, int64_t value)
{
	metrics_begin_sample(m, kind, name, sum);
	fprintf(m->form.out, "} %" PRId64 "\n", value);
}

static void put_family(const struct metrics *m, enum metrics_kind kind, const char *name,
		       const char *unit, const char *help)
{
	char whole[NAME_BYTES];

	snprintf(whole, sizeof(whole), "%s%s", m->prefix, name);
	metrics_family(&m->form, kind, whole, unit, help);
}

/* What only grows: in a single report it begins at 0, and is a gauge. */
static enum metrics_kind kind_of(const struct metrics *m, bool grows)
{
	return grows && m->counters ? METRICS_COUNTER : METRICS_GAUGE;
}

typedef void put_sum_fn(const struct metrics *m, const struct group_sum *sum);

static void put_each(const struct metrics *m, put_sum_fn *put)
{
	for (size_t i = 0; i < m->sums->count; i++)
		put(m, &m->sums->list[i]);
}

/* --- families --- */

/* Families with one figure of each group. */
static const struct gauge {
	const char *name, *unit, *help;
	size_t offset; /* of 64 bits in struct group_sum */
	bool grows;
} gauges[] = {
#define GAUGE(name, unit, field, grows, help)                              \
	{                                                                  \
		name, unit, help, offsetof(struct group_sum, field), grows \
	}
	GAUGE("processes", NULL, processes, false, "Python processes that run."),
	GAUGE("rss_bytes", "bytes", rss_bytes, false,
	      "Resident memory; shared pages count in each."),
	GAUGE("rss_peak_bytes", "bytes", peak_bytes, false, "The highest RSS of one process."),
	GAUGE("rss_change_bytes", "bytes", change_bytes, false,
	      "What RSS changed by while it was watched, ended processes included."),
	GAUGE("grown_bytes", "bytes", grown_bytes, true,
	      "What lines added to RSS while it was watched."),
	GAUGE("freed_bytes", "bytes", freed_bytes, true,
	      "What lines took from RSS while it was watched."),
#undef GAUGE
};
_Static_assert(sizeof(size_t) == sizeof(int64_t), "the number of processes is such a figure");

static void put_gauges(const struct metrics *m)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		const struct gauge *gauge = &gauges[i];
		enum metrics_kind kind = kind_of(m, gauge->grows);

		put_family(m, kind, gauge->name, gauge->unit, gauge->help);
		for (size_t j = 0; j < m->sums->count; j++) {
			const char *sum = (const char *)&m->sums->list[j];
			int64_t value;

			memcpy(&value, sum + gauge->offset, sizeof(value));
			put_sample(m, kind, gauge->name, &m->sums->list[j], value);
		}
	}
}

static void put_pss_of(const struct metrics *m, const struct group_sum *sum)
{
	if (sum->pss_bytes >= 0 && sum->processes)
		put_sample(m, METRICS_GAUGE, "pss_bytes", sum, sum->pss_bytes);
}

static void put_swap_of(const struct metrics *m, const struct group_sum *sum)
{
	put_sample(m, METRICS_GAUGE, "swap_bytes", sum, sum->swap_bytes);
}

/* A sum that lacks all is no sum: a program that nobody has read does not have 0. */
static bool is_read(const struct group_sum *sum)
{
	return sum->pss.processes || !sum->processes;
}

static void put_share_of(const struct metrics *m, const struct group_sum *sum)
{
	if (is_read(sum))
		put_sample(m, METRICS_GAUGE, "pss_bytes", sum, sum->pss.bytes);
}

static void put_swap_share_of(const struct metrics *m, const struct group_sum *sum)
{
	if (is_read(sum))
		put_sample(m, METRICS_GAUGE, "swap_pss_bytes", sum, sum->pss.swap_bytes);
}

static void put_unread_of(const struct metrics *m, const struct group_sum *sum)
{
	size_t read = sum->pss.processes;

	put_sample(m, METRICS_GAUGE, "pss_unread_processes", sum,
		   sum->processes > read ? (int64_t)(sum->processes - read) : 0);
}

static void put_age_of(const struct metrics *m, const struct group_sum *sum)
{
	if (sum->pss.age < 0)
		return;
	metrics_begin_sample(m, METRICS_GAUGE, "pss_age_seconds", sum);
	fprintf(m->form.out, "} %.3f\n", sum->pss.age);
}

static void put_shares(const struct metrics *m)
{
	put_family(m, METRICS_GAUGE, "pss_bytes", "bytes",
		   "Resident memory, a shared page divided by its users, of processes that were "
		   "read.");
	put_each(m, put_share_of);
	put_family(m, METRICS_GAUGE, "swap_pss_bytes", "bytes",
		   "What of these is swapped out, divided likewise.");
	put_each(m, put_swap_share_of);
	put_family(m, METRICS_GAUGE, "pss_unread_processes", NULL,
		   "Processes that run and are not in pss_bytes.");
	put_each(m, put_unread_of);
	put_family(m, METRICS_GAUGE, "pss_age_seconds", "seconds",
		   "How long ago the oldest part of pss_bytes was read.");
	put_each(m, put_age_of);
}

static void put_pss(const struct metrics *m)
{
	if (m->swap) {
		put_family(m, METRICS_GAUGE, "swap_bytes", "bytes",
			   "What is swapped out; shared pages count in each.");
		put_each(m, put_swap_of);
	}
	if (m->shares)
		put_shares(m);
	if (!m->pss)
		return;
	put_family(m, METRICS_GAUGE, "pss_bytes", "bytes",
		   "Resident memory, a shared page divided by its users.");
	put_each(m, put_pss_of);
}

static void put_faults_of(const struct metrics *m, const struct group_sum *sum)
{
	const struct {
		const char *kind;
		uint64_t faults;
	} kinds[] = {{"minor", sum->minor_faults},
		     {"major", sum->major_faults},
		     {"unattributed", sum->lost_faults}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		metrics_begin_sample(m, kind_of(m, true), "faults", sum);
		fprintf(m->form.out, ",kind=\"%s\"} %" PRIu64 "\n", kinds[i].kind, kinds[i].faults);
	}
}

static void put_copies_of(const struct metrics *m, const struct group_sum *sum)
{
	put_sample(m, kind_of(m, true), "copied_pages", sum, (int64_t)sum->copied_pages);
}

/* What was not counted has no samples. */
static void put_faults(const struct metrics *m)
{
	if (!m->model->faults_unknown) {
		put_family(m, kind_of(m, true), "faults", NULL,
			   "Page faults while it was watched.");
		put_each(m, put_faults_of);
	}
	if (!m->model->copies_unknown) {
		put_family(m, kind_of(m, true), "copied_pages", NULL,
			   "Pages that writes copied while it was watched.");
		put_each(m, put_copies_of);
	}
}

static void put_killed_of(const struct metrics *m, const struct group_sum *sum)
{
	for (int i = 0; i < DEATH_CAUSES; i++) {
		metrics_begin_sample(m, METRICS_COUNTER, "killed", sum);
		fprintf(m->form.out, ",cause=\"%s\"} %" PRIu64 "\n", death_cause_name(i),
			sum->killed[i]);
	}
}

static void put_killed(const struct metrics *m)
{
	put_family(m, METRICS_COUNTER, "killed", NULL,
		   "Processes that a signal ended while they were watched, by why.");
	put_each(m, put_killed_of);
}

static void put_collections_of(const struct metrics *m, const struct group_sum *sum)
{
	for (int i = 0; i < GROUP_GENERATIONS; i++) {
		metrics_begin_sample(m, METRICS_COUNTER, "gc_collections", sum);
		fprintf(m->form.out, ",generation=\"%d\"} %" PRIu64 "\n", i, sum->collections[i]);
	}
}

static void put_collections(const struct metrics *m)
{
	put_family(m, METRICS_COUNTER, "gc_collections", NULL,
		   "Garbage collections while they were watched, by generation; 2: full ones.");
	put_each(m, put_collections_of);
}

static void put_line(const struct metrics *m, const struct group_sum *sum, const char *file,
		     const char *line, const char *function, int64_t bytes)
{
	metrics_begin_sample(m, METRICS_GAUGE, "line_change_bytes", sum);
	put_label(m, "file", file);
	put_label(m, "line", line);
	put_label(m, "function", function);
	fprintf(m->form.out, "} %" PRId64 "\n", bytes);
}

static void put_lines_of(const struct metrics *m, const struct group_sum *sum)
{
	int64_t others = sum->other_lines_bytes;
	char number[16];

	for (size_t i = 0; i < sum->line_count; i++) {
		const struct model_location *location = sum->lines[i].location;

		snprintf(number, sizeof(number), "%d", location->line);
		if (is_plain(location->file) && is_plain(location->function))
			put_line(m, sum, location->file, number, location->function,
				 sum->lines[i].change_bytes);
		else
			others += sum->lines[i].change_bytes;
	}
	/* No line has an empty number. It is there if it is 0, too, so that sums have both parts.
	 */
	put_line(m, sum, GROUP_SUMS_REST, "", GROUP_SUMS_REST, others);
}

static void put_lines(const struct metrics *m)
{
	put_family(m, METRICS_GAUGE, "line_change_bytes", "bytes",
		   "What lines changed RSS by; the lines that changed it most, and all others.");
	put_each(m, put_lines_of);
}

static void put_losses_of(const struct metrics *m, const struct group_sum *sum)
{
	static const char *const names[] = {
#define LOSS_NAME(id, name, text) name,
		PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
	};
	bool any = false;

	/* If there are none, the last one, which is 0: sums need both parts. */
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++) {
		if (!sum->lost_bytes[i] && (any || i + 1 < PYMEM_LOSS_COUNT))
			continue;
		any = true;
		metrics_begin_sample(m, METRICS_GAUGE, "unattributed_bytes", sum);
		fprintf(m->form.out, ",cause=\"%s\"} %" PRId64 "\n", names[i], sum->lost_bytes[i]);
	}
}

static void put_losses(const struct metrics *m)
{
	put_family(m, METRICS_GAUGE, "unattributed_bytes", "bytes",
		   "Changes of RSS that belong to no line, by cause.");
	put_each(m, put_losses_of);
}

void metrics_groups(const struct metrics *m)
{
	put_gauges(m);
	put_pss(m);
	put_faults(m);
	if (m->counters) {
		put_killed(m);
		put_collections(m);
	}
	if (m->lines)
		put_lines(m);
	put_losses(m);
}
