/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A profile of --format pprof as text that can be read and compared. To be included after cmocka.h
 * and goldens.h. */
#ifndef PPROF_TEXT_H
#define PPROF_TEXT_H

#include <inttypes.h>
#include <zlib.h>

#include "render/pprof.pb-c.h"

/* Unpacks what a renderer wrote. pprof__profile__free_unpacked() frees it. */
static Pprof__Profile *pprof_unpack(const struct rendered *output)
{
	size_t room = 1 << 20, used = 0;
	uint8_t *data = malloc(room);
	Pprof__Profile *profile;
	z_stream z = {0};
	int status = Z_OK;

	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	z.next_in = (uint8_t *)output->text;
	z.avail_in = output->size;
	while (status == Z_OK) {
		if (used == room)
			data = realloc(data, room *= 2);
		assert_non_null(data);
		z.next_out = data + used;
		z.avail_out = room - used;
		status = inflate(&z, Z_NO_FLUSH);
		used = room - z.avail_out;
	}
	assert_int_equal(status, Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	inflateEnd(&z);
	profile = pprof__profile__unpack(NULL, used, data);
	free(data);
	assert_non_null(profile);
	return profile;
}

static const char *pprof_string(const Pprof__Profile *p, int64_t index)
{
	assert_in_range(index, 0, p->n_string_table - 1);
	return p->string_table[index];
}

static const Pprof__Function *pprof_function(const Pprof__Profile *p, uint64_t location)
{
	const Pprof__Location *place;
	const Pprof__Function *function;

	/* Ids are given from 1 on, in the order of the file. */
	assert_in_range(location, 1, p->n_location);
	place = p->location[location - 1];
	assert_int_equal(place->id, location);
	assert_int_equal(place->mapping_id, 1);
	assert_int_equal(place->n_line, 1);
	assert_in_range(place->line[0]->function_id, 1, p->n_function);
	function = p->function[place->line[0]->function_id - 1];
	assert_int_equal(function->id, place->line[0]->function_id);
	return function;
}

static inline void pprof_print_sample(FILE *out, const Pprof__Profile *p,
				      const Pprof__Sample *sample)
{
	size_t i;

	assert_int_equal(sample->n_value, p->n_sample_type);
	for (i = 0; i < sample->n_value; i++)
		fprintf(out, "%s%" PRId64, i ? " " : "", sample->value[i]);
	for (i = 0; i < sample->n_label; i++) {
		fprintf(out, "  %s=", pprof_string(p, sample->label[i]->key));
		if (sample->label[i]->str)
			fputs(pprof_string(p, sample->label[i]->str), out);
		else
			fprintf(out, "%" PRId64, sample->label[i]->num);
	}
	fputc('\n', out);
	for (i = 0; i < sample->n_location_id; i++) {
		const Pprof__Function *f = pprof_function(p, sample->location_id[i]);

		fprintf(out, "    %s %s:%" PRId64 " (%" PRId64 ")\n", pprof_string(p, f->name),
			pprof_string(p, f->filename),
			p->location[sample->location_id[i] - 1]->line[0]->line, f->start_line);
	}
}

/* Replaces the output by what it says. */
static inline void pprof_to_text(struct rendered *output)
{
	Pprof__Profile *p;
	char *text = NULL;
	size_t size = 0, i;
	FILE *out;

	if (output->err)
		return;
	p = pprof_unpack(output);
	out = open_memstream(&text, &size);
	assert_string_equal(pprof_string(p, 0), "");
	fprintf(out, "%" PRId64 " + %" PRId64 "\n", p->time_nanos, p->duration_nanos);
	for (i = 0; i < p->n_comment; i++)
		fprintf(out, "%s\n", pprof_string(p, p->comment[i]));
	for (i = 0; i < p->n_sample_type; i++)
		fprintf(out, "%s%s/%s", i ? " " : "", pprof_string(p, p->sample_type[i]->type),
			pprof_string(p, p->sample_type[i]->unit));
	fprintf(out, "\ndefault %s\n", pprof_string(p, p->default_sample_type));
	for (i = 0; i < p->n_mapping; i++)
		fprintf(out, "mapping %s\n", pprof_string(p, p->mapping[i]->filename));
	for (i = 0; i < p->n_sample; i++)
		pprof_print_sample(out, p, p->sample[i]);
	fclose(out);
	pprof__profile__free_unpacked(p, NULL);
	free(output->text);
	output->text = text;
	output->size = size;
}

#endif
