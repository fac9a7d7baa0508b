/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hands stacks and code objects to user space the first time they are seen, whole:
 * names, first line, line table. A process that is gone a moment later keeps its lines.
 *
 * One event hands over at most PYMEM_TABLE_MAX bytes of a line table, so that it takes only some
 * microseconds. If a table is longer, each new stack of the code object brings the next part. User
 * space is woken too: it reads the rest from the process, if that is still there.
 */
#ifndef ANNOUNCE_BPF_H
#define ANNOUNCE_BPF_H

#include "python/pycode.bpf.h"
#include "account/quota.bpf.h"

#define MAX_TABLE_PARTS (PYMEM_TABLE_MAX / PYMEM_TABLE_BYTES)

#define TABLE_DONE (~0U) /* pymem_code.sent: nothing of it is left to be handed over */

/* Wake the reader only once a quarter of the ring is used: it polls anyway. */
static __always_inline __u64 ring_flags(void)
{
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	return used > ring_wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Captures the str object at `addr` into `data`. */
static __always_inline void capture_str(const struct py_layout *py, __u64 addr,
					struct pymem_str *str, void *data, __u32 room)
{
	__u64 length = 0, bytes;
	__u32 state = 0, kind, header;

	str->kind = 0;
	str->length = 0;
	str->bytes = 0;
	if (!addr || read_u64(&length, addr + py->unicode_length) ||
	    bpf_probe_read_user(&state, sizeof(state), (const void *)(addr + py->unicode_state)))
		return;
	kind = (state >> (py->unicode_kind_shift & 31)) & 7;
	if (!((state >> (py->unicode_compact_shift & 31)) & 1) ||
	    (kind != 1 && kind != 2 && kind != 4))
		return;
	header = (state >> (py->unicode_ascii_shift & 31)) & 1 ? py->unicode_ascii_size
							       : py->unicode_compact_size;
	if (length > room)
		bytes = room;
	else
		bytes = length * kind;
	if (bytes > room)
		bytes = room;
	if (bpf_probe_read_user(data, bytes, (const void *)(addr + header)))
		return;
	str->length = length > 0x7fffffff ? 0x7fffffff : length;
	str->bytes = bytes;
	str->kind = kind;
}

/* What of it changes is in the scratch area, as of a struct walk. */
struct parts {
	struct pymem_msg_code *m;
	struct scratch *s;
};

/* Sends the next part of the line table; the first part goes out even if it is empty. */
LOOP_BODY send_part(__u32 i, struct parts *c)
{
	struct pymem_msg_code *m = c->m;
	struct scratch *s = c->s;
	__u32 offset = s->sent, bytes = 0, more;
	__u64 flags;

	if (offset >= m->table_length && (i || offset))
		return 1;
	if (m->table_length > offset) {
		bytes = m->table_length - offset;
		if (bytes > PYMEM_TABLE_BYTES)
			bytes = PYMEM_TABLE_BYTES;
	}
	if (bytes && bpf_probe_read_user(m->table, bytes, (const void *)(m->table_addr + offset))) {
		bytes = 0; /* paged out: user space reads it from the process */
		s->unread = 1;
	}
	/* Without a branch: clang would end the loop in one that falls into its head, which 5.10's
	 * verifier takes for a loop without an end. */
	more = m->table_length > offset + bytes;
	m->last = s->unread | ((i + 1 == MAX_TABLE_PARTS) & more);
	flags = m->last ? BPF_RB_FORCE_WAKEUP : ring_flags();
	m->table_offset = offset;
	m->table_bytes = bytes;
	s->unsent = bpf_ringbuf_output(&ring, m,
				       __builtin_offsetof(struct pymem_msg_code, table) + bytes,
				       flags) != 0;
	if (!s->unsent)
		s->sent = offset + bytes;
	return s->unsent || s->unread;
}

static __always_inline void sends_spend(struct scratch *s, __u64 messages)
{
	s->sends = messages < s->sends ? s->sends - messages : 0;
	names_spend(s, messages);
}

/* Sends the code object at `code`, whose head is in s->code, with its line table from `from` on.
 * How much of the table has been handed over now, TABLE_DONE if that is all; or
 * ANNOUNCE_FAILED: the ring is full. */
#define ANNOUNCE_FAILED (1ULL << 32)
SEPARATE __u64 announce_code(__u64 code, __u64 fingerprint, __u32 from)
{
	const struct pymem_layout *layout;
	const struct py_layout *py;
	struct pymem_msg_code *m;
	struct scratch *s = scratch_get();
	__u64 table, size = 0;
	struct parts c;
	__u32 zero = 0;
	__u64 ids;

	if (!s)
		return ANNOUNCE_FAILED;
	layout = layout_now(s);
	m = bpf_map_lookup_elem(CODE_MESSAGES, &zero);
	if (!m || !layout)
		return ANNOUNCE_FAILED;
	py = layout_of(layout);
	m->type = PYMEM_MSG_CODE;
	m->proc = s->stack.proc;
	m->code = code;
	m->fingerprint = fingerprint;
	ids = bpf_get_current_uid_gid();
	m->uid = (__u32)ids;
	m->gid = ids >> 32;
	m->first_line = code_first_line(s, py);
	capture_str(py, LOAD_CODE(s, py, filename), &m->file, m->file_data, sizeof(m->file_data));
	capture_str(py,
		    py->code_qualname != PY_NONE ? LOAD_CODE(s, py, qualname)
						 : LOAD_CODE(s, py, name),
		    &m->name, m->name_data, sizeof(m->name_data));
	table = LOAD_CODE(s, py, linetable);
	m->table_addr = table + py->bytes_data;
	/* Unreadable is not the same as empty: an empty table says that all is on the first
	 * line. */
	if (!table || read_u64(&size, table + py->bytes_size) || size > 0x7fffffff) {
		size = 0;
		m->table_addr = 0;
	}
	m->table_length = size;
	c.m = m;
	c.s = s;
	s->sent = from;
	s->unread = s->unsent = 0;
	LOOP(MAX_TABLE_PARTS, send_part, &c);
	sends_spend(s, (s->sent - from) / PYMEM_TABLE_BYTES + 1);
	if (s->unsent && s->sent == from)
		return ANNOUNCE_FAILED;
	if (s->unread || s->sent >= size || s->sent >= PYMEM_TABLE_KEPT)
		return TABLE_DONE;
	return s->sent;
}

/* Called before code objects of p are announced, since `codes` has a quota. announce_end()
 * follows. */
static __always_inline void announce_begin(struct scratch *s, struct pymem_proc *p)
{
	int account = quota_ask(p, PYMEM_TABLE_CODES);

	s->denied = account < 0 ? account : 0;
	s->account = account;
	s->coded = 0;
	s->refused = 0;
}

static __always_inline void announce_end(struct scratch *s, struct pymem_proc *p)
{
	if (s->coded)
		quota_hold(p, PYMEM_TABLE_CODES, s->coded);
	if (s->refused)
		quota_refuse(p, PYMEM_TABLE_CODES, s->denied);
}

/* Announces a code object, or the next part of its line table, unless that was done. 0, or 1 if
 * it has not been announced: the ring is full, or this event has sent enough. */
SEPARATE __u64 announce_once(__u64 code, __u64 fingerprint)
{
	struct scratch *s = scratch_get();
	struct code_key key = {};
	struct pymem_code *before, after;
	__u32 from = 0;
	__u64 now;

	if (!s)
		return 1;
	key.code = code;
	key.fingerprint = fingerprint;
	key.proc = s->stack.proc;
	before = bpf_map_lookup_elem(&codes, &key);
	if (before)
		from = before->sent;
	if (from == TABLE_DONE)
		return 0;
	/* A code object that can't be remembered would be sent again and again. */
	if (!before && s->denied) {
		s->refused = 1;
		return 1;
	}
	if (!s->sends)
		return !before;
	/* s->code holds another frame's head by now. */
	if (code_fingerprint(code) != fingerprint)
		return !before;
	now = announce_code(code, fingerprint, from);
	if (now >= ANNOUNCE_FAILED)
		return !before;
	/* If the table is full, the code object is only sent again. */
	if (before) {
		before->sent = now;
		return 0;
	}
	after.sent = now;
	after.account = s->account;
	if (!bpf_map_update_elem(&codes, &key, &after, BPF_NOEXIST)) {
		quota_book(PYMEM_TABLE_CODES, after.account, 1);
		s->coded++;
	}
	return 0;
}

struct announcement {
	struct scratch *s;
	__u64 failed;
	__u32 known; /* frames whose code objects have been handed over */
};

LOOP_BODY announce_step(__u32 i, struct announcement *c)
{
	struct pymem_msg_frame *f;

	if (i >= c->s->stack.depth || i >= PYMEM_MAX_FRAMES)
		return 1;
	f = &c->s->stack.frames[i];
	c->failed = announce_once(f->code, f->fingerprint);
	if (!c->failed)
		c->known = i + 1;
	return c->failed != 0;
}

/* Sends the stack in s->stack with all its code objects. 0, or 1 if something is missing: the ring
 * is full, this event has sent enough, or there is no room to remember more code objects. Callers
 * may come later: the innermost one is enough to charge its line. */
SEPARATE __u64 announce_stack(void)
{
	struct announcement c = {};
	__u32 depth;

	c.s = scratch_get();
	if (!c.s)
		return 1;
	LOOP(PYMEM_MAX_FRAMES, announce_step, &c);
	if (!c.known)
		return 1;
	depth = c.s->stack.depth;
	if (depth > PYMEM_MAX_FRAMES)
		depth = PYMEM_MAX_FRAMES;
	return bpf_ringbuf_output(&ring, &c.s->stack,
				  __builtin_offsetof(struct pymem_msg_stack, frames) +
					  depth * sizeof(struct pymem_msg_frame),
				  ring_flags()) != 0 ||
	       c.failed;
}

#endif
