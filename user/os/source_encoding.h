/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In which encoding is a Python source written (PEP 263)? */
#ifndef SOURCE_ENCODING_H
#define SOURCE_ENCODING_H

#include <stddef.h>

/* Replaces `*text` (malloc'd, `*size` bytes) by the same in UTF-8, if its first two lines declare
 * another encoding, one that is known. Of an encoding that isn't, or in which the text is not
 * valid, the text stays as it is, or that part of it: what is shown is escaped anyway. A byte
 * order mark is left out. The result has at most three times the bytes. 0 or -ENOMEM. */
int source_to_utf8(char **text, size_t *size);

/* The declared encoding as iconv knows it, in `name`; "" if none is declared, or it is UTF-8. */
void source_declared_encoding(const char *text, size_t len, char *name, size_t size);

#endif
