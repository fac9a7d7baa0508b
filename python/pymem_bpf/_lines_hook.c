/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How Python tells of lines.
 *
 * 3.12 and later: callbacks of sys.monitoring, which line_profiler.py registers for the
 * profiled code objects only. Before: the C trace hook, which is told of every frame of the
 * thread; frames of other code are told to spare us their lines.
 */
#include "_lines.h"

#if PY_VERSION_HEX >= 0x030c0000 || defined(Py_LIMITED_API)

/* (code, offset of the instruction, …) */
static struct code *code_of(PyObject *const *args, Py_ssize_t count)
{
	return lines_enabled() && count >= 2 ? lines_find(args[0]) : NULL;
}

static PyObject *on_start(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code = code_of(args, count);

	(void)self;
	if (code)
		lines_enter(code, code->begin, BY_ENTRY);
	Py_RETURN_NONE;
}

/* A generator goes on, or is thrown into: the line that it was left at does. */
static PyObject *on_resume(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code = code_of(args, count);
	long offset;

	(void)self;
	if (!code)
		Py_RETURN_NONE;
	offset = PyLong_AsLong(args[1]);
	if (offset == -1 && PyErr_Occurred())
		return NULL;
	lines_enter(code, lines_at(code, offset), RESUMED);
	Py_RETURN_NONE;
}

static PyObject *on_line(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code = code_of(args, count);
	long line;

	(void)self;
	if (!code)
		Py_RETURN_NONE;
	line = PyLong_AsLong(args[1]);
	if (line == -1 && PyErr_Occurred())
		return NULL;
	lines_line(code, (int)line);
	Py_RETURN_NONE;
}

/* Return, yield, or an exception that leaves the frame. */
static PyObject *on_leave(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct code *code = code_of(args, count);

	(void)self;
	if (code)
		lines_leave(code);
	Py_RETURN_NONE;
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

#else /* before 3.12 */

#include <frameobject.h>

static PyObject *trace_lines; /* "f_trace_lines" */

static PyObject *frame_code(PyFrameObject *frame)
{
#if PY_VERSION_HEX >= 0x03090000
	return (PyObject *)PyFrame_GetCode(frame);
#else
	Py_INCREF(frame->f_code);
	return (PyObject *)frame->f_code;
#endif
}

/* Byte offset of the frame's last instruction; below 0: it has run none. */
static int frame_offset(PyFrameObject *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
	return PyFrame_GetLasti(frame);
#elif PY_VERSION_HEX >= 0x030a0000
	return frame->f_lasti * 2;
#else
	return frame->f_lasti;
#endif
}

static int on_call(PyFrameObject *frame, struct code *code)
{
	bool start = code->start < 0 ? frame_offset(frame) < 0 : frame_offset(frame) == code->start;

	if (start)
		lines_enter(code, code->begin, BY_ENTRY);
	else
		lines_enter(code, PyFrame_GetLineNumber(frame), RESUMED);
	return 0;
}

static int on_trace(PyObject *self, PyFrameObject *frame, int what, PyObject *value)
{
	PyObject *object;
	struct code *code;
	int err = 0;

	(void)self;
	(void)value;
	if (!lines_enabled()) {
		/* A thread that went on when the profiler was disabled. */
		PyEval_SetTrace(NULL, NULL);
		return 0;
	}
	object = frame_code(frame);
	code = lines_find(object);
	Py_DECREF(object);
	if (!code) {
		if (what == PyTrace_CALL)
			err = PyObject_SetAttr((PyObject *)frame, trace_lines, Py_False);
		return err;
	}
	switch (what) {
	case PyTrace_CALL:
		return on_call(frame, code);
	case PyTrace_LINE:
		lines_line(code, PyFrame_GetLineNumber(frame));
		return 0;
	case PyTrace_RETURN:
		lines_leave(code);
		return 0;
	}
	return 0;
}

static PyObject *trace(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (!trace_lines)
		trace_lines = PyUnicode_InternFromString("f_trace_lines");
	if (!trace_lines)
		return NULL;
	PyEval_SetTrace(on_trace, self);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *untrace(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	PyEval_SetTrace(NULL, NULL);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

PyMethodDef hook_methods[] = {
	{"trace", trace, METH_NOARGS, "Traces the current thread."},
	{"untrace", untrace, METH_NOARGS, "Traces the current thread no more."},
	{0},
};

#endif
