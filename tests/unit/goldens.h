/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of renderers share: stored outputs, and what no output may have. To be included after
 * cmocka.h. */
#ifndef GOLDENS_H
#define GOLDENS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct rendered {
	char *text;
	size_t size;
	int err;
};

static inline char *golden_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		fail_msg("%s: %s (PYMEM_GOLDEN_UPDATE=1 writes it)", path, strerror(errno));
	if (getdelim(&text, &size, '\0', file) < 0)
		fail_msg("%s: empty", path);
	fclose(file);
	return text;
}

static inline void golden_compare(const char *name, const struct rendered *output)
{
	const char *folder = getenv("PYMEM_GOLDEN_DIR"), *update = getenv("PYMEM_GOLDEN_UPDATE");
	char path[512], *wanted;
	FILE *file;

	assert_int_equal(output->err, 0);
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/golden", name);
	if (update && !strcmp(update, "1")) {
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(output->text, 1, output->size, file), output->size);
		assert_int_equal(fclose(file), 0);
		return;
	}
	wanted = golden_read(path);
	if (strcmp(wanted, output->text) != 0)
		fail_msg("%s differs; the output is now:\n%s", path, output->text);
	free(wanted);
}

/* No control byte but the newline, nothing that is not UTF-8, no override of direction, and no
 * line wider than asked for. Cuts the output into lines. */
static inline void golden_harmless(const struct rendered *output, unsigned width)
{
	char *line, *rest = output->text;

	assert_int_equal(output->err, 0);
	assert_int_equal(strlen(output->text), output->size);
	while ((line = strsep(&rest, "\n"))) {
		char *escaped = NULL;
		size_t size;
		FILE *out = open_memstream(&escaped, &size);
		unsigned used = text_print(out, line, 0, false);

		fclose(out);
		/* Whatever text_print() would have to escape is hostile. */
		if (strcmp(escaped, line) != 0)
			fail_msg("not harmless: %s", escaped);
		if (width && used > width)
			fail_msg("%u columns instead of %u: %s", used, width, line);
		free(escaped);
	}
}

#endif
