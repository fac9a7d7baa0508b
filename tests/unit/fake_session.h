/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replaces kernel/session.h by a BPF side in memory (fake_kernel.h). It defines the functions, so
 * that the linker does not take them from the library. As in the real one, an entry that is
 * forgotten frees its place. */
#ifndef FAKE_SESSION_H
#define FAKE_SESSION_H

#include "fake_examiner.h"
#include "fake_kernel.h"

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

/* If a process is not tracked yet, an image begins whose id is its PID. */
static int track_one(struct session *session, struct session_target *targets)
{
	struct pymem_proc *p = NULL;
	size_t i;

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
	p->layout = (uint32_t)targets->layout;
	targets->id = p->id;
	targets->result = PYMEM_WANTED_OK;
	return 0;
}

int session_track(struct session *session, struct session_target *targets, size_t count)
{
	int err = session->track_error;

	session->tracked++;
	for (size_t i = 0; i < count && !err; i++)
		err = track_one(session, &targets[i]);
	return err;
}

int session_shed_events(struct session *session, bool shed)
{
	if (!shed && session->attach_error)
		return session->attach_error;
	session->events_shed = shed;
	return 0;
}

void session_each_shed(const struct session *session, void (*fn)(const char *what, void *arg),
		       void *arg)
{
	(void)session;
	fn("page faults", arg);
	fn("memory system calls", arg);
}

void session_limit_walks(struct session *session, unsigned frames)
{
	session->walk_frames = frames;
}

uint64_t session_shed_stacks(const struct session *session)
{
	return session->shed_stacks;
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

/* Of a stack that has been taken. */
static struct fake_stack *find_calls(struct session *s, const struct pymem_stack_key *key)
{
	for (size_t i = 0; i < s->call_count; i++)
		if (s->calls[i].key.proc == key->proc && s->calls[i].key.hash == key->hash)
			return &s->calls[i];
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

/* Like the entries of a map: `fn` may remove one, and all others come once. */
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

int session_each_vmcalls(struct session *session,
			 int (*fn)(const struct pymem_stack_key *, const struct pymem_vmcalls *,
				   void *),
			 void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->stack_count && !err; i++)
		if (session->stacks[i].has_calls)
			err = fn(&session->stacks[i].key, &session->stacks[i].calls, arg);
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

/* A row has the entries of two tables: system calls stay when the stack goes. */
int session_take_stack(struct session *session, const struct pymem_stack_key *key,
		       struct pymem_stack *stack)
{
	struct fake_stack *found = find_stack(session, key);
	int err = session->take_error;

	session->take_error = 0;
	if (err)
		return err;
	if (!found)
		return -ENOENT;
	*stack = found->value;
	if (found->has_calls)
		session->calls[session->call_count++] = *found;
	forgotten(session, PYMEM_TABLE_STACKS);
	*found = session->stacks[--session->stack_count];
	return 0;
}

int session_take_vmcalls(struct session *session, const struct pymem_stack_key *key,
			 struct pymem_vmcalls *vmcalls)
{
	struct fake_stack *found = find_calls(session, key);

	if (!found)
		return -ENOENT;
	*vmcalls = found->calls;
	forgotten(session, PYMEM_TABLE_VMCALLS);
	*found = session->calls[--session->call_count];
	return 0;
}

int session_forget_stack(struct session *session, const struct pymem_stack_key *key)
{
	struct fake_stack *stack = find_stack(session, key);
	struct pymem_vmcalls calls;

	session_take_vmcalls(session, key, &calls);
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
	for (i = session->call_count; table == PYMEM_TABLE_VMCALLS && i-- > 0;)
		if (is_gone(session->calls[i].key.proc, arg)) {
			session->calls[i] = session->calls[--session->call_count];
			forgotten(session, table);
		}
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

void session_each_note(const struct session *session, void (*fn)(const char *text, void *arg),
		       void *arg)
{
	(void)session;
	fn("this kernel has no mm_page_alloc tracepoint: copies on write are not counted", arg);
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

bool session_sees_touches(const struct session *session)
{
	return session->touches;
}

const volatile struct pymem_touched_leaf *session_touched_leaf(const struct session *session,
							       uint32_t dir, uint64_t address)
{
	for (size_t i = 0; i < 16; i++)
		if (session->leaves[i].key == pymem_touched_key(dir, address))
			return &session->leaves[i].leaf;
	return NULL;
}

int session_each_first(struct session *session, int (*fn)(const struct pymem_first *, void *),
		       void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->first_count && !err; i++)
		err = fn(&session->firsts[i], arg);
	return err;
}

int session_forget_touched(struct session *session, bool (*is_gone)(uint32_t dir, void *arg),
			   void *arg)
{
	for (size_t i = 0; i < 16; i++)
		if (session->leaves[i].key && is_gone(session->leaves[i].key >> 32, arg))
			session->leaves[i] = (struct fake_leaf){.key = UINT64_MAX};
	return 0;
}

bool session_counts_faults(const struct session *session)
{
	(void)session;
	return true;
}

bool session_counts_stalls(const struct session *session)
{
	return session->counts_stalls;
}

unsigned session_extras(const struct session *session)
{
	return session->extras;
}

size_t session_huge_page_bytes(const struct session *session)
{
	return session->extras & PYMEM_EXTRA_HUGE ? 2 << 20 : 0;
}

bool session_counts_cache(const struct session *session)
{
	return session->counts_cache;
}

int session_each_cached(struct session *session,
			int (*fn)(const struct pymem_cached *, const struct pymem_cache_file *,
				  void *),
			void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->cached_count && !err; i++)
		err = fn(&session->cached[i].place,
			 session->cached[i].place.key.file ? &session->cached[i].file : NULL, arg);
	return err;
}

int session_forget_cached(struct session *session, bool files,
			  bool (*is_gone)(uint32_t proc, void *arg), void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < session->cached_count; i++)
		if (!is_gone(session->cached[i].place.key.stack.proc, arg))
			session->cached[kept++] = session->cached[i];
	session->cached_count = kept;
	session->cached_sweeps += files;
	return 0;
}

bool session_counts_kernel(const struct session *session)
{
	return session->counts_kernel;
}

int session_each_kernel(struct session *session,
			int (*fn)(const struct pymem_stack_key *, const struct pymem_kernel *,
				  void *),
			void *arg)
{
	int err = 0;

	for (size_t i = 0; i < session->kernel_count && !err; i++)
		err = fn(&session->kernel[i].key, &session->kernel[i].sums, arg);
	return err;
}

int session_forget_kernel(struct session *session, bool (*is_gone)(uint32_t proc, void *arg),
			  void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < session->kernel_count; i++)
		if (!is_gone(session->kernel[i].key.proc, arg))
			session->kernel[kept++] = session->kernel[i];
	session->kernel_count = kept;
	return 0;
}

bool session_counts_copies(const struct session *session)
{
	(void)session;
	return true;
}

uint64_t session_dropped_images(const struct session *session)
{
	return session->dropped_images;
}

void session_each_dropped(const struct session *session,
			  void (*fn)(uint64_t events, const char *text, void *arg), void *arg)
{
	fn(session->dropped_calls,
	   "memory system calls were not counted: table full; raise --max-stacks", arg);
	fn(0, "events of a source that dropped none", arg);
}

bool session_counts_functions(const struct session *session)
{
	(void)session;
	return false;
}

/* Used only with --lines and --functions. */
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

#endif
