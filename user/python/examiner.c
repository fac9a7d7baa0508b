/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends each call as a message to the examiner and takes its answer apart. examiner_wait.c waits
 * for the answer. */
#include "python/examiner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "os/pagemap.h"
#include "python/examiner_private.h"

#define MEMORY_STEP (16 * 1024) /* bytes in one request: it fits into a message */

int examiner_identify(pid_t pid, struct py_process *process)
{
	struct wire_message request = {.head.op = WIRE_IDENTIFY}, answer;
	int err = examiner_ask_about(pid, &request, &answer);

	memset(process, 0, sizeof(*process));
	if (err)
		return err;
	err = answer.head.body_bytes == sizeof(*process) ? answer.head.result : -ENOTCONN;
	if (answer.head.body_bytes == sizeof(*process))
		memcpy(process, answer.body, sizeof(*process));
	wire_fini(&answer);
	return err;
}

int64_t examiner_rss_bytes(pid_t pid)
{
	struct wire_message request = {.head.op = WIRE_RSS}, answer;
	int err = examiner_ask_about(pid, &request, &answer);

	if (err)
		return err;
	wire_fini(&answer);
	return (int64_t)answer.head.a;
}

ssize_t examiner_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	struct wire_message request = {.head.op = WIRE_MEMORY}, answer;
	size_t done = 0, part;
	int err = 0;

	while (done < len && !err) {
		request.head.a = addr + done;
		request.head.b = len - done < MEMORY_STEP ? len - done : MEMORY_STEP;
		err = examiner_ask_about(pid, &request, &answer);
		if (err)
			break;
		part = answer.head.body_bytes <= request.head.b ? answer.head.body_bytes : 0;
		memcpy((char *)buf + done, answer.body, part);
		err = answer.head.result;
		wire_fini(&answer);
		done += part;
		if (part < request.head.b)
			break;
	}
	return done ? (ssize_t)done : err;
}

ssize_t examiner_read_proc(pid_t pid, const char *name, void *buf, size_t max)
{
	struct wire_message request = {
		.head = {.op = WIRE_PROC, .b = max, .body_bytes = strlen(name) + 1},
		.body = (void *)name};
	struct wire_message answer;
	ssize_t n = examiner_ask_about(pid, &request, &answer);

	if (n)
		return n;
	n = answer.head.result;
	if (!n)
		n = answer.head.body_bytes <= max ? (ssize_t)answer.head.body_bytes : -ENOTCONN;
	if (n > 0)
		memcpy(buf, answer.body, (size_t)n);
	wire_fini(&answer);
	return n;
}

int examiner_read_rollup(pid_t pid, struct proc_rollup *rollup)
{
	char text[4096];
	ssize_t size = examiner_read_proc(pid, "smaps_rollup", text, sizeof(text) - 1);

	if (size < 0)
		return (int)size;
	text[size] = '\0';
	return proc_rollup_parse(text, rollup);
}

int examiner_read_pages(pid_t pid, enum pagemap_kind kind, struct pagemap_run **runs, size_t *count)
{
	struct wire_message request = {.head = {.op = WIRE_PAGES, .a = kind}}, answer;
	int err = examiner_ask_about(pid, &request, &answer);

	*runs = NULL;
	*count = 0;
	if (err)
		return err;
	err = answer.head.result;
	if (!err) {
		*count = answer.head.body_bytes / sizeof(**runs);
		*runs = answer.body;
		answer.body = NULL;
	}
	wire_fini(&answer);
	return err;
}

/* --- probes --- */

static int ask_for_probes(pid_t pid, struct wire_message *request, struct probe_file *file)
{
	struct wire_message answer;
	int err = examiner_ask_about(pid, request, &answer);

	memset(file, 0, sizeof(*file));
	file->fd = -1;
	if (err)
		return err;
	err = answer.head.result;
	if (!err && answer.head.body_bytes != sizeof(*file))
		err = -ENOTCONN;
	if (!err) {
		memcpy(file, answer.body, sizeof(*file));
		file->fd = wire_take_fd(&answer, 0);
		err = file->fd < 0 ? -ENOTCONN : 0;
	}
	wire_fini(&answer);
	return err;
}

int examiner_find_probes(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file)
{
	struct wire_message request = {.head = {.op = WIRE_PROBES, .a = dev, .b = inode}};

	return ask_for_probes(pid, &request, file);
}

int examiner_find_program(pid_t pid, const char *program, unsigned needs, struct probe_file *file)
{
	struct wire_message request = {
		.head = {.op = WIRE_PROGRAM, .a = needs, .body_bytes = strlen(program) + 1},
		.body = (void *)program};

	return ask_for_probes(pid, &request, file);
}

/* --- descriptions --- */

static int unpack_strings(const char *text, size_t size, unsigned count, struct proc_info *info)
{
	info->argv = calloc(count + 1, sizeof(char *));
	if (!info->argv)
		return -ENOMEM;
	for (; size && (unsigned)info->argc < count; info->argc++) {
		size_t length = strnlen(text, size);

		info->argv[info->argc] = strndup(text, length);
		if (!info->argv[info->argc])
			return -ENOMEM;
		length += length < size;
		text += length;
		size -= length;
	}
	return 0;
}

static int unpack(const struct wire_message *m, struct proc_info *info, struct wire_description *d,
		  struct rights *rights)
{
	const char *at = m->body;
	size_t left = m->head.body_bytes;

	if (left < sizeof(*d))
		return -ENOTCONN;
	memcpy(d, at, sizeof(*d));
	at += sizeof(*d);
	left -= sizeof(*d);
	if (d->rights_bytes > sizeof(*rights) || d->argv_bytes > left || d->cgroup_bytes > left ||
	    d->rights_bytes + d->argv_bytes + d->cgroup_bytes != left || d->argc > PROC_ARGS_MAX)
		return -ENOTCONN;
	memcpy(rights, at, d->rights_bytes);
	at += d->rights_bytes;
	info->pid = d->pid;
	info->ppid = d->ppid;
	info->ns_pid = d->ns_pid;
	info->state = d->state;
	info->start_ticks = d->start_ticks;
	info->kernel_thread = d->kernel_thread;
	memcpy(info->comm, d->comm, sizeof(info->comm));
	info->cgroup = strndup(at + d->argv_bytes, d->cgroup_bytes);
	return unpack_strings(at, d->argv_bytes, d->argc, info) ?: info->cgroup ? 0 : -ENOMEM;
}

int examiner_describe(pid_t pid, struct proc_info *info, struct source_root *root)
{
	struct wire_message request = {.head.op = WIRE_DESCRIBE}, answer;
	struct wire_description d;
	unsigned next = 0;
	struct rights rights;
	int err, root_fd = -1;

	memset(info, 0, sizeof(*info));
	*root = (struct source_root){.root_fd = -1, .cwd_fd = -1};
	err = examiner_ask_about(pid, &request, &answer);
	if (err)
		return err;
	err = answer.head.result;
	if (!err)
		err = unpack(&answer, info, &d, &rights);
	if (!err && answer.head.has & WIRE_HAS_ROOT)
		root_fd = wire_take_fd(&answer, next++);
	if (!err)
		source_root_adopt(root, root_fd,
				  answer.head.has & WIRE_HAS_CWD ? wire_take_fd(&answer, next) : -1,
				  d.rights_bytes ? &rights : NULL, d.start_wall);
	wire_fini(&answer);
	if (err)
		proc_info_fini(info);
	return err;
}

/* --- sources --- */

static void *source_body(const struct rights *rights, const char *name, size_t *size)
{
	size_t rights_bytes = rights_size(rights), name_bytes = strlen(name) + 1;
	char *body = malloc(rights_bytes + name_bytes);

	if (!body)
		return NULL;
	memcpy(body, rights, rights_bytes);
	memcpy(body + rights_bytes, name, name_bytes);
	*size = rights_bytes + name_bytes;
	return body;
}

int examiner_read_source(const struct source_root *root, const char *name, struct source_text *text)
{
	const struct rights *rights = source_root_rights(root);
	struct wire_message request = {.head.op = WIRE_SOURCE}, answer;
	struct examiner_subject subject = {.known = true};
	size_t size;
	int err;

	*text = (struct source_text){.state = SOURCE_UNREADABLE};
	if (!rights)
		return 0;
	subject.owner = rights->uid;
	if (!examiner_may_hang(&subject))
		return -EBUSY;
	request.body = source_body(rights, name, &size);
	if (!request.body)
		return -ENOMEM;
	request.head.a = rights_size(rights);
	request.head.body_bytes = size;
	if (root->root_fd >= 0) {
		request.fds[request.fd_count++] = root->root_fd;
		request.head.has |= WIRE_HAS_ROOT;
	}
	if (root->cwd_fd >= 0) {
		request.fds[request.fd_count++] = root->cwd_fd;
		request.head.has |= WIRE_HAS_CWD;
	}
	err = examiner_ask(&request, &answer, &subject);
	free(request.body);
	if (err)
		return err;
	text->state = (enum source_state)answer.head.result;
	memcpy(&text->changed, &answer.head.a, sizeof(text->changed));
	text->size = answer.head.body_bytes;
	text->data = answer.body; /* has room for a NUL */
	answer.body = NULL;
	wire_fini(&answer);
	return 0;
}

/* --- errors --- */

bool examiner_explain(int err, char *text, size_t size)
{
	switch (err) {
	case -ETIME:
		snprintf(text, size, "its examination took over %d ms: it is skipped",
			 EXAMINER_ASLEEP_MS);
		return true;
	case -EDQUOT:
	case -EFBIG:
		snprintf(text, size,
			 "its examination would take over %d ms of CPU time or %llu MiB of reading",
			 err == -EFBIG ? BUDGET_FILE_MS : BUDGET_PROCESS_MS,
			 (err == -EFBIG ? BUDGET_FILE_BYTES : BUDGET_PROCESS_BYTES) >> 20);
		return true;
	case -EBUSY:
		snprintf(text, size,
			 "not examined: other processes of its owner hold examinations up");
		return true;
	case -ENOTCONN:
		snprintf(text, size, "the examiner has ended and can't be started again");
		return true;
	default:
		return false;
	}
}
