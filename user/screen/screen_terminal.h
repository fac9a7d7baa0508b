/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The terminal: whether it suits, how curses begins and ends, and how it is restored.
 */
#ifndef SCREEN_TERMINAL_H
#define SCREEN_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* 0 if the live screen can be drawn here. Else -ENOTTY, and `why` (at most `size` bytes) says what
 * is missing. */
int screen_terminal_suits(char *why, size_t size);

/* Begins curses; `mouse`: takes the mouse, if the terminal has one. From now on a fatal signal
 * restores the terminal first. 0, or -errno. */
int screen_terminal_begin(bool mouse);
/* Ends curses and restores the terminal. Does nothing if that is done. */
void screen_terminal_end(void);

/* Stops this process, as Ctrl-Z does, with the terminal restored; returns when it goes on. */
void screen_terminal_suspend(void);

/* Takes over the size that the terminal has now. */
void screen_terminal_resized(void);

bool screen_terminal_is_utf8(void);
/* True if colours may be used: the terminal has some, and NO_COLOR is unset or empty. */
bool screen_terminal_has_colors(void);

#endif
