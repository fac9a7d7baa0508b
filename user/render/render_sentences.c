/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sentences on a program: which lines changed its RSS, and what is unattributed, by cause. */
#include "render/last_words.h"
#include "render/render_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PLACE_MOST 60 /* columns of a place in a sentence */
#define FEW_LINES  3  /* lines that a sentence names */

/* --- text that is built up and then wrapped --- */

int answer_text_begin(struct answer_text *text)
{
	text->data = NULL;
	text->out = open_memstream(&text->data, &text->size);
	return text->out ? 0 : -ENOMEM;
}

int answer_text_end(struct answer_text *text)
{
	if (fclose(text->out) == 0 && text->data)
		return 0;
	free(text->data);
	text->data = NULL;
	return -ENOMEM;
}

int answer_text_print(struct answer_text *text, struct answer *a)
{
	int err = answer_text_end(text);

	if (err)
		return err;
	if (*text->data) {
		text_wrap(a->out, text->data, 0, a->options->width, 2);
		fputc('\n', a->out);
	}
	free(text->data);
	return 0;
}

void answer_duration(FILE *out, double seconds)
{
	if (seconds < 9.95)
		fprintf(out, "%.1f" NBSP "s", seconds);
	else if (seconds < 120)
		fprintf(out, "%.0f" NBSP "s", seconds);
	else if (seconds < 7200)
		fprintf(out, "%d" NBSP "min" NBSP "%02d" NBSP "s", (int)seconds / 60,
			(int)seconds % 60);
	else
		fprintf(out, "%d" NBSP "h" NBSP "%02d" NBSP "min", (int)(seconds / 3600),
			(int)(seconds / 60) % 60);
}

/* --- the sentences --- */

struct cause {			       /* of a change: a line, or the imports */
	const struct model_line *line; /* NULL: imports */
	int64_t bytes;
};

/* Inserts `cause` into the FEW_LINES largest ones. */
static void keep_cause(struct cause *top, size_t *count, struct cause cause)
{
	size_t at = *count;

	while (at && llabs(top[at - 1].bytes) < llabs(cause.bytes))
		at--;
	if (at == FEW_LINES)
		return;
	if (*count < FEW_LINES)
		++*count;
	memmove(&top[at + 1], &top[at], (*count - at - 1) * sizeof(*top));
	top[at] = cause;
}

/* Fills `top` with the largest causes, those of the sign of `sign` (0: of both). Returns their
 * number. */
static size_t take_causes(const struct answer *a, struct cause top[FEW_LINES], int sign)
{
	size_t count = 0, i;
	int64_t bytes;

	for (i = 0; i <= a->row_count; i++) {
		bytes = i < a->row_count ? a->rows[i].increment_bytes : a->imports;
		if (bytes && (!sign || (bytes > 0) == (sign > 0)))
			keep_cause(top, &count,
				   (struct cause){i < a->row_count ? &a->rows[i] : NULL, bytes});
	}
	return count;
}

static void write_cause(FILE *out, const struct answer *a, const struct cause *cause)
{
	if (cause->line)
		answer_place(out, a, cause->line->location, PLACE_MOST);
	else
		fputs("imports", out);
}

/* "shop.py:23 report grew it by 77.7 MiB, shop.py:31 request freed 62.0 MiB." */
static void write_both_ways(FILE *out, const struct answer *a)
{
	struct cause top[FEW_LINES];
	const char *lead = "";
	char amount[40];
	int sign;

	for (sign = 1; sign >= -1; sign -= 2) {
		if (!take_causes(a, top, sign) || llabs(top[0].bytes) < a->whole / 20)
			continue;
		fputs(lead, out);
		write_cause(out, a, &top[0]);
		parts_amount(amount, sizeof(amount), llabs(top[0].bytes), false);
		fprintf(out, " %s %s", sign > 0 ? "grew it by" : "freed", amount);
		lead = ", ";
	}
	if (*lead)
		fputs(". ", out);
}

/* "95 % of it by shop.py:33 report." If no line has half of the change, names the largest parts. */
static void write_shares(FILE *out, const struct answer *a)
{
	struct cause top[FEW_LINES];
	size_t count = take_causes(a, top, a->change > 0 ? 1 : -1), i;
	double share, sum = 0;

	for (i = 0; i < count && sum < 50; i++) {
		share = 100.0 * (double)llabs(top[i].bytes) / (double)a->whole;
		if (i && share < 10)
			break;
		if (i)
			fputs(", ", out);
		if (share >= 99.5)
			fputs("All", out);
		else
			fprintf(out, "%.0f" NBSP "%%", share);
		fprintf(out, "%s%s by ", i ? "" : " of it", a->change < 0 && !i ? " freed" : "");
		write_cause(out, a, &top[i]);
		sum += share;
	}
	if (count)
		fputs(". ", out);
}

static void write_still(FILE *out, const struct answer *a)
{
	char amount[40];

	parts_amount(amount, sizeof(amount), a->process->rss_end_bytes, false);
	fputs("RSS did not change", out);
	if (a->seconds > 0) {
		fputs(" in ", out);
		answer_duration(out, a->seconds);
	}
	fprintf(out, " (%s). ", amount);
}

static const struct {
	const char *name, *text;
} losses[] = {
#define LOSS_ROW(id, name, text) {name, text},
	PYMEM_LOSSES(LOSS_ROW)
#undef LOSS_ROW
};

/* Writes what is unattributed, and why. */
static void write_unattributed(FILE *out, const struct answer *a)
{
	int64_t sum = model_lost_bytes(a->process), all = 0, bytes;
	const char *lead = ": ";
	char amount[40], share[32] = "";
	int i, causes = 0;
	bool little;

	for (i = 0; i < PYMEM_LOSS_COUNT; i++) {
		causes += a->process->lost_bytes[i] != 0;
		all += llabs(a->process->lost_bytes[i]);
	}
	if (!causes) {
		if (a->whole)
			fputs("Nothing unattributed.", out);
		return;
	}
	little = a->options->live || (all < 2 * ANSWER_LEAST && all < a->whole / 50);
	parts_amount(amount, sizeof(amount), sum, true);
	if (a->whole && llabs(sum) >= a->whole / 200)
		snprintf(share, sizeof(share), " (%.0f" NBSP "%%)",
			 100.0 * (double)llabs(sum) / (double)a->whole);
	fprintf(out, "%s%s unattributed", amount, share);
	for (i = 0; i < PYMEM_LOSS_COUNT; i++) {
		bytes = a->process->lost_bytes[i];
		if (!bytes)
			continue;
		fputs(lead, out);
		lead = ", ";
		parts_amount(amount, sizeof(amount), bytes, true);
		if (causes > 1 && !little)
			fprintf(out, "%s ", amount);
		fputs(losses[i].name, out);
		if (!little)
			fprintf(out, " (%s)", losses[i].text);
	}
	fputc('.', out);
}

/* Writes what is in the change that the kernel reports, but neither charged nor lost. */
static void write_imbalance(FILE *out, const struct answer *a)
{
	int64_t rest = a->change - a->process->charged_bytes - model_lost_bytes(a->process);
	char amount[40];

	if (!rest)
		return;
	parts_amount(amount, sizeof(amount), rest, true);
	fprintf(out, " %s is in neither: this is a defect of pymem-bpf.", amount);
}

/* True if RSS fell although a line grew it much. */
static bool grew_meanwhile(const struct answer *a)
{
	struct cause top[FEW_LINES];

	return a->change < 0 && take_causes(a, top, 1) && top[0].bytes >= a->whole / 20;
}

static int print_summary(struct answer *a)
{
	struct answer_text text;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	if (!a->change)
		write_still(text.out, a);
	if (a->whole) {
		/* If much was grown and freed, shares of the difference mean nothing. If RSS fell,
		 * as at an exit, a reader still wants to know which line grew it. */
		if (llabs(a->change) < a->whole - a->whole / 10 || grew_meanwhile(a))
			write_both_ways(text.out, a);
		else
			write_shares(text.out, a);
	}
	write_unattributed(text.out, a);
	write_imbalance(text.out, a);
	return answer_text_print(&text, a);
}

/* Prints the parts of RSS at the end: the sum of the column Resident, and what that column can't
 * contain. */
static int print_resident(struct answer *a)
{
	const struct model_process *p = a->process;
	int64_t parts[] = {p->rss_end_bytes - p->resident_before_bytes - p->resident_unknown_bytes,
			   p->resident_before_bytes, p->resident_unknown_bytes};
	static const char *const names[] = {"touched first by lines below", "from before",
					    "unknown"};
	struct answer_text text;
	char amount[40];
	size_t i;
	int err;

	if (!p->resident_known)
		return 0;
	err = answer_text_begin(&text);
	if (err)
		return err;
	parts_amount(amount, sizeof(amount), p->rss_end_bytes, false);
	fprintf(text.out, "Of the %s resident at the end: ", amount);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		parts_amount(amount, sizeof(amount), parts[i], false);
		fprintf(text.out, "%s%s %s", i ? ", " : "", amount, names[i]);
	}
	fputc('.', text.out);
	return answer_text_print(&text, a);
}

/* The line that stalled longest; NULL: none did. */
static const struct model_line *stalled_most(const struct model_process *process)
{
	const struct model_line *most = NULL;

	for (size_t i = 0; i < process->line_count; i++)
		if (process->lines[i].stalled_ns > (most ? most->stalled_ns : 0))
			most = &process->lines[i];
	return most;
}

/* Prints how long threads waited for memory that they had to free themselves, and which line
 * waited most if that matters: a hundredth of the time. */
static int print_stalls(struct answer *a)
{
	const struct model_line *most = stalled_most(a->process);
	struct answer_text text;
	uint64_t stalls, ns;
	int err;

	model_stalls(a->process, &stalls, &ns);
	if (!stalls)
		return 0;
	err = answer_text_begin(&text);
	if (err)
		return err;
	fputs("Stalled: ", text.out);
	parts_stalls(text.out, a->process);
	if (most && (double)most->stalled_ns > a->seconds * 1e7) {
		fprintf(text.out, "; %.0f" NBSP "%% of it in ",
			100 * (double)most->stalled_ns / (double)ns);
		answer_place(text.out, a, most->location, PLACE_MOST);
	}
	fputc('.', text.out);
	return answer_text_print(&text, a);
}

/* Prints what the process brought into the page cache, and which file and line that is mostly. */
static int print_cached(struct answer *a)
{
	const struct model_process *p = a->process;
	const struct model_cached_file *file;
	struct answer_text text;
	int err;

	if (!p->cached.bytes)
		return 0;
	err = answer_text_begin(&text);
	if (err)
		return err;
	fputs("Cached: ", text.out);
	parts_cached(text.out, p, false);
	file = p->cached_file_count ? p->cached_files[0] : NULL;
	if (file && file->path && file->amounts.bytes > p->cached.bytes / 2) {
		fprintf(text.out, "; %.0f" NBSP "%% of it ",
			100 * (double)file->amounts.bytes / (double)p->cached.bytes);
		parts_cached_path(text.out, file, PLACE_MOST);
		if (file->most) {
			fputs(", by ", text.out);
			answer_place(text.out, a, file->most, PLACE_MOST);
		}
	}
	fputc('.', text.out);
	return answer_text_print(&text, a);
}

/* Prints one kind of what was asked for, and which line has most of it. */
static int print_extra(struct answer *a, const struct parts_extra *extra)
{
	struct answer_text text;
	const struct model_line *most;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	fprintf(text.out, "%s: ", extra->title);
	extra->write(text.out, a->model, a->process);
	most = parts_extra_most(text.out, extra, a->model, a->process);
	if (most)
		answer_place(text.out, a, most->location, PLACE_MOST);
	fputc('.', text.out);
	return answer_text_print(&text, a);
}

static int print_extras(struct answer *a)
{
	const struct parts_extra *extra = NULL;
	int err = 0;

	while (!err && (extra = parts_next_extra(extra, a->process)))
		err = print_extra(a, extra);
	return err;
}

/* The line for which the kernel took most of its own memory; NULL: none. */
static const struct model_line *took_most(const struct model_process *process)
{
	const struct model_line *most = NULL;
	int64_t bytes = 0, own;

	for (size_t i = 0; i < process->line_count; i++) {
		own = model_line_kernel_bytes(&process->lines[i]);
		if (own > bytes) {
			bytes = own;
			most = &process->lines[i];
		}
	}
	return most;
}

/* Prints how much of its own memory the kernel took for the process, and for which line mostly. */
static int print_kernel(struct answer *a)
{
	const struct model_line *most = took_most(a->process);
	struct answer_text text;
	char amount[32];
	int err;

	if (!parts_has_kernel(&a->process->kernel))
		return 0;
	err = answer_text_begin(&text);
	if (err)
		return err;
	fputs("Kernel: ", text.out);
	parts_kernel(text.out, a->process);
	/* No share of the sum, which may be less than one line has: others give back. */
	if (most) {
		parts_amount(amount, sizeof(amount), model_line_kernel_bytes(most), false);
		fprintf(text.out, "; %s of it by ", amount);
		answer_place(text.out, a, most->location, PLACE_MOST);
	}
	fputc('.', text.out);
	return answer_text_print(&text, a);
}

/* The program's process that changed most and still runs; NULL: there is none. */
static const struct model_process *still_running(const struct answer *a)
{
	for (size_t i = 0; i < a->program->count; i++)
		if (!a->program->processes[i]->exited)
			return a->program->processes[i];
	return NULL;
}

/* If lines touch fresh memory, and lines free much of it, no figure here says who keeps the rest:
 * prints which command does. */
static int print_question(struct answer *a)
{
	const struct model_process *process = still_running(a);
	struct cause top[FEW_LINES];
	struct answer_text text;
	int err;

	if (a->options->live || !process || a->change < ANSWER_LEAST || a->freed < a->grown / 4 ||
	    !take_causes(a, top, 1) || top[0].bytes < a->change)
		return 0;
	err = answer_text_begin(&text);
	if (err)
		return err;
	fprintf(text.out,
		"Who keeps what is left is another question: pymem-bpf" NBSP "heap" NBSP "-p" NBSP
		"%d" NBSP "-d" NBSP "30",
		process->pid);
	return answer_text_print(&text, a);
}

int answer_sentences(struct answer *a)
{
	int err = answer_last_words(a);

	if (!err)
		err = print_summary(a);
	if (!err)
		err = print_question(a);
	if (!err)
		err = print_resident(a);
	if (!err)
		err = print_stalls(a);
	if (!err)
		err = print_cached(a);
	if (!err)
		err = print_kernel(a);
	if (!err)
		err = print_extras(a);
	if (!err && a->process->note) {
		text_wrap(a->out, a->process->note, 0, a->options->width, 2);
		fputc('\n', a->out);
	}
	return err;
}
