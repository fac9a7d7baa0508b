/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The real interpreters that tests examine: those in $PYMEM_TEST_PYTHONS (separated by colons),
 * else pyenv's and the system's. Each is asked what it is; its path is not relied upon. */
#ifndef PYTHONS_H
#define PYTHONS_H

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PYTHONS_MAX 32

struct test_python {
	char path[PATH_MAX];
	char version[32];	/* first word of sys.version */
	char library[PATH_MAX]; /* the ELF file that contains the interpreter */
};

struct test_pythons {
	struct test_python list[PYTHONS_MAX];
	size_t count;
};

static inline int pythons_is_elf(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), is_elf;
	char magic[4] = "";

	if (fd < 0)
		return 0;
	is_elf = read(fd, magic, 4) == 4 && memcmp(magic, "\177ELF", 4) == 0;
	close(fd);
	return is_elf;
}

/* The first output line of a shell command, without its newline; empty if the command failed. */
static inline void pythons_ask(const char *command, char *buf, size_t size)
{
	FILE *out = popen(command, "r");

	buf[0] = '\0';
	if (!out)
		return;
	if (!fgets(buf, (int)size, out))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	pclose(out);
}

static inline void pythons_add(struct test_pythons *pythons, const char *path)
{
	struct test_python *python = &pythons->list[pythons->count];
	char command[2 * PATH_MAX], line[PATH_MAX];

	if (pythons->count == PYTHONS_MAX || !pythons_is_elf(path))
		return;
	snprintf(python->path, sizeof(python->path), "%s", path);
	snprintf(command, sizeof(command), "'%s' -S -c 'import sys; print(sys.version.split()[0])'",
		 path);
	pythons_ask(command, python->version, sizeof(python->version));
	snprintf(command, sizeof(command),
		 "'%s' -S -c 'import sysconfig as s; v = s.get_config_var; "
		 "print(v(\"Py_ENABLE_SHARED\") and v(\"LIBDIR\") + \"/\" + v(\"INSTSONAME\"))'",
		 path);
	pythons_ask(command, line, sizeof(line));
	/* Debian's static interpreters have the configuration of the shared library. */
	snprintf(python->library, sizeof(python->library), "%s",
		 line[0] == '/' && pythons_is_elf(line) && strstr(path, "/usr/bin/") != path
			 ? line
			 : path);
	if (python->version[0])
		pythons->count++;
}

static inline void pythons_find(struct test_pythons *pythons)
{
	const char *given = getenv("PYMEM_TEST_PYTHONS"), *home = getenv("HOME");
	char pattern[PATH_MAX], *copy, *path, *save = NULL;
	glob_t found;

	pythons->count = 0;
	if (given) {
		copy = strdup(given);
		for (path = strtok_r(copy, ":", &save); path; path = strtok_r(NULL, ":", &save))
			pythons_add(pythons, path);
		free(copy);
		return;
	}
	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/*/bin/python[23].[0-9]*",
		 home ? home : "");
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			pythons_add(pythons, found.gl_pathv[i]);
		globfree(&found);
	}
	if (glob("/usr/bin/python[23].[0-9]*", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			pythons_add(pythons, found.gl_pathv[i]);
		globfree(&found);
	}
}

#endif
