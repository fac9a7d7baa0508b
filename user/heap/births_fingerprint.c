/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is the object at an address still the one that was there before?
 *
 * An object that is freed leaves its block to another, often of the same type. So the fingerprint
 * covers all that may differ: the words of the body without the reference count, the text of a str
 * or bytes (of a long one its beginning and end), the words before the object (its dict or values),
 * values that follow it, and the heads of up to eight objects that it refers to. Some instances
 * differ only in these objects.
 *
 * Two kinds of objects are dropped, which loses samples but gives no wrong line. An object that
 * changes between two looks counts as another one. An object without any contents of its own
 * (object(), an empty list) can't be told from the next one at its address.
 */
#include <stdlib.h>

#include "heap/births_child.h"

#define BODY_WORDS     12
#define REFERENCES     8
#define HEAD_WORDS     6	    /* of an object referred to */
#define BYTES_SUBCLASS (1ull << 27) /* Py_TPFLAGS_BYTES_SUBCLASS */
#define STR_SUBCLASS   (1ull << 28) /* Py_TPFLAGS_UNICODE_SUBCLASS */
#define TEXT_BYTES     4096	    /* of a longer text: from its beginning */
#define TEXT_REFERRED  256	    /* the same of a text that is referred to */
#define TEXT_LAST      64	    /* and from its end */
#define TEXT_LONGEST   (1ull << 40)
#define BUFFER_WORDS   2
#define LOWEST	       65536 /* addresses of objects: from this up to 2^47 */
#define TYPES_MAX      4096
#define BASIC_MAX      (1u << 20)
#define WORD	       8

struct fingerprint_type {
	uint64_t addr;
	uint64_t flags;
	uint32_t basicsize, itemsize;
	UT_hash_handle hh;
};

struct mixing {
	struct fingerprints *prints;
	uint64_t hash;
	uint64_t references[REFERENCES];
	unsigned count;
	bool distinct; /* it has contents of its own */
};

static void mix_in(struct mixing *m, uint64_t value)
{
	m->hash = (m->hash ^ value) * 0x9e3779b97f4a7c15ull;
	m->hash ^= m->hash >> 29;
}

static bool is_address(uint64_t word)
{
	return word >= LOWEST && !(word >> 47) && !(word & 7);
}

static void mix_words(struct mixing *m, const uint64_t *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		mix_in(m, words[i]);
		m->distinct |= words[i] != 0;
		if (is_address(words[i]) && m->count < REFERENCES)
			m->references[m->count++] = words[i];
	}
}

static const struct fingerprint_type *type_of(struct fingerprints *prints, uint64_t addr)
{
	const struct py_heap_layout *l = prints->l;
	struct fingerprint_type *type;
	uint64_t basic, item;

	HASH_FIND(hh, prints->types, &addr, sizeof(addr), type);
	if (type || HASH_COUNT(prints->types) >= TYPES_MAX)
		return type;
	type = calloc(1, sizeof(*type));
	if (!type)
		return NULL;
	if (!births_read(prints->pid, addr + l->type_basicsize, &basic, WORD) ||
	    !births_read(prints->pid, addr + l->type_itemsize, &item, WORD) ||
	    !births_read(prints->pid, addr + l->type_flags, &type->flags, WORD) ||
	    basic < l->object_head || basic > BASIC_MAX || item > BASIC_MAX) {
		free(type);
		return NULL;
	}
	type->addr = addr;
	type->basicsize = (uint32_t)basic;
	type->itemsize = (uint32_t)item;
	if (HASH_INSERT(prints->types, addr, type)) {
		free(type);
		return NULL;
	}
	return type;
}

/* True if the object is alive. The first word of a free block is 0 or a part of a pointer. */
static bool is_alive(const struct py_heap_layout *l, uint64_t count)
{
	if (l->flags & PY_HEAP_REFCNT_32)
		return (uint32_t)count != 0;
	return count != 0 && !(count >> 40);
}

/* Mixes in the two words before the object, and three words of what each of them points to: a dict,
 * or values. */
static void mix_before(struct mixing *m, uint64_t addr)
{
	const struct py_heap_layout *l = m->prints->l;
	uint64_t before[2], values[3];

	if (!births_read(m->prints->pid, addr - l->gc_head - l->pre_bytes, before, sizeof(before)))
		return;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = l->flags & PY_HEAP_VALUES_TAGGED && before[i] & 1 ? before[i] + 1
										: before[i];

		mix_in(m, at);
		if (is_address(at) && births_read(m->prints->pid, at, values, sizeof(values)))
			mix_words(m, values, 3);
	}
}

/* How many bytes from the object's address its block has in any case. Blocks are multiples of 16
 * bytes, so the value of an int is among them. */
static unsigned head_bytes(const struct fingerprints *prints, const struct fingerprint_type *type)
{
	/* A str or bytes has a shorter head than basicsize says. Its text is mixed in
	 * separately. */
	if (type->flags & STR_SUBCLASS)
		return prints->py->unicode_ascii_size;
	if (type->flags & BYTES_SUBCLASS)
		return prints->py->bytes_data;
	return type->itemsize ? (type->basicsize + 15) & ~15u : type->basicsize;
}

static void mix_bytes(struct mixing *m, uint64_t addr, uint64_t bytes)
{
	uint64_t words[TEXT_BYTES / WORD] = {0};

	if (!births_read(m->prints->pid, addr, words, bytes))
		return;
	for (uint64_t i = 0; i * WORD < bytes; i++)
		mix_in(m, words[i]);
}

/* The bytes of a str's text, which begins at `*offset` in the object. 0: it is elsewhere, or can't
 * be read. */
static uint64_t str_bytes(const struct fingerprints *prints, uint64_t addr, uint64_t *offset)
{
	const struct py_layout *py = prints->py;
	uint64_t length;
	uint32_t state;

	if (!births_read(prints->pid, addr + py->unicode_length, &length, sizeof(length)) ||
	    !births_read(prints->pid, addr + py->unicode_state, &state, sizeof(state)) ||
	    !(state >> py->unicode_compact_shift & 1) || length > TEXT_LONGEST)
		return 0;
	*offset = state >> py->unicode_ascii_shift & 1 ? py->unicode_ascii_size
						       : py->unicode_compact_size;
	return length * (state >> py->unicode_kind_shift & 7);
}

/* Mixes in the text of a str or bytes: its first `most` and its last bytes. */
static void mix_text(struct mixing *m, const struct fingerprint_type *type, uint64_t addr,
		     uint64_t most)
{
	const struct py_layout *py = m->prints->py;
	uint64_t offset = py->bytes_data, bytes = 0, first;

	if (type->flags & STR_SUBCLASS)
		bytes = str_bytes(m->prints, addr, &offset);
	else if (!(type->flags & BYTES_SUBCLASS) ||
		 !births_read(m->prints->pid, addr + py->bytes_size, &bytes, sizeof(bytes)) ||
		 bytes > TEXT_LONGEST)
		return;
	first = bytes < most ? bytes : most;
	mix_bytes(m, addr + offset, first);
	if (bytes > first)
		mix_bytes(m, addr + offset + bytes - TEXT_LAST, TEXT_LAST);
}

/* Mixes in what is at `addr`: of an object its head and text, of a buffer as many words as the
 * smallest one has. */
static void mix_reference(struct mixing *m, uint64_t addr)
{
	uint64_t head[HEAD_WORDS];
	const struct fingerprint_type *type;
	unsigned words = BUFFER_WORDS;

	if (!births_read(m->prints->pid, addr, head, BUFFER_WORDS * WORD))
		return;
	type = is_address(head[1]) ? type_of(m->prints, head[1]) : NULL;
	if (type) {
		words = head_bytes(m->prints, type) / WORD;
		if (words > HEAD_WORDS)
			words = HEAD_WORDS;
		if (!births_read(m->prints->pid, addr, head, words * WORD))
			return;
	}
	/* An object's first word is its reference count. */
	for (unsigned i = type != NULL; i < words; i++)
		mix_in(m, head[i]);
	if (type)
		mix_text(m, type, addr, TEXT_REFERRED);
}

/* How many words of the body are read, a tuple's items included. */
static unsigned body_words(const struct fingerprints *prints, const struct fingerprint_type *type,
			   uint64_t addr)
{
	uint64_t bytes = head_bytes(prints, type) - prints->l->object_head, items = 0;

	if (type->itemsize >= WORD &&
	    births_read(prints->pid, addr + prints->l->object_size, &items, WORD))
		bytes = type->basicsize - prints->l->object_head +
			type->itemsize * (items < BODY_WORDS ? items : BODY_WORDS);
	if (type->flags & prints->l->pre_flags && prints->l->flags & PY_HEAP_VALUES_INLINE)
		bytes += 3 * WORD; /* the head of its values, and two of them */
	return bytes / WORD < BODY_WORDS ? (unsigned)(bytes / WORD) : BODY_WORDS;
}

uint64_t fingerprint(struct fingerprints *prints, uint64_t addr, uint64_t *type_addr)
{
	struct mixing m = {.prints = prints};
	const struct py_heap_layout *l = prints->l;
	const struct fingerprint_type *type;
	uint64_t head[2], body[BODY_WORDS];
	unsigned words;

	if (!births_read(prints->pid, addr, head, sizeof(head)) || !is_alive(l, head[0]) ||
	    !is_address(head[1]))
		return 0;
	type = type_of(prints, head[1]);
	if (!type)
		return 0;
	*type_addr = head[1];
	mix_in(&m, head[1]);
	words = body_words(prints, type, addr);
	if (words && births_read(prints->pid, addr + l->object_head, body, words * WORD))
		mix_words(&m, body, words);
	mix_text(&m, type, addr, TEXT_BYTES);
	if (type->flags & l->pre_flags)
		mix_before(&m, addr);
	for (unsigned i = 0; i < m.count; i++)
		mix_reference(&m, m.references[i]);
	if (!m.distinct)
		return 0;
	return m.hash ? m.hash : 1;
}

bool fingerprint_fits(struct fingerprints *prints, uint64_t addr, uint64_t type,
		      const uint64_t head[BIRTH_HEAD_WORDS])
{
	const struct py_heap_layout *l = prints->l;
	unsigned at = l->object_type / WORD, size_at = l->object_size / WORD;
	const struct fingerprint_type *known = type_of(prints, type);
	uint64_t size;

	if (!known || at >= BIRTH_HEAD_WORDS || size_at >= BIRTH_HEAD_WORDS || head[at] != type)
		return false;
	if (!(known->flags & STR_SUBCLASS) && !known->itemsize)
		return true;
	return births_read(prints->pid, addr + l->object_size, &size, WORD) &&
	       size == head[size_at];
}

void fingerprints_free(struct fingerprints *prints)
{
	struct fingerprint_type *type, *next;

	HASH_ITER(hh, prints->types, type, next)
	{
		HASH_DEL(prints->types, type);
		free(type);
	}
}
