/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source files that have changed since the process started: the line shown may not be the line that
 * ran. */
#include "render/render_parts.h"

#include "base/text.h"

void parts_changed_add(struct parts_changed *changed, const char *file)
{
	size_t i;

	for (i = 0; i < changed->count; i++)
		if (changed->files[i] == file)
			return;
	if (changed->count < PARTS_CHANGED)
		changed->files[changed->count++] = file;
}

void parts_changed_print(FILE *out, const struct render_options *options,
			 const struct parts_changed *changed)
{
	static const char *const what = "source changed since the process started:";
	unsigned column, width = options->width;
	size_t i;

	for (i = 0; i < changed->count; i++) {
		parts_style(out, options, STYLE_ALERT);
		column = text_wrap(out, what, 0, width, 2);
		parts_style(out, options, STYLE_OFF);
		/* A path is printed in one piece, even if it contains spaces. */
		if (width && column + 20 > width) {
			fputs("\n  ", out);
			column = 2;
		} else {
			fputc(' ', out);
			column++;
		}
		text_print(out, changed->files[i],
			   !width		? PARTS_FIELD_MAX
			   : width > column + 8 ? width - column
						: 8,
			   true);
		fputc('\n', out);
	}
}
