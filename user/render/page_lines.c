/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The processes of a page, what they have lost and why, and, with --format html, all their lines
 * with all figures: a list for each figure, so that names do not come again for each line. */
#include "render/page_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "model/cgroup_name.h"

/* --- processes --- */

static const char *const loss_names[] = {
#define LOSS_NAME(id, name, text) name,
	PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
};

static const char *const loss_texts[] = {
#define LOSS_TEXT(id, name, text) text,
	PYMEM_LOSSES(LOSS_TEXT)
#undef LOSS_TEXT
};

json_t *page_losses(const int64_t *lost_bytes)
{
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_LOSS_COUNT && !err; i++)
		if (lost_bytes[i])
			err = json_object_set_new(object, loss_names[i],
						  json_integer(lost_bytes[i]));
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *cause_texts(void)
{
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_LOSS_COUNT && !err; i++)
		err = json_object_set_new(object, loss_names[i], json_string(loss_texts[i]));
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

json_t *page_command(const struct model_process *process)
{
	char text[STACK_ROW_TEXT], *joined = NULL;
	size_t size, i;
	FILE *out = open_memstream(&joined, &size);
	json_t *value = NULL;

	if (!out)
		return NULL;
	for (i = 0; process->cmdline[i] && ftell(out) < STACK_ROW_TEXT; i++)
		fprintf(out, "%s%s", i ? " " : "", process->cmdline[i]);
	if (!fclose(out)) {
		stack_row_text(text, *joined ? joined : process->comm);
		value = json_text(text);
	}
	free(joined);
	return value;
}

static int put_process(struct page *page, const struct model_process *process)
{
	char name[STACK_ROW_NAME], where[STACK_ROW_NAME];
	bool container = cgroup_name(process->cgroup, where, sizeof(where));
	bool known = process->resident_known;

	stack_row_process(name, page->model, process);
	struct json_member members[] = {
		{"name", json_text(name)},
		{"pid", json_integer(process->pid)},
		{"ppid", json_integer(process->ppid)},
		{"comm", page_harmless(process->comm)},
		{"command", page_command(process)},
		{"where", page_harmless(where)},
		{"container", json_boolean(container)},
		{"python", page_harmless(process->python)},
		{"exited", json_boolean(process->exited)},
		{"rss_start_bytes", json_integer(process->rss_start_bytes)},
		{"rss_end_bytes", json_integer(process->rss_end_bytes)},
		{"rss_peak_bytes", json_integer(process->rss_peak_bytes)},
		{"rss_peak_exact", json_boolean(!process->rss_peak_at_least)},
		{"charged_bytes", json_integer(process->charged_bytes)},
		{"lost_bytes", page_losses(process->lost_bytes)},
		{"lost_faults", json_count(process->lost_faults)},
		{"lost_stalled_ns", json_count(process->lost_stall_ns)},
		{"truncated_stacks", json_count(process->truncated_stacks)},
		{"resident_before_bytes",
		 known ? json_integer(process->resident_before_bytes) : json_null()},
		{"resident_unknown_bytes",
		 known ? json_integer(process->resident_unknown_bytes) : json_null()},
		{"note", process->note ? page_harmless(process->note) : json_null()},
	};

	return JSON_PUT_MEMBERS(page->out, "", members, false);
}

static int put_ended(struct page *page)
{
	const struct model_gathered *gathered = &page->model->unfolded;
	struct json_member members[] = {
		{"processes", json_count(gathered->processes)},
		{"change_bytes", json_integer(gathered->change_bytes)},
		{"charged_bytes", json_integer(gathered->charged_bytes)},
		{"lost_bytes", page_losses(gathered->lost_bytes)},
	};
	int err;

	fputs(",\n\"ended\":{", page->out);
	err = JSON_PUT_MEMBERS(page->out, "", members, false);
	fputc('}', page->out);
	return err;
}

int page_put_causes(struct page *page)
{
	struct json_member causes = {"causes", cause_texts()};

	return json_put_members(page->out, "\n", &causes, 1, true);
}

int page_put_processes(struct page *page)
{
	size_t i;
	int err = 0;

	fputs(",\n\"processes\":[", page->out);
	for (i = 0; i < model_row_count(page->model) && !err; i++) {
		fputs(i ? ",\n {" : "\n {", page->out);
		err = put_process(page, model_row(page->model, i));
		fputc('}', page->out);
	}
	fputc(']', page->out);
	return err ?: page->model->unfolded.processes ? put_ended(page) : 0;
}

/* --- lines --- */

/* All of these are 64 bits wide. Those of `known` are -1 where they are unknown. */
static const struct column {
	const char *name;
	size_t at;
	bool known;
	int64_t (*of)(const struct model_line *line); /* in place of `at`; NULL: that counts */
} columns[] = {
#define COLUMN(name)                                                  \
	{                                                             \
#name, offsetof(struct model_line, name), false, NULL \
	}
	COLUMN(increment_bytes),
	COLUMN(total_bytes),
	COLUMN(grown_bytes),
	COLUMN(freed_bytes),
	COLUMN(anon_bytes),
	COLUMN(file_bytes),
	COLUMN(shmem_bytes),
	COLUMN(swap_bytes),
	COLUMN(minor_faults),
	COLUMN(major_faults),
	COLUMN(cow_faults),
	COLUMN(cow_total_faults),
	COLUMN(stalls),
	COLUMN(stalled_ns),
	COLUMN(reclaimed_bytes),
#undef COLUMN
#define COLUMN(name)                                                 \
	{                                                            \
#name, offsetof(struct model_line, name), true, NULL \
	}
	COLUMN(peak_bytes),
	COLUMN(resident_bytes),
	COLUMN(mem_usage_bytes),
	COLUMN(occurrences),
#undef COLUMN
	{"cached_bytes", offsetof(struct model_line, cached.bytes), false, NULL},
	{"kernel_bytes", 0, false, model_line_kernel_bytes},
#define COLUMN(name, id)                                                                 \
	{                                                                                \
		name, offsetof(struct model_line, extras[PYMEM_EXTRA_##id]), false, NULL \
	}
	COLUMN("huge_pages", HUGE_PAGES),
	COLUMN("collapses", COLLAPSES),
	COLUMN("collapse_filled_bytes", COLLAPSE_FILLED),
	COLUMN("swapped_in_bytes", SWAPPED_IN),
	COLUMN("swap_wait_ns", SWAPIN_NS),
	COLUMN("swapped_out_bytes", SWAPPED_OUT),
#undef COLUMN
#define COLUMN(id, name)                                                                         \
	{name "_calls", offsetof(struct model_line, vm_calls[PYMEM_VMCALL_##id]), false, NULL},  \
		{name "_bytes", offsetof(struct model_line, vm_bytes[PYMEM_VMCALL_##id]), false, \
		 NULL},
	PYMEM_VMCALLS(COLUMN)
#undef COLUMN
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int64_t value_of(const struct model_line *line, const struct column *column)
{
	int64_t value;

	if (column->of)
		return column->of(line);
	memcpy(&value, (const char *)line + column->at, sizeof(value));
	return value;
}

typedef ssize_t number_fn(struct page *page, const struct model_process *process,
			  const struct model_line *line, const struct column *column);

static ssize_t number_of_process(struct page *page, const struct model_process *process,
				 const struct model_line *line, const struct column *column)
{
	(void)line;
	(void)column;
	return page_process(page, process);
}

static ssize_t number_of_place(struct page *page, const struct model_process *process,
			       const struct model_line *line, const struct column *column)
{
	(void)process;
	(void)column;
	return page_place(page, &(struct page_place){.location = line->location});
}

static ssize_t number_of_figure(struct page *page, const struct model_process *process,
				const struct model_line *line, const struct column *column)
{
	(void)page;
	(void)process;
	return value_of(line, column);
}

/* Writes a list with a number of each line. 0, or what is below 0 of `lowest`. */
static int put_list(struct page *page, const char *name, number_fn *fn, const struct column *column)
{
	bool more = false;
	size_t i, j;
	ssize_t number;

	fprintf(page->out, "\"%s\":[", name);
	for (i = 0; i < model_row_count(page->model); i++) {
		const struct model_process *process = model_row(page->model, i);

		for (j = 0; j < process->line_count; j++) {
			number = fn(page, process, &process->lines[j], column);
			if (number < 0 && fn == number_of_place)
				return (int)number;
			if (more)
				fputc(',', page->out);
			more = true;
			if (number < 0 && column && column->known)
				fputs("null", page->out);
			else
				json_put_number(page->out, number);
		}
	}
	fputc(']', page->out);
	return ferror(page->out) ? -EIO : 0;
}

/* True if some line has something to say there. */
static bool is_worth_a_list(const struct page *page, const struct column *column)
{
	size_t i, j;
	int64_t value;

	for (i = 0; i < model_row_count(page->model); i++) {
		const struct model_process *process = model_row(page->model, i);

		for (j = 0; j < process->line_count; j++) {
			value = value_of(&process->lines[j], column);
			if (column->known ? value >= 0 : value != 0)
				return true;
		}
	}
	return false;
}

int page_put_lines(struct page *page)
{
	size_t i;
	int err;

	for (i = 0; i < model_row_count(page->model); i++)
		model_sort_lines(model_row(page->model, i), page->options->sort);
	fputs(",\n\"lines\":{\n", page->out);
	err = put_list(page, "process", number_of_process, NULL);
	if (!err) {
		fputs(",\n", page->out);
		err = put_list(page, "place", number_of_place, NULL);
	}
	for (i = 0; i < COLUMNS && !err; i++) {
		if (i && !is_worth_a_list(page, &columns[i]))
			continue;
		fputs(",\n", page->out);
		err = put_list(page, columns[i].name, number_of_figure, &columns[i]);
	}
	fputc('}', page->out);
	return err;
}
