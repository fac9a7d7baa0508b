/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts the runs of lines: how often, what the thread changed meanwhile, how much RSS there was.
 *
 * Amounts come from the page that the kernel keeps up to date (include/pymem_page.h): a run
 * costs a few loads. For each thread there is a stack of the frames of profiled code that it
 * is in, each with the line that it runs and the thread's own net change of RSS when the run
 * began. The frame's next event ends the run; its increment is the difference, calls included.
 *
 * Several recorders may be enabled at once and may share code objects: each has its own
 * counters (a sink), and takes what began after it was enabled.
 */
#include "_lines.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pymem_page.h"

#define LOOK_EVERY 1024 /* runs between two looks for the end of the helper */

struct frame {
	struct code *code;
	int line; /* 0: none */
	enum how how;
	uint64_t epoch;	   /* when the run began: of recorders enabled since */
	int64_t net, tree; /* pages, when it began */
};

struct thread {
	uint32_t tid;
	uint64_t generation; /* of the engine, when the stack below was begun */
	const volatile struct pymem_page_thread *place;
	size_t depth, room;
	struct frame *frames;
};

struct recorder {
	PyObject_HEAD Py_buffer page;
	int fd; /* of the helper's connection; -1: none */
	bool children, enabled, cut;
	uint64_t epoch;
	struct sink *sinks;
	struct recorder *next; /* of those enabled */
};

static struct {
	const volatile struct pymem_page *page;
	struct recorder *enabled;
	uint64_t epoch;	     /* one more each time a recorder is enabled */
	uint64_t generation; /* one more each time that what threads hold becomes void */
	uint32_t countdown;
	bool cut; /* the page is frozen */
	/* Profiled code objects by address; room: 0 or a power of two, at most half full. */
	struct code **codes;
	size_t room, used;
} engine;

#define THREAD_KEY "pymem_bpf._lines.thread"
static __thread struct thread *this_thread;

/* --- code objects --- */

static size_t place_of(const void *object, size_t room)
{
	return ((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15ULL >> 20 & (room - 1);
}

struct code *lines_find(PyObject *object)
{
	size_t at;

	if (!engine.room)
		return NULL;
	for (at = place_of(object, engine.room); engine.codes[at];
	     at = (at + 1) & (engine.room - 1))
		if (engine.codes[at]->object == object)
			return engine.codes[at];
	return NULL;
}

/* All records anew in a table of `room`. */
static int rehash(size_t room)
{
	struct code **codes = calloc(room, sizeof(struct code *));
	size_t i, at;

	if (!codes)
		return -1;
	for (i = 0; i < engine.room; i++) {
		if (!engine.codes[i])
			continue;
		for (at = place_of(engine.codes[i]->object, room); codes[at];)
			at = (at + 1) & (room - 1);
		codes[at] = engine.codes[i];
	}
	free(engine.codes);
	engine.codes = codes;
	engine.room = room;
	return 0;
}

static int code_insert(struct code *code)
{
	size_t at;

	if (2 * (engine.used + 1) > engine.room && rehash(engine.room ? engine.room * 2 : 64))
		return -1;
	for (at = place_of(code->object, engine.room); engine.codes[at];)
		at = (at + 1) & (engine.room - 1);
	engine.codes[at] = code;
	engine.used++;
	return 0;
}

static void code_remove(struct code *code)
{
	size_t at = place_of(code->object, engine.room), hole, home;

	while (engine.codes[at] != code)
		at = (at + 1) & (engine.room - 1);
	engine.codes[at] = NULL;
	engine.used--;
	/* Those behind it may have been displaced by it. */
	for (hole = at, at = (at + 1) & (engine.room - 1); engine.codes[at];
	     at = (at + 1) & (engine.room - 1)) {
		home = place_of(engine.codes[at]->object, engine.room);
		if (((at - home) & (engine.room - 1)) < ((at - hole) & (engine.room - 1)))
			continue;
		engine.codes[hole] = engine.codes[at];
		engine.codes[at] = NULL;
		hole = at;
	}
}

int lines_at(const struct code *code, long offset)
{
	Py_ssize_t unit = offset / 2;

	return code->offset_lines && unit >= 0 && unit < code->offset_count
		       ? code->offset_lines[unit]
		       : 0;
}

/* --- threads --- */

static void thread_free(PyObject *capsule)
{
	struct thread *t = PyCapsule_GetPointer(capsule, THREAD_KEY);

	if (this_thread == t)
		this_thread = NULL;
	free(t->frames);
	free(t);
}

/* A record for this thread, which Python frees with the thread's own state. Done once a
 * thread. NULL: no memory. */
static struct thread *thread_new(void)
{
	struct thread *t = calloc(1, sizeof(*t));
	PyObject *type, *value, *trace, *dict, *capsule;

	if (!t)
		return NULL;
	/* There may be an exception: a frame is being left by it. */
	PyErr_Fetch(&type, &value, &trace);
	dict = PyThreadState_GetDict();
	capsule = dict ? PyCapsule_New(t, THREAD_KEY, thread_free) : NULL;
	if (!capsule) {
		free(t);
		t = NULL;
	} else {
		if (PyDict_SetItemString(dict, THREAD_KEY, capsule))
			t = NULL;
		Py_DECREF(capsule);
	}
	PyErr_Restore(type, value, trace);
	return t;
}

static void after_fork(void)
{
	/* The page is the parent's, the thread's ID another one. */
	engine.generation++;
	engine.cut = true;
}

static struct thread *thread_now(void)
{
	struct thread *t = this_thread;

	if (t && t->generation == engine.generation)
		return t;
	if (!t) {
		t = thread_new();
		if (!t)
			return NULL;
		this_thread = t;
	}
	t->tid = syscall(SYS_gettid);
	t->generation = engine.generation;
	t->place = NULL;
	t->depth = 0;
	return t;
}

/* What the thread has changed, in pages. */
static int64_t net_now(struct thread *t)
{
	const volatile struct pymem_page_thread *place = t->place;
	uint32_t i;

	if (place && place->tid == t->tid)
		return place->net_pages;
	t->place = NULL;
	for (i = 0; i < PYMEM_PAGE_PROBES; i++) {
		place = &engine.page->threads[(t->tid + i) % PYMEM_PAGE_THREADS];
		if (place->tid != t->tid)
			continue;
		t->place = place;
		return place->net_pages;
	}
	return 0;
}

/* --- runs --- */

bool lines_enabled(void)
{
	return engine.enabled != NULL;
}

/* Has the helper gone? Then the page is frozen. */
static void look(void)
{
	struct recorder *r;
	ssize_t n;
	char byte;

	engine.countdown = LOOK_EVERY;
	if (engine.page->state != PYMEM_PAGE_LIVE)
		engine.cut = true;
	for (r = engine.enabled; r && !engine.cut; r = r->next) {
		if (r->fd < 0)
			continue;
		n = recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			engine.cut = true;
	}
	for (r = engine.enabled; r && engine.cut; r = r->next)
		r->cut = true;
}

static void run_begin(struct thread *t, struct frame *f, int line, enum how how)
{
	f->line = line;
	f->how = how;
	f->epoch = engine.epoch;
	f->net = net_now(t);
	f->tree = engine.page->tree_pages;
}

static void run_end(struct thread *t, struct frame *f)
{
	int64_t net = net_now(t), rss = engine.page->rss_pages, tree = engine.page->tree_pages,
		usage;
	int index = f->line - f->code->first;
	struct sink *sink;
	struct line *line;

	if (!f->line || index < 0 || index >= f->code->count)
		return;
	for (sink = f->code->sinks; sink; sink = sink->next) {
		if (!sink->recorder->enabled || f->epoch < sink->recorder->epoch)
			continue;
		line = &sink->lines[index];
		line->runs += f->how != RESUMED;
		line->pages += sink->recorder->children ? tree - f->tree : net - f->net;
		usage = sink->recorder->children ? tree : rss;
		if (usage > line->usage_pages)
			line->usage_pages = usage;
	}
	if (!--engine.countdown)
		look();
}

static struct frame *push(struct thread *t, struct code *code)
{
	struct frame *frames;
	size_t room;

	if (t->depth == t->room) {
		room = t->room ? t->room * 2 : 32;
		frames = realloc(t->frames, room * sizeof(*frames));
		if (!frames)
			return NULL;
		t->frames = frames;
		t->room = room;
	}
	frames = &t->frames[t->depth++];
	frames->code = code;
	frames->line = 0;
	return frames;
}

/* The frame of `code` that is innermost; those within it were left unseen. NULL: none. */
static struct frame *unwind(struct thread *t, struct code *code)
{
	size_t i = t->depth;

	while (i && t->frames[i - 1].code != code)
		i--;
	if (!i)
		return NULL;
	while (t->depth > i) {
		run_end(t, &t->frames[t->depth - 1]);
		t->depth--;
	}
	return &t->frames[i - 1];
}

void lines_enter(struct code *code, int line, enum how how)
{
	struct thread *t = engine.enabled ? thread_now() : NULL;
	struct frame *f = t ? push(t, code) : NULL;
	struct sink *sink;

	if (!f)
		return;
	for (sink = code->sinks; sink && how != RESUMED; sink = sink->next)
		sink->calls += sink->recorder->enabled;
	run_begin(t, f, line, how);
}

void lines_line(struct code *code, int line)
{
	struct thread *t = engine.enabled ? thread_now() : NULL;
	struct frame *f;

	if (!t)
		return;
	f = t->depth ? &t->frames[t->depth - 1] : NULL;
	if (!f || f->code != code) {
		/* Entered before it was profiled; or others were left unseen. */
		f = unwind(t, code);
		if (!f)
			f = push(t, code);
		if (!f)
			return;
	}
	/* The line that a function begins on may be told twice, by its entry and by itself. */
	if (f->how == BY_ENTRY && f->line == line) {
		f->how = BY_EVENT;
		return;
	}
	if (f->line)
		run_end(t, f);
	run_begin(t, f, line, BY_EVENT);
}

void lines_leave(struct code *code)
{
	struct thread *t = engine.enabled ? thread_now() : NULL;
	struct frame *f = t ? unwind(t, code) : NULL;

	if (!f)
		return;
	run_end(t, f);
	t->depth--;
}

/* --- recorders --- */

static int recorder_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"page", "fd", "children", NULL};
	struct recorder *r = (struct recorder *)self;
	int fd = -1, children = 0;
	PyObject *page;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|ip", names, &page, &fd, &children))
		return -1;
	if (r->page.obj) {
		PyErr_SetString(PyExc_RuntimeError, "a recorder is made once");
		return -1;
	}
	if (PyObject_GetBuffer(page, &r->page, PyBUF_SIMPLE))
		return -1;
	if (r->page.len < PYMEM_PAGE_BYTES || (uintptr_t)r->page.buf % sizeof(int64_t)) {
		PyErr_Format(PyExc_ValueError, "the page is %zd bytes; it must be %d, aligned",
			     r->page.len, PYMEM_PAGE_BYTES);
		PyBuffer_Release(&r->page);
		return -1;
	}
	if (((struct pymem_page *)r->page.buf)->version != PYMEM_PAGE_VERSION) {
		PyErr_Format(PyExc_ValueError, "the page is of version %u, this package needs %d",
			     ((struct pymem_page *)r->page.buf)->version, PYMEM_PAGE_VERSION);
		PyBuffer_Release(&r->page);
		return -1;
	}
	r->fd = fd;
	r->children = children;
	return 0;
}

static void sink_remove(struct sink *sink)
{
	struct code *code = sink->code;
	struct sink **at = &code->sinks;

	while (*at != sink)
		at = &(*at)->next;
	*at = sink->next;
	free(sink);
	if (code->sinks)
		return;
	/* Threads may have frames of it. */
	engine.generation++;
	code_remove(code);
	Py_DECREF(code->object);
	free(code->offset_lines);
	free(code);
}

static void disable(struct recorder *r)
{
	struct recorder **at = &engine.enabled;

	if (!r->enabled)
		return;
	look();
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->enabled = false;
	if (engine.enabled)
		return;
	engine.page = NULL;
	/* From now on frames end unseen. */
	engine.generation++;
}

static void recorder_dealloc(PyObject *self)
{
	struct recorder *r = (struct recorder *)self;
	PyTypeObject *type = Py_TYPE(self);
	struct sink *sink;

	disable(r);
	while ((sink = r->sinks)) {
		r->sinks = sink->sibling;
		sink_remove(sink);
	}
	if (r->page.obj)
		PyBuffer_Release(&r->page);
	PyObject_Free(self);
	Py_DECREF(type);
}

static struct code *code_new(PyObject *object, int first, int count, int begin, int start,
			     const char *lines, Py_ssize_t size)
{
	struct code *code = calloc(1, sizeof(*code));

	if (code && size) {
		code->offset_lines = malloc(size);
		if (!code->offset_lines) {
			free(code);
			code = NULL;
		}
	}
	if (!code)
		return NULL;
	if (size)
		memcpy(code->offset_lines, lines, size);
	code->offset_count = size / sizeof(int32_t);
	code->object = object;
	code->first = first;
	code->count = count;
	code->begin = begin;
	code->start = start;
	if (code_insert(code)) {
		free(code->offset_lines);
		free(code);
		return NULL;
	}
	Py_INCREF(object);
	return code;
}

PyDoc_STRVAR(add_doc,
	     "add(code, first, last, begin, start, lines)\n\n"
	     "Profiles a code object, whose lines are from `first` to `last` and which begins on\n"
	     "line `begin`. start: byte offset at which a call starts, -1: below 0. lines: bytes,\n"
	     "an int32 for each code unit, the line that it is on; 0: none.");

static PyObject *recorder_add(PyObject *self, PyObject *args)
{
	struct recorder *r = (struct recorder *)self;
	int first, last, begin, start;
	PyObject *object, *bytes;
	struct sink *sink;
	struct code *code;
	Py_ssize_t size;
	char *lines;

	/* No "#" formats: what they compile to differs between versions of the stable ABI. */
	if (!PyArg_ParseTuple(args, "OiiiiO", &object, &first, &last, &begin, &start, &bytes) ||
	    PyBytes_AsStringAndSize(bytes, &lines, &size))
		return NULL;
	if (last < first || last - first > 10000000) {
		PyErr_SetString(PyExc_ValueError, "lines out of range");
		return NULL;
	}
	code = lines_find(object);
	for (sink = code ? code->sinks : NULL; sink; sink = sink->next)
		if (sink->recorder == r)
			Py_RETURN_NONE;
	sink = calloc(1, sizeof(*sink) + (last - first + 1) * sizeof(struct line));
	if (sink && !code)
		code = code_new(object, first, last - first + 1, begin, start, lines, size);
	if (!sink || !code) {
		free(sink);
		return PyErr_NoMemory();
	}
	sink->recorder = r;
	sink->code = code;
	sink->next = code->sinks;
	code->sinks = sink;
	sink->sibling = r->sinks;
	r->sinks = sink;
	Py_RETURN_NONE;
}

PyDoc_STRVAR(enable_doc, "enable()\n\nCounts from now on. RuntimeError if another recorder that is "
			 "enabled has another page.");

static PyObject *recorder_enable(PyObject *self, PyObject *unused)
{
	struct recorder *r = (struct recorder *)self;

	(void)unused;
	if (!r->page.obj) {
		PyErr_SetString(PyExc_RuntimeError, "the recorder has no page");
		return NULL;
	}
	if (r->enabled)
		Py_RETURN_NONE;
	if (engine.enabled && (const void *)engine.page != r->page.buf) {
		PyErr_SetString(PyExc_RuntimeError,
				"another profiler is running, with another counter");
		return NULL;
	}
	if (!engine.enabled) {
		engine.page = r->page.buf;
		engine.cut = false;
		engine.generation++;
		engine.countdown = LOOK_EVERY;
	}
	r->epoch = ++engine.epoch;
	r->next = engine.enabled;
	engine.enabled = r;
	r->enabled = true;
	look();
	Py_RETURN_NONE;
}

PyDoc_STRVAR(disable_doc, "disable()\n\nCounts no more. What runs is not counted to its end.");

static PyObject *recorder_disable(PyObject *self, PyObject *unused)
{
	(void)unused;
	disable((struct recorder *)self);
	Py_RETURN_NONE;
}

PyDoc_STRVAR(results_doc,
	     "results(code) -> (calls, {line: (runs, change, usage)})\n\n"
	     "change: what the runs' threads changed RSS by, callees included. usage:\n"
	     "highest RSS at the end of a run. Both in bytes. KeyError: not profiled.");

static PyObject *recorder_results(PyObject *self, PyObject *object)
{
	struct recorder *r = (struct recorder *)self;
	long long page = sysconf(_SC_PAGESIZE);
	struct code *code = lines_find(object);
	PyObject *lines, *key, *value;
	struct sink *sink;
	int i, err = 0;

	for (sink = code ? code->sinks : NULL; sink && sink->recorder != r; sink = sink->next)
		;
	if (!sink) {
		PyErr_SetObject(PyExc_KeyError, object);
		return NULL;
	}
	lines = PyDict_New();
	for (i = 0; lines && !err && i < code->count; i++) {
		if (!sink->lines[i].runs && !sink->lines[i].usage_pages)
			continue;
		key = PyLong_FromLong(code->first + i);
		value = Py_BuildValue("(LLL)", (long long)sink->lines[i].runs,
				      sink->lines[i].pages * page,
				      sink->lines[i].usage_pages * page);
		err = !key || !value || PyDict_SetItem(lines, key, value);
		Py_XDECREF(key);
		Py_XDECREF(value);
	}
	if (!lines || err) {
		Py_XDECREF(lines);
		return NULL;
	}
	return Py_BuildValue("(LN)", (long long)sink->calls, lines);
}

static PyObject *recorder_cut(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct recorder *)self)->cut);
}

static PyObject *recorder_missed(PyObject *self, void *unused)
{
	const volatile struct pymem_page *page = ((struct recorder *)self)->page.buf;

	(void)unused;
	return PyLong_FromUnsignedLong(page ? page->missed : 0);
}

static PyMethodDef recorder_methods[] = {
	{"add", recorder_add, METH_VARARGS, add_doc},
	{"enable", recorder_enable, METH_NOARGS, enable_doc},
	{"disable", recorder_disable, METH_NOARGS, disable_doc},
	{"results", recorder_results, METH_O, results_doc},
	{0},
};

static PyGetSetDef recorder_properties[] = {
	{"cut", recorder_cut, NULL, "bool: the helper ended while this was enabled", NULL},
	{"missed", recorder_missed, NULL,
	 "int: times that a thread found no place on the page: not 0 means that amounts may lack",
	 NULL},
	{0},
};

static PyType_Slot recorder_slots[] = {
	{Py_tp_doc, "Recorder(page, fd=-1, children=False)\n\n"
		    "Counts runs of lines. page: the buffer of a Counter; fd: its connection's\n"
		    "descriptor, watched for its end; children: count the process's children too."},
	{Py_tp_new, PyType_GenericNew},
	{Py_tp_init, recorder_init},
	{Py_tp_dealloc, recorder_dealloc},
	{Py_tp_methods, recorder_methods},
	{Py_tp_getset, recorder_properties},
	{0},
};

static PyType_Spec recorder_spec = {
	.name = "pymem_bpf._lines.Recorder",
	.basicsize = sizeof(struct recorder),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = recorder_slots,
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "pymem_bpf._lines",
	.m_doc = "Counts the runs of lines of profiled code objects.",
	.m_size = -1,
	.m_methods = hook_methods,
};

PyMODINIT_FUNC PyInit__lines(void);

PyMODINIT_FUNC PyInit__lines(void)
{
	PyObject *self, *type;

	if (pthread_atfork(NULL, NULL, after_fork))
		return PyErr_NoMemory();
	self = PyModule_Create(&module);
	type = self ? PyType_FromSpec(&recorder_spec) : NULL;
	if (!type || PyModule_AddObject(self, "Recorder", type)) {
		Py_XDECREF(type);
		Py_XDECREF(self);
		return NULL;
	}
	return self;
}
