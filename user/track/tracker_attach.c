/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds out whether a process is a Python that can be profiled: one that was named, found by a
 * scan, or announced by a message. */
#include "track/tracker_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/examiner.h"
#include "os/proc.h"

/* The process may have executed another program since it was found, and execs are only reported
 * from now on. */
int tracker_adopt(struct tracker *tracker, pid_t pid, struct py_process *python, uint64_t start,
		  struct image **image)
{
	int err = tracker_track(tracker, pid, start, image);

	if (!err)
		tracker_note_resident(tracker, *image);
	if (!err && (*image)->identified)
		return 0;
	if (!err)
		err = tracker_look(tracker, pid, python);
	if (!err)
		err = tracker_know(tracker, *image, python);
	/* Children that it forked before are not tracked: look for them. */
	tracker_scan_soon(tracker);
	return err;
}

/* Notes that `pid` is not profiled, and why. */
static void refuse(struct tracker *tracker, struct image *image, pid_t pid, const char *reason)
{
	struct proc_info info;

	if (image)
		snprintf(image->reason, sizeof(image->reason), "%.*s",
			 (int)sizeof(image->reason) - 1, reason);
	if (proc_stat_read(pid, &info))
		return;
	tracker_skip(tracker, pid, info.comm, reason);
}

/* The process can't be examined any more. If it was tracked, its record will come. */
static enum tracker_identified gone(struct tracker *tracker, pid_t pid)
{
	return tracker_newest_image(tracker, pid) ? TRACKER_DONE : TRACKER_GONE;
}

/* Puts an error of examining into words. We have the capabilities, so a refusal has another
 * cause. */
static const char *explain(int err)
{
	return err == -EPERM || err == -EACCES ? "refused by the kernel (sandbox?)"
					       : strerror(-err);
}

enum tracker_identified tracker_identify(struct tracker *tracker, pid_t pid, bool last)
{
	struct py_process python = {};
	struct image *image = tracker_live_image(tracker, pid), *tracked;
	uint64_t start = proc_start_ticks(pid);
	char reason[192], why[128];
	int err;

	if ((!image && !tracker->whole_host) || (image && image->identified))
		return TRACKER_DONE;
	if (!start)
		return gone(tracker, pid);
	err = tracker_look(tracker, pid, &python);
	if (!err && image)
		image->examined = false;
	if (!err)
		err = image ? tracker_know(tracker, image, &python)
			    : tracker_adopt(tracker, pid, &python, start, &tracked);
	if (image && err == -ENOENT)
		image->examined = true;
	if (err == -ESRCH)
		return gone(tracker, pid);
	/* A later message will tell of changes, unless mappings are not reported. */
	if (!err || (err == -ENOENT && session_sees_mappings(tracker->session)))
		return TRACKER_DONE;
	/* The process is not to blame, so it is tried again. A held command can't wait for that. */
	if ((err == -EBUSY || err == -ENOTCONN) && !tracker->detached && !tracker->holding)
		return TRACKER_LATER;
	if (err == -ENOTSUP) {
		py_process_explain(&python, reason, sizeof(reason));
	} else if (err != -EINTR && examiner_explain(err, why, sizeof(why))) {
		/* The reason is final for now: it is not tried again until its time comes
		 * (tracker_look.c). */
		snprintf(reason, sizeof(reason), "can't be examined: %s", why);
	} else if (!last) {
		return TRACKER_AGAIN;
	} else if (err == -ENOENT) {
		return TRACKER_DONE;
	} else if (python.implausible) {
		py_process_explain(&python, reason, sizeof(reason));
	} else {
		snprintf(reason, sizeof(reason), "can't be examined: %s", explain(err));
	}
	refuse(tracker, image, pid, reason);
	return TRACKER_DONE;
}

void tracker_refuse_later(struct tracker *tracker, pid_t pid)
{
	struct image *image = tracker_live_image(tracker, pid);
	char reason[192], why[128];

	if (image && (image->identified || image->examined || *image->reason))
		return;
	examiner_explain(-EBUSY, why, sizeof(why));
	snprintf(reason, sizeof(reason), "can't be examined: %s", why);
	refuse(tracker, image, pid, reason);
}

/* True if both processes run the memory of one exec. A forked process has its parent's auxiliary
 * vector; that contains addresses which each exec chooses at random. Without randomisation equal
 * programs look the same, which does no harm. */
static bool same_exec(pid_t a, pid_t b)
{
	char one[2048], other[2048];
	ssize_t bytes = examiner_read_proc(a, "auxv", one, sizeof(one));

	return bytes > 0 && examiner_read_proc(b, "auxv", other, sizeof(other)) == bytes &&
	       !memcmp(one, other, bytes);
}

/* True if the process shares pages with one that it forked or was forked by. Then copies are
 * watched from the start. A later fork is reported by a message. */
static bool has_forked(pid_t pid, pid_t ppid)
{
	char path[64];
	bool forked = false;
	FILE *children;
	int child;

	if (ppid > 1 && same_exec(pid, ppid))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	children = fopen(path, "re");
	if (!children)
		return false;
	while (!forked && fscanf(children, "%d", &child) == 1)
		forked = same_exec(pid, child);
	fclose(children);
	return forked;
}

/* The process that thread `tid` belongs to; `tid` itself if that is unknown. */
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

/* Finds out whether `pid` is a Python that can be profiled. 0, or -errno with a reason in `why`. */
static int examine(struct tracker *tracker, pid_t pid, const struct proc_info *info,
		   struct py_process *python, char *why, size_t size)
{
	char text[128];
	int err;

	if (process_of(pid) != pid) {
		snprintf(why, size, "is a thread of process %d: use -p %d", process_of(pid),
			 process_of(pid));
		return -ENOENT;
	}
	if (info->state == 'Z' || info->kernel_thread) {
		snprintf(why, size, "%s",
			 info->state == 'Z' ? "is a zombie: it has ended already"
					    : "is a kernel thread");
		return -ENOENT;
	}
	err = tracker_look(tracker, pid, python);
	if (err == -ENOTSUP || python->implausible) {
		py_process_explain(python, why, size);
	} else if (err == -ENOENT) {
		snprintf(why, size, "is not Python: no interpreter is mapped in it");
	} else if (err) {
		if (!examiner_explain(err, text, sizeof(text)))
			snprintf(text, sizeof(text), "%s", explain(err));
		snprintf(why, size, "can't be examined: %s", text);
	} else if (tracker->probes && !probes_suffice(tracker->probes, python)) {
		err = -ENOTSUP;
		probes_explain(tracker->probes, python, why, size);
	}
	return err;
}

int tracker_attach(struct tracker *tracker, pid_t pid, char *reason, size_t size)
{
	struct py_process python = {};
	struct proc_info info = {};
	struct image *image = NULL;
	char why[384] = "";
	int err = proc_stat_read(pid, &info);

	if (err) {
		snprintf(why, sizeof(why), "no such process");
		snprintf(reason, size, "pid %d: %s", pid, why);
		tracker_skip(tracker, pid, "", why);
		return -ESRCH;
	}
	err = examine(tracker, pid, &info, &python, why, sizeof(why));
	/* It may have been taken along with its parent: then it is known already, and tracking it
	 * anew would forget what it is. */
	image = tracker_live_image(tracker, pid);
	if (!err && (!image || !image->identified)) {
		err = tracker_adopt(tracker, pid, &python, info.start_ticks, &image);
		/* "Attached" includes its probes. */
		tracker_wait_probes(tracker);
		if (err)
			snprintf(why, sizeof(why), "%s",
				 err == -ESRCH	  ? "has ended"
				 : err == -ENOSPC ? "too many processes; raise --max-processes"
						  : strerror(-err));
	}
	if (err) {
		snprintf(reason, size, "pid %d (%s): %s", pid, info.comm, why);
		tracker_skip(tracker, pid, info.comm, why);
		if (image && !image->identified)
			snprintf(image->reason, sizeof(image->reason), "%.*s",
				 (int)sizeof(image->reason) - 1, why);
	} else {
		image->asked = true;
		if (has_forked(pid, info.ppid))
			tracker_watch_copies(tracker);
	}
	return err;
}

size_t tracker_attach_through(struct tracker *tracker, pid_t pid)
{
	struct counts_skip *skip = tracker->skips;
	size_t taken;

	/* If `pid` is the number of a thread, /proc shows its process's children, and nobody asked
	 * for these. */
	if (process_of(pid) != pid)
		return 0;
	taken = tracker_attach_children(tracker, pid, true);
	if (!taken || !skip || skip->pid != pid)
		return taken;
	for (struct counts_skip **at = &tracker->skips; *at; at = &(*at)->next) {
		if (*at != skip)
			continue;
		*at = skip->next;
		tracker->skip_count--;
		free(skip);
		break;
	}
	return taken;
}

int tracker_attach_launched(struct tracker *tracker, pid_t pid, const char *program, bool held)
{
	struct image *image;
	int err = tracker_track(tracker, pid, 0, &image);

	if (!err && tracker->probes && !held)
		err = tracker_want_command_probes(tracker, image, program);
	if (err)
		return err;
	image->hidden = true;
	image->asked = true;
	/* All its forks will be seen from the start. */
	tracker_watch_copies(tracker);
	return 0;
}

bool tracker_examine_held(struct tracker *tracker, pid_t pid)
{
	struct image *image;

	tracker->holding = true;
	tracker_poll(tracker, 0);
	tracker->holding = false;
	tracker_wait_probes(tracker);
	image = tracker_live_image(tracker, pid);
	return image && (image->identified || *image->reason);
}
