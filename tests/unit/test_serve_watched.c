/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* serve/serve_watched.c: several connections share a counter block. It ends for all of them when
 * one of those who ever got it may not watch the process any longer. The BPF side and the
 * connections exist only in memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "serve/serve_watched.h"

#define CLIENTS 12

static bool execed;
static struct serve_creds process_is; /* after its exec */
static struct server server;
static struct client clients[CLIENTS];

/* --- what serve_watched.c calls --- */

int watch_begin(struct watch *watch, struct session *session, pid_t pid, uint64_t start_ticks,
		unsigned payer)
{
	(void)session, (void)pid, (void)start_ticks, (void)payer;
	*watch = (struct watch){.number = 1};
	return 0;
}

bool watch_execed(struct watch *watch)
{
	(void)watch;
	return execed;
}

int watch_reset(struct watch *watch, unsigned slot)
{
	(void)watch, (void)slot;
	return 0;
}

void watch_close(struct watch *watch)
{
	watch->number = 0;
}

void watch_end(struct watch *watch)
{
	(void)watch;
}

bool serve_process_still_allowed(const struct serve_peer *peer, const struct serve_process *process)
{
	(void)process;
	return !serve_access_refusal(peer, &process_is);
}

int session_each_live(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg)
{
	(void)session, (void)fn, (void)arg;
	return 0;
}

int session_block_around(const struct session *session, int number)
{
	(void)session, (void)number;
	return 0;
}

void client_end_watch(struct client *client, const char *why)
{
	(void)why;
	watched_leave(client);
}

void server_sweep_soon(struct server *s)
{
	(void)s;
}

/* --- tests --- */

static const struct serve_peer plain = {.uid = 1000, .gid = 1000, .userns = 1};

static int setup(void **state)
{
	(void)state;
	execed = false;
	process_is = (struct serve_creds){.uids = {1000, 1000, 1000, 1000},
					  .gids = {1000, 1000, 1000, 1000},
					  .owner = 1000,
					  .userns = 1};
	server = (struct server){.clients = &clients[0]};
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = (struct client){.server = &server,
					     .next = i + 1 < CLIENTS ? &clients[i + 1] : NULL,
					     .peer = plain,
					     .process = {.pid = 41, .start_ticks = 7}};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	watched_free(&server);
	return 0;
}

/* The number of clients that still have the counter block. */
static unsigned watching(void)
{
	unsigned count = 0;

	for (int i = 0; i < CLIENTS; i++)
		count += clients[i].watched != NULL;
	return count;
}

static void test_shared(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(watched_join(&clients[i]), 0);
		assert_int_equal(clients[i].slot, i);
		assert_ptr_equal(clients[i].watched, clients[0].watched);
	}
	assert_int_equal(clients[0].watched->peer_count, 1);
	watched_leave(&clients[1]);
	assert_int_equal(watched_join(&clients[3]), 0);
	assert_int_equal(clients[3].slot, 1);
	execed = true;
	assert_int_equal(watched_look_after(&server), 0);
	assert_int_equal(watching(), 3);
	watched_leave(&clients[0]);
	watched_leave(&clients[2]);
	assert_false(watched_sweep(&server));
	watched_leave(&clients[3]);
	assert_true(watched_sweep(&server));
	assert_false(watched_sweep(&server));
}

static void test_full(void **state)
{
	(void)state;
	for (int i = 0; i < PYMEM_BLOCK_WATCHERS; i++)
		assert_int_equal(watched_join(&clients[i]), 0);
	assert_int_equal(watched_join(&clients[PYMEM_BLOCK_WATCHERS]), -EUSERS);
}

/* Each part of a peer's rights: a peer that differs in one is another peer, and must be checked. */
static void test_other_rights(void **state)
{
	struct serve_peer others[] = {plain, plain, plain, plain};

	(void)state;
	others[0].uid = 1001;
	others[1].gid = 1001;
	others[2].permitted = 1 << 13;
	others[3].userns = 2;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		clients[i + 1].peer = others[i];
		assert_int_equal(watched_join(&clients[0]), 0);
		assert_int_equal(watched_join(&clients[i + 1]), 0);
		assert_int_equal(clients[0].watched->peer_count, 2);
		watched_leave(&clients[i + 1]);
		watched_leave(&clients[0]);
	}
}

/* The process gets a capability. A peer with the same capability on the host may go on. A peer that
 * has it only in a user namespace of its own may not; it has the block too, so the block ends for
 * both. */
static void test_capability_of_a_namespace(void **state)
{
	(void)state;
	for (int inside = 0; inside < 2; inside++) {
		setup(state);
		clients[0].peer.permitted = clients[1].peer.permitted = 1 << 13;
		clients[1].peer.userns = inside ? 2 : 1;
		assert_int_equal(watched_join(&clients[0]), 0);
		assert_int_equal(watched_join(&clients[1]), 0);
		process_is.permitted = 1 << 13;
		execed = true;
		assert_int_equal(watched_look_after(&server), 0);
		assert_int_equal(watching(), inside ? 0 : 2);
		watched_free(&server);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shared),
		TEST(test_full),
		TEST(test_other_rights),
		TEST(test_capability_of_a_namespace),
	};

	return cmocka_run_group_tests_name("watched processes", tests, NULL, NULL);
}
