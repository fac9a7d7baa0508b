/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a Recorder is given when it is made: which counter block, and what of /proc it needs. */
#include "_lines.h"

#include <errno.h>
#include <string.h>

static int take_block(Py_buffer *buffer, PyObject *block)
{
	uint32_t version;

	if (PyObject_GetBuffer(block, buffer, PyBUF_SIMPLE))
		return -1;
	if (buffer->len < PYMEM_BLOCK_BYTES || (uintptr_t)buffer->buf % sizeof(int64_t)) {
		PyErr_Format(PyExc_ValueError,
			     "the counter block is %zd bytes; it must be %d, aligned", buffer->len,
			     PYMEM_BLOCK_BYTES);
	} else {
		version = ((const volatile struct pymem_block *)buffer->buf)->version;
		if (version == PYMEM_BLOCK_VERSION)
			return 0;
		PyErr_Format(PyExc_ValueError,
			     "the counter block is of version %u, this package needs %d", version,
			     PYMEM_BLOCK_VERSION);
	}
	PyBuffer_Release(buffer);
	return -1;
}

static int metric_of(const char *name, bool children)
{
	static const char *const metrics[] = {"rss", "pss", "uss"};
	int i;

	for (i = METRIC_RSS; i <= METRIC_USS && strcmp(name, metrics[i]); i++)
		;
	if (i <= METRIC_USS && (i == METRIC_RSS || !children))
		return i;
	PyErr_SetString(PyExc_ValueError, "metric: rss, or pss or uss without children");
	return -1;
}

/* Which file of /proc that the recorder needs can't be read (errno)? NULL: none. */
static const char *unreadable(const struct recorder *like)
{
	struct smaps smaps;

	if (like->metric != METRIC_RSS && lines_smaps(&smaps))
		return "/proc/self/smaps_rollup";
	if (like->estimated && lines_resident() < 0)
		return "/proc/self/statm";
	if (like->estimated && like->children && !lines_can_list_descendants())
		return "/proc/thread-self/children";
	return NULL;
}

/* Can all be read from /proc that the recorder needs? Else -1, and an exception names the file. */
static int check_files(const struct recorder *like)
{
	const char *path;
	int err;

	lines_exclusive_begin();
	if (like->estimated)
		lines_resident_begin();
	path = unreadable(like);
	err = errno;
	if (!lines_estimating())
		lines_resident_end();
	lines_exclusive_end();
	if (!path)
		return 0;
	errno = err;
	PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
	return -1;
}

/* Takes over what __init__() was given. 0; -1: that was done before. */
static int begin(struct recorder *r, const struct recorder *like)
{
	bool is_first;

	lines_exclusive_begin();
	is_first = !r->block.obj;
	if (is_first) {
		r->block = like->block;
		r->fd = like->fd;
		r->children = like->children;
		r->own_thread = like->own_thread;
		r->metric = like->metric;
		r->estimated = like->estimated;
		r->forks = lines_forks();
		r->alarm_pages = INT64_MAX;
	}
	lines_exclusive_end();
	return is_first ? 0 : -1;
}

int lines_recorder_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"block",  "fd",	       "children", "own_thread",
				"metric", "estimated", NULL};
	struct recorder *r = (struct recorder *)self, like = {0};
	int fd = -1, children = 0, own_thread = 0, estimated = 0, metric_index;
	const char *metric = "rss";
	PyObject *block;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|ippsp", names, &block, &fd, &children,
					 &own_thread, &metric, &estimated))
		return -1;
	metric_index = metric_of(metric, children);
	if (metric_index < 0)
		return -1;
	like.metric = metric_index;
	like.children = children;
	like.estimated = estimated;
	like.own_thread = own_thread;
	like.fd = fd;
	if (check_files(&like) || take_block(&like.block, block))
		return -1;
	if (!begin(r, &like))
		return 0;
	PyBuffer_Release(&like.block);
	PyErr_SetString(PyExc_RuntimeError, "a recorder is made once");
	return -1;
}
