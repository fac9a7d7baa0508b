/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a reader wants to know if memory leaks, and if an object or the allocator keeps it. The
 * verdict says so in sentences with figures, the most telling first. Small amounts are left out.
 *
 * A pure function of the look. It never says "leak": what grew in some seconds may be a cache that
 * fills. It leaves out what may be noise.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "render/heap_parts.h"

#define MIB	       (1024 * 1024)
#define NAME_MAX_BYTES 160

struct verdict {
	FILE *out;
	const struct heap_look *look;
	const struct heap_holder_row *holder;
	int64_t live, live_grown, passing; /* bytes; passing: what functions work on */
	size_t sentences;
};

/* --- figures --- */

static void put_size(struct verdict *v, int64_t bytes, bool sign)
{
	char text[40];

	parts_amount(text, sizeof(text), bytes, sign);
	fputs(text, v->out);
}

void heap_put_rate(FILE *out, const struct heap_look *look, int64_t bytes)
{
	bool rated = look->seconds >= HEAP_RATE_SECONDS;
	char text[40];

	parts_amount(text, sizeof(text),
		     rated ? (int64_t)((double)bytes * 60 / look->seconds) : bytes, false);
	fputs(text, out);
	if (rated)
		fputs("/min", out);
	else
		fprintf(out, " in %.1f" NBSP "s", look->seconds);
}

static void put_rate(struct verdict *v, int64_t bytes)
{
	heap_put_rate(v->out, v->look, bytes);
}

static void put_percent(struct verdict *v, double part, double whole)
{
	double percent = whole > 0 ? 100 * part / whole : 0;

	fprintf(v->out, "%.0f" NBSP "%%", percent > 100 ? 100 : percent);
}

static void put_count(struct verdict *v, int64_t count, bool sign)
{
	char text[40];

	heap_count(text, sizeof(text), count, sign);
	fputs(text, v->out);
}

void heap_put_name(FILE *out, const char *name)
{
	size_t length = strlen(name), cut = NAME_MAX_BYTES;

	if (length <= NAME_MAX_BYTES) {
		fputs(name, out);
		return;
	}
	while (cut && (name[cut] & 0xc0) == 0x80)
		cut--;
	fprintf(out, "%.*s…", (int)cut, name);
}

static void put_name(struct verdict *v, const char *name)
{
	heap_put_name(v->out, name);
}

/* Called before each sentence: a space comes between two. */
static void begin(struct verdict *v)
{
	if (v->sentences++)
		fputc(' ', v->out);
}

/* The least growth of live memory, in bytes, that is not noise: temporary objects come and go. */
static int64_t live_noise(const struct heap_look *look)
{
	int64_t part = (int64_t)(look->rss_bytes / 200);

	return part > 256 * 1024 ? part : 256 * 1024;
}

static bool is_much(const struct heap_look *look, uint64_t bytes)
{
	return bytes >= MIB && bytes >= look->rss_bytes / 20;
}

/* --- holders --- */

/* "app.CACHE (dict, 1,200 entries, +30)" */
static void put_holder(struct verdict *v, const struct heap_holder_row *holder)
{
	put_name(v, *holder->path ? holder->path : "(no name)");
	fputs(" (", v->out);
	put_name(v, holder->type);
	if (holder->has_entries) {
		fputs(", ", v->out);
		put_count(v, heap_signed(holder->entries), false);
		fputs(holder->entries == 1 ? NBSP "entry" : NBSP "entries", v->out);
		if (holder->entries_grown) {
			fputs(", ", v->out);
			put_count(v, holder->entries_grown, true);
		}
	}
	fputc(')', v->out);
	if (holder->shared_by) {
		fputs(", shared by ", v->out);
		put_name(v, holder->shared_by);
	}
}

/* "kept by app.CACHE (…)". Paths such as "held by C: libfoo.so" and "in a.X and in b.Y" have the
 * verb, or the "in", in themselves. */
static void put_who(struct verdict *v, const char *verb, const struct heap_holder_row *holder)
{
	if (strncmp(holder->path, "held by ", 8) != 0)
		fprintf(v->out, strncmp(holder->path, "in ", 3) ? "%s by " : "%s ", verb);
	put_holder(v, holder);
}

static void put_birth(struct verdict *v, const struct heap_holder_row *holder)
{
	const struct heap_birth_row *birth = heap_first_birth(v->look, holder);

	if (!birth)
		return;
	fputs(heap_birth_is_insertion(birth) ? ", put there by " : ", made in ", v->out);
	put_name(v, birth->file);
	fprintf(v->out, ":%d ", birth->line);
	put_name(v, birth->function);
}

/* --- growth --- */

static bool say_holder_grows(struct verdict *v)
{
	const struct heap_holder_row *holder = v->holder;

	if (!holder || !heap_look_holder_grows(v->look, holder) ||
	    (2 * holder->grown_bytes < v->live_grown - v->passing &&
	     v->live_grown - v->passing >= live_noise(v->look)))
		return false;
	begin(v);
	fputs("Grows by ", v->out);
	put_rate(v, holder->grown_bytes);
	fputs(": ", v->out);
	put_who(v, "kept", holder);
	put_birth(v, holder);
	if (v->live_grown < holder->grown_bytes / 2) {
		fputs(", while all that lives changed by ", v->out);
		put_size(v, v->live_grown, true);
	} else if (v->live_grown > holder->grown_bytes) {
		fputs(", ", v->out);
		put_percent(v, (double)holder->grown_bytes, (double)v->live_grown);
		fputs(" of what live memory grew by", v->out);
	}
	fputs(".", v->out);
	return true;
}

static bool say_garbage_grows(struct verdict *v)
{
	if (v->look->garbage_grown < heap_look_noise(v->look) ||
	    2 * v->look->garbage_grown < v->live_grown)
		return false;
	begin(v);
	fputs("Grows by ", v->out);
	put_rate(v, v->look->garbage_grown);
	fputs(" in cycles that nobody reaches and no collection has freed.", v->out);
	return true;
}

static bool say_malloc_grows(struct verdict *v)
{
	int64_t grown =
		(int64_t)(v->look->balance.malloc_used - v->look->balance_first.malloc_used);

	if (grown < heap_look_noise(v->look) || 2 * grown < v->live_grown)
		return false;
	begin(v);
	fputs("Grows by ", v->out);
	put_rate(v, grown);
	fputs(" in malloc, used by C code and by no Python object.", v->out);
	return true;
}

/* Writes the types that grew most, sorted so in the look, until they have half of the growth. */
static void put_grown_types(struct verdict *v)
{
	int64_t told = 0;

	for (size_t i = 0; i < v->look->type_count && i < 3; i++) {
		const struct heap_type_row *type = &v->look->types[i];

		if (type->bytes_grown < heap_look_noise(v->look) || 2 * told > v->live_grown)
			return;
		fputs(i ? ", " : ": ", v->out);
		put_name(v, type->type);
		fputc(' ', v->out);
		put_size(v, type->bytes_grown, true);
		told += type->bytes_grown;
	}
}

/* Live memory grows, and no holder has half of the growth. */
static bool say_live_grows(struct verdict *v)
{
	size_t told = 0;

	if (v->live_grown - v->passing < live_noise(v->look))
		return false;
	begin(v);
	fputs("Grows by ", v->out);
	put_rate(v, v->live_grown - v->passing);
	fputs(" of live memory", v->out);
	if (v->look->types_only)
		put_grown_types(v);
	else
		fputs(", of which no single holder has half", v->out);
	for (size_t i = 0; i < v->look->holder_count && told < 3; i++) {
		const struct heap_holder_row *holder = &v->look->holders[i];

		if (!heap_look_holder_grows(v->look, holder))
			continue;
		fputs(told++ ? ", " : ": ", v->out);
		put_name(v, holder->path);
		fputc(' ', v->out);
		put_size(v, holder->grown_bytes, true);
	}
	fputs(".", v->out);
	return true;
}

/* The parts of RSS that are not live, such as free memory and files. */
static struct heap_balance without_live(const struct heap_balance *balance)
{
	struct heap_balance rest = *balance;

	rest.objects = rest.buffers = rest.malloc_used = rest.mapped_buffers = 0;
	return rest;
}

/* RSS grew, and live memory did not, or only by what may pass. */
static bool say_rest_grows(struct verdict *v)
{
	struct heap_balance last = without_live(&v->look->balance), *now = &last;
	struct heap_balance past = without_live(&v->look->balance_first), *first = &past;
	int64_t grown = (int64_t)(v->look->rss_bytes - v->look->rss_first_bytes), most = 0;
	const char *where = NULL;

	if (grown - v->passing < live_noise(v->look) || grown < 2 * v->passing)
		return false;
#define REST_LARGER(name, text)                            \
	if ((int64_t)(now->name - first->name) > most) {   \
		most = (int64_t)(now->name - first->name); \
		where = text;                              \
	}
	HEAP_BALANCE(REST_LARGER)
#undef REST_LARGER
	if (!where)
		return false;
	begin(v);
	fputs("RSS grows by ", v->out);
	put_rate(v, grown);
	fputs(", and what lives does not: most of it is ", v->out);
	fprintf(v->out, "%s, ", where);
	put_size(v, most, true);
	fputs(".", v->out);
	return true;
}

/* Writes what functions work on at the second look, if it is more than noise. */
static void say_passing(struct verdict *v)
{
	const struct heap_look *look = v->look;
	const struct heap_holder_row *most = NULL, *holder;

	if (v->passing < heap_look_noise(look))
		return;
	for (size_t i = 0; i < look->holder_count; i++) {
		holder = &look->holders[i];
		if ((holder->is_local || holder->is_unreached) &&
		    heap_look_is_passing(look, holder) &&
		    (!most || holder->grown_bytes > most->grown_bytes))
			most = holder;
	}
	fputs(", ", v->out);
	put_size(v, v->passing, true);
	fputs(" of it what functions work on", v->out);
	if (most) {
		fputs(" (most in ", v->out);
		put_name(v, most->path);
		fputs(")", v->out);
	}
	fputs(", which may pass", v->out);
}

static void say_growth(struct verdict *v)
{
	if (v->look->seconds <= 0)
		return;
	if (say_malloc_grows(v) || say_garbage_grows(v) || say_holder_grows(v) ||
	    say_live_grows(v) || say_rest_grows(v))
		return;
	begin(v);
	fprintf(v->out, "Does not grow: in %.1f" NBSP "s what lives changed by ", v->look->seconds);
	put_size(v, v->live_grown, true);
	say_passing(v);
	fputs(".", v->out);
}

/* --- what is there --- */

/* Stands in for the largest holder if none were searched for. */
static void put_largest_type(struct verdict *v)
{
	const struct heap_type_row *largest = NULL;

	for (size_t i = 0; i < v->look->type_count; i++) {
		if (!largest || v->look->types[i].bytes > largest->bytes)
			largest = &v->look->types[i];
	}
	if (!largest)
		return;
	fputs(", ", v->out);
	put_size(v, (int64_t)largest->bytes, false);
	fputs(" of it ", v->out);
	put_name(v, largest->type);
	fputs(" (", v->out);
	put_count(v, heap_signed(largest->objects), false);
	fputs(largest->objects == 1 ? NBSP "object), " : NBSP "objects), ", v->out);
	put_size(v, (int64_t)v->look->balance.buffers, false);
	fputs(" buffers", v->out);
}

static void say_live(struct verdict *v)
{
	const struct heap_holder_row *largest = NULL;

	for (size_t i = 0; i < v->look->holder_count; i++) {
		if (!largest || v->look->holders[i].retained_bytes > largest->retained_bytes)
			largest = &v->look->holders[i];
	}
	begin(v);
	put_size(v, v->live, false);
	fputs(" of ", v->out);
	put_size(v, (int64_t)v->look->rss_bytes, false);
	fputs(" are live", v->out);
	if (largest && v->look->seconds <= 0) {
		fputs(", ", v->out);
		put_size(v, (int64_t)largest->retained_bytes, false);
		fputs(" of it ", v->out);
		put_who(v, "held", largest);
	} else if (largest) {
		fputs("; the largest holder is ", v->out);
		put_name(v, largest->path);
		fputs(", ", v->out);
		put_size(v, (int64_t)largest->retained_bytes, false);
	} else if (v->look->types_only) {
		put_largest_type(v);
	}
	fputs(".", v->out);
}

static void say_swapped(struct verdict *v)
{
	if (!is_much(v->look, v->look->swapped_bytes))
		return;
	begin(v);
	put_size(v, (int64_t)v->look->swapped_bytes, false);
	fputs(" more are swapped out and were not read: what only they lead to is in no figure.",
	      v->out);
}

static void say_malloc(struct verdict *v)
{
	if (!is_much(v->look, v->look->balance.malloc_used))
		return;
	begin(v);
	put_size(v, (int64_t)v->look->balance.malloc_used, false);
	fputs(" of it are in malloc, used by C code and by no Python object.", v->out);
}

static void say_garbage(struct verdict *v)
{
	const struct heap_look *look = v->look;

	if (look->garbage_bytes < MIB || look->garbage_bytes < look->rss_bytes / 50)
		return;
	begin(v);
	put_size(v, (int64_t)look->garbage_bytes, false);
	fputs(" (", v->out);
	put_count(v, heap_signed(look->garbage_objects), false);
	fputs(" objects) are cycles that nobody reaches", v->out);
	if (look->gc_known && !look->gc_enabled)
		fputs("; the collector is disabled, so that only gc.collect() frees them.", v->out);
	else
		fputs(", waiting for the collector.", v->out);
}

static void put_pins(struct verdict *v)
{
	size_t shown = v->look->pin_count < 3 ? v->look->pin_count : 3;

	for (size_t i = 0; i < shown; i++) {
		fputs(!i ? " " : i + 1 < shown ? ", " : " and ", v->out);
		put_name(v, v->look->pins[i].type);
	}
}

static void say_pools(struct verdict *v)
{
	const struct heap_look *look = v->look;
	uint64_t bytes = look->balance.pool_free + look->balance.arena_free, sparse = 0;

	if (!is_much(look, bytes))
		return;
	for (size_t i = 0; i < 5; i++)
		sparse += look->pools_by_fullness[i];
	begin(v);
	put_size(v, (int64_t)bytes, false);
	fputs(" are free in Python's own pools, for objects to come", v->out);
	if (look->pools && 4 * sparse >= look->pools) {
		fputs("; ", v->out);
		put_percent(v, (double)sparse, (double)look->pools);
		fputs(" of the pools in use are at most half full", v->out);
		if (look->pin_count) {
			fputs(", pinned by", v->out);
			put_pins(v);
		}
	}
	fputs(".", v->out);
}

static void say_malloc_free(struct verdict *v)
{
	if (!is_much(v->look, v->look->balance.malloc_free))
		return;
	begin(v);
	put_size(v, (int64_t)v->look->balance.malloc_free, false);
	fputs(" are free in malloc: malloc_trim(0) would give back ", v->out);
	put_size(v, (int64_t)v->look->trimmable_bytes, false);
	fputs(".", v->out);
}

static void say_opaque(struct verdict *v)
{
	if (!v->look->opaque)
		return;
	begin(v);
	fprintf(v->out, "Memory of %s can't be read: ", v->look->opaque);
	put_size(v, (int64_t)v->look->balance.anonymous_other, false);
	fputs(" are in no holder's figures.", v->out);
}

char *heap_verdict(const struct heap_look *look)
{
	char *text = NULL;
	size_t size;
	struct verdict v = {.out = open_memstream(&text, &size), .look = look};

	if (!v.out)
		return NULL;
	v.holder = look->holder_count ? look->holders : NULL;
	v.live = (int64_t)heap_balance_live(&look->balance);
	v.live_grown = heap_look_live_grown(look);
	v.passing = heap_look_passing_grown(look);
	say_growth(&v);
	say_live(&v);
	say_malloc(&v);
	say_swapped(&v);
	say_garbage(&v);
	say_pools(&v);
	say_malloc_free(&v);
	say_opaque(&v);
	if (fclose(v.out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *heap_verdict_line(const struct heap_look *look)
{
	char *text = heap_verdict(look), *at = text;

	while (at && (at = strstr(at, NBSP))) {
		*at = ' ';
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
	return text;
}
