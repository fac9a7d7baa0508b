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
#include "page_text.h"
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

static void add_extras(struct sums *sums, const struct model *model,
		       const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	sums->of[RENDER_HUGE] += (int64_t)model_huge_bytes(model, extras);
	sums->of[RENDER_SWAPPED_IN] += (int64_t)extras[PYMEM_EXTRA_SWAPPED_IN];
	sums->of[RENDER_SWAP_WAIT] += (int64_t)extras[PYMEM_EXTRA_SWAPIN_NS];
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
		sums->of[RENDER_STALLED] += (int64_t)line->stalled_ns;
		sums->of[RENDER_CACHED] += (int64_t)line->cached.bytes;
		sums->of[RENDER_KERNEL] += model_line_kernel_bytes(line);
		add_extras(sums, model, line->extras);
	}
	add_extras(sums, model, p->lost_extras);
	for (i = 0; i < PYMEM_LOSS_COUNT; i++) {
		sums->of[RENDER_CACHED] += (int64_t)p->cached_lost_bytes[i];
		sums->of[RENDER_KERNEL] += p->kernel_lost_bytes[i];
	}
	sums->of[RENDER_FAULTS] += p->lost_faults;
	sums->of[RENDER_STALLED] += (int64_t)p->lost_stall_ns;
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

	for (i = 0; i < model_row_count(model); i++) {
		const struct model_process *p = model_row(model, i);

		add_process(&sums, model, p);
		change += p->folded ? 0 : p->rss_end_bytes - p->rss_start_bytes;
	}
	add_balance(&sums, model->unfolded.charged_bytes);
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		add_balance(&sums, model->unfolded.lost_bytes[i]);
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
	assert_int_equal(csv_sum(&output, "stalled_ns"), sums->of[RENDER_STALLED]);
	assert_int_equal(csv_sum(&output, "cached_bytes"), sums->of[RENDER_CACHED]);
	assert_int_equal(csv_sum(&output, "kernel_bytes"), sums->of[RENDER_KERNEL]);
	assert_int_equal(csv_sum(&output, "huge_filled_bytes"), sums->of[RENDER_HUGE]);
	assert_int_equal(csv_sum(&output, "swapped_in_bytes"), sums->of[RENDER_SWAPPED_IN]);
	assert_int_equal(csv_sum(&output, "swap_wait_ns"), sums->of[RENDER_SWAP_WAIT]);
	for (i = 0; i < model_row_count(model); i++) {
		for (j = 0; j < PYMEM_LOSS_COUNT; j++)
			add_balance(&lost, model_row(model, i)->lost_bytes[j]);
		faults += model_row(model, i)->lost_faults;
	}
	for (j = 0; j < PYMEM_LOSS_COUNT; j++)
		add_balance(&lost, model->unfolded.lost_bytes[j]);
	add_balance(&lost, model->unfolded.charged_bytes);
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
	} types[] = {{"rss_growth", RENDER_GROWN},	{"rss_freed", RENDER_FREED},
		     {"rss_net", RENDER_NET},		{"cow_copied", RENDER_COPIED},
		     {"page_faults", RENDER_FAULTS},	{"resident", RENDER_RESIDENT},
		     {"stalled", RENDER_STALLED},	{"page_cache", RENDER_CACHED},
		     {"kernel_memory", RENDER_KERNEL},	{"huge_filled", RENDER_HUGE},
		     {"swapped_in", RENDER_SWAPPED_IN}, {"swap_wait", RENDER_SWAP_WAIT}};
	struct rendered output = render(model, "pprof", 0);
	Pprof__Profile *p = pprof_unpack(&output);
	size_t i, j, t, last = p->n_sample_type - 1;
	int64_t sum, net;

	for (i = 0; i < last; i++) {
		sum = 0;
		for (j = 0; j < p->n_sample; j++)
			sum += p->sample[j]->value[i];
		for (t = 0; strcmp(types[t].type, pprof_string(p, p->sample_type[i]->type)); t++)
			assert_in_range(t, 0, sizeof(types) / sizeof(types[0]) - 2);
		assert_int_equal(sum, sums->of[types[t].metric]);
	}
	/* The last one is the default: what is above zero of the net change. */
	assert_int_equal(p->sample_type[last]->type, p->default_sample_type);
	assert_string_equal(pprof_string(p, p->default_sample_type), "inuse_space");
	for (j = 0; j < p->n_sample; j++) {
		net = p->sample[j]->value[2];
		assert_int_equal(p->sample[j]->value[last], net < 0 ? 0 : net);
	}
	assert_true(last >= 6 || !sums->of[RENDER_RESIDENT]);
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
		assert_in_range(j, 2, PYMEM_MAX_FRAMES + 4);
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
					    "resident, by first touch",
					    "stalled",
					    "brought into the page cache",
					    "the kernel's own memory",
					    "filled by huge pages",
					    "brought back from swap",
					    "waited for swap"};
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

/* Walks through the tree of a page. The number of its frames. */
static size_t page_frames(json_t *root, size_t places)
{
	json_t *step;
	size_t i, count = 0;
	json_int_t number, depth = 0;

	json_array_foreach(json_object_get(root, "tree"), i, step)
	{
		number = json_integer_value(step);
		assert_true(json_is_integer(step) && number < (json_int_t)places);
		/* Steps back lead to a frame that is there, and there is a frame before them. */
		depth += number < 0 ? number : 1;
		assert_in_range(depth, 0, PYMEM_MAX_FRAMES + 4);
		assert_true(i || number >= 0);
		count += number >= 0;
	}
	return count;
}

/* The sum of a metric's amounts; each is that of a frame. */
static int64_t page_sum(json_t *metric, size_t frames)
{
	json_t *at = json_object_get(metric, "at"), *amounts = json_object_get(metric, "amount");
	int64_t unit = json_integer_value(json_object_get(metric, "unit")), sum = 0, frame = 0;
	json_t *step;
	size_t i;

	assert_int_equal(json_array_size(at), json_array_size(amounts));
	json_array_foreach(at, i, step)
	{
		frame += json_integer_value(step);
		assert_true(frame >= 0 && frame < (int64_t)frames);
		sum += json_integer_value(json_array_get(amounts, i)) * unit;
	}
	assert_int_equal(sum, json_integer_value(json_object_get(metric, "total")));
	return sum;
}

/* The four numbers of each place are a kind, a text, a line (of a process, its number), a text. */
static size_t page_places(json_t *root)
{
	json_t *places = json_object_get(root, "places"), *place;
	size_t texts = json_array_size(json_object_get(root, "texts")), i;
	size_t processes = json_array_size(json_object_get(root, "processes"));
	json_int_t number, kind = 0;

	assert_int_equal(json_array_size(places) % 4, 0);
	json_array_foreach(places, i, place)
	{
		number = json_integer_value(place);
		kind = i % 4 ? kind : number;
		if (i % 4 == 0)
			assert_in_range(number, 0, 4);
		else if (i % 4 == 2 && kind == 3)
			assert_true(number >= -1 && number < (json_int_t)processes);
		else if (i % 4 != 2 && kind != 3)
			assert_true(number >= 0 && number < (json_int_t)texts);
	}
	return json_array_size(places) / 4;
}

static void check_page(struct model *model, const struct sums *sums, const char *format)
{
	struct rendered output = render(model, format, 0);
	json_t *root, *figures, *metric;
	size_t frames, i;

	page_to_data(&output);
	root = json_loads(output.text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	frames = page_frames(root, page_places(root));
	figures = json_object_get(root, "figures");
	for (i = 1; i < RENDER_METRICS; i++) {
		metric = json_object_get(figures, stack_metric_names[i]);
		assert_non_null(metric);
		/* The net amounts are left out where they follow from the others. */
		if (i == RENDER_NET && !json_object_get(metric, "at"))
			assert_int_equal(json_integer_value(json_object_get(metric, "total")),
					 sums->of[i]);
		else
			assert_int_equal(page_sum(metric, frames), sums->of[i]);
	}
	json_decref(root);
	free(output.text);
}

/* --- OpenMetrics --- */

#define SERIES_MOST 20000

/* The label's value, raw; "" if there is none. */
static void label_of(const char *labels, const char *name, char *value, size_t size)
{
	char begin[32];
	const char *at;
	size_t used = 0;

	snprintf(begin, sizeof(begin), "%s=\"", name);
	at = strstr(labels, begin);
	value[0] = '\0';
	if (!at)
		return;
	for (at += strlen(begin); *at != '"'; at++) {
		at += *at == '\\';
		assert_true(*at && used + 2 < size);
		value[used++] = *at;
	}
	value[used] = '\0';
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct place_sum {
	char place[600];
	int64_t change, lines, causes;
	bool has_lines, has_causes;
};

static struct place_sum *place_sum(struct place_sum *sums, size_t *count, const char *series)
{
	char program[280], where[280], place[600];

	label_of(series, "program", program, sizeof(program));
	label_of(series, "where", where, sizeof(where));
	snprintf(place, sizeof(place), "%s\n%s", program, where);
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(sums[i].place, place))
			return &sums[i];
	assert_in_range(*count, 0, 999);
	sums[*count] = (struct place_sum){};
	strcpy(sums[*count].place, place);
	return &sums[(*count)++];
}

/* No series is there twice, and what each program's lines and causes add up to is its change. */
static void check_openmetrics(struct model *model, const struct sums *sums)
{
	static char *series[SERIES_MOST];
	static struct place_sum places[1000];
	struct rendered output = render(model, "openmetrics", 0);
	char *rest = output.text, *line, *value;
	size_t count = 0, place_count = 0;
	int64_t change = 0, amount;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line || *line == '#') {
			assert_true(*line || !rest); /* nothing behind the last line feed */
			continue;
		}
		value = strrchr(line, ' ');
		assert_non_null(value);
		*value++ = '\0';
		amount = strtoll(value, NULL, 10);
		assert_in_range(count, 0, SERIES_MOST - 1);
		series[count++] = line;
		if (!strncmp(line, "pymem_rss_change_bytes{", 23)) {
			place_sum(places, &place_count, line)->change += amount;
			change += amount;
		} else if (!strncmp(line, "pymem_line_change_bytes{", 24)) {
			place_sum(places, &place_count, line)->lines += amount;
			place_sum(places, &place_count, line)->has_lines = true;
		} else if (!strncmp(line, "pymem_unattributed_bytes{", 25)) {
			place_sum(places, &place_count, line)->causes += amount;
			place_sum(places, &place_count, line)->has_causes = true;
		}
	}
	assert_int_equal(change, sums->of[RENDER_NET]);
	for (size_t i = 0; i < place_count; i++) {
		assert_int_equal(places[i].lines + places[i].causes, places[i].change);
		assert_true(places[i].has_lines && places[i].has_causes);
	}
	qsort(series, count, sizeof(*series), by_text);
	for (size_t i = 1; i < count; i++)
		assert_string_not_equal(series[i - 1], series[i]);
	free(output.text);
}

static void check_all(struct model *model)
{
	struct sums sums = sums_of_model(model);

	check_csv(model, &sums);
	check_openmetrics(model, &sums);
	check_folded(model, &sums);
	check_pprof(model, &sums);
	check_speedscope(model, &sums);
	if (renderer_find("html")->absent)
		return;
	check_page(model, &sums, "flamegraph");
	check_page(model, &sums, "html");
}

#endif
