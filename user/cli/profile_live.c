/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of the profile command while processes run. Each report is drawn over the one before,
 * with as many lines as the screen has rows. */
#include "cli/profile_live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/terminal.h"

/* How many lines -v shows of each process, so that the largest processes fit on the screen. Each
 * process has about ten further lines of text. */
static unsigned live_lines(const struct profile_options *o, unsigned rows, size_t processes)
{
	unsigned shown = rows / 14, most = o->top;

	if (!o->verbosity)
		return most;
	if (shown > processes)
		shown = processes;
	rows /= shown ? shown : 1;
	rows = rows > 16 ? rows - 12 : 4;
	return most && most < rows ? most : rows;
}

/* Writes as much of `text` as fits on the screen, from the top. 0 or -errno. */
static int draw(const char *text, unsigned rows)
{
	const char *at, *end;
	unsigned line;

	fputs("\033[H", stdout);
	for (at = text, line = 0; *at && line + 1 < rows; at = end + 1, line++) {
		end = strchrnul(at, '\n');
		fwrite(at, 1, end - at, stdout);
		fputs("\033[K\n", stdout);
		if (!*end)
			break;
	}
	fputs("\033[J", stdout);
	return fflush(stdout) ? -errno : 0;
}

/* Says that the function of -f has nothing to show yet. */
static void say_waiting(const struct profile_options *o, FILE *out, unsigned width)
{
	char text[512], name[256];

	text_escape(name, sizeof(name), o->function);
	snprintf(text, sizeof(text), "waiting: %s has not %s yet", name,
		 o->functions ? "been called"
		 : o->lines   ? "run"
			      : "changed memory");
	text_wrap(out, text, 0, width, 0);
	fputs("\n\nCtrl-C ends\n", out);
}

/* The report is built in memory first, then cut to the screen. */
int profile_live_draw(const struct profile_options *o, struct profiler *profiler,
		      const struct renderer *renderer, struct render_memory *shown)
{
	struct model *model = profiler_snapshot(profiler, false);
	struct render_options ro = profile_render_options(o, profiler_sources(profiler));
	unsigned rows = terminal_rows();
	char *text = NULL;
	FILE *memory;
	size_t size;
	int err;

	if (!model)
		return -errno;
	memory = open_memstream(&text, &size);
	if (!memory)
		return -ENOMEM;
	ro.width = o->width ? o->width : terminal_columns();
	ro.color = terminal_has_colors();
	/* All rows but the last one, and one for the footer. */
	ro.height = rows > 4 ? rows - 2 : 2;
	ro.top = live_lines(o, rows, model->process_count);
	ro.live = true;
	ro.memory = shown;
	err = renderer->emit(memory, model, &ro);
	if (err == -ENOENT) {
		say_waiting(o, memory, ro.width);
		err = 0;
	} else if (!err && !ro.verbose && !ro.function) {
		fputs("Ctrl-C ends and prints the report\n", memory);
	}
	fclose(memory);
	if (!err)
		err = draw(text, rows);
	free(text);
	return err;
}
