/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The data of a web page, without the page around them: that is one text for all reports. To be
 * included after cmocka.h. */
#ifndef PAGE_TEXT_H
#define PAGE_TEXT_H

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "goldens.h"

/* Replaces a page by its data, in which nothing is but ASCII, and nothing that HTML knows. */
static inline void page_to_data(struct rendered *output)
{
	static const char begin[] = "<script type=\"application/json\" id=\"data\">";
	static const char end[] = "</script>";
	char *from = strstr(output->text, begin), *to, *at;

	assert_int_equal(strncmp(output->text, "<!doctype html>\n", 16), 0);
	assert_non_null(from);
	from += strlen(begin);
	to = strstr(from, end);
	assert_non_null(to);
	assert_int_equal(strlen(output->text), output->size);
	assert_int_equal(strcmp(output->text + output->size - 8, "</html>\n"), 0);
	output->size = (size_t)(to - from);
	memmove(output->text, from, output->size);
	output->text[output->size] = '\0';
	for (at = output->text; *at; at++)
		if (!isascii(*at) || strchr("<>&", *at) || (iscntrl(*at) && *at != '\n'))
			fail_msg("not harmless: %.40s", at);
}

#endif
