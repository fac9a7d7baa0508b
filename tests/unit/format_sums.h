/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the formats for other programs add up to, compared with the lines of the model. Each output
 * is read by a parser that takes nothing else. To be included after cmocka.h. */
#ifndef FORMAT_SUMS_H
#define FORMAT_SUMS_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "goldens.h"
#include "pprof_text.h"
#include "render/stack_rows.h"

/* By enum render_metric. */
struct sums {
	int64_t of[RENDER_METRICS];
};

static struct rendered render(struct model *model, const char *format, enum render_metric metric)
{
	struct render_options options = {.metric = metric};
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);

	assert_non_null(out);
	output.err = renderer_find(format)->emit(out, model, &options);
	fclose(out);
	assert_int_equal(output.err, 0);
	return output;
}

/* --- what they must say --- */

static void add_balance(struct sums *sums, int64_t bytes)
{
	sums->of[bytes > 0 ? RENDER_GROWN : RENDER_FREED] += bytes > 0 ? bytes : -bytes;
	sums->of[RENDER_NET] += bytes;
}

static void add_process(struct sums *sums, const struct model *model, const struct model_process *p)
{
	const struct model_line *line;
	int i;

	for (line = p->lines; line < p->lines + p->line_count; line++) {
		sums->of[RENDER_GROWN] += line->grown_bytes;
		sums->of[RENDER_FREED] += line->freed_bytes;
		sums->of[RENDER_NET] += line->increment_bytes;
		sums->of[RENDER_COPIED] += line->cow_faults * model->page_size;
		sums->of[RENDER_FAULTS] += line->minor_faults + line->major_faults;
	}
	sums->of[RENDER_FAULTS] += p->lost_faults;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		add_balance(sums, p->lost_bytes[i]);
	if (p->resident_known)
		sums->of[RENDER_RESIDENT] += p->rss_end_bytes;
}

static struct sums sums_of_model(const struct model *model)
{
	struct sums sums = {0};
	int64_t change = 0;
	size_t i;

	for (i = 0; i < model->process_count; i++) {
		add_process(&sums, model, model->processes[i]);
		change += model->processes[i]->rss_end_bytes - model->processes[i]->rss_start_bytes;
	}
	add_balance(&sums, model->gathered.charged_bytes);
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		add_balance(&sums, model->gathered.lost_bytes[i]);
	assert_int_equal(sums.of[RENDER_NET], change + model->gathered.change_bytes);
	return sums;
}

/* --- what they say --- */

/* The next field of RFC 4180; its text is put into `field`. Returns what ends it: a comma, a line
 * feed, or 0. */
static char csv_field(const char **at, char *field, size_t size)
{
	size_t used = 0;

	if (**at == '"') {
		for (++*at; **at != '"' || (*at)[1] == '"'; ++*at) {
			assert_true(**at && **at != '\n' && used + 1 < size);
			*at += **at == '"';
			field[used++] = **at;
		}
		++*at;
	} else {
		for (; **at && !strchr(",\n", **at); ++*at) {
			assert_true(**at != '"' && used + 1 < size);
			field[used++] = **at;
		}
	}
	field[used] = '\0';
	assert_true(!**at || strchr(",\n", **at));
	return **at ? *(*at)++ : '\0';
}

#define CSV_COLUMNS 64

/* The column's sum over all rows, each of which must have all columns. */
static int64_t csv_sum(const struct rendered *output, const char *column)
{
	static char field[65536];
	const char *at = output->text;
	unsigned columns = 0, wanted = CSV_COLUMNS, i;
	int64_t sum = 0;
	char end;

	do {
		assert_in_range(columns, 0, CSV_COLUMNS - 1);
		end = csv_field(&at, field, sizeof(field));
		if (!strcmp(field, column))
			wanted = columns;
		columns++;
	} while (end == ',');
	assert_true(end == '\n' && wanted < columns);
	while (*at) {
		for (i = 0; i < columns; i++) {
			end = csv_field(&at, field, sizeof(field));
			assert_int_equal(end, i + 1 < columns ? ',' : '\n');
			/* No spreadsheet takes a text for a formula, or begins a field in it. */
			if (i == 1 || i == 2 || i == 4 || i == 6) {
				assert_true(!*field || !strchr("=+-@\t\r", *field));
				assert_null(strchr(field, ';'));
			}
			if (i == wanted)
				sum += strtoll(field, NULL, 10);
		}
	}
	return sum;
}

static void check_csv(struct model *model, const struct sums *sums)
{
	struct rendered output = render(model, "csv", 0);
	int64_t lost_grown = 0, lost_freed = 0, faults = 0;
	struct sums lost = {0};
	size_t i, j;

	assert_int_equal(csv_sum(&output, "increment_bytes"), sums->of[RENDER_NET]);
	assert_int_equal(csv_sum(&output, "resident_bytes"), sums->of[RENDER_RESIDENT]);
	for (i = 0; i < model->process_count; i++) {
		for (j = 0; j < PYMEM_LOSS_COUNT; j++)
			add_balance(&lost, model->processes[i]->lost_bytes[j]);
		faults += model->processes[i]->lost_faults;
	}
	for (j = 0; j < PYMEM_LOSS_COUNT; j++)
		add_balance(&lost, model->gathered.lost_bytes[j]);
	add_balance(&lost, model->gathered.charged_bytes);
	lost_grown = lost.of[RENDER_GROWN];
	lost_freed = lost.of[RENDER_FREED];
	/* These columns are of lines only. */
	assert_int_equal(csv_sum(&output, "grown_bytes") + lost_grown, sums->of[RENDER_GROWN]);
	assert_int_equal(csv_sum(&output, "freed_bytes") + lost_freed, sums->of[RENDER_FREED]);
	assert_int_equal(csv_sum(&output, "cow_faults") * (int64_t)model->page_size,
			 sums->of[RENDER_COPIED]);
	assert_int_equal(csv_sum(&output, "minor_faults") + csv_sum(&output, "major_faults") +
				 faults,
			 sums->of[RENDER_FAULTS]);
	golden_harmless(&output, 0);
	free(output.text);
}

/* Each line is frames, a space and an amount. The sum of the amounts. */
static int64_t folded_sum(const struct rendered *output)
{
	char *copy = strdup(output->text), *rest = copy, *line, *amount, *digit, *second;
	int64_t sum = 0, value;
	bool below;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line) {
			assert_null(rest); /* only behind the last line feed */
			break;
		}
		amount = strrchr(line, ' ');
		assert_true(amount && amount > line);
		*amount++ = '\0';
		assert_true(*amount);
		for (digit = amount; *digit; digit++)
			assert_true(isdigit((unsigned char)*digit));
		second = strchr(line, ';');
		assert_non_null(second);
		below = !strncmp(second + 1, STACK_ROW_BELOW ";", strlen(STACK_ROW_BELOW ";"));
		value = strtoll(amount, NULL, 10);
		assert_true(value > 0);
		sum += below ? -value : value;
		assert_true(strchr(")]", line[strlen(line) - 1]));
	}
	free(copy);
	return sum;
}

static void check_folded(struct model *model, const struct sums *sums)
{
	struct rendered output;

	for (int metric = RENDER_GROWN; metric < RENDER_METRICS; metric++) {
		output = render(model, "folded", metric);
		assert_int_equal(folded_sum(&output), sums->of[metric]);
		if (metric == RENDER_GROWN)
			golden_harmless(&output, 0);
		free(output.text);
	}
}

static void check_pprof(struct model *model, const struct sums *sums)
{
	static const struct {
		const char *type;
		enum render_metric metric;
	} types[] = {{"rss_growth", RENDER_GROWN},   {"rss_freed", RENDER_FREED},
		     {"rss_net", RENDER_NET},	     {"cow_copied", RENDER_COPIED},
		     {"page_faults", RENDER_FAULTS}, {"resident", RENDER_RESIDENT}};
	struct rendered output = render(model, "pprof", 0);
	Pprof__Profile *p = pprof_unpack(&output);
	size_t i, j, t, last = p->n_sample_type - 1;
	int64_t sum, net;

	for (i = 0; i < last; i++) {
		sum = 0;
		for (j = 0; j < p->n_sample; j++)
			sum += p->sample[j]->value[i];
		for (t = 0; strcmp(types[t].type, pprof_string(p, p->sample_type[i]->type)); t++)
			assert_in_range(t, 0, 4);
		assert_int_equal(sum, sums->of[types[t].metric]);
	}
	/* The last one is the default: what is above zero of the net change. */
	assert_int_equal(p->sample_type[last]->type, p->default_sample_type);
	assert_string_equal(pprof_string(p, p->default_sample_type), "inuse_space");
	for (j = 0; j < p->n_sample; j++) {
		net = p->sample[j]->value[2];
		assert_int_equal(p->sample[j]->value[last], net < 0 ? 0 : net);
	}
	assert_true(last == 6 || !sums->of[RENDER_RESIDENT]);
	pprof__profile__free_unpacked(p, NULL);
	pprof_to_text(&output);
	golden_harmless(&output, 0);
	free(output.text);
}

/* The sum of a profile's weights. */
static int64_t speedscope_sum(json_t *profile, json_t *frames)
{
	json_t *samples = json_object_get(profile, "samples"), *stack, *index, *name;
	json_t *weights = json_object_get(profile, "weights");
	int64_t sum = 0, all = 0, value;
	size_t i, j;

	assert_int_equal(json_array_size(samples), json_array_size(weights));
	json_array_foreach(samples, i, stack)
	{
		json_array_foreach(stack, j, index)
			assert_in_range(json_integer_value(index), 0, json_array_size(frames) - 1);
		assert_in_range(j, 2, PYMEM_MAX_FRAMES + 3);
		index = json_array_get(stack, 1);
		name = json_object_get(json_array_get(frames, json_integer_value(index)), "name");
		value = json_integer_value(json_array_get(weights, i));
		assert_true(value > 0);
		all += value;
		sum += strcmp(json_string_value(name), STACK_ROW_BELOW) ? value : -value;
	}
	assert_int_equal(all, json_integer_value(json_object_get(profile, "endValue")));
	return sum;
}

static void check_speedscope(struct model *model, const struct sums *sums)
{
	static const char *const names[] = {"",
					    "grown",
					    "freed",
					    "net (grown - freed)",
					    "copied on write",
					    "page faults",
					    "resident, by first touch"};
	struct rendered output = render(model, "speedscope", 0);
	json_t *root, *frames, *profile;
	struct sums said = {0};
	size_t i, metric;

	for (i = 0; i < output.size; i++)
		assert_true(isascii(output.text[i]));
	root = json_loads(output.text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	frames = json_object_get(json_object_get(root, "shared"), "frames");
	json_array_foreach(json_object_get(root, "profiles"), i, profile)
	{
		const char *name = json_string_value(json_object_get(profile, "name"));

		for (metric = 1; strcmp(names[metric], name); metric++)
			assert_in_range(metric, 1, RENDER_METRICS - 2);
		said.of[metric] = speedscope_sum(profile, frames);
	}
	assert_true(i > 0);
	for (metric = 1; metric < RENDER_METRICS; metric++)
		assert_int_equal(said.of[metric], sums->of[metric]);
	json_decref(root);
	golden_harmless(&output, 0);
	free(output.text);
}

static void check_all(struct model *model)
{
	struct sums sums = sums_of_model(model);

	check_csv(model, &sums);
	check_folded(model, &sums);
	check_pprof(model, &sums);
	check_speedscope(model, &sums);
}

#endif
