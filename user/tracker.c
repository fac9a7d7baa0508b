/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process is identified when it is attached, when it execs, and whenever it maps
 * another file executable (libpython comes late, an embedding program loads it as a
 * plug-in). A fork inherits its parent's identity. A PID is only ever believed together
 * with the start time it was seen with.
 */
#include "tracker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "proc.h"

static int handle_message(void *arg, void *data, size_t size);

int tracker_init(struct tracker *tracker, struct session *session, bool whole_host, bool lines)
{
	memset(tracker, 0, sizeof(*tracker));
	tracker->session = session;
	tracker->whole_host = whole_host;
	store_init(&tracker->store);
	tracker->cache = py_image_cache_new();
	if (lines)
		tracker->probes = probes_new(session, whole_host);
	if (!tracker->cache || (lines && !tracker->probes))
		return -ENOMEM;
	return session_set_reader(session, handle_message, tracker);
}

void tracker_fini(struct tracker *tracker)
{
	struct image *image, *next;
	struct skip *skip;

	HASH_ITER(hh, tracker->images, image, next)
	{
		HASH_DEL(tracker->images, image);
		image_free(image);
	}
	while ((skip = tracker->skips)) {
		tracker->skips = skip->next;
		free(skip);
	}
	free(tracker->queue);
	store_fini(&tracker->store);
	probes_free(tracker->probes);
	py_image_cache_free(tracker->cache);
}

struct image *tracker_image(struct tracker *tracker, uint32_t id)
{
	struct image *image;

	HASH_FIND(hh, tracker->images, &id, sizeof(id), image);
	return image;
}

static struct image *image_new(struct tracker *tracker, uint32_t id, pid_t pid)
{
	struct image *image = tracker_image(tracker, id);

	if (image)
		return image;
	image = calloc(1, sizeof(*image));
	if (!image)
		return NULL;
	image->id = id;
	image->pid = pid;
	image->root.root_fd = image->root.cwd_fd = -1;
	HASH_ADD(hh, tracker->images, id, sizeof(image->id), image);
	return image;
}

static void queue_add(struct tracker *tracker, pid_t pid)
{
	size_t i;

	for (i = 0; i < tracker->queue_length; i++)
		if (tracker->queue[i] == pid)
			return;
	if (tracker->queue_length == tracker->queue_room) {
		size_t room = tracker->queue_room ? tracker->queue_room * 2 : 16;
		pid_t *queue = realloc(tracker->queue, room * sizeof(*queue));

		if (!queue)
			return;
		tracker->queue = queue;
		tracker->queue_room = room;
	}
	tracker->queue[tracker->queue_length++] = pid;
}

static void attach_child(struct tracker *tracker, struct image *image, pid_t parent)
{
	int err = probes_attach_child(tracker->probes, image->pid, parent);

	/* The parent had none either. */
	if (err == -ENOENT)
		err = -ENOTSUP;
	image->lines = !err;
	image->lines_error = err;
}

/* Does `pid` run an image other than this one, after an exec? */
static bool other_image(struct tracker *tracker, const struct image *image, pid_t pid)
{
	struct image *other, *next;

	HASH_ITER(hh, tracker->images, other, next)
	{
		if (other != image && other->pid == pid && !other->dead)
			return true;
	}
	return proc_start_ticks(pid) != 0;
}

static int handle_message(void *arg, void *data, size_t size)
{
	struct tracker *tracker = arg;
	const struct pymem_msg_process *m = data;
	struct image *image, *other, *next;

	if (size < sizeof(*m) || m->type == PYMEM_MSG_STACK || m->type == PYMEM_MSG_CODE) {
		store_add(&tracker->store, data, size);
		return 0;
	}
	if (m->type == PYMEM_MSG_FORK || (m->type == PYMEM_MSG_EXEC && m->proc)) {
		image = image_new(tracker, m->proc, m->tgid);
		if (!image)
			return 0;
		image_describe(image);
		image->ppid = m->ppid;
		HASH_ITER(hh, tracker->images, other, next)
		{
			/* The newest live image of the parent, or the one this PID had. */
			if (m->type == PYMEM_MSG_FORK && other->pid == (pid_t)m->ppid &&
			    !other->dead)
				image_inherit(image, other);
			if (m->type == PYMEM_MSG_EXEC && other->pid == image->pid &&
			    other != image && other->asked)
				image->asked = true;
		}
	}
	if (m->type == PYMEM_MSG_FORK && tracker->probes && image->identified)
		attach_child(tracker, image, m->ppid);
	/* After a fork, pages are shared: at once, before the child has written much. */
	if (m->type == PYMEM_MSG_COPIES || m->type == PYMEM_MSG_FORK)
		tracker->watch_copies = true;
	if (m->type == PYMEM_MSG_EXEC || m->type == PYMEM_MSG_MAPPED)
		queue_add(tracker, m->tgid);
	if (m->type == PYMEM_MSG_EXIT) {
		image = tracker_image(tracker, m->proc);
		if (image)
			image->dead = true;
		if (tracker->probes && !other_image(tracker, image, m->tgid))
			probes_forget(tracker->probes, m->tgid);
	}
	return 0;
}

static struct image *live_image(struct tracker *tracker, pid_t pid)
{
	struct image *image, *next;

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->pid == pid && !image->dead)
			return image;
	}
	return NULL;
}

/* A process without probes is left to the walk engine, and the report says so. */
static void attach_probes(struct tracker *tracker, struct image *image,
			  const struct py_process *python)
{
	int err = probes_attach(tracker->probes, image->pid, python);

	image->lines = !err;
	image->lines_error = err;
}

/* Tracks `pid`, or marks what is tracked as identified. 0 or -errno; `*out` its image. */
static int track(struct tracker *tracker, pid_t pid, const struct py_process *python,
		 uint64_t start, struct image **out)
{
	struct session_target target = {.pid = pid, .start_ticks = start};
	struct image *image;
	int err;

	if (python) {
		target.layout = session_add_layout(tracker->session, &python->layout);
		if (target.layout < 0)
			return target.layout;
		target.identified = true;
		target.runtime = python->runtime_addr;
		target.interp_head = python->interp_head_addr;
	}
	err = session_track(tracker->session, &target, 1);
	if (err)
		return err;
	if (target.result == PYMEM_WANTED_MAP_FULL)
		return -ENOSPC;
	if (target.result != PYMEM_WANTED_OK)
		return -ESRCH;
	image = image_new(tracker, target.id, pid);
	if (!image)
		return -ENOMEM;
	if (!image->argv)
		image_describe(image);
	if (python && tracker->probes)
		attach_probes(tracker, image, python);
	if (python) {
		image->identified = true;
		image->layout = python->layout;
		snprintf(image->python, sizeof(image->python), "%s", python->version);
	}
	*out = image;
	return 0;
}

static void skip_add(struct tracker *tracker, pid_t pid, const char *comm, const char *reason)
{
	struct skip *skip;

	for (skip = tracker->skips; skip; skip = skip->next)
		if (skip->pid == pid && !strcmp(skip->reason, reason))
			return;
	skip = calloc(1, sizeof(*skip));
	if (!skip)
		return;
	skip->pid = pid;
	snprintf(skip->comm, sizeof(skip->comm), "%s", comm);
	snprintf(skip->reason, sizeof(skip->reason), "%s", reason);
	skip->next = tracker->skips;
	tracker->skips = skip;
}

static void unsupported(const struct py_process *python, char *reason, size_t size)
{
	if (*python->version)
		snprintf(reason, size, "Python %s is not supported (3.6 to 3.15 are)",
			 python->version);
	else
		snprintf(reason, size, "a Python of unknown version");
}

/* Looks at what a message called attention to. */
static void identify_queued(struct tracker *tracker, pid_t pid)
{
	struct py_process python = {};
	struct image *image = live_image(tracker, pid), *tracked;
	uint64_t start = proc_start_ticks(pid);
	char reason[192];
	int err;

	if (!image && !tracker->whole_host)
		return;
	if (!start || (image && image->identified))
		return;
	err = py_process_identify(tracker->cache, pid, &python);
	if (image && !err)
		image->examined = false;
	if (!err) {
		track(tracker, pid, &python, start, &tracked);
		return;
	}
	if (image && err == -ENOENT)
		image->examined = true;
	if (err == -ENOTSUP) {
		struct proc_info info;

		unsupported(&python, reason, sizeof(reason));
		if (image)
			snprintf(image->reason, sizeof(image->reason), "%.*s",
				 (int)sizeof(image->reason) - 1, reason);
		if (!proc_info_read(pid, &info)) {
			skip_add(tracker, pid, info.comm, reason);
			proc_info_fini(&info);
		}
	}
}

static bool same_program(pid_t a, pid_t b)
{
	char path[2][32];
	struct stat st[2];

	snprintf(path[0], sizeof(path[0]), "/proc/%d/exe", a);
	snprintf(path[1], sizeof(path[1]), "/proc/%d/exe", b);
	return !stat(path[0], &st[0]) && !stat(path[1], &st[1]) && st[0].st_dev == st[1].st_dev &&
	       st[0].st_ino == st[1].st_ino;
}

/* Does it share pages with a process it forked, or was forked by? Then copies are watched
 * from the start; a fork seen later tells for itself. */
static bool has_forked(pid_t pid, pid_t ppid)
{
	char path[64];
	bool forked = false;
	FILE *children;
	int child;

	if (ppid > 1 && same_program(pid, ppid))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	children = fopen(path, "re");
	if (!children)
		return false;
	while (!forked && fscanf(children, "%d", &child) == 1)
		forked = same_program(pid, child);
	fclose(children);
	return forked;
}

/* The process that thread `tid` belongs to; `tid` itself where that can't be told. */
static pid_t process_of(pid_t tid)
{
	char path[32], line[128];
	pid_t tgid = tid;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	status = fopen(path, "re");
	if (!status)
		return tid;
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	fclose(status);
	return tgid;
}

int tracker_attach(struct tracker *tracker, pid_t pid, char *reason, size_t size)
{
	struct py_process python = {};
	struct proc_info info;
	struct image *image;
	uint64_t start;
	int err = proc_info_read(pid, &info);

	if (err) {
		snprintf(reason, size, "pid %d: no such process", pid);
		return -ESRCH;
	}
	start = info.start_ticks;
	err = 0;
	if (process_of(pid) != pid)
		err = snprintf(reason, size, "pid %d (%s): is a thread of process %d: use -p %d",
			       pid, info.comm, process_of(pid), process_of(pid));
	else if (info.state == 'Z')
		err = snprintf(reason, size, "pid %d (%s): is a zombie: it has ended already", pid,
			       info.comm);
	else if (info.kernel_thread)
		err = snprintf(reason, size, "pid %d (%s): is a kernel thread", pid, info.comm);
	if (err) {
		proc_info_fini(&info);
		return -ENOENT;
	}
	err = py_process_identify(tracker->cache, pid, &python);
	if (err == -ENOTSUP) {
		char why[128];

		unsupported(&python, why, sizeof(why));
		snprintf(reason, size, "pid %d (%s): %s", pid, info.comm, why);
	} else if (err == -ENOENT) {
		snprintf(reason, size, "pid %d (%s): is not Python: no interpreter is mapped in it",
			 pid, info.comm);
	} else if (err) {
		snprintf(reason, size, "pid %d (%s): can't be examined: %s", pid, info.comm,
			 strerror(-err));
	} else if (tracker->probes && !python.has_line_probe) {
		char why[384];

		err = -ENOTSUP;
		probes_explain(&python, why, sizeof(why));
		snprintf(reason, size, "pid %d (%s): %s", pid, info.comm, why);
	} else {
		err = track(tracker, pid, &python, start, &image);
		if (err)
			snprintf(reason, size, "pid %d (%s): %s", pid, info.comm,
				 err == -ESRCH	  ? "has ended"
				 : err == -ENOSPC ? "too many processes; raise --max-processes"
						  : strerror(-err));
		else
			image->asked = true;
		if (!err && has_forked(pid, info.ppid))
			err = session_watch_copies(tracker->session);
	}
	proc_info_fini(&info);
	return err;
}

int tracker_attach_launched(struct tracker *tracker, pid_t pid, const char *program)
{
	struct image *image;
	int err = track(tracker, pid, NULL, 0, &image);

	if (!err && tracker->probes)
		err = probes_attach_command(tracker->probes, pid, program);
	if (err)
		return err;
	image->hidden = true;
	image->asked = true;
	/* All it will ever fork is seen from the start. */
	return session_watch_copies(tracker->session);
}

struct found {
	struct tracker *tracker;
	int count;
};

static int attach_found(pid_t pid, void *arg)
{
	struct found *found = arg;
	struct tracker *tracker = found->tracker;
	struct py_process python = {};
	struct proc_info info;
	struct image *image;
	char reason[128];
	int err;

	if (pid == getpid() || proc_info_read(pid, &info))
		return 0;
	if (!info.kernel_thread && info.state != 'Z') {
		err = py_process_identify(tracker->cache, pid, &python);
		if (!err && !track(tracker, pid, &python, info.start_ticks, &image))
			found->count++;
		if (err == -ENOTSUP) {
			unsupported(&python, reason, sizeof(reason));
			skip_add(tracker, pid, info.comm, reason);
		}
	}
	proc_info_fini(&info);
	return 0;
}

int tracker_attach_all(struct tracker *tracker)
{
	struct found found = {tracker, 0};
	int err = proc_each(attach_found, &found);

	return err ? err : found.count;
}

static int take_dead(const struct pymem_proc *record, void *arg)
{
	struct tracker *tracker = arg;
	struct image *image = image_new(tracker, record->id, record->tgid);

	if (!image)
		return -ENOMEM;
	image->record = *record;
	image->dead = true;
	if (!*image->comm)
		snprintf(image->comm, sizeof(image->comm), "%.16s", record->comm);
	if (!image->ppid)
		image->ppid = record->ppid;
	if (!image->identified && !image->examined && !image->hidden)
		tracker->unexamined++;
	return 0;
}

int tracker_poll(struct tracker *tracker, int timeout_ms)
{
	int n = session_poll(tracker->session, timeout_ms), err;
	size_t i;

	if (n < 0)
		return n;
	/* Most messages wake nobody: they wait to be asked for. */
	err = session_consume(tracker->session);
	if (err < 0)
		return err;
	n += err;
	if (tracker->watch_copies) {
		err = session_watch_copies(tracker->session);
		if (err)
			return err;
	}
	for (i = 0; i < tracker->queue_length; i++)
		identify_queued(tracker, tracker->queue[i]);
	tracker->queue_length = 0;
	err = session_take_dead(tracker->session, take_dead, tracker);
	if (err)
		return err;
	return n;
}

int tracker_finish(struct tracker *tracker)
{
	int err = session_consume(tracker->session);

	if (err < 0)
		return err;
	err = session_settle(tracker->session);
	if (err)
		return err;
	return session_take_dead(tracker->session, take_dead, tracker);
}

bool tracker_any_asked_alive(const struct tracker *tracker)
{
	struct image *image, *next;

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->asked && !image->dead)
			return true;
	}
	return false;
}

bool tracker_image_dead(void *arg, uint32_t id)
{
	struct image *image = tracker_image(arg, id);

	return image && image->dead && image->record.id;
}

bool tracker_follows(const struct tracker *tracker, pid_t pid)
{
	struct image *image, *next;
	uint64_t start = proc_start_ticks(pid);

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->pid == pid && image->record.id &&
		    image->record.start_boottime_ns / 10000000 == start)
			return true;
	}
	return false;
}
