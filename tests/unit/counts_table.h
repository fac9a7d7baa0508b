/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A source of counts (model/counts.h) that is a table: a report gets what a test puts in.
 *
 * It behaves like a live session: images that have ended are handed over once and are then gone,
 * and so is what the reader takes. */
#ifndef COUNTS_TABLE_H
#define COUNTS_TABLE_H

#include <errno.h>
#include <string.h>

#include "model/counts.h"

#define TABLE_ROWS  256
#define TABLE_DEPTH 4

struct table_image {
	struct pymem_proc record;
	struct counts_image image; /* `record` and `root` are set when it is handed over */
	bool gone;		   /* was handed over for good */
	bool not_running;	   /* although its end was not seen */
};

struct table_stack {
	struct pymem_stack_key key;
	struct counts_frame frames[TABLE_DEPTH];
	unsigned depth;
	bool truncated, cut;
	enum pymem_lack lack;
	struct pymem_counters counters;
	struct pymem_vmcalls vmcalls;
	bool has_vmcalls;
	struct counts_thread told; /* the thread that ran it; id 0: unknown */
	bool thread;		   /* a thread has collected it */
	bool gone;
	bool is_told; /* to a reader that asks for changes, with these counters */
	struct pymem_counters told_counters;
};

struct table_line {
	uint32_t image;
	struct counts_frame at;
	bool named;
	struct pymem_line counted;
	bool gone;
};

struct table_cached { /* of the stack in that row of `stacks` */
	size_t stack;
	struct counts_cached cached; /* `stack` is set when it is handed over */
	bool gone;
};

struct table_kernel { /* of the stack in that row of `stacks` */
	size_t stack;
	struct counts_kernel kernel; /* `stack` is set when it is handed over */
	bool gone;
};

struct table_touched { /* what of an image is resident */
	struct counts_resident resident;
	/* By row of `stacks`, touched by that one, of any image. */
	uint64_t pages[TABLE_ROWS], swapped[TABLE_ROWS], absent[TABLE_ROWS];
};

struct counts_table {
	struct table_image images[TABLE_ROWS];
	struct table_stack stacks[TABLE_ROWS];
	struct table_line lines[TABLE_ROWS];
	size_t image_count, stack_count, line_count;
	struct table_cached cached[16];
	size_t cached_count;
	struct table_kernel kernel[16];
	size_t kernel_count;
	struct table_touched touched[4];
	size_t touched_count; /* 0: it is not noted who touches pages */
	/* By row of `stacks`: places that are looked at, and of these where what was first is gone.
	 */
	unsigned firsts[TABLE_ROWS], firsts_gone[TABLE_ROWS];
	struct counts_facts facts;
	uint64_t gaps[COUNTS_GAP_COUNT];
	const char *notes[3];  /* by enum counts_note; NULL: none */
	int error;	       /* of the next reading: -errno */
	unsigned changes_only; /* readings that brought only stacks that had changed */
	unsigned takes;	       /* how often ended images were taken */
};

static inline struct table_image *table_add_image(struct counts_table *table, uint32_t id)
{
	static const struct source_root no_root = {.root_fd = -1, .cwd_fd = -1};
	struct table_image *added = &table->images[table->image_count++];

	*added = (struct table_image){
		.record = {.id = id, .tgid = 1000 + id},
		.image =
			{
				.id = id,
				.pid = 1000 + id,
				.ppid = 1,
				.comm = "python3",
				.cgroup = "/",
				.python = "3.11.2",
				.reason = "",
				.root = &no_root,
			},
	};
	return added;
}

/* Adds a stack of `depth` frames, each of a function of its own, on lines `line`, `line` + 1, … */
static inline struct table_stack *table_add_stack(struct counts_table *table, uint32_t image,
						  int line, unsigned depth, int64_t pages)
{
	static const char *const functions[TABLE_DEPTH] = {"leaf", "caller", "main", "<module>"};
	struct table_stack *added = &table->stacks[table->stack_count++];
	unsigned i;

	*added = (struct table_stack){
		.key = {.proc = image, .hash = (uint64_t)line << 8 | depth},
		.depth = depth,
		.counters = {.pages = {[PYMEM_ANON] = pages}},
	};
	for (i = 0; i < depth; i++)
		added->frames[i] = (struct counts_frame){
			.code = 0x1000 * (i + 1),
			.lasti = 2 * line,
			.line = line + (int)i,
			.first_line = 1,
			.file = "a.py",
			.function = functions[i],
		};
	return added;
}

static inline struct table_line *table_add_line(struct counts_table *table, uint32_t image,
						int line, uint64_t runs)
{
	struct table_line *added = &table->lines[table->line_count++];

	*added = (struct table_line){
		.image = image,
		.at = {.line = line, .first_line = 1, .file = "a.py", .function = "leaf"},
		.named = true,
		.counted = {.runs = runs},
	};
	return added;
}

static inline struct table_image *table_image(struct counts_table *table, uint32_t id)
{
	size_t i;

	for (i = 0; i < table->image_count; i++)
		if (table->images[i].image.id == id)
			return &table->images[i];
	return NULL;
}

static inline int table_hand_image(struct table_image *row, const struct counts_reader *reader,
				   void *arg)
{
	struct counts_image image = row->image;

	image.record = &row->record;
	return reader->image(&image, arg);
}

static inline int table_hand_stack(struct table_stack *row,
				   int (*fn)(const struct counts_stack *stack, void *arg),
				   void *arg)
{
	const struct counts_stack stack = {
		.key = row->key,
		.frames = row->frames,
		.depth = row->depth,
		.thread = row->told.id ? &row->told : NULL,
		.truncated = row->truncated,
		.cut = row->cut,
		.lack = row->lack,
		.counters = &row->counters,
		.vmcalls = row->has_vmcalls ? &row->vmcalls : NULL,
	};

	return fn(&stack, arg);
}

static inline int table_hand_line(struct table_line *row, const struct counts_reader *reader,
				  void *arg)
{
	const struct counts_line line = {
		.image = row->image,
		.at = row->named ? &row->at : NULL,
		.counted = &row->counted,
	};

	return reader->line(&line, arg);
}

static inline int table_hand_cached(struct counts_table *table, struct table_cached *row,
				    const struct counts_reader *reader, void *arg)
{
	static const struct pymem_counters none;
	const struct table_stack *from = &table->stacks[row->stack];
	const struct counts_stack stack = {
		.key = from->key, .frames = from->frames, .depth = from->depth, .counters = &none};
	struct counts_cached cached = row->cached;

	cached.stack = &stack;
	return reader->cached ? reader->cached(&cached, arg) : 0;
}

static inline int table_hand_kernel(struct counts_table *table, struct table_kernel *row,
				    const struct counts_reader *reader, void *arg)
{
	static const struct pymem_counters none;
	const struct table_stack *from = &table->stacks[row->stack];
	const struct counts_stack stack = {
		.key = from->key, .frames = from->frames, .depth = from->depth, .counters = &none};
	struct counts_kernel kernel = row->kernel;

	kernel.stack = &stack;
	return reader->kernel ? reader->kernel(&kernel, arg) : 0;
}

static inline enum counts_want table_wanted(const struct table_stack *row,
					    const struct counts_reader *reader, void *arg)
{
	return reader->wants ? reader->wants(&row->key, &row->counters, row->thread, arg)
			     : COUNTS_ALL;
}

/* As the BPF side tells: a stack that has changed since it was last told. */
static inline bool table_tells(struct table_stack *row)
{
	bool tells =
		!row->is_told || memcmp(&row->told_counters, &row->counters, sizeof(row->counters));

	row->is_told = true;
	row->told_counters = row->counters;
	return tells;
}

static inline int table_read(void *self, const struct counts_reader *reader, void *arg)
{
	struct counts_table *table = self;
	int err = table->error;
	struct table_stack figures;
	enum counts_want want;
	bool all;
	size_t i;

	for (i = 0; i < table->image_count && !err; i++)
		if (!table->images[i].gone)
			err = table_hand_image(&table->images[i], reader, arg);
	all = err || !reader->changes || !reader->changes(arg);
	table->changes_only += !all;
	for (i = 0; i < table->stack_count && !err; i++) {
		struct table_stack *row = &table->stacks[i];

		if (!row->thread && reader->changes && !table_tells(row) && !all)
			continue;
		want = row->gone ? COUNTS_NOTHING : table_wanted(row, reader, arg);
		if (want == COUNTS_NOTHING)
			continue;
		figures = *row;
		figures.depth = want == COUNTS_ALL ? row->depth : 0;
		err = table_hand_stack(&figures, row->thread ? reader->thread : reader->stack, arg);
		if (err == COUNTS_TAKEN) {
			row->gone = true;
			err = 0;
		}
	}
	for (i = 0; reader->stalled && (table->facts.stalls || table->facts.extras) &&
		    i < table->stack_count;
	     i++)
		if (table->stacks[i].has_vmcalls && !table->stacks[i].gone)
			reader->stalled(&table->stacks[i].key, &table->stacks[i].vmcalls, arg);
	for (i = 0; i < table->cached_count && !err; i++)
		if (!table->cached[i].gone)
			err = table_hand_cached(table, &table->cached[i], reader, arg);
	for (i = 0; i < table->kernel_count && !err; i++)
		if (!table->kernel[i].gone)
			err = table_hand_kernel(table, &table->kernel[i], reader, arg);
	for (i = 0; i < table->line_count && !err; i++)
		if (!table->lines[i].gone)
			err = table_hand_line(&table->lines[i], reader, arg);
	return err;
}

/* True if the image has ended and is handed over by this call. */
static inline bool table_takes(struct counts_table *table, uint32_t id)
{
	const struct table_image *row = table_image(table, id);

	return row && row->image.ended && !row->gone;
}

static inline int table_take_ended(void *self, bool all, const struct counts_reader *reader,
				   void *arg)
{
	struct counts_table *table = self;
	int err = table->error;
	size_t i;

	(void)all;
	table->takes++;
	for (i = 0; i < table->image_count && !err; i++)
		if (table_takes(table, table->images[i].image.id))
			err = table_hand_image(&table->images[i], reader, arg);
	for (i = 0; i < table->stack_count && !err; i++) {
		struct table_stack *row = &table->stacks[i];

		if (row->gone || row->thread || !table_takes(table, row->key.proc))
			continue;
		row->gone = true;
		err = table_hand_stack(row, reader->stack, arg);
		err = err < 0 ? err : 0;
	}
	for (i = 0; i < table->cached_count && !err; i++) {
		struct table_cached *row = &table->cached[i];

		if (row->gone || !table_takes(table, table->stacks[row->stack].key.proc))
			continue;
		row->gone = true;
		err = table_hand_cached(table, row, reader, arg);
	}
	for (i = 0; i < table->kernel_count && !err; i++) {
		struct table_kernel *row = &table->kernel[i];

		if (row->gone || !table_takes(table, table->stacks[row->stack].key.proc))
			continue;
		row->gone = true;
		err = table_hand_kernel(table, row, reader, arg);
	}
	for (i = 0; i < table->line_count && !err; i++) {
		struct table_line *row = &table->lines[i];

		if (row->gone || !table_takes(table, row->image))
			continue;
		row->gone = true;
		err = table_hand_line(row, reader, arg);
	}
	for (i = 0; i < table->image_count && !err; i++)
		table->images[i].gone |= table->images[i].image.ended;
	return err;
}

static inline bool table_is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	const struct table_image *row = table_image(self, (uint32_t)pid - 1000);

	return row && !row->not_running && row->record.start_boottime_ns == start_boottime_ns;
}

static inline void table_facts(void *self, struct counts_facts *facts)
{
	const struct counts_table *table = self;

	*facts = table->facts;
	facts->gaps = table->gaps;
}

static inline void table_each_note(void *self, enum counts_note which,
				   void (*fn)(const char *text, void *arg), void *arg)
{
	const struct counts_table *table = self;

	if (table->notes[which])
		fn(table->notes[which], arg);
}

struct table_toucher {
	const struct counts_touched_reader *reader;
	void *arg;
	uint32_t image;
	struct counts_touched touched;
};

static inline int table_hand_toucher(const struct counts_stack *stack, void *arg)
{
	const struct table_toucher *t = arg;

	return t->reader->stack(t->image, stack, &t->touched, t->arg);
}

static inline int table_each_touched(void *self, const struct counts_touched_reader *reader,
				     void *arg)
{
	struct counts_table *table = self;
	struct table_toucher t = {.reader = reader, .arg = arg};
	int err = 0;
	size_t i, j;

	for (i = 0; i < table->touched_count && !err; i++) {
		t.image = table->touched[i].resident.image;
		err = reader->image(&table->touched[i].resident, arg);
		for (j = 0; j < table->stack_count && !err; j++) {
			t.touched = (struct counts_touched){table->touched[i].pages[j],
							    table->touched[i].swapped[j],
							    table->touched[i].absent[j]};
			if (t.touched.resident_pages || t.touched.swapped_pages ||
			    t.touched.absent_pages)
				err = table_hand_stack(&table->stacks[j], table_hand_toucher, &t);
		}
	}
	return err;
}

struct table_first {
	counts_first_fn *fn;
	void *arg;
	bool gone;
};

static inline int table_hand_first(const struct counts_stack *stack, void *arg)
{
	const struct table_first *f = arg;

	return f->fn(stack, f->gone, f->arg);
}

static inline int table_each_first(void *self, uint32_t image, counts_first_fn *fn, void *arg)
{
	struct counts_table *table = self;
	struct table_first f = {.fn = fn, .arg = arg};
	int err = 0;

	for (size_t i = 0; i < table->stack_count && !err; i++) {
		if (table->stacks[i].key.proc != image)
			continue;
		for (unsigned k = 0; k < table->firsts[i] && !err; k++) {
			f.gone = k < table->firsts_gone[i];
			err = table_hand_stack(&table->stacks[i], table_hand_first, &f);
		}
	}
	return err;
}

static inline struct counts table_counts(struct counts_table *table)
{
	static const struct counts_ops ops = {
		.read = table_read,
		.take_ended = table_take_ended,
		.is_running = table_is_running,
		.facts = table_facts,
		.each_note = table_each_note,
		.each_touched = table_each_touched,
		.each_first = table_each_first,
	};

	return (struct counts){&ops, table};
}

#endif
