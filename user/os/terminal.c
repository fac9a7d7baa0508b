/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/terminal.h"

#include <stdlib.h>
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

unsigned terminal_columns(void)
{
	const char *text = getenv("COLUMNS");
	long columns = text ? strtol(text, NULL, 10) : 0;

	if (columns > 0 && columns < COLUMNS_MAX)
		return (unsigned)columns;
	return said().ws_col ?: 80;
}

unsigned terminal_rows(void)
{
	return said().ws_row ?: 24;
}
