/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the BPF walker over the memory of a real, stopped interpreter: unchanged, and with faults.
 *
 * walker PID TRUTH
 * walker --reads PID TRUTH   no check: what events in a row read, of each thread
 * (bench/walk_reads.py)
 *
 * TRUTH has what the interpreter itself says: for each thread `T THREAD_ID`, then, innermost first,
 * `F LINE<TAB>FILE<TAB>FUNCTION`. Messages of the walker go through user/track/store.c and lines
 * come from user/python/py_code.c, as in the product.
 *
 * oracle.h says what is right, cut or lost, and when the test fails. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"
#include "image.h"
#include "oracle.h"
#include "walker.h"

#define LIST_AT	   0x10000000000ull /* a made-up list of threads; no process has memory there */
#define LIST_PITCH 1024
#define NOTES	   65536

static struct py_process process;
static struct pymem_layout layout;
static struct reference_word words[REFERENCE_WORDS];
static struct image_note notes[NOTES];

static int event(uint64_t thread_id)
{
	image_reads = 0;
	image_bytes = 0;
	image_steps = 0;
	image_messages = 0;
	return walker_event(thread_id);
}

/* An event of a thread that had `visits` undisturbed events before. */
static void disturbed(uint64_t thread_id, unsigned visits, const struct image_faults *faults,
		      const struct oracle *o)
{
	int err;

	oracle_forget();
	memset(&image_faults, 0, sizeof(image_faults));
	walker_reset(&layout, process.runtime_addr, process.interp_head_addr);
	while (visits--)
		event(thread_id);
	image_faults = *faults;
	err = event(thread_id);
	memset(&image_faults, 0, sizeof(image_faults));
	oracle_judge(err, o);
}

/* --- cases --- */

/* Undisturbed: exactly what Python and the reference say. */
static void check_undisturbed(const struct truth *t)
{
	static struct reference r;
	struct image_faults none = {0};
	struct oracle o = oracle_of_truth(t);

	o.exact = true;
	o.whole = t->count <= PYMEM_MAX_FRAMES;
	for (unsigned visits = 0; visits < 3; visits++) {
		oracle_case("thread %#" PRIx64 ", visit %u", t->thread_id, visits + 1);
		disturbed(t->thread_id, visits, &none, &o);
	}
	oracle_case("reference of thread %#" PRIx64, t->thread_id);
	reference_walk(&r, &process, t->thread_id, REFERENCE_FRAMES);
	if (r.end != REFERENCE_WHOLE || r.count != t->count)
		walker_broken("it has not the frames that Python says");
	for (unsigned i = 0; i < r.count; i++)
		if (strcmp(r.frames[i].file, t->frames[i].file) ||
		    strcmp(r.frames[i].function, t->frames[i].function) ||
		    r.frames[i].line != t->frames[i].line)
			oracle_complain(i, r.frames[i].file, r.frames[i].function, r.frames[i].line,
					&o);
	reference_fini(&r);
}

/* Each read fails, one at a time; then each of the other steps. Returns the number of reads. */
static long check_failing(const struct truth *t, unsigned visits)
{
	struct image_faults faults = {0};
	struct oracle o = oracle_of_truth(t);
	long reads, steps;

	o.whole = t->count <= PYMEM_MAX_FRAMES;
	disturbed(t->thread_id, visits, &faults, &o);
	reads = image_reads;
	steps = image_steps;
	for (faults.fail_read = 1; faults.fail_read <= reads; faults.fail_read++) {
		oracle_case("thread %#" PRIx64 ", visit %u, read %ld fails", t->thread_id,
			    visits + 1, faults.fail_read);
		disturbed(t->thread_id, visits, &faults, &o);
	}
	faults.fail_read = 0;
	for (faults.fail_step = 1; faults.fail_step <= steps; faults.fail_step++) {
		oracle_case("thread %#" PRIx64 ", visit %u, step %ld fails", t->thread_id,
			    visits + 1, faults.fail_step);
		disturbed(t->thread_id, visits, &faults, &o);
	}
	return reads;
}

static const uint64_t wild_values[] = {
	0, ~0ull, 0xffff888000000000ull, 0x8000000000000000ull, 0x1000, 0xffffffffffull,
};
static const uint64_t wild_numbers[] = {
	0, ~0ull, 1ull << 40, 0x7fffffffffffffffull, 0xffffffff, 1,
};

/* One word has another value, for all reads. */
static void check_word(const struct truth *t, unsigned visits, const struct reference_word *w,
		       uint64_t value, bool wild)
{
	static struct reference r;
	struct image_faults faults = {.patches = {{w->addr, value, IMAGE_ALWAYS}},
				      .patch_count = 1};
	struct oracle o = {.genuine = wild};

	oracle_case("thread %#" PRIx64 ", visit %u, at %#" PRIx64 " %#" PRIx64 " is %#" PRIx64,
		    t->thread_id, visits + 1, w->addr, w->value, value);
	image_faults = faults;
	reference_walk(&r, &process, t->thread_id, PYMEM_MAX_FRAMES + 1);
	memset(&image_faults, 0, sizeof(image_faults));
	o.frames = r.frames;
	o.count = r.count;
	o.whole = r.end == REFERENCE_WHOLE;
	/* Its state is known from its last visit, and its code objects were sent. What led to them
	 * is not read again. */
	o.or_truth = visits ? t : NULL;
	disturbed(t->thread_id, visits, &faults, &o);
	reference_fini(&r);
}

static void check_pointer(const struct truth *t, unsigned visits, const struct reference *r,
			  const struct reference_word *w)
{
	const struct reference_frame *last = &r->frames[r->count - 1];
	uint64_t others[] = {
		w->addr,	 w->value + 1,	    w->value + 4, w->value - 8,
		w->value ^ 4096, r->tstate,	    r->interp,	  r->frames[0].frame,
		last->frame,	 r->frames[0].code, last->code,	  r->frames[r->count / 2].frame,
	};

	for (unsigned i = 0; i < sizeof(wild_values) / sizeof(*wild_values); i++)
		check_word(t, visits, w, wild_values[i], true);
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
		check_word(t, visits, w, others[i], false);
}

/* Only one read sees the value: memory that changes during the walk. */
static void check_fleeting(const struct truth *t, unsigned visits, const struct reference_word *w,
			   long reads)
{
	struct oracle o = {.genuine = true};

	for (long read = 1; read <= reads; read++) {
		if (notes[read - 1].addr > w->addr ||
		    w->addr + 8 > notes[read - 1].addr + notes[read - 1].size)
			continue;
		for (unsigned i = 0; i < 3; i++) {
			struct image_faults faults = {.patches = {{w->addr, wild_values[i], read}},
						      .patch_count = 1};

			oracle_case("thread %#" PRIx64 ", visit %u, read %ld has %#" PRIx64
				    " at %#" PRIx64 " of %#" PRIx64,
				    t->thread_id, visits + 1, read, wild_values[i], w->addr,
				    w->value);
			disturbed(t->thread_id, visits, &faults, &o);
		}
	}
}

static unsigned check_words(const struct truth *t, unsigned visits)
{
	static struct reference r;
	struct image_faults none = {0};
	struct oracle o = oracle_of_truth(t);
	unsigned count;
	long reads;

	r.words = words;
	reference_walk(&r, &process, t->thread_id, REFERENCE_FRAMES);
	count = r.word_count;
	image_notes = notes;
	image_notes_room = NOTES;
	disturbed(t->thread_id, visits, &none, &o);
	image_notes = NULL;
	reads = image_reads < NOTES ? image_reads : NOTES;
	for (unsigned i = 0; i < count; i++) {
		const struct reference_word *w = &words[i];

		if (w->kind == WORD_POINTER) {
			check_pointer(t, visits, &r, w);
			check_fleeting(t, visits, w, reads);
		} else if (w->kind == WORD_INSTR) {
			for (unsigned v = 0; v < 5; v++)
				check_word(t, visits, w, wild_values[v], true);
			check_word(t, visits, w, w->value + 2, false);
		} else {
			for (unsigned v = 0; v < sizeof(wild_numbers) / sizeof(*wild_numbers); v++)
				check_word(t, visits, w, wild_numbers[v], false);
		}
	}
	reference_fini(&r);
	return count;
}

/* --- long thread lists --- */

static void list_make(const struct reference *r, unsigned count, uint64_t end)
{
	static unsigned char state[LIST_PITCH];
	const struct py_layout *py = &process.layout;

	if (layout.tstate_size > sizeof(state) || !image_peek(state, layout.tstate_size, r->tstate))
		walker_broken("no room for a thread state");
	for (unsigned i = 0; i < count; i++) {
		uint64_t id = 0x100 + i, at = LIST_AT + (uint64_t)i * LIST_PITCH;
		uint64_t next = i + 1 < count ? at + LIST_PITCH : end;

		memcpy(state + py->tstate_thread_id, &id, sizeof(id));
		memcpy(state + py->tstate_next, &next, sizeof(next));
		image_add(at, state, sizeof(state));
	}
}

/* Events until the thread is found; 0: not within `most`. Each event is bounded. */
static unsigned list_search(const struct truth *t, unsigned most, const struct oracle *o)
{
	struct oracle exact = *o, lost = *o;

	exact.exact = true;
	lost.exact = false;
	for (unsigned i = 1; i <= most; i++) {
		int err = event(t->thread_id);

		if (err && image_reads > walker_search_steps() + 24l)
			walker_broken("an event looks at more thread states than it may");
		if (err && walker_thread.loss != PYMEM_LOSS_NO_THREAD)
			walker_broken("not found, but by another cause than no-thread");
		oracle_judge(err, err ? &lost : &exact);
		if (!err)
			return i;
	}
	return 0;
}

/* Once it is found, the list is not looked at any more. If it is not, only the newest threads are,
 * and the whole list now and then: the walk through it takes some 40 events (of the legacy build,
 * 60), and comes again after 64; in the beginning sooner. */
static void check_later(const struct truth *t, bool found)
{
	unsigned sooner = found ? 0 : 500, events = 1000, searches = 0;

	for (unsigned i = 0; i < sooner + events; i++) {
		event(t->thread_id);
		if (i >= sooner && image_reads > 64 + (found ? t->count * 8l : 0))
			searches++;
	}
	if (searches > (found ? 0 : events * 3 / 5))
		walker_broken("a long list again and again");
}

/* `count` other threads come before ours, which is the last; or they form a circle without ours. */
static void check_list(const struct truth *t, unsigned count, bool circle)
{
	unsigned an_event = walker_search_steps() - 16, limit = walker_search_limit();
	bool findable = !circle && count < limit;
	unsigned most = (findable ? count : limit) / an_event + 2, events;
	static struct reference r;
	struct image_faults faults = {.patch_count = 1};
	struct oracle o = oracle_of_truth(t);

	oracle_case("%u threads%s", count, circle ? " in a circle" : "");
	reference_walk(&r, &process, t->thread_id, REFERENCE_FRAMES);
	list_make(&r, count, circle ? LIST_AT : r.tstate);
	faults.patches[0].addr = r.interp + process.layout.interp_thread_head;
	faults.patches[0].value = LIST_AT;
	oracle_forget();
	walker_reset(&layout, process.runtime_addr, process.interp_head_addr);
	image_faults = faults;
	events = list_search(t, most, &o);
	if (findable && (!events || (count < walker_search_steps() && events > 1)))
		walker_broken("not found in as many events as its list is long");
	if (!findable && events)
		walker_broken("found where it is not looked for");
	check_later(t, findable);
	memset(&image_faults, 0, sizeof(image_faults));
	reference_fini(&r);
}

/* --- */

static __u16 extent(__u16 size, __u16 offset, unsigned width)
{
	return offset != PY_NONE && offset + width > size ? (__u16)(offset + width) : size;
}

/* As session_add_layout() does it. */
static void layout_make(void)
{
	const struct py_layout *py = &process.layout;

	layout.tstate_size = extent(layout.tstate_size, py->tstate_thread_id, 8);
	layout.tstate_size = extent(layout.tstate_size, py->tstate_frame, 8);
	layout.tstate_size = extent(layout.tstate_size, py->tstate_next, 8);
	layout.code_size = extent(layout.code_size, py->code_firstlineno, 4);
	if (py->code_version != PY_NONE)
		layout.code_size =
			extent(layout.code_size, py->code_firstlineno + py->code_version, 4);
	layout.code_size = extent(layout.code_size, py->code_filename, 8);
	layout.code_size = extent(layout.code_size, py->code_name, 8);
	layout.code_size = extent(layout.code_size, py->code_qualname, 8);
	layout.code_size = extent(layout.code_size, py->code_linetable, 8);
	layout.py = *py;
}

#define EVENTS 256

/* `FRAMES: READS/BYTES …` of each thread, for as many undisturbed events. 0, or the status of a
 * failure. */
static int print_reads(unsigned threads)
{
	for (unsigned i = 0; i < threads; i++) {
		const struct truth *t = oracle_truth(i);

		walker_reset(&layout, process.runtime_addr, process.interp_head_addr);
		printf("%u:", t->count);
		for (unsigned n = 0; n < EVENTS; n++) {
			oracle_forget();
			if (event(t->thread_id)) {
				fprintf(stderr, "walker: an event of thread %u had no stack\n", i);
				return 1;
			}
			printf(" %ld/%ld", image_reads, image_bytes);
		}
		putchar('\n');
	}
	return 0;
}

static void check_all(unsigned threads)
{
	struct hostile_costs costs;
	unsigned word_count = 0;
	long reads = 0;

	if (!walker_thread_places())
		walker_broken("a thread's record is not held by the image that it began on");
	for (unsigned i = 0; i < threads; i++) {
		check_undisturbed(oracle_truth(i));
		for (unsigned visits = 0; visits < 3; visits++) {
			long count = check_failing(oracle_truth(i), visits);

			reads = i || visits ? reads : count;
		}
	}
	/* The first two: the third is deep, and its frames are all alike. */
	for (unsigned i = 0; i < 2; i++)
		for (unsigned visits = 0; visits < 2; visits++)
			word_count += check_words(oracle_truth(i), visits);
	check_list(oracle_truth(0), 200, false);
	check_list(oracle_truth(0), 10000, false);
	check_list(oracle_truth(0), 20000, false);
	check_list(oracle_truth(0), 10000, true);
	costs = hostile_check(&process, &layout, oracle_truth(0));
	oracle_report(reads, word_count / 2, &costs);
}

int main(int argc, char **argv)
{
	struct py_image_cache *cache = py_image_cache_new();
	bool only_reads = argc == 4 && !strcmp(argv[1], "--reads");
	char **words_given = argv + (only_reads ? 2 : 1);
	unsigned threads;
	int status = 0;

	if (argc != (only_reads ? 4 : 3) || !cache)
		walker_broken("usage: walker [--reads] PID TRUTH");
	threads = oracle_read_truth(words_given[1]);
	if (threads < (only_reads ? 1 : 3) ||
	    py_process_identify(cache, atoi(words_given[0]), &process))
		walker_broken("no such process, or no truth of it");
	py_image_cache_free(cache);
	image_open(atoi(words_given[0]));
	layout_make();
	oracle_init(&process);
	if (only_reads)
		status = print_reads(threads);
	else
		check_all(threads);
	image_close();
	oracle_fini();
	return status;
}
