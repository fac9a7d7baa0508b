/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The line is that of H. Theil, "A rank-invariant method of linear and polynomial regression
 * analysis" (1950), and P. K. Sen, "Estimates of the regression coefficient based on Kendall's
 * tau", Journal of the American Statistical Association 63 (1968): the median of the slopes of all
 * pairs of samples. A quarter of the samples may be anything: such as those of a start, of a
 * collection, or of one large request. Least squares would follow them.
 *
 * The interval is Sen's: as many ranks on both sides of the median as Kendall's S may be off. That
 * holds for samples that are independent of one another, and memory's are not. So the variance of S
 * is multiplied by (1 + r) / (1 - r), where r is what each residual has of the one before (S. Yue
 * and C. Wang, "The Mann-Kendall test modified by effective sample size", Water Resources
 * Management 18 (2004)). */
#include "model/alarm_slope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE	      UINT32_MAX
#define UNIT	      4096
#define SAMPLES_LEAST 8
#define LOOKS	      30    /* in a window, if these are not less than a second apart */
#define DATA_LEAST    120.0 /* seconds */
#define DATA_PART     10.0  /* of the window */
#define NEARLY	      0.9   /* what is sampled in turn does not begin with the window */
#define SIGMAS	      1.96  /* 95 % of a normal distribution */
#define RELATED_MOST  0.8
#define PAIRS	      (ALARM_BINS * (ALARM_BINS - 1) / 2)
/* Half of all pairs are at least 0.29 of the whole apart: 1 - sqrt(1/2). */
#define FLAT_PART 0.25
#define FAR	  (366 * 86400.0)

struct points {
	double at[ALARM_BINS], value[ALARM_BINS]; /* seconds, bytes */
	size_t count;
	double seconds; /* from the first bin with a sample until now */
};

double alarm_look_seconds(double window)
{
	return fmin(fmax(window / LOOKS, 1), ALARM_LOOK_MOST);
}

/* No bin is to be without a sample because looks come seldom. */
void alarm_series_init(struct alarm_series *s, double window)
{
	double bins = fmin(floor(window / alarm_look_seconds(window)), ALARM_BINS);

	*s = (struct alarm_series){.bin = window / bins, .bins = (uint32_t)bins, .last = -1};
}

static uint32_t *bin_at(struct alarm_series *s, int64_t number)
{
	return &s->least[number % (s->bins + 1)];
}

bool alarm_series_add(struct alarm_series *s, double now, int64_t bytes)
{
	uint32_t units = bytes < 0 ? 0 : bytes / UNIT < NONE ? (uint32_t)(bytes / UNIT) : NONE - 1;
	int64_t number, from;

	if (s->last < 0) {
		s->begin = now;
		s->last = 0;
		*bin_at(s, 0) = units;
		return false;
	}
	number = (int64_t)((now - s->begin) / s->bin);
	if (number <= s->last) {
		uint32_t *bin = bin_at(s, s->last);

		if (units < *bin)
			*bin = units;
		return false;
	}
	/* Bins without samples: all of them at most. */
	from = number - s->last > (int64_t)s->bins ? number - (int64_t)s->bins : s->last + 1;
	for (; from < number; from++)
		*bin_at(s, from) = NONE;
	*bin_at(s, number) = units;
	s->last = number;
	return true;
}

/* The bins that are complete. */
static void list_points(const struct alarm_series *s, struct points *p)
{
	int64_t first = s->last > (int64_t)s->bins ? s->last - (int64_t)s->bins : 0, number;

	p->count = 0;
	p->seconds = 0;
	for (number = first; number < s->last; number++) {
		uint32_t least = s->least[number % (s->bins + 1)];

		if (least == NONE)
			continue;
		if (!p->count)
			first = number;
		p->at[p->count] = (double)number * s->bin;
		p->value[p->count++] = (double)least * UNIT;
	}
	if (p->count)
		p->seconds = (double)(s->last - first) * s->bin;
}

static bool suffices(const struct alarm_series *s, const struct points *p)
{
	double window = s->bin * s->bins;
	double needed = fmax(window / DATA_PART, fmin(window, DATA_LEAST));

	return p->count >= SAMPLES_LEAST && p->seconds >= NEARLY * needed;
}

bool alarm_series_is_flat(const struct alarm_series *s, double rate)
{
	double least = INFINITY, most = -INFINITY;
	struct points p;

	list_points(s, &p);
	if (!suffices(s, &p) || (double)p.count * s->bin < 0.9 * p.seconds)
		return false;
	for (size_t i = 0; i < p.count; i++) {
		least = fmin(least, p.value[i]);
		most = fmax(most, p.value[i]);
	}
	return most - least < FLAT_PART * rate * (p.seconds - s->bin);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* How much of a residual is in the next one: 0 to RELATED_MOST. */
static double related(const struct points *p, double rate)
{
	double rest[ALARM_BINS], sorted[ALARM_BINS], middle, both = 0, all = 0;

	for (size_t i = 0; i < p->count; i++)
		rest[i] = sorted[i] = p->value[i] - rate * p->at[i];
	qsort(sorted, p->count, sizeof(*sorted), by_size);
	middle = sorted[p->count / 2];
	for (size_t i = 0; i < p->count; i++) {
		double here = rest[i] - middle;

		all += here * here;
		if (i)
			both += here * (rest[i - 1] - middle);
	}
	return all > 0 ? fmin(fmax(both / all, 0), RELATED_MOST) : 0;
}

/* Sets the interval. `rates` are sorted. */
static void set_interval(const struct points *p, const double *rates, size_t pairs,
			 struct alarm_slope *slope)
{
	double n = (double)p->count, r = related(p, slope->rate);
	double variance = n * (n - 1) * (2 * n + 5) / 18 * (1 + r) / (1 - r);
	double off = SIGMAS * sqrt(variance), below = floor(((double)pairs - off) / 2);
	size_t rank;

	/* Too few for an interval: it has all rates in it. */
	if (below < 1) {
		slope->least = rates[0];
		slope->most = rates[pairs - 1];
		return;
	}
	rank = (size_t)below;
	slope->least = rates[rank - 1];
	slope->most = rates[pairs - rank];
	slope->significant = slope->least > 0 || slope->most < 0;
}

void alarm_series_slope(const struct alarm_series *s, struct alarm_slope *slope)
{
	static double rates[PAIRS]; /* there is one thread */
	size_t pairs = 0;
	struct points p;

	*slope = (struct alarm_slope){};
	list_points(s, &p);
	if (!suffices(s, &p))
		return;
	for (size_t i = 0; i < p.count; i++)
		for (size_t j = i + 1; j < p.count; j++)
			rates[pairs++] = (p.value[j] - p.value[i]) / (p.at[j] - p.at[i]);
	qsort(rates, pairs, sizeof(*rates), by_size);
	slope->known = true;
	slope->seconds = p.seconds;
	slope->rate = pairs % 2 ? rates[pairs / 2] : (rates[pairs / 2 - 1] + rates[pairs / 2]) / 2;
	set_interval(&p, rates, pairs, slope);
}

void alarm_forecast_make(const struct alarm_slope *slope, int64_t room,
			 struct alarm_forecast *forecast)
{
	*forecast = (struct alarm_forecast){};
	if (!slope->known || !slope->significant || slope->least <= 0 || room < 0 ||
	    (double)room / slope->rate > FAR)
		return;
	*forecast = (struct alarm_forecast){
		.known = true,
		.seconds = (double)room / slope->rate,
		.soonest = (double)room / slope->most,
		.latest = (double)room / slope->least,
	};
}
