/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread attaches the exact engine to processes. The kernel may take a tenth of a second or more
 * for that (probe_closer.c): as long as a short child lives. Meanwhile the main thread identifies
 * other processes.
 *
 * Tasks are done in the order in which they were added. So a child is attached as its parent was,
 * even if the parent has been detached since. `probes` belongs to the thread while there are tasks.
 * Results are taken over by the main thread, which owns the images.
 *
 * The thread never reads a file of the target, since that may take for ever. The main thread lets
 * the examiner open the file and read its notes before it adds a task. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "python/examiner.h"
#include "os/proc.h"
#include "track/tracker_private.h"

#define LOOK_MS	     100 /* how often signals are looked at during a wait */
#define FORGET_TRIES 50	 /* one each time that results are taken over: some seconds */

struct probe_task {
	struct probe_task *next;
	enum { PROBE_ATTACH, PROBE_ATTACH_CHILD, PROBE_FORGET } what;
	pid_t pid, parent;
	uint64_t start_ticks; /* of `pid` */
	uint32_t image;
	unsigned tries; /* of PROBE_FORGET, which is asked for before the process has ended */
	int err;	/* its result */
	/* Of PROBE_ATTACH: */
	struct probe_file *file; /* owned */
	uint64_t bias;
	char path[512];
};

struct task_list {
	struct probe_task *first, **end;
};

struct probe_worker {
	struct probes *probes;
	pthread_mutex_t lock;
	pthread_cond_t more, idle;
	pthread_t thread;
	bool running, ending, busy;
	struct task_list wanted, done;
};

static void task_free(struct probe_task *task)
{
	if (task->file && task->file->fd >= 0)
		close(task->file->fd);
	free(task->file);
	free(task);
}

static void append(struct task_list *list, struct probe_task *task)
{
	task->next = NULL;
	*list->end = task;
	list->end = &task->next;
}

static struct probe_task *take_first(struct task_list *list)
{
	struct probe_task *task = list->first;

	if (task)
		list->first = task->next;
	if (!list->first)
		list->end = &list->first;
	return task;
}

/* False if another process has its PID by now. */
static bool is_same(const struct probe_task *task)
{
	return task->start_ticks && proc_start_ticks(task->pid) == task->start_ticks;
}

static int attach(struct probes *probes, const struct probe_task *task)
{
	int err;

	if (!is_same(task))
		return -ESRCH;
	/* The process that had this PID before may still be known. A child was never attached: what
	 * is known of its PID is another process's, also if both began within a tick. */
	if (task->what == PROBE_ATTACH) {
		probes_forget_ended(probes, task->pid);
		err = probes_attach(probes, task->pid, task->file, task->bias, task->path);
	} else {
		probes_forget(probes, task->pid);
		err = probes_attach_child(probes, task->pid, task->parent);
	}
	if (!err && !is_same(task)) {
		probes_forget(probes, task->pid);
		err = -ESRCH;
	}
	/* The parent has no probes either. */
	return task->what == PROBE_ATTACH_CHILD && err == -ENOENT ? -ENOTSUP : err;
}

static void *work(void *arg)
{
	struct probe_worker *worker = arg;
	struct probe_task *task;

	pthread_mutex_lock(&worker->lock);
	while (!worker->ending) {
		task = take_first(&worker->wanted);
		worker->busy = task;
		if (!task) {
			pthread_cond_broadcast(&worker->idle);
			pthread_cond_wait(&worker->more, &worker->lock);
			continue;
		}
		pthread_mutex_unlock(&worker->lock);
		if (task->what != PROBE_FORGET)
			task->err = attach(worker->probes, task);
		else
			task->err = probes_forget_ended(worker->probes, task->pid) ? 0 : -EAGAIN;
		pthread_mutex_lock(&worker->lock);
		append(&worker->done, task);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

struct probe_worker *probe_worker_new(struct probes *probes)
{
	struct probe_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->probes = probes;
	worker->wanted.end = &worker->wanted.first;
	worker->done.end = &worker->done.first;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->more, NULL);
	pthread_cond_init(&worker->idle, NULL);
	return worker;
}

/* All signals are blocked in the thread: they are for the main thread. */
static int start(struct probe_worker *worker)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->running = !err;
	return -err;
}

/* Stores the result in the image. */
static void set_result(struct tracker *tracker, uint32_t id, int err)
{
	struct image *image = tracker_image(tracker, id);

	if (!image)
		return;
	image->lines = !err;
	image->lines_error = err;
	image->lines_late = image->started && !image->held;
}

/* Adds a task. It owns what `wanted` owns. */
static void want(struct tracker *tracker, const struct probe_task *wanted)
{
	struct probe_worker *worker = tracker->probe_worker;
	struct probe_task *task = malloc(sizeof(*task));
	int err = task ? 0 : -ENOMEM;

	if (!task) {
		set_result(tracker, wanted->image, err);
		if (wanted->file)
			close(wanted->file->fd);
		free(wanted->file);
		return;
	}
	*task = *wanted;
	if (!worker->running)
		err = start(worker);
	if (err) {
		task_free(task);
		set_result(tracker, wanted->image, err);
		return;
	}
	/* Until it is done. */
	set_result(tracker, wanted->image, -EINPROGRESS);
	pthread_mutex_lock(&worker->lock);
	append(&worker->wanted, task);
	pthread_cond_signal(&worker->more);
	pthread_mutex_unlock(&worker->lock);
}

/* Lets the examiner find the file that `python` is mapped from in `pid`. `*file` is the caller's. 0
 * or -errno. */
static int find_file(struct tracker *tracker, pid_t pid, const struct py_process *python,
		     struct probe_file **file)
{
	int err;

	*file = NULL;
	if (!probes_suffice(tracker->probes, python))
		return -ENOTSUP;
	*file = malloc(sizeof(**file));
	if (!*file)
		return -ENOMEM;
	err = examiner_find_probes(pid, python->image_dev, python->image_inode, *file);
	(*file)->sites.entry_wants_line = python->entry_wants_line;
	if (err) {
		probes_note_refusal(tracker->probes, python->image_path, err);
		free(*file);
		*file = NULL;
	}
	return err;
}

void tracker_want_probes(struct tracker *tracker, const struct image *image,
			 const struct py_process *python)
{
	struct probe_task task = {.what = PROBE_ATTACH,
				  .pid = image->pid,
				  /* Read before the process is examined: so the process that is
				   * attached is the one that was examined. */
				  .start_ticks = proc_start_ticks(image->pid),
				  .image = image->id};
	int err = find_file(tracker, image->pid, python, &task.file);

	if (err) {
		set_result(tracker, image->id, err);
		return;
	}
	if (!python->image_fixed_address)
		task.bias = python->runtime_addr - python->image_runtime_vaddr;
	snprintf(task.path, sizeof(task.path), "%s", python->image_path);
	want(tracker, &task);
}

int tracker_want_command_probes(struct tracker *tracker, const struct image *image,
				const char *program)
{
	struct probe_task task = {.what = PROBE_ATTACH,
				  .pid = image->pid,
				  .start_ticks = proc_start_ticks(image->pid),
				  .image = image->id};
	unsigned needs = 0;
	int err;

	/* If places are needed, the address at which it is loaded must be known. */
	if (session_places_needed(tracker->session))
		needs |= PROBE_FILE_FIXED;
	if (session_counts_functions(tracker->session))
		needs |= PROBE_FILE_FUNCTIONS;
	task.file = malloc(sizeof(*task.file));
	if (!task.file)
		return -ENOMEM;
	err = examiner_find_program(image->pid, program, needs, task.file);
	if (err) {
		free(task.file);
		if (err == -ENOENT)
			return 0;
		probes_note_refusal(tracker->probes, program, err);
		set_result(tracker, image->id, err);
		return 0;
	}
	snprintf(task.path, sizeof(task.path), "%.*s", (int)sizeof(task.path) - 1, program);
	want(tracker, &task);
	tracker_wait_probes(tracker);
	return image->lines_error;
}

void tracker_want_child_probes(struct tracker *tracker, const struct image *image, pid_t parent)
{
	struct probe_task task = {.what = PROBE_ATTACH_CHILD,
				  .pid = image->pid,
				  .parent = parent,
				  .start_ticks = proc_start_ticks(image->pid),
				  .image = image->id};

	want(tracker, &task);
}

void tracker_forget_probes(struct tracker *tracker, pid_t pid)
{
	struct probe_task task = {.what = PROBE_FORGET, .pid = pid};

	want(tracker, &task);
}

void tracker_take_probes(struct tracker *tracker)
{
	struct probe_worker *worker = tracker->probe_worker;
	struct task_list again = {.end = &again.first};
	struct probe_task *task;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	while ((task = take_first(&worker->done))) {
		/* A process that ends still exists for a moment: try again. */
		if (task->what == PROBE_FORGET && task->err == -EAGAIN &&
		    ++task->tries < FORGET_TRIES) {
			append(&again, task);
			continue;
		}
		if (task->what != PROBE_FORGET)
			set_result(tracker, task->image, task->err);
		task_free(task);
	}
	while ((task = take_first(&again)))
		append(&worker->wanted, task);
	pthread_cond_signal(&worker->more);
	pthread_mutex_unlock(&worker->lock);
}

/* Waits until the worker is idle, for LOOK_MS at most. The lock is held. */
static void wait_a_while(struct probe_worker *worker)
{
	struct timespec until = clock_after_ms(LOOK_MS);

	pthread_cond_clockwait(&worker->idle, &worker->lock, CLOCK_MONOTONIC, &until);
}

void tracker_wait_probes(struct tracker *tracker)
{
	struct probe_worker *worker = tracker->probe_worker;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	while (worker->running && (worker->busy || worker->wanted.first) &&
	       !(tracker->interrupted && tracker->interrupted()))
		wait_a_while(worker);
	pthread_mutex_unlock(&worker->lock);
	tracker_take_probes(tracker);
}

void tracker_end_probes(struct tracker *tracker)
{
	struct probe_worker *worker = tracker->probe_worker;
	struct probe_task *task;
	struct image *image;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->ending = true;
	pthread_cond_signal(&worker->more);
	pthread_mutex_unlock(&worker->lock);
	if (worker->running)
		pthread_join(worker->thread, NULL);
	worker->running = false;
	tracker_take_probes(tracker);
	while ((task = take_first(&worker->wanted))) {
		image = tracker_image(tracker, task->image);
		if (task->what != PROBE_FORGET && image)
			set_result(tracker, image->id, image->dead ? -ESRCH : -ECANCELED);
		task_free(task);
	}
	pthread_cond_destroy(&worker->more);
	pthread_cond_destroy(&worker->idle);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
	tracker->probe_worker = NULL;
}
