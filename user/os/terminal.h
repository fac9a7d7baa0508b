/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The terminal on standard output: its size, and what may be written to it. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>

/* Columns: the number in the environment's COLUMNS; else what the terminal says; else 80. */
unsigned terminal_columns(void);

/* Rows: what the terminal says; else 24. */
unsigned terminal_rows(void);

/* The width of a report: `asked` (--width) unless that is 0; else the number in COLUMNS; else if
 * the report goes to a `terminal`, its columns; else 0: no limit. */
unsigned terminal_report_width(unsigned asked, bool terminal);

/* True if escape sequences may be written: TERM is not "dumb". */
bool terminal_has_escapes(void);

/* True if colours may be: escapes too, and NO_COLOR is not set, or empty. */
bool terminal_has_colors(void);

#endif
