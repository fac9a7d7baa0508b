/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pure parts of the server: what a valid request is, who may watch what, and how much each user
 * may take. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/serve_access.h"
#include "serve/serve_limits.h"
#include "serve/serve_quota.h"
#include "serve/serve_request.h"
#include "serve/serve_socket.h"

#define SECOND_NS 1000000000ULL

static const struct pymem_serve_request good = {
	.magic = PYMEM_SERVE_MAGIC,
	.version = PYMEM_SERVE_VERSION,
	.op = PYMEM_SERVE_TRACK,
	.pid = 41,
	.start_ticks = 7,
};

/* Reads a copy of `request` with exactly `size` bytes, at an odd address. */
static enum pymem_serve_status read_request(struct pymem_serve_request request, size_t size,
					    struct pymem_serve_request *out)
{
	char *bytes = malloc(size + 1);
	enum pymem_serve_status status;

	assert_non_null(bytes);
	memset(bytes, 0, size + 1);
	memcpy(bytes + 1, &request, size < sizeof(request) ? size : sizeof(request));
	status = serve_request_read(bytes + 1, size, out);
	free(bytes);
	return status;
}

static void test_request(void **state)
{
	struct pymem_serve_request r, bad;
	unsigned op;

	(void)state;
	assert_int_equal(read_request(good, sizeof(good), &r), PYMEM_SERVE_OK);
	assert_memory_equal(&r, &good, sizeof(r));
	for (op = 0; op < 70000; op++) {
		bad = good;
		bad.op = (uint16_t)op;
		assert_int_equal(read_request(bad, sizeof(bad), &r),
				 bad.op >= PYMEM_SERVE_HELLO && bad.op <= PYMEM_SERVE_UNTRACK
					 ? PYMEM_SERVE_OK
					 : PYMEM_SERVE_BAD_REQUEST);
	}
}

static void test_request_bad(void **state)
{
	struct pymem_serve_request r = {.pid = -7}, bad;
	size_t size;

	(void)state;
	for (size = 0; size < 2 * sizeof(good); size++)
		if (size != sizeof(good))
			assert_int_equal(read_request(good, size, &r), PYMEM_SERVE_BAD_REQUEST);
	bad = good;
	bad.magic++;
	assert_int_equal(read_request(bad, sizeof(bad), &r), PYMEM_SERVE_BAD_REQUEST);
	bad = good;
	bad.flags = 1;
	assert_int_equal(read_request(bad, sizeof(bad), &r), PYMEM_SERVE_BAD_REQUEST);
	bad = good;
	bad.pad = 1ULL << 63;
	assert_int_equal(read_request(bad, sizeof(bad), &r), PYMEM_SERVE_BAD_REQUEST);
	bad = good;
	bad.version++;
	assert_int_equal(read_request(bad, sizeof(bad), &r), PYMEM_SERVE_BAD_VERSION);
	/* Records of another version may have another size. */
	assert_int_equal(read_request(bad, 8, &r), PYMEM_SERVE_BAD_VERSION);
	assert_int_equal(read_request(bad, 50, &r), PYMEM_SERVE_BAD_VERSION);
	assert_int_equal(read_request(bad, 7, &r), PYMEM_SERVE_BAD_REQUEST);
	assert_int_equal(r.pid, -7);
}

static void test_reply(void **state)
{
	struct pymem_serve_reply reply;
	char longer[1000];

	(void)state;
	memset(&reply, 0x55, sizeof(reply));
	serve_reply_fill(&reply, PYMEM_SERVE_RESET, PYMEM_SERVE_OK, "not said");
	assert_int_equal(reply.magic, PYMEM_SERVE_MAGIC);
	assert_int_equal(reply.version, PYMEM_SERVE_VERSION);
	assert_int_equal(reply.op, PYMEM_SERVE_RESET);
	assert_string_equal(reply.program, PYMEM_VERSION);
	assert_string_equal(reply.message, "");
	assert_int_equal(reply.pid, 0);
	serve_reply_fill(&reply, 1, PYMEM_SERVE_STATE, "pid 3 (\033[31m\nx\177)");
	assert_string_equal(reply.message, "pid 3 (\\x1b[31m\\nx\\x7f)");
	/* C1 as bytes and as UTF-8, an override of the direction, and harmless text. */
	serve_reply_fill(&reply, 1, PYMEM_SERVE_STATE, "\x9b 2J \xc2\x9b \xe2\x80\xae \xc3\xa4");
	assert_string_equal(reply.message, "\\x9b 2J \\u009b \\u202e \xc3\xa4");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	serve_reply_fill(&reply, 1, PYMEM_SERVE_FAILED, longer);
	assert_int_equal(strlen(reply.message), sizeof(reply.message) - 1);
	/* Each status has a text, even an unknown one. */
	for (unsigned status = 1; status < 12; status++) {
		serve_reply_fill(&reply, 1, status, NULL);
		assert_true(strlen(reply.message) > 3);
	}
}

#define STATUS                                        \
	"Name:\tx\\nUid:\t0\nUmask:\t0022\n"          \
	"Tgid:\t41\nNgid:\t0\nPid:\t42\n"             \
	"Uid:\t1000\t1001\t1002\t1003\n"              \
	"Gid:\t100\t101\t102\t4294967294\n"           \
	"Groups:\t1 2 3\nCapInh:\t0000000000000000\n" \
	"CapPrm:\t000001ffffffffff\nCapEff:\t0000\n"

static void test_creds(void **state)
{
	struct serve_creds c = {.owner = 9};
	char text[] = STATUS;
	size_t len, i;

	(void)state;
	assert_int_equal(serve_creds_parse(text, strlen(text), &c), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(c.uids[i], 1000 + i);
	assert_int_equal(c.gids[0], 100);
	assert_int_equal(c.gids[3], 4294967294U);
	assert_true(c.permitted == 0x1ffffffffffULL);
	assert_int_equal(c.tgid, 41);
	assert_int_equal(c.owner, 9);
	/* Cut anywhere before the end of the last line that counts, it is refused. */
	len = (size_t)(strstr(text, "CapEff") - text);
	assert_int_equal(serve_creds_parse(text, len, &c), 0);
	for (i = 0; i < len; i++) {
		char *cut = malloc(i + 1);

		assert_non_null(cut);
		memcpy(cut, text, i);
		assert_int_equal(serve_creds_parse(cut, i, &c), -EBADMSG);
		free(cut);
	}
}

static const struct serve_peer user = {
	.pid = 1, .uid = 1000, .gid = 100, .permitted = 0x400, .userns = 7};
static const struct serve_creds own = {
	.uids = {1000, 1000, 1000, 1000},
	.gids = {100, 100, 100, 100},
	.permitted = 0x400,
	.tgid = 41,
	.owner = 1000,
	.userns = 7,
};

static void test_access(void **state)
{
	struct serve_peer root = {.pid = 1, .uid = 0, .gid = 5};
	struct serve_creds c;
	int i;

	(void)state;
	assert_null(serve_access_refusal(&user, &own));
	assert_null(serve_access_refusal(&root, &own));
	/* Each ID by itself: setuid and setgid programs differ in only one. */
	for (i = 0; i < 4; i++) {
		c = own;
		c.uids[i] = 0;
		assert_non_null(serve_access_refusal(&user, &c));
		assert_null(serve_access_refusal(&root, &c));
		c.uids[i] = 1001;
		assert_non_null(serve_access_refusal(&user, &c));
		c = own;
		c.gids[i] = 42;
		assert_non_null(serve_access_refusal(&user, &c));
		assert_null(serve_access_refusal(&root, &c));
	}
	c = own;
	c.owner = 0; /* not dumpable */
	assert_non_null(serve_access_refusal(&user, &c));
	c = own;
	c.permitted = 0x2000; /* as ping has */
	assert_non_null(serve_access_refusal(&user, &c));
	c.permitted = 0;
	assert_null(serve_access_refusal(&user, &c));
}

/* Capabilities in a namespace of one's own are no rights elsewhere. */
static void test_access_namespaces(void **state)
{
	struct serve_peer peer = user;
	struct serve_creds c = own;

	(void)state;
	peer.permitted = ~0ULL;
	assert_null(serve_access_refusal(&peer, &c));
	peer.userns = 8;
	assert_non_null(serve_access_refusal(&peer, &c));
	c.permitted = 0;
	assert_null(serve_access_refusal(&peer, &c));
	/* An unknown namespace is not the same one. */
	c.permitted = 0x400;
	peer.userns = c.userns = 0;
	assert_non_null(serve_access_refusal(&peer, &c));
}

/* Four users take all they can: root still finds a place, and each other user a first one. */
static void test_limits_kept(void **state)
{
	struct serve_limits limits;
	unsigned taken = 0;
	size_t index;
	uid_t uid;
	int i;

	(void)state;
	assert_int_equal(serve_limits_init(&limits, 256, 64), 0);
	for (uid = 1; uid <= 4; uid++)
		for (i = 0; i < 300; i++)
			taken += !serve_limits_join(&limits, uid, 0, &index);
	assert_int_equal(taken, 256 - 16 - 32);
	for (uid = 11; uid < 11 + 32; uid++) {
		assert_int_equal(serve_limits_join(&limits, uid, 0, &index), 0);
		assert_int_equal(serve_limits_join(&limits, uid, 0, &index), -ENOSPC);
	}
	assert_int_equal(serve_limits_join(&limits, 99, 0, &index), -ENOSPC);
	for (i = 0; i < 16; i++)
		assert_int_equal(serve_limits_join(&limits, 0, 0, &index), 0);
	assert_int_equal(serve_limits_join(&limits, 0, 0, &index), -ENOSPC);
	serve_limits_fini(&limits);
}

static void test_limits(void **state)
{
	struct serve_limits limits;
	size_t a[3], b, c;
	int i;

	(void)state;
	assert_int_equal(serve_limits_init(&limits, 4, 3), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(serve_limits_join(&limits, 1, 0, &a[i]), 0);
	assert_int_equal(a[0], a[2]);
	assert_int_equal(serve_limits_join(&limits, 1, 0, &c), -EUSERS);
	assert_int_equal(serve_limits_join(&limits, 2, 0, &b), 0);
	assert_true(b != a[0]);
	assert_int_equal(serve_limits_join(&limits, 3, 0, &c), -ENOSPC);
	serve_limits_leave(&limits, a[0]);
	assert_int_equal(serve_limits_join(&limits, 3, 0, &c), 0);
	assert_true(c != b && c != a[0]);
	serve_limits_fini(&limits);
}

static void test_tokens(void **state)
{
	struct serve_limits limits;
	size_t one, other, again;
	uint64_t wait;
	int i;

	(void)state;
	assert_int_equal(serve_limits_init(&limits, 4, 3), 0);
	assert_int_equal(serve_limits_join(&limits, 1, SECOND_NS, &one), 0);
	assert_int_equal(serve_limits_join(&limits, 2, SECOND_NS, &other), 0);
	for (i = 0; i < SERVE_TOKENS_MAX; i++) {
		assert_true(serve_limits_wait(&limits, one, SECOND_NS) == 0);
		serve_limits_charge(&limits, one, SERVE_COST_REQUEST);
	}
	wait = serve_limits_wait(&limits, one, SECOND_NS);
	assert_true(wait > 0 && wait <= SECOND_NS / SERVE_TOKENS_PER_SECOND + 1);
	assert_true(serve_limits_wait(&limits, one, SECOND_NS + wait) == 0);
	/* The other user is not affected. */
	assert_true(serve_limits_wait(&limits, other, SECOND_NS) == 0);
	/* A debt is paid in time. A new connection is no new account. */
	serve_limits_charge(&limits, one, 1 + 3 * SERVE_TOKENS_PER_SECOND);
	serve_limits_leave(&limits, one);
	assert_int_equal(serve_limits_join(&limits, 1, 2 * SECOND_NS, &again), 0);
	assert_int_equal(again, one);
	assert_true(serve_limits_wait(&limits, one, 2 * SECOND_NS) > SECOND_NS);
	assert_true(serve_limits_wait(&limits, one, 5 * SECOND_NS) == 0);
	/* No more than the maximum is saved. If the clock stands still, nothing is added. */
	serve_limits_charge(&limits, one, SERVE_TOKENS_MAX + 1);
	assert_true(serve_limits_wait(&limits, one, 5 * SECOND_NS) > 0);
	assert_true(serve_limits_wait(&limits, one, 1000 * SECOND_NS) == 0);
	serve_limits_charge(&limits, one, SERVE_TOKENS_MAX);
	assert_true(serve_limits_wait(&limits, one, 1000 * SECOND_NS) > 0);
	serve_limits_fini(&limits);
}

/* A user who kept the server busy lets others have it for as long; they are not affected. */
static void test_turns(void **state)
{
	struct serve_limits limits;
	size_t one, other;

	(void)state;
	assert_int_equal(serve_limits_init(&limits, 4, 3), 0);
	assert_int_equal(serve_limits_join(&limits, 1, 0, &one), 0);
	assert_int_equal(serve_limits_join(&limits, 2, 0, &other), 0);
	serve_limits_took(&limits, one, 100, 100 + SERVE_TURN_NS - 1);
	assert_true(serve_limits_wait(&limits, one, 100 + SERVE_TURN_NS) == 0);
	serve_limits_took(&limits, one, SECOND_NS, SECOND_NS + SECOND_NS / 10);
	assert_int_equal(serve_limits_wait(&limits, one, SECOND_NS + SECOND_NS / 10),
			 SECOND_NS / 10);
	assert_true(serve_limits_wait(&limits, other, SECOND_NS + SECOND_NS / 10) == 0);
	assert_true(serve_limits_wait(&limits, one, SECOND_NS + SECOND_NS / 5) == 0);
	/* A debt that takes longer to pay counts instead. */
	assert_true(serve_limits_wait(&limits, one, 2 * SECOND_NS) == 0);
	serve_limits_charge(&limits, one, SERVE_TOKENS_MAX + SERVE_TOKENS_PER_SECOND);
	serve_limits_took(&limits, one, 2 * SECOND_NS, 2 * SECOND_NS + SERVE_TURN_NS);
	assert_true(serve_limits_wait(&limits, one, 2 * SECOND_NS) > SECOND_NS / 2);
	serve_limits_fini(&limits);
}

/* More users than places come and go: nobody is refused, and nobody takes another's place. */
static void test_many_users(void **state)
{
	struct serve_limits limits;
	size_t kept, index;
	uid_t uid;

	(void)state;
	assert_int_equal(serve_limits_init(&limits, 2, 2), 0);
	assert_int_equal(serve_limits_join(&limits, 1000000, 0, &kept), 0);
	for (uid = 0; uid < 1000; uid++) {
		assert_int_equal(serve_limits_join(&limits, uid, uid * SECOND_NS, &index), 0);
		assert_true(index != kept && index < 4);
		assert_int_equal(limits.users[index].uid, uid);
		serve_limits_leave(&limits, index);
	}
	assert_int_equal(limits.users[kept].uid, 1000000);
	assert_int_equal(limits.clients, 1);
	serve_limits_fini(&limits);
}

static unsigned told[2];

static void note(uid_t account, unsigned refused, void *arg)
{
	(void)arg;
	told[account == 1001] += refused;
}

/* Which place belongs to whom, while there are images and afterwards; and how often something is
 * printed. */
static void test_quota(void **state)
{
	static struct pymem_payer payers[PYMEM_PAYERS];
	static struct serve_quota quota;
	int one, other, place, i;

	(void)state;
	quota.payers = payers;
	quota.user_images = 10;
	assert_int_equal(serve_quota_payer(&quota, 0), 0);
	one = serve_quota_payer(&quota, 1000);
	payers[one].images = 10;
	other = serve_quota_payer(&quota, 1001);
	assert_true(one > 0 && other > 0 && one != other);
	payers[other].images = 9;
	assert_int_equal(serve_quota_payer(&quota, 1000), one);
	assert_true(serve_quota_is_full(&quota, one));
	assert_false(serve_quota_is_full(&quota, other));
	payers[one].refused = 5;
	serve_quota_tell(&quota, SECOND_NS, note, NULL);
	assert_true(told[0] == 5 && told[1] == 0);
	payers[one].refused = 7;
	serve_quota_tell(&quota, 2 * SECOND_NS, note, NULL);
	assert_int_equal(told[0], 5);
	serve_quota_tell(&quota, SECOND_NS + SERVE_QUOTA_QUIET_NS, note, NULL);
	assert_int_equal(told[0], 7);
	/* Places of users with images are given to nobody else; others are reused. */
	for (i = 0; i < PYMEM_PAYERS - 3; i++) {
		place = serve_quota_payer(&quota, 2000 + (uid_t)i);
		assert_true(place > 0 && place != one && place != other);
		payers[place].images = 1;
	}
	assert_int_equal(serve_quota_payer(&quota, 9999), -ENOSPC);
	payers[other].images = 0;
	assert_int_equal(serve_quota_payer(&quota, 9999), other);
	assert_int_equal(serve_quota_payer(&quota, 1000), one);
}

/* The other end of a connection: it sends another message for each one that is read. */
static int flooder = -1;
static unsigned received;

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	if (flooder >= 0 && ++received < 100000)
		send(flooder, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	return recvfrom(fd, buf, size, flags, NULL, NULL);
}

/* Closing ends however fast the client sends, and the client can read what it was sent before. */
static void test_end_flooded(void **state)
{
	char text[8];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[0], "why", 4, 0), 4);
	assert_int_equal(send(pair[1], "", 1, 0), 1);
	flooder = pair[1];
	received = 0;
	serve_socket_end(pair[0]);
	flooder = -1;
	assert_in_range(received, 1, 1000);
	assert_int_equal(recv(pair[1], text, sizeof(text), 0), 4);
	assert_string_equal(text, "why");
	assert_int_equal(recv(pair[1], text, sizeof(text), 0), 0);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),	    cmocka_unit_test(test_request_bad),
		cmocka_unit_test(test_reply),	    cmocka_unit_test(test_creds),
		cmocka_unit_test(test_access),	    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_tokens),	    cmocka_unit_test(test_turns),
		cmocka_unit_test(test_many_users),  cmocka_unit_test(test_access_namespaces),
		cmocka_unit_test(test_limits_kept), cmocka_unit_test(test_quota),
		cmocka_unit_test(test_end_flooded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
