/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Probes are attached to a file, and the kernel puts them wherever that file is mapped. So the file
 * must be the one that the process runs: a name in its folders may lead to any other by the time it
 * is looked up, another user's program for example.
 *
 * It is opened once, by the mapping (/proc/PID/map_files; where that is refused, by a name whose
 * device and inode are the mapping's), and everything else goes by that descriptor: what file it is
 * (device and inode by fstat(), which a mapping's need not equal on overlayfs and btrfs), its
 * notes, the kernel's own look-up.
 *
 * A file's probes are attached once per process, or (-a) once for all processes, until the last of
 * them that is profiled has ended.
 */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "elf_image.h"
#include "elf_probes.h"
#include "proc.h"
#include "hash.h"

#define INTERPRETERS_MOST 4 /* #! lines that name scripts */
#define OPEN_TRIES	  3
#define REFUSALS_MOST	  16

struct file_key { /* by fstat() */
	uint64_t dev, inode;
};

/* An interpreter's file as the process has it mapped. */
struct mapped_file {
	uint64_t dev, inode; /* as /proc/PID/maps has them */
	uint64_t bias;	     /* address less the file's */
	char path[512];	     /* for messages */
};

/* A file that is attached for all processes. */
struct shared_file {
	struct file_key key;
	int number; /* session_attach_probes() */
	unsigned users;
	UT_hash_handle hh;
};

struct use { /* of a file's probes by a process */
	struct use *next;
	struct file_key key;
	struct mapped_file file;
	int number; /* 0: shared */
	struct shared_file *shared;
	struct elf_probe_sites *sites; /* where places are needed; else NULL */
};

struct probe_user {
	pid_t pid;
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
	struct probe_user *users;
	struct shared_file *files;
	pthread_mutex_t lock; /* of what is below: reports read it at any time */
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
	pthread_mutex_init(&probes->lock, NULL);
	return probes;
}

void probes_explain(const struct py_process *python, char *text, size_t size)
{
	snprintf(text, size,
		 "Python %s has %s in this build, so --lines can't work; leave --lines "
		 "out (the walk engine needs no probes), or use %%mprun or python -m pymem_bpf "
		 "in the process",
		 python->version,
		 python->line_probe_aborts
			 ? "assertions of which one ends the process once its line probe is on"
			 : "no line probe");
}

static const char *refusal_text(int err)
{
	switch (err) {
	case -EFBIG:
		return "it has more notes on probes than any build of Python";
	case -E2BIG:
		return "it has more than 64 places of one probe";
	case -ENOENT:
		return "it lacks a probe that the line probe needs beside it";
	case -ENOEXEC:
		return "its notes on probes are malformed";
	case -EOPNOTSUPP:
		return "its probes have arguments where they can't be read";
	case -EMFILE:
		return "there are not enough descriptors left; raise the limit (ulimit -n)";
	case -EREMOTEIO:
		return "it lies on a file system that a user's program may serve (FUSE)";
	}
	return strerror(-err);
}

static bool is_noted(const struct probes *probes, const char *path, int err)
{
	for (struct refusal *r = probes->refusals; r; r = r->next)
		if (r->err == err && !strcmp(r->path, path))
			return true;
	return false;
}

/* So that the report can say it by name. */
static void note_refusal(struct probes *probes, const char *path, int err)
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
	char text[sizeof(((struct refusal *)NULL)->path) + 160];

	pthread_mutex_lock(&probes->lock);
	for (struct refusal *r = probes->refusals; r; r = r->next) {
		snprintf(text, sizeof(text), "%s: its line probes were not attached: %s", r->path,
			 refusal_text(r->err));
		fn(text, arg);
	}
	if (probes->refusal_count == REFUSALS_MOST)
		fn("line probes of further files may not have been attached either", arg);
	pthread_mutex_unlock(&probes->lock);
}

struct opening {
	pid_t pid;
	const struct mapped_file *file;
	int fd; /* or -errno */
};

static int open_if_mapped(const struct proc_mapping *mapping, void *arg)
{
	struct opening *o = arg;

	if (mapping->perms[2] != 'x' || mapping->inode != o->file->inode ||
	    makedev(mapping->dev_major, mapping->dev_minor) != o->file->dev)
		return 0;
	o->fd = proc_open_mapping(o->pid, mapping);
	return o->fd != -ENOENT;
}

/* The very file that `pid` has mapped. A descriptor or -errno; -ESRCH: it has it no more. */
static int open_mapped(pid_t pid, const struct mapped_file *file)
{
	struct opening o = {pid, file, -ESRCH};
	int err = 0;

	/* A mapping that merges with a neighbour changes its name in map_files. */
	for (int i = 0; i < OPEN_TRIES && o.fd < 0 && err >= 0; i++)
		err = proc_maps_each(pid, open_if_mapped, &o);
	if (o.fd == -ENOENT)
		return -ESRCH;
	return err < 0 ? err : o.fd;
}

static struct use *find_use(struct probes *probes, pid_t pid, const struct file_key *key)
{
	struct probe_user *user;
	struct use *use;

	HASH_FIND(hh, probes->users, &pid, sizeof(pid), user);
	for (use = user ? user->uses : NULL; use; use = use->next)
		if (!memcmp(&use->key, key, sizeof(*key)))
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
		if (HASH_INSERT(probes->users, pid, user)) {
			free(user);
			return -ENOMEM;
		}
	}
	use->next = user->uses;
	user->uses = use;
	return 0;
}

/* Undoes what attach_use() did, and frees it. */
static void end_use(struct probes *probes, pid_t pid, struct use *use)
{
	struct shared_file *shared = use->shared;

	if (use->sites)
		session_forget_places(probes->session, pid, use->sites, use->file.bias);
	if (use->number)
		session_detach_probes(probes->session, use->number);
	if (shared && !--shared->users) {
		session_detach_probes(probes->session, shared->number);
		HASH_DEL(probes->files, shared);
		free(shared);
	}
	free(use->sites);
	free(use);
}

/* The file's probes for all processes. 0 or -errno. */
static int share(struct probes *probes, struct use *use, int fd,
		 const struct elf_probe_sites *sites)
{
	struct shared_file *shared;

	HASH_FIND(hh, probes->files, &use->key, sizeof(use->key), shared);
	if (!shared) {
		shared = calloc(1, sizeof(*shared));
		if (!shared)
			return -ENOMEM;
		shared->key = use->key;
		if (HASH_INSERT(probes->files, key, shared)) {
			free(shared);
			return -ENOMEM;
		}
		shared->number = session_attach_probes(probes->session, -1, fd, sites);
		if (shared->number < 0) {
			int err = shared->number;

			HASH_DEL(probes->files, shared);
			free(shared);
			return err;
		}
	}
	shared->users++;
	use->shared = shared;
	return 0;
}

/* The places first: an event without one would count for line 0. */
static int attach_use(struct probes *probes, pid_t pid, struct use *use, int fd,
		      struct elf_probe_sites *sites)
{
	int err = session_add_places(probes->session, pid, sites, use->file.bias);

	if (!err && probes->whole_host) {
		err = share(probes, use, fd, sites);
	} else if (!err) {
		use->number = session_attach_probes(probes->session, pid, fd, sites);
		err = use->number < 0 ? use->number : 0;
	}
	if (err) {
		use->number = 0;
		session_forget_places(probes->session, pid, sites, use->file.bias);
	}
	return err;
}

/* The process has run another program, of the same file: the probes are there, at other addresses.
 */
static int move_use(struct probes *probes, pid_t pid, struct use *use,
		    const struct mapped_file *file)
{
	if (!use->sites || use->file.bias == file->bias)
		return 0;
	session_forget_places(probes->session, pid, use->sites, use->file.bias);
	use->file.bias = file->bias;
	return session_add_places(probes->session, pid, use->sites, use->file.bias);
}

static int new_use(struct probes *probes, pid_t pid, int fd, const struct file_key *key,
		   const struct mapped_file *file)
{
	struct elf_probe_sites *sites = malloc(sizeof(*sites));
	struct use *use = calloc(1, sizeof(*use));
	int err = sites && use ? elf_image_probe_sites(fd, sites) : -ENOMEM;

	if (err)
		goto fail;
	use->key = *key;
	use->file = *file;
	err = attach_use(probes, pid, use, fd, sites);
	if (err)
		goto fail;
	if (session_places_needed(probes->session))
		use->sites = sites;
	else
		free(sites);
	err = add_use(probes, pid, use);
	if (err)
		end_use(probes, pid, use);
	return err;
fail:
	free(sites);
	free(use);
	return err;
}

/* Attaches to the file that is open as `fd`. 0 or -errno. */
static int attach(struct probes *probes, pid_t pid, int fd, const struct mapped_file *file)
{
	struct file_key key;
	struct use *use;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	key = (struct file_key){st.st_dev, st.st_ino};
	use = find_use(probes, pid, &key);
	return use ? move_use(probes, pid, use, file) : new_use(probes, pid, fd, &key, file);
}

static int attach_mapped(struct probes *probes, pid_t pid, const struct mapped_file *file)
{
	int fd = open_mapped(pid, file), err;

	if (fd < 0)
		return fd;
	err = attach(probes, pid, fd, file);
	close(fd);
	if (err)
		note_refusal(probes, file->path, err);
	return err;
}

int probes_attach(struct probes *probes, pid_t pid, const struct py_process *python)
{
	struct mapped_file file = {.dev = python->image_dev, .inode = python->image_inode};

	if (!python->has_line_probe)
		return -ENOTSUP;
	if (!python->image_fixed_address)
		file.bias = python->runtime_addr - python->image_runtime_vaddr;
	snprintf(file.path, sizeof(file.path), "%s", python->image_path);
	return attach_mapped(probes, pid, &file);
}

int probes_attach_child(struct probes *probes, pid_t child, pid_t parent)
{
	struct probe_user *user;
	struct mapped_file file;
	struct use *use;
	int err = -ENOENT;

	HASH_FIND(hh, probes->users, &parent, sizeof(parent), user);
	/* Of what the parent ran before an exec, the child has nothing. */
	for (use = user ? user->uses : NULL; use && err; use = use->next) {
		file = use->file;
		err = attach_mapped(probes, child, &file);
	}
	return err;
}

/* The file that executing `program` would open, by PATH. False: none. */
static bool find_program(const char *program, char *name, size_t size)
{
	const char *path = getenv("PATH"), *end;

	if (strchr(program, '/')) {
		snprintf(name, size, "%s", program);
		return !access(name, X_OK);
	}
	for (path = path ? path : "/usr/bin:/bin"; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(name, size, "%.*s/%s", (int)(end - path), path, program);
		if (end > path && !access(name, X_OK))
			return true;
	}
	return false;
}

/* The interpreter that the #! line of `name` leads to replaces it. False: it is no script. */
static bool follow_script(char *name, size_t size)
{
	char line[PATH_MAX], *word, *rest = line + 2;
	FILE *file = fopen(name, "re");
	bool is_script;

	if (!file)
		return false;
	is_script = fgets(line, sizeof(line), file) && line[0] == '#' && line[1] == '!';
	fclose(file);
	if (!is_script)
		return false;
	word = strtok_r(rest, " \t\n", &rest);
	if (!word)
		return false;
	/* "#!/usr/bin/env [-S] python3" */
	if (!strcmp(strrchr(word, '/') ? strrchr(word, '/') + 1 : word, "env")) {
		do
			word = strtok_r(rest, " \t\n", &rest);
		while (word && (*word == '-' || strchr(word, '=')));
	}
	return word && find_program(word, name, size);
}

int probes_attach_command(struct probes *probes, pid_t pid, const char *program)
{
	struct elf_image image = {};
	struct mapped_file file = {};
	char name[PATH_MAX];
	int fd, i, err;

	if (!find_program(program, name, sizeof(name)))
		return 0;
	for (i = 0; i < INTERPRETERS_MOST && follow_script(name, sizeof(name)); i++)
		;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return 0;
	snprintf(file.path, sizeof(file.path), "%.*s", (int)sizeof(file.path) - 1, name);
	err = elf_image_read(fd, &image);
	/* What is no interpreter is no failure. Where it will be loaded must be known if places are
	 * needed. */
	if (err || !image.is_python || !image.has_line_probe ||
	    (session_places_needed(probes->session) && !image.fixed_address))
		err = 0;
	else
		err = attach(probes, pid, fd, &file);
	close(fd);
	return err;
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
