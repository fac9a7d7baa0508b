/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recorder reads the stacks once a second, for days. A host has tens of thousands, of
 * which some hundred change in a second. So the BPF side tells which: it sends the key of a stack
 * when it changes for the first time since the last reading (bpf/account/account.bpf.h).
 *
 * Readings are numbered. A stack remembers the number at which it was told. The number goes up
 * before the values are read: what changes after that is told again. All stacks are read where keys
 * were dropped, where the last reading failed, and where so many have changed that it is cheaper.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "kernel/session_private.h"

#define MANY 4 /* one in so many has changed: read all */

struct session_changes {
	struct ring_buffer *ring;
	struct pymem_stack_key *keys;
	size_t count, room;
	uint64_t dropped; /* at the last reading */
	bool all;	  /* the next reading reads all */
};

static int take_key(void *arg, void *data, size_t size)
{
	struct session_changes *c = arg;

	if (size < sizeof(*c->keys))
		return 0;
	if (ARRAY_HAS_ROOM(c->keys, c->count, c->room))
		c->keys[c->count++] = *(const struct pymem_stack_key *)data;
	else
		c->all = true; /* out of memory */
	return 0;
}

int session_open_changes(struct session *session)
{
	struct session_changes *c;

	if (!session->options.changes)
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	session->changes = c;
	c->all = true;
	c->ring = ring_buffer__new(bpf_map__fd(session->bpf.map.changes), take_key, c, NULL);
	if (!c->ring)
		return -errno;
	/* 0 is the number in a stack that was never told. */
	*session->bpf.variable.reading = 1;
	return 0;
}

void session_close_changes(struct session *session)
{
	struct session_changes *c = session->changes;

	if (!c)
		return;
	ring_buffer__free(c->ring);
	free(c->keys);
	free(c);
	session->changes = NULL;
}

/* Begins the next reading. True: it reads those in `keys`; false: all. */
static bool begin(struct session *session)
{
	struct session_changes *c = session->changes;
	uint32_t used = session->bpf.variable.places_used[PYMEM_TABLE_STACKS];
	uint64_t dropped;
	bool few;

	c->count = 0;
	if (ring_buffer__consume(c->ring) < 0)
		c->all = true;
	++*session->bpf.variable.reading;
	__sync_synchronize();
	dropped = *session->bpf.variable.dropped_changes;
	few = !c->all && dropped == c->dropped && c->count <= used / MANY;
	c->dropped = dropped;
	c->all = true;
	return few;
}

static int each_key(struct session *session,
		    int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *, void *),
		    void *arg)
{
	const struct session_changes *c = session->changes;
	int fd = bpf_map__fd(session->bpf.map.stacks), err = 0;
	struct pymem_stack value;

	for (size_t i = 0; !err && i < c->count; i++) {
		if (!bpf_map_lookup_elem(fd, &c->keys[i], &value))
			err = fn(&c->keys[i], &value, arg);
		else if (errno != ENOENT) /* ENOENT: its image has ended, and was taken */
			err = -errno;
	}
	return err;
}

int session_each_changed_stack(struct session *session, bool all,
			       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
					 void *),
			       void *arg)
{
	struct session_changes *c = session->changes;
	bool few = c && begin(session) && !all;
	int err = few ? each_key(session, fn, arg) : session_each_stack(session, fn, arg);

	if (c)
		c->all = err != 0;
	return err;
}
