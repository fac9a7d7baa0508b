/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the extension share: the counting of runs (_lines.c), and how each Python
 * tells of lines (_lines_hook.c).
 *
 * All of it runs with the GIL held. */
#ifndef PYMEM_BPF_LINES_H
#define PYMEM_BPF_LINES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

struct recorder;

/* What one recorder counts of one line; amounts in pages. */
struct line {
	int64_t runs;
	int64_t pages;
	int64_t usage_pages; /* highest, at the end of a run */
};

/* What one recorder counts of one code object. */
struct sink {
	struct recorder *recorder;
	struct sink *next; /* of the same code object */
	struct code *code;
	struct sink *sibling; /* of the same recorder */
	int64_t calls;
	struct line lines[]; /* code->count of them */
};

/* A profiled code object: kept as long as a recorder has it. */
struct code {
	PyObject *object;
	struct sink *sinks;
	int first, count; /* lines from `first` on */
	int begin;	  /* line where it begins */
	int start;	  /* offset that a call, not a resumption, starts at; -1: any below 0 */
	int32_t *offset_lines; /* line of each code unit; NULL: not known */
	Py_ssize_t offset_count;
};

enum how { BY_EVENT, BY_ENTRY, RESUMED };

/* The code object's record, NULL if it is not profiled. */
struct code *lines_find(PyObject *code);

/* The events. `line` 0: not known. */
void lines_enter(struct code *code, int line, enum how how);
void lines_line(struct code *code, int line);
void lines_leave(struct code *code);

/* Line of the instruction at byte `offset`; 0: not known. */
int lines_at(const struct code *code, long offset);

/* Is any recorder enabled? */
bool lines_enabled(void);

/* Functions of the module that hooks need; ended by {0}. */
extern PyMethodDef hook_methods[];

#endif
