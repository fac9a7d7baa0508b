/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The figures of a line as columns: which of them say something, which fit, how wide they are.
 *
 * Some columns matter to few programs; such a column is shown only if some line has a figure in it.
 * If the room is too small, the least telling columns are left out. The increment and the column
 * sorted by always stay. */
#include "render/render_parts.h"

#include <string.h>

struct parts_column {
	const char *title;
	/* Writes the figure as it is shown. */
	void (*show)(char *text, size_t size, const struct model_line *line, uint64_t page_size);
	/* True if the line has that figure. NULL: every line has it. */
	bool (*is_known)(const struct model_line *line);
	/* True if the line has a figure worth showing beside a column of changes. NULL: the column
	 * is shown there only if lines are sorted by it. */
	bool (*tells_more)(const struct model_line *line, uint64_t page_size);
	bool shows_0;	      /* written as 0, not left blank, where another line has a figure */
	unsigned keep;	      /* the higher, the longer the column stays */
	enum model_sort sort; /* if `sorts`: the column stays if lines are sorted by this */
	bool sorts;
};

#define KEEP_ALWAYS 100

#define SHOW(name, show_it)                                                             \
	static void show_##name(char *text, size_t size, const struct model_line *line, \
				uint64_t page_size)                                     \
	{                                                                               \
		(void)page_size;                                                        \
		show_it;                                                                \
	}

SHOW(mem_usage, parts_size(text, size, line->mem_usage_bytes, false))
SHOW(increment, parts_size(text, size, line->increment_bytes, false))
SHOW(resident, parts_size(text, size, line->resident_bytes, false))
SHOW(total, parts_size(text, size, line->total_bytes, false))
SHOW(gc, parts_size(text, size, line->gc_bytes, false))
SHOW(occurrences, snprintf(text, size, "%lld", (long long)line->occurrences))
SHOW(grown, parts_size(text, size, (int64_t)line->grown_bytes, false))
SHOW(freed, parts_size(text, size, (int64_t)line->freed_bytes, false))
SHOW(peak, parts_size(text, size, line->peak_bytes, false))
SHOW(minor, snprintf(text, size, "%llu", (unsigned long long)line->minor_faults))
SHOW(major, snprintf(text, size, "%llu", (unsigned long long)line->major_faults))
SHOW(cow, parts_size(text, size, (int64_t)(line->cow_faults *page_size), false))

SHOW(stalled, parts_time(text, size, line->stalled_ns))
SHOW(huge, snprintf(text, size, "%llu",
		    (unsigned long long)(line->extras[PYMEM_EXTRA_HUGE_PAGES] +
					 line->extras[PYMEM_EXTRA_COLLAPSES])))
SHOW(swapped_in, parts_size(text, size, (int64_t)line->extras[PYMEM_EXTRA_SWAPPED_IN], false))
SHOW(cached, parts_size(text, size, (int64_t)line->cached.bytes, false))

SHOW(kernel, parts_size(text, size, model_line_kernel_bytes(line), false))

static bool has_mem_usage(const struct model_line *line)
{
	return line->mem_usage_bytes >= 0;
}

static bool has_resident(const struct model_line *line)
{
	return line->resident_bytes >= 0;
}

static bool has_occurrences(const struct model_line *line)
{
	return line->occurrences >= 0;
}

static bool has_gc(const struct model_line *line)
{
	return line->gc_bytes != 0;
}

static bool has_peak(const struct model_line *line)
{
	return line->peak_bytes >= 0;
}

static bool has_minor(const struct model_line *line)
{
	return line->minor_faults > 0;
}

static bool has_major(const struct model_line *line)
{
	return line->major_faults > 0;
}

static bool has_cow(const struct model_line *line)
{
	return line->cow_faults > 0;
}

static bool has_stalled(const struct model_line *line)
{
	return line->stalls > 0;
}

static bool has_cached(const struct model_line *line)
{
	return line->cached.bytes > 0;
}

static bool has_huge(const struct model_line *line)
{
	return line->extras[PYMEM_EXTRA_HUGE_PAGES] || line->extras[PYMEM_EXTRA_COLLAPSES];
}

static bool has_swapped_in(const struct model_line *line)
{
	return line->extras[PYMEM_EXTRA_SWAPPED_IN] > 0;
}

static bool has_kernel(const struct model_line *line)
{
	return parts_has_kernel(model_line_kernel(line));
}

static bool more_resident(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return line->resident_bytes >= 0;
}

static bool more_occurrences(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return line->occurrences >= 0;
}

static bool more_cow(const struct model_line *line, uint64_t page_size)
{
	return line->cow_faults * page_size >= (1 << 20) / 20;
}

static bool more_stalled(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return line->stalls > 0;
}

static bool more_cached(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return line->cached.bytes > 0;
}

static bool more_huge(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return has_huge(line);
}

static bool more_swapped_in(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return has_swapped_in(line);
}

static bool more_kernel(const struct model_line *line, uint64_t page_size)
{
	(void)page_size;
	return parts_has_kernel(model_line_kernel(line));
}

/* In the order in which they are shown. */
static const struct parts_column all[PARTS_COLUMNS] = {
	{.title = "Mem usage", .show = show_mem_usage, .is_known = has_mem_usage, .keep = 9},
	{.title = "Increment", .show = show_increment, .keep = KEEP_ALWAYS},
	{.title = "Resident",
	 .show = show_resident,
	 .is_known = has_resident,
	 .tells_more = more_resident,
	 .keep = 8,
	 .sort = MODEL_SORT_RESIDENT,
	 .sorts = true},
	{.title = "Occurrences",
	 .show = show_occurrences,
	 .is_known = has_occurrences,
	 .tells_more = more_occurrences,
	 .keep = 8},
	{.title = "GC", .show = show_gc, .is_known = has_gc, .keep = 6},
	{.title = "Total", .show = show_total, .keep = 7, .sort = MODEL_SORT_TOTAL, .sorts = true},
	{.title = "Grown", .show = show_grown, .keep = 5, .sort = MODEL_SORT_GROWN, .sorts = true},
	{.title = "Freed", .show = show_freed, .keep = 4, .sort = MODEL_SORT_FREED, .sorts = true},
	{.title = "Peak",
	 .show = show_peak,
	 .is_known = has_peak,
	 .keep = 3,
	 .sort = MODEL_SORT_PEAK,
	 .sorts = true},
	{.title = "Faults", .show = show_minor, .is_known = has_minor, .shows_0 = true, .keep = 2},
	{.title = "Major", .show = show_major, .is_known = has_major, .keep = 1},
	{.title = "Copied",
	 .show = show_cow,
	 .is_known = has_cow,
	 .tells_more = more_cow,
	 .keep = 6,
	 .sort = MODEL_SORT_COW,
	 .sorts = true},
	{.title = "Stalled",
	 .show = show_stalled,
	 .is_known = has_stalled,
	 .tells_more = more_stalled,
	 .keep = 7,
	 .sort = MODEL_SORT_STALLED,
	 .sorts = true},
	{.title = "Cached",
	 .show = show_cached,
	 .is_known = has_cached,
	 .tells_more = more_cached,
	 .keep = 7,
	 .sort = MODEL_SORT_CACHED,
	 .sorts = true},
	{.title = "Huge",
	 .show = show_huge,
	 .is_known = has_huge,
	 .tells_more = more_huge,
	 .keep = 6,
	 .sort = MODEL_SORT_HUGE,
	 .sorts = true},
	{.title = "Swapped in",
	 .show = show_swapped_in,
	 .is_known = has_swapped_in,
	 .tells_more = more_swapped_in,
	 .keep = 6,
	 .sort = MODEL_SORT_SWAPPED,
	 .sorts = true},
	{.title = "Kernel",
	 .show = show_kernel,
	 .is_known = has_kernel,
	 .tells_more = more_kernel,
	 .keep = 7,
	 .sort = MODEL_SORT_KERNEL,
	 .sorts = true},
};

static bool says_something(const struct parts_column *column, const struct model_line *lines,
			   size_t count)
{
	size_t i;

	for (i = 0; column->is_known && i < count; i++) {
		if (column->is_known(&lines[i]))
			return true;
	}
	return !column->is_known;
}

static unsigned widest(const struct parts_column *column, const struct model_line *lines,
		       size_t count, uint64_t page_size, unsigned least)
{
	unsigned width = (unsigned)strlen(column->title), wide;
	char text[32];
	size_t i;

	if (width < least)
		width = least;
	for (i = 0; i < count; i++) {
		column->show(text, sizeof(text), &lines[i], page_size);
		wide = (unsigned)strlen(text);
		if (width < wide)
			width = wide;
	}
	return width;
}

/* The index of the column to leave out first; chosen->count: none may go. */
static unsigned least_telling(const struct parts_columns *chosen, enum model_sort sort)
{
	unsigned i, found = chosen->count, keep = KEEP_ALWAYS;

	for (i = 0; i < chosen->count; i++) {
		if (chosen->column[i]->keep >= keep ||
		    (chosen->column[i]->sorts && chosen->column[i]->sort == sort))
			continue;
		keep = chosen->column[i]->keep;
		found = i;
	}
	return found;
}

static void give_up(struct parts_columns *chosen, unsigned at)
{
	chosen->total -= chosen->width[at] + (chosen->count > 1 ? 2 : 0);
	chosen->count--;
	memmove(&chosen->column[at], &chosen->column[at + 1],
		(chosen->count - at) * sizeof(chosen->column[0]));
	memmove(&chosen->width[at], &chosen->width[at + 1],
		(chosen->count - at) * sizeof(chosen->width[0]));
}

/* Adds the column `from` to the chosen ones. */
static void choose(struct parts_columns *chosen, const struct parts_column *from,
		   const struct model_line *lines, size_t count, uint64_t page_size, unsigned least)
{
	chosen->column[chosen->count] = from;
	chosen->width[chosen->count] = widest(from, lines, count, page_size, least);
	chosen->total += chosen->width[chosen->count++] + 2;
}

/* Leaves out columns until the others fit. */
static void make_fit(struct parts_columns *chosen, unsigned room, enum model_sort sort)
{
	unsigned at;

	chosen->total -= chosen->total ? 2 : 0;
	while (room && chosen->total > room) {
		at = least_telling(chosen, sort);
		if (at == chosen->count)
			return;
		give_up(chosen, at);
	}
}

void parts_choose_more(struct parts_columns *chosen, const struct model_line *lines, size_t count,
		       uint64_t page_size, unsigned room, enum model_sort sort)
{
	unsigned i;
	size_t j;
	bool more;

	memset(chosen, 0, sizeof(*chosen));
	for (i = 0; i < PARTS_COLUMNS; i++) {
		more = all[i].sorts && all[i].sort == sort;
		for (j = 0; j < count && !more && all[i].tells_more; j++)
			more = all[i].tells_more(&lines[j], page_size);
		if (more)
			choose(chosen, &all[i], lines, count, page_size, 8);
	}
	make_fit(chosen, room, sort);
}

void parts_choose(struct parts_columns *chosen, const struct model_line *lines, size_t count,
		  uint64_t page_size, unsigned least, unsigned room, enum model_sort sort)
{
	unsigned i;

	memset(chosen, 0, sizeof(*chosen));
	for (i = 0; i < PARTS_COLUMNS; i++)
		if (says_something(&all[i], lines, count))
			choose(chosen, &all[i], lines, count, page_size, least);
	make_fit(chosen, room, sort);
}

void parts_titles(FILE *out, const struct parts_columns *chosen)
{
	unsigned i;

	for (i = 0; i < chosen->count; i++)
		fprintf(out, "%s%*s", i ? "  " : "", (int)chosen->width[i],
			chosen->column[i]->title);
}

void parts_figures(FILE *out, const struct parts_columns *chosen, const struct model_line *line,
		   uint64_t page_size)
{
	const struct parts_column *column;
	char text[32];
	unsigned i;

	for (i = 0; i < chosen->count; i++) {
		column = chosen->column[i];
		*text = '\0';
		if (line && (!column->is_known || column->shows_0 || column->is_known(line)))
			column->show(text, sizeof(text), line, page_size);
		fprintf(out, "%s%*s", i ? "  " : "", (int)chosen->width[i], text);
	}
}
