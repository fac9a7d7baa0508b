/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of the server each user may take: connections, and requests per time. Pure: the caller
 * passes the time. */
#ifndef SERVE_LIMITS_H
#define SERVE_LIMITS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Requests cost tokens. All connections of a user share them. */
#define SERVE_TOKENS_MAX	2000 /* the most that can be saved */
#define SERVE_TOKENS_PER_SECOND 2000
#define SERVE_COST_REQUEST	1
#define SERVE_COST_TRACK	100 /* about 30 ms with its end: two RCU grace periods, all tasks */

/* After a user has kept the server busy for longer than this, it is the others' turn for as
 * long. */
#define SERVE_TURN_NS 1000000ULL

struct serve_user {
	uid_t uid;
	unsigned connections;
	double tokens;
	uint64_t at_ns;	  /* when `tokens` was computed */
	uint64_t turn_ns; /* until then it is the others' turn */
};

struct serve_limits {
	unsigned max_clients, max_per_user;
	unsigned for_root;  /* part of max_clients: only for root */
	unsigned for_first; /* part of max_clients: for root and users without one */
	unsigned clients;
	struct serve_user *users; /* 2 * max_clients of them */
	size_t count;
};

/* 0 or -ENOMEM. serve_limits_fini() frees what it owns. */
int serve_limits_init(struct serve_limits *limits, unsigned max_clients, unsigned max_per_user);
void serve_limits_fini(struct serve_limits *limits);

/* Takes a place for a connection of `uid` at `now_ns`. 0: `*user` is the index for the functions
 * below; -EUSERS: this user has too many; -ENOSPC: there are too many in all, without the places
 * that are kept for others. */
int serve_limits_join(struct serve_limits *limits, uid_t uid, uint64_t now_ns, size_t *user);
/* Gives the place back. Tokens that the user has spent stay spent. */
void serve_limits_leave(struct serve_limits *limits, size_t user);

/* In how many nanoseconds the user may send a request; 0: now, at `now_ns`. */
uint64_t serve_limits_wait(struct serve_limits *limits, size_t user, uint64_t now_ns);
/* Takes the cost of a request from the user's tokens. They may fall below 0, since the cost is
 * known only after the request was read. */
void serve_limits_charge(struct serve_limits *limits, size_t user, unsigned cost);
/* A request of the user kept the server busy from `begin_ns` to `end_ns`. */
void serve_limits_took(struct serve_limits *limits, size_t user, uint64_t begin_ns,
		       uint64_t end_ns);

#endif
