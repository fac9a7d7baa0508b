/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report that begins with the answer: for each program how much its RSS changed and how fast;
 * then in a sentence or two which lines changed it, and what is unattributed. The rows below are
 * the evidence.
 *
 * A reader should not have to know how the program works, so no word here needs a manual. -v shows
 * the whole table (render_table.c). */
#include "render/last_words.h"
#include "render/render_answer.h"
#include "render/render_host.h"
#include "render/render_memory.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/program.h"

#define MIB	   (1024.0 * 1024)
#define ENDED_MOST 8   /* ended processes of a program: more are only a sum */
#define STILL_MOST 3   /* programs that did not change: more are only counted */
#define FIELD	   '|' /* between fields of the head */

/* --- the head --- */

/* "+18.2 MiB (+18.2/min, +8 %)" */
static void write_change(FILE *out, const struct answer *a)
{
	double start = (double)a->process->rss_start_bytes, change = (double)a->change;
	double rate = a->seconds > 0 ? change / MIB * 60 / a->seconds : 0, share;
	const char *lead = " (", *end = "";
	char amount[40];

	parts_amount(amount, sizeof(amount), a->change, true);
	fputs(amount, out);
	/* A rate over less than a second, or of processes that have ended, says nothing of the next
	 * minute. */
	if (a->seconds >= 1 && !a->process->exited && fabs(rate) >= 0.05) {
		fprintf(out, "%s%+.1f/min", lead, rate);
		lead = ", ";
		end = ")";
	}
	/* No percentage of next to nothing, which a command that was just started has. */
	if (start >= MIB) {
		share = 100 * change / start;
		fprintf(out, "%s%+.*f" NBSP "%%", lead, fabs(share) < 9.5 ? 1 : 0, share);
		end = ")";
	}
	fputs(end, out);
}

/* The processes of the program that have ended. */
static uint64_t ended_of(const struct model_program *program)
{
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < program->count; i++)
		count += program->processes[i]->folded ?: program->processes[i]->exited;
	return count;
}

/* True if the program is a single process, of which all is known. */
static bool is_single(const struct model_program *program)
{
	return program->count == 1 && !program->processes[0]->folded;
}

/* Writes how long the program was watched, and how its RSS changed. */
static void write_figures(FILE *out, const struct answer *a)
{
	const struct model_process *p = a->process;
	int64_t most =
		p->rss_start_bytes > p->rss_end_bytes ? p->rss_start_bytes : p->rss_end_bytes;
	char amount[40];

	if (a->seconds > 0) {
		answer_duration(out, a->seconds);
		fputc(FIELD, out);
	}
	/* If processes have ended, the sum of all RSS was never there at one time. */
	if (!is_single(a->program) && ended_of(a->program)) {
		parts_amount(amount, sizeof(amount), a->change, true);
		fprintf(out, "RSS" NBSP "%s in all", amount);
		return;
	}
	parts_amount(amount, sizeof(amount), p->rss_end_bytes, false);
	fprintf(out, "RSS" NBSP "%.1f" NBSP "→" NBSP "%s%c", (double)p->rss_start_bytes / MIB,
		amount, FIELD);
	write_change(out, a);
	/* The sum of several processes' peaks was never there at one time. */
	if (is_single(a->program) && p->rss_peak_bytes - most > most / 20 &&
	    p->rss_peak_bytes - most >= ANSWER_LEAST) {
		parts_amount(amount, sizeof(amount), p->rss_peak_bytes, false);
		fprintf(out, "%cpeak" NBSP "%s%s", FIELD,
			p->rss_peak_at_least ? "at least" NBSP : "", amount);
	}
}

/* True if `pid` is one process of the program and the parent of all others. */
static bool is_parent(const struct model_program *program, int pid)
{
	size_t i, children = 0, found = 0;

	for (i = 0; i < program->count; i++) {
		children += program->processes[i]->ppid == pid;
		found += program->processes[i]->pid == pid;
	}
	return found == 1 && children == program->count - 1;
}

/* True if one process of the program is the parent of the others, which are at least two. Of folded
 * ones nobody knows. */
static bool has_parent(const struct model_program *program)
{
	return program->count > 2 && program->stands_for == program->count &&
	       (is_parent(program, program->processes[0]->ppid) ||
		is_parent(program, program->processes[1]->ppid));
}

static bool is_child_here(const struct answer *a)
{
	size_t i;

	for (i = 0; i < a->model->process_count; i++)
		if (a->model->processes[i]->pid == a->process->ppid)
			return true;
	return false;
}

/* Writes which processes the program has, and which Python they run. */
static void write_identity(FILE *out, const struct answer *a)
{
	const struct model_process *p = a->process;
	const struct model_program *program = a->program;
	char number[TEXT_PID];

	text_pid(number, sizeof(number), p->pid, p->ns_pid, NBSP);
	if (is_single(program))
		fprintf(out, "PID" NBSP "%s", number);
	else if (has_parent(program))
		fprintf(out, "%zu workers and their parent", program->count - 1);
	else
		fprintf(out, "%llu process%s", (unsigned long long)program->stands_for,
			program->stands_for == 1 ? "" : "es");
	fprintf(out, "%cPython %.40s", FIELD, *p->python ? p->python : "not identified");
	if (is_single(program) && is_child_here(a))
		fprintf(out, "%cchild of %d", FIELD, p->ppid);
	if (p->exited)
		fprintf(out, "%cended", FIELD);
}

/* The command as people know it, with ", …" if the processes' command lines differ. The caller
 * frees it. NULL: out of memory. */
static char *command_of(const struct model_program *program)
{
	char *command, *longer = NULL;
	struct program parsed;

	program_parse(&parsed, program->sum.cmdline, program->sum.comm);
	command = program_command(&parsed);
	if (!command || program->alike)
		return command;
	if (asprintf(&longer, "%s, …", command) < 0)
		longer = NULL;
	free(command);
	return longer;
}

/* How many columns the fields take with three spaces before each. */
static unsigned fields_columns(const char *fields)
{
	unsigned columns = text_columns(fields) + 3;

	for (; *fields; fields++)
		columns += *fields == FIELD ? 2 : 0;
	return columns;
}

/* Prints fields after `column`. One that does not fit begins a new line. Returns the column after
 * them. */
static unsigned print_fields(struct answer *a, char *fields, unsigned column)
{
	unsigned width = a->options->width, wide;
	char *field, *rest = fields;
	static const char separator[] = {FIELD, '\0'};

	while ((field = strsep(&rest, separator))) {
		wide = text_columns(field);
		if (column && width && column + 3 + wide > width) {
			fputc('\n', a->out);
			column = 0;
		} else if (column) {
			/* text_wrap() adds the third space. */
			fputs("  ", a->out);
			column += 3;
		}
		text_wrap(a->out, field, column, column + wide > width ? width : 0, 2);
		column += wide;
	}
	return column;
}

static void print_head_parts(struct answer *a, const char *command, char *identity, char *figures,
			     bool still)
{
	unsigned width = a->options->width, room = PARTS_TEXT_MAX / 4, used;
	unsigned wide = fields_columns(identity);

	if (width)
		room = width > wide + 20 ? width - wide : width;
	parts_style(a->out, a->options, STYLE_HEAD);
	used = text_print(a->out, command, room, false);
	parts_style(a->out, a->options, STYLE_OFF);
	used = print_fields(a, identity, used);
	/* If the figures don't fit, all of them go to a new line. */
	if (!still && width && used + fields_columns(figures) > width) {
		fputc('\n', a->out);
		used = 0;
	}
	if (!still)
		print_fields(a, figures, used);
	fputc('\n', a->out);
}

bool answer_is_still(const struct answer *a)
{
	return !a->whole;
}

int answer_head(struct answer *a)
{
	char *command = command_of(a->program);
	struct answer_text identity, figures;
	int err = command ? answer_text_begin(&identity) : -ENOMEM;

	if (!err) {
		write_identity(identity.out, a);
		err = answer_text_end(&identity);
	}
	if (!err) {
		err = answer_text_begin(&figures);
		if (!err) {
			write_figures(figures.out, a);
			err = answer_text_end(&figures);
		}
		if (!err) {
			print_head_parts(a, command, identity.data, figures.data,
					 answer_is_still(a));
			free(figures.data);
		}
		free(identity.data);
	}
	free(command);
	return err;
}

/* --- a program --- */

/* Prints the sum of the processes that are not listed. */
static void print_more(struct answer *a, uint64_t count, uint64_t ended, int64_t bytes)
{
	char change[32], text[96];

	if (!count)
		return;
	parts_size(change, sizeof(change), bytes, true);
	snprintf(text, sizeof(text), "%9s  and %llu more  %s%s", "", (unsigned long long)count,
		 change, ended == count ? "  ended" : "");
	text_print(a->out, text, a->options->width, false);
	fputc('\n', a->out);
}

/* Prints the processes of a program, one on a line, at most `most`. The others, and those that have
 * ended if they are many, are a sum. */
void answer_members(struct answer *a, size_t most)
{
	const struct model_program *program = a->program;
	uint64_t ended = ended_of(program), more = 0, more_ended = 0;
	size_t i, listed = 0;
	const struct model_process *p;
	char change[32], end[32], text[160];
	int64_t bytes = 0;

	if (program->count == 1 || !most)
		return;
	for (i = 0; i < program->count; i++) {
		p = program->processes[i];
		if (listed == most || p->folded || (p->exited && ended > ENDED_MOST)) {
			more += p->folded ?: 1;
			more_ended += p->folded ?: p->exited;
			bytes += p->rss_end_bytes - p->rss_start_bytes;
			continue;
		}
		listed++;
		parts_size(end, sizeof(end), p->rss_end_bytes, false);
		parts_size(change, sizeof(change), p->rss_end_bytes - p->rss_start_bytes, true);
		snprintf(text, sizeof(text), "%9d  RSS %.1f → %s  %s%s", p->pid,
			 (double)p->rss_start_bytes / MIB, end, change, p->exited ? "  ended" : "");
		text_print(a->out, text, a->options->width, false);
		fputc('\n', a->out);
	}
	print_more(a, more, more_ended, bytes);
}

int answer_print(struct answer *a, const struct answer_room *room)
{
	int err = answer_head(a);

	a->changed = (struct parts_changed){0};
	if (!err)
		err = answer_sentences(a);
	if (err)
		return err;
	answer_members(a, room->processes);
	answer_functions(a, room->rows);
	return a->options->tree ? answer_tree(a, room) : answer_rows(a, room);
}

/* --- the report --- */

/* True if the program has nothing to show and is only counted. In a report without options->host
 * that happens only if many programs did not change. */
bool answer_is_counted_only(const struct answer *a, size_t still)
{
	return (a->options->host || still > STILL_MOST) && answer_is_still(a) &&
	       !answer_was_killed(a) && !a->process->note && !a->row_count &&
	       !a->process->function_count && !model_lost_bytes(a->process);
}

int answer_all(FILE *out, struct answer *answers, size_t count, size_t programs,
	       const struct answer_room *room)
{
	size_t still = 0, printed = 0, i;
	uint64_t quiet = 0, beyond = 0;
	int64_t bytes = 0;
	char text[160], amount[40];
	int err = 0;

	for (i = 0; i < count; i++)
		still += answer_is_still(&answers[i]);
	for (i = 0; i < count && !err && !ferror(out); i++) {
		if (answer_is_counted_only(&answers[i], still)) {
			quiet += answers[i].program->stands_for;
			continue;
		}
		if (printed == programs) {
			beyond += answers[i].program->stands_for;
			bytes += answers[i].change;
			continue;
		}
		if (printed++)
			fputc('\n', out);
		answers[i].out = out;
		err = answer_print(&answers[i], room);
	}
	if ((beyond || quiet) && printed)
		fputc('\n', out);
	if (beyond) {
		parts_amount(amount, sizeof(amount), bytes, true);
		snprintf(text, sizeof(text), "and %llu more process%s, %s",
			 (unsigned long long)beyond, beyond == 1 ? "" : "es", amount);
		text_wrap(out, text, 0, answers->options->width, 2);
		fputc('\n', out);
	}
	if (quiet) {
		snprintf(text, sizeof(text), "%llu%s process%s did not change%s",
			 (unsigned long long)quiet, printed ? " other" : "", quiet == 1 ? "" : "es",
			 answers->options->live ? "" : " (-v lists them)");
		text_wrap(out, text, 0, answers->options->width, 2);
		fputc('\n', out);
	}
	return err;
}

/* Prints all programs. 0 or -ENOMEM. */
static int print_programs(FILE *out, struct answer *answers, size_t count,
			  const struct render_options *options)
{
	struct answer_room room = {.rows = options->top ? options->top : SIZE_MAX,
				   .paths = true,
				   .processes = options->top ? options->top : SIZE_MAX};
	size_t programs = count;
	int err = 0;

	if (options->live) {
		if (options->memory)
			answer_keep_order(answers, count, options->memory);
		if (options->height)
			err = answer_fit(answers, count, &room, &programs);
	}
	return err ?: answer_all(out, answers, count, programs, &room);
}

static int by_pid(const void *left, const void *right)
{
	const struct model_process *a = *(struct model_process *const *)left;
	const struct model_process *b = *(struct model_process *const *)right;

	if (!a->folded != !b->folded)
		return a->folded ? 1 : -1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

/* Sorts the processes of each program by PID: on a live screen their order stays. */
static void order_members(struct model_programs *programs)
{
	size_t i;

	for (i = 0; i < programs->count; i++)
		qsort(programs->list[i]->processes, programs->list[i]->count,
		      sizeof(struct model_process *), by_pid);
}

/* Prints one line on the host, as a live screen has no room for more. Subtracts the rows that it
 * takes from options->height. 0 or -ENOMEM. */
static int print_host_line(FILE *out, const struct model *model, struct render_options *options)
{
	struct answer_text text;
	unsigned rows = 0;
	int err = answer_text_begin(&text), ended;

	if (err)
		return err;
	err = render_host_line(text.out, model, options);
	ended = answer_text_end(&text);
	if (ended)
		return ended;
	if (!err) {
		fputs(text.data, out);
		for (const char *at = text.data; (at = strchr(at, '\n')); at++)
			rows++;
		if (options->height)
			options->height = options->height > rows + 1 ? options->height - rows : 1;
	}
	free(text.data);
	return err;
}

/* `options` become those of the answers, and have to live as long; their height becomes what the
 * lines of the host leave. */
static int print_all(FILE *out, struct model *model, struct answer *answers, size_t count,
		     struct render_options *options)
{
	int err;

	if (options->live && options->host)
		err = print_host_line(out, model, options);
	else
		err = render_host(out, model, options);
	for (size_t i = 0; i < count; i++)
		answers[i].options = options;
	return err ?: print_programs(out, answers, count, options);
}

int render_answer(FILE *out, struct model *model, const struct render_options *options)
{
	struct render_options shown = *options;
	struct answers answers;
	int err = answers_make(&answers, out, model, options);

	if (!err && options->live)
		order_members(&answers.programs);
	if (!err)
		err = print_all(out, model, answers.list, answers.programs.count, &shown);
	answers_free(&answers);
	if (err)
		return err;
	if (!model->process_count && !model->gathered.processes)
		fputs("no process was profiled\n", out);
	parts_gathered(out, model, options);
	err = render_memory(out, model, options);
	parts_tail(out, model, options);
	return err ?: parts_flush(out);
}
