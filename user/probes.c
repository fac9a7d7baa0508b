/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A probe is attached through a file; the same file, by device and inode, is attached once
 * per process, or once in all for the whole host.
 *
 * The kernel opens the file by the name it is given: the target's own view of its root is
 * used, and what is found there must be the file that is mapped.
 */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_image.h"
#include "hash.h"

#define INTERPRETERS_MOST 4 /* #! lines that name scripts */

struct attached {
	struct {
		pid_t pid; /* -1: all */
		uint32_t pad;
		uint64_t dev, inode;
	} key;
	enum py_build_kind kind;
	char path[512]; /* of the file as the process sees it */
	UT_hash_handle hh;
};

struct probes {
	struct session *session;
	bool whole_host;
	struct attached *attached;
};

struct probes *probes_new(struct session *session, bool whole_host)
{
	struct probes *probes = calloc(1, sizeof(*probes));

	if (!probes)
		return NULL;
	probes->session = session;
	probes->whole_host = whole_host;
	return probes;
}

void probes_free(struct probes *probes)
{
	struct attached *a, *next;

	if (!probes)
		return;
	HASH_ITER(hh, probes->attached, a, next)
	{
		HASH_DEL(probes->attached, a);
		free(a);
	}
	free(probes);
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

/* Attaches through `file`, a name that opens the file `key` stands for. */
static int attach(struct probes *probes, const struct attached *like, const char *file)
{
	struct attached *a;
	int err;

	HASH_FIND(hh, probes->attached, &like->key, sizeof(like->key), a);
	if (a)
		return 0;
	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = *like;
	if (HASH_INSERT(probes->attached, key, a)) {
		free(a);
		return -ENOMEM;
	}
	err = session_attach_probes(probes->session, a->key.pid, file);
	if (err) {
		HASH_DEL(probes->attached, a);
		free(a);
	}
	return err;
}

/* A name under which the file that `pid` has mapped can be opened. 0 or -errno. */
static int file_name(pid_t pid, const struct attached *a, char *name, size_t size)
{
	struct stat st;

	if (a->kind == PY_BUILD_STATIC)
		snprintf(name, size, "/proc/%d/exe", pid);
	else
		snprintf(name, size, "/proc/%d/root%s", pid, a->path);
	if (stat(name, &st))
		return -errno;
	/* Another file took its place since it was mapped. */
	if (st.st_ino != a->key.inode)
		return -ESTALE;
	return 0;
}

int probes_attach(struct probes *probes, pid_t pid, const struct py_process *python)
{
	struct attached a = {.kind = python->kind};
	char name[PATH_MAX];
	int err;

	if (!python->has_line_probe)
		return -ENOTSUP;
	a.key.pid = probes->whole_host ? -1 : pid;
	a.key.dev = python->image_dev;
	a.key.inode = python->image_inode;
	snprintf(a.path, sizeof(a.path), "%s", python->image_path);
	err = file_name(pid, &a, name, sizeof(name));
	return err ?: attach(probes, &a, name);
}

int probes_attach_child(struct probes *probes, pid_t child, pid_t parent)
{
	struct attached *a, *next, like;
	char name[PATH_MAX];
	int err;

	if (probes->whole_host)
		return 0;
	HASH_ITER(hh, probes->attached, a, next)
	{
		if (a->key.pid != parent)
			continue;
		like = *a;
		like.key.pid = child;
		err = file_name(child, &like, name, sizeof(name));
		return err ?: attach(probes, &like, name);
	}
	return -ENOENT;
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
	struct attached a = {.kind = PY_BUILD_STATIC};
	struct elf_image image = {};
	char name[PATH_MAX];
	struct stat st;
	int fd, i, err;

	if (!find_program(program, name, sizeof(name)))
		return 0;
	for (i = 0; i < INTERPRETERS_MOST && follow_script(name, sizeof(name)); i++)
		;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	err = elf_image_read(fd, &image);
	if (!err && fstat(fd, &st))
		err = -errno;
	close(fd);
	if (err || !image.is_python || !image.has_line_probe)
		return 0;
	a.key.pid = probes->whole_host ? -1 : pid;
	a.key.dev = st.st_dev;
	a.key.inode = st.st_ino;
	return attach(probes, &a, name);
}

void probes_forget(struct probes *probes, pid_t pid)
{
	struct attached *a, *next;
	bool any = false;

	HASH_ITER(hh, probes->attached, a, next)
	{
		if (a->key.pid != pid)
			continue;
		any = true;
		HASH_DEL(probes->attached, a);
		free(a);
	}
	if (any)
		session_detach_probes(probes->session, pid);
}
