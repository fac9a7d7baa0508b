/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The whole table, which -v shows: how the RSS of each process changed, and which lines changed it,
 * with all their figures.
 *
 * A row is one line of text if figures, place and source fit side by side. Else it has two, and the
 * source is below its place. A live table keeps to one, so that more rows fit.
 *
 * Invariant: what is shown adds up. Lines that are not shown are gathered in a last row. Charged
 * and lost are printed beside the change that the kernel reports; if there is a difference, it is
 * printed, too. */
#include "render/last_words.h"
#include "render/render_answer.h"
#include "render/render_groups.h"
#include "render/render_host.h"
#include "render/render_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NARROW	     60 /* columns; below that, continued lines have a small indent */
#define PLACE_LEAST  28 /* columns of a place that are worth more than one column of figures */
#define PLACE_MOST   72 /* the most columns that a place is padded to if the width has no limit */
#define SOURCE_LEAST 24
#define SYSCALL_ROWS 5

struct table {
	FILE *out;
	struct model *model;
	struct model_process *process;
	const struct render_options *options;
	struct parts_columns columns;
	size_t rows; /* lines shown */
	unsigned place,
		source; /* columns for each, if the width has a limit; source 0: it is not shown */
	bool below;	/* the source has a line of its own */
	struct parts_changed changed;
};

/* Prints how RSS changed, and the promise of each report: charged + lost = change. */
static void print_change(struct table *t)
{
	const struct model_process *p = t->process;
	int64_t change = p->rss_end_bytes - p->rss_start_bytes, lost = model_lost_bytes(p);
	int64_t page = t->model->page_size, rest = change - p->charged_bytes - lost;
	char a[40], b[40], c[40], text[256];

	parts_amount(a, sizeof(a), p->rss_start_bytes, false);
	parts_amount(b, sizeof(b), p->rss_end_bytes, false);
	parts_amount(c, sizeof(c), p->rss_peak_bytes, false);
	snprintf(text, sizeof(text), "%s → %s, peak" NBSP "%s%s", a, b,
		 p->rss_peak_at_least ? "at least" NBSP : "", c);
	fputs("RSS      ", t->out);
	text_wrap(t->out, text, 9, t->options->width, 9);
	parts_amount(a, sizeof(a), change, true);
	parts_amount(b, sizeof(b), p->charged_bytes, true);
	parts_amount(c, sizeof(c), lost, true);
	snprintf(text, sizeof(text),
		 "%s = charged" NBSP "%s + lost" NBSP "%s (%lld = %lld + %lld" NBSP "pages)", a, b,
		 c, (long long)(change / page), (long long)(p->charged_bytes / page),
		 (long long)(lost / page));
	if (rest) {
		char left[40];

		parts_amount(left, sizeof(left), rest, true);
		snprintf(text, sizeof(text),
			 "%s, but charged" NBSP "%s + lost" NBSP "%s: %s is unaccounted for", a, b,
			 c, left);
		parts_style(t->out, t->options, STYLE_ALERT);
	}
	fputs("\nChange   ", t->out);
	text_wrap(t->out, text, 9, t->options->width, 9);
	if (rest)
		parts_style(t->out, t->options, STYLE_OFF);
	fputc('\n', t->out);
}

/* Prints the parts of RSS at the end: the sum of the column Resident, and what that column can't
 * contain. */
static void print_resident(struct table *t)
{
	const struct model_process *p = t->process;
	int64_t before = p->resident_before_bytes, unknown = p->resident_unknown_bytes;
	char a[40], b[40], c[40], d[40], text[256];

	if (!p->resident_known)
		return;
	parts_amount(a, sizeof(a), p->rss_end_bytes, false);
	parts_amount(b, sizeof(b), p->rss_end_bytes - before - unknown, false);
	parts_amount(c, sizeof(c), before, false);
	parts_amount(d, sizeof(d), unknown, false);
	snprintf(text, sizeof(text),
		 "%s = touched by lines" NBSP "%s + before" NBSP "%s + unknown" NBSP "%s", a, b, c,
		 d);
	fputs("Resident ", t->out);
	text_wrap(t->out, text, 9, t->options->width, 9);
	fputc('\n', t->out);
}

/* Prints how long the process waited for memory that its threads had to free themselves, what it
 * brought into the page cache, and what the kernel took of its own memory. 0 or -ENOMEM. */
static int print_besides(struct table *t)
{
	const char *heads[] = {"Stalled  ", "Cached   ", "Kernel   "};
	bool some[3] = {false, t->process->cached.bytes > 0, parts_has_kernel(&t->process->kernel)};
	uint64_t stalls, ns;

	model_stalls(t->process, &stalls, &ns);
	some[0] = stalls > 0;
	for (int i = 0; i < 3; i++) {
		char *text = NULL;
		size_t size;
		FILE *memory = some[i] ? open_memstream(&text, &size) : NULL;

		if (!some[i])
			continue;
		if (!memory)
			return -ENOMEM;
		if (i == 2)
			parts_kernel(memory, t->process);
		else if (i)
			parts_cached(memory, t->process, true);
		else
			parts_stalls(memory, t->process);
		if (fclose(memory)) {
			free(text);
			return -ENOMEM;
		}
		fputs(heads[i], t->out);
		text_wrap(t->out, text, 9, t->options->width, 9);
		fputc('\n', t->out);
		free(text);
	}
	return 0;
}

static void print_losses(struct table *t)
{
	static const struct {
		const char *name, *text;
	} losses[] = {
#define LOSS_ROW(id, name, text) {name, text},
		PYMEM_LOSSES(LOSS_ROW)
#undef LOSS_ROW
	};
	bool narrow = t->options->width && t->options->width < NARROW;
	const char *head = "Lost";
	char amount[32], line[192];
	int i, used;

	for (i = 0; i < PYMEM_LOSS_COUNT; i++) {
		if (!t->process->lost_bytes[i])
			continue;
		parts_size(amount, sizeof(amount), t->process->lost_bytes[i], true);
		used = fprintf(t->out, "%-9s%10s%s", head, amount, narrow ? " " : "  ");
		if (t->options->live)
			snprintf(line, sizeof(line), "%s", losses[i].name);
		else
			snprintf(line, sizeof(line), "%s: %s", losses[i].name, losses[i].text);
		/* If there is little room, the text goes on below the amount. */
		text_wrap(t->out, line, (unsigned)used, t->options->width, narrow ? 9 : used);
		fputc('\n', t->out);
		head = "";
	}
}

/* Prints what else matters to a reader of the figures. */
static void print_remarks(struct table *t)
{
	unsigned long long cut = t->process->truncated_stacks, faults = t->process->lost_faults;
	unsigned long long stalls = t->process->lost_stalls;
	char text[192], time[40];

	if (cut) {
		snprintf(text, sizeof(text),
			 "%llu distinct stack%s deeper than %d frames, or had a caller that could "
			 "not be read or named; the outermost lines got no total",
			 cut, cut == 1 ? " was" : "s were", PYMEM_MAX_FRAMES);
		text_wrap(t->out, text, 0, t->options->width, 2);
		fputc('\n', t->out);
	}
	if (faults) {
		snprintf(text, sizeof(text), "%llu page fault%s in no line's figures", faults,
			 faults == 1 ? " is" : "s are");
		text_wrap(t->out, text, 0, t->options->width, 2);
		fputc('\n', t->out);
	}
	if (stalls) {
		parts_time(time, sizeof(time), t->process->lost_stall_ns);
		snprintf(text, sizeof(text), "%llu stall%s (%s) %s in no line's figures", stalls,
			 stalls == 1 ? "" : "s", time, stalls == 1 ? "is" : "are");
		text_wrap(t->out, text, 0, t->options->width, 2);
		fputc('\n', t->out);
	}
	if (t->process->note) {
		text_wrap(t->out, t->process->note, 0, t->options->width, 2);
		fputc('\n', t->out);
	}
}

/* Decides how the row is laid out. */
static void lay_out(struct table *t)
{
	const struct render_options *options = t->options;
	unsigned width = options->width, room = 0, widest = 0, wide, left;
	size_t i;

	if (width) {
		room = PLACE_LEAST + 2 + (options->live && options->sources ? SOURCE_LEAST + 2 : 0);
		room = width > room ? width - room : 1;
	}
	parts_choose(&t->columns, t->process->lines, t->rows, t->model->page_size, 9, room,
		     options->sort);
	for (i = 0; i < t->rows; i++) {
		wide = parts_place_columns(t->process->lines[i].location);
		if (widest < wide)
			widest = wide;
	}
	t->below = false;
	t->source = 0;
	t->place = widest < PLACE_MOST ? widest : PLACE_MOST;
	if (!width)
		return;
	left = width > t->columns.total + 2 ? width - t->columns.total - 2 : 1;
	wide = options->live ? PLACE_LEAST : t->place;
	if (wide > t->place)
		wide = t->place;
	if (options->sources && left >= wide + 2 + SOURCE_LEAST) {
		t->place = left - 2 - SOURCE_LEAST < t->place ? left - 2 - SOURCE_LEAST : t->place;
		t->source = left - t->place - 2;
		return;
	}
	t->below = !options->live;
	t->place = left;
	t->source = t->below ? left : 0;
}

/* True if source text, or a remark in its place, is shown. Else no line is spent on it. */
static bool has_source(const struct table *t, const struct model_line *line)
{
	enum source_state state;

	return t->options->sources && line->location->line &&
	       (source_line(t->options->sources, &t->process->root, line->location->file,
			    line->location->line, &state) ||
		state != SOURCE_NONE);
}

static void print_row(struct table *t, const struct model_line *line)
{
	enum source_state state;
	unsigned used;

	parts_figures(t->out, &t->columns, line, t->model->page_size);
	fputs("  ", t->out);
	used = parts_place(t->out, line->location, t->options->width ? t->place : 0);
	if (!has_source(t, line) || (t->options->width && !t->source)) {
		fputc('\n', t->out);
		return;
	}
	if (t->below)
		fprintf(t->out, "\n%*s", (int)t->columns.total + 2, "");
	else
		fprintf(t->out, "%*s", (int)(used < t->place ? t->place - used : 0) + 2, "");
	parts_source(t->out, t->options, t->process, line->location->file, line->location->line,
		     t->source, true, &state);
	if (state == SOURCE_CHANGED)
		parts_changed_add(&t->changed, line->location->file);
	fputc('\n', t->out);
}

/* Prints the sum of the lines that are not shown, so that the increments add up. */
static void print_gathered(struct table *t)
{
	size_t left = t->process->line_count - t->rows, i;
	char text[192], sum[32], copied[64] = "";
	int64_t bytes = 0, copies = 0;

	if (!left)
		return;
	for (i = t->rows; i < t->process->line_count; i++) {
		bytes += t->process->lines[i].increment_bytes;
		copies += t->process->lines[i].cow_faults;
	}
	if (copies) {
		parts_amount(sum, sizeof(sum), copies * (int64_t)t->model->page_size, false);
		snprintf(copied, sizeof(copied), ", %s copied", sum);
	}
	parts_size(sum, sizeof(sum), bytes, false);
	snprintf(text, sizeof(text), "and %zu more line%s%s%s", left, left > 1 ? "s" : "", copied,
		 t->options->live ? "" : " (-n 0 shows all)");
	fprintf(t->out, "%*s  ", (int)t->columns.width[0], sum);
	text_wrap(t->out, text, t->columns.width[0] + 2, t->options->width,
		  t->columns.width[0] + 2);
	fputc('\n', t->out);
}

static void print_lines(struct table *t)
{
	size_t i;

	if (!t->process->line_count) {
		text_wrap(t->out, "no RSS change was attributed to a line", 0, t->options->width,
			  0);
		fputc('\n', t->out);
		return;
	}
	lay_out(t);
	parts_style(t->out, t->options, STYLE_HEAD);
	parts_titles(t->out, &t->columns);
	fputs("  ", t->out);
	if (t->options->sources && t->source + !t->options->width && !t->below)
		fprintf(t->out, "%-*s  Source", (int)t->place, "Location");
	else
		fputs("Location", t->out);
	parts_style(t->out, t->options, STYLE_OFF);
	fputc('\n', t->out);
	for (i = 0; i < t->rows; i++)
		print_row(t, &t->process->lines[i]);
	print_gathered(t);
	parts_changed_print(t->out, t->options, &t->changed);
}

struct call { /* one system call of one line */
	const struct model_line *line;
	int call;
};

static uint64_t calls_of(const struct call *c)
{
	return c->line->vm_calls[c->call];
}

/* Inserts `candidate` into the SYSCALL_ROWS largest calls, in order. */
static void keep_call(struct call *top, size_t *count, struct call candidate)
{
	size_t at = *count;

	while (at && calls_of(&top[at - 1]) < calls_of(&candidate))
		at--;
	if (at == SYSCALL_ROWS)
		return;
	if (*count < SYSCALL_ROWS)
		++*count;
	memmove(&top[at + 1], &top[at], (*count - at - 1) * sizeof(*top));
	top[at] = candidate;
}

static unsigned digits(uint64_t number)
{
	unsigned count = 1;

	while (number /= 10)
		count++;
	return count;
}

static void print_calls(struct table *t, const struct call *top, size_t count, size_t seen)
{
	static const char *const names[] = {
#define VMCALL_NAME(id, name) name,
		PYMEM_VMCALLS(VMCALL_NAME)
#undef VMCALL_NAME
	};
	unsigned calls = digits(calls_of(&top[0])), bytes = 9, used, width = t->options->width;
	char amount[SYSCALL_ROWS][32];
	size_t i;

	if (calls < 5)
		calls = 5;
	for (i = 0; i < count; i++) {
		parts_size(amount[i], sizeof(amount[i]), top[i].line->vm_bytes[top[i].call], true);
		if (bytes < strlen(amount[i]))
			bytes = (unsigned)strlen(amount[i]);
	}
	parts_style(t->out, t->options, STYLE_HEAD);
	used = (unsigned)fprintf(t->out, "%*s  Syscall  %*s  ", (int)calls, "Calls", (int)bytes,
				 "Bytes");
	fputs("Location", t->out);
	parts_style(t->out, t->options, STYLE_OFF);
	fputc('\n', t->out);
	for (i = 0; i < count; i++) {
		fprintf(t->out, "%*llu  %-7s  %*s  ", (int)calls,
			(unsigned long long)calls_of(&top[i]), names[top[i].call], (int)bytes,
			amount[i]);
		parts_place(t->out, top[i].line->location,
			    !width	   ? 0
			    : width > used ? width - used
					   : 1);
		fputc('\n', t->out);
	}
	if (seen > count)
		fprintf(t->out, "%*s  and %zu more\n", (int)calls, "", seen - count);
}

/* Prints which lines make most system calls for memory. */
static void print_syscalls(struct table *t)
{
	struct call top[SYSCALL_ROWS];
	size_t count = 0, i, seen = 0;
	int call;

	for (i = 0; i < t->process->line_count; i++) {
		for (call = 0; call < PYMEM_VMCALL_COUNT; call++) {
			if (!t->process->lines[i].vm_calls[call])
				continue;
			keep_call(top, &count, (struct call){&t->process->lines[i], call});
			seen++;
		}
	}
	if (!count)
		return;
	fputc('\n', t->out);
	print_calls(t, top, count, seen);
}

static void print_functions(struct table *t)
{
	struct answer answer = {
		.out = t->out, .model = t->model, .options = t->options, .process = t->process};

	answer_functions(&answer, t->options->top ? t->options->top : SIZE_MAX);
}

static int print_process(struct table *t)
{
	int err;

	model_sort_lines(t->process, t->options->sort);
	t->rows = t->process->line_count;
	if (t->options->top && t->rows > t->options->top)
		t->rows = t->options->top;
	t->changed = (struct parts_changed){0};
	parts_head(t->out, t->model, t->process, t->options);
	err = t->process->death ? last_words_print(t->out, t->process, t->options->width) : 0;
	print_change(t);
	print_resident(t);
	err = err ?: print_besides(t);
	err = err ?: parts_extras(t->out, t->model, t->process, t->options);
	print_losses(t);
	print_remarks(t);
	print_functions(t);
	fputc('\n', t->out);
	print_lines(t);
	parts_cached_files(t->out, t->process, t->options);
	if (!t->options->live)
		print_syscalls(t);
	return err;
}

static int table_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct table t = {.out = out, .model = model, .options = options};
	size_t i, sections = 0;

	if (options->by)
		return render_groups(out, model, options);
	if (!options->verbose && !options->function)
		return render_answer(out, model, options);
	if (model_sort_processes(model, options->sort) != 0)
		return -ENOMEM;
	if (options->function)
		return render_function(out, model, options);
	if (render_host(out, model, options))
		return -ENOMEM;
	for (i = 0; i < model_row_count(model) && !ferror(out); i++) {
		t.process = model_row(model, i);
		if (!render_host_shows(t.process, options))
			continue;
		if (sections++)
			fputc('\n', out);
		if (print_process(&t))
			return -ENOMEM;
	}
	if (sections && sections < model_row_count(model))
		fputc('\n', out);
	render_host_rest(out, model, options);
	if (!model->process_count && !model->gathered.processes)
		fputs("no process was profiled\n", out);
	parts_gathered(out, model, options);
	if (render_memory(out, model, options))
		return -ENOMEM;
	parts_tail(out, model, options);
	return parts_flush(out);
}

const struct renderer render_table = {
	.name = "table",
	.for_people = true,
	.groups = true,
	.memory = true,
	.redraws = true,
	.functions = true,
	.emit = table_emit,
};
