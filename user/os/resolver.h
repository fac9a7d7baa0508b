/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A helper process that looks up names of hosts, so that nobody else waits for it. */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct __res_state; /* resolv.h */

#define RESOLVER_NAME 256 /* bytes of a name, with the NUL */
#define RESOLVER_MOST 4	  /* addresses of an answer */

struct net_address {
	int family;		  /* AF_INET, AF_INET6 */
	unsigned char number[16]; /* in the network's byte order; of AF_INET the first 4 */
};

struct resolver_answer {
	uint32_t number; /* of the question */
	int error;	 /* -errno: -ENOENT: there is no such host; -EAGAIN: no server answered */
	uint32_t count;
	struct net_address list[RESOLVER_MOST]; /* those of IPv4 first */
};

struct resolver { /* {-1, -1}: there is none */
	pid_t pid;
	int fd;
};

struct resolver_rights {
	int user_error;	  /* 0, or -errno: the helper could not become another user */
	int filter_error; /* 0, or -errno: it has no seccomp filter */
};

/* Forks the helper and waits until it has given up all rights: capabilities, and the user (65534,
 * without groups), if this process has the right to change it. It has no descriptor of this process
 * but standard error. Processes that are forked later have the socket to it, and could ask it. It
 * ends when this process does. 0 or -errno. */
int resolver_start(struct resolver *resolver, struct resolver_rights *rights);
/* Ends it. */
void resolver_stop(struct resolver *resolver);

/* Asks for a name, without waiting. `number` comes back with the answer. 0; -EAGAIN: too much is
 * asked already; -EPIPE: the helper has ended; -ENAMETOOLONG. */
int resolver_ask(const struct resolver *resolver, uint32_t number, const char *name);
/* Takes an answer, which has families and a count that are right; resolver->fd is readable when
 * there is one. 0; -EAGAIN: there is none; -EPIPE: the helper has ended, or answers nonsense. */
int resolver_take(const struct resolver *resolver, struct resolver_answer *answer);

/* Whether the helper runs. */
bool resolver_is_there(const struct resolver *resolver);

/* Asks the servers of a state of the C library's client for addresses of both kinds, in seconds.
 * For tests. */
void resolver_ask_servers(struct __res_state *state, const char *name,
			  struct resolver_answer *answer);
/* Adds what a file in the format of /etc/hosts has for a name, whatever its case. For tests. */
void resolver_read_hosts(FILE *hosts, const char *name, struct resolver_answer *answer);

#endif
