/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/sudo.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "pymem-bpf"
/* In a shell, these bytes stand for themselves. */
#define PLAIN                                                  \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
	"0123456789/._-+,:@%="

/* Where sudo looks: the secure_path of Debian, Fedora and others. */
static const char *const searched[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
				       "/usr/bin",	  "/sbin",	    "/bin"};

/* Is `path` a file called pymem-bpf in such a folder? */
static bool is_searched(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (!slash || strcmp(slash + 1, NAME) != 0)
		return false;
	for (size_t i = 0; i < sizeof(searched) / sizeof(*searched); i++)
		if (strlen(searched[i]) == length && !memcmp(searched[i], path, length))
			return true;
	return false;
}

static bool is_same_file(const char *one, const char *other)
{
	struct stat a, b;

	return !stat(one, &a) && !stat(other, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Is the first pymem-bpf of these folders, which is what `which` prints, the file `path`? */
static bool is_first(const char *path, const char *folders)
{
	char candidate[PATH_MAX];
	struct stat st;
	int length;

	for (const char *at = folders; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
		length = (int)strcspn(at, ":");
		/* An empty entry is the current folder, as which has it. */
		if (snprintf(candidate, sizeof(candidate), "%.*s/" NAME, length ? length : 1,
			     length ? at : ".") >= (int)sizeof(candidate))
			continue;
		if (!stat(candidate, &st) && S_ISREG(st.st_mode) && !access(candidate, X_OK))
			return is_same_file(candidate, path);
	}
	return false;
}

/* Appends `path` as a word of a shell. False if it does not fit, or can't be shown as it is. */
static bool add_word(char *text, size_t size, const char *path)
{
	const char *quote = path[strspn(path, PLAIN)] ? "'" : "";
	size_t used = strlen(text);

	used += (size_t)snprintf(text + used, size - used, "%s", quote);
	for (; *path; path++) {
		if ((unsigned char)*path < ' ' || (unsigned char)*path >= 0x7f)
			return false;
		if (used + 8 > size)
			return false;
		used += (size_t)snprintf(text + used, size - used, *path == '\'' ? "'\\''" : "%c",
					 *path);
	}
	snprintf(text + used, size - used, "%s", quote);
	return true;
}

void sudo_command_of(char *text, size_t size, const char *path, const char *folders)
{
	if (!is_searched(path) && is_first(path, folders)) {
		snprintf(text, size, "sudo $(which " NAME ")");
		return;
	}
	snprintf(text, size, "sudo ");
	if (is_searched(path) || size < 16 || !add_word(text, size, path))
		snprintf(text, size, "sudo " NAME);
}

void sudo_command(char *text, size_t size)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length <= 0 || length >= (ssize_t)sizeof(path) - 1) {
		snprintf(text, size, "sudo " NAME);
		return;
	}
	path[length] = '\0';
	sudo_command_of(text, size, path, getenv("PATH"));
}
