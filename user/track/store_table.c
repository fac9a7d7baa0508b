/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the line table of a code object is needed as a whole but arrives in parts. The BPF side
 * sends them in order. A part may be missing because the ring buffer was full, or because it could
 * not be read. It is read from the process while that lives: a limited amount at a time, and the
 * rest at the next poll. Nothing shows that a table belongs to its code object. So what arrives
 * again must be equal to what arrived before, and the object must still be there before and after
 * the table is read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "python/py_fingerprint.h"
#include "track/store_private.h"

#define FETCHES_MAX 256 /* that are waiting */

/* --- in parts --- */

/* Makes room for `bytes` of the line table. 0; -ENOSPC, -ENOMEM: it stays as it is. */
static int table_grow(struct store *store, struct store_code *code, size_t bytes)
{
	struct store_image *image = store_image(store, code->key.proc);
	size_t room = 2 * code->table_room;
	unsigned char *table;

	if (bytes <= code->table_room)
		return 0;
	if (room < bytes)
		room = bytes;
	if (room > code->table_length)
		room = code->table_length;
	if (bytes > STORE_TABLE_BYTES || !image ||
	    store_take_room(store, image, room - code->table_room)) {
		code->no_room = true;
		return -ENOSPC;
	}
	table = realloc(code->code.linetable, room);
	if (!table)
		return -ENOMEM;
	code->code.linetable = table;
	code->table_room = room;
	return 0;
}

/* The table has grown: lines that were unknown may be known now. */
static void table_grown(struct store *store, struct store_code *code)
{
	struct store_line *line, *next;
	int i;

	code->code.truncated = code->code.linetable_len < code->table_length || !code->table_addr;
	code->indexed = false;
	if (!code->gaps)
		return;
	HASH_ITER(hh, code->lines, line, next)
	{
		if (line->known)
			continue;
		HASH_DEL(code->lines, line);
		free(line);
	}
	for (i = 0; i < COUNTS_GAP_COUNT; i++)
		store->gaps[i] -= code->gaps >> i & 1;
	code->gaps = 0;
}

/* Two code objects have this key. Lines of either are unknown from now on. */
static void table_mixed(struct store *store, struct store_code *code)
{
	struct store_line *line, *next;

	HASH_ITER(hh, code->lines, line, next)
	{
		HASH_DEL(code->lines, line);
		free(line);
	}
	code->mixed = true;
	code->code.linetable_len = 0;
	table_grown(store, code);
}

/* What arrives again must be equal to what arrived before; else the table is mixed. */
static void compare_table(struct store *store, struct store_code *code,
			  const struct pymem_msg_code *m)
{
	size_t rest = code->code.linetable_len - m->table_offset;

	if (memcmp(code->code.linetable + m->table_offset, m->table,
		   m->table_bytes < rest ? m->table_bytes : rest) != 0)
		table_mixed(store, code);
}

int store_add_table(struct store *store, struct store_code *code, const struct pymem_msg_code *m)
{
	size_t have = code->code.linetable_len;
	int err;

	if (m->table_offset < have)
		compare_table(store, code, m);
	/* Parts come in order. What a gap or want of room leaves out may come again. */
	if (code->mixed || !m->table_bytes || m->table_offset != have ||
	    (uint64_t)have + m->table_bytes > code->table_length)
		return 0;
	err = table_grow(store, code, have + m->table_bytes);
	if (err)
		return err == -ENOSPC ? 0 : err;
	memcpy(code->code.linetable + have, m->table, m->table_bytes);
	code->code.linetable_len += m->table_bytes;
	table_grown(store, code);
	return 0;
}

/* --- read from the process --- */

/* True if the process has these bytes at `address`. */
static bool same_bytes(int pid, uint64_t address, const unsigned char *bytes, size_t count)
{
	unsigned char buffer[65536];
	size_t done, part;

	for (done = 0; done < count; done += part) {
		part = count - done < sizeof(buffer) ? count - done : sizeof(buffer);
		if (proc_read_memory(pid, address + done, buffer, part) != (ssize_t)part ||
		    memcmp(buffer, bytes + done, part) != 0)
			return false;
	}
	return true;
}

static bool read_all(void *arg, uint64_t address, void *to, size_t bytes)
{
	const int *pid = arg;

	return proc_read_memory(*pid, address, to, bytes) == (ssize_t)bytes;
}

/* True if the code object at the address is still the one that was seen. It must have the same
 * fingerprint, and the first `have` bytes of its table must be those that are here. */
static bool still_there(const struct store_code *code, size_t have, const struct py_layout *layout,
			int pid)
{
	uint64_t table;

	return read_all(&pid, code->key.code + layout->code_linetable, &table, sizeof(table)) &&
	       table + layout->bytes_data == code->table_addr &&
	       py_fingerprint(layout, code->key.code, read_all, &pid) == code->key.fingerprint &&
	       same_bytes(pid, code->table_addr, code->code.linetable, have);
}

void store_fetch_table(struct store *store, struct store_code *code, const struct py_layout *layout,
		       int pid)
{
	size_t have = code->code.linetable_len;
	ssize_t n;

	if (!still_there(code, have, layout, pid) || table_grow(store, code, code->table_length))
		return;
	n = proc_read_memory(pid, code->table_addr + have, code->code.linetable + have,
			     code->table_length - have);
	/* The object was replaced while it was read: what was read is not used. Even if it has been
	 * restored since, its table differs from what was read. */
	if (n <= 0 || !still_there(code, have + n, layout, pid))
		return;
	code->code.linetable_len += n;
	table_grown(store, code);
}

bool store_is_whole(const struct store_code *code)
{
	return !code->table_addr || code->mixed || code->code.linetable_len >= code->table_length;
}

/* Reads it now. A code object that is decoded was read before. */
static void fetch_now(struct store *store, const struct store_fetch *fetch)
{
	struct store_code *code, like = {};
	size_t have;

	like.key.code = fetch->code;
	like.key.fingerprint = fetch->fingerprint;
	like.key.proc = fetch->proc;
	HASH_FIND(hh, store->codes, &like.key, sizeof(like.key), code);
	if (!code || code->decoded || code->no_room || store_is_whole(code))
		return;
	have = code->code.linetable_len;
	if (have && code->failed_at_bytes == have)
		return;
	/* The part that is here is read once more to be compared. */
	store->fetched_bytes += code->table_length + have;
	store_fetch_table(store, code, &fetch->layout, fetch->pid);
	if (code->code.linetable_len == have)
		code->failed_at_bytes = have;
}

/* --- what is read later --- */

/* If a process creates more of these than fit, those beyond are not read. That is counted when
 * their lines are asked for. */
static void put_off(struct store *store, const struct store_fetch *fetch)
{
	struct store_fetch **end = &store->fetches, *later;

	later = store->fetch_count < FETCHES_MAX ? malloc(sizeof(*later)) : NULL;
	if (!later)
		return;
	while (*end)
		end = &(*end)->next;
	*later = *fetch;
	later->next = NULL;
	*end = later;
	store->fetch_count++;
}

static struct store_fetch *next_fetch(struct store *store)
{
	struct store_fetch *fetch = store->fetches;

	store->fetches = fetch->next;
	store->fetch_count--;
	return fetch;
}

void store_complete(struct store *store, const struct pymem_msg_code *message,
		    const struct py_layout *layout, int pid)
{
	struct store_fetch fetch = {.code = message->code,
				    .fingerprint = message->fingerprint,
				    .proc = message->proc,
				    .pid = pid,
				    .layout = *layout};

	if (!message->last)
		return;
	if (store->fetched_bytes < STORE_FETCH_BYTES)
		fetch_now(store, &fetch);
	else
		put_off(store, &fetch);
}

void store_fetch_more(struct store *store)
{
	struct store_fetch *fetch;

	store->fetched_bytes = 0;
	while (store->fetches && store->fetched_bytes < STORE_FETCH_BYTES) {
		fetch = next_fetch(store);
		fetch_now(store, fetch);
		free(fetch);
	}
}

void store_free_fetches(struct store *store)
{
	while (store->fetches)
		free(next_fetch(store));
}
