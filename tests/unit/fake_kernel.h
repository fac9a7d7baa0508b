/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A BPF side for tests of track/ that exists only in memory: processes, tables with their quotas,
 * and a ring whose messages are handed over when the test says so (fake_session.h).
 *
 * In three things it is like the real one: the record of an image that has ended can be read once;
 * that record counts its places in tables; messages may be lost. */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/session.h"
#include "os/pagemap.h"
#include "python/examiner.h"
#include "python/py_layouts.h"

#define FAKE_ROWS     512
#define FAKE_LINES    64 /* in the line table of each code object */
#define FAKE_MESSAGES 1024

struct session {
	bool counts_stalls, counts_cache, counts_kernel;
	unsigned extras; /* enum pymem_extra_kind */
	struct fake_kernel {
		struct pymem_stack_key key;
		struct pymem_kernel sums;
	} kernel[16];
	size_t kernel_count;
	struct fake_cached {
		struct pymem_cached place;
		struct pymem_cache_file file; /* state 0: the table of files was full */
	} cached[16];
	size_t cached_count;
	unsigned cached_sweeps; /* forgettings that were to look at files, too */
	struct pymem_proc live[FAKE_ROWS], dead[FAKE_ROWS];
	size_t live_count, dead_count;
	struct fake_stack {
		struct pymem_stack_key key;
		struct pymem_stack value;
		struct pymem_vmcalls calls;
		bool has_calls;
	} stacks[FAKE_ROWS], calls[FAKE_ROWS]; /* `calls`: of stacks that have been taken */
	struct pymem_collected threads[FAKE_ROWS];
	struct fake_line {
		struct pymem_line_key key;
		struct pymem_line value;
	} lines[FAKE_ROWS];
	struct fake_code {
		uint32_t proc;
		uint64_t code, fingerprint;
	} codes[FAKE_ROWS];
	size_t stack_count, call_count, thread_count, line_count, code_count;
	struct fake_message {
		size_t size;
		void *data;
	} messages[FAKE_MESSAGES];
	size_t message_count;
	session_message_fn reader;
	void *reader_arg;
	uint64_t forgotten[PYMEM_TABLE_COUNT];
	uint64_t dropped_images, dropped_messages, dropped_calls;
	unsigned sent;
	uint64_t lost; /* bit N: message N is lost */
	bool copies_watched;
	int track_error,
		attach_error; /* of session_track(), of events that are to be counted again */
	int take_error;	      /* of the next session_take_stack(), which takes nothing; 0: none */
	bool events_shed;
	unsigned walk_frames;
	uint64_t shed_stacks;
	bool touches; /* who touches pages first is noted, in: */
	struct fake_leaf {
		uint64_t key; /* pymem_touched_key(); 0: free */
		struct pymem_touched_leaf leaf;
	} leaves[16];
	struct pymem_first firsts[8];
	size_t first_count;
	struct pagemap_run resident[16]; /* of any process */
	size_t resident_count;
	int resident_error; /* -errno */
	/* The same of PAGEMAP_SWAPPED and PAGEMAP_ABSENT. */
	struct fake_away {
		struct pagemap_run run;
		int error;
	} away[2];
	/* What the examiner finds in any process. 0: the Python; else -errno. */
	int identify_error;
	unsigned identified, described; /* how often these were asked for */
	unsigned tracked;		/* how often session_track() was called */
	unsigned undescribable;		/* so often it can't say what a process is */
	void (*on_look)(void);		/* called while a process is identified; NULL: nothing */
};

/* The session for functions of the examiner, which have no such argument. */
static struct session *fake_current;

#define FAKE_PYTHON "3.11.2"

static struct session *fake_new(void)
{
	fake_current = calloc(1, sizeof(*fake_current));
	assert_non_null(fake_current);
	fake_current->identify_error = -ENOENT;
	return fake_current;
}

static void fake_free(struct session *s)
{
	while (s->message_count)
		free(s->messages[--s->message_count].data);
	free(s);
}

/* --- what happens in the kernel --- */

static void fake_send(struct session *s, const void *data, size_t size)
{
	struct fake_message *m;

	if (s->sent++ < 64 && s->lost >> (s->sent - 1) & 1) {
		s->dropped_messages++;
		return;
	}
	m = &s->messages[s->message_count++];
	assert_true(s->message_count <= FAKE_MESSAGES);
	m->size = size;
	/* Exactly that size, so that the sanitizer sees a read beyond it. */
	m->data = malloc(size);
	assert_non_null(m->data);
	memcpy(m->data, data, size);
}

static struct pymem_proc *fake_proc(struct session *s, uint32_t id)
{
	size_t i;

	for (i = 0; i < s->live_count; i++)
		if (s->live[i].id == id)
			return &s->live[i];
	return NULL;
}

/* A process image begins; no message is sent. */
static inline struct pymem_proc *fake_begin(struct session *s, uint32_t id, pid_t pid,
					    uint32_t parent_id)
{
	struct pymem_proc *p = &s->live[s->live_count++], *parent = fake_proc(s, parent_id);

	assert_true(s->live_count <= FAKE_ROWS);
	*p = (struct pymem_proc){.id = id, .tgid = pid, .ppid = 1, .parent_id = parent_id};
	p->identified = parent && parent->identified;
	p->layout = parent ? parent->layout : 0;
	p->start_pages[PYMEM_ANON] = p->now_pages[PYMEM_ANON] = 50;
	snprintf(p->comm, sizeof(p->comm), "comm%u", id);
	return p;
}

static inline void fake_tell(struct session *s, enum pymem_msg_type type, uint32_t id, pid_t pid,
			     uint32_t parent)
{
	const struct pymem_proc *p = fake_proc(s, id);
	const struct pymem_msg_process m = {.type = type,
					    .proc = id,
					    .tgid = pid,
					    .ppid = 1,
					    .parent = parent,
					    .identified = p && p->identified};

	fake_send(s, &m, sizeof(m));
}

static inline void fake_fork(struct session *s, uint32_t parent_id, uint32_t id, pid_t pid)
{
	fake_begin(s, id, pid, parent_id);
	fake_tell(s, PYMEM_MSG_FORK, id, pid, parent_id);
}

static inline void fake_end(struct session *s, uint32_t id, bool leaves_record)
{
	struct pymem_proc *p = fake_proc(s, id);

	assert_non_null(p);
	if (leaves_record)
		s->dead[s->dead_count++] = *p;
	else
		s->dropped_images++;
	fake_tell(s, PYMEM_MSG_EXIT, id, p->tgid, 0);
	*p = s->live[--s->live_count];
}

/* The process of image `before` executes another program, which is the image `id`. */
static inline void fake_exec(struct session *s, uint32_t before, uint32_t id)
{
	pid_t pid = fake_proc(s, before)->tgid;

	fake_end(s, before, true);
	fake_begin(s, id, pid, 0);
	fake_tell(s, PYMEM_MSG_EXEC, id, pid, 0);
}

/* The RSS of the image changes by so many pages. */
static struct pymem_proc *fake_change(struct session *s, uint32_t id, int64_t pages)
{
	struct pymem_proc *p = fake_proc(s, id);

	assert_non_null(p);
	p->now_pages[PYMEM_ANON] += pages;
	return p;
}

static inline void fake_lose(struct session *s, uint32_t id, enum pymem_loss loss, int64_t pages)
{
	fake_change(s, id, pages)->lost_pages[loss] += pages;
}

static void fake_place(struct session *s, uint32_t id, enum pymem_table table)
{
	struct pymem_proc *p = fake_proc(s, id);

	/* The image has ended and its record exists already. */
	if (!p)
		return;
	p->places[table].held++;
}

/* Sends the code object of the image. Each instruction has a line, from line 1 on. */
static void fake_announce_code(struct session *s, uint32_t id, uint64_t code)
{
	struct pymem_msg_code m = {
		.type = PYMEM_MSG_CODE,
		.proc = id,
		.code = code,
		.fingerprint = 9,
		.first_line = 1,
		.table_addr = 4096,
		.table_length = 3 * FAKE_LINES,
		.table_bytes = 3 * FAKE_LINES,
		.file = {4, 4, 1, 0},
		.name = {1, 1, 1, 0},
		.file_data = "a.py",
		.name_data = "f",
	};
	size_t i;

	for (i = 0; i < s->code_count; i++)
		if (s->codes[i].proc == id && s->codes[i].code == code)
			return;
	assert_true(s->code_count < FAKE_ROWS);
	s->codes[s->code_count++] = (struct fake_code){id, code, 9};
	fake_place(s, id, PYMEM_TABLE_CODES);
	/* One unit of code for each line. */
	for (i = 0; i < FAKE_LINES; i++)
		memcpy(m.table + 3 * i, i ? "\xd8\x01\x02" : "\xd0\x01\x02", 3);
	fake_send(s, &m, offsetof(struct pymem_msg_code, table) + m.table_bytes);
}

/* The stack on `line` of f, called from line 1 of its module. If it is `delivered`, its message is
 * sent. */
static struct fake_stack *fake_stack(struct session *s, uint32_t id, unsigned line, bool delivered)
{
	struct pymem_msg_stack m = {
		.type = PYMEM_MSG_STACK,
		.proc = id,
		.hash = line,
		.depth = 2,
		.frames = {{.code = 16, .fingerprint = 9, .lasti = 2 * ((int)line - 1)},
			   {.code = 32, .fingerprint = 9}},
	};
	struct fake_stack *stack;
	size_t i;

	for (i = 0; i < s->stack_count; i++)
		if (s->stacks[i].key.proc == id && s->stacks[i].key.hash == line)
			return &s->stacks[i];
	assert_true(s->stack_count < FAKE_ROWS);
	stack = &s->stacks[s->stack_count++];
	*stack = (struct fake_stack){.key = {.proc = id, .hash = line}};
	fake_place(s, id, PYMEM_TABLE_STACKS);
	if (delivered) {
		fake_announce_code(s, id, 16);
		fake_announce_code(s, id, 32);
		fake_send(s, &m,
			  offsetof(struct pymem_msg_stack, frames) + 2 * sizeof(m.frames[0]));
	}
	return stack;
}

/* `line` of the image changes its RSS by so many pages. */
static inline void fake_charge(struct session *s, uint32_t id, unsigned line, bool delivered,
			       int64_t pages)
{
	fake_change(s, id, pages);
	fake_stack(s, id, line, delivered)->value.counters.pages[PYMEM_ANON] += pages;
}

/* The same, but a thread keeps the amount for now. */
static inline void fake_collect(struct session *s, uint32_t id, unsigned line, int64_t pages)
{
	struct pymem_collected *c = &s->threads[s->thread_count++];

	assert_true(s->thread_count <= FAKE_ROWS);
	fake_change(s, id, pages);
	fake_stack(s, id, line, true);
	*c = (struct pymem_collected){.key = {.proc = id, .hash = line},
				      .counters = {.pages = {[PYMEM_ANON] = pages}}};
}

/* Each thread adds what it keeps to its stack. */
static inline void fake_settle(struct session *s)
{
	while (s->thread_count) {
		const struct pymem_collected *c = &s->threads[--s->thread_count];

		fake_stack(s, c->key.proc, c->key.hash, false)->value.counters.pages[PYMEM_ANON] +=
			c->counters.pages[PYMEM_ANON];
	}
}

/* The exact engine sees the line run. */
static inline void fake_run(struct session *s, uint32_t id, int line, uint64_t runs)
{
	struct fake_line *l = &s->lines[s->line_count++];

	assert_true(s->line_count <= FAKE_ROWS);
	fake_place(s, id, PYMEM_TABLE_LINES);
	*l = (struct fake_line){{.proc = id, .line = line, .code = 16, .fingerprint = 9},
				{.runs = runs}};
}

/* In the directory `dir`, `pages` at this address have been touched by the stack `id`. */
static inline void fake_touch(struct session *s, uint32_t dir, uint64_t address, unsigned pages,
			      uint32_t id)
{
	uint64_t key = pymem_touched_key(dir, address);
	struct fake_leaf *l = s->leaves;

	while (l->key && l->key != key)
		l++;
	assert_true(l < s->leaves + 16);
	l->key = key;
	for (unsigned i = 0; i < pages; i++)
		l->leaf.ids[address / 4096 % PYMEM_TOUCHED_PAGES + i] = id;
}

static inline void fake_reside(struct session *s, uint64_t address, uint64_t pages)
{
	assert_true(s->resident_count < 16);
	s->resident[s->resident_count++] = (struct pagemap_run){address, pages};
}

static inline void fake_away(struct session *s, enum pagemap_kind kind, uint64_t address,
			     uint64_t pages)
{
	s->away[kind - PAGEMAP_SWAPPED].run = (struct pagemap_run){address, pages};
}

/* The number of entries in the tables that all images share. */
static inline size_t fake_entries(const struct session *s)
{
	size_t i, calls = 0;

	for (i = 0; i < s->stack_count; i++)
		calls += s->stacks[i].has_calls;
	return s->stack_count + s->call_count + calls + s->code_count + s->line_count;
}

#endif
