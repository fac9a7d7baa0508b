/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/report_output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "os/confine.h"
#include "os/terminal.h"

int report_output_open(struct report_output *out, const struct command *command, const char *path,
		       mode_t mode)
{
	int err;

	out->command = command;
	err = output_open(&out->output, path, mode);
	if (!err)
		return 0;
	options_complain(command, "-o %s: %s", path, output_explain(err));
	return EXIT_FAILED;
}

int report_output_page(struct report_output *out)
{
	int err = pager_prepare(&out->pager);

	if (!err)
		return 0;
	options_complain(out->command, "the pager can't be started: %s", strerror(-err));
	return EXIT_FAILED;
}

unsigned report_output_needs(const struct report_output *out)
{
	return out->output.path ? CONFINE_REPORT : 0;
}

FILE *report_output_begin(struct report_output *out, unsigned *width, bool *color)
{
	bool terminal = !out->output.path && isatty(STDOUT_FILENO);
	FILE *paged = pager_begin(&out->pager);

	*width = terminal_report_width(out->width, terminal);
	*color = terminal && terminal_has_colors() && (!paged || pager_has_colors(&out->pager));
	return paged ? paged : out->output.file;
}

/* "3.3 KB", in powers of ten, as file managers and ls --si have it. */
static void file_size(char *text, size_t size, double bytes)
{
	static const char *const units[] = {"B", "KB", "MB", "GB"};
	size_t i = 0;

	for (; bytes >= 1000 && i < 3; i++)
		bytes /= 1000;
	snprintf(text, size, i ? "%.1f %s" : "%.0f %s", bytes, units[i]);
}

static void say_written(const struct report_output *out, const char *path, off_t bytes)
{
	char size[32];

	if (out->quiet || !isatty(STDERR_FILENO))
		return;
	file_size(size, sizeof(size), (double)bytes);
	fputs("report written: ", stderr);
	text_print(stderr, path, 0, false);
	fprintf(stderr, " (%s)\n", size);
}

/* A user who ends the pager early has seen what he wanted: that is no error. */
static int end_pager(struct report_output *out, int err)
{
	int status = pager_end(&out->pager);

	if (!status)
		return err == -EPIPE ? 0 : err;
	options_complain(out->command,
			 "the pager could not be run (status %d): set PAGER, or leave "
			 "--pager out",
			 status);
	return -ECHILD;
}

int report_output_end(struct report_output *out, int err)
{
	const char *path = out->output.path;
	struct stat st = {};
	bool paged = out->pager.pid > 0;

	if (paged)
		err = end_pager(out, err);
	if (!err && out->output.regular && !fflush(out->output.file))
		fstat(fileno(out->output.file), &st);
	if (err)
		output_discard(&out->output);
	else if (!paged)
		err = output_commit(&out->output);
	if (!err && st.st_size)
		say_written(out, path, st.st_size);
	if (err && err != -ENOENT && err != -ECHILD)
		options_complain(out->command, "the report could not be written%s%s: %s",
				 path ? " to " : "", path ? path : "", strerror(-err));
	return err ? EXIT_FAILED : EXIT_DONE;
}

void report_output_fini(struct report_output *out)
{
	output_discard(&out->output);
	pager_abandon(&out->pager);
}
