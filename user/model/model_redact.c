/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a report is shown to others, who are to see which code keeps memory and not where it
 * lies, how it was started, or its text. So the model itself is changed, once, before it is
 * rendered: no format can forget it.
 *
 * What goes: arguments and code of command lines, and of each path what is above the package: the
 * outermost folder with an __init__.py, or the folder that all libraries share. What stays: names
 * of files, functions and programs, control groups, all figures. */
#include "model/model_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/program.h"

struct redacted { /* what stands for a name */
	const char *file;
	const char *name;
	UT_hash_handle hh;
};

struct redaction {
	struct book *book;
	struct source_cache *sources; /* NULL: no folder is known to be a package */
	struct redacted *names;
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* --- files --- */

/* True if the folder, the first `length` bytes of `file`, has an __init__.py. */
static bool is_package(struct redaction *r, const struct model_process *process, const char *file,
		       size_t length)
{
	enum source_state state = SOURCE_MISSING;
	char *name;

	if (!r->sources || !process || asprintf(&name, "%.*s/__init__.py", (int)length, file) < 0)
		return false;
	source_line(r->sources, &process->root, name, 1, &state);
	free(name);
	return state == SOURCE_OK || state == SOURCE_CHANGED;
}

/* The part of the path from the package on. */
static const char *from_package(struct redaction *r, const struct model_process *process,
				const char *file)
{
	const char *found = base_of(file), *library = model_library_part(file), *at;

	if (library)
		return library + 1;
	while (found > file + 1 && is_package(r, process, file, (size_t)(found - file) - 1)) {
		for (at = found - 1; at > file && at[-1] != '/';)
			at--;
		found = at;
	}
	return found;
}

/* Finds what stands for the file's name, the first time it is met. 0 or -ENOMEM. */
static int redact_file(struct redaction *r, const struct model_process *process, const char *file)
{
	struct redacted *redacted;

	HASH_FIND_PTR(r->names, &file, redacted);
	if (redacted)
		return 0;
	redacted = calloc(1, sizeof(*redacted));
	if (!redacted)
		return -ENOMEM;
	redacted->file = file;
	redacted->name = model_intern(r->book, from_package(r, process, file));
	if (redacted->name && !HASH_INSERT(r->names, file, redacted))
		return 0;
	free(redacted);
	return -ENOMEM;
}

static int find_last_names(struct redaction *r, const struct model_process *process)
{
	const struct model_death_thread *thread;
	int err = 0;

	for (size_t i = 0; (thread = model_death_stack(process->death, i)); i++)
		for (unsigned j = 0; j < thread->facts.depth && !err; j++)
			err = redact_file(r, process, thread->frames[j]->file);
	return err;
}

/* Files of lines and functions are looked for as their processes see them. Others are in no report.
 */
static int find_names(struct redaction *r)
{
	struct model *model = &r->book->pub;
	size_t i, j;
	int err = 0;

	for (i = 0; i < model_row_count(model) && !err; i++) {
		struct model_process *process = model_row(model, i);

		for (j = 0; j < process->line_count && !err; j++)
			err = redact_file(r, process, process->lines[j].location->file);
		for (j = 0; j < process->function_count && !err; j++)
			err = redact_file(r, process, process->functions[j].location->file);
		err = err ?: find_last_names(r, process);
	}
	for (i = 0; i < r->book->location_count && !err; i++)
		err = redact_file(r, NULL, r->book->locations[i]->pub.file);
	return err;
}

static void set_names(struct redaction *r)
{
	struct redacted *redacted, *next;
	const char *file;
	size_t i;

	for (i = 0; i < r->book->location_count; i++) {
		file = r->book->locations[i]->pub.file;
		HASH_FIND_PTR(r->names, &file, redacted);
		if (redacted)
			r->book->locations[i]->pub.file = redacted->name;
	}
	HASH_ITER(hh, r->names, redacted, next)
	{
		HASH_DEL(r->names, redacted);
		free(redacted);
	}
}

/* --- processes and texts --- */

/* Leaves the last part of a path, even of a folder's. */
static void redact_name(const struct program *program, char *name)
{
	size_t length = strlen(name);
	const char *base;

	if (program->kind == PROGRAM_MODULE)
		return;
	while (length > 1 && name[length - 1] == '/')
		length--;
	name[length] = '\0';
	base = base_of(name);
	memmove(name, base, strlen(base) + 1);
}

/* Leaves the interpreter and the script or module, or the name of another command. 0 or -ENOMEM. */
static int redact_command(struct model_process *process)
{
	struct program program;
	char name[256], *words[4] = {NULL}, **left;
	size_t i;

	if (!process->cmdline[0])
		return 0;
	program_parse(&program, process->cmdline, process->comm);
	/* Of a title that the process gave itself, the first word. */
	if (program.kind == PROGRAM_OTHER)
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(program.what, " \t:"),
			 program.what);
	else
		program_name(&program, name, sizeof(name));
	redact_name(&program, name);
	i = 0;
	if (program.interpreter)
		words[i++] = strdup(base_of(program.interpreter));
	if (program.kind == PROGRAM_MODULE)
		words[i++] = strdup("-m");
	if (program.kind == PROGRAM_CODE)
		words[i++] = strdup("-c");
	else if (program.kind != PROGRAM_ALONE)
		words[i++] = strdup(program.kind == PROGRAM_MODULE ? name + strlen("-m ") : name);
	left = calloc(i + 1, sizeof(*left));
	for (size_t j = 0; left && j < i; j++) {
		if (words[j])
			continue;
		free(left);
		left = NULL;
	}
	if (!left) {
		while (i--)
			free(words[i]);
		return -ENOMEM;
	}
	memcpy(left, words, i * sizeof(*left));
	for (i = 0; process->cmdline[i]; i++)
		free(process->cmdline[i]);
	free(process->cmdline);
	process->cmdline = left;
	return 0;
}

/* Of each word with slashes leaves what is behind the last one. */
static void redact_text(char *text)
{
	static const char ends[] = " \t\n\"'(),:;[]<>";
	char *to = text, *from = text, *slash;
	size_t length;

	while (text && *from) {
		length = strcspn(from, ends);
		slash = memrchr(from, '/', length);
		if (slash && slash + 1 < from + length) {
			length -= (size_t)(slash + 1 - from);
			from = slash + 1;
		}
		/* With what ends the word. */
		length += from[length] ? 1 : 0;
		memmove(to, from, length);
		to += length;
		from += length;
	}
	if (text)
		*to = '\0';
}

/* Of paths in the page cache, the file's own name stays. */
static void redact_cached(struct model_process *process)
{
	struct process *inner = process_of(process);

	for (size_t i = 0; i < inner->file_count; i++) {
		char *path = inner->files[i].path;

		if (path)
			memmove(path, base_of(path), strlen(base_of(path)) + 1);
	}
}

int model_redact(struct model *model, struct source_cache *sources)
{
	struct redaction r = {.book = book_of(model), .sources = sources};
	size_t i;
	int err = find_names(&r);

	set_names(&r);
	for (i = 0; i < model_row_count(model) && !err; i++) {
		redact_text(model_row(model, i)->note);
		redact_cached(model_row(model, i));
		err = redact_command(model_row(model, i));
	}
	for (i = 0; i < model->skip_count; i++)
		redact_text(model->skips[i].reason);
	for (i = 0; i < model->note_count; i++)
		redact_text(model->notes[i]);
	return err;
}
