/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/heap_look.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static void free_texts(char **texts)
{
	for (char **text = texts; text && *text; text++)
		free(*text);
	free(texts);
}

bool heap_birth_is_insertion(const struct heap_birth_row *row)
{
	return !strcmp(row->method, "watch");
}

void heap_birth_rows_free(struct heap_birth_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(rows[i].holder);
		free(rows[i].file);
		free(rows[i].function);
		free(rows[i].type);
		free_texts(rows[i].stack);
		free(rows[i].made);
	}
	free(rows);
}

static void free_touched(struct heap_touched_row *touched, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(touched[i].file);
		free(touched[i].function);
		for (size_t j = 0; j < touched[i].now_count; j++)
			free(touched[i].now[j].what);
		free(touched[i].now);
	}
	free(touched);
}

static void free_holders(struct heap_holder_row *holders, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(holders[i].path);
		free(holders[i].type);
		free(holders[i].shared_by);
	}
	free(holders);
}

struct heap_look *heap_look_new(void)
{
	struct heap_look *look = calloc(1, sizeof(*look));

	if (look)
		look->paused_ms[0] = look->paused_ms[1] = -1;
	return look;
}

void heap_look_free(struct heap_look *look)
{
	if (!look)
		return;
	free(look->comm);
	free_texts(look->cmdline);
	free(look->opaque);
	for (size_t i = 0; i < look->pin_count; i++)
		free(look->pins[i].type);
	free(look->pins);
	for (size_t i = 0; i < look->type_count; i++)
		free(look->types[i].type);
	free(look->types);
	free_holders(look->holders, look->holder_count);
	heap_birth_rows_free(look->births, look->birth_count);
	free_touched(look->touched, look->touched_count);
	free_texts(look->skipped);
	free_texts(look->notes);
	free(look);
}

uint64_t heap_balance_sum(const struct heap_balance *balance)
{
	uint64_t sum = 0;

#define BALANCE_ADD(name, text) sum += balance->name;
	HEAP_BALANCE(BALANCE_ADD)
#undef BALANCE_ADD
	return sum;
}

uint64_t heap_balance_live(const struct heap_balance *balance)
{
	return balance->objects + balance->buffers + balance->malloc_used + balance->mapped_buffers;
}

/* True if the path of `part` is below that of `whole`: "app.CACHE['key']" below "app.CACHE". */
static bool is_below(const struct heap_holder_row *part, const struct heap_holder_row *whole)
{
	size_t length = strlen(whole->path);

	return length && !strncmp(part->path, whole->path, length) &&
	       (part->path[length] == '[' || part->path[length] == '.' ||
		part->path[length] == '<' || part->path[length] == ' ');
}

int64_t heap_look_live_grown(const struct heap_look *look)
{
	if (look->seconds <= 0)
		return 0;
	return (int64_t)(heap_balance_live(&look->balance) -
			 heap_balance_live(&look->balance_first));
}

/* True if the holder belongs to a running function, which may let it go. */
static bool is_at_work(const struct heap_holder_row *holder)
{
	return holder->is_temporary ||
	       (holder->is_new && (holder->is_local || holder->is_unreached));
}

/* True if the holder may have taken another one's place. One that was there before was only being
 * filled if all that lives did not grow with it. */
static bool may_take_a_place(const struct heap_look *look, const struct heap_holder_row *holder)
{
	return holder->is_new || 2 * heap_look_live_grown(look) < holder->grown_bytes;
}

bool heap_look_is_passing(const struct heap_look *look, const struct heap_holder_row *holder)
{
	const struct heap_holder_row *other;

	if (look->seconds <= 0)
		return false;
	if (is_at_work(holder))
		return true;
	for (size_t i = 0; i < look->holder_count && may_take_a_place(look, holder); i++) {
		other = &look->holders[i];
		if (!other->is_new && 2 * other->grown_bytes < holder->grown_bytes &&
		    is_below(holder, other))
			return true;
	}
	return false;
}

int64_t heap_look_noise(const struct heap_look *look)
{
	int64_t part = (int64_t)(look->rss_bytes / 1024);

	return part > 64 * 1024 ? part : 64 * 1024;
}

/* A cache whose entries take one another's place is now a little larger, now smaller. */
static bool is_swaying(const struct heap_look *look, const struct heap_holder_row *holder)
{
	return holder->has_entries && holder->entries_grown <= 0 &&
	       heap_look_live_grown(look) < holder->grown_bytes / 2 &&
	       holder->grown_bytes < (int64_t)holder->retained_bytes / 20;
}

bool heap_look_holder_grows(const struct heap_look *look, const struct heap_holder_row *holder)
{
	return holder->grown_bytes >= heap_look_noise(look) && !is_swaying(look, holder) &&
	       !heap_look_is_passing(look, holder);
}

static bool is_in_another(const struct heap_look *look, const struct heap_holder_row *holder)
{
	for (size_t i = 0; i < look->holder_count; i++) {
		if (is_at_work(&look->holders[i]) && is_below(holder, &look->holders[i]))
			return true;
	}
	return false;
}

int64_t heap_look_passing_grown(const struct heap_look *look)
{
	int64_t live = heap_look_live_grown(look), sum = 0;

	for (size_t i = 0; i < look->holder_count; i++) {
		const struct heap_holder_row *holder = &look->holders[i];

		if (holder->grown_bytes > 0 && is_at_work(holder) && !is_in_another(look, holder))
			sum += holder->grown_bytes;
	}
	return sum < live ? sum : live > 0 ? live : 0;
}

/* Growth of fewer bytes does not count in the order of holders. */
#define GROWTH_LEAST (16 * 1024)

/* A holder, with what decides on its place in the order. */
struct ranked {
	struct heap_holder_row row;
	bool passing;
	int64_t growth;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->passing != y->passing)
		return x->passing - y->passing;
	if (x->growth != y->growth)
		return x->growth < y->growth ? 1 : -1;
	if (x->row.retained_bytes != y->row.retained_bytes)
		return x->row.retained_bytes < y->row.retained_bytes ? 1 : -1;
	return strcmp(x->row.path, y->row.path);
}

static int64_t growth_of(const struct heap_look *look, const struct heap_holder_row *holder)
{
	return look->seconds > 0 && holder->grown_bytes >= GROWTH_LEAST ? holder->grown_bytes : 0;
}

int heap_look_sort_holders(struct heap_look *look)
{
	size_t count = look->holder_count;
	struct ranked *ranked = calloc(count ? count : 1, sizeof(*ranked));

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		ranked[i] = (struct ranked){
			.row = look->holders[i],
			.passing = heap_look_is_passing(look, &look->holders[i]),
			.growth = growth_of(look, &look->holders[i]),
		};
	qsort(ranked, count, sizeof(*ranked), by_rank);
	for (size_t i = 0; i < count; i++)
		look->holders[i] = ranked[i].row;
	free(ranked);
	return 0;
}

int heap_look_say(char ***sentences, const char *format, ...)
{
	size_t count = 0;
	char **more, *text;
	va_list args;
	int length;

	while (*sentences && (*sentences)[count])
		count++;
	more = realloc(*sentences, (count + 2) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	*sentences = more;
	more[count] = more[count + 1] = NULL;
	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		return -ENOMEM;
	more[count] = text;
	return 0;
}

int heap_report_add(struct heap_report *report, struct heap_look *look)
{
	if (!ARRAY_HAS_ROOM(report->looks, report->look_count, report->look_room))
		return -ENOMEM;
	report->looks[report->look_count++] = look;
	return 0;
}

static int by_growth(const void *a, const void *b)
{
	const struct heap_look *x = *(struct heap_look *const *)a,
			       *y = *(struct heap_look *const *)b;
	int64_t first = heap_look_live_grown(x), second = heap_look_live_grown(y);

	if (first != second)
		return first > second ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void heap_report_sort(struct heap_report *report)
{
	if (report->look_count)
		qsort(report->looks, report->look_count, sizeof(struct heap_look *), by_growth);
}

int heap_report_skip(struct heap_report *report, pid_t pid, const char *comm, const char *reason)
{
	struct heap_skip skip = {.pid = pid};

	if (!ARRAY_HAS_ROOM(report->skips, report->skip_count, report->skip_room))
		return -ENOMEM;
	skip.comm = strdup(comm);
	skip.reason = strdup(reason);
	if (!skip.comm || !skip.reason) {
		free(skip.comm);
		free(skip.reason);
		return -ENOMEM;
	}
	report->skips[report->skip_count++] = skip;
	return 0;
}

void heap_report_fini(struct heap_report *report)
{
	for (size_t i = 0; i < report->look_count; i++)
		heap_look_free(report->looks[i]);
	free(report->looks);
	for (size_t i = 0; i < report->skip_count; i++) {
		free(report->skips[i].comm);
		free(report->skips[i].reason);
	}
	free(report->skips);
}
