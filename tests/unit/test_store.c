/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* store.c, store_table.c: what one image sends is bounded, and what does not fit is counted. Line
 * tables of any length are put together from parts, or read from the process. An instruction always
 * has a line. tests/fuzz/fuzz_store.c tests how messages are read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/proc.h"
#include "python/py_fingerprint.h"
#include "python/py_layouts.h"
#include "track/store.h"

/* How many allocations of hash tables succeed before they fail; -1: all. */
static int hash_allocs = -1;

void *hash_alloc(size_t bytes)
{
	if (!hash_allocs)
		return NULL;
	if (hash_allocs > 0)
		hash_allocs--;
	return malloc(bytes);
}

static int give_stack(struct store *store, uint32_t proc, uint64_t hash)
{
	struct pymem_msg_stack m = {
		.type = PYMEM_MSG_STACK, .proc = proc, .hash = hash, .depth = 8};

	return store_add(store, &m, sizeof(m));
}

static struct pymem_msg_code code_message(uint32_t proc, uint64_t code, uint32_t table_length)
{
	struct pymem_msg_code m = {
		.type = PYMEM_MSG_CODE,
		.proc = proc,
		.code = code,
		.fingerprint = 1,
		.first_line = 7,
		.table_addr = 4096,
		.table_length = table_length,
	};

	return m;
}

static int give_code(struct store *store, uint32_t proc, uint64_t code, uint32_t table_length)
{
	struct pymem_msg_code m = code_message(proc, code, table_length);

	return store_add(store, &m, sizeof(m));
}

/* Sends bytes `from` to `to` of `table`, in parts as the BPF side makes them. */
static int give_table(struct store *store, uint32_t proc, const unsigned char *table,
		      uint32_t length, uint32_t from, uint32_t to)
{
	struct pymem_msg_code m = code_message(proc, 1, length);
	int err = 0;

	for (; from < to && !err; from += m.table_bytes) {
		m.table_offset = from;
		m.table_bytes = to - from < PYMEM_TABLE_BYTES ? to - from : PYMEM_TABLE_BYTES;
		memcpy(m.table, table + from, m.table_bytes);
		err = store_add(store, &m, offsetof(struct pymem_msg_code, table) + m.table_bytes);
	}
	return err;
}

static struct py_layout layout_of(unsigned minor)
{
	struct py_layout layout;

	assert_int_equal(py_layout_from_table(3, minor, &layout), 0);
	return layout;
}

static struct store_code *code_by(struct store *store, uint32_t proc, uint64_t code,
				  uint64_t fingerprint, int pid)
{
	const struct pymem_msg_frame frame = {.code = code, .fingerprint = fingerprint};
	struct py_layout layout = layout_of(11);
	struct store_code *found = store_code(store, proc, &frame, &layout, pid);

	assert_non_null(found);
	return found;
}

static struct store_code *code_of(struct store *store, uint32_t proc, uint64_t code, int pid)
{
	return code_by(store, proc, code, 1, pid);
}

/* A location table with one unit of code on each line. */
static unsigned char *lines_table(size_t entries, uint32_t *length)
{
	unsigned char *table = malloc(3 * entries);

	assert_non_null(table);
	for (size_t i = 0; i < entries; i++)
		memcpy(table + 3 * i, i ? "\xd8\x01\x02" : "\xd0\x01\x02", 3);
	*length = 3 * entries;
	return table;
}

/* A thread has the name that came last, and a stack of another one is another stack. */
static void test_threads(void **state)
{
	struct pymem_msg_stack m = {.type = PYMEM_MSG_STACK, .proc = 1, .depth = 1};
	struct pymem_stack_key key = {.proc = 1};
	const struct store_thread *first;
	size_t size = offsetof(struct pymem_msg_stack, frames) + sizeof(m.frames[0]);
	struct store store;

	(void)state;
	store_init(&store);
	m.hash = key.hash = 1;
	assert_int_equal(store_add(&store, &m, size), 0);
	assert_null(store_stack(&store, &key)->thread);
	m.hash = key.hash = 2;
	m.told = PYMEM_THREAD(1, 70);
	memcpy(m.comm, "0123456789abcdef", sizeof(m.comm)); /* no NUL */
	assert_int_equal(store_add(&store, &m, size), 0);
	first = store_stack(&store, &key)->thread;
	assert_int_equal(first->told.id, PYMEM_THREAD(1, 70));
	assert_string_equal(first->told.name, "0123456789abcde");
	m.hash = key.hash = 3;
	strcpy(m.comm, "later");
	assert_int_equal(store_add(&store, &m, size), 0);
	assert_ptr_equal(store_stack(&store, &key)->thread, first);
	assert_string_equal(first->told.name, "later");
	m.hash = key.hash = 4;
	m.told = PYMEM_THREAD_OTHERS;
	assert_int_equal(store_add(&store, &m, size), 0);
	assert_string_equal(store_stack(&store, &key)->thread->told.name, "");
	store_fini(&store);
}

static void test_bounds(void **state)
{
	struct pymem_stack_key key = {.proc = 1, .hash = 1};
	unsigned kept = 0, refused = 0;
	struct store store;
	int err;

	(void)state;
	store_init(&store);
	assert_int_equal(store.image_bytes, STORE_IMAGE_BYTES);
	store.image_bytes = 64 << 10;
	for (uint64_t hash = 1; hash <= 1000; hash++) {
		err = give_stack(&store, 1, hash);
		assert_true(!err || err == -ENOSPC);
		kept += !err;
		refused += err == -ENOSPC;
		key.hash = hash;
		assert_int_equal(store_stack(&store, &key) != NULL, !err);
	}
	assert_true(kept > 50 && refused > 500);
	assert_int_equal(store.refused, refused);
	/* What is already there takes no room, nor does what a code object only claims to have. */
	assert_int_equal(give_stack(&store, 1, 1), 0);
	assert_int_equal(give_code(&store, 2, 1, 1 << 30), 0);
	assert_true(store_image(&store, 2)->bytes < 4096);
	assert_int_equal(give_code(&store, 2, 2, 100), 0);
	/* Each image has its own share, which is free again after its end. */
	assert_int_equal(give_stack(&store, 3, 1), 0);
	store_forget(&store, 1);
	assert_int_equal(give_stack(&store, 1, 1), 0);
	assert_int_equal(store.malformed, 0);
	store_fini(&store);
}

/* Parts of later events continue where the first ones ended. Repeated parts, and parts that leave a
 * gap, change nothing. Lines asked for meanwhile become correct. */
static void test_long_table(void **state)
{
	uint32_t length;
	unsigned char *table = lines_table(100000, &length);
	struct store_code *code;
	struct store store;

	(void)state;
	store_init(&store);
	assert_int_equal(give_table(&store, 1, table, length, 0, PYMEM_TABLE_MAX), 0);
	code = code_of(&store, 1, 1, 0);
	assert_int_equal(store_line(&store, code, 2 * 20000, NULL), 7 + 20000);
	assert_int_equal(store_line(&store, code, 2 * 90000, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_UNREAD], 1);
	assert_int_equal(store_line(&store, code, 2 * 90001, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_UNREAD], 1);
	assert_int_equal(give_table(&store, 1, table, length, 0, PYMEM_TABLE_MAX), 0);
	assert_int_equal(give_table(&store, 1, table, length, 2 * PYMEM_TABLE_MAX, length), 0);
	assert_int_equal(code->code.linetable_len, PYMEM_TABLE_MAX);
	assert_int_equal(give_table(&store, 1, table, length, PYMEM_TABLE_MAX, length), 0);
	assert_int_equal(code->code.linetable_len, length);
	assert_false(code->code.truncated);
	assert_int_equal(store.gaps[COUNTS_GAP_UNREAD], 0);
	assert_int_equal(store_line(&store, code, 2 * 90000, NULL), 7 + 90000);
	assert_int_equal(store_line(&store, code, 2 * 99999, NULL), 7 + 99999);
	assert_int_equal(store_line(&store, code, 2 * 100000, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_OUTSIDE], 1);
	store_fini(&store);
	free(table);
}

/* A table for which there is no room is cut and marked as such. The names of its image stay. */
static void test_table_without_room(void **state)
{
	uint32_t length;
	unsigned char *table = lines_table(100000, &length);
	struct store_code *code;
	struct store store;

	(void)state;
	store_init(&store);
	store.image_bytes = 100 << 10;
	assert_int_equal(give_table(&store, 1, table, length, 0, length), 0);
	code = code_of(&store, 1, 1, 0);
	assert_true(store_image(&store, 1)->bytes <= store.image_bytes);
	assert_int_equal(store_line(&store, code, 2 * 10000, NULL), 7 + 10000);
	assert_int_equal(store_line(&store, code, 2 * 99999, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_TOO_LONG], 1);
	assert_int_equal(store.gaps[COUNTS_GAP_UNREAD], 0);
	store_fini(&store);
	free(table);
}

/* A code object in this process's memory, laid out as by CPython 3.11. */
struct fake {
	unsigned char object[512];
	unsigned char file[256], name[256]; /* str */
	unsigned char *bytes;		    /* its line table */
	struct pymem_msg_code message;
};

static bool read_own(void *arg, uint64_t address, void *to, size_t bytes)
{
	(void)arg;
	return proc_read_memory(getpid(), address, to, bytes) == (ssize_t)bytes;
}

static uint64_t fake_fingerprint(const struct fake *f, const struct py_layout *py)
{
	uint64_t fingerprint = py_fingerprint(py, (uintptr_t)f->object, read_own, NULL);

	assert_true(fingerprint & 1);
	return fingerprint;
}

static void put_text(unsigned char *at, const struct py_layout *py, const char *text)
{
	uint64_t length = strlen(text);
	uint32_t state = 1u << py->unicode_kind_shift | 1u << py->unicode_compact_shift |
			 1u << py->unicode_ascii_shift;

	memcpy(at + py->unicode_length, &length, sizeof(length));
	memcpy(at + py->unicode_state, &state, sizeof(state));
	memcpy(at + py->unicode_ascii_size, text, length);
}

static void put_pointer(struct fake *f, uint16_t offset, const void *to)
{
	uint64_t address = (uintptr_t)to;

	memcpy(f->object + offset, &address, sizeof(address));
}

static void fake_init(struct fake *f, const unsigned char *table, uint32_t length)
{
	struct py_layout py = layout_of(11);
	uint64_t size = length;
	int32_t first_line = 7;

	memset(f, 0, sizeof(*f));
	f->bytes = malloc(py.bytes_data + length);
	assert_non_null(f->bytes);
	memcpy(f->bytes + py.bytes_size, &size, sizeof(size));
	memcpy(f->bytes + py.bytes_data, table, length);
	put_text(f->file, &py, "module.py");
	put_text(f->name, &py, "function");
	put_pointer(f, py.code_filename, f->file);
	put_pointer(f, py.code_name, f->name);
	put_pointer(f, py.code_linetable, f->bytes);
	memcpy(f->object + py.code_firstlineno, &first_line, sizeof(first_line));
	f->message = code_message(1, (uintptr_t)f->object, length);
	f->message.fingerprint = fake_fingerprint(f, &py);
	f->message.table_addr = (uintptr_t)f->bytes + py.bytes_data;
}

static void give_part(struct store *store, struct fake *f, uint32_t offset, uint32_t bytes,
		      bool last)
{
	struct py_layout py = layout_of(11);

	f->message.table_offset = offset;
	f->message.table_bytes = bytes;
	f->message.last = last;
	memcpy(f->message.table, f->bytes + py.bytes_data + offset, bytes);
	assert_int_equal(
		store_add(store, &f->message, offsetof(struct pymem_msg_code, table) + bytes), 0);
	store_complete(store, &f->message, &py, getpid());
}

/* The rest is read from the process after the last part of an event, not before. It stays when the
 * process is gone. */
static void test_fetched(void **state)
{
	uint32_t length, at;
	unsigned char *table = lines_table(100000, &length);
	struct store_code *code;
	struct store store;
	struct fake f;

	(void)state;
	store_init(&store);
	fake_init(&f, table, length);
	for (at = 0; at + PYMEM_TABLE_BYTES < PYMEM_TABLE_MAX; at += PYMEM_TABLE_BYTES)
		give_part(&store, &f, at, PYMEM_TABLE_BYTES, false);
	HASH_FIND(hh, store.codes, &store.codes->key, sizeof(store.codes->key), code);
	assert_non_null(code);
	assert_int_equal(code->code.linetable_len, at);
	give_part(&store, &f, at, PYMEM_TABLE_BYTES, true);
	assert_int_equal(code->code.linetable_len, length);
	code = code_by(&store, 1, (uintptr_t)f.object, f.message.fingerprint, 0);
	assert_int_equal(store_line(&store, code, 2 * 99999, NULL), 7 + 99999);
	assert_int_equal(store.gaps[COUNTS_GAP_UNREAD], 0);
	store_fini(&store);
	free(f.bytes);
	free(table);
}

/* An event found the ring full after three parts. The next event's parts begin at other offsets. */
static void test_fetched_after_a_full_ring(void **state)
{
	uint32_t length, at;
	unsigned char *table = lines_table(100000, &length);
	struct store store;
	struct fake f;

	(void)state;
	store_init(&store);
	fake_init(&f, table, length);
	for (at = 0; at < 10 * PYMEM_TABLE_BYTES; at += PYMEM_TABLE_BYTES)
		give_part(&store, &f, at, PYMEM_TABLE_BYTES, false);
	assert_int_equal(store.codes->code.linetable_len, at);
	give_part(&store, &f, at, PYMEM_TABLE_BYTES, true);
	assert_int_equal(store.codes->code.linetable_len, length);
	store_fini(&store);
	free(f.bytes);
	free(table);
}

/* What all images send is bounded too; forgetting an image makes room. */
static void test_bounds_of_all(void **state)
{
	unsigned kept[3] = {0};
	struct store store;

	(void)state;
	store_init(&store);
	assert_int_equal(store.all_bytes, STORE_ALL_BYTES);
	store.all_bytes = 64 << 10;
	for (uint32_t proc = 0; proc < 2; proc++)
		for (uint64_t hash = 1; hash <= 1000; hash++)
			kept[proc] += !give_stack(&store, proc, hash);
	assert_true(kept[0] > 50 && kept[0] < 1000);
	assert_int_equal(kept[1], 0);
	assert_true(store.bytes <= store.all_bytes);
	store_forget(&store, 0);
	for (uint64_t hash = 1; hash <= 1000; hash++)
		kept[2] += !give_stack(&store, 2, hash);
	assert_int_equal(kept[2], kept[0]);
	store_fini(&store);
}

/* A limited amount is read at a time, the rest at a later poll. */
static void test_fetched_later(void **state)
{
	uint32_t length;
	unsigned char *table = lines_table(100000, &length);
	struct store_code *code;
	struct store store;
	struct fake f;

	(void)state;
	store_init(&store);
	store.fetched_bytes = STORE_FETCH_BYTES;
	fake_init(&f, table, length);
	for (uint32_t at = 0; at < PYMEM_TABLE_MAX; at += PYMEM_TABLE_BYTES)
		give_part(&store, &f, at, PYMEM_TABLE_BYTES,
			  at + PYMEM_TABLE_BYTES >= PYMEM_TABLE_MAX);
	HASH_FIND(hh, store.codes, &store.codes->key, sizeof(store.codes->key), code);
	assert_non_null(code);
	assert_int_equal(code->code.linetable_len, PYMEM_TABLE_MAX);
	store_fetch_more(&store);
	assert_int_equal(code->code.linetable_len, length);
	/* Including what was here, which is read again to be compared. */
	assert_int_equal(store.fetched_bytes, length + PYMEM_TABLE_MAX);
	/* What was forgotten meanwhile is not read any more; what is left is freed. */
	for (int i = 0; i < 2; i++) {
		store_forget(&store, 1);
		store.fetched_bytes = STORE_FETCH_BYTES;
		for (uint32_t at = 0; at < PYMEM_TABLE_MAX; at += PYMEM_TABLE_BYTES)
			give_part(&store, &f, at, PYMEM_TABLE_BYTES,
				  at + PYMEM_TABLE_BYTES >= PYMEM_TABLE_MAX);
		store_forget(&store, 1);
		if (!i)
			store_fetch_more(&store);
	}
	store_fini(&store);
	free(f.bytes);
	free(table);
}

/* If the process has other bytes than those that arrived, nothing is taken. It is not tried again
 * before more has arrived, since each attempt reads everything again. */
static void test_fetch_that_failed(void **state)
{
	uint32_t length;
	unsigned char *table = lines_table(100000, &length);
	struct py_layout py = layout_of(11);
	struct store store;
	struct fake f;

	(void)state;
	store_init(&store);
	fake_init(&f, table, length);
	for (uint32_t at = 0; at < PYMEM_TABLE_MAX; at += PYMEM_TABLE_BYTES)
		give_part(&store, &f, at, PYMEM_TABLE_BYTES, false);
	f.bytes[py.bytes_data + 100] ^= 1;
	for (int i = 0; i < 3; i++) {
		give_part(&store, &f, PYMEM_TABLE_MAX - PYMEM_TABLE_BYTES, PYMEM_TABLE_BYTES, true);
		assert_int_equal(store.codes->code.linetable_len, PYMEM_TABLE_MAX);
		assert_int_equal(store.fetched_bytes, length + PYMEM_TABLE_MAX);
	}
	store_fini(&store);
	free(f.bytes);
	free(table);
}

/* What replaced the object meanwhile is not taken. A part that was paged out is read at once. */
static void test_replaced(void **state)
{
	uint32_t length;
	unsigned char *table = lines_table(100000, &length);
	struct py_layout py = layout_of(11);
	struct store_code *code;
	struct store store;
	struct fake f;

	(void)state;
	store_init(&store);
	fake_init(&f, table, length);
	give_part(&store, &f, 0, 0, true); /* none of it was there */
	code = store.codes;
	assert_int_equal(code->code.linetable_len, length);
	store_fini(&store);
	store_init(&store);
	f.message.table_offset = 0;
	f.message.table_bytes = PYMEM_TABLE_BYTES;
	memcpy(f.message.table, table, PYMEM_TABLE_BYTES);
	assert_int_equal(store_add(&store, &f.message, sizeof(f.message)), 0);
	f.bytes[py.bytes_data + 100] ^= 1;
	code = code_by(&store, 1, (uintptr_t)f.object, f.message.fingerprint, getpid());
	assert_int_equal(code->code.linetable_len, PYMEM_TABLE_BYTES);
	assert_int_equal(store_line(&store, code, 2 * 99999, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_UNREAD], 1);
	store_fini(&store);
	free(f.bytes);
	free(table);
}

/* An object of the same size and first line at the same address is recognised as another one by any
 * of its parts, although nothing of the table had arrived. */
static void test_replaced_by_a_like(void **state)
{
	static const struct {
		const char *file, *name;
		long changed; /* the byte of the table that differs, counted from its end if
				 negative; 0: none */
	} others[] = {
		{"another.py", "function", 0},	{"module.py", "another_", 0},
		{"module.py", "function", 600}, {"module.py", "function", -600},
		{"module.py", "function", 0}, /* the same one */
	};
	uint32_t length;
	unsigned char *table = lines_table(100000, &length);
	struct py_layout py = layout_of(11);

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		long at = others[i].changed;
		struct store store;
		struct fake f;

		store_init(&store);
		fake_init(&f, table, length);
		put_text(f.file, &py, others[i].file);
		put_text(f.name, &py, others[i].name);
		if (at)
			f.bytes[py.bytes_data + (at > 0 ? at : length + at)] ^= 1;
		give_part(&store, &f, 0, 0, true);
		assert_int_equal(store.codes->code.linetable_len, i == 4 ? length : 0);
		store_fini(&store);
		free(f.bytes);
	}
	free(table);
}

/* From 3.12 on each code object has a number. Before, pieces of its table tell it apart. */
static void test_numbers(void **state)
{
	uint32_t length, number = 5;
	unsigned char *table = lines_table(100000, &length);
	struct py_layout old = layout_of(11), new = old;
	uint64_t fingerprint;
	unsigned told = 0;
	struct fake f;

	(void)state;
	fake_init(&f, table, length);
	new.code_version = layout_of(12).code_version;
	fingerprint = fake_fingerprint(&f, &new);
	assert_int_equal(fingerprint, fake_fingerprint(&f, &old));
	memcpy(f.object + new.code_firstlineno + new.code_version, &number, sizeof(number));
	assert_int_not_equal(fake_fingerprint(&f, &new), fingerprint);
	for (uint32_t at = 1024; at < length - 1024; at += 32) {
		f.bytes[old.bytes_data + at] ^= 1;
		told += fake_fingerprint(&f, &old) != fingerprint;
		f.bytes[old.bytes_data + at] ^= 1;
	}
	assert_in_range(told, 16, 24); /* eight pieces of 64 bytes */
	free(f.bytes);
	free(table);
}

/* Two objects with one fingerprint but different tables: the lines of one are never taken for those
 * of the other. */
static void test_mixed(void **state)
{
	uint32_t length;
	unsigned char *table = lines_table(40000, &length);
	struct store_code *code;
	struct store store;

	(void)state;
	store_init(&store);
	assert_int_equal(give_table(&store, 1, table, length, 0, length), 0);
	code = code_of(&store, 1, 1, 0);
	assert_int_equal(store_line(&store, code, 2 * 100, NULL), 7 + 100);
	assert_int_equal(give_table(&store, 1, table, length, PYMEM_TABLE_MAX, length), 0);
	assert_int_equal(store_line(&store, code, 2 * 200, NULL), 7 + 200);
	table[PYMEM_TABLE_MAX + 5000] ^= 1;
	assert_int_equal(give_table(&store, 1, table, length, PYMEM_TABLE_MAX, length), 0);
	assert_int_equal(store_line(&store, code, 2 * 100, NULL), 7);
	assert_int_equal(store_line(&store, code, 2 * 300, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_MIXED], 1);
	assert_int_equal(give_table(&store, 1, table, length, 0, length), 0);
	assert_int_equal(store_line(&store, code, 2 * 400, NULL), 7);
	store_fini(&store);
	free(table);
}

/* Instructions without a line get the function's first line, whatever that is. */
static void test_always_a_line(void **state)
{
	static const unsigned char table[] = {0xf9, 0xd8, 0, 0, 0xf8};
	struct store_code *code;
	struct store store;
	bool prologue;

	(void)state;
	store_init(&store);
	assert_int_equal(give_table(&store, 1, table, sizeof(table), 0, sizeof(table)), 0);
	code = code_of(&store, 1, 1, 0);
	assert_int_equal(store_line(&store, code, 0, &prologue), 7);
	assert_true(prologue);
	assert_int_equal(store_line(&store, code, 0, &prologue), 7);
	assert_true(prologue);
	assert_int_equal(store_line(&store, code, 4, &prologue), 8);
	assert_false(prologue);
	assert_int_equal(store_line(&store, code, 6, &prologue), 7);
	assert_false(prologue);
	assert_int_equal(store_line(&store, code, -1, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_OUTSIDE], 0);
	assert_int_equal(store_line(&store, code, PYMEM_LASTI_UNKNOWN, NULL), 7);
	assert_int_equal(store.gaps[COUNTS_GAP_OUTSIDE], 1);
	code->code.first_line = -3;
	assert_int_equal(store_first_line(code), 1);
	assert_int_equal(store_line(&store, code, -2, NULL), 1);
	store_fini(&store);
}

/* If memory for a hash table runs out anywhere, the message is refused and counted, what was there
 * stays, and it goes on when there is memory. */
static void test_no_memory(void **state)
{
	struct pymem_stack_key key = {.proc = 1, .hash = 1};
	unsigned failed = 0;

	(void)state;
	for (int allowed = 0; allowed < 12; allowed++) {
		struct store store;
		unsigned before = failed;

		store_init(&store);
		hash_allocs = allowed;
		for (uint64_t i = 1; i <= 1000; i++) {
			int stack = give_stack(&store, 1, i), code = give_code(&store, 1, i, 0);

			assert_true(!stack || stack == -ENOMEM);
			assert_true(!code || code == -ENOMEM);
			failed += !!stack + !!code;
			key.hash = i;
			assert_int_equal(store_stack(&store, &key) != NULL, !stack);
			if (!code)
				assert_int_equal(
					store_line(&store, code_of(&store, 1, i, 0), -1, NULL), 7);
		}
		assert_int_equal(store.no_memory, failed - before);
		hash_allocs = -1;
		assert_int_equal(give_stack(&store, 1, 5000), 0);
		assert_int_equal(give_code(&store, 1, 5000, 0), 0);
		store_fini(&store);
	}
	assert_true(failed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_table),
		cmocka_unit_test(test_table_without_room),
		cmocka_unit_test(test_fetched),
		cmocka_unit_test(test_bounds_of_all),
		cmocka_unit_test(test_fetched_later),
		cmocka_unit_test(test_fetch_that_failed),
		cmocka_unit_test(test_fetched_after_a_full_ring),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_replaced_by_a_like),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_always_a_line),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
