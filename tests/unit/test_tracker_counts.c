/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tracker_counts.c, tracker_take.c: a live session as a source of counts for a report. For each
 * image charged + lost = change of RSS. What was taken is gone from the tables that images share,
 * whether or not it was for the report. */
#include "tracker_report.h"

static unsigned notes_with(const struct model *model, const char *words)
{
	unsigned count = 0;

	for (size_t i = 0; i < model->note_count; i++)
		count += strstr(model->notes[i], words) != NULL;
	return count;
}

static void test_live(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct fake_stack *stack;

	fake_charge(g->session, g->self, 5, true, 20);
	fake_charge(g->session, g->self, 6, false, 3);
	fake_collect(g->session, g->self, 5, 4);
	fake_lose(g->session, g->self, PYMEM_LOSS_NO_FRAME, 2);
	stack = fake_stack(g->session, g->self, 5, true);
	stack->calls.calls[PYMEM_VMCALL_BRK] = 2;
	stack->has_calls = true;
	p = process(built(g, false), g->self);
	assert_non_null(p);
	assert_int_equal(p->pid, getpid());
	assert_string_equal(p->python, FAKE_PYTHON);
	assert_int_equal(line(p, 5)->increment_bytes, 24 * g->page);
	assert_int_equal(line(p, 5)->vm_calls[PYMEM_VMCALL_BRK], 2);
	assert_int_equal(line(p, 1)->total_bytes, 24 * g->page);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNDELIVERED), 3);
	assert_int_equal(lost(g, p, PYMEM_LOSS_NO_FRAME), 2);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNSETTLED), 0);
	/* Nothing is taken of an image that runs. */
	assert_int_equal(fake_entries(g->session), 2 + 1 + 2);
}

static uint64_t digest(struct given *g)
{
	uint64_t digest;

	poll_all(g);
	assert_int_equal(tracker_digest(&g->tracker, &digest), 0);
	return digest;
}

/* It tells whether a reading would say something else. */
static void test_digest(void **state)
{
	struct given *g = *state;
	uint64_t before = digest(g);
	struct fake_stack *stack;

	assert_true(digest(g) == before);
	fake_charge(g->session, g->self, 5, true, 1);
	assert_true(digest(g) != before);
	before = digest(g);
	fake_lose(g->session, g->self, PYMEM_LOSS_NO_FRAME, 2);
	assert_true(digest(g) != before);
	before = digest(g);
	fake_charge(g->session, g->self, 5, true, -1);
	assert_true(digest(g) != before);
	assert_true(digest(g) == digest(g));
	/* A stack that only stalls. */
	stack = fake_stack(g->session, g->self, 5, true);
	stack->has_calls = g->session->counts_stalls = true;
	before = digest(g);
	assert_true(digest(g) == before);
	stack->calls.stalls[PYMEM_STALL_MEMCG]++;
	assert_true(digest(g) != before);
	/* One whose pages become a huge one, and a process whose pages others take. */
	g->session->counts_stalls = false;
	g->session->extras = PYMEM_EXTRA_HUGE;
	before = digest(g);
	stack->calls.extras[PYMEM_EXTRA_COLLAPSES]++;
	assert_true(digest(g) != before);
	before = digest(g);
	fake_proc(g->session, g->self)->lost_extras[PYMEM_EXTRA_TAKEN]++;
	assert_true(digest(g) != before);
}

static int no_image(const struct counts_image *image, void *arg)
{
	(void)image;
	(void)arg;
	return 0;
}

static int no_stack(const struct counts_stack *stack, void *arg)
{
	(void)stack;
	(void)arg;
	return COUNTS_LEFT;
}

static enum counts_want want_nothing(const struct pymem_stack_key *key,
				     const struct pymem_counters *counters, bool thread, void *arg)
{
	(void)key;
	(void)counters;
	(void)thread;
	(void)arg;
	return COUNTS_NOTHING;
}

static void add_up(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
		   void *arg)
{
	(void)key;
	*(uint64_t *)arg += vmcalls->stalls[PYMEM_STALL_DIRECT];
}

/* Stalls are passed on although the reader wants no stack; not if they are not counted. */
static void test_stalls(void **state)
{
	static const struct counts_reader reader = {.image = no_image,
						    .stack = no_stack,
						    .thread = no_stack,
						    .wants = want_nothing,
						    .stalled = add_up};
	struct given *g = *state;
	struct counts counts = tracker_counts(&g->tracker);
	struct fake_stack *stack = fake_stack(g->session, g->self, 5, true);
	struct counts_facts facts;
	uint64_t sum = 0;

	poll_all(g);
	stack->has_calls = true;
	stack->calls.stalls[PYMEM_STALL_DIRECT] = 3;
	assert_int_equal(counts.ops->read(counts.self, &reader, &sum), 0);
	assert_int_equal(sum, 0);
	g->session->counts_stalls = true;
	assert_int_equal(counts.ops->read(counts.self, &reader, &sum), 0);
	assert_int_equal(sum, 3);
	counts.ops->facts(counts.self, &facts);
	assert_true(facts.stalls);
}

static int count_image(const struct counts_image *image, void *arg)
{
	(void)image;
	++*(unsigned *)arg;
	return 0;
}

/* Who wants no stacks gets images, and the maps of stacks are not read at all. */
static void test_images_alone(void **state)
{
	static const struct counts_reader reader = {.image = count_image, .stalled = add_up};
	struct given *g = *state;
	struct counts counts = tracker_counts(&g->tracker);
	unsigned images = 0;

	g->session->counts_stalls = true;
	fake_charge(g->session, g->self, 5, true, 20);
	fake_collect(g->session, g->self, 5, 4);
	poll_all(g);
	assert_int_equal(counts.ops->read(counts.self, &reader, &images), 0);
	assert_int_equal(images, 1);
}

/* A stack whose code object never arrived: its stalls are in no line. */
static void test_stalls_of_nobody(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct fake_stack *stack;

	g->session->counts_stalls = true;
	fake_charge(g->session, g->self, 6, false, 3);
	stack = fake_stack(g->session, g->self, 6, false);
	stack->has_calls = true;
	stack->calls.stalls[PYMEM_STALL_MEMCG] = 2;
	stack->calls.stall_ns[PYMEM_STALL_MEMCG] = 50;
	fake_proc(g->session, g->self)->lost_stalls = 1;
	fake_proc(g->session, g->self)->lost_stall_ns = 7;
	p = process(built(g, false), g->self);
	assert_int_equal(p->lost_stalls, 3);
	assert_int_equal(p->lost_stall_ns, 57);
}

/* Extras: of stacks, of none, and of one whose code object never arrived. Who took pages. */
static void test_extras(void **state)
{
	struct given *g = *state;
	struct counts counts = tracker_counts(&g->tracker);
	struct counts_facts facts;
	const struct model_process *p;
	struct fake_stack *stack;
	struct pymem_proc *proc;

	g->session->extras = PYMEM_EXTRA_HUGE | PYMEM_EXTRA_EXTERNAL;
	fake_charge(g->session, g->self, 5, true, 3);
	stack = fake_stack(g->session, g->self, 5, true);
	stack->has_calls = true;
	stack->calls.extras[PYMEM_EXTRA_HUGE_PAGES] = 4;
	fake_charge(g->session, g->self, 6, false, 3);
	stack = fake_stack(g->session, g->self, 6, false);
	stack->has_calls = true;
	stack->calls.extras[PYMEM_EXTRA_COLLAPSE_FILLED] = 2;
	proc = fake_proc(g->session, g->self);
	proc->lost_extras[PYMEM_EXTRA_COLLAPSE_FILLED] = 5;
	proc->lost_extras[PYMEM_EXTRA_TAKEN] = 9;
	proc->takers[0] = (struct pymem_taker){.pid = 77, .pages = 6};
	memset(proc->takers[0].comm, 'k', sizeof(proc->takers[0].comm)); /* without an end */
	p = process(built(g, false), g->self);
	assert_int_equal(model_extra(p, PYMEM_EXTRA_HUGE_PAGES), 4);
	assert_int_equal(p->lost_extras[PYMEM_EXTRA_HUGE_PAGES], 0);
	assert_int_equal(p->lost_extras[PYMEM_EXTRA_COLLAPSE_FILLED], 7 * g->page);
	assert_int_equal(model_extra(p, PYMEM_EXTRA_TAKEN), 9 * g->page);
	assert_int_equal(p->takers[0].pid, 77);
	assert_string_equal(p->takers[0].comm, "kkkkkkkkkkkkkkk");
	assert_int_equal(p->takers[0].bytes, 6 * g->page);
	assert_int_equal(p->takers[1].pid, 0);
	counts.ops->facts(counts.self, &facts);
	assert_int_equal(facts.extras, g->session->extras);
	assert_int_equal(facts.huge_page_bytes, 2 << 20);
}

/* A place of the stack `hash` of this process, which is more than PYMEM_LOSS_COUNT, and a file in
 * folders, outermost last. */
static struct fake_cached *give_cached(struct given *g, uint64_t hash, const char *name,
				       size_t bytes)
{
	struct fake_cached *cached = &g->session->cached[g->session->cached_count++];
	uint32_t number = (uint32_t)g->session->cached_count;

	*cached = (struct fake_cached){
		.place = {.key = {.stack = {.proc = g->self, .hash = hash},
				  .file = name ? number : 0}},
		.file = {.key = {.number = 77, .device = 250u << 20 | 9},
			 .state = PYMEM_CACHE_NAMED,
			 .bytes = (uint32_t)bytes},
	};
	if (name)
		memcpy(cached->file.name, name, bytes);
	return cached;
}

#define NAME(text) text, sizeof(text)

static const struct model_cached_file *cached_file(const struct model_process *p, const char *path)
{
	for (size_t i = 0; i < p->cached_file_count; i++)
		if (p->cached_files[i]->path && !strcmp(p->cached_files[i]->path, path))
			return p->cached_files[i];
	fail_msg("no file %s", path);
	return NULL;
}

/* What stacks brought into the page cache: by line or by cause, by file, whose name is put
 * together. The device is mounted nowhere, so paths begin at its root. */
static void test_cached(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct fake_cached *cached;
	struct counts counts = tracker_counts(&g->tracker);
	struct counts_facts facts;

	fake_charge(g->session, g->self, 40, true, 1);
	fake_charge(g->session, g->self, 41, false, 1);
	poll_all(g);
	cached = give_cached(g, fake_stack(g->session, g->self, 40, true)->key.hash,
			     NAME("data.bin\0srv"));
	cached->place.added = 100;
	cached->place.gone = 30;
	cached->place.own = 90;
	cached->place.other = 10;
	cached = give_cached(g, fake_stack(g->session, g->self, 41, false)->key.hash,
			     NAME("\x1b[2J\xff"));
	cached->place.added = 4;
	cached->file.state |= PYMEM_CACHE_DELETED | PYMEM_CACHE_CUT;
	cached = give_cached(g, PYMEM_LOSS_NO_THREAD + 1, NAME(""));
	cached->place.added = 2;
	cached->file.state = 0;
	cached = give_cached(g, PYMEM_LOSS_NO_FRAME + 1, NULL, 0);
	cached->place.added = cached->place.unknown = 8;
	/* An image that is not for the report. */
	give_cached(g, 1, NAME("other"))->place.key.stack.proc = 4711;
	p = process(built(g, false), g->self);
	assert_int_equal(p->cached.bytes, 0);
	g->session->counts_cache = true;
	fake_proc(g->session, g->self)->cached_unkept = 5;
	p = process(built(g, false), g->self);
	assert_int_equal(p->cached.bytes, (100 + 4 + 2 + 8 + 5) * g->page);
	assert_int_equal(p->cached.unknown_bytes, (8 + 5) * g->page);
	assert_int_equal(p->cached_lost_bytes[PYMEM_LOSS_UNDELIVERED], 4 * g->page);
	assert_int_equal(p->cached_lost_bytes[PYMEM_LOSS_NO_THREAD], 2 * g->page);
	assert_int_equal(p->cached_lost_bytes[PYMEM_LOSS_NO_FRAME], 8 * g->page);
	assert_int_equal(p->cached_lost_bytes[PYMEM_LOSS_MAP_FULL], 5 * g->page);
	assert_int_equal(cached_file(p, "/srv/data.bin")->amounts.gone_bytes, 30 * g->page);
	assert_int_equal(cached_file(p, "/srv/data.bin")->most_bytes, 100 * g->page);
	assert_true(cached_file(p, "…/\x1b[2J\xff")->deleted);
	assert_null(cached_file(p, "inode 77 of device 250:9")->most);
	assert_int_equal(p->cached_file_count, 4);
	counts.ops->facts(counts.self, &facts);
	assert_true(facts.cache);
}

/* The kernel's own memory of the stack `hash` of this process, which is more than PYMEM_LOSS_COUNT.
 */
static struct pymem_kernel *give_kernel(struct given *g, uint64_t hash)
{
	struct fake_kernel *kernel = &g->session->kernel[g->session->kernel_count++];

	*kernel = (struct fake_kernel){.key = {.proc = g->self, .hash = hash}};
	return &kernel->sums;
}

/* The kernel's own memory: by line or by cause, and what found no room. */
static void test_kernel(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct counts counts = tracker_counts(&g->tracker);
	struct counts_facts facts;
	struct pymem_kernel *sums;
	int64_t lines = 0;

	fake_charge(g->session, g->self, 40, true, 1);
	fake_charge(g->session, g->self, 41, false, 1);
	poll_all(g);
	sums = give_kernel(g, fake_stack(g->session, g->self, 40, true)->key.hash);
	sums->bytes[PYMEM_KERNEL_TABLES] = 81920;
	sums->bytes[PYMEM_KERNEL_SOCKETS] = 1000;
	sums->gone[PYMEM_KERNEL_SOCKETS] = 400;
	sums->objects[PYMEM_KERNEL_SOCKETS] = 10;
	sums->unknown = 100;
	give_kernel(g, fake_stack(g->session, g->self, 41, false)->key.hash)->bytes[0] = 4096;
	give_kernel(g, PYMEM_LOSS_OTHER_TASK + 1)->bytes[0] = -8192;
	/* An image that is not for the report. */
	give_kernel(g, 1)->bytes[0] = 1;
	g->session->kernel[g->session->kernel_count - 1].key.proc = 4711;
	p = process(built(g, false), g->self);
	assert_int_equal(model_kernel_bytes(&p->kernel), 0);
	g->session->counts_kernel = true;
	fake_proc(g->session, g->self)->kernel_unkept[PYMEM_KERNEL_TABLES] = 12288;
	/* Of objects without a place nobody learns the end: they don't count as still there. */
	fake_proc(g->session, g->self)->kernel_unkept[PYMEM_KERNEL_SOCKETS] = 5000;
	p = process(built(g, false), g->self);
	assert_int_equal(p->kernel.unknown, 5000 + 100);
	assert_int_equal(p->kernel.bytes[PYMEM_KERNEL_TABLES], 81920 + 4096 - 8192 + 12288);
	assert_int_equal(p->kernel_lost_bytes[PYMEM_LOSS_UNDELIVERED], 4096);
	assert_int_equal(p->kernel_lost_bytes[PYMEM_LOSS_OTHER_TASK], -8192);
	assert_int_equal(p->kernel_lost_bytes[PYMEM_LOSS_MAP_FULL], 12288);
	assert_int_equal(p->kernel.objects[PYMEM_KERNEL_SOCKETS], 10);
	for (size_t i = 0; i < p->line_count; i++)
		lines += model_line_kernel_bytes(&p->lines[i]);
	assert_int_equal(lines, 81920 + 1000 - 400 - 100);
	assert_int_equal(model_kernel_bytes(&p->kernel), lines + 4096 - 8192 + 12288);
	counts.ops->facts(counts.self, &facts);
	assert_true(facts.kernel);
}

/* The end of an image takes them: they stay in later reports, and no entry is left. */
static void test_kernel_ended(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	fake_charge(g->session, g->self, 40, true, 1);
	poll_all(g);
	g->session->counts_kernel = true;
	give_kernel(g, fake_stack(g->session, g->self, 40, true)->key.hash)->bytes[0] = 4096;
	fake_proc(g->session, g->self)->kernel_unkept[PYMEM_KERNEL_TABLES] = 8192;
	fake_end(g->session, g->self, true);
	poll_all(g);
	for (int i = 0; i < 2; i++) {
		p = process(built(g, true), g->self);
		assert_int_equal(model_kernel_bytes(&p->kernel), 4096 + 8192);
		assert_int_equal(g->session->kernel_count, 0);
	}
}

/* Hostile lengths: nothing behind the name is read. */
static void test_cached_names(void **state)
{
	struct given *g = *state;
	struct fake_cached *cached = give_cached(g, PYMEM_LOSS_NO_FRAME + 1, NAME("x"));
	const struct model_process *p;

	g->session->counts_cache = true;
	cached->place.added = 1;
	cached->file.bytes = UINT32_MAX;
	memset(cached->file.name, 'a', sizeof(cached->file.name));
	p = process(built(g, false), g->self);
	assert_string_equal(p->cached_files[0]->path, "inode 77 of device 250:9");
	memset(cached->file.name, 0, sizeof(cached->file.name));
	p = process(built(g, false), g->self);
	assert_int_equal(strlen(p->cached_files[0]->path), PYMEM_CACHE_NAME_PARTS);
}

/* The end of an image takes what it brought: it stays in later reports, and its places are free. */
static void test_cached_ended(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct fake_cached *cached;

	fake_charge(g->session, g->self, 40, true, 1);
	poll_all(g);
	g->session->counts_cache = true;
	cached = give_cached(g, fake_stack(g->session, g->self, 40, true)->key.hash, NAME("a"));
	cached->place.added = 100;
	fake_end(g->session, g->self, true);
	poll_all(g);
	p = process(built(g, true), g->self);
	assert_int_equal(p->cached.bytes, 100 * g->page);
	assert_int_equal(p->cached_files[0]->amounts.bytes, 100 * g->page);
	assert_int_equal(g->session->cached_count, 0);
	p = process(built(g, true), g->self);
	assert_int_equal(p->cached.bytes, 100 * g->page);
}

/* Frames whose code object never arrived: a stack is cut at a caller, and lost if it is the
 * innermost one. */
static void test_unknown_frames(void **state)
{
	struct given *g = *state;
	struct pymem_msg_stack m = {
		.type = PYMEM_MSG_STACK,
		.proc = g->self,
		.hash = 40,
		.depth = 2,
		.frames = {{.code = 16, .fingerprint = 9, .lasti = 2 * 6}, {.code = 48}},
	};
	const struct model_process *p;
	const struct model *model;

	fake_charge(g->session, g->self, 5, true, 1);
	fake_charge(g->session, g->self, 40, false, 8);
	fake_send(g->session, &m, sizeof(m));
	fake_charge(g->session, g->self, 41, false, 16);
	m.hash = 41;
	m.frames[0].code = 48;
	fake_send(g->session, &m, sizeof(m));
	/* The code object of the first stack met its quota; that of the other is on its way. */
	fake_stack(g->session, g->self, 40, false)->value.lacks = PYMEM_LACK_QUOTA;
	model = built(g, true);
	assert_int_equal(notes_with(model, "callers are missing from some stacks"), 1);
	p = process(model, g->self);
	assert_int_equal(line(p, 7)->increment_bytes, 8 * g->page);
	assert_int_equal(line(p, 1)->total_bytes, g->page);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNDELIVERED), 16);
}

/* The places of an image in the tables are free again, whether its stacks had arrived or not. */
static void test_taken(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct fake_stack *stack;

	fake_charge(g->session, g->self, 5, true, 1);
	fake_fork(g->session, g->self, 1, PID(1));
	fake_charge(g->session, 1, 5, true, 10);
	fake_charge(g->session, 1, 6, false, 3);
	stack = fake_stack(g->session, 1, 5, true);
	stack->has_calls = true;
	fake_proc(g->session, 1)->places[PYMEM_TABLE_VMCALLS].held = 1;
	fake_announce_code(g->session, 1, 64); /* of no stack */
	fake_run(g->session, 1, 7, 4);
	fake_end(g->session, 1, true);
	poll_all(g);
	assert_int_equal(fake_entries(g->session), 3 + 2 + 1 + 3 + 1);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_int_equal(fake_entries(g->session), 3);
	assert_null(tracker_image(&g->tracker, 1));
	assert_null(store_image(&g->tracker.store, 1));
	assert_non_null(store_image(&g->tracker.store, g->self));
	p = process(built(g, true), 1);
	assert_true(p->exited);
	assert_int_equal(line(p, 5)->increment_bytes, 10 * g->page);
	assert_int_equal(line(p, 7)->occurrences, 4);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNDELIVERED), 3);
	check_conserved(report_build(g->report, true));
}

/* Not at once: a thread may still have figures to add. */
static void test_when(void **state)
{
	struct given *g = *state;
	uint64_t begin = tracker_now_ms();
	bool there;

	fake_fork(g->session, g->self, 1, PID(1));
	fake_end(g->session, 1, true);
	poll_all(g);
	assert_int_equal(report_finish_ended(g->report, false), 0);
	there = tracker_image(&g->tracker, 1) != NULL;
	/* Unless this machine needs as long for that. */
	assert_true(there || tracker_now_ms() - begin >= 200);
	/* 200 ms later. */
	if (there) {
		tracker_image(&g->tracker, 1)->ended_ms -= 200;
		g->tracker.take_ms -= 200;
	}
	assert_int_equal(report_finish_ended(g->report, false), 0);
	assert_null(tracker_image(&g->tracker, 1));
}

/* It adds them later: they are lost, and their place is free again. */
static void test_late(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	fake_fork(g->session, g->self, 1, PID(1));
	fake_charge(g->session, 1, 5, true, 10);
	fake_collect(g->session, 1, 5, 2);
	fake_end(g->session, 1, true);
	poll_all(g);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_int_equal(fake_entries(g->session), 0);
	p = process(built(g, false), 1);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNSETTLED), 2);
	fake_settle(g->session);
	assert_int_equal(fake_entries(g->session), 1);
	p = process(built(g, false), 1);
	assert_int_equal(fake_entries(g->session), 0);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNSETTLED), 0);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNDELIVERED), 2);
	check_conserved(built(g, true));
}

/* A stack that came after the record was made is found because amounts are missing. */
static void test_after_record(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	fake_fork(g->session, g->self, 1, PID(1));
	fake_charge(g->session, 1, 5, true, 10);
	fake_collect(g->session, 1, 5, 2);
	fake_end(g->session, 1, true);
	poll_all(g);
	/* To a stack that it did not have before. */
	g->session->threads[0].key.hash = 50;
	fake_settle(g->session);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_int_equal(fake_entries(g->session), 0);
	p = process(built(g, true), 1);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNDELIVERED), 2);
	assert_int_equal(lost(g, p, PYMEM_LOSS_UNSETTLED), 0);
}

/* An image that is not for the report gives its places back all the same. */
static void test_not_reported(void **state)
{
	struct given *g = *state;
	const struct model *model;

	/* The command before it runs; a record for which there was no room; another program. */
	fake_fork(g->session, g->self, 1, PID(1));
	fake_fork(g->session, g->self, 2, PID(2));
	poll_all(g);
	tracker_image(&g->tracker, 1)->hidden = true;
	fake_charge(g->session, 1, 5, true, 10);
	fake_charge(g->session, 2, 5, true, 10);
	fake_end(g->session, 1, true);
	fake_end(g->session, 2, false);
	poll_all(g);
	poll_all(g);
	assert_true(fake_entries(g->session) > 0);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_int_equal(fake_entries(g->session), 0);
	assert_null(store_image(&g->tracker.store, 1));
	model = built(g, true);
	assert_int_equal(model->process_count, 1);
	assert_non_null(process(model, g->self));
	assert_int_equal(model->skip_count, 1);
}

/* Facts that are no figures come from all parts of the source. */
static void test_facts(void **state)
{
	struct given *g = *state;
	const struct model *model;

	tracker_skip(&g->tracker, 4, "other", "is odd");
	fake_send(g->session, "x", 1);
	g->session->dropped_messages = 2;
	g->session->dropped_calls = 5;
	model = built(g, true);
	assert_int_equal(model->note_count, 4);
	assert_non_null(strstr(model->notes[0], "mm_page_alloc"));
	assert_non_null(strstr(model->notes[1], "2 messages about processes did not arrive"));
	assert_non_null(strstr(model->notes[3], "1 malformed messages"));
	assert_string_equal(model->notes[2],
			    "5 memory system calls were not counted: table full; raise "
			    "--max-stacks");
	assert_int_equal(model->skip_count, 1);
	assert_string_equal(model->skips[0].reason, "is odd");
	assert_true(model->end > 1600000000);
}

/* --- any history --- */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Something happens to the image that is number `n` of those alive. */
static void happen(struct given *g, size_t n, uint64_t *seed)
{
	struct session *s = g->session;
	uint32_t id = s->live[n].id;
	int64_t pages = (int64_t)(next_random(seed) % 41) - 20;
	unsigned at = 2 + next_random(seed) % 12;

	switch (next_random(seed) % 10) {
	case 0:
		if (s->live_count < 20)
			fake_fork(s, id, 100 + s->sent, PID(s->sent));
		break;
	case 1:
		if (id != g->self)
			fake_end(s, id, true);
		break;
	case 2:
		fake_settle(s);
		break;
	case 3:
		fake_lose(s, id, next_random(seed) % PYMEM_LOSS_UNSETTLED, pages);
		break;
	case 4:
		fake_collect(s, id, at, pages);
		break;
	default:
		fake_charge(s, id, at, next_random(seed) % 8, pages);
	}
}

static void live_through(struct given *g, uint64_t seed)
{
	const struct model *model;
	int step;

	for (step = 0; step < 150; step++) {
		happen(g, next_random(&seed) % g->session->live_count, &seed);
		if (!(next_random(&seed) % 8))
			poll_all(g);
		if (!(next_random(&seed) % 16))
			assert_int_equal(report_finish_ended(g->report, next_random(&seed) % 2), 0);
		if (!(next_random(&seed) % 16))
			check_conserved(built(g, false));
	}
	model = built(g, true);
	check_conserved(model);
	for (size_t i = 0; i < model->process_count; i++)
		assert_int_equal(lost(g, model->processes[i], PYMEM_LOSS_UNSETTLED), 0);
}

static void test_any_history(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 40; seed++) {
		struct given g;

		given_new(&g);
		live_through(&g, seed * 0x9e3779b97f4a7c15ull);
		given_free(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_live),	   TEST(test_digest),
		TEST(test_unknown_frames), TEST(test_taken),
		TEST(test_when),	   TEST(test_late),
		TEST(test_after_record),   TEST(test_not_reported),
		TEST(test_facts),	   cmocka_unit_test(test_any_history),
		TEST(test_extras),	   TEST(test_stalls),
		TEST(test_images_alone),   TEST(test_stalls_of_nobody),
		TEST(test_cached),	   TEST(test_cached_names),
		TEST(test_cached_ended),   TEST(test_kernel),
		TEST(test_kernel_ended),
	};

	return cmocka_run_group_tests_name("tracker_counts", tests, NULL, NULL);
}
