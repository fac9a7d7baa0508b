/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a child has from its parent: all of it, or the want of memory is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "track/image.h"

static int copies_left; /* < 0: there is memory for any number */

/* In place of the C library's. */
char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	if (!copies_left)
		return NULL;
	copies_left -= copies_left > 0;
	copy = malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}

static struct image *new_image(void)
{
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->root.root_fd = image->root.cwd_fd = -1;
	return image;
}

static void test_inherits(void **state)
{
	static char *argv[] = {"python3", "app.py", "--workers", NULL}, cgroup[] = "/batch.slice";
	struct image *parent = new_image(), *child;

	(void)state;
	parent->cgroup = cgroup;
	parent->argv = argv;
	/* Three words and a cgroup. */
	for (int copies = -1; copies < 4; copies++) {
		child = new_image();
		copies_left = copies;
		assert_int_equal(image_inherit(child, parent, false), copies < 0 ? 0 : -ENOMEM);
		assert_true(copies < 0 || copies == 3 ? child->argv != NULL : !child->argv);
		for (size_t i = 0; child->argv && i < 4; i++)
			assert_true(i < 3 ? !strcmp(child->argv[i], argv[i]) : !child->argv[i]);
		assert_true(copies < 0 ? child->cgroup != NULL : !child->cgroup);
		image_free(child);
	}
	free(parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_inherits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
