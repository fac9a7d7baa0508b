/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What telling of lines takes of the interpreter alone: a Python extension whose trace function (up
 * to 3.11) or whose callback of sys.monitoring (from 3.12 on) returns at once. bench/mprun.py
 * builds it for its own interpreter.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>

#if PY_VERSION_HEX < 0x030c0000
static int trace(PyObject *self, PyFrameObject *frame, int what, PyObject *arg)
{
	(void)self;
	(void)frame;
	(void)what;
	(void)arg;
	return 0;
}

/* trace(): from now on this thread tells of its calls, lines and returns. */
static PyObject *begin(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	PyEval_SetTrace(trace, NULL);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"trace", begin, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
#else
/* event(…): what sys.monitoring calls, with any arguments. */
static PyObject *event(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
	(void)module;
	(void)arguments;
	(void)count;
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"event", (PyCFunction)(void (*)(void))event, METH_FASTCALL, NULL},
				{NULL, NULL, 0, NULL}};
#endif

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "bench_floor", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_bench_floor(void);

PyMODINIT_FUNC PyInit_bench_floor(void)
{
	return PyModule_Create(&definition);
}
