/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each text, location and function is a Profile of its own, which readers join. So memory is
 * bounded by the number of places, not of stacks. */
#include "render/pprof_pieces.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"

int pprof_begin(struct pprof_pieces *p, FILE *out, size_t most)
{
	*p = (struct pprof_pieces){.most = most};
	return gzip_begin(&p->gzip, out);
}

int pprof_end(struct pprof_pieces *p)
{
	int err = gzip_end(&p->gzip);

	free(p->buffer);
	places_free(&p->texts);
	places_free(&p->locations);
	places_free(&p->functions);
	return err;
}

int pprof_put(struct pprof_pieces *p, const Pprof__Profile *piece)
{
	size_t size = pprof__profile__get_packed_size(piece);
	uint8_t *larger;

	p->bytes += size;
	if (p->most && p->bytes > p->most)
		return -EFBIG;
	if (size > p->room) {
		larger = realloc(p->buffer, size);
		if (!larger)
			return -ENOMEM;
		p->buffer = larger;
		p->room = size;
	}
	return gzip_write(&p->gzip, p->buffer, pprof__profile__pack(piece, p->buffer));
}

int64_t pprof_text(struct pprof_pieces *p, const void *owner, const char *text)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	char escaped[PPROF_TEXT], *one = escaped;
	bool is_new;
	ssize_t number;
	int err = 0;

	if (!*text)
		return 0;
	number = place_number_of(&p->texts, owner, &is_new);
	if (number < 0)
		return number;
	if (is_new) {
		text_escape(escaped, sizeof(escaped), text);
		piece.n_string_table = 1;
		piece.string_table = &one;
		err = pprof_put(p, &piece);
	}
	return err ? err : number + 1;
}

static int64_t constant(struct pprof_pieces *p, const char *text)
{
	return pprof_text(p, text, text);
}

/* The id of a function, which is written if it is new. `text`: it stands for no function. -errno.
 *
 * It has no system_name: if that is the same as its name, pprof takes "<module>" for what C++ puts
 * behind a name, and removes it. */
static int64_t function_of(struct pprof_pieces *p, const struct model_location *location,
			   const char *text)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__Function function = PPROF__FUNCTION__INIT, *one = &function;
	struct model_location whole;
	ssize_t number;
	bool is_new;
	int err;

	if (location) {
		whole = *location;
		whole.line = location->first_line;
		number = place_number(&p->functions, &whole, &is_new);
	} else {
		number = place_number_of(&p->functions, text, &is_new);
	}
	if (number < 0 || !is_new)
		return number < 0 ? number : number + 1;
	function.id = number + 1;
	function.name = !location ? constant(p, text)
			: *location->function
				? pprof_text(p, location->function, location->function)
				: constant(p, "?");
	function.filename = location ? pprof_text(p, location->file, location->file) : 0;
	function.start_line = location && location->first_line > 0 ? location->first_line : 0;
	piece.n_function = 1;
	piece.function = &one;
	if (function.name < 0 || function.filename < 0)
		return function.name < 0 ? function.name : function.filename;
	err = pprof_put(p, &piece);
	return err ? err : number + 1;
}

int64_t pprof_location(struct pprof_pieces *p, const struct model_location *place, const char *text)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__Location location = PPROF__LOCATION__INIT, *one = &location;
	Pprof__Line line = PPROF__LINE__INIT, *one_line = &line;
	bool is_new;
	ssize_t number = place ? place_number(&p->locations, place, &is_new)
			       : place_number_of(&p->locations, text, &is_new);
	int64_t function;
	int err;

	if (number < 0 || !is_new)
		return number < 0 ? number : number + 1;
	function = function_of(p, place, text);
	if (function < 0)
		return function;
	line.function_id = function;
	line.line = place ? place->line : 0;
	location.id = number + 1;
	location.mapping_id = 1;
	location.n_line = 1;
	location.line = &one_line;
	piece.n_location = 1;
	piece.location = &one;
	err = pprof_put(p, &piece);
	return err ? err : number + 1;
}
