/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a user types to run this very program as root. sudo looks for programs in folders of its
 * own, not in the user's PATH: `sudo pymem-bpf` does not find what pip has put into a virtual
 * environment. */
#ifndef SUDO_H
#define SUDO_H

#include <stddef.h>

/* Writes the beginning of the command into `text`, which has `size` bytes and always ends with a
 * NUL:
 *
 *   sudo pymem-bpf             the program lies where sudo looks
 *   sudo $(which pymem-bpf)    it does not, and is the first of this name in PATH
 *   sudo /a/path/pymem-bpf     neither; quoted for a shell where it has to be
 *
 * Where the program's file can't be told (no /proc), or its path is too long for `text` or has
 * control bytes in it, it is the first. */
void sudo_command(char *text, size_t size);

/* The same for a program at `path`, absolute and without links, and folders to search as PATH has
 * them (NULL: none). For sudo_command(), and for tests. */
void sudo_command_of(char *text, size_t size, const char *path, const char *folders);

#endif
