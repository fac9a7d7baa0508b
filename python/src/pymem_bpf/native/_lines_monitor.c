/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How Python 3.12 and later report lines: by callbacks of sys.monitoring, which line_profiler.py
 * registers, mostly for the profiled code objects only. It uses the stable ABI: one build for all
 * versions, but for free-threaded ones, which have none before 3.15. */
#include "_lines.h"

#if PY_VERSION_HEX >= 0x030c0000

/* (code, offset of the instruction, …) */
static struct code *code_of(PyObject *const *args, Py_ssize_t count)
{
	return lines_enabled() && count >= 2 ? lines_find(args[0]) : NULL;
}

static PyObject *on_start(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code;

	(void)self;
	if (!lines_event_begin())
		Py_RETURN_NONE;
	code = code_of(args, count);
	if (code)
		lines_enter(code, code->begin, BY_ENTRY);
	lines_event_end();
	Py_RETURN_NONE;
}

/* A generator goes on, or is thrown into: so the line goes on at which it was left. */
static PyObject *on_resume(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code;
	long offset;

	(void)self;
	if (count < 2 || !lines_enabled())
		Py_RETURN_NONE;
	offset = PyLong_AsLong(args[1]);
	if (offset == -1 && PyErr_Occurred())
		return NULL;
	if (!lines_event_begin())
		Py_RETURN_NONE;
	code = code_of(args, count);
	if (code)
		lines_enter(code, lines_at(code, offset), RESUMED);
	lines_event_end();
	Py_RETURN_NONE;
}

static PyObject *on_line(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	bool due;
	long line;

	(void)self;
	if (count < 2)
		Py_RETURN_NONE;
	line = PyLong_AsLong(args[1]);
	if (line == -1 && PyErr_Occurred())
		return NULL;
	if (!lines_event_begin())
		Py_RETURN_NONE;
	due = lines_line(args[0], (int)line);
	lines_event_end();
	if (due && lines_alarm())
		return NULL;
	Py_RETURN_NONE;
}

/* Return, yield, or an exception that leaves the frame. */
static PyObject *on_leave(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code;

	(void)self;
	if (!lines_event_begin())
		Py_RETURN_NONE;
	code = code_of(args, count);
	if (code)
		lines_leave_code(code);
	lines_event_end();
	Py_RETURN_NONE;
}

/* No call is missed: each thread reports all of its own. */
bool lines_blind(bool own_thread)
{
	(void)own_thread;
	return false;
}

#define CALLBACK(name, doc)                                                  \
	{                                                                    \
#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, doc \
	}

PyMethodDef hook_methods[] = {
	CALLBACK(on_start, "For PY_START."),
	CALLBACK(on_resume, "For PY_RESUME and PY_THROW."),
	CALLBACK(on_line, "For LINE."),
	CALLBACK(on_leave, "For PY_RETURN, PY_YIELD and PY_UNWIND."),
	{0},
};

#endif
