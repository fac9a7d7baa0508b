/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each string is kept once. Equal file names are then equal pointers, so locations and stacks are
 * hashed and compared by pointer. A target chooses its names; the hash is seeded with a number that
 * it can't know, else it could choose names that all collide.
 *
 * Invariant: a pointer that was handed out stays valid until model_free(). The exception are names
 * and locations that no frozen process uses: model_gather_ended() frees them, since a host that is
 * watched for days has no end of names. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)(a ^ 0x9e3779b97f4a7c15ull) * (b | 1);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_string(const struct book *book, const char *text)
{
	uint64_t hash = book->seed, word;
	size_t length = strlen(text);

	for (; length >= sizeof(word); length -= sizeof(word), text += sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		hash = mix(hash ^ word, book->seed);
	}
	word = 0;
	memcpy(&word, text, length);
	return mix(hash ^ word, book->seed + length);
}

uint64_t model_hash_pointer(const struct book *book, uint64_t hash, const void *pointer)
{
	return mix(hash ^ (uintptr_t)pointer, book->seed);
}

static int table_grow(struct table *table)
{
	size_t room = table->room ? table->room * 2 : 64, i, at;
	struct table_slot *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (i = 0; i < table->room; i++) {
		if (!table->slots[i].index)
			continue;
		for (at = table->slots[i].hash & (room - 1); slots[at].index;)
			at = (at + 1) & (room - 1);
		slots[at] = table->slots[i];
	}
	free(table->slots);
	table->slots = slots;
	table->room = room;
	return 0;
}

bool model_table_next(const struct table *table, uint64_t hash, uint64_t *cursor, size_t *index)
{
	const struct table_slot *slot;

	while (table->room) {
		slot = &table->slots[*cursor & (table->room - 1)];
		if (!slot->index)
			return false;
		++*cursor;
		if (slot->hash != hash)
			continue;
		*index = slot->index - 1;
		return true;
	}
	return false;
}

int model_table_add(struct table *table, uint64_t hash, size_t index)
{
	uint64_t at;

	/* At most half of the slots are used, so model_table_next() always finds a free one
	 * soon. */
	if (2 * (table->used + 1) > table->room && table_grow(table) != 0)
		return -ENOMEM;
	for (at = hash; table->slots[at & (table->room - 1)].index;)
		at++;
	table->slots[at & (table->room - 1)] = (struct table_slot){hash, index + 1};
	table->used++;
	return 0;
}

const char *model_intern(struct book *book, const char *text)
{
	uint64_t hash, cursor;
	size_t index;
	char *copy;

	if (!text)
		text = "";
	cursor = hash = hash_string(book, text);
	while (model_table_next(&book->string_table, hash, &cursor, &index)) {
		if (!strcmp(book->strings[index], text))
			return book->strings[index];
	}
	copy = strdup(text);
	if (!copy || !ARRAY_HAS_ROOM(book->strings, book->string_count, book->string_room) ||
	    model_table_add(&book->string_table, hash, book->string_count) != 0) {
		free(copy);
		return NULL;
	}
	book->strings[book->string_count++] = copy;
	return copy;
}

/* True for code of the import system, which an import statement runs. */
static bool is_importer(const struct model_location *location)
{
	static const char *const frozen[] = {
		"<frozen importlib._bootstrap>",
		"<frozen importlib._bootstrap_external>",
		"<frozen zipimport>",
	};
	static const char tail[] = "/importlib/__init__.py";
	size_t length = strlen(location->file), i;

	for (i = 0; i < sizeof(frozen) / sizeof(frozen[0]); i++)
		if (!strcmp(location->file, frozen[i]))
			return true;
	return length >= sizeof(tail) - 1 && !strcmp(location->function, "import_module") &&
	       !strcmp(location->file + length - (sizeof(tail) - 1), tail);
}

static bool same_line(const struct model_location *a, const struct model_location *b)
{
	return a->file == b->file && a->function == b->function && a->line == b->line &&
	       a->thread == b->thread;
}

static int set_line(struct book *book, struct location *location)
{
	uint64_t hash = model_hash_pointer(book, book->seed, location->pub.file), cursor;

	hash = model_hash_pointer(book, hash, location->pub.function);
	cursor = hash = mix(hash ^ (unsigned)location->pub.line, book->seed);
	while (model_table_next(&book->line_table, hash, &cursor, &location->line)) {
		if (same_line(&book->lines[location->line]->pub, &location->pub))
			return 0;
	}
	/* The book owns the location already: it stays even if the caller fails. */
	location->line = book->line_count;
	if (!ARRAY_HAS_ROOM(book->lines, book->line_count, book->line_room))
		return -ENOMEM;
	if (model_table_add(&book->line_table, hash, book->line_count) != 0)
		return -ENOMEM;
	book->lines[book->line_count++] = location;
	return 0;
}

static uint64_t hash_location(const struct book *book, const struct model_location *location)
{
	uint64_t hash = model_hash_pointer(book, book->seed, location->file);

	hash = model_hash_pointer(book, hash, location->function);
	return mix(
		hash ^ ((uint64_t)(unsigned)location->line << 32 | (unsigned)location->first_line),
		book->seed);
}

/* The one copy of the location, whose names are those of the book. NULL: out of memory. */
static const struct model_location *keep_location(struct book *book, struct model_location wanted)
{
	struct location *location;
	uint64_t hash, cursor;
	size_t index;

	if (!wanted.file || !wanted.function)
		return NULL;
	cursor = hash = hash_location(book, &wanted);
	while (model_table_next(&book->location_table, hash, &cursor, &index)) {
		location = book->locations[index];
		if (same_line(&location->pub, &wanted) &&
		    location->pub.first_line == wanted.first_line)
			return &location->pub;
	}
	location = malloc(sizeof(*location));
	if (!location ||
	    !ARRAY_HAS_ROOM(book->locations, book->location_count, book->location_room)) {
		free(location);
		return NULL;
	}
	location->pub = wanted;
	location->pub.library = model_is_library(wanted.file);
	location->importer = is_importer(&wanted);
	/* From here on the book owns it, whether or not the rest succeeds. */
	book->locations[book->location_count++] = location;
	if (set_line(book, location) != 0 ||
	    model_table_add(&book->location_table, hash, book->location_count - 1) != 0)
		return NULL;
	return &location->pub;
}

const struct model_location *model_location(struct model *model, const char *file,
					    const char *function, int line, int first_line)
{
	struct book *book = book_of(model);

	return keep_location(book, (struct model_location){.file = model_intern(book, file),
							   .function = model_intern(book, function),
							   .line = line > 0 ? line : 0,
							   .first_line = first_line});
}

const struct model_location *model_thread(struct model *model, uint32_t tid, const char *name)
{
	struct book *book = book_of(model);

	return keep_location(book, (struct model_location){.file = model_intern(book, ""),
							   .function = model_intern(book, name),
							   .line = tid > INT32_MAX ? 0 : (int)tid,
							   .thread = true});
}

/* Empties a table, so that it can be filled again. */
static void table_clear(struct table *table)
{
	if (table->room)
		memset(table->slots, 0, table->room * sizeof(*table->slots));
	table->used = 0;
}

static void mark_death(const struct model_death *death)
{
	const struct model_death_thread *thread;

	for (size_t i = 0; (thread = model_death_stack(death, i)); i++)
		for (unsigned j = 0; j < thread->facts.depth; j++)
			location_of(thread->frames[j])->line = 1;
}

/* Marks the locations that lines, functions, paths, trees and last words of frozen processes and
 * foldings use. A tree of a folding has the lines of its sum. Their line numbers are computed anew
 * later, so the mark is kept in them. */
static void mark(struct book *book)
{
	const struct model_process *process;
	size_t i, j;

	for (i = 0; i < book->location_count; i++)
		book->locations[i]->line = 0;
	for (i = 0; i < book->frozen_count; i++) {
		process = book->frozen[i];
		for (j = 0; j < process->line_count; j++)
			location_of(process->lines[j].location)->line = 1;
		for (j = 0; j < process->function_count; j++)
			location_of(process->functions[j].location)->line = 1;
		for (j = 0; j < process_of(process)->hop_count; j++)
			if (process_of(process)->hops[j].location)
				location_of(process_of(process)->hops[j].location)->line = 1;
		for (j = 1; j < process->node_count; j++)
			location_of(process->nodes[j].location)->line = 1;
		mark_death(process->death);
	}
	for (i = 0; i < book->folding_count; i++) {
		process = &book->foldings[i].sum->pub;
		for (j = 0; j < process->line_count; j++)
			location_of(process->lines[j].location)->line = 1;
		for (j = 0; j < process->function_count; j++)
			location_of(process->functions[j].location)->line = 1;
	}
}

/* Frees the strings whose addresses are not in `kept`. */
static int sweep_strings(struct book *book, const struct table *kept)
{
	size_t i, count = 0, index;
	uint64_t hash, cursor;
	bool found;
	int err = 0;

	table_clear(&book->string_table);
	for (i = 0; i < book->string_count; i++) {
		cursor = hash = model_hash_pointer(book, book->seed, book->strings[i]);
		for (found = false; !found && model_table_next(kept, hash, &cursor, &index);)
			found = true;
		if (!found) {
			free(book->strings[i]);
			continue;
		}
		book->strings[count] = book->strings[i];
		err = model_table_add(&book->string_table, hash_string(book, book->strings[count]),
				      count)
			      ?: err;
		count++;
	}
	book->string_count = count;
	return err;
}

/* Fills `kept` with the addresses of all strings that locations, frozen processes and foldings
 * use. */
static int wanted_strings(const struct book *book, struct table *kept)
{
	size_t located = book->location_count, frozen = located + book->frozen_count;
	const char *both[2];
	size_t i, j, index;
	uint64_t hash, cursor;
	int err = 0;

	for (i = 0; i < frozen + book->folding_count && !err; i++) {
		if (i < located) {
			both[0] = book->locations[i]->pub.file;
			both[1] = book->locations[i]->pub.function;
		} else if (i < frozen) {
			both[0] = both[1] = book->frozen[i - located]->engine;
		} else {
			both[0] = both[1] = book->foldings[i - frozen].sum->pub.engine;
		}
		for (j = 0; j < 2 && !err; j++) {
			cursor = hash = model_hash_pointer(book, book->seed, both[j]);
			if (!model_table_next(kept, hash, &cursor, &index))
				err = model_table_add(kept, hash, 0);
		}
	}
	return err;
}

int model_book_collect(struct book *book)
{
	struct table kept = {0};
	struct location *location;
	size_t i, count = 0;
	int err = 0;

	mark(book);
	table_clear(&book->location_table);
	table_clear(&book->line_table);
	book->line_count = 0;
	for (i = 0; i < book->location_count; i++) {
		location = book->locations[i];
		if (!location->line) {
			free(location);
			continue;
		}
		/* None of the three tables can grow here: no more is in them than before. */
		book->locations[count] = location;
		err = set_line(book, location) ?: err;
		err = model_table_add(&book->location_table, hash_location(book, &location->pub),
				      count++)
			      ?: err;
	}
	book->location_count = count;
	if (!err)
		err = wanted_strings(book, &kept);
	if (!err)
		err = sweep_strings(book, &kept);
	free(kept.slots);
	return err;
}
