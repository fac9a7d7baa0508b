/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a program that dies while curses has the terminal leaves it without echo, on the
 * alternate screen. Signals that end the screen come through the loop, and the screen ends as
 * usual. A crash does not: so the bytes that restore the terminal are prepared, and a signal
 * handler writes them. That needs only write(2) and tcsetattr(3), which are allowed in handlers.
 *
 * After confine() curses' own Ctrl-Z would fail, since it uses kill(2). raise(3) is still allowed.
 */
#include "screen/screen_terminal.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_DELAY_MS 50

static SCREEN *screen;
static struct termios before; /* modes of the terminal before curses */
static char restore[256];     /* bytes that end what curses began */
static volatile sig_atomic_t active;

int screen_terminal_suits(char *why, size_t size)
{
	const char *term = getenv("TERM");
	int found = 0;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		snprintf(why, size, "%s is no terminal",
			 isatty(STDOUT_FILENO) ? "standard input" : "standard output");
		return -ENOTTY;
	}
	if (!term || !*term) {
		snprintf(why, size,
			 "TERM is not set, so it is not known what this terminal can do");
		return -ENOTTY;
	}
	if (setupterm(NULL, STDOUT_FILENO, &found) == ERR) {
		snprintf(why, size,
			 "this terminal is not known (TERM=%.40s; is there a package "
			 "ncurses-term?)",
			 term);
		return -ENOTTY;
	}
	if (!tigetstr("cup") || tigetstr("cup") == (char *)-1) {
		snprintf(why, size, "this terminal can't move its cursor (TERM=%.40s)", term);
		return -ENOTTY;
	}
	return 0;
}

static void add_string(const char *name)
{
	char *text = tigetstr(name);

	if (text && text != (char *)-1 && strlen(restore) + strlen(text) < sizeof(restore))
		strcat(restore, text);
}

static void on_crash(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	if (active) {
		if (write(STDOUT_FILENO, restore, strlen(restore)) < 0)
			active = 0; /* nothing more can be done about it */
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	}
	active = 0;
	sigaction(number, &action, NULL);
	raise(number);
}

static void catch_crashes(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_NODEFER};

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
}

bool screen_terminal_has_colors(void)
{
	const char *no = getenv("NO_COLOR");

	return has_colors() && !(no && *no);
}

static void begin_colors(void)
{
	if (!screen_terminal_has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(1, COLOR_RED, -1);
	init_pair(2, COLOR_YELLOW, -1);
	init_pair(3, COLOR_GREEN, -1);
}

/* Does nothing if the terminal has no mouse. Clicks come at once: curses need not wait for a double
 * click. */
static void begin_mouse(void)
{
	static const char off[] = "\033[?1006l\033[?1000l";

	mouseinterval(0);
	if (mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL) &&
	    strlen(restore) + sizeof(off) < sizeof(restore))
		strcat(restore, off);
}

int screen_terminal_begin(bool mouse)
{
	if (tcgetattr(STDIN_FILENO, &before))
		return -errno;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -ENOTTY;
	set_term(screen);
	*restore = '\0';
	add_string("sgr0");
	add_string("cnorm");
	add_string("rmkx");
	add_string("rmcup");
	active = 1;
	catch_crashes();
	cbreak();
	noecho();
	nonl();
	set_escdelay(ESCAPE_DELAY_MS);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	meta(stdscr, TRUE);
	curs_set(0);
	begin_colors();
	if (mouse)
		begin_mouse();
	return 0;
}

void screen_terminal_end(void)
{
	if (!active)
		return;
	curs_set(1);
	/* Without an alternate screen the last row would stay, and the next output would follow
	 * it. */
	move(LINES - 1, 0);
	clrtoeol();
	refresh();
	endwin();
	active = 0;
	delscreen(screen);
	screen = NULL;
}

void screen_terminal_suspend(void)
{
	def_prog_mode();
	endwin();
	raise(SIGSTOP);
	reset_prog_mode();
	screen_terminal_resized();
	clearok(stdscr, TRUE);
}

void screen_terminal_resized(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

bool screen_terminal_is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}
