/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The registry of renderers, and the parts that the renderers for people share.
 *
 * All text that a target chose goes through text_print(). Each field is bounded even where the
 * width is not, since a source line can have any length. */
#include "render/render_parts.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

#define RENDERER_ADDRESS(id) &render_##id,
const struct renderer *const renderers[] = {RENDERERS(RENDERER_ADDRESS) NULL};
#undef RENDERER_ADDRESS

const struct renderer *renderer_find(const char *name)
{
	size_t i;

	for (i = 0; renderers[i]; i++) {
		if (!strcmp(renderers[i]->name, name))
			return renderers[i];
	}
	return NULL;
}

void render_asides(FILE *out, const struct model *model)
{
	parts_tail(out, model, &(struct render_options){0});
}

int parts_flush(FILE *out)
{
	errno = 0;
	/* After an earlier failure its cause is no longer known. One more byte makes the stream
	 * fail again; the report is void in any case. */
	if (ferror(out) && fputc('\n', out) == EOF)
		return errno ? -errno : -EIO;
	if (fflush(out) != 0)
		return errno ? -errno : -EIO;
	return ferror(out) ? -EIO : 0;
}

void parts_size(char *text, size_t size, int64_t bytes, bool sign)
{
	uint64_t magnitude = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
	const char *lead = bytes < 0 ? "-" : sign && bytes ? "+" : "";

	if (magnitude && magnitude < 1024)
		snprintf(text, size, "%s%u B", lead, (unsigned)magnitude);
	else if (magnitude && magnitude <= 1024 * 1024 / 10)
		snprintf(text, size, "%s%.0f KiB", lead, (double)magnitude / 1024);
	else
		snprintf(text, size, "%s%.1f MiB", lead, (double)magnitude / (1024 * 1024));
}

void parts_amount(char *text, size_t size, int64_t bytes, bool sign)
{
	char plain[32];

	parts_size(plain, sizeof(plain), bytes, sign);
	snprintf(text, size, "%.*s" NBSP "%s", (int)strcspn(plain, " "), plain,
		 strchr(plain, ' ') + 1);
}

void parts_style(FILE *out, const struct render_options *options, const char *style)
{
	if (options->color)
		fprintf(out, "\033[%sm", style);
}

/* The longest end of `path` that begins with a slash and fits into `columns`. NULL: none does. */
static const char *whole_parts(const char *path, unsigned columns)
{
	const char *at = path + strlen(path), *found = NULL;

	while (at-- > path) {
		if (*at != '/')
			continue;
		if (text_columns(at) > columns)
			break;
		found = at;
	}
	return found;
}

static unsigned print_file(FILE *out, const char *file, unsigned columns)
{
	const char *rest;

	if (text_columns(file) <= columns)
		return text_print(out, file, columns, true);
	rest = model_library_part(file);
	if (!rest || text_columns(rest) + 1 > columns)
		rest = columns ? whole_parts(file, columns - 1) : NULL;
	if (!rest)
		return text_print(out, file, columns, true);
	fputs("…", out);
	return 1 + text_print(out, rest, columns - 1, false);
}

static void line_number(char *text, size_t size, int line)
{
	if (line > 0)
		snprintf(text, size, ":%d", line);
	else
		snprintf(text, size, ":?");
}

static const char *or_unknown(const char *name)
{
	return *name ? name : "?";
}

/* compile(…, "") gives no name. A name that could not be read is "?" already. */
static const char *file_name(const char *name)
{
	return *name ? name : "(no file name)";
}

unsigned parts_place_columns(const struct model_location *location)
{
	char number[16];

	line_number(number, sizeof(number), location->line);
	return text_columns(file_name(location->file)) + (unsigned)strlen(number) + 1 +
	       text_columns(or_unknown(location->function));
}

unsigned parts_place(FILE *out, const struct model_location *location, unsigned columns)
{
	const char *file = file_name(location->file), *function = or_unknown(location->function);
	unsigned fixed, file_columns = text_columns(file), used, room;
	unsigned function_columns = text_columns(function);
	const char *rest;
	char number[16];

	if (!location->line && !*location->file && !strcmp(function, MODEL_FOLDED_OTHERS))
		return text_print(out, function, columns ?: PARTS_FIELD_MAX, false);
	line_number(number, sizeof(number), location->line);
	fixed = (unsigned)strlen(number) + 1;
	if (!columns)
		columns = fixed + PARTS_FIELD_MAX;
	/* There is too little room for both: the file and its line matter most. */
	if (columns < fixed + 8 && file_columns + function_columns + fixed > columns) {
		room = columns > fixed ? columns - fixed + 1 : 1;
		used = print_file(out, file, room);
		return used + (unsigned)fprintf(out, "%s", number);
	}
	room = columns - fixed;
	if (file_columns + function_columns > room) {
		rest = model_library_part(file);
		if (rest)
			file_columns = text_columns(rest) + 1;
		/* File and function may each have half of the room. What one does not need goes to
		 * the other. */
		if (function_columns > room / 2)
			function_columns =
				file_columns < room - room / 2 ? room - file_columns : room / 2;
		file_columns = room - function_columns;
	}
	used = print_file(out, file, file_columns);
	used += (unsigned)fprintf(out, "%s ", number);
	return used + text_print(out, function, function_columns, false);
}

/* Copies `text` with its indentation as spaces (tab stops of 8). A tab inside the line becomes one
 * space. `trim`: without the indentation. */
static void expand_tabs(char *copy, size_t size, const char *text, bool trim)
{
	const char *start = text + strspn(text, " \t\f");
	size_t used = 0;

	for (; text < start && !trim && used + 9 < size; text++) {
		if (*text == '\f') /* for Python's tokenizer the line begins anew */
			used = 0;
		else
			do
				copy[used++] = ' ';
			while (*text == '\t' && used % 8);
	}
	for (text = start; *text && used + 1 < size; text++)
		copy[used++] = *text == '\t' ? ' ' : *text;
	/* Do not cut within a character. */
	while (*text && used && (*text & 0xc0) == 0x80) {
		used--;
		text--;
	}
	while (used && copy[used - 1] == ' ')
		used--;
	copy[used] = '\0';
}

void parts_source(FILE *out, const struct render_options *options,
		  const struct model_process *process, const char *file, int line, unsigned columns,
		  bool trim, enum source_state *state)
{
	static const char *const why[] = {
		[SOURCE_MISSING] = "(source not found)",
		[SOURCE_UNREADABLE] = "(source not readable)",
	};
	const char *text = NULL, *note = NULL;
	/* A character has at most 4 bytes; combining marks are few. */
	char copy[4 * PARTS_TEXT_MAX + 64];

	*state = SOURCE_NONE;
	if (!options->sources)
		return;
	if (!columns || columns > PARTS_TEXT_MAX)
		columns = PARTS_TEXT_MAX;
	text = source_line(options->sources, &process->root, file, line, state);
	if (text) {
		expand_tabs(copy, sizeof(copy), text, trim);
	} else if (*state == SOURCE_MISSING || *state == SOURCE_UNREADABLE) {
		note = why[*state];
	} else if (*state != SOURCE_NONE && line > 0) {
		note = "(no such line)";
	}
	if (!text && !note)
		return;
	if (trim || note)
		parts_style(out, options, STYLE_QUIET);
	text_print(out, note ? note : copy, columns, false);
	if (trim || note)
		parts_style(out, options, STYLE_OFF);
}

/* Puts the command line into `text`, cut at `size`. */
static void join_command(char *text, size_t size, const char *comm, char *const *cmdline)
{
	size_t used = 0, i;
	int n;

	snprintf(text, size, "%s", comm);
	for (i = 0; cmdline && cmdline[i] && used + 1 < size; i++) {
		n = snprintf(text + used, size - used, "%s%s", i ? " " : "", cmdline[i]);
		used += n > 0 ? (size_t)n : 0;
	}
	if (used < size)
		return;
	for (used = size - 1; used && (text[used - 1] & 0xc0) == 0x80;)
		used--;
	text[used ? used - 1 : 0] = '\0';
}

static bool is_child(const struct model *model, const struct model_process *process)
{
	size_t i;

	for (i = 0; i < model->process_count; i++) {
		if (model->processes[i] != process && model->processes[i]->pid == process->ppid)
			return true;
	}
	return false;
}

static void print_title(FILE *out, const struct render_options *options, const char *who,
			const char *comm, char *const *cmdline)
{
	char command[2 * PARTS_TEXT_MAX];
	int used;

	parts_style(out, options, STYLE_HEAD);
	used = fprintf(out, "%s  ", who);
	join_command(command, sizeof(command), comm, cmdline);
	if (options->width)
		text_print(out, command, (int)options->width > used + 8 ? options->width - used : 8,
			   false);
	else
		text_print(out, command, PARTS_TEXT_MAX, false);
	parts_style(out, options, STYLE_OFF);
	fputc('\n', out);
}

void parts_title(FILE *out, const struct render_options *options, int pid, int ns_pid,
		 const char *comm, char *const *cmdline)
{
	char number[TEXT_PID], who[TEXT_PID + 8];

	text_pid(number, sizeof(number), pid, ns_pid, " ");
	snprintf(who, sizeof(who), "PID %s", number);
	print_title(out, options, who, comm, cmdline);
}

void parts_head(FILE *out, const struct model *model, const struct model_process *process,
		const struct render_options *options)
{
	char text[256];
	int n;

	if (process->folded) {
		snprintf(text, sizeof(text), "%llu ended process%s",
			 (unsigned long long)process->folded, process->folded == 1 ? "" : "es");
		print_title(out, options, text, process->comm, process->cmdline);
	} else {
		parts_title(out, options, process->pid, process->ns_pid, process->comm,
			    process->cmdline);
	}
	n = snprintf(text, sizeof(text), "Python %.40s",
		     *process->python ? process->python : "(not identified)");
	if (options->verbose)
		n += snprintf(text + n, sizeof(text) - n, ", engine %.40s", process->engine);
	if (is_child(model, process))
		n += snprintf(text + n, sizeof(text) - n, ", child of %d", process->ppid);
	if (process->exited && !process->folded)
		snprintf(text + n, sizeof(text) - n, ", exited");
	text_wrap(out, text, 0, options->width, 0);
	fputc('\n', out);
}

void parts_gathered(FILE *out, const struct model *model, const struct render_options *options)
{
	const struct model_gathered *gathered = &model->unfolded;
	char change[40], charged[40], lost[40], text[256];
	bool verbose = options->verbose;
	int64_t lost_bytes = 0;
	int i;

	if (!gathered->processes)
		return;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		lost_bytes += gathered->lost_bytes[i];
	parts_amount(change, sizeof(change), gathered->change_bytes, true);
	parts_amount(charged, sizeof(charged), gathered->charged_bytes, true);
	parts_amount(lost, sizeof(lost), lost_bytes, true);
	snprintf(text, sizeof(text),
		 "and %llu more process%s, ended: change" NBSP "%s = %s" NBSP "%s + %s" NBSP "%s",
		 (unsigned long long)gathered->processes, gathered->processes == 1 ? "" : "es",
		 change, verbose ? "charged" : "attributed", charged,
		 verbose ? "lost" : "unattributed", lost);
	if (model->process_count)
		fputc('\n', out);
	text_wrap(out, text, 0, options->width, 2);
	fputc('\n', out);
}

void parts_skip(FILE *out, const struct render_options *options, int pid, const char *comm,
		const char *reason)
{
	bool narrow = options->width && options->width < 64;
	unsigned column = (unsigned)fprintf(out, "Skipped: pid %d", pid);

	/* The name of a process that no longer exists is unknown. */
	if (*comm) {
		fputs(" (", out);
		column += 3 + text_print(out, comm, narrow ? 16 : 32, false);
		fputc(')', out);
	}
	fputc(':', out);
	text_wrap(out, reason, column + 1, options->width, 2);
	fputc('\n', out);
}

void parts_note(FILE *out, const struct render_options *options, const char *note)
{
	fputs("Note:", out);
	text_wrap(out, note, 5, options->width, 2);
	fputc('\n', out);
}

void parts_tail(FILE *out, const struct model *model, const struct render_options *options)
{
	for (size_t i = 0; i < model->skip_count; i++) {
		if (!i)
			fputc('\n', out);
		parts_skip(out, options, model->skips[i].pid, model->skips[i].comm,
			   model->skips[i].reason);
	}
	for (size_t i = 0; i < model->note_count; i++) {
		if (!i)
			fputc('\n', out);
		parts_note(out, options, model->notes[i]);
	}
}
