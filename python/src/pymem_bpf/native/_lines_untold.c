/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Notes what the interpreter did not report, for the recorders that would have counted it. That is
 * up to 3.11, with a GIL. */
#include "_lines.h"

void lines_untold(PyObject *object)
{
	struct thread *t = lines_recorders() ? lines_this_thread() : NULL;
	struct code *code = t ? lines_find(object) : NULL;
	struct sink *sink;

	for (sink = code ? code->sinks : NULL; sink; sink = sink->next)
		sink->counts.untold += lines_counts(sink->recorder, t);
}

static void note_deep(struct recorder *r, const struct thread *t)
{
	unsigned int i;

	if (!lines_counts(r, t))
		return;
	r->deep++;
	for (i = 0; i < r->deep_tid_count && r->deep_tids[i] != t->tid; i++)
		;
	if (i == r->deep_tid_count && i < DEEP_TIDS)
		r->deep_tids[r->deep_tid_count++] = t->tid;
}

void lines_deep(bool begins)
{
	struct thread *t = lines_this_thread();
	struct recorder *r;

	if (!t)
		return;
	t->deep = begins;
	for (r = begins ? lines_recorders() : NULL; r; r = r->next)
		note_deep(r, t);
}

void lines_note_deep(struct recorder *r)
{
	struct thread *t;

	for (t = lines_threads(); t; t = t->next)
		if (t->deep)
			note_deep(r, t);
}

void lines_note_blind(void)
{
	struct recorder *r;

	for (r = lines_recorders(); r; r = r->next)
		r->blind |= lines_blind(r->own_thread);
}
