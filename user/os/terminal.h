/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The size of the terminal that standard output is. */
#ifndef TERMINAL_H
#define TERMINAL_H

/* Columns: COLUMNS of the environment if that is a number, else what the terminal says, else 80. */
unsigned terminal_columns(void);

/* Rows: what the terminal says, else 24. */
unsigned terminal_rows(void);

#endif
