/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a command line to the program that people mean by it: "/usr/bin/python3 -u /srv/app/api.py
 * --port 80" is api.py. Pure: nothing is read but the words. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

enum program_kind {
	PROGRAM_SCRIPT, /* an interpreter with a script */
	PROGRAM_MODULE, /* with -m */
	PROGRAM_CODE,	/* with -c */
	PROGRAM_ALONE,	/* an interpreter without either */
	PROGRAM_OTHER,	/* any other command, or a title that the process gave itself */
};

/* Points into the words that it was made of. */
struct program {
	enum program_kind kind;
	const char *interpreter; /* its path as written; NULL: PROGRAM_OTHER */
	const char *what;	 /* the script, module, code or command as written */
	char *const *arguments;	 /* those behind it; ends with NULL */
};

/* `argv` ends with NULL (NULL or empty: none is known, and `comm` is the program). */
void program_parse(struct program *program, char *const *argv, const char *comm);

/* Writes its name into `name`, cut at `size`: "api.py", "gunicorn", "-m http.server". Of a title
 * such as "gunicorn: master [shop]" what stands before the colon. */
void program_name(const struct program *program, char *name, size_t size);

/* The command line as people know it, without the interpreter, its options, and the folder of a
 * script: "api.py --port 80", "python3 -m http.server". The caller frees it. NULL: out of
 * memory. */
char *program_command(const struct program *program);

/* True if a user may mean this program by `name`: the name of its script without the folder, with
 * or without ".py"; its module, with or without "-m"; its command, or what a title such as
 * "gunicorn: master [shop]" begins with; the script or command as written; `comm`, which is what ps
 * and top show. Of an interpreter with neither script nor module, the interpreter's name. Never an
 * argument or the code behind -c. */
bool program_is_called(const struct program *program, const char *comm, const char *name);

/* The first one of the arguments (a list that ends with NULL), from `argument` on, that tells one
 * program from another and is no option or number; else the end of the list. */
char *const *program_telling(char *const *argument);

/* True if both are the same program: same kind, same script, module, code or command as written. */
bool program_same(const struct program *one, const struct program *other);

#endif
