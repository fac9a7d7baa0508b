/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The probes of a file are attached once for each process, or with -a once for all processes. They
 * stay until the last of those processes that is profiled has ended. The file stays open as long: a
 * child runs the same file as its parent, so its probes are attached by the same descriptor,
 * without reading anything. */
#include "kernel/probes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/examiner.h"
#include "base/hash.h"

#define REFUSALS_MOST 16

struct file_key { /* from fstat() */
	uint64_t dev, inode;
};

/* A file that at least one process uses. Its sites stay as they were found, even if the file is
 * written to. */
struct used_file {
	struct file_key key;
	struct probe_file found; /* owns its descriptor */
	char path[512];		 /* for messages */
	int number;		 /* of the attachment for all processes; 0: none yet */
	unsigned users;
	UT_hash_handle hh;
};

struct use { /* a process that uses the probes of a file */
	struct use *next;
	struct used_file *file;
	uint64_t bias; /* address in memory minus address in the file */
	int number;    /* of the attachment for this process; 0: for all processes */
};

struct probe_user {
	pid_t pid;
	uint64_t start_ticks; /* start time of the process: another one may get its PID */
	struct use *uses;
	UT_hash_handle hh;
};

struct refusal {
	struct refusal *next;
	int err;
	char path[512];
};

struct probes {
	struct session *session;
	bool whole_host;
	bool functions; /* the exact engine counts functions */
	struct probe_user *users;
	struct used_file *files;
	pthread_mutex_t lock; /* for what is below: reports read it from other threads */
	struct refusal *refusals;
	unsigned refusal_count;
};

struct probes *probes_new(struct session *session, bool whole_host)
{
	struct probes *probes = calloc(1, sizeof(*probes));

	if (!probes)
		return NULL;
	probes->session = session;
	probes->whole_host = whole_host;
	probes->functions = session_counts_functions(session);
	pthread_mutex_init(&probes->lock, NULL);
	return probes;
}

bool probes_suffice(const struct probes *probes, const struct py_process *python)
{
	return probes->functions ? python->has_function_probe : python->has_line_probe;
}

void probes_explain(const struct probes *probes, const struct py_process *python, char *text,
		    size_t size)
{
	const char *option = probes->functions ? "--functions" : "--lines", *lacks;

	if (python->line_probe_aborts)
		lacks = "assertions of which one ends the process once its line probe is on";
	else
		lacks = probes->functions ? "no function probes" : "no line probe";
	if (!probes->functions && python->has_function_probe) {
		snprintf(text, size,
			 "Python %s has no line probe in this build, so --lines can't work; it has "
			 "function probes: --functions in its place counts each function, or use "
			 "%%mprun or python -m pymem_bpf in the process",
			 python->version);
		return;
	}
	snprintf(text, size,
		 "Python %s has %s in this build, so %s can't work; leave %s "
		 "out (the walk engine needs no probes), or use %%mprun or python -m pymem_bpf "
		 "in the process",
		 python->version, lacks, option, option);
}

/* A constant text for a known error; NULL: strerror() says enough. */
static const char *known_refusal(int err)
{
	switch (err) {
	case -EFBIG:
		return "it has more notes on probes than any build of Python";
	case -E2BIG:
		return "it has more than 64 places of one probe";
	case -ENOENT:
		return "it lacks a probe that is needed beside these";
	case -EADDRNOTAVAIL:
		return "it would stop at each line too; use --lines";
	case -ENOEXEC:
		return "its notes on probes are malformed";
	case -EOPNOTSUPP:
		return "its probes have arguments where they can't be read";
	case -EMFILE:
		return "there are not enough descriptors left; raise the limit (ulimit -n)";
	case -ESTALE:
		return "the process no longer had it mapped when it was opened";
	case -EREMOTEIO:
		return "it lies on a file system that a user's program may serve (FUSE)";
	}
	return NULL;
}

static void refusal_text(int err, char *text, size_t size)
{
	const char *known = known_refusal(err);

	if (known || !examiner_explain(err, text, size))
		snprintf(text, size, "%s", known ?: strerror(-err));
}

static bool is_noted(const struct probes *probes, const char *path, int err)
{
	for (struct refusal *r = probes->refusals; r; r = r->next)
		if (r->err == err && !strcmp(r->path, path))
			return true;
	return false;
}

void probes_note_refusal(struct probes *probes, const char *path, int err)
{
	struct refusal *r = NULL;

	if (err == -ESRCH)
		return;
	pthread_mutex_lock(&probes->lock);
	if (probes->refusal_count < REFUSALS_MOST && !is_noted(probes, path, err))
		r = calloc(1, sizeof(*r));
	if (r) {
		r->err = err;
		snprintf(r->path, sizeof(r->path), "%s", path);
		r->next = probes->refusals;
		probes->refusals = r;
		probes->refusal_count++;
	}
	pthread_mutex_unlock(&probes->lock);
}

void probes_each_refusal(struct probes *probes, void (*fn)(const char *text, void *arg), void *arg)
{
	char text[sizeof(((struct refusal *)NULL)->path) + 192], why[128];

	pthread_mutex_lock(&probes->lock);
	for (struct refusal *r = probes->refusals; r; r = r->next) {
		refusal_text(r->err, why, sizeof(why));
		snprintf(text, sizeof(text), "%s: its %s probes were not attached: %s", r->path,
			 probes->functions ? "function" : "line", why);
		fn(text, arg);
	}
	if (probes->refusal_count == REFUSALS_MOST)
		fn("probes of further files may not have been attached either", arg);
	pthread_mutex_unlock(&probes->lock);
}

static struct use *find_use(struct probes *probes, pid_t pid, const struct used_file *file)
{
	struct probe_user *user;
	struct use *use;

	HASH_FIND(hh, probes->users, &pid, sizeof(pid), user);
	for (use = user ? user->uses : NULL; use; use = use->next)
		if (use->file == file)
			return use;
	return NULL;
}

static int add_use(struct probes *probes, pid_t pid, struct use *use)
{
	struct probe_user *user;

	HASH_FIND(hh, probes->users, &pid, sizeof(pid), user);
	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->pid = pid;
		user->start_ticks = proc_start_ticks(pid);
		if (HASH_INSERT(probes->users, pid, user)) {
			free(user);
			return -ENOMEM;
		}
	}
	use->next = user->uses;
	user->uses = use;
	return 0;
}

/* --- files --- */

/* The used_file of `*found`, which takes over its descriptor. The caller becomes a user of it.
 * NULL: out of memory. */
static struct used_file *use_file(struct probes *probes, struct probe_file *found, const char *path)
{
	struct file_key key = {found->dev, found->inode};
	struct used_file *file;

	HASH_FIND(hh, probes->files, &key, sizeof(key), file);
	if (file) {
		close(found->fd);
		found->fd = -1;
		file->users++;
		return file;
	}
	file = calloc(1, sizeof(*file));
	if (file) {
		file->key = key;
		file->users = 1;
		file->found = *found;
		snprintf(file->path, sizeof(file->path), "%s", path);
		if (HASH_INSERT(probes->files, key, file)) {
			free(file);
			file = NULL;
		}
	}
	if (!file)
		close(found->fd);
	found->fd = -1;
	return file;
}

static void end_file_use(struct probes *probes, struct used_file *file)
{
	if (--file->users)
		return;
	if (file->number)
		session_detach_probes(probes->session, file->number);
	HASH_DEL(probes->files, file);
	close(file->found.fd);
	free(file);
}

/* --- processes --- */

/* Undoes attach_use() and frees `use`. */
static void end_use(struct probes *probes, pid_t pid, struct use *use)
{
	session_forget_places(probes->session, pid, &use->file->found.sites, use->bias);
	if (use->number)
		session_detach_probes(probes->session, use->number);
	end_file_use(probes, use->file);
	free(use);
}

/* Attaches to the file for `pid` (-1: all processes); `*number` becomes that of the attachment. 0
 * or -errno. */
static int attach_file(struct probes *probes, pid_t pid, const struct used_file *file, int *number)
{
	int result =
		session_attach_probes(probes->session, pid, file->found.fd, &file->found.sites);

	*number = result < 0 ? 0 : result;
	return result < 0 ? result : 0;
}

/* Places come first: an event without its place would be counted for line 0. */
static int attach_use(struct probes *probes, pid_t pid, struct use *use)
{
	struct used_file *file = use->file;
	int err = session_add_places(probes->session, pid, &file->found.sites, use->bias);

	if (!err && !probes->whole_host)
		err = attach_file(probes, pid, file, &use->number);
	else if (!err && !file->number)
		err = attach_file(probes, -1, file, &file->number);
	if (err)
		session_forget_places(probes->session, pid, &file->found.sites, use->bias);
	return err;
}

/* The process runs another program from the same file, perhaps at another address. The probes are
 * attached already. Puts this use first. */
static int renew_use(struct probes *probes, pid_t pid, struct use *use, uint64_t bias)
{
	const struct elf_probe_sites *sites = &use->file->found.sites;
	struct probe_user *user;
	struct use **at;

	HASH_FIND(hh, probes->users, &pid, sizeof(pid), user);
	for (at = &user->uses; *at != use; at = &(*at)->next)
		;
	*at = use->next;
	use->next = user->uses;
	user->uses = use;
	if (use->bias == bias)
		return 0;
	session_forget_places(probes->session, pid, sites, use->bias);
	use->bias = bias;
	return session_add_places(probes->session, pid, sites, bias);
}

/* The caller's use of the file passes to the new struct. */
static int new_use(struct probes *probes, pid_t pid, struct used_file *file, uint64_t bias)
{
	struct use *use = calloc(1, sizeof(*use));
	int err = use ? 0 : -ENOMEM;

	if (!err) {
		use->file = file;
		use->bias = bias;
		err = attach_use(probes, pid, use);
	}
	if (err) {
		probes_note_refusal(probes, file->path, err);
		free(use);
		end_file_use(probes, file);
		return err;
	}
	err = add_use(probes, pid, use);
	if (err)
		end_use(probes, pid, use);
	return err;
}

int probes_attach(struct probes *probes, pid_t pid, struct probe_file *found, uint64_t bias,
		  const char *path)
{
	struct used_file *file = use_file(probes, found, path);
	struct use *use;

	if (!file)
		return -ENOMEM;
	use = find_use(probes, pid, file);
	if (!use)
		return new_use(probes, pid, file, bias);
	end_file_use(probes, file);
	return renew_use(probes, pid, use, bias);
}

int probes_attach_child(struct probes *probes, pid_t child, pid_t parent)
{
	struct probe_user *user;
	struct use *use;

	HASH_FIND(hh, probes->users, &parent, sizeof(parent), user);
	if (!user)
		return -ENOENT;
	/* The first use is what the parent runs now. Earlier ones were before an exec, and the
	 * child does not have them. */
	use = user->uses;
	if (find_use(probes, child, use->file))
		return 0;
	use->file->users++;
	return new_use(probes, child, use->file, use->bias);
}

void probes_forget(struct probes *probes, pid_t pid)
{
	struct probe_user *user;
	struct use *use;

	HASH_FIND(hh, probes->users, &pid, sizeof(pid), user);
	if (!user)
		return;
	HASH_DEL(probes->users, user);
	while ((use = user->uses)) {
		user->uses = use->next;
		end_use(probes, pid, use);
	}
	free(user);
}

bool probes_forget_ended(struct probes *probes, pid_t pid)
{
	struct probe_user *user;
	struct proc_info info;

	HASH_FIND(hh, probes->users, &pid, sizeof(pid), user);
	/* A zombie runs nothing, even if its parent has not waited for it yet. */
	if (user && !proc_stat_read(pid, &info) && info.start_ticks == user->start_ticks &&
	    info.state != 'Z' && info.state != 'X')
		return false;
	probes_forget(probes, pid);
	return true;
}

void probes_free(struct probes *probes)
{
	struct probe_user *user, *next;
	struct refusal *r;

	if (!probes)
		return;
	HASH_ITER(hh, probes->users, user, next)
	{
		probes_forget(probes, user->pid);
	}
	while ((r = probes->refusals)) {
		probes->refusals = r->next;
		free(r);
	}
	pthread_mutex_destroy(&probes->lock);
	free(probes);
}
