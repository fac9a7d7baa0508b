/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The JSON is hostile: it may be anything, and its texts and figures are a target's. Only what is
 * shown is taken, and all of that has a limit. */
#include "record/look_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MOST    (4u << 20) /* bytes of a look: as a tree it takes a multiple of them */
#define NOTES_MOST   100
#define TYPES_MOST   4096
#define HOLDERS_MOST (2 * HEAP_LOOK_HOLDERS)
#define PINS_MOST    100
#define FIGURE_END   (1ll << 50)

/* --- values --- */

/* The figure; 0: there is none, or it is no amount that a machine can have. */
static uint64_t figure(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 && value < FIGURE_END ? (uint64_t)value : 0;
}

static bool is_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

/* A copy of at most `most` bytes, cut between characters. NULL: out of memory. */
static char *copy(const char *text, size_t most)
{
	size_t length = strnlen(text, most);

	while (text[length] && length && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	return strndup(text, length);
}

static char *copy_of(const json_t *object, const char *name, size_t most)
{
	return copy(json_string_value(json_object_get(object, name)) ?: "", most);
}

/* A copy of a text that may be null. 0 or -ENOMEM. */
static int copy_if_any(char **to, const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	*to = text ? copy(text, LOOK_READ_NAME) : NULL;
	return text && !*to ? -ENOMEM : 0;
}

static int take_sentences(char ***to, const json_t *array)
{
	const json_t *sentence;
	size_t i;
	int err = 0;

	json_array_foreach(array, i, sentence)
	{
		if (!err && i < NOTES_MOST && json_is_string(sentence))
			err = heap_look_say(to, "%.*s", LOOK_READ_SENTENCE,
					    json_string_value(sentence));
	}
	return err;
}

/* --- rows --- */

/* Zeroed rows for the items of an array, `most` of them. NULL: out of memory. */
#define ROWS_FOR(array, most, row) \
	calloc((json_array_size(array) < (most) ? json_array_size(array) : (most)) + 1, sizeof(row))

static int take_types(struct heap_look *look, const json_t *types)
{
	struct heap_type_row *row;
	const json_t *from;
	size_t i;

	look->types = ROWS_FOR(types, TYPES_MOST, *look->types);
	if (!look->types)
		return -ENOMEM;
	json_array_foreach(types, i, from)
	{
		if (!figure(from, "bytes") || look->type_count == TYPES_MOST)
			continue;
		row = &look->types[look->type_count];
		row->objects = figure(from, "objects");
		row->bytes = figure(from, "bytes");
		row->type = copy_of(from, "type", LOOK_READ_NAME);
		if (!row->type)
			return -ENOMEM;
		look->type_count++;
	}
	return 0;
}

static int take_holder(struct heap_holder_row *row, const json_t *from)
{
	row->retained_bytes = figure(from, "retained_bytes");
	row->has_entries = json_is_integer(json_object_get(from, "entries"));
	row->entries = figure(from, "entries");
	row->is_local = is_true(from, "local");
	row->is_temporary = is_true(from, "temporary");
	row->is_unreached = is_true(from, "unreached");
	row->path = copy_of(from, "path", LOOK_READ_NAME);
	row->type = copy_of(from, "type", LOOK_READ_NAME);
	return copy_if_any(&row->shared_by, from, "shared_by")
		       ?: row->path && row->type ? 0
						 : -ENOMEM;
}

static int take_holders(struct heap_look *look, const json_t *holders)
{
	const json_t *from;
	size_t i;
	int err = 0;

	look->has_holders = json_array_size(holders) > 0;
	look->holders = ROWS_FOR(holders, HOLDERS_MOST, *look->holders);
	if (!look->holders)
		return -ENOMEM;
	json_array_foreach(holders, i, from)
	{
		if (!err && figure(from, "retained_bytes") && look->holder_count < HOLDERS_MOST)
			err = take_holder(&look->holders[look->holder_count++], from);
	}
	return err;
}

static int take_pins(struct heap_look *look, const json_t *pins)
{
	struct heap_pin_row *row;
	const json_t *from;
	size_t i;

	look->pins = ROWS_FOR(pins, PINS_MOST, *look->pins);
	if (!look->pins)
		return -ENOMEM;
	json_array_foreach(pins, i, from)
	{
		if (look->pin_count == PINS_MOST)
			break;
		row = &look->pins[look->pin_count];
		row->bytes = figure(from, "bytes");
		row->pools = figure(from, "pools");
		row->type = copy_of(from, "type", LOOK_READ_NAME);
		if (!row->type)
			return -ENOMEM;
		look->pin_count++;
	}
	return 0;
}

/* --- the look --- */

static void take_balance(struct heap_balance *balance, const json_t *from)
{
#define TAKE(name, words) balance->name = figure(from, #name);
	HEAP_BALANCE(TAKE)
#undef TAKE
}

static int take_pools(struct heap_look *look, const json_t *from)
{
	const json_t *tenths = json_object_get(from, "by_fullness"), *tenth;
	size_t i;

	look->pools = figure(from, "count");
	json_array_foreach(tenths, i, tenth)
	{
		json_int_t count = json_integer_value(tenth);

		if (i < 10 && count > 0 && count < FIGURE_END)
			look->pools_by_fullness[i] = (uint64_t)count;
	}
	return take_pins(look, json_object_get(from, "pinned_by"));
}

static void take_collector(struct heap_look *look, const json_t *from)
{
	const json_t *generations = json_object_get(from, "generations"), *generation;
	size_t i;

	look->gc_known = json_is_object(from);
	look->gc_enabled = is_true(from, "enabled");
	look->gc_frozen = figure(from, "frozen");
	look->gc_uncollectable = figure(from, "uncollectable");
	json_array_foreach(generations, i, generation)
	{
		if (i == sizeof(look->generations) / sizeof(look->generations[0]))
			break;
		look->generations[i] = (struct heap_generation){
			.count = figure(generation, "count"),
			.threshold = figure(generation, "threshold"),
			.collections = figure(generation, "collections"),
			.collected = figure(generation, "collected"),
			.uncollectable = figure(generation, "uncollectable"),
		};
		look->generation_count = (unsigned)i + 1;
	}
}

static pid_t pid_in(const json_t *from, const char *name)
{
	json_int_t pid = json_integer_value(json_object_get(from, name));

	return pid > 0 && pid < 1 << 30 ? (pid_t)pid : 0;
}

static void take_figures(struct heap_look *look, const json_t *from)
{
	look->pid = pid_in(from, "pid");
	look->ns_pid = pid_in(from, "ns_pid");
	look->rss_bytes = figure(from, "rss_bytes");
	look->swapped_bytes = figure(from, "swapped_bytes");
	look->trimmable_bytes = figure(from, "trimmable_bytes");
	look->garbage_bytes = figure(from, "garbage_bytes");
	look->garbage_objects = figure(from, "garbage_objects");
	look->types_only = is_true(from, "types_only");
	take_balance(&look->balance, json_object_get(from, "balance"));
	take_collector(look, json_object_get(from, "gc"));
}

static int take_texts(struct heap_look *look, const json_t *from)
{
	const char *python = json_string_value(json_object_get(from, "python")),
		   *allocator = json_string_value(json_object_get(from, "allocator"));

	snprintf(look->python, sizeof(look->python), "%s", python ?: "");
	snprintf(look->allocator, sizeof(look->allocator), "%s", allocator ?: "");
	look->comm = copy_of(from, "comm", 64);
	if (!look->comm)
		return -ENOMEM;
	return copy_if_any(&look->opaque, from, "opaque")
		       ?: take_sentences(&look->cmdline, json_object_get(from, "cmdline"))
		       ?: take_sentences(&look->skipped, json_object_get(from, "skipped"))
		       ?: take_sentences(&look->notes, json_object_get(from, "notes"));
}

static struct heap_look *take_look(const json_t *from, char **verdict)
{
	struct heap_look *look = heap_look_new();
	int err = look ? 0 : -ENOMEM;

	*verdict = copy_of(from, "verdict", LOOK_READ_SENTENCE);
	if (!err && *verdict) {
		take_figures(look, from);
		err = take_texts(look, from)
			      ?: take_pools(look, json_object_get(from, "pools"))
			      ?: take_types(look, json_object_get(from, "types"))
			      ?: take_holders(look, json_object_get(from, "holders"));
	}
	if (!err && *verdict)
		return look;
	heap_look_free(look);
	free(*verdict);
	*verdict = NULL;
	errno = ENOMEM;
	return NULL;
}

struct heap_look *look_read(const char *json, size_t size, char **verdict)
{
	struct heap_look *look = NULL;
	json_error_t error;
	const json_t *from;
	json_t *all;

	*verdict = NULL;
	if (size > JSON_MOST) {
		errno = EINVAL;
		return NULL;
	}
	all = json_loadb(json, size, 0, &error);
	if (!all && json_error_code(&error) == json_error_out_of_memory) {
		errno = ENOMEM;
		return NULL;
	}
	from = json_array_get(json_object_get(all, "processes"), 0);
	errno = EINVAL;
	if (json_is_object(from) && figure(from, "rss_bytes"))
		look = take_look(from, verdict);
	json_decref(all);
	return look;
}
