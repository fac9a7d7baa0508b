/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Alarms: a recorder may have a function called at the first line that begins with that much RSS.
 * The engine compares with the lowest of them, and calls nothing itself: a call is for after the
 * event.
 */
#include "_lines.h"

#include <unistd.h>

int64_t lines_lowest_alarm(void)
{
	int64_t lowest = INT64_MAX;
	struct recorder *r;

	for (r = lines_recorders(); r; r = r->next)
		if (r->alarm && r->alarm_pages < lowest)
			lowest = r->alarm_pages;
	return lowest;
}

static bool is_due(const struct recorder *r, const struct thread *t)
{
	return r->alarm && t->alarm_rss >= r->alarm_pages && lines_counts(r, t);
}

/* That of a recorder of another thread may be lower: then this thread's lines are none of its
 * concern. */
bool lines_alarm_is_due(const struct thread *t)
{
	const struct recorder *r;

	for (r = lines_recorders(); r && !is_due(r, t); r = r->next)
		;
	return r;
}

/* The function of one alarm that is due, with its reference; NULL: none is. */
static PyObject *take_alarm(const struct thread *t)
{
	PyObject *call = NULL;
	struct recorder *r;

	lines_exclusive_begin();
	for (r = lines_recorders(); r && !call; r = r->next) {
		if (!is_due(r, t))
			continue;
		call = r->alarm;
		r->alarm = NULL;
	}
	lines_alarms_changed();
	lines_exclusive_end();
	return call;
}

int lines_alarm(void)
{
	struct thread *t = lines_thread_here();
	PyObject *call, *result;

	/* A call may disable any recorder. One that raises leaves the others for the next line. */
	while (t && (call = take_alarm(t))) {
		result = PyObject_CallFunction(call, "L",
					       (long long)t->alarm_rss * sysconf(_SC_PAGESIZE));
		Py_DECREF(call);
		if (!result)
			return -1;
		Py_DECREF(result);
	}
	return 0;
}
