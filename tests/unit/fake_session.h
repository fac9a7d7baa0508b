/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A kernel side made up for tests of track/: processes, tables with their quotas, and a ring whose
 * messages are handed over when the test says so. It takes the place of kernel/session*.c and of
 * python/examiner.c: a test that includes this defines their functions, so that the linker does not
 * take those from the library.
 *
 * What it keeps in common with the real one: an entry that is forgotten frees its place; a record
 * of an image that ended is read once; messages may be lost.
 */
#ifndef FAKE_SESSION_H
#define FAKE_SESSION_H

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
#include "python/examiner.h"
#include "python/py_layouts.h"

#define FAKE_ROWS     512
#define FAKE_LINES    64 /* of the line table of each code object */
#define FAKE_MESSAGES 1024

struct session {
	struct pymem_proc live[FAKE_ROWS], dead[FAKE_ROWS];
	size_t live_count, dead_count;
	struct fake_stack {
		struct pymem_stack_key key;
		struct pymem_stack value;
		struct pymem_vmcalls calls;
		bool has_calls;
	} stacks[FAKE_ROWS];
	struct pymem_collected threads[FAKE_ROWS];
	struct fake_line {
		struct pymem_line_key key;
		struct pymem_line value;
	} lines[FAKE_ROWS];
	struct fake_code {
		uint32_t proc;
		uint64_t code, fingerprint;
	} codes[FAKE_ROWS];
	size_t stack_count, thread_count, line_count, code_count;
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
	uint64_t lost; /* a bit for each of the first messages: it finds no room */
	bool copies_watched;
	/* What the examiner finds in any process; 0: the Python, or -errno. */
	int identify_error;
	unsigned identified, described; /* how often it was asked */
};

/* The session of the examiner's functions, which get none. */
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
	/* Of exactly that size, so that a read past it is seen. */
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

/* A process image begins, without a message. */
static inline struct pymem_proc *fake_begin(struct session *s, uint32_t id, pid_t pid,
					    uint32_t parent_id)
{
	struct pymem_proc *p = &s->live[s->live_count++], *parent = fake_proc(s, parent_id);

	assert_true(s->live_count <= FAKE_ROWS);
	*p = (struct pymem_proc){.id = id, .tgid = pid, .ppid = 1, .parent_id = parent_id};
	p->identified = parent && parent->identified;
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

/* The process of image `before` runs another program, as the image `id`. */
static inline void fake_exec(struct session *s, uint32_t before, uint32_t id)
{
	pid_t pid = fake_proc(s, before)->tgid;

	fake_end(s, before, true);
	fake_begin(s, id, pid, 0);
	fake_tell(s, PYMEM_MSG_EXEC, id, pid, 0);
}

/* RSS of the image changes. */
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

	/* Of an image that has ended, the record has been made. */
	if (p)
		p->places[table].held++;
}

/* The code object of the image, with a line for each instruction from line 1 on. */
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
	/* One unit of code on each line. */
	for (i = 0; i < FAKE_LINES; i++)
		memcpy(m.table + 3 * i, i ? "\xd8\x01\x02" : "\xd0\x01\x02", 3);
	fake_send(s, &m, offsetof(struct pymem_msg_code, table) + m.table_bytes);
}

/* The stack that is on `line` of f, called from line 1 of its module; with a message if it is
 * `delivered`. */
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

/* `line` of the image changes its RSS. */
static inline void fake_charge(struct session *s, uint32_t id, unsigned line, bool delivered,
			       int64_t pages)
{
	fake_change(s, id, pages);
	fake_stack(s, id, line, delivered)->value.counters.pages[PYMEM_ANON] += pages;
}

/* The same, which a thread keeps for now. */
static inline void fake_collect(struct session *s, uint32_t id, unsigned line, int64_t pages)
{
	struct pymem_collected *c = &s->threads[s->thread_count++];

	assert_true(s->thread_count <= FAKE_ROWS);
	fake_change(s, id, pages);
	fake_stack(s, id, line, true);
	*c = (struct pymem_collected){.key = {.proc = id, .hash = line},
				      .counters = {.pages = {[PYMEM_ANON] = pages}}};
}

/* Each thread adds what it has to its stack, if need be to a new one. */
static inline void fake_settle(struct session *s)
{
	while (s->thread_count) {
		const struct pymem_collected *c = &s->threads[--s->thread_count];

		fake_stack(s, c->key.proc, c->key.hash, false)->value.counters.pages[PYMEM_ANON] +=
			c->counters.pages[PYMEM_ANON];
	}
}

/* The exact engine saw the line run. */
static inline void fake_run(struct session *s, uint32_t id, int line, uint64_t runs)
{
	struct fake_line *l = &s->lines[s->line_count++];

	assert_true(s->line_count <= FAKE_ROWS);
	fake_place(s, id, PYMEM_TABLE_LINES);
	*l = (struct fake_line){{.proc = id, .line = line, .code = 16, .fingerprint = 9},
				{.runs = runs}};
}

/* Entries in the tables that all images share. */
static inline size_t fake_entries(const struct session *s)
{
	size_t i, calls = 0;

	for (i = 0; i < s->stack_count; i++)
		calls += s->stacks[i].has_calls;
	return s->stack_count + calls + s->code_count + s->line_count;
}

/* --- session.h --- */

int session_set_reader(struct session *session, session_message_fn fn, void *arg)
{
	session->reader = fn;
	session->reader_arg = arg;
	return 0;
}

int session_consume(struct session *session)
{
	size_t i, count = session->message_count;
	int err = 0;

	session->message_count = 0;
	for (i = 0; i < count; i++) {
		if (!err)
			err = session->reader(session->reader_arg, session->messages[i].data,
					      session->messages[i].size);
		free(session->messages[i].data);
	}
	return err < 0 ? err : (int)count;
}

int session_poll(struct session *session, int timeout_ms)
{
	(void)timeout_ms;
	return session_consume(session);
}

int session_add_layout(struct session *session, const struct py_layout *layout)
{
	(void)session;
	assert_int_not_equal(layout->version, 0);
	return 0;
}

/* Of a process that is not tracked yet an image begins, whose id is its PID. */
int session_track(struct session *session, struct session_target *targets, size_t count)
{
	struct pymem_proc *p = NULL;
	size_t i;

	assert_int_equal(count, 1);
	for (i = 0; i < session->live_count; i++)
		if (session->live[i].tgid == (uint32_t)targets->pid)
			p = &session->live[i];
	if (!p)
		p = fake_begin(session, targets->pid, targets->pid, 0);
	if (targets->start_ticks)
		p->start_boottime_ns = targets->start_ticks * (1000000000 / 100);
	targets->result = PYMEM_WANTED_OTHER;
	if (targets->expect && targets->expect != p->id)
		return 0;
	p->identified |= targets->identified;
	targets->id = p->id;
	targets->result = PYMEM_WANTED_OK;
	return 0;
}

int session_each_live(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->live_count && !err; i++)
		err = fn(&session->live[i], arg);
	return err;
}

int session_take_dead(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->dead_count && !err; i++)
		err = fn(&session->dead[i], arg);
	session->dead_count = 0;
	return err;
}

static struct fake_stack *find_stack(struct session *s, const struct pymem_stack_key *key)
{
	for (size_t i = 0; i < s->stack_count; i++)
		if (s->stacks[i].key.proc == key->proc && s->stacks[i].key.hash == key->hash)
			return &s->stacks[i];
	return NULL;
}

bool session_stack(struct session *session, const struct pymem_stack_key *key,
		   struct pymem_stack *stack)
{
	const struct fake_stack *found = find_stack(session, key);

	if (found)
		*stack = found->value;
	return found;
}

bool session_vmcalls(struct session *session, const struct pymem_stack_key *key,
		     struct pymem_vmcalls *vmcalls)
{
	const struct fake_stack *found = find_stack(session, key);

	if (found && found->has_calls)
		*vmcalls = found->calls;
	return found && found->has_calls;
}

/* As a map's entries: what `fn` removes is gone, and all others come once. */
int session_each_stack(struct session *session,
		       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
				 void *),
		       void *arg)
{
	int err = 0;

	for (size_t i = session->stack_count; i-- > 0 && !err;) {
		const struct fake_stack stack = session->stacks[i];

		err = fn(&stack.key, &stack.value, arg);
	}
	return err;
}

int session_each_thread(struct session *session, int (*fn)(const struct pymem_collected *, void *),
			void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->thread_count && !err; i++)
		err = fn(&session->threads[i], arg);
	return err;
}

int session_each_line(struct session *session,
		      int (*fn)(const struct pymem_line_key *, const struct pymem_line *, void *),
		      void *arg)
{
	int err = 0;

	for (size_t i = session->line_count; i-- > 0 && !err;) {
		const struct fake_line line = session->lines[i];

		err = fn(&line.key, &line.value, arg);
	}
	return err;
}

static void forgotten(struct session *s, enum pymem_table table)
{
	s->forgotten[table]++;
}

int session_forget_stack(struct session *session, const struct pymem_stack_key *key)
{
	struct fake_stack *stack = find_stack(session, key);

	if (!stack)
		return 0;
	if (stack->has_calls)
		forgotten(session, PYMEM_TABLE_VMCALLS);
	forgotten(session, PYMEM_TABLE_STACKS);
	*stack = session->stacks[--session->stack_count];
	return 0;
}

int session_forget_code(struct session *session, uint32_t proc, uint64_t code, uint64_t fingerprint)
{
	for (size_t i = 0; i < session->code_count; i++) {
		struct fake_code *c = &session->codes[i];

		if (c->proc != proc || c->code != code || c->fingerprint != fingerprint)
			continue;
		forgotten(session, PYMEM_TABLE_CODES);
		*c = session->codes[--session->code_count];
		break;
	}
	return 0;
}

int session_forget_line(struct session *session, const struct pymem_line_key *key)
{
	for (size_t i = 0; i < session->line_count; i++) {
		if (memcmp(&session->lines[i].key, key, sizeof(*key)) != 0)
			continue;
		forgotten(session, PYMEM_TABLE_LINES);
		session->lines[i] = session->lines[--session->line_count];
		break;
	}
	return 0;
}

uint64_t session_forgotten(const struct session *session, enum pymem_table table)
{
	return session->forgotten[table];
}

int session_sweep(struct session *session, enum pymem_table table,
		  bool (*is_gone)(uint32_t proc, void *arg), void *arg)
{
	size_t i;

	for (i = session->stack_count; table == PYMEM_TABLE_STACKS && i-- > 0;)
		if (is_gone(session->stacks[i].key.proc, arg))
			session_forget_stack(session, &session->stacks[i].key);
	for (i = session->code_count; table == PYMEM_TABLE_CODES && i-- > 0;)
		if (is_gone(session->codes[i].proc, arg))
			session_forget_code(session, session->codes[i].proc, session->codes[i].code,
					    session->codes[i].fingerprint);
	for (i = session->line_count; table == PYMEM_TABLE_LINES && i-- > 0;)
		if (is_gone(session->lines[i].key.proc, arg)) {
			const struct pymem_line_key key = session->lines[i].key;

			session_forget_line(session, &key);
		}
	return 0;
}

int session_settle(struct session *session)
{
	(void)session;
	return 0;
}

int session_watch_copies(struct session *session)
{
	session->copies_watched = true;
	return 0;
}

bool session_sees_mappings(const struct session *session)
{
	(void)session;
	return true;
}

unsigned session_lacks(const struct session *session)
{
	(void)session;
	return SESSION_LACK_COPIES;
}

uint64_t session_line_misses(const struct session *session, enum pymem_line_miss cause)
{
	(void)session;
	(void)cause;
	return 0;
}

uint64_t session_dropped_messages(const struct session *session)
{
	return session->dropped_messages;
}

uint64_t session_dropped_images(const struct session *session)
{
	return session->dropped_images;
}

uint64_t session_dropped_calls(const struct session *session)
{
	return session->dropped_calls;
}

/* Without --lines nobody calls these. */
bool session_places_needed(const struct session *session)
{
	(void)session;
	fail();
	return false;
}

int session_add_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
		       uint64_t bias)
{
	(void)session, (void)pid, (void)sites, (void)bias;
	fail();
	return 0;
}

void session_forget_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
			   uint64_t bias)
{
	(void)session, (void)pid, (void)sites, (void)bias;
	fail();
}

int session_attach_probes(struct session *session, pid_t pid, int fd,
			  const struct elf_probe_sites *sites)
{
	(void)session, (void)pid, (void)fd, (void)sites;
	fail();
	return 0;
}

void session_detach_probes(struct session *session, int number)
{
	(void)session, (void)number;
	fail();
}

/* --- examiner.h --- */

int examiner_identify(pid_t pid, struct py_process *process)
{
	(void)pid;
	fake_current->identified++;
	if (fake_current->identify_error)
		return fake_current->identify_error;
	*process = (struct py_process){.major = 3, .minor = 11, .version = FAKE_PYTHON};
	return py_layout_from_table(3, 11, &process->layout);
}

int examiner_describe(pid_t pid, struct proc_info *info, struct source_root *root)
{
	*info = (struct proc_info){.pid = pid, .ppid = 1};
	*root = (struct source_root){.root_fd = -1, .cwd_fd = -1};
	fake_current->described++;
	snprintf(info->comm, sizeof(info->comm), "pid%d", pid);
	info->argv = calloc(2, sizeof(char *));
	info->argv[0] = strdup("python3");
	info->argc = 1;
	info->cgroup = strdup("/");
	return 0;
}

ssize_t examiner_read_proc(pid_t pid, const char *name, void *buf, size_t max)
{
	(void)pid, (void)name, (void)buf, (void)max;
	return -ESRCH;
}

int examiner_find_probes(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file)
{
	(void)pid, (void)dev, (void)inode, (void)file;
	return -ENOENT;
}

int examiner_find_program(pid_t pid, const char *program, bool fixed, struct probe_file *file)
{
	(void)pid, (void)program, (void)fixed, (void)file;
	return -ENOENT;
}

uint64_t examiner_cpu_ms(void)
{
	return 0;
}

bool examiner_explain(int err, char *text, size_t size)
{
	(void)err, (void)text, (void)size;
	return false;
}

#endif
