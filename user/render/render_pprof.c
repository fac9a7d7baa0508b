/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A gzipped profile for `go tool pprof` and what else reads its format (pprof.proto).
 *
 * Invariant: each column of values adds up to what the report has. What belongs to no line is a
 * function of its own, "[unattributed: no-frame]". rss_net is below zero for a stack that freed
 * more than it added; so it adds up to the change of RSS. Some readers refuse a profile whose
 * default column has such values (speedscope does). So the default, inuse_space, has only those
 * above zero.
 *
 * The profile is written piece by piece (pprof_pieces.c). Who bounds the number of stacks has the
 * others as one. Processes that were skipped and notes are comments. */
#include "render/render_pprof.h"

#include <errno.h>
#include <string.h>

#include "model/cgroup_name.h"
#include "render/pprof_pieces.h"
#include "render/render_parts.h"
#include "render/stack_choice.h"

/* The columns of values. The last one is the default: some readers take the last, others ask for
 * default_sample_type, and some know only this name. */
static const struct column {
	enum render_metric metric;
	const char *type, *unit;
	bool positive; /* 0 in place of what is below */
} columns[] = {
	{RENDER_GROWN, "rss_growth", "bytes", false},
	{RENDER_FREED, "rss_freed", "bytes", false},
	{RENDER_NET, "rss_net", "bytes", false},
	{RENDER_COPIED, "cow_copied", "bytes", false},
	{RENDER_FAULTS, "page_faults", "count", false},
	{RENDER_RESIDENT, "resident", "bytes", false},
	{RENDER_STALLED, "stalled", "nanoseconds", false},
	{RENDER_CACHED, "page_cache", "bytes", false},
	{RENDER_KERNEL, "kernel_memory", "bytes", false},
	{RENDER_HUGE, "huge_filled", "bytes", false},
	{RENDER_SWAPPED_IN, "swapped_in", "bytes", false},
	{RENDER_SWAP_WAIT, "swap_wait", "nanoseconds", false},
	{RENDER_NET, "inuse_space", "bytes", true},
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))
/* Of what is resident and nothing else: the name that readers know. */
static const struct column resident_columns[] = {{RENDER_RESIDENT, "inuse_space", "bytes", true}};
#define MOST_LABELS 5

struct pprof {
	struct pprof_pieces pieces;
	struct model *model;
	const struct column *columns;
	size_t column_count;
	struct stack_choice *choice;	  /* of what is bounded; NULL: all rows */
	bool resident;			  /* known of at least one process */
	bool plain;			  /* samples have no labels */
	Pprof__Label labels[MOST_LABELS]; /* of the process and the thread whose rows come now */
	size_t label_count, process_labels;
	const struct model_location *thread; /* whose labels are there; NULL: none */
};

static int64_t constant(struct pprof *p, const char *text)
{
	return pprof_text(&p->pieces, text, text);
}

/* --- the head --- */

static bool is_shown(const struct pprof *p, const struct column *column)
{
	if (column->metric == RENDER_NET && !column->positive)
		return !p->plain;
	if (column->metric == RENDER_RESIDENT)
		return p->resident;
	return column->metric < RENDER_RESIDENT || stack_metric_known(p->model, column->metric);
}

/* Pyroscope fails to leave out samples of a profile that has no type of a period. Others don't look
 * at it. */
static int put_period(struct pprof *p)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__ValueType type = PPROF__VALUE_TYPE__INIT;

	type.type = constant(p, "space");
	type.unit = constant(p, "bytes");
	piece.period_type = &type;
	return type.type < 0 || type.unit < 0 ? -ENOMEM : pprof_put(&p->pieces, &piece);
}

static int put_types(struct pprof *p)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__ValueType types[COLUMNS], *all[COLUMNS];
	size_t i, count = 0;

	for (i = 0; i < p->column_count; i++) {
		Pprof__ValueType type = PPROF__VALUE_TYPE__INIT;

		if (!is_shown(p, &p->columns[i]))
			continue;
		type.type = constant(p, p->columns[i].type);
		type.unit = constant(p, p->columns[i].unit);
		if (type.type < 0 || type.unit < 0)
			return -ENOMEM;
		types[count] = type;
		all[count] = &types[count];
		piece.default_sample_type = type.type;
		count++;
	}
	piece.n_sample_type = count;
	piece.sample_type = all;
	piece.time_nanos = (int64_t)(p->model->start * 1e9);
	piece.duration_nanos = (int64_t)((p->model->end - p->model->start) * 1e9);
	return pprof_put(&p->pieces, &piece) ?: (p->choice ? put_period(p) : 0);
}

/* All code is of the one mapping: brackets tell readers that there is no such file. */
static int put_mapping(struct pprof *p)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__Mapping mapping = PPROF__MAPPING__INIT, *one = &mapping;

	mapping.id = 1;
	mapping.filename = constant(p, "[python]");
	mapping.has_functions = mapping.has_filenames = mapping.has_line_numbers = true;
	piece.n_mapping = 1;
	piece.mapping = &one;
	return mapping.filename < 0 ? (int)mapping.filename : pprof_put(&p->pieces, &piece);
}

/* `owner`: an address that no other text has. */
static int put_comment(struct pprof *p, const void *owner, const char *text)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	int64_t comment = pprof_text(&p->pieces, owner, text);

	piece.n_comment = 1;
	piece.comment = &comment;
	return comment < 0 ? (int)comment : pprof_put(&p->pieces, &piece);
}

struct net {
	int64_t all, above_zero; /* bytes */
};

static int add_net(const struct stack_row *row, void *arg)
{
	struct net *net = arg;
	int64_t amount = row->amounts[RENDER_NET];

	net->all += amount;
	net->above_zero += amount > 0 ? amount : 0;
	return 0;
}

/* Most readers show inuse_space first, and the first total that is read is taken for the change. */
static int put_what_is_left_out(struct pprof *p)
{
	size_t others = p->choice ? p->choice->left_out : 0;
	char text[PPROF_TEXT];
	struct net net = {};
	int err = p->choice ? 0 : stack_rows(p->model, add_net, &net);

	if (err || (net.all == net.above_zero && !others))
		return err;
	if (others)
		snprintf(text, sizeof(text), "%zu smaller stacks are together in " STACK_ROW_REST,
			 others);
	else
		snprintf(text, sizeof(text),
			 "RSS changed by %lld bytes (-sample_index=rss_net). inuse_space leaves "
			 "out %lld bytes, of stacks that freed more than they added",
			 (long long)net.all, (long long)(net.above_zero - net.all));
	return put_comment(p, &p->model->skips, text);
}

static int put_comments(struct pprof *p)
{
	const struct model *model = p->model;
	char text[PPROF_TEXT];
	size_t i;
	int err;

	snprintf(text, sizeof(text), "pymem-bpf %s on %s, Linux %s", model->version, model->host,
		 model->kernel);
	err = put_comment(p, model, text) ?: put_what_is_left_out(p);
	for (i = 0; i < model->skip_count && !err; i++) {
		snprintf(text, sizeof(text), "Skipped: pid %d (%s): %s", model->skips[i].pid,
			 model->skips[i].comm, model->skips[i].reason);
		err = put_comment(p, model->skips[i].reason, text);
	}
	for (i = 0; i < model->note_count && !err; i++) {
		snprintf(text, sizeof(text), "Note: %s", model->notes[i]);
		err = put_comment(p, model->notes[i], text);
	}
	return err;
}

/* --- samples --- */

static int add_label(struct pprof *p, const char *key, int64_t number, const void *owner,
		     const char *text)
{
	Pprof__Label label = PPROF__LABEL__INIT;

	label.key = constant(p, key);
	label.num = number;
	label.str = text ? pprof_text(&p->pieces, owner, text) : 0;
	if (label.key < 0 || label.str < 0)
		return -ENOMEM;
	p->labels[p->label_count++] = label;
	return 0;
}

/* Makes the labels of the process. NULL: ended ones that are in no other. */
static int label_process(struct pprof *p, const struct model_process *process)
{
	static const char *const places[] = {"cgroup", "container"};
	char name[STACK_ROW_NAME], where[256];
	bool container;
	int err;

	p->label_count = 0;
	if (p->plain)
		return 0;
	stack_row_process(name, p->model, process);
	err = add_label(p, "process", 0, process ? (const void *)process : &p->model->unfolded,
			name);
	if (err || !process)
		return err;
	if (!process->folded)
		err = add_label(p, "pid", process->pid, NULL, NULL);
	container = cgroup_name(process->cgroup, where, sizeof(where));
	if (err || !*where)
		return err;
	return add_label(p, places[container], 0, process->cgroup, where);
}

/* The rows of the process come next. */
static int begin_process(struct pprof *p, const struct model_process *process)
{
	int err = label_process(p, process);

	p->process_labels = p->label_count;
	p->thread = NULL;
	return err;
}

/* Makes the labels of the thread, behind those of the process. NULL: it is unknown. */
static int begin_thread(struct pprof *p, const struct model_location *thread)
{
	char name[STACK_ROW_THREAD];
	int err = 0;

	if (thread == p->thread || p->plain)
		return 0;
	p->thread = thread;
	p->label_count = p->process_labels;
	if (!thread)
		return 0;
	stack_row_thread(name, thread);
	if (thread->line)
		err = add_label(p, "thread_id", thread->line, NULL, NULL);
	return err ?: add_label(p, "thread", 0, thread, name);
}

/* Fills in the sample's locations, innermost first. Returns their number or -errno. */
static int fill_locations(struct pprof *p, const struct stack_row *row,
			  uint64_t ids[PYMEM_MAX_FRAMES + 2])
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	unsigned depth = stack_row_frames(row, frames), count = 0, i;
	int64_t id = 1;

	if (row->instead)
		ids[count++] = id = pprof_location(&p->pieces, NULL, row->instead);
	for (i = 0; i < depth && id > 0; i++)
		ids[count++] = id = pprof_location(&p->pieces, frames[i], NULL);
	if (id > 0 && row->truncated)
		ids[count++] = id = pprof_location(&p->pieces, NULL, STACK_ROW_TRUNCATED);
	return id < 0 ? (int)id : (int)count;
}

static int64_t value_of(const struct stack_row *row, const struct column *column)
{
	int64_t value = row->amounts[column->metric];

	return column->positive && value < 0 ? 0 : value;
}

static int put_sample(const struct stack_row *row, void *arg)
{
	struct pprof *p = arg;
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__Sample sample = PPROF__SAMPLE__INIT, *one = &sample;
	Pprof__Label *labels[MOST_LABELS];
	uint64_t ids[PYMEM_MAX_FRAMES + 2];
	int64_t values[COLUMNS];
	size_t i;
	int depth = begin_thread(p, row->thread) ?: fill_locations(p, row, ids);

	if (depth < 0)
		return depth;
	for (i = 0; i < p->column_count; i++)
		if (is_shown(p, &p->columns[i]))
			values[sample.n_value++] = value_of(row, &p->columns[i]);
	for (i = 0; i < p->label_count; i++)
		labels[i] = &p->labels[i];
	sample.n_location_id = depth;
	sample.location_id = ids;
	sample.value = values;
	sample.n_label = p->label_count;
	sample.label = labels;
	piece.n_sample = 1;
	piece.sample = &one;
	return pprof_put(&p->pieces, &piece);
}

static int put_rows(struct pprof *p, const struct model_process *process)
{
	int err = begin_process(p, process);

	if (err)
		return err;
	if (p->choice)
		return stack_choice_rows_of(p->choice, process, put_sample, p);
	return process ? stack_rows_of(p->model, process, put_sample, p)
		       : stack_rows_unfolded(p->model, put_sample, p);
}

static int put_samples(struct pprof *p)
{
	const struct model *model = p->model;
	size_t i;
	int err = 0;

	for (i = 0; i < model_row_count(model) && !err; i++)
		err = put_rows(p, model_row(model, i));
	if (!err && model->unfolded.processes)
		err = put_rows(p, NULL);
	if (err || !p->choice)
		return err;
	p->label_count = p->process_labels = 0;
	p->thread = NULL;
	return stack_choice_rest(p->choice, put_sample, p);
}

/* --- the profile --- */

static int put_all(struct pprof *p)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	char *empty = "";
	size_t i;

	p->resident = p->columns == resident_columns;
	for (i = 0; i < model_row_count(p->model); i++)
		p->resident |= model_row(p->model, i)->resident_known;
	piece.n_string_table = 1;
	piece.string_table = &empty;
	return pprof_put(&p->pieces, &piece) ?: put_types(p) ?: put_mapping(p) ?: put_comments(p)
		       ?: put_samples(p);
}

static int write_all(struct pprof *p, FILE *out, size_t most)
{
	int err = pprof_begin(&p->pieces, out, most), ended;

	if (err)
		return err;
	err = put_all(p);
	ended = pprof_end(&p->pieces);
	return err ?: ended ?: parts_flush(out);
}

static int pprof_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct pprof p = {.model = model, .columns = columns, .column_count = COLUMNS};

	return model_sort_processes(model, options->sort) ?: write_all(&p, out, 0);
}

int pprof_write(FILE *out, struct model *model, const struct pprof_bounds *bounds)
{
	struct stack_choice choice;
	struct pprof p = {
		.model = model,
		.columns = columns,
		.column_count = COLUMNS,
		.choice = &choice,
		.plain = bounds->plain,
	};

	if (bounds->resident) {
		p.columns = resident_columns;
		p.column_count = 1;
	}
	return stack_choice_make(&choice, model, bounds->stacks, bounds->resident)
		       ?: write_all(&p, out, bounds->bytes);
}

const struct renderer render_pprof = {
	.name = "pprof",
	.stacks = true,
	.binary = true,
	.emit = pprof_emit,
};
