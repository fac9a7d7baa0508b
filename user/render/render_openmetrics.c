/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* OpenMetrics text, for what collects metrics: node_exporter's textfile collector, or a file that
 * is pushed. Specification: https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * Invariant: for each program, or what else rows are gathered by, pymem_line_change_bytes and
 * pymem_unattributed_bytes add up to pymem_rss_change_bytes, to the byte. The number of series is
 * bounded, whatever targets are called. */
#include "render/render_parts.h"

#include "base/text.h"
#include "render/metrics_text.h"

#define GROUPS_MOST 500

static void put_about(const struct metrics *m)
{
	FILE *out = m->form.out;
	char version[64];

	metrics_family(&m->form, METRICS_GAUGE, "pymem_build_info", NULL,
		       "The program that measured this.");
	text_escape(version, sizeof(version), m->model->version ?: "");
	fputs("pymem_build_info{", out);
	metrics_label(out, "version", version);
	fputs("} 1\n", out);
	metrics_family(&m->form, METRICS_GAUGE, "pymem_profile_seconds", "seconds",
		       "How long the processes were watched.");
	fprintf(out, "pymem_profile_seconds %.3f\n", m->model->end - m->model->start);
	metrics_family(&m->form, METRICS_GAUGE, "pymem_skipped_processes", NULL,
		       "Processes that could not be watched.");
	fprintf(out, "pymem_skipped_processes %zu\n", m->model->skip_count);
}

/* All are gauges: each report begins at 0. And text of gauges alone is read by parsers of the older
 * text format, too, such as node_exporter's. */
static int openmetrics_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct group_sums sums;
	struct metrics m = {
		.form.out = out,
		.prefix = "pymem_",
		.by = options->by ?: MODEL_BY_PROGRAM,
		.model = model,
		.sums = &sums,
		.pss = true,
		.lines = true,
	};
	int err = group_sums_make(model, m.by, GROUPS_MOST, options->top ?: SIZE_MAX, &sums);

	if (err)
		return err;
	put_about(&m);
	metrics_groups(&m);
	fputs("# EOF\n", out);
	group_sums_free(&sums);
	return parts_flush(out);
}

const struct renderer render_openmetrics = {
	.name = "openmetrics",
	.groups = true,
	.only_rows = true,
	.emit = openmetrics_emit,
};
