/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Identifies a process, and says why its heap can't be looked at. */
#include "cli/heap_subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "os/hardening.h"
#include "os/sudo.h"
#include "python/examiner.h"
#include "python/inner_pid.h"
#include "python/py_heap_layouts.h"

static bool is_ours(pid_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return !stat(path, &st) && st.st_uid == geteuid();
}

void heap_subject_forbidden(pid_t pid, char *why, size_t size)
{
	struct hardening host;
	char missing[128], sudo[128];

	hardening_read(&host, "");
	kernel_missing_capabilities(missing, sizeof(missing));
	sudo_command(sudo, sizeof(sudo));
	if (host.ptrace_scope >= 3)
		snprintf(
			why, size,
			"its memory may not be read: kernel.yama.ptrace_scope is %d, which forbids "
			"it to all, root too",
			host.ptrace_scope);
	else if (geteuid() == 0)
		snprintf(why, size, "its memory may not be read: %s",
			 strstr(missing, "CAP_SYS_PTRACE") ? "CAP_SYS_PTRACE is needed"
							   : "refused by the kernel (sandbox?)");
	else if (is_ours(pid) && host.ptrace_scope > 0)
		snprintf(why, size,
			 "its memory may not be read: kernel.yama.ptrace_scope is %d, which leaves "
			 "that "
			 "to root; run %s heap, or set it to 0",
			 host.ptrace_scope, sudo);
	else
		snprintf(why, size,
			 "its memory may not be read: it is another user's, or has other rights; "
			 "run %s heap",
			 sudo);
}

static int explain_identify(struct subject *subject, int err, char *why, size_t size)
{
	const struct py_process *python = &subject->target.python;
	char text[128];

	if (err == -ENOTSUP || python->implausible)
		py_process_explain(python, why, size);
	else if (err == -ENOENT)
		snprintf(why, size, "is not Python: no interpreter is mapped in it");
	else if (err == -ESRCH)
		snprintf(why, size, "has ended");
	else if (err == -EPERM || err == -EACCES)
		heap_subject_forbidden(subject->target.pid, why, size);
	else if (examiner_explain(err, text, sizeof(text)))
		snprintf(why, size, "can't be examined: %s", text);
	else
		snprintf(why, size, "can't be examined: %s", strerror(-err));
	return err;
}

static int identify(struct subject *subject, char *why, size_t size)
{
	struct heap_target *target = &subject->target;
	struct source_root root;
	int err = proc_stat_read(target->pid, &subject->info);

	if (err) {
		snprintf(why, size, "no such process");
		return -ESRCH;
	}
	if (subject->info.state == 'Z' || subject->info.kernel_thread) {
		snprintf(why, size, "%s",
			 subject->info.state == 'Z' ? "is a zombie: it has ended already"
						    : "is a kernel thread");
		return -ENOENT;
	}
	err = examiner_identify(target->pid, &target->python);
	if (err || target->python.implausible)
		return explain_identify(subject, err ? err : -EINVAL, why, size);
	err = py_heap_layout_find(&target->python, &target->layout);
	if (err) {
		py_heap_layout_explain(&target->python, why, size);
		return err;
	}
	err = examiner_describe(target->pid, &subject->info, &root);
	source_root_close(&root);
	return err ? explain_identify(subject, err, why, size) : 0;
}

int heap_subject_identify(struct subject *subject, char *why, size_t size)
{
	int err = identify(subject, why, size);
	char inner[128] = "";

	/* No Python has that PID here. */
	if (err == -ESRCH || err == -ENOENT)
		inner_pid_explain(subject->target.pid, inner, sizeof(inner));
	if (*inner)
		strncat(why, inner, size - strlen(why) - 1);
	return err;
}

bool heap_subject_is_same(const struct subject *subject)
{
	return proc_start_ticks(subject->target.pid) == subject->info.start_ticks;
}

int heap_subject_describe(const struct subject *subject, struct heap_look *look)
{
	int err = 0;

	look->ns_pid = subject->info.ns_pid;
	look->comm = strdup(subject->info.comm);
	if (!look->comm)
		return -ENOMEM;
	look->cmdline = calloc((size_t)subject->info.argc + 1, sizeof(*look->cmdline));
	for (int i = 0; look->cmdline && i < subject->info.argc && !err; i++) {
		look->cmdline[i] = strdup(subject->info.argv[i]);
		err = look->cmdline[i] ? 0 : -ENOMEM;
	}
	if (!look->cmdline || err)
		return -ENOMEM;
	if (!*subject->untouched)
		return 0;
	return heap_look_say(&look->notes, "which lines touched what is resident is not known: %s",
			     subject->untouched);
}
