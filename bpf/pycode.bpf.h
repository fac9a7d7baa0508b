/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which code object is it, and where in it is the frame?
 *
 * Code objects die and their addresses are used again, so an address is no name. The
 * fingerprint is: what the object says of itself, and the text of its file name.
 */
#ifndef PYCODE_BPF_H
#define PYCODE_BPF_H

#include "pystack.bpf.h"

#define TEXT_WORDS 20

struct text {
	struct scratch *s;
	__u64 hash;
	__u64 start; /* of the characters in s->text */
	__u64 bytes; /* of characters, at most what was read */
};

LOOP_BODY text_step(__u32 i, struct text *c)
{
	__u64 done = 8ULL * i, word;

	if (done >= c->bytes)
		return 1;
	word = LOAD(c->s->text, c->start + done, 255);
	/* Without what follows the string. */
	if (c->bytes - done < 8)
		word &= (1ULL << (8 * ((c->bytes - done) & 7))) - 1;
	c->hash = mix(c->hash, word);
	return 0;
}

/* Mixes the first characters of the str at `addr` into `hash`. Its header is left out:
 * reference count, hash value and UTF-8 cache change while it lives. */
static __always_inline __u64 text_hash(struct scratch *s, const struct py_layout *py, __u64 addr,
				       __u64 hash)
{
	struct text c = {.s = s, .hash = hash};
	__u32 room, state;

	/* Not beyond the page: what follows it may not be there. */
	room = 4096 - (addr & PAGE_MASK_LOW);
	if (room > 192)
		room = 192;
	room &= 0xf8;
	if (room < 80 || bpf_probe_read_user(s->text, room, (const void *)addr))
		return hash;
	c.bytes = LOAD(s->text, py->unicode_length, 63);
	state = *(__u32 *)(s->text + (py->unicode_state & 60));
	c.bytes *= (state >> (py->unicode_kind_shift & 31)) & 7;
	c.hash = mix(hash, c.bytes);
	c.start = (state >> (py->unicode_ascii_shift & 31)) & 1 ? py->unicode_ascii_size
								: py->unicode_compact_size;
	if (c.start >= room)
		return c.hash;
	if (c.bytes > room - c.start)
		c.bytes = room - c.start;
	LOOP(TEXT_WORDS, text_step, &c);
	return c.hash;
}

/* What tells the code object at `code` from another that lived or will live at the same
 * address: its first line, the addresses of its parts, and the text of its file name,
 * since in a loop of exec(compile(…)) every address recurs. 0: unreadable.
 * Leaves the object's head in s->code. */
SEPARATE __u64 code_fingerprint(__u64 code)
{
	struct scratch *s = scratch_get();
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__u64 hash, file;
	__u32 size;

	if (!s)
		return 0;
	layout = layout_now(s);
	if (!layout)
		return 0;
	py = layout_of(layout);
	size = layout->code_size;
	if (size > sizeof(s->code))
		size = sizeof(s->code);
	if (bpf_probe_read_user(s->code, size, (const void *)code))
		return 0;
	file = LOAD(s->code, py->code_filename, 511);
	hash = mix(MIX2, file);
	hash = mix(hash, LOAD(s->code, py->code_name, 511));
	hash = mix(hash, LOAD(s->code, py->code_linetable, 511));
	hash = mix(hash, *(__u32 *)(s->code + (py->code_firstlineno & 508)));
	return text_hash(s, py, file, hash) | 1;
}

/* Byte offset of the instruction of frame `raw` in its code object. */
static __always_inline __s32 frame_lasti(const struct py_layout *py, const struct frame_raw *raw)
{
	__u64 base = raw->code + py->code_bytecode, table = 0, own = 0;
	__s32 index = 0;

	if (!(py->flags & PY_INSTR_POINTER)) {
		__s32 lasti = (__s32)raw->instr;

		return py->flags & PY_LASTI_CODEUNIT && lasti > 0 ? lasti * 2 : lasti;
	}
	/* Free-threaded 3.14: each thread may run a copy of its own. Copy 0 is the object's. */
	if ((py->flags & PY_TLBC) &&
	    !bpf_probe_read_user(&index, sizeof(index),
				 (const void *)(raw->frame + py->frame_tlbc_index)) &&
	    index > 0 && index < 65536 && !read_u64(&table, raw->code + py->code_tlbc) && table &&
	    !read_u64(&own, table + py->tlbc_entries + 8ULL * index) && own)
		base = own;
	return (__s32)(raw->instr - base);
}

#endif
