/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MAX 10000

static struct winsize said(void)
{
	struct winsize size = {};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		size = (struct winsize){};
	return size;
}

/* The number in the environment's COLUMNS; 0: there is none. */
static unsigned columns_wanted(void)
{
	const char *text = getenv("COLUMNS");
	long columns = text ? strtol(text, NULL, 10) : 0;

	return columns > 0 && columns < COLUMNS_MAX ? (unsigned)columns : 0;
}

unsigned terminal_columns(void)
{
	return columns_wanted() ?: said().ws_col ?: 80;
}

unsigned terminal_rows(void)
{
	return said().ws_row ?: 24;
}

unsigned terminal_report_width(unsigned asked, bool terminal)
{
	return asked ?: (terminal ? terminal_columns() : columns_wanted());
}

bool terminal_has_escapes(void)
{
	const char *term = getenv("TERM");

	return !term || strcmp(term, "dumb") != 0;
}

bool terminal_has_colors(void)
{
	const char *no = getenv("NO_COLOR");

	return (!no || !*no) && terminal_has_escapes();
}
