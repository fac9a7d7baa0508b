/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The size of the terminal on standard output. */
#ifndef TERMINAL_H
#define TERMINAL_H

/* Columns: the number in the environment's COLUMNS; else what the terminal says; else 80. */
unsigned terminal_columns(void);

/* Rows: what the terminal says; else 24. */
unsigned terminal_rows(void);

#endif
