/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text files that options name: certificates, keys, tokens. */
#ifndef GIVEN_FILE_H
#define GIVEN_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct given_file {
	const char *option; /* that names it, for messages: "--tls-key" */
	const char *path;
	bool secret; /* nobody but its owner may read it, and that is this user or root */
	size_t most; /* bytes that it may have, but for one */
};

/* Reads all of the file, which must be a regular one and a text. `*text`, with a NUL behind it, is
 * the caller's to free. 0, or -errno with a sentence for the user in `why` (`size` bytes). */
int given_file_read(const struct given_file *file, char **text, char *why, size_t size);
/* The same of a secret that is the file's only line, of printable characters of ASCII: `least` to
 * `most` of them, and none that is a blank. `has` for messages: "a token has". */
int given_file_secret(const struct given_file *file, const char *has, size_t least, size_t most,
		      char **text, char *why, size_t size);
/* Overwrites the text and frees it. NULL is allowed. */
void given_file_wipe(char *text);

#endif
