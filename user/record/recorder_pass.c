/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recording must have, to the byte, what the report at the end of a run has, and also
 * when it came. So the recorder sees the same calls as the report: each reading of the report, and
 * each taking of what has ended, passes through it. Its own readings (recorder_tick()) come in
 * between. */
#include <errno.h>
#include <stdlib.h>

#include "record/facts.h"
#include "record/recorder_private.h"

static int pass_image(const struct counts_image *image, void *arg)
{
	struct recorder *r = arg;

	recorder_note_image(r, image);
	return r->reader->image(image, r->reader_arg);
}

static int pass_stack(const struct counts_stack *stack, void *arg)
{
	struct recorder *r = arg;

	recorder_note_stack(r, stack, false);
	return r->reader->stack(stack, r->reader_arg);
}

static int pass_thread(const struct counts_stack *stack, void *arg)
{
	struct recorder *r = arg;

	recorder_note_stack(r, stack, true);
	return r->reader->thread(stack, r->reader_arg);
}

static int pass_line(const struct counts_line *line, void *arg)
{
	struct recorder *r = arg;

	recorder_note_line(r, line);
	return r->reader->line(line, r->reader_arg);
}

static int pass_cached(const struct counts_cached *cached, void *arg)
{
	struct recorder *r = arg;

	recorder_note_cached(r, cached);
	return r->reader->cached ? r->reader->cached(cached, r->reader_arg) : 0;
}

static int pass_kernel(const struct counts_kernel *kernel, void *arg)
{
	struct recorder *r = arg;

	recorder_note_kernel(r, kernel);
	return r->reader->kernel ? r->reader->kernel(kernel, r->reader_arg) : 0;
}

static const struct counts_reader passing = {
	.image = pass_image,
	.stack = pass_stack,
	.thread = pass_thread,
	.line = pass_line,
	.cached = pass_cached,
	.kernel = pass_kernel,
};

void recorder_begin_reading(struct recorder *r, const struct counts_reader *reader, void *arg,
			    bool taking)
{
	r->reading++;
	if (!taking) {
		r->before_reading = r->read_reading;
		r->read_reading = r->reading;
	}
	if (!taking && !reader)
		recorder_begin_order(r);
	r->reader = reader;
	r->reader_arg = arg;
	r->taking = taking;
}

void recorder_end_reading(struct recorder *r)
{
	r->reader = NULL;
	r->taking = false;
}

/* What came late in a reading of our own: the source has freed it, so the report gets it from here.
 */
static int pass_lates(struct recorder *r, const struct counts_reader *reader, void *arg)
{
	int verdict = 0;

	while (r->lates && verdict >= 0) {
		struct rec_late *late = r->lates;
		const struct counts_stack stack = {.key = late->key, .counters = &late->counters};

		r->lates = late->next;
		verdict = reader->stack(&stack, arg);
		free(late);
	}
	return verdict < 0 ? verdict : 0;
}

static int pass_read(void *self, const struct counts_reader *reader, void *arg)
{
	struct recorder *r = self;
	int err;

	recorder_begin_reading(r, reader, arg, false);
	err = r->inner.ops->read(r->inner.self, &passing, r);
	recorder_end_reading(r);
	return err ?: pass_lates(r, reader, arg);
}

static int pass_take_ended(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	struct recorder *r = self;
	int err;

	recorder_begin_reading(r, reader, arg, true);
	err = r->inner.ops->take_ended(r->inner.self, all, &passing, r);
	recorder_end_reading(r);
	return err;
}

static bool pass_is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	struct recorder *r = self;
	bool runs = r->inner.ops->is_running(r->inner.self, pid, start_boottime_ns);
	struct rec_image *image;

	for (image = r->images; image && !runs && r->final; image = image->hh.next)
		if (image->pid == pid && image->start_boottime_ns == start_boottime_ns)
			image->gone = true;
	return runs;
}

void recorder_note_facts(struct recorder *r, const struct counts_facts *facts)
{
	r->facts.size = 0;
	facts_pack(&r->facts, &r->inner, facts);
	if (!r->final || !r->end)
		r->end = facts->end;
}

static void pass_facts(void *self, struct counts_facts *facts)
{
	struct recorder *r = self;

	r->inner.ops->facts(r->inner.self, facts);
	if (r->final)
		recorder_note_facts(r, facts);
}

static void pass_notes(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		       void *arg)
{
	struct recorder *r = self;

	r->inner.ops->each_note(r->inner.self, which, fn, arg);
}

/* --- who touched pages first --- */

struct passing_touched {
	struct recorder *r;
	const struct counts_touched_reader *reader;
	void *arg;
};

static void write_touched(struct recorder *r)
{
	if (r->touched.failed || r->away.failed) {
		NO_MEMORY(r);
		r->touched.failed = r->away.failed = false;
		r->touched.size = r->away.size = 0;
	}
	if (r->touched.size) {
		record_db_int(&r->db, RECORD_TOUCHED, 1, r->touched_image);
		record_db_bytes(&r->db, RECORD_TOUCHED, 2, r->touched.bytes, r->touched.size);
		record_db_step(&r->db, RECORD_TOUCHED);
	}
	/* Programs before 0.2.0 accept no other tables, and do not look for such an image here. */
	if (r->touched.size && r->touched_away) {
		record_db_int(&r->db, RECORD_FIRSTS, 1, -(int64_t)r->touched_image);
		record_db_bytes(&r->db, RECORD_FIRSTS, 2, r->away.bytes, r->away.size);
		record_db_step(&r->db, RECORD_FIRSTS);
	}
	r->touched.size = r->away.size = 0;
}

static int pass_resident(const struct counts_resident *resident, void *arg)
{
	struct passing_touched *p = arg;
	struct recorder *r = p->r;
	struct amounts_buffer *to = &r->touched;

	if (r->final) {
		write_touched(r);
		r->touched_image = resident->image;
		r->touched_away = resident->away;
		amounts_put_number(to, (uint64_t)-resident->error);
		amounts_put_number(to, resident->pages);
		amounts_put_number(to, resident->line_pages);
		amounts_put_number(to, resident->before_pages);
		amounts_put_number(to, (uint64_t)resident->unplaced_pages);
		amounts_put_number(to, resident->refused_pages);
		amounts_put_number(to, resident->cut);
	}
	return p->reader->image(resident, p->arg);
}

static int pass_touched_stack(uint32_t image, const struct counts_stack *stack,
			      const struct counts_touched *touched, void *arg)
{
	struct passing_touched *p = arg;

	if (p->r->final && stack->depth) {
		uint64_t node = names_stack(&p->r->names, &p->r->db, stack);

		if (touched->resident_pages) {
			amounts_put_number(&p->r->touched, node);
			amounts_put_number(&p->r->touched, touched->resident_pages);
		}
		if (touched->swapped_pages || touched->absent_pages) {
			amounts_put_number(&p->r->away, node);
			amounts_put_number(&p->r->away, touched->swapped_pages);
			amounts_put_number(&p->r->away, touched->absent_pages);
		}
	}
	return p->reader->stack(image, stack, touched, p->arg);
}

static int pass_each_touched(void *self, const struct counts_touched_reader *reader, void *arg)
{
	const struct counts_touched_reader between = {
		.image = pass_resident,
		.stack = pass_touched_stack,
		.away = reader->away,
	};
	struct recorder *r = self;
	struct passing_touched p = {r, reader, arg};
	int err;

	if (!r->inner.ops->each_touched)
		return 0;
	err = r->inner.ops->each_touched(r->inner.self, &between, &p);
	write_touched(r);
	return err;
}

struct passing_first {
	struct recorder *r;
	counts_first_fn *fn;
	void *arg;
};

static int pass_first(const struct counts_stack *stack, bool gone, void *arg)
{
	struct passing_first *p = arg;

	if (stack->depth) {
		amounts_put_number(&p->r->firsts, names_stack(&p->r->names, &p->r->db, stack));
		amounts_put_number(&p->r->firsts, gone);
	}
	return p->fn(stack, gone, p->arg);
}

static int pass_each_first(void *self, uint32_t image, counts_first_fn *fn, void *arg)
{
	struct recorder *r = self;
	struct passing_first p = {r, fn, arg};
	int err;

	if (!r->inner.ops->each_first)
		return 0;
	r->firsts.size = 0;
	err = r->inner.ops->each_first(r->inner.self, image, pass_first, &p);
	if (r->final) {
		record_db_int(&r->db, RECORD_FIRSTS, 1, image);
		record_db_bytes(&r->db, RECORD_FIRSTS, 2, r->firsts.bytes, r->firsts.size);
		record_db_step(&r->db, RECORD_FIRSTS);
	}
	return err;
}

struct counts recorder_counts(struct recorder *r, struct counts counts)
{
	static const struct counts_ops ops = {
		.read = pass_read,
		.take_ended = pass_take_ended,
		.is_running = pass_is_running,
		.facts = pass_facts,
		.each_note = pass_notes,
		.each_touched = pass_each_touched,
		.each_first = pass_each_first,
	};

	r->inner = counts;
	return (struct counts){&ops, r};
}
