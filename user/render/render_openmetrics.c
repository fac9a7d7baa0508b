/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* OpenMetrics text, for what collects metrics: node_exporter's textfile collector, or a file that
 * is pushed. Specification: https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * Invariant: for each program, or what else rows are gathered by, pymem_line_change_bytes and
 * pymem_unattributed_bytes add up to pymem_rss_change_bytes, to the byte. The number of series is
 * bounded, whatever targets are called. */
#include "render/render_parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "model/group_sums.h"
#include "os/cgroup_parse.h"

#define GROUPS_MOST 500
#define LABEL_BYTES 1024

struct metrics {
	FILE *out;
	enum model_by by;
	const struct model *model;
	struct group_sums sums;
};

/* --- text --- */

/* Writes a label, whose value has nothing that can't be shown. */
static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
	fputc('"', out);
}

/* False if it has to be escaped or cut: then it might look like another one. */
static bool is_plain(const char *text)
{
	char escaped[LABEL_BYTES];

	text_escape(escaped, sizeof(escaped), text);
	return !strcmp(escaped, text);
}

/* All are gauges: each report begins at 0. And text of gauges alone is read by parsers of the older
 * text format, too, such as node_exporter's. */
static void put_family(const struct metrics *m, const char *name, const char *unit,
		       const char *help)
{
	fprintf(m->out, "# TYPE %s gauge\n", name);
	if (unit)
		fprintf(m->out, "# UNIT %s %s\n", name, unit);
	fprintf(m->out, "# HELP %s %s\n", name, help);
}

/* Labels of names, by enum model_by. */
static const struct {
	const char *name, *where; /* NULL: there is no place */
} labels[] = {
	[MODEL_BY_LINE] = {"program", "where"},	   [MODEL_BY_PROCESS] = {"program", "where"},
	[MODEL_BY_PROGRAM] = {"program", "where"}, [MODEL_BY_CONTAINER] = {"container", "pod"},
	[MODEL_BY_UNIT] = {"unit", "container"},   [MODEL_BY_USER] = {"user", NULL},
};

/* The whole id of a container, which other exporters have, too. */
static void put_id(const struct metrics *m, const struct group_sum *sum)
{
	struct cgroup_parsed parsed = {};

	if (sum->first)
		cgroup_parse(sum->first->cgroup, &parsed);
	fputc(',', m->out);
	put_label(m->out, "id", parsed.id);
}

/* "NAME{program="…",where="…"", without the end. */
static void begin_sample(const struct metrics *m, const char *name, const struct group_sum *sum)
{
	fprintf(m->out, "%s{", name);
	put_label(m->out, labels[m->by].name, sum->name);
	if (labels[m->by].where) {
		fputc(',', m->out);
		put_label(m->out, labels[m->by].where, sum->where);
	}
	if (m->by == MODEL_BY_CONTAINER || m->by == MODEL_BY_UNIT)
		put_id(m, sum);
	if (m->by == MODEL_BY_PROCESS)
		fprintf(m->out, ",pid=\"%d\",image=\"%" PRIu32 "\"",
			sum->first ? sum->first->pid : 0, sum->first ? sum->first->id : 0);
}

static void put_sample(const struct metrics *m, const char *name, const struct group_sum *sum,
		       int64_t value)
{
	begin_sample(m, name, sum);
	fprintf(m->out, "} %" PRId64 "\n", value);
}

typedef void put_sum_fn(const struct metrics *m, const struct group_sum *sum);

static void put_each(const struct metrics *m, put_sum_fn *put)
{
	for (size_t i = 0; i < m->sums.count; i++)
		put(m, &m->sums.list[i]);
}

/* --- families --- */

static void put_about(const struct metrics *m)
{
	char version[64];

	put_family(m, "pymem_build_info", NULL, "The program that measured this.");
	text_escape(version, sizeof(version), m->model->version ?: "");
	fputs("pymem_build_info{", m->out);
	put_label(m->out, "version", version);
	fputs("} 1\n", m->out);
	put_family(m, "pymem_profile_seconds", "seconds", "How long the processes were watched.");
	fprintf(m->out, "pymem_profile_seconds %.3f\n", m->model->end - m->model->start);
	put_family(m, "pymem_skipped_processes", NULL, "Processes that could not be watched.");
	fprintf(m->out, "pymem_skipped_processes %zu\n", m->model->skip_count);
}

/* Families with one figure of each group. */
static const struct gauge {
	const char *name, *unit, *help;
	size_t offset; /* of 64 bits in struct group_sum */
} gauges[] = {
#define GAUGE(name, unit, field, help)                              \
	{                                                           \
		name, unit, help, offsetof(struct group_sum, field) \
	}
	GAUGE("pymem_processes", NULL, processes, "Python processes that run."),
	GAUGE("pymem_rss_bytes", "bytes", rss_bytes,
	      "Resident memory; shared pages count in each."),
	GAUGE("pymem_rss_peak_bytes", "bytes", peak_bytes, "The highest RSS of one process."),
	GAUGE("pymem_rss_change_bytes", "bytes", change_bytes,
	      "What RSS changed by while it was watched, ended processes included."),
	GAUGE("pymem_grown_bytes", "bytes", grown_bytes,
	      "What lines added to RSS while it was watched."),
	GAUGE("pymem_freed_bytes", "bytes", freed_bytes,
	      "What lines took from RSS while it was watched."),
#undef GAUGE
};
_Static_assert(sizeof(size_t) == sizeof(int64_t), "the number of processes is such a figure");

static void put_gauges(const struct metrics *m)
{
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		const struct gauge *gauge = &gauges[i];

		put_family(m, gauge->name, gauge->unit, gauge->help);
		for (size_t j = 0; j < m->sums.count; j++) {
			const char *sum = (const char *)&m->sums.list[j];
			int64_t value;

			memcpy(&value, sum + gauge->offset, sizeof(value));
			put_sample(m, gauge->name, &m->sums.list[j], value);
		}
	}
}

static void put_pss_of(const struct metrics *m, const struct group_sum *sum)
{
	if (sum->pss_bytes >= 0 && sum->processes)
		put_sample(m, "pymem_pss_bytes", sum, sum->pss_bytes);
}

static void put_pss(const struct metrics *m)
{
	put_family(m, "pymem_pss_bytes", "bytes",
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
		begin_sample(m, "pymem_faults", sum);
		fprintf(m->out, ",kind=\"%s\"} %" PRIu64 "\n", kinds[i].kind, kinds[i].faults);
	}
}

static void put_copies_of(const struct metrics *m, const struct group_sum *sum)
{
	put_sample(m, "pymem_copied_pages", sum, (int64_t)sum->copied_pages);
}

/* What was not counted has no samples. */
static void put_faults(const struct metrics *m)
{
	if (!m->model->faults_unknown) {
		put_family(m, "pymem_faults", NULL, "Page faults while it was watched.");
		put_each(m, put_faults_of);
	}
	if (!m->model->copies_unknown) {
		put_family(m, "pymem_copied_pages", NULL,
			   "Pages that writes copied while it was watched.");
		put_each(m, put_copies_of);
	}
}

static void put_line(const struct metrics *m, const struct group_sum *sum, const char *file,
		     const char *line, const char *function, int64_t bytes)
{
	begin_sample(m, "pymem_line_change_bytes", sum);
	fputc(',', m->out);
	put_label(m->out, "file", file);
	fputc(',', m->out);
	put_label(m->out, "line", line);
	fputc(',', m->out);
	put_label(m->out, "function", function);
	fprintf(m->out, "} %" PRId64 "\n", bytes);
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
	put_family(m, "pymem_line_change_bytes", "bytes",
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
		begin_sample(m, "pymem_unattributed_bytes", sum);
		fprintf(m->out, ",cause=\"%s\"} %" PRId64 "\n", names[i], sum->lost_bytes[i]);
	}
}

static void put_losses(const struct metrics *m)
{
	put_family(m, "pymem_unattributed_bytes", "bytes",
		   "Changes of RSS that belong to no line, by cause.");
	put_each(m, put_losses_of);
}

static int openmetrics_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct metrics m = {.out = out, .by = options->by ?: MODEL_BY_PROGRAM, .model = model};
	int err = group_sums_make(model, m.by, GROUPS_MOST, options->top ?: SIZE_MAX, &m.sums);

	if (err)
		return err;
	put_about(&m);
	put_gauges(&m);
	put_pss(&m);
	put_faults(&m);
	put_lines(&m);
	put_losses(&m);
	fputs("# EOF\n", out);
	group_sums_free(&m.sums);
	return parts_flush(out);
}

const struct renderer render_openmetrics = {
	.name = "openmetrics",
	.groups = true,
	.only_rows = true,
	.emit = openmetrics_emit,
};
