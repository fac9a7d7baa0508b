/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Texts that are shown in place of the list: the keys, the notes of a report, and what a process
 * keeps. The last one comes from another process, bit by bit, while the screen goes on. */
#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "screen/screen_state.h"

#define TEXT_MAX (4 << 20) /* bytes; a note replaces the rest */

static const char help[] =
	"Enter, right     into the selected row: container, program, process, line,\n"
	"                 source\n"
	"Backspace, left  out again; Esc too\n"
	"up, down, PgUp, PgDn, Home, End\n"
	"s or >, <        sort by the next column, by the one before; I: reversed\n"
	"/                filter rows by a part of their name; empty: no filter\n"
	"t                lines: own growth, or the total with what they call\n"
	"k                what the process keeps: a look at its heap\n"
	"w                write a report: a table; JSON if the name ends with .json\n"
	"r                reset: growth counts from now on\n"
	"space            pause what is shown; measuring goes on\n"
	"n                notes: what was left out or dropped\n"
	"Ctrl-L           draw the screen anew\n"
	"q                quit\n"
	"mouse            a click selects, one on the selected row goes in; the wheel\n"
	"                 moves; top --no-mouse leaves the mouse to the terminal\n"
	"\n"
	"RSS     resident now\n"
	"PSS     the same of a program or container, with each page that processes\n"
	"        share counted once; it is called RSS until that is known of all\n"
	"GROWTH  change of RSS since the start or the last reset; of a line OWN,\n"
	"        or TOTAL with what it calls\n"
	"/MIN    that in a minute, over the last minute\n"
	"TREND   RSS over the last minute; of a line its growth\n"
	"GROWN   all that was added; FREED: all that went away again\n"
	"FAULTS  page faults\n"
	"LIMIT   used part of a memory limit\n"
	"N       processes\n"
	"\n"
	"every 4 s  in the first line: so often are figures new. With many\n"
	"           processes, once a second would cost more than 1 % of a CPU\n"
	"\n"
	"K, M, G are KiB, MiB, GiB. Bold: more than a tenth of all growth (yellow),\n"
	"or more than half (red). Green: shrunk. Dim: standard library, or ended.\n";

/* --- texts --- */

static void find_lines(struct screen_pager *pager)
{
	size_t room = 0, at = 0;

	free(pager->lines);
	pager->lines = NULL;
	pager->line_count = 0;
	while (at < pager->size) {
		const char *end = memchr(pager->text + at, '\n', pager->size - at);

		if (!ARRAY_HAS_ROOM(pager->lines, pager->line_count, room))
			return; /* out of memory: shows the lines found so far */
		pager->lines[pager->line_count++] = at;
		at = end ? (size_t)(end - pager->text) + 1 : pager->size;
	}
}

char *screen_pager_line(const struct screen_pager *pager, size_t i)
{
	const char *begin = pager->text + pager->lines[i];
	size_t rest = pager->size - pager->lines[i];
	const char *end = memchr(begin, '\n', rest);

	return strndup(begin, end ? (size_t)(end - begin) : rest);
}

static int append(struct screen_pager *pager, const char *text, size_t size)
{
	char *grown;

	if (pager->size + size > pager->room) {
		grown = realloc(pager->text, (pager->size + size) * 2);
		if (!grown)
			return -ENOMEM;
		pager->text = grown;
		pager->room = (pager->size + size) * 2;
	}
	memcpy(pager->text + pager->size, text, size);
	pager->size += size;
	return 0;
}

void screen_pager_close(struct screen *screen)
{
	struct screen_pager *pager = &screen->pager;

	loop_remove(&pager->more);
	if (pager->fd >= 0) {
		steward_give_up();
		close(pager->fd);
	}
	free(pager->title);
	free(pager->text);
	free(pager->lines);
	*pager = (struct screen_pager){.fd = -1};
	if (screen->mode == MODE_PAGER)
		screen->mode = MODE_LIST;
}

static int open_pager(struct screen *screen, const char *title, const char *text)
{
	int err;

	screen_pager_close(screen);
	screen->pager.title = strdup(title);
	err = screen->pager.title ? append(&screen->pager, text, strlen(text)) : -ENOMEM;
	if (err)
		return err;
	find_lines(&screen->pager);
	screen->mode = MODE_PAGER;
	return 0;
}

int screen_show_help(struct screen *screen)
{
	return open_pager(screen, "keys and columns", help);
}

int screen_show_notes(struct screen *screen)
{
	struct model *model = profiler_snapshot(screen->profiler, false);
	char *text = NULL;
	size_t size;
	FILE *out;
	int err;

	if (!model)
		return -errno;
	out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < model->note_count; i++)
		fprintf(out, "note: %s\n", model->notes[i]);
	for (size_t i = 0; i < model->skip_count; i++)
		fprintf(out, "not profiled: pid %d (%s): %s\n", model->skips[i].pid,
			model->skips[i].comm, model->skips[i].reason);
	if (!model->note_count && !model->skip_count)
		fputs("nothing to note\n", out);
	err = fclose(out) ? -errno : open_pager(screen, "notes", text);
	free(text);
	return err;
}

/* --- what a process keeps --- */

static void end_text(struct screen *screen, const char *last)
{
	struct screen_pager *pager = &screen->pager;

	loop_remove(&pager->more);
	if (pager->fd >= 0)
		close(pager->fd);
	pager->fd = -1;
	if (append(pager, last, strlen(last)))
		screen_end(screen, -ENOMEM);
	find_lines(pager);
}

static void on_text(void *arg, uint32_t events)
{
	struct screen *screen = arg;
	struct screen_pager *pager = &screen->pager;
	char block[16384];
	ssize_t length = read(pager->fd, block, sizeof(block));

	(void)events;
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Removes the first line, which said that it takes a moment. */
	if (pager->lines && pager->line_count == 1 && pager->text[0] == '.') {
		pager->size = 0;
		pager->top = 0;
	}
	if (length <= 0) {
		end_text(screen, pager->size ? "" : "nothing could be found out\n");
	} else if (pager->size + (size_t)length > TEXT_MAX) {
		steward_give_up();
		end_text(screen, "\n(the rest is left out)\n");
	} else if (append(pager, block, (size_t)length)) {
		screen_end(screen, -ENOMEM);
		return;
	} else {
		find_lines(pager);
	}
	screen_draw(screen);
}

int screen_show_heap(struct screen *screen, const struct screen_process *process)
{
	char title[128];
	int fd, err;

	if (process->ended) {
		screen_say(screen, "pid %d has ended", process->key.pid);
		return 0;
	}
	snprintf(title, sizeof(title), "what pid %d keeps", process->key.pid);
	err = open_pager(screen, title, "... looking at its heap; q gives up\n");
	if (err)
		return err;
	fd = steward_look(process->key.pid, (unsigned)COLS);
	if (fd < 0) {
		screen_pager_close(screen);
		screen_say(screen, "its heap can't be looked at: %s", strerror(-fd));
		return 0;
	}
	screen->pager.fd = fd;
	return loop_add(screen->loop, &screen->pager.more, fd, EPOLLIN, on_text, screen);
}

/* --- keys --- */

static void scroll_to(struct screen_pager *pager, long top, size_t shown)
{
	long most = (long)pager->line_count - (long)shown;

	top = top > most ? most : top;
	pager->top = top > 0 ? (size_t)top : 0;
}

void screen_pager_scroll(struct screen *screen, long by)
{
	scroll_to(&screen->pager, (long)screen->pager.top + by, screen_list_rows());
}

void screen_pager_key(struct screen *screen, unsigned key, bool special)
{
	struct screen_pager *pager = &screen->pager;
	size_t shown = screen_list_rows();
	long top = (long)pager->top, page = (long)(shown > 1 ? shown - 1 : 1);

	if (!special) {
		if (key == 'q' || key == 27 || key == '\r' || key == '\n' || key == 127 || key == 8)
			screen_pager_close(screen);
		else if (key == ' ')
			scroll_to(pager, top + page, shown);
		return;
	}
	switch (key) {
	case KEY_UP:
		scroll_to(pager, top - 1, shown);
		break;
	case KEY_DOWN:
		scroll_to(pager, top + 1, shown);
		break;
	case KEY_PPAGE:
		scroll_to(pager, top - page, shown);
		break;
	case KEY_NPAGE:
		scroll_to(pager, top + page, shown);
		break;
	case KEY_HOME:
		scroll_to(pager, 0, shown);
		break;
	case KEY_END:
		scroll_to(pager, (long)pager->line_count, shown);
		break;
	case KEY_LEFT:
		pager->left = pager->left > 8 ? pager->left - 8 : 0;
		break;
	case KEY_RIGHT:
		pager->left += 8;
		break;
	case KEY_BACKSPACE:
	case KEY_ENTER:
		screen_pager_close(screen);
		break;
	}
}
