/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a service has several processes. Before he reads of each, a reader wants to know what
 * all of them need, and in which one something grows.
 *
 * A pure function of the report. The RSS of the processes is added up: pages that they share count
 * for each of them, and the text says so. */
#include <stdlib.h>
#include <string.h>

#include "render/heap_parts.h"

struct overview {
	FILE *out;
	const struct heap_report *report;
	/* The holder that grew most, or after one look keeps most; NULL: there is none. */
	const struct heap_holder_row *holder;
	const struct heap_look *look; /* the one with `holder` */
	bool two;		      /* there were two looks */
	bool none_sought;	      /* no look has searched for holders */
};

static int64_t weight(const struct overview *o, const struct heap_look *look,
		      const struct heap_holder_row *holder)
{
	if (!o->two)
		return heap_signed(holder->retained_bytes);
	return heap_look_holder_grows(look, holder) ? holder->grown_bytes : 0;
}

static void find_holder(struct overview *o)
{
	int64_t most = 0;

	o->none_sought = true;
	for (size_t i = 0; i < o->report->look_count; i++) {
		const struct heap_look *look = o->report->looks[i];

		o->none_sought = o->none_sought && !look->has_holders;
		for (size_t j = 0; j < look->holder_count; j++) {
			if (weight(o, look, &look->holders[j]) <= most)
				continue;
			most = weight(o, look, &look->holders[j]);
			o->look = look;
			o->holder = &look->holders[j];
		}
	}
}

/* In how many processes a holder of that path grows. */
static size_t count_growing(const struct overview *o)
{
	size_t count = 0;

	for (size_t i = 0; i < o->report->look_count; i++) {
		const struct heap_look *look = o->report->looks[i];
		bool grows = false;

		for (size_t j = 0; j < look->holder_count; j++)
			grows = grows || (!strcmp(look->holders[j].path, o->holder->path) &&
					  weight(o, look, &look->holders[j]) > 0);
		count += grows;
	}
	return count;
}

static void put_amount(const struct overview *o, int64_t bytes, bool sign)
{
	char text[40];

	parts_amount(text, sizeof(text), bytes, sign);
	fputs(text, o->out);
}

/* "4 processes, RSS 172.1 MiB together (…), +63.2 MiB (+126.1/min). " */
static void put_sums(const struct overview *o)
{
	const struct heap_report *report = o->report;
	int64_t rss = 0, grown = 0;
	double rate = 0;
	bool rated = true;

	for (size_t i = 0; i < report->look_count; i++) {
		const struct heap_look *look = report->looks[i];
		int64_t more = heap_signed(look->rss_bytes) - heap_signed(look->rss_first_bytes);

		rss += heap_signed(look->rss_bytes);
		if (!o->two)
			continue;
		grown += more;
		rated = rated && look->seconds >= HEAP_RATE_SECONDS;
		rate += rated ? (double)more / (1024 * 1024) * 60 / look->seconds : 0;
	}
	fprintf(o->out, "%zu ", report->look_count);
	if (report->skip_count)
		fprintf(o->out, "of %zu ", report->look_count + report->skip_count);
	fputs("processes, RSS" NBSP, o->out);
	put_amount(o, rss, false);
	fputs(" together (pages that they share count for each)", o->out);
	if (o->two) {
		fputs(", ", o->out);
		put_amount(o, grown, true);
	}
	if (o->two && rated)
		fprintf(o->out, " (%+.1f/min)", rate);
	fputs(". ", o->out);
}

static void put_holder(const struct overview *o)
{
	heap_put_name(o->out, *o->holder->path ? o->holder->path : "(no name)");
	fputs(" (", o->out);
	heap_put_name(o->out, o->holder->type);
	fprintf(o->out, ") of PID" NBSP "%d", (int)o->look->pid);
}

static void put_growth(const struct overview *o)
{
	size_t count;

	if (!o->holder) {
		fputs("No holder grows by more than noise.", o->out);
		return;
	}
	fputs("Grows most: ", o->out);
	put_holder(o);
	fputs(", by ", o->out);
	heap_put_rate(o->out, o->look, o->holder->grown_bytes);
	count = count_growing(o);
	if (count > 1)
		fprintf(o->out, "; it grows in %zu of them", count);
	fputc('.', o->out);
}

static void put_most(const struct overview *o)
{
	if (!o->holder)
		return;
	fputs("Keeps most: ", o->out);
	put_holder(o);
	fputs(", ", o->out);
	put_amount(o, heap_signed(o->holder->retained_bytes), false);
	fputc('.', o->out);
}

char *heap_overview(const struct heap_report *report)
{
	char *text = NULL;
	size_t size;
	struct overview o = {.out = open_memstream(&text, &size),
			     .report = report,
			     .two = report->look_count && report->looks[0]->seconds > 0};

	if (!o.out)
		return NULL;
	find_holder(&o);
	put_sums(&o);
	if (o.two && !o.none_sought)
		put_growth(&o);
	else if (!o.two)
		put_most(&o);
	if (fclose(o.out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
