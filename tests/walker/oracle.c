/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "oracle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"
#include "image.h"
#include "python/py_fingerprint.h"
#include "track/store.h"
#include "walker.h"

#define THREADS 4

struct tally {
	long right, cut, undelivered, lost[PYMEM_LOSS_COUNT], runs, most_reads, most_messages;
};

static struct truth truths[THREADS];
static unsigned truth_count;
static const struct py_process *process;
static struct store store;
static struct tally tally;
static char now[256];

void walker_broken(const char *what)
{
	fprintf(stderr, "walker: %s: %s\n", now, what);
	exit(1);
}

void oracle_case(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(now, sizeof(now), format, arguments);
	va_end(arguments);
}

void ring_take(const void *data, __u64 size)
{
	/* Exactly the size it claims, so that the sanitizer sees a read beyond its end. */
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

unsigned oracle_read_truth(const char *path)
{
	char line[8192];
	FILE *in = fopen(path, "r");

	if (!in)
		walker_broken("the truth can't be opened");
	while (fgets(line, sizeof(line), in))
		truth_line(line);
	fclose(in);
	return truth_count;
}

static bool text_agrees(const char *walked, const char *said)
{
	return !strcmp(walked, "?") || !strcmp(walked, said);
}

/* True if Python named this line in any thread. */
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

void oracle_init(const struct py_process *of)
{
	process = of;
	store_init(&store);
}

const struct truth *oracle_truth(unsigned i)
{
	return &truths[i];
}

void oracle_forget(void)
{
	store_fini(&store);
	store_init(&store);
}

/* --- what is said of one event --- */

struct oracle oracle_of_truth(const struct truth *t)
{
	struct oracle o = {.frames = t->frames, .count = t->count, .whole = true, .genuine = true};

	return o;
}

/* The file, function and line of frame `i` of the walk. */
static void walked_frame(const struct store_stack *stack, unsigned i, const char **file,
			 const char **function, int *line)
{
	struct store_code *code = store_code(&store, 1, &stack->frames[i], &process->layout, 0);

	*file = code ? code->code.file : "?";
	*function = code ? code->code.function : "?";
	*line = code ? py_code_line(&code->code, stack->frames[i].lasti) : -ENODATA;
}

void oracle_complain(unsigned i, const char *file, const char *function, int line,
		     const struct oracle *o)
{
	fprintf(stderr, "frame %u: walked %s:%d %s", i, file, line, function);
	if (o->frames && i < o->count)
		fprintf(stderr, ", is %s:%d %s", o->frames[i].file, o->frames[i].line,
			o->frames[i].function);
	fprintf(stderr, "\n");
	walker_broken("a wrong line");
}

static bool peek(void *arg __attribute__((unused)), uint64_t address, void *to, size_t bytes)
{
	return image_peek(to, bytes, address);
}

/* User space must compute the same fingerprint of a code object, from the unchanged memory. */
static void check_fingerprint(const struct pymem_msg_frame *frame)
{
	if (py_fingerprint(&process->layout, frame->code, peek, NULL) != frame->fingerprint)
		walker_broken("user space has another fingerprint of a code object");
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
	if (o->exact) {
		check_fingerprint(&stack->frames[i]);
		agrees = agrees && strcmp(file, "?") && strcmp(function, "?") && line != -ENODATA;
	}
	if (o->genuine && line > 0 && !is_genuine(file, function, line))
		agrees = false;
	return agrees;
}

/* How many frames are right. `*told`: missing ones are marked. */
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
		truth = oracle_of_truth(o->or_truth);
		truth_right = stack_agrees(stack, &truth, &truth_told);
	}
	if (right < stack->depth && truth_right < stack->depth) {
		walked_frame(stack, right, &file, &function, &line);
		oracle_complain(right, file, function, line, o);
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

/* What an event may read: docs/DESIGN.md, "What one event may cost". All lists together, a few
 * words for each interpreter and each state found; frames; 16 reads to name a code object, and 23
 * to send one. Of what is sent each message counts, and one code object of which the reading fails.
 */
static long reads_bound(void)
{
	return walker_search_steps() + walker_interpreters() * 5l + 8 + PYMEM_MAX_WALK +
	       PYMEM_MAX_FRAMES * 16l + (image_messages + 1) * 23;
}

void oracle_judge(int err, const struct oracle *o)
{
	struct pymem_stack_key key = {.proc = 1, .hash = walker_stack_hash()};
	struct store_stack *stack;

	tally.runs++;
	if (image_reads > tally.most_reads)
		tally.most_reads = image_reads;
	if (image_messages > tally.most_messages)
		tally.most_messages = image_messages;
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

void oracle_report(long reads, unsigned word_count, const struct hostile_costs *costs)
{
	static const char *const names[] = {
#define NAME(id, name, text) name,
		PYMEM_LOSSES(NAME)
#undef NAME
	};

	printf("%s%s, %s: %ld reads a walk, %u words, %u pages; %ld events: %ld right, %ld cut",
	       process->version, process->free_threaded ? "t" : "", walker_build(), reads,
	       word_count, image_pages(), tally.runs, tally.right, tally.cut);
	for (unsigned i = 0; i < PYMEM_LOSS_COUNT; i++)
		if (tally.lost[i])
			printf(", %ld %s", tally.lost[i], names[i]);
	printf(", %ld undelivered; at most %ld reads, %ld messages", tally.undelivered,
	       tally.most_reads, tally.most_messages);
	printf("; hostile: %ld reads of states, %ld of frames, %ld of code objects, %ld and %ld "
	       "messages; %ld reads on an empty account\n",
	       costs->lists, costs->shims, costs->deep, costs->deep_messages, costs->late_messages,
	       costs->account);
}

void oracle_fini(void)
{
	store_fini(&store);
	for (unsigned i = 0; i < truth_count; i++) {
		for (unsigned j = 0; j < truths[i].count; j++) {
			free(truths[i].frames[j].file);
			free(truths[i].frames[j].function);
		}
	}
}
