/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which code object is it, and where in it is the frame?
 *
 * Code objects die and their addresses are used again, so an address is no name. The
 * fingerprint is: what the object says of itself, and the text of its file name.
 */
#ifndef PYCODE_BPF_H
#define PYCODE_BPF_H

#include "python/pystack.bpf.h"

#define TEXT_ROOM  PYMEM_TEXT_ROOM
#define TEXT_TAIL  PYMEM_TEXT_TAIL
#define TABLE_ROOM PYMEM_TABLE_WHOLE

#define GROUP_BYTES ((__u64)PYMEM_GROUP_BYTES) /* hashed in one iteration */

/* The `count` bytes (fewer than 8) at `start` of s->chunk, without what follows. */
static __always_inline __u64 bytes_rest(struct scratch *s, __u64 start, __u64 count)
{
	return LOAD(s->chunk, start, CHUNK_BYTES - 1) & ((1ULL << (8 * (count & 7))) - 1);
}

/* Mixes `count` bytes (TABLE_ROOM at most) at `start` of s->chunk into `hash`: four hashes side by
 * side, since a multiplication takes as long as four that don't wait for it. A loop, not calls of
 * bpf_loop(): so the verifier follows it once, not once for each of those who call. */
SEPARATE __u64 bytes_hash(__u64 start, __u64 count, __u64 hash)
{
	__u64 a = hash, b = MIX1, c = MIX2, d = ~hash, at = start + (count & ~(GROUP_BYTES - 1));
	__u64 groups = count / GROUP_BYTES, i;
	struct scratch *s = scratch_get();
	const __u8 *group;

	if (!s)
		return 0;
	for (i = 0; i < TABLE_ROOM / GROUP_BYTES && i < groups; i++) {
		group = s->chunk + ((start + GROUP_BYTES * i) & (CHUNK_BYTES - 1) & ~7ULL);
		a = mix(a, *(const __u64 *)group);
		b = mix(b, *(const __u64 *)(group + 8));
		c = mix(c, *(const __u64 *)(group + 16));
		d = mix(d, *(const __u64 *)(group + 24));
	}
	if (groups)
		hash = mix(mix(mix(a, b), c), d);
	if (count & 16) {
		hash = mix(hash, LOAD(s->chunk, at, CHUNK_BYTES - 1));
		hash = mix(hash, LOAD(s->chunk, at + 8, CHUNK_BYTES - 1));
		at += 16;
	}
	if (count & 8) {
		hash = mix(hash, LOAD(s->chunk, at, CHUNK_BYTES - 1));
		at += 8;
	}
	if (count & 7)
		hash = mix(hash, bytes_rest(s, at, count));
	return hash ?: 1;
}

/* Reads the str object at `addr` into s->chunk, which the walk does not need any more: TEXT_ROOM
 * bytes, or up to the end of its page if the next page can't be read. Returns how many; 0:
 * unreadable. */
static __always_inline __u32 text_read(struct scratch *s, __u64 addr)
{
	__u32 room = 4096 - (addr & PAGE_MASK_LOW);

	if (!bpf_probe_read_user(s->chunk, TEXT_ROOM, (const void *)addr))
		return TEXT_ROOM;
	room &= 0xf8;
	/* The smallest str is longer than 40 bytes: what does not fit is on the next page. */
	if (room < 48 || room > TEXT_ROOM ||
	    bpf_probe_read_user(s->chunk, room, (const void *)addr))
		return 0;
	return room;
}

/* Mixes the text of the str at `addr` into `hash`: its beginning and, if it is longer than
 * what is read of it, its end. Its header is left out: reference count, hash value and UTF-8
 * cache change while it lives. 0: unreadable. */
static __always_inline __u64 text_hash(struct scratch *s, const struct py_layout *py, __u64 addr,
				       __u64 hash)
{
	__u32 room = text_read(s, addr), state, start;
	__u64 bytes;

	if (!room)
		return 0;
	bytes = LOAD(s->chunk, py->unicode_length, 63);
	state = *(__u32 *)(s->chunk + (py->unicode_state & 60));
	bytes *= (state >> (py->unicode_kind_shift & 31)) & 7;
	start = (state >> (py->unicode_ascii_shift & 31)) & 1 ? py->unicode_ascii_size
							      : py->unicode_compact_size;
	if (start >= room)
		return 0;
	hash = mix(hash, bytes);
	if (bytes <= room - start)
		return bytes_hash(start, bytes, hash);
	/* The text goes on in the next page, which can't be read. */
	if (room < TEXT_ROOM)
		return 0;
	hash = bytes_hash(start, room - start, hash);
	addr += start + bytes - TEXT_TAIL;
	if (bpf_probe_read_user(s->chunk, TEXT_TAIL, (const void *)addr))
		return 0;
	return bytes_hash(0, TEXT_TAIL, hash);
}

/* Mixes pieces of the `size` bytes at `data` into `hash`; 0: unreadable. */
static __always_inline __u64 samples_hash(struct scratch *s, __u64 data, __u64 size, __u64 hash)
{
	__u32 i;

	for (i = 0; i < PYMEM_SAMPLES; i++)
		if (bpf_probe_read_user(s->chunk + i * PYMEM_SAMPLE_BYTES, PYMEM_SAMPLE_BYTES,
					(const void *)(data + sample_offset(size, i))))
			return 0;
	return bytes_hash(0, PYMEM_SAMPLES * PYMEM_SAMPLE_BYTES, hash);
}

/* Mixes the line table at `addr`, a bytes object, into `hash`; 0: unreadable. `numbered`: its code
 * object has a number of its own, so no pieces in the middle are needed. */
static __always_inline __u64 table_hash(struct scratch *s, const struct py_layout *py, __u64 addr,
					bool numbered, __u64 hash)
{
	__u64 size = 0, data = addr + py->bytes_data;
	__u32 bytes;

	if (read_u64(&size, addr + py->bytes_size) || size > 0x7fffffff)
		return 0;
	hash = mix(hash, size);
	bytes = size > TABLE_ROOM ? TABLE_ROOM / 2 : size;
	if (bytes > TABLE_ROOM || bpf_probe_read_user(s->chunk, bytes, (const void *)data))
		return 0;
	hash = bytes_hash(0, bytes, hash);
	if (size <= TABLE_ROOM)
		return hash;
	data += size - TABLE_ROOM / 2;
	if (bpf_probe_read_user(s->chunk, TABLE_ROOM / 2, (const void *)data))
		return 0;
	hash = bytes_hash(0, TABLE_ROOM / 2, hash);
	return numbered ? hash : samples_hash(s, data + TABLE_ROOM / 2 - size, size, hash);
}

/* What tells the code object at `code` from another that lived or will live at the same
 * address: its number, from 3.12 on; its first line, the addresses of its parts, and their
 * contents, since in a loop of exec(compile(…)) every address recurs: file name, name, line table.
 * 0: unreadable. Leaves the object's head in s->code. */
SEPARATE __u64 code_fingerprint(__u64 code)
{
	struct scratch *s = scratch_get();
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__u64 hash, file, name, table, version = 0;
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
	file = LOAD_CODE(s, py, filename);
	name = LOAD_CODE(s, py, name);
	table = LOAD_CODE(s, py, linetable);
	hash = mix(mix(mix(MIX2, file), name), table);
	if (py->code_version != PY_NONE)
		version = load_code_u32(s, py->code_firstlineno + py->code_version);
	hash = mix(hash, version << 32 | (__u32)code_first_line(s, py));
	hash = text_hash(s, py, file, hash);
	if (hash)
		hash = text_hash(s, py, name, hash);
	if (hash)
		hash = table_hash(s, py, table, version, hash);
	return hash ? hash | 1 : 0;
}

/* Byte offset of the instruction of frame `raw` in its code object. */
static __always_inline __s32 frame_lasti(const struct py_layout *py, const struct frame_raw *raw)
{
	__u64 base = raw->code + py->code_bytecode, table = 0, own = 0;
	__s32 index = 0;
	__s64 lasti;

	if (!(py->flags & PY_INSTR_POINTER)) {
		lasti = (__s32)raw->instr;
		if (py->flags & PY_LASTI_CODEUNIT && lasti > 0)
			lasti *= 2;
		return lasti == (__s32)lasti ? lasti : PYMEM_LASTI_UNKNOWN;
	}
	/* Free-threaded 3.14: each thread may run a copy of its own. Copy 0 is the object's. */
	if ((py->flags & PY_TLBC) &&
	    !bpf_probe_read_user(&index, sizeof(index),
				 (const void *)(raw->frame + py->frame_tlbc_index)) &&
	    index > 0 && index < 65536 && !read_u64(&table, raw->code + py->code_tlbc) && table &&
	    !read_u64(&own, table + py->tlbc_entries + 8ULL * index) && own)
		base = own;
	lasti = raw->instr - base;
	return lasti == (__s32)lasti ? lasti : PYMEM_LASTI_UNKNOWN;
}

#endif
