/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which code object is it, and where in it is the frame?
 *
 * Code objects die and their addresses are used again, so an address is no name. The
 * fingerprint is: what the object says of itself, and the text of its file name.
 */
#ifndef PYCODE_BPF_H
#define PYCODE_BPF_H

#include "pystack.bpf.h"

#define TEXT_ROOM  192
#define TEXT_WORDS 19 /* of TEXT_ROOM, without the smallest header */
#define TEXT_TAIL  32
#define TABLE_ROOM 2048 /* hashed of a line table: of a longer one the halves at its ends */

struct text {
	struct scratch *s;
	__u64 hash;
	__u64 start; /* of the characters in s->text */
	__u64 bytes; /* of characters in s->text */
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

/* Reads the str object at `addr` into s->text: TEXT_ROOM bytes, or up to the end of its
 * page if there is nothing behind that. How many, or 0. */
static __always_inline __u32 text_read(struct scratch *s, __u64 addr)
{
	__u32 room = 4096 - (addr & PAGE_MASK_LOW);

	if (!bpf_probe_read_user(s->text, TEXT_ROOM, (const void *)addr))
		return TEXT_ROOM;
	room &= 0xf8;
	/* The smallest str is longer than 40 bytes: what does not fit is on the next page. */
	if (room < 48 || room > TEXT_ROOM || bpf_probe_read_user(s->text, room, (const void *)addr))
		return 0;
	return room;
}

/* Mixes the text of the str at `addr` into `hash`: its beginning and, if it is longer than
 * what is read of it, its end. Its header is left out: reference count, hash value and UTF-8
 * cache change while it lives. 0: unreadable. */
static __always_inline __u64 text_hash(struct scratch *s, const struct py_layout *py, __u64 addr,
				       __u64 hash)
{
	struct text c = {.s = s};
	__u32 room = text_read(s, addr), state;
	__u64 bytes;

	if (!room)
		return 0;
	bytes = LOAD(s->text, py->unicode_length, 63);
	state = *(__u32 *)(s->text + (py->unicode_state & 60));
	bytes *= (state >> (py->unicode_kind_shift & 31)) & 7;
	c.hash = mix(hash, bytes);
	c.start = (state >> (py->unicode_ascii_shift & 31)) & 1 ? py->unicode_ascii_size
								: py->unicode_compact_size;
	if (c.start >= room)
		return 0;
	c.bytes = bytes;
	if (bytes <= room - c.start) {
		LOOP(TEXT_WORDS, text_step, &c);
		return c.hash ?: 1;
	}
	/* Where the page ends, the object does, or its next page can't be read. */
	if (room < TEXT_ROOM)
		return 0;
	c.bytes = room - c.start;
	LOOP(TEXT_WORDS, text_step, &c);
	addr += c.start + bytes - TEXT_TAIL;
	if (bpf_probe_read_user(s->text, TEXT_TAIL, (const void *)addr))
		return 0;
	c.start = 0;
	c.bytes = TEXT_TAIL;
	LOOP(TEXT_TAIL / 8, text_step, &c);
	return c.hash ?: 1;
}

LOOP_BODY table_step(__u32 i, struct text *c)
{
	__u64 done = 8ULL * i, word;

	if (done >= c->bytes)
		return 1;
	word = LOAD(c->s->chunk, done, CHUNK_BYTES - 1);
	if (c->bytes - done < 8)
		word &= (1ULL << (8 * ((c->bytes - done) & 7))) - 1;
	c->hash = mix(c->hash, word);
	return 0;
}

/* Mixes the line table at `addr`, a bytes object, into `hash`; 0: unreadable. Overwrites
 * s->chunk: the walk is over. */
static __always_inline __u64 table_hash(struct scratch *s, const struct py_layout *py, __u64 addr,
					__u64 hash)
{
	struct text c = {.s = s};
	__u64 size = 0, data = addr + py->bytes_data;
	__u32 bytes;

	if (read_u64(&size, addr + py->bytes_size))
		return 0;
	c.hash = mix(hash, size);
	bytes = size > TABLE_ROOM ? TABLE_ROOM / 2 : size;
	if (bytes > TABLE_ROOM || bpf_probe_read_user(s->chunk, bytes, (const void *)data))
		return 0;
	c.bytes = bytes;
	LOOP(TABLE_ROOM / 8, table_step, &c);
	if (size <= TABLE_ROOM)
		return c.hash ?: 1;
	if (bpf_probe_read_user(s->chunk, TABLE_ROOM / 2,
				(const void *)(data + size - TABLE_ROOM / 2)))
		return 0;
	LOOP(TABLE_ROOM / 8, table_step, &c);
	return c.hash ?: 1;
}

/* What tells the code object at `code` from another that lived or will live at the same
 * address: its first line, the addresses of its parts, and their contents, since in a loop
 * of exec(compile(…)) every address recurs: file name, name, line table. 0: unreadable.
 * Leaves the object's head in s->code. */
SEPARATE __u64 code_fingerprint(__u64 code)
{
	struct scratch *s = scratch_get();
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__u64 hash, file, name, table;
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
	name = LOAD(s->code, py->code_name, 511);
	table = LOAD(s->code, py->code_linetable, 511);
	hash = mix(mix(mix(MIX2, file), name), table);
	hash = mix(hash, *(__u32 *)(s->code + (py->code_firstlineno & 508)));
	hash = text_hash(s, py, file, hash);
	if (hash)
		hash = text_hash(s, py, name, hash);
	if (hash)
		hash = table_hash(s, py, table, hash);
	return hash ? hash | 1 : 0;
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
