/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: one user must not take the server away from others: by many connections, by many
 * requests, or by connecting again and again as a new client.
 *
 * So the account belongs to the user, not to the connection, and outlives it. A place in the table
 * is given to another user only when its user has no connection. There are twice as many places as
 * connections. The one left longest ago is reused first; most of its tokens have come back by then.
 *
 * Several users together could still take all places. So a few are kept for root, and more for
 * users who have none yet.
 *
 * Tokens limit what a user takes in the long run. A burst of requests, each of which keeps the
 * server busy, is limited by turns: after each of them others are answered first. */
#include "serve/serve_limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PART_FOR_ROOT  16 /* one part in so many */
#define PART_FOR_FIRST 8

int serve_limits_init(struct serve_limits *limits, unsigned max_clients, unsigned max_per_user)
{
	memset(limits, 0, sizeof(*limits));
	limits->max_clients = max_clients;
	limits->max_per_user = max_per_user;
	limits->for_root = max_clients / PART_FOR_ROOT;
	limits->for_first = max_clients / PART_FOR_FIRST;
	limits->users = calloc(2 * (size_t)max_clients, sizeof(*limits->users));
	return limits->users ? 0 : -ENOMEM;
}

void serve_limits_fini(struct serve_limits *limits)
{
	free(limits->users);
	limits->users = NULL;
}

static void refill(struct serve_user *user, uint64_t now_ns)
{
	if (now_ns > user->at_ns)
		user->tokens += (double)(now_ns - user->at_ns) / 1e9 * SERVE_TOKENS_PER_SECOND;
	if (user->tokens > SERVE_TOKENS_MAX)
		user->tokens = SERVE_TOKENS_MAX;
	user->at_ns = now_ns;
}

/* The place of the user, or one that can be used. There always is one: see above. */
static struct serve_user *place_of(struct serve_limits *limits, uid_t uid, uint64_t now_ns)
{
	struct serve_user *user, *oldest = NULL;
	size_t i;

	for (i = 0; i < limits->count; i++) {
		user = &limits->users[i];
		if (user->uid == uid)
			return user;
		if (!user->connections && (!oldest || user->at_ns < oldest->at_ns))
			oldest = user;
	}
	if (limits->count < 2 * (size_t)limits->max_clients)
		oldest = &limits->users[limits->count++];
	*oldest = (struct serve_user){.uid = uid, .tokens = SERVE_TOKENS_MAX, .at_ns = now_ns};
	return oldest;
}

/* The user may open another connection if there are fewer than this in all. */
static unsigned room_for(const struct serve_limits *limits, const struct serve_user *user)
{
	unsigned kept = user->uid ? limits->for_root : 0;

	if (user->uid && user->connections)
		kept += limits->for_first;
	return limits->max_clients - kept;
}

int serve_limits_join(struct serve_limits *limits, uid_t uid, uint64_t now_ns, size_t *index)
{
	struct serve_user *user;

	if (limits->clients >= limits->max_clients)
		return -ENOSPC;
	user = place_of(limits, uid, now_ns);
	if (user->connections >= limits->max_per_user)
		return -EUSERS;
	if (limits->clients >= room_for(limits, user))
		return -ENOSPC;
	refill(user, now_ns);
	user->connections++;
	limits->clients++;
	*index = (size_t)(user - limits->users);
	return 0;
}

void serve_limits_leave(struct serve_limits *limits, size_t user)
{
	limits->users[user].connections--;
	limits->clients--;
}

uint64_t serve_limits_wait(struct serve_limits *limits, size_t index, uint64_t now_ns)
{
	struct serve_user *user = &limits->users[index];
	uint64_t tokens = 0, turn = user->turn_ns > now_ns ? user->turn_ns - now_ns : 0;

	refill(user, now_ns);
	if (user->tokens < 1)
		tokens = (uint64_t)((1 - user->tokens) / SERVE_TOKENS_PER_SECOND * 1e9) + 1;
	return tokens > turn ? tokens : turn;
}

void serve_limits_charge(struct serve_limits *limits, size_t index, unsigned cost)
{
	limits->users[index].tokens -= cost;
}

void serve_limits_took(struct serve_limits *limits, size_t index, uint64_t begin_ns,
		       uint64_t end_ns)
{
	if (end_ns > begin_ns && end_ns - begin_ns >= SERVE_TURN_NS)
		limits->users[index].turn_ns = end_ns + (end_ns - begin_ns);
}
