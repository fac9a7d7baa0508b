/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The BPF walker over the memory of a real, stopped interpreter: undisturbed, and with faults.
 *
 *   walker PID TRUTH
 *
 * TRUTH has what the interpreter itself says: for each thread `T THREAD_ID` and then, innermost
 * first, `F LINE<TAB>FILE<TAB>FUNCTION`. Messages of the walker go through user/store.c, lines
 * come from user/py_code.c, as in the product.
 *
 * A line is never a guess. After each event the result is one of these, or the test fails:
 *  - right: all frames, each as the reference (or Python) has it;
 *  - cut: the innermost ones of them, and marked as truncated;
 *  - lost, by a cause that a report names; or never delivered, which is one of them.
 * A frame's file, function or line that could not be read is "?", which is no wrong line either.
 *
 * What is right where the memory was changed: what an independent reading of the *changed*
 * memory gives (reference.c). A pointer made to lead to another living object is a stack as
 * good as any, and no reader can tell that it is not the one that was; so such cases are
 * held against the reference alone. Wild values lead to nothing: there each line must also be
 * one that Python itself named.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "py_process.h"
#include "reference.h"
#include "store.h"
#include "walker.h"

#define THREADS	   4
#define LIST_AT	   0x10000000000ull /* a synthetic thread list; no process has memory there */
#define LIST_PITCH 1024
#define NOTES	   65536

struct truth {
	uint64_t thread_id;
	unsigned count;
	struct reference_frame frames[REFERENCE_FRAMES];
};

struct tally {
	long right, cut, undelivered, lost[PYMEM_LOSS_COUNT], runs, most_reads;
};

static struct truth truths[THREADS];
static unsigned truth_count;
static struct py_process process;
static struct pymem_layout layout;
static struct store store;
static struct reference_word words[REFERENCE_WORDS];
static struct image_note notes[NOTES];
static struct tally tally;
static char now[256]; /* the case that runs, for messages */

void walker_broken(const char *what)
{
	fprintf(stderr, "walker: %s: %s\n", now, what);
	exit(1);
}

void ring_take(const void *data, __u64 size)
{
	/* Exactly as large as it says, so that the sanitizer sees a read past its end. */
	void *message = malloc(size);

	if (!message)
		walker_broken("out of memory");
	memcpy(message, data, size);
	if (store_add(&store, message, size))
		walker_broken("a message that user space finds malformed");
	free(message);
}

/* --- what Python says --- */

static void truth_line(char *line)
{
	struct truth *t = &truths[truth_count ? truth_count - 1 : 0];
	struct reference_frame *f = &t->frames[t->count];
	char *rest = line + 2;

	line[strcspn(line, "\n")] = '\0';
	if (line[0] == 'T' && truth_count < THREADS) {
		truths[truth_count++].thread_id = strtoull(rest, NULL, 10);
		return;
	}
	if (line[0] != 'F' || !truth_count || t->count == REFERENCE_FRAMES)
		walker_broken("the truth can't be read");
	f->line = atoi(strsep(&rest, "\t"));
	f->file = strdup(strsep(&rest, "\t"));
	f->function = strdup(rest);
	t->count++;
}

static void truth_read(const char *path)
{
	char line[8192];
	FILE *in = fopen(path, "r");

	if (!in)
		walker_broken("the truth can't be opened");
	while (fgets(line, sizeof(line), in))
		truth_line(line);
	fclose(in);
}

static bool text_agrees(const char *walked, const char *said)
{
	return !strcmp(walked, "?") || !strcmp(walked, said);
}

/* Did Python name this line, in any thread? */
static bool is_genuine(const char *file, const char *function, int line)
{
	for (unsigned i = 0; i < truth_count; i++)
		for (unsigned j = 0; j < truths[i].count; j++)
			if (truths[i].frames[j].line == line &&
			    text_agrees(file, truths[i].frames[j].file) &&
			    text_agrees(function, truths[i].frames[j].function))
				return true;
	return false;
}

/* --- one event --- */

struct oracle {
	const struct reference_frame *frames; /* NULL: none; only what is genuine may be said */
	unsigned count;
	bool whole;		      /* these are all frames that there are */
	bool genuine;		      /* no line that Python did not name */
	bool exact;		      /* nothing was disturbed: no loss at all */
	const struct truth *or_truth; /* may be right by this instead; NULL */
};

static struct oracle truth_oracle(const struct truth *t)
{
	struct oracle o = {.frames = t->frames, .count = t->count, .whole = true, .genuine = true};

	return o;
}

/* The file, function and line of the walk's frame `i`. */
static void walked_frame(const struct store_stack *stack, unsigned i, const char **file,
			 const char **function, int *line)
{
	struct store_code *code = store_code(&store, 1, &stack->frames[i], &process.layout, 0);

	*file = code ? code->code.file : "?";
	*function = code ? code->code.function : "?";
	*line = code ? store_line(code, stack->frames[i].lasti) : -ENODATA;
}

static void complain(unsigned i, const char *file, const char *function, int line,
		     const struct oracle *o)
{
	fprintf(stderr, "frame %u: walked %s:%d %s", i, file, line, function);
	if (o->frames && i < o->count)
		fprintf(stderr, ", is %s:%d %s", o->frames[i].file, o->frames[i].line,
			o->frames[i].function);
	fprintf(stderr, "\n");
	walker_broken("a wrong line");
}

static bool frame_agrees(const struct store_stack *stack, unsigned i, const struct oracle *o)
{
	const char *file, *function;
	bool agrees = true;
	int line;

	walked_frame(stack, i, &file, &function, &line);
	if (o->frames)
		agrees = i < o->count && text_agrees(file, o->frames[i].file) &&
			 text_agrees(function, o->frames[i].function) &&
			 (line == -ENODATA || line == o->frames[i].line);
	if (o->exact)
		agrees = agrees && strcmp(file, "?") && strcmp(function, "?") && line != -ENODATA;
	if (o->genuine && line > 0 && !is_genuine(file, function, line))
		agrees = false;
	return agrees;
}

/* How many of the frames are right, and whether missing ones are told of. */
static unsigned stack_agrees(const struct store_stack *stack, const struct oracle *o, bool *told)
{
	unsigned i = 0;

	while (i < stack->depth && frame_agrees(stack, i, o))
		i++;
	*told = !o->frames || stack->truncated || (o->whole && stack->depth == o->count);
	return i;
}

static void check_stack(const struct store_stack *stack, const struct oracle *o)
{
	bool told, truth_told = false;
	unsigned right = stack_agrees(stack, o, &told), truth_right = 0;
	const char *file, *function;
	struct oracle truth;
	int line;

	if (o->or_truth) {
		truth = truth_oracle(o->or_truth);
		truth_right = stack_agrees(stack, &truth, &truth_told);
	}
	if (right < stack->depth && truth_right < stack->depth) {
		walked_frame(stack, right, &file, &function, &line);
		complain(right, file, function, line, o);
	}
	if (!(right == stack->depth && told) && !(truth_right == stack->depth && truth_told))
		walker_broken("callers are missing, and it does not say so");
	if (o->exact && o->whole && stack->truncated)
		walker_broken("all callers are there, and it says that some are missing");
	if (stack->truncated)
		tally.cut++;
	else
		tally.right++;
}

static void count_loss(int err, const struct oracle *o)
{
	unsigned cause = (unsigned)(-err - 1);

	if (err > 0 || cause >= PYMEM_LOSS_COUNT || cause != walker_thread.loss)
		walker_broken("lost without a cause");
	if (cause != PYMEM_LOSS_NO_FRAME && cause != PYMEM_LOSS_NO_THREAD &&
	    cause != PYMEM_LOSS_UNREADABLE && cause != PYMEM_LOSS_MAP_FULL)
		walker_broken("lost by a cause that can't be");
	if (walker_stack_hash())
		walker_broken("lost, and yet it collects");
	if (o->exact)
		walker_broken(err == -(PYMEM_LOSS_NO_THREAD + 1) ? "the thread was not found"
								 : "lost though undisturbed");
	tally.lost[cause]++;
}

/* Each list is searched for at most three states, twice if there are more interpreters. */
static long reads_bound(void)
{
	return 2l * walker_interpreters() * (3l * walker_thread_search() * 2 + 8) +
	       PYMEM_MAX_FRAMES * 64l;
}

static void judge(int err, const struct oracle *o)
{
	struct pymem_stack_key key = {.proc = 1, .hash = walker_stack_hash()};
	struct store_stack *stack;

	tally.runs++;
	if (image_reads > tally.most_reads)
		tally.most_reads = image_reads;
	if (image_reads > reads_bound())
		walker_broken("more reads than there can be");
	if (err) {
		count_loss(err, o);
		return;
	}
	if (!key.hash)
		walker_broken("neither a stack nor a cause");
	stack = store_stack(&store, &key);
	if (stack && stack->frames)
		check_stack(stack, o);
	else if (o->exact)
		walker_broken("the stack was not delivered");
	else
		tally.undelivered++;
}

static int event(uint64_t thread_id)
{
	image_reads = 0;
	image_steps = 0;
	return walker_event(thread_id);
}

/* An event of a thread that was seen `visits` times before, undisturbed. */
static void disturbed(uint64_t thread_id, unsigned visits, const struct image_faults *faults,
		      const struct oracle *o)
{
	int err;

	store_fini(&store);
	store_init(&store);
	memset(&image_faults, 0, sizeof(image_faults));
	walker_reset(&layout, process.runtime_addr, process.interp_head_addr);
	while (visits--)
		event(thread_id);
	image_faults = *faults;
	err = event(thread_id);
	memset(&image_faults, 0, sizeof(image_faults));
	judge(err, o);
}

/* --- cases --- */

/* Undisturbed: exactly what Python says, and so does the reference. */
static void check_undisturbed(const struct truth *t)
{
	static struct reference r;
	struct image_faults none = {0};
	struct oracle o = truth_oracle(t);

	o.exact = true;
	o.whole = t->count <= PYMEM_MAX_FRAMES;
	for (unsigned visits = 0; visits < 3; visits++) {
		snprintf(now, sizeof(now), "thread %#" PRIx64 ", visit %u", t->thread_id,
			 visits + 1);
		disturbed(t->thread_id, visits, &none, &o);
	}
	snprintf(now, sizeof(now), "reference of thread %#" PRIx64, t->thread_id);
	reference_walk(&r, &process, t->thread_id, REFERENCE_FRAMES);
	if (r.end != REFERENCE_WHOLE || r.count != t->count)
		walker_broken("it has not the frames that Python says");
	for (unsigned i = 0; i < r.count; i++)
		if (strcmp(r.frames[i].file, t->frames[i].file) ||
		    strcmp(r.frames[i].function, t->frames[i].function) ||
		    r.frames[i].line != t->frames[i].line)
			complain(i, r.frames[i].file, r.frames[i].function, r.frames[i].line, &o);
	reference_fini(&r);
}

/* Each read fails, one at a time; then each of the other steps. How many reads there are. */
static long check_failing(const struct truth *t, unsigned visits)
{
	struct image_faults faults = {0};
	struct oracle o = truth_oracle(t);
	long reads, steps;

	o.whole = t->count <= PYMEM_MAX_FRAMES;
	disturbed(t->thread_id, visits, &faults, &o);
	reads = image_reads;
	steps = image_steps;
	for (faults.fail_read = 1; faults.fail_read <= reads; faults.fail_read++) {
		snprintf(now, sizeof(now), "thread %#" PRIx64 ", visit %u, read %ld fails",
			 t->thread_id, visits + 1, faults.fail_read);
		disturbed(t->thread_id, visits, &faults, &o);
	}
	faults.fail_read = 0;
	for (faults.fail_step = 1; faults.fail_step <= steps; faults.fail_step++) {
		snprintf(now, sizeof(now), "thread %#" PRIx64 ", visit %u, step %ld fails",
			 t->thread_id, visits + 1, faults.fail_step);
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

/* One word is another in all of memory. */
static void check_word(const struct truth *t, unsigned visits, const struct reference_word *w,
		       uint64_t value, bool wild)
{
	static struct reference r;
	struct image_faults faults = {.patches = {{w->addr, value, IMAGE_ALWAYS}},
				      .patch_count = 1};
	struct oracle o = {.genuine = wild};

	snprintf(now, sizeof(now),
		 "thread %#" PRIx64 ", visit %u, at %#" PRIx64 " %#" PRIx64 " is %#" PRIx64,
		 t->thread_id, visits + 1, w->addr, w->value, value);
	image_faults = faults;
	reference_walk(&r, &process, t->thread_id, PYMEM_MAX_FRAMES + 1);
	memset(&image_faults, 0, sizeof(image_faults));
	o.frames = r.frames;
	o.count = r.count;
	o.whole = r.end == REFERENCE_WHOLE;
	/* Its state is known since its last visit, and its code objects have been handed over:
	 * what led to them is not read again. */
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

/* A value that only one read sees: memory that changes while it is walked. */
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

			snprintf(now, sizeof(now),
				 "thread %#" PRIx64 ", visit %u, read %ld has %#" PRIx64
				 " at %#" PRIx64 " of %#" PRIx64,
				 t->thread_id, visits + 1, read, wild_values[i], w->addr, w->value);
			disturbed(t->thread_id, visits, &faults, &o);
		}
	}
}

static unsigned check_words(const struct truth *t, unsigned visits)
{
	static struct reference r;
	struct image_faults none = {0};
	struct oracle o = truth_oracle(t);
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

/* `count` other threads come before ours, whose entry is followed by none; or they go round in
 * a circle and ours is not among them. */
static void check_list(const struct truth *t, unsigned count, bool circle)
{
	static struct reference r;
	struct image_faults faults = {.patch_count = 1};
	struct oracle o = truth_oracle(t);
	int err;

	snprintf(now, sizeof(now), "%u threads%s", count, circle ? " in a circle" : "");
	reference_walk(&r, &process, t->thread_id, REFERENCE_FRAMES);
	list_make(&r, count, circle ? LIST_AT : r.tstate);
	faults.patches[0].addr = r.interp + process.layout.interp_thread_head;
	faults.patches[0].value = LIST_AT;
	o.exact = !circle && count < walker_thread_search();
	disturbed(t->thread_id, 0, &faults, &o);
	if (!o.exact && !walker_stack_hash() && walker_thread.loss != PYMEM_LOSS_NO_THREAD)
		walker_broken("not found, but by another cause than no-thread");
	if (!o.exact && walker_stack_hash())
		walker_broken("found where it is not looked for");
	/* After the first misses it looks at the newest only. */
	image_faults = faults;
	event(t->thread_id);
	event(t->thread_id);
	err = event(t->thread_id);
	memset(&image_faults, 0, sizeof(image_faults));
	if (!o.exact && image_reads > 64)
		walker_broken("the whole list again at the fourth event");
	judge(err, &o);
	reference_fini(&r);
}

/* --- */

static __u16 extent(__u16 size, __u16 offset, unsigned width)
{
	return offset != PY_NONE && offset + width > size ? (__u16)(offset + width) : size;
}

/* As session_add_layout() has it. */
static void layout_make(void)
{
	const struct py_layout *py = &process.layout;

	layout.tstate_size = extent(layout.tstate_size, py->tstate_thread_id, 8);
	layout.tstate_size = extent(layout.tstate_size, py->tstate_frame, 8);
	layout.tstate_size = extent(layout.tstate_size, py->tstate_next, 8);
	layout.code_size = extent(layout.code_size, py->code_firstlineno, 4);
	layout.code_size = extent(layout.code_size, py->code_filename, 8);
	layout.code_size = extent(layout.code_size, py->code_name, 8);
	layout.code_size = extent(layout.code_size, py->code_qualname, 8);
	layout.code_size = extent(layout.code_size, py->code_linetable, 8);
	memcpy(layout.py, py, sizeof(*py));
}

static void report(long reads, unsigned word_count)
{
	static const char *const names[] = {
#define NAME(id, name, text) name,
		PYMEM_LOSSES(NAME)
#undef NAME
	};

	printf("%s%s, %s: %ld reads a walk, %u words, %u pages; %ld events: %ld right, %ld cut",
	       process.version, process.free_threaded ? "t" : "", walker_build(), reads, word_count,
	       image_pages(), tally.runs, tally.right, tally.cut);
	for (unsigned i = 0; i < PYMEM_LOSS_COUNT; i++)
		if (tally.lost[i])
			printf(", %ld %s", tally.lost[i], names[i]);
	printf(", %ld undelivered; at most %ld reads\n", tally.undelivered, tally.most_reads);
}

static void truth_free(void)
{
	for (unsigned i = 0; i < truth_count; i++) {
		for (unsigned j = 0; j < truths[i].count; j++) {
			free(truths[i].frames[j].file);
			free(truths[i].frames[j].function);
		}
	}
}

int main(int argc, char **argv)
{
	struct py_image_cache *cache = py_image_cache_new();
	unsigned word_count = 0;
	long reads = 0;

	if (argc != 3 || !cache)
		walker_broken("usage: walker PID TRUTH");
	truth_read(argv[2]);
	if (truth_count < 3 || py_process_identify(cache, atoi(argv[1]), &process))
		walker_broken("no such process, or no truth of it");
	py_image_cache_free(cache);
	image_open(atoi(argv[1]));
	layout_make();
	store_init(&store);
	for (unsigned i = 0; i < truth_count; i++) {
		check_undisturbed(&truths[i]);
		for (unsigned visits = 0; visits < 3; visits++) {
			long count = check_failing(&truths[i], visits);

			reads = i || visits ? reads : count;
		}
	}
	/* The first two: of the third, which is deep, the frames are all alike. */
	for (unsigned i = 0; i < 2; i++)
		for (unsigned visits = 0; visits < 2; visits++)
			word_count += check_words(&truths[i], visits);
	check_list(&truths[0], 200, false);
	check_list(&truths[0], 10000, false);
	check_list(&truths[0], 20000, false);
	check_list(&truths[0], 10000, true);
	report(reads, word_count / 2);
	store_fini(&store);
	image_close();
	truth_free();
	return 0;
}
