/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replaces python/examiner.h, without a helper process: it finds in every process what the test
 * says. Like fake_session.h, it defines the functions, so that the linker does not take them from
 * the library. */
#ifndef FAKE_EXAMINER_H
#define FAKE_EXAMINER_H

#include "fake_kernel.h"

int examiner_identify(pid_t pid, struct py_process *process)
{
	(void)pid;
	fake_current->identified++;
	if (fake_current->on_look)
		fake_current->on_look();
	if (fake_current->identify_error)
		return fake_current->identify_error;
	*process = (struct py_process){.major = 3, .minor = 11, .version = FAKE_PYTHON};
	return py_layout_from_table(3, 11, &process->layout);
}

int examiner_describe(pid_t pid, struct proc_info *info, struct source_root *root)
{
	*info = (struct proc_info){.pid = pid, .ppid = 1};
	*root = (struct source_root){.root_fd = -1, .cwd_fd = -1};
	fake_current->described++;
	if (fake_current->undescribable) {
		fake_current->undescribable--;
		return -EINTR;
	}
	snprintf(info->comm, sizeof(info->comm), "pid%d", pid);
	info->argv = calloc(2, sizeof(char *));
	info->argv[0] = strdup("python3");
	info->argc = 1;
	info->cgroup = strdup("/");
	return 0;
}

int examiner_read_pages(pid_t pid, enum pagemap_kind kind, struct pagemap_run **runs, size_t *count)
{
	const struct fake_away *away = &fake_current->away[kind == PAGEMAP_ABSENT];
	const struct pagemap_run *from = &away->run;
	int err = away->error;

	(void)pid;
	*runs = NULL;
	*count = away->run.pages != 0;
	if (kind == PAGEMAP_RESIDENT) {
		from = fake_current->resident;
		*count = fake_current->resident_count;
		err = fake_current->resident_error;
	}
	if (err) {
		*count = 0;
		return err;
	}
	*runs = malloc(*count * sizeof(**runs) + 1);
	assert_non_null(*runs);
	memcpy(*runs, from, *count * sizeof(**runs));
	return 0;
}

ssize_t examiner_read_proc(pid_t pid, const char *name, void *buf, size_t max)
{
	(void)pid, (void)name, (void)buf, (void)max;
	return -ESRCH;
}

int examiner_find_probes(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file)
{
	(void)pid, (void)dev, (void)inode, (void)file;
	return -ENOENT;
}

int examiner_find_program(pid_t pid, const char *program, unsigned needs, struct probe_file *file)
{
	(void)pid, (void)program, (void)needs, (void)file;
	return -ENOENT;
}

uint64_t examiner_cpu_ms(void)
{
	return 0;
}

bool examiner_explain(int err, char *text, size_t size)
{
	if (err != -EBUSY && err != -ENOTCONN)
		return false;
	snprintf(text, size, "what others do");
	return true;
}

#endif
