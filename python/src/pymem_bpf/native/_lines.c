/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The extension module: the type Recorder, which line_profiler.py works with. Counting is in
 * _lines_engine.c.
 */
#include "_lines.h"

#include <stdlib.h>
#include <unistd.h>

#define MAX_LINES 10000000 /* of one code object: more is no program */

/* The alarm's function may lead back to the recorder. Code objects can't, and are shared. */
static int recorder_traverse(PyObject *self, visitproc visit, void *arg)
{
#if PY_VERSION_HEX >= 0x03090000
	Py_VISIT(Py_TYPE(self));
#endif
	Py_VISIT(((struct recorder *)self)->alarm);
	return 0;
}

static int recorder_clear(PyObject *self)
{
	Py_CLEAR(((struct recorder *)self)->alarm);
	return 0;
}

static void recorder_dealloc(PyObject *self)
{
	struct recorder *r = (struct recorder *)self;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	lines_drop(r);
	recorder_clear(self);
	if (r->block.obj)
		PyBuffer_Release(&r->block);
	PyObject_GC_Del(self);
	Py_DECREF(type);
}

/* Exclusive. */
static struct sink *sink_of(PyObject *self, PyObject *object, const PyObject *function)
{
	struct code *code = lines_find(object);

	return code ? lines_sink(code, (struct recorder *)self, function) : NULL;
}

PyDoc_STRVAR(add_doc,
	     "add(code, first, last, begin, lines, function=None)\n\n"
	     "Profiles a code object, whose lines are from `first` to `last` and which begins on\n"
	     "line `begin`. lines: bytes, an int32 for each code unit, the line that it is on;\n"
	     "0: none. function: the added code object that it is inside of; None: it is the\n"
	     "function.");

/* As lines_add(). -3: `function` was not added. */
static int add(PyObject *self, const PyObject *function, const struct code *like, const char *lines,
	       Py_ssize_t size)
{
	int err = -3;

	lines_exclusive_begin();
	if (function == like->object || sink_of(self, (PyObject *)function, function))
		err = lines_add((struct recorder *)self, function, like, lines, size);
	lines_exclusive_end();
	return err;
}

static PyObject *recorder_add(PyObject *self, PyObject *args)
{
	struct code like = {0};
	PyObject *bytes, *function = Py_None;
	Py_ssize_t size;
	char *lines;
	int last, err;

	/* No "#" formats: what they compile to differs between versions of the stable ABI. */
	if (!PyArg_ParseTuple(args, "OiiiO|O", &like.object, &like.first, &last, &like.begin,
			      &bytes, &function) ||
	    PyBytes_AsStringAndSize(bytes, &lines, &size))
		return NULL;
	if (last < like.first || (int64_t)last - like.first >= MAX_LINES) {
		PyErr_Format(PyExc_ValueError, "lines %d to %d: more than %d", like.first, last,
			     MAX_LINES);
		return NULL;
	}
	like.count = last - like.first + 1;
	if (function == Py_None)
		function = like.object;
	err = add(self, function, &like, lines, size);
	if (err == -3) {
		PyErr_Format(PyExc_ValueError, "%R is to be added first: %R is part of it",
			     function, like.object);
		return NULL;
	}
	if (err == -2) {
		PyErr_Format(PyExc_ValueError, "%R is profiled with other lines than %d to %d",
			     like.object, like.first, last);
		return NULL;
	}
	if (err)
		return PyErr_NoMemory();
	Py_RETURN_NONE;
}

PyDoc_STRVAR(
	enable_doc,
	"enable()\n\nCounts from now on. RuntimeError: another recorder that is "
	"enabled has another counter block,\nor this one's is that of the process before a fork.");

static PyObject *recorder_enable(PyObject *self, PyObject *unused)
{
	struct recorder *r = (struct recorder *)self;
	const char *error = NULL;
	int err = 0;

	(void)unused;
	if (!r->block.obj)
		error = "the recorder has no counter block";
	else if (r->forks != lines_forks())
		error = "the counter is that of the process that this one was forked from";
	else
		err = lines_enable(r);
	if (err == -2)
		return PyErr_NoMemory();
	if (err)
		error = "another profiler is running, with another counter";
	if (error) {
		PyErr_SetString(PyExc_RuntimeError, error);
		return NULL;
	}
	Py_RETURN_NONE;
}

PyDoc_STRVAR(disable_doc, "disable()\n\nCounts no more. What runs is counted up to now.");

static PyObject *recorder_disable(PyObject *self, PyObject *unused)
{
	(void)unused;
	lines_exclusive_begin();
	lines_disable((struct recorder *)self);
	lines_exclusive_end();
	Py_RETURN_NONE;
}

PyDoc_STRVAR(
	alarm_doc,
	"alarm(bytes, function)\n\n"
	"Calls function(bytes) once, at the first line that begins with RSS at or above that,\n"
	"from the frame of that line. To be set while disabled.");

static PyObject *recorder_alarm(PyObject *self, PyObject *args)
{
	struct recorder *r = (struct recorder *)self;
	PyObject *function, *other;
	long long bytes, page = sysconf(_SC_PAGESIZE);
	bool enabled;

	if (!PyArg_ParseTuple(args, "LO", &bytes, &function))
		return NULL;
	Py_INCREF(function);
	lines_exclusive_begin();
	enabled = r->enabled;
	other = enabled ? function : r->alarm;
	if (!enabled) {
		r->alarm = function;
		r->alarm_pages = bytes / page + (bytes % page != 0);
	}
	lines_exclusive_end();
	Py_XDECREF(other);
	if (!enabled)
		Py_RETURN_NONE;
	PyErr_SetString(PyExc_RuntimeError, "the alarm is to be set while disabled");
	return NULL;
}

PyDoc_STRVAR(results_doc,
	     "results(code, function=None) -> (calls, untold, {line: (runs, change, usage)})\n\n"
	     "Of a code object as part of the function that it was added for. untold: times that\n"
	     "the interpreter stopped reporting a frame. change: what the runs' threads changed "
	     "RSS by,\n"
	     "callees included, but for runs inside another run of the function on the same line.\n"
	     "usage: highest RSS at the end of a run. Both in bytes. KeyError: not profiled.");

static int put_line(PyObject *lines, int number, const struct line *line)
{
	long long page = sysconf(_SC_PAGESIZE);
	PyObject *key = PyLong_FromLong(number);
	PyObject *value = Py_BuildValue("(LLL)", (long long)line->runs, line->pages * page,
					line->usage_pages * page);
	int err = !key || !value ? -1 : PyDict_SetItem(lines, key, value);

	Py_XDECREF(key);
	Py_XDECREF(value);
	return err;
}

/* {line: (runs, change, usage)} of `count` lines from `first` on. */
static PyObject *lines_dict(const struct counts *counts, int first, int count)
{
	PyObject *lines = PyDict_New();
	int i;

	for (i = 0; lines && i < count; i++) {
		if (!counts->lines[i].runs && !counts->lines[i].usage_pages)
			continue;
		if (put_line(lines, first + i, &counts->lines[i]))
			Py_CLEAR(lines);
	}
	return lines;
}

static PyObject *recorder_results(PyObject *self, PyObject *args)
{
	PyObject *lines, *object, *function = Py_None;
	struct counts *counts = NULL;
	int first = 0, count = 0;
	struct sink *sink;

	if (!PyArg_ParseTuple(args, "O|O", &object, &function))
		return NULL;
	lines_exclusive_begin();
	sink = sink_of(self, object, function == Py_None ? object : function);
	if (sink) {
		counts = lines_counts_copy(sink);
		first = sink->code->first;
		count = sink->code->count;
	}
	lines_exclusive_end();
	if (!sink) {
		PyErr_SetObject(PyExc_KeyError, object);
		return NULL;
	}
	if (!counts)
		return PyErr_NoMemory();
	lines = lines_dict(counts, first, count);
	if (lines)
		lines = Py_BuildValue("(LLN)", (long long)counts->calls, (long long)counts->untold,
				      lines);
	free(counts);
	return lines;
}

static PyObject *recorder_cut(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(lines_get(((struct recorder *)self)->cut));
}

static PyObject *recorder_forked(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct recorder *)self)->forks != lines_forks());
}

static PyObject *recorder_missed(PyObject *self, void *unused)
{
	const struct recorder *r = (struct recorder *)self;
	const volatile struct pymem_block *block = r->block.buf;
	unsigned long long missed = block ? block->missed : 0;

	(void)unused;
	return PyLong_FromUnsignedLongLong(missed + lines_get(r->unplaced));
}

static PyObject *recorder_deep(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLongLong(((struct recorder *)self)->deep);
}

static PyObject *recorder_deep_threads(PyObject *self, void *unused)
{
	const struct recorder *r = (struct recorder *)self;
	PyObject *tids = PyTuple_New(r->deep_tid_count), *tid;
	unsigned int i;

	(void)unused;
	for (i = 0; tids && i < r->deep_tid_count; i++) {
		tid = PyLong_FromUnsignedLong(r->deep_tids[i]);
		if (!tid || PyTuple_SetItem(tids, i, tid))
			Py_CLEAR(tids);
	}
	return tids;
}

static PyObject *recorder_blind(PyObject *self, void *unused)
{
	const struct recorder *r = (struct recorder *)self;

	(void)unused;
	return PyBool_FromLong(r->blind || (r->enabled && lines_blind(r->own_thread)));
}

static PyObject *recorder_unread(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLongLong(lines_get(((struct recorder *)self)->unread));
}

PyDoc_STRVAR(resident_steps_doc,
	     "resident_steps() -> (steps, touched)\n\n"
	     "Touches some pages of memory, one after the other. steps: how many of them "
	     "/proc/self/statm\ncounted at once, each as one page. MemoryError.");

static PyObject *recorder_resident_steps(PyObject *self, PyObject *unused)
{
	int steps;

	(void)self;
	(void)unused;
	lines_exclusive_begin();
	lines_resident_begin();
	steps = lines_resident_steps();
	if (!lines_estimating())
		lines_resident_end();
	lines_exclusive_end();
	return steps < 0 ? PyErr_NoMemory() : Py_BuildValue("(ii)", steps, RESIDENT_STEPS);
}

PyDoc_STRVAR(estimating_doc,
	     "estimating() -> bool\n\nWhether recorders are enabled whose figures are /proc's.");

static PyObject *recorder_estimating(PyObject *self, PyObject *unused)
{
	bool estimating;

	(void)self;
	(void)unused;
	lines_exclusive_begin();
	estimating = lines_estimating();
	lines_exclusive_end();
	return PyBool_FromLong(estimating);
}

static PyMethodDef recorder_methods[] = {
	{"add", recorder_add, METH_VARARGS, add_doc},
	{"enable", recorder_enable, METH_NOARGS, enable_doc},
	{"disable", recorder_disable, METH_NOARGS, disable_doc},
	{"alarm", recorder_alarm, METH_VARARGS, alarm_doc},
	{"results", recorder_results, METH_VARARGS, results_doc},
	{"resident_steps", recorder_resident_steps, METH_NOARGS | METH_STATIC, resident_steps_doc},
	{"estimating", recorder_estimating, METH_NOARGS | METH_STATIC, estimating_doc},
	{0},
};

static PyGetSetDef recorder_properties[] = {
	{"cut", recorder_cut, NULL,
	 "bool: the helper ended, or this process was forked, while this was enabled", NULL},
	{"forked", recorder_forked, NULL, "bool: made in a process that this one was forked from",
	 NULL},
	{"deep", recorder_deep, NULL,
	 "int: times that counting stopped in a thread whose calls had used half of its C stack",
	 NULL},
	{"deep_threads", recorder_deep_threads, NULL,
	 "tuple of int: the native IDs of the first eight threads in which it did", NULL},
	{"blind", recorder_blind, NULL,
	 "bool: threads that another tool traced, or that began meanwhile, may have made calls\n"
	 "that were not counted while counting had stopped in a thread (3.11)",
	 NULL},
	{"unread", recorder_unread, NULL,
	 "int: times that a figure of /proc could not be read and was taken to be what it was "
	 "before",
	 NULL},
	{"missed", recorder_missed, NULL,
	 "int: times that a thread found no place in the counter block, or no memory for counters "
	 "of\n"
	 "its own: not 0 means that amounts may lack",
	 NULL},
	{0},
};

static PyType_Slot recorder_slots[] = {
	{Py_tp_doc,
	 "Recorder(block, fd=-1, children=False, own_thread=False, metric='rss', "
	 "estimated=False)\n\n"
	 "Counts runs of lines. block: the buffer of a Counter; fd: its connection's\n"
	 "descriptor, watched for its end; children: count the process's children too;\n"
	 "own_thread: count what the thread that enables it runs, no other; metric: pss or\n"
	 "uss are the process's, read from smaps_rollup at each event (slow); estimated: so is\n"
	 "RSS, from statm, and the block has no figures. OSError: what is to be read can't be."},
	{Py_tp_new, PyType_GenericNew},
	{Py_tp_init, lines_recorder_init},
	{Py_tp_dealloc, recorder_dealloc},
	{Py_tp_traverse, recorder_traverse},
	{Py_tp_clear, recorder_clear},
	{Py_tp_methods, recorder_methods},
	{Py_tp_getset, recorder_properties},
	{0},
};

static PyType_Spec recorder_spec = {
	.name = "pymem_bpf._lines.Recorder",
	.basicsize = sizeof(struct recorder),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = recorder_slots,
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "pymem_bpf._lines",
	.m_doc = "Counts the runs of lines of profiled code objects.",
	.m_size = -1,
	.m_methods = hook_methods,
};

/* PyMODINIT_FUNC of 3.8 does not make the function visible. */
__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit__lines(void);

PyMODINIT_FUNC PyInit__lines(void)
{
	PyObject *self, *type;

	if (lines_init()) {
		PyErr_SetString(PyExc_ImportError, "no memory for a handler of forks");
		return NULL;
	}
	self = PyModule_Create(&module);
#ifdef Py_GIL_DISABLED
	/* Else the interpreter would switch the GIL on. */
	if (self && PyUnstable_Module_SetGIL(self, Py_MOD_GIL_NOT_USED))
		Py_CLEAR(self);
#endif
	type = self ? PyType_FromSpec(&recorder_spec) : NULL;
	if (!type || PyModule_AddObject(self, "Recorder", type)) {
		Py_XDECREF(type);
		Py_XDECREF(self);
		return NULL;
	}
	return self;
}
