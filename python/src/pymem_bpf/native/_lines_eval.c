/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How Python 3.8 to 3.11 report lines: a frame evaluation function (PEP 523) runs each frame of
 * profiled code under the C trace hook, and no other frame. So code that is not profiled pays a
 * look-up for each call, and its instructions are not traced. Threads that were there before are
 * profiled as well as new ones.
 *
 * The trace function of a debugger or of coverage still gets all events that it would get. One that
 * is set while a profiled frame runs takes our place. At the frame's next call of Python code we
 * take it back, and note that lines were missed meanwhile. While a profile function is set
 * (cProfile), callees of profiled code are traced, too, as the interpreter has one switch for both.
 *
 * This is built for each Python version, as there is no stable interface to any of it.
 */
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1 /* internal/ */
#endif
#include "_lines.h"

#if PY_VERSION_HEX < 0x030c0000

#include <frameobject.h>
#if PY_VERSION_HEX >= 0x030b0000
#include <internal/pycore_code.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#elif PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_interp.h>
#else
#include <internal/pycore_pystate.h>
#endif

#if PY_VERSION_HEX >= 0x030b0000
typedef struct _PyInterpreterFrame eval_frame_t;
#else
typedef PyFrameObject eval_frame_t;
#endif

/* Does a call of Python code by Python code take C stack, whatever evaluates frames? */
#define CALLS_USE_STACK (PY_VERSION_HEX < 0x030b0000)

/* The evaluation function before ours, and what it is called with. */
#if PY_VERSION_HEX >= 0x03090000
#define EVAL_ARGS   PyThreadState *tstate, eval_frame_t *frame, int throwing
#define EVAL_VALUES tstate, frame, throwing
#else
#define EVAL_ARGS   eval_frame_t *frame, int throwing
#define EVAL_VALUES frame, throwing
#endif

static _PyFrameEvalFunction eval_before;
static bool installed;
/* The trace function that on_trace() stands in for on this thread. */
static __thread Py_tracefunc traced_for;
/* Code of this thread's innermost Python frame, if it is profiled: then on_trace() is its trace
 * function, unless another tool took that. A reference borrowed from the frame. */
static __thread PyObject *running;
/* The innermost frame that eval_profiled() reports to the engine, in this thread. */
static __thread const eval_frame_t *evaluated;
/* This thread is in eval_deep(). */
static __thread bool is_deep;

static int on_trace(PyObject *self, PyFrameObject *frame, int what, PyObject *value);
static int on_watched(PyObject *self, PyFrameObject *frame, int what, PyObject *value);
static PyObject *eval(EVAL_ARGS);

/* --- differences between versions --- */

static _PyFrameEvalFunction get_eval(PyInterpreterState *interpreter)
{
#if PY_VERSION_HEX >= 0x03090000
	return _PyInterpreterState_GetEvalFrameFunc(interpreter);
#else
	return interpreter->eval_frame;
#endif
}

static void set_eval(PyInterpreterState *interpreter, _PyFrameEvalFunction eval)
{
#if PY_VERSION_HEX >= 0x03090000
	_PyInterpreterState_SetEvalFrameFunc(interpreter, eval);
#else
	interpreter->eval_frame = eval;
#endif
}

/* Sets the trace function and the switches that the interpreter looks at, and nothing else. What
 * PyEval_SetTrace() does beside (audit events, references to the trace function's object) is not
 * wanted for something that lasts a frame. */
static void set_trace(PyThreadState *tstate, Py_tracefunc function)
{
#if PY_VERSION_HEX < 0x03090000
	_PyRuntime.ceval.tracing_possible += !!function - !!tstate->c_tracefunc;
#elif PY_VERSION_HEX < 0x030a0000
	tstate->interp->ceval.tracing_possible += !!function - !!tstate->c_tracefunc;
#endif
	tstate->c_tracefunc = function;
#if PY_VERSION_HEX >= 0x030b0000
	tstate->cframe->use_tracing =
		(function || tstate->c_profilefunc) && !tstate->tracing ? 255 : 0;
#elif PY_VERSION_HEX >= 0x030a0000
	tstate->cframe->use_tracing = function || tstate->c_profilefunc;
#else
	tstate->use_tracing = function || tstate->c_profilefunc;
#endif
}

static PyObject *code_of(eval_frame_t *frame)
{
	return (PyObject *)frame->f_code;
}

/* Byte offset of the last instruction that ran. */
static int offset_of(eval_frame_t *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
	return _PyInterpreterFrame_LASTI(frame) * 2;
#elif PY_VERSION_HEX >= 0x030a0000
	return frame->f_lasti * 2;
#else
	return frame->f_lasti;
#endif
}

/* Has the frame run none of its lines yet? */
static bool is_new(eval_frame_t *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
	return _PyInterpreterFrame_LASTI(frame) < frame->f_code->_co_firsttraceable;
#else
	return offset_of(frame) < 0;
#endif
}

/* A call that makes a generator or coroutine evaluates the frame's first instructions (3.11). */
static bool makes_generator(eval_frame_t *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
	return frame->owner == FRAME_OWNED_BY_THREAD &&
	       frame->f_code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR);
#else
	(void)frame;
	return false;
#endif
}

static PyObject *code_of_object(PyFrameObject *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
	return (PyObject *)frame->f_frame->f_code;
#else
	return (PyObject *)frame->f_code;
#endif
}

/* --- 3.11, while a thread is deep --- */

/* Without an evaluation function 3.11 calls Python code without using C stack, and programs that
 * raise the limit of recursion rely on that. There is one function for all threads. So while a
 * thread is deep there is none. Meanwhile all code of the other threads is traced, and on_trace()
 * reports their calls. */
#if PY_VERSION_HEX >= 0x030b0000
static struct {
	bool is_off;
	uint64_t forks;	      /* lines_forks() then */
	uint64_t next_thread; /* threads that were made since have this ID or a higher one, and are
				 not watched */
	bool untraced;	      /* another tool has the trace function of a thread */
} deep;

/* In the child of a fork, the other threads of the parent don't exist: what one of them switched
 * off is not off. */
static bool is_off(void)
{
	return deep.is_off && (deep.forks == lines_forks() || is_deep);
}

/* Makes on_trace() see all that a thread runs, unless another tool has its trace function. */
static void watch(PyThreadState *tstate)
{
	if (!tstate->c_tracefunc)
		set_trace(tstate, on_watched);
	deep.untraced |= tstate->c_tracefunc != on_watched && tstate->c_tracefunc != on_trace;
}

/* For a thread in which we have given the trace function back, or that is to be counted. */
static void watch_again(PyThreadState *tstate)
{
	if (is_off() && !is_deep)
		watch(tstate);
}

static bool switch_off(PyThreadState *tstate)
{
	PyInterpreterState *interpreter = tstate->interp;
	PyThreadState *other;

	if (get_eval(interpreter) != eval)
		return false;
	set_eval(interpreter, eval_before);
	deep.is_off = true;
	deep.forks = lines_forks();
	deep.next_thread = interpreter->threads.next_unique_id;
	deep.untraced = false;
	/* At its end the interpreter keeps states of threads whose stacks, and frames, are gone. */
	if (_Py_IsFinalizing())
		return true;
	/* With the GIL: none of them ends meanwhile, and new ones come before the first. */
	for (other = PyInterpreterState_ThreadHead(interpreter); other;
	     other = PyThreadState_Next(other))
		if (other != tstate)
			watch(other);
	return true;
}

static void switch_on(PyThreadState *tstate)
{
	lines_note_blind();
	deep.is_off = false;
	if (installed && get_eval(tstate->interp) == eval_before)
		set_eval(tstate->interp, eval);
}

bool lines_blind(bool own_thread)
{
	if (!is_off())
		return false;
	return deep.untraced ||
	       (!own_thread &&
		deep.next_thread != PyThreadState_Get()->interp->threads.next_unique_id);
}

/* Reports a call or its end, if eval_profiled() does not. */
static void told_of_call(PyFrameObject *object, int what)
{
	eval_frame_t *frame = object->f_frame;
	struct code *code = frame == evaluated ? NULL : lines_find(code_of(frame));

	if (!code)
		return;
	if (what == PyTrace_RETURN)
		lines_leave_code(code);
	else if (_PyInterpreterFrame_LASTI(frame) <= frame->f_code->_co_firsttraceable)
		lines_enter(code, code->begin, BY_ENTRY);
	else
		lines_enter(code, lines_at(code, offset_of(frame)), RESUMED);
}

/* Gives the trace function back once the calls have ended that on_trace() reported meanwhile. For a
 * thread whose innermost frame is not profiled. */
static void unwatch_if_over(PyThreadState *tstate)
{
	if (!is_off() && tstate->c_tracefunc == on_trace && !lines_inside())
		set_trace(tstate, traced_for);
}
#else /* each call uses C stack anyway */
static bool is_off(void)
{
	return false;
}

static void watch_again(PyThreadState *tstate)
{
	(void)tstate;
}

static bool switch_off(PyThreadState *tstate)
{
	(void)tstate;
	return false;
}

static void switch_on(PyThreadState *tstate)
{
	(void)tstate;
}

bool lines_blind(bool own_thread)
{
	(void)own_thread;
	return false;
}

static void told_of_call(PyFrameObject *object, int what)
{
	(void)object;
	(void)what;
}

static void unwatch_if_over(PyThreadState *tstate)
{
	(void)tstate;
}
#endif

/* --- the hooks --- */

static int on_trace(PyObject *self, PyFrameObject *frame, int what, PyObject *value)
{
	int line, err = 0;

	if (what == PyTrace_LINE) {
		/* f_lineno is set during a line event; else the line has to be worked out. */
		line = frame->f_lineno ? frame->f_lineno : PyFrame_GetLineNumber(frame);
		if (lines_line(code_of_object(frame), line))
			return -1;
	} else if (what == PyTrace_CALL || what == PyTrace_RETURN) {
		told_of_call(frame, what);
	}
	if (traced_for)
		err = traced_for(self, frame, what, value);
	if (!running)
		unwatch_if_over(PyThreadState_Get());
	return err;
}

/* Set by another thread, which can't write this thread's traced_for. */
static int on_watched(PyObject *self, PyFrameObject *frame, int what, PyObject *value)
{
	traced_for = NULL;
	set_trace(PyThreadState_Get(), on_trace);
	return on_trace(self, frame, what, value);
}

/* What the trace function would be without us. */
static Py_tracefunc program_trace(PyThreadState *tstate)
{
	if (tstate->c_tracefunc == on_watched)
		return NULL;
	return tstate->c_tracefunc == on_trace ? traced_for : tstate->c_tracefunc;
}

/* Makes on_trace() the trace function again. It calls the present one. */
static void take_back(PyThreadState *tstate)
{
	if (tstate->c_tracefunc == on_trace)
		return;
	traced_for = program_trace(tstate);
	set_trace(tstate, on_trace);
}

static PyObject *eval_profiled(PyThreadState *tstate, eval_frame_t *frame, int throwing,
			       struct code *code)
{
	bool traced = tstate->c_tracefunc == on_trace;
	Py_tracefunc before = traced_for;
	PyObject *object = code_of(frame), *caller = running, *result;
	const eval_frame_t *outer = evaluated;
	uint64_t number;

	if (is_new(frame))
		number = lines_enter(code, code->begin, BY_ENTRY);
	else
		number = lines_enter(code, lines_at(code, offset_of(frame)), RESUMED);
	take_back(tstate);
	running = object;
	evaluated = frame;
	result = eval_before(EVAL_VALUES);
	evaluated = outer;
	running = caller;
	if (tstate->c_tracefunc != on_trace)
		lines_untold(object);
	if (traced) {
		take_back(tstate);
	} else {
		/* One that the program set meanwhile is to stay. */
		set_trace(tstate, program_trace(tstate));
		traced_for = before;
		watch_again(tstate);
	}
	lines_leave(number);
	return result;
}

/* Runs a frame of a thread that has used half of its C stack: as if there were no profiler, which
 * is noted. */
static PyObject *eval_deep(PyThreadState *tstate, eval_frame_t *frame, int throwing)
{
	bool traced = tstate->c_tracefunc == on_trace, was_deep = is_deep, off;
	PyObject *caller = running, *result;

	is_deep = true;
	if (!was_deep)
		lines_deep(true);
	set_trace(tstate, program_trace(tstate));
	running = NULL;
	off = switch_off(tstate);
	result = eval_before(EVAL_VALUES);
	if (off)
		switch_on(tstate);
	running = caller;
	if (traced)
		take_back(tstate);
	if (!was_deep)
		lines_deep(false);
	is_deep = was_deep;
	return result;
}

/* Runs a frame of code that isn't profiled, called from one that is: as if there were no profiler.
 */
static PyObject *eval_other(PyThreadState *tstate, eval_frame_t *frame, int throwing)
{
	PyObject *caller = running, *result;

	set_trace(tstate, traced_for);
	running = NULL;
	result = eval_before(EVAL_VALUES);
	running = caller;
	take_back(tstate);
	return result;
}

/* Runs such a frame while a profile function is set: then it is traced. */
static PyObject *eval_traced(PyThreadState *tstate, eval_frame_t *frame, int throwing)
{
	PyObject *caller = running, *result;

	running = NULL;
	result = eval_before(EVAL_VALUES);
	running = caller;
	take_back(tstate);
	return result;
}

static PyObject *eval(EVAL_ARGS)
{
	struct code *code;
#if PY_VERSION_HEX < 0x03090000
	PyThreadState *tstate = PyThreadState_GET();
#endif

	if (tstate->tracing)
		return eval_before(EVAL_VALUES);
	/* Also while nothing is enabled, as in the child of a fork. */
	if (lines_stack_is_low() && !(is_deep && CALLS_USE_STACK))
		return eval_deep(tstate, frame, throwing);
	if (is_deep && CALLS_USE_STACK)
		return eval_before(EVAL_VALUES);
	if (!lines_enabled() && tstate->c_tracefunc != on_trace)
		return eval_before(EVAL_VALUES);
	if (running && tstate->c_tracefunc != on_trace) {
		lines_untold(running);
		take_back(tstate);
	}
	code = lines_find(code_of(frame));
	if (code && !makes_generator(frame))
		return eval_profiled(tstate, frame, throwing, code);
	if (tstate->c_tracefunc != on_trace)
		return eval_before(EVAL_VALUES);
	if (tstate->c_profilefunc)
		return eval_traced(tstate, frame, throwing);
	return eval_other(tstate, frame, throwing);
}

/* May be called again: each thread that is to be counted calls it. */
static PyObject *install(PyObject *self, PyObject *unused)
{
	PyThreadState *tstate = PyThreadState_Get();
	_PyFrameEvalFunction now = get_eval(tstate->interp);

	(void)self;
	(void)unused;
	if (!installed)
		eval_before = now;
	if (now == eval_before && !is_off())
		set_eval(tstate->interp, eval);
	installed = true;
	watch_again(tstate);
	Py_RETURN_NONE;
}

/* If another tool was installed after us, it calls our function: then that stays, and does nothing.
 */
static PyObject *uninstall(PyObject *self, PyObject *unused)
{
	PyInterpreterState *interpreter = PyThreadState_Get()->interp;

	(void)self;
	(void)unused;
	if (get_eval(interpreter) == eval)
		set_eval(interpreter, eval_before);
	if (get_eval(interpreter) == eval_before)
		installed = false;
	Py_RETURN_NONE;
}

PyMethodDef hook_methods[] = {
	{"install", install, METH_NOARGS, "Installs the frame evaluation function."},
	{"uninstall", uninstall, METH_NOARGS, "Removes it."},
	{0},
};

#endif
