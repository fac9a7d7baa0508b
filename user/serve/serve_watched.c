/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a process has one counter block, and several connections want it: the kernel of a
 * notebook and a tool that looks on, or a script under a profiler and the profiler in it.
 *
 * So they share the block. Each connection has its own slot for peaks in it, since each resets them
 * when it likes. The block ends with the last of them. A client that once got the block may still
 * have it mapped. So the block ends for all as soon as one of those who ever got it may not watch
 * the process any longer; that takes an exec of a privileged program. The others may ask again.
 *
 * To free a block, the kernel waits for programs that may be using it. One is freed at a time, and
 * the sockets are handled in between: so many that end at once keep nobody waiting. */
#include "serve/serve_watched.h"

#include <errno.h>
#include <stdlib.h>

static struct watched *find(const struct server *server, const struct serve_process *process)
{
	struct watched *w;

	for (w = server->watched; w; w = w->next)
		if (w->pid == process->pid && w->start_ticks == process->start_ticks)
			return w;
	return NULL;
}

static bool same_rights(const struct serve_peer *a, const struct serve_peer *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->permitted == b->permitted &&
	       a->userns == b->userns;
}

/* Notes that the peer gets the counter block. 0 or -EUSERS. */
static int note_peer(struct watched *w, const struct serve_peer *peer)
{
	unsigned i;

	for (i = 0; i < w->peer_count; i++)
		if (same_rights(&w->peers[i], peer))
			return 0;
	if (w->peer_count == WATCHED_PEERS)
		return -EUSERS;
	w->peers[w->peer_count++] = *peer;
	return 0;
}

static int take_slot(struct watched *w, unsigned *slot)
{
	unsigned i;

	for (i = 0; i < PYMEM_BLOCK_WATCHERS; i++) {
		if (w->slots & 1U << i)
			continue;
		*slot = i;
		return 0;
	}
	return -EUSERS;
}

static int begin(struct client *c)
{
	struct server *s = c->server;
	struct watched *w = calloc(1, sizeof(*w));
	int err, payer;

	if (!w)
		return -ENOMEM;
	payer = serve_quota_payer(&s->quota, c->peer.uid ? c->peer.account : 0);
	err = payer < 0 ? payer
			: watch_begin(&w->watch, s->session, c->process.pid, c->process.start_ticks,
				      (unsigned)payer);
	if (err) {
		free(w);
		return err;
	}
	w->pid = c->process.pid;
	w->start_ticks = c->process.start_ticks;
	w->slots = 1;
	w->peers[w->peer_count++] = c->peer;
	w->next = s->watched;
	s->watched = w;
	c->watched = w;
	c->slot = 0;
	return 0;
}

int watched_join(struct client *c)
{
	struct watched *w = find(c->server, &c->process);
	unsigned slot = 0;
	int err;

	if (!w)
		return begin(c);
	err = take_slot(w, &slot);
	if (!err)
		err = note_peer(w, &c->peer);
	if (!err)
		err = watch_reset(&w->watch, slot);
	if (err)
		return err;
	w->slots |= 1U << slot;
	c->watched = w;
	c->slot = slot;
	return 0;
}

void watched_leave(struct client *c)
{
	struct watched *w = c->watched, **link;

	c->watched = NULL;
	w->slots &= ~(1U << c->slot);
	if (w->slots)
		return;
	watch_close(&w->watch);
	for (link = &c->server->watched; *link != w;)
		link = &(*link)->next;
	*link = w->next;
	w->next = c->server->ended;
	c->server->ended = w;
	server_sweep_soon(c->server);
}

/* --- looking after --- */

/* Ends the watch for all who share it. After that, `w` is not among the watched ones. */
static void end_for_all(struct server *server, const struct watched *w, const char *why)
{
	struct client *c;

	for (c = server->clients; c; c = c->next)
		if (c->watched == w)
			client_end_watch(c, why);
}

/* True if all who ever got its counter block may still watch the process. */
static bool still_allowed(const struct server *server, const struct watched *w)
{
	const struct client *c = server->clients;
	unsigned i;

	while (c && c->watched != w)
		c = c->next;
	for (i = 0; c && i < w->peer_count; i++)
		if (!serve_process_still_allowed(&w->peers[i], &c->process))
			return false;
	return c;
}

static int count_image(const struct pymem_proc *record, void *arg)
{
	struct server *server = arg;
	int number = (int)record->tree, i;
	struct watched *w;

	for (i = 0; number && i < PYMEM_BLOCK_NESTED; i++) {
		for (w = server->watched; w; w = w->next)
			if (number == w->watch.number)
				w->images++;
		number = session_block_around(server->session, number);
	}
	return 0;
}

/* All users share the tables of the BPF side: a process that forks without end is not watched any
 * longer. */
static int limit_images(struct server *server)
{
	struct watched *w, *next;
	int err;

	for (w = server->watched; w; w = w->next)
		w->images = 0;
	err = session_each_live(server->session, count_image, server);
	if (err)
		return err;
	for (w = server->watched; w; w = next) {
		next = w->next;
		if (w->images > SERVER_MAX_IMAGES)
			end_for_all(server, w, "has too many children to be watched");
	}
	return 0;
}

int watched_look_after(struct server *server)
{
	struct watched *w, *next;

	for (w = server->watched; w; w = next) {
		next = w->next;
		if (watch_execed(&w->watch) && !still_allowed(server, w))
			end_for_all(server, w,
				    "may be watched no longer after its exec, or has ended");
	}
	return limit_images(server);
}

/* --- the end --- */

bool watched_sweep(struct server *server)
{
	struct watched *w = server->ended;

	if (!w)
		return false;
	server->ended = w->next;
	watch_end(&w->watch);
	free(w);
	return true;
}

static void free_list(struct watched *w)
{
	struct watched *next;

	for (; w; w = next) {
		next = w->next;
		free(w);
	}
}

void watched_free(struct server *server)
{
	free_list(server->watched);
	free_list(server->ended);
	server->watched = server->ended = NULL;
}
