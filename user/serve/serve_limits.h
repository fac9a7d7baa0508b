/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of the server each user may take: connections, and requests in a time. Pure: the
 * caller says what time it is. */
#ifndef SERVE_LIMITS_H
#define SERVE_LIMITS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A user's requests are paid with tokens, which all connections of the user share. */
#define SERVE_TOKENS_MAX	2000 /* at most so many are saved */
#define SERVE_TOKENS_PER_SECOND 2000
#define SERVE_COST_REQUEST	1
#define SERVE_COST_TRACK	100 /* with its end, some 30 ms: two RCU grace periods, all tasks */

/* Who has had the server to itself for longer lets others have it as long. */
#define SERVE_TURN_NS 1000000ULL

struct serve_user {
	uid_t uid;
	unsigned connections;
	double tokens;
	uint64_t at_ns;	  /* when `tokens` was right */
	uint64_t turn_ns; /* until when it is others' turn */
};

struct serve_limits {
	unsigned max_clients, max_per_user;
	unsigned for_root;  /* of max_clients: no other user gets these */
	unsigned for_first; /* likewise: nobody who has a connection already, but root */
	unsigned clients;
	struct serve_user *users; /* room for 2 * max_clients of them */
	size_t count;
};

/* 0 or -ENOMEM; serve_limits_fini() frees what it owns. */
int serve_limits_init(struct serve_limits *limits, unsigned max_clients, unsigned max_per_user);
void serve_limits_fini(struct serve_limits *limits);

/* Takes a place for a connection of `uid` at `now_ns`. 0 and `*user` (the index that the
 * functions below want), -EUSERS: too many of this user, -ENOSPC: too many in all, but for places
 * that are kept for others. */
int serve_limits_join(struct serve_limits *limits, uid_t uid, uint64_t now_ns, size_t *user);
/* Gives it back. What the user has used up stays used up. */
void serve_limits_leave(struct serve_limits *limits, size_t user);

/* 0 if the user may ask for something at `now_ns`, or in how many nanoseconds. */
uint64_t serve_limits_wait(struct serve_limits *limits, size_t user, uint64_t now_ns);
/* Takes what a request costs. The tokens may fall below 0: what a request costs is known only
 * once it was read. */
void serve_limits_charge(struct serve_limits *limits, size_t user, unsigned cost);
/* What the user asked for kept the server from `begin_ns` to `end_ns`. */
void serve_limits_took(struct serve_limits *limits, size_t user, uint64_t begin_ns,
		       uint64_t end_ns);

#endif
