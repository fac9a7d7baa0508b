/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/resolver.c: what a name server says becomes addresses, or an error. The server is a process of
 * this test, at a port of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <resolv.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/resolver.h"

#define HEAD 12 /* bytes */

static uint16_t port;
static pid_t server;

/* --- the server --- */

struct message {
	unsigned char bytes[512];
	size_t size;
};

static void put16(struct message *m, unsigned value)
{
	m->bytes[m->size++] = (unsigned char)(value >> 8);
	m->bytes[m->size++] = (unsigned char)value;
}

/* A record of the name that was asked for, or of one that begins at `owner`. */
static void put_record(struct message *m, unsigned owner, unsigned type, const void *data,
		       unsigned size)
{
	put16(m, 0xc000 | owner);
	put16(m, type);
	put16(m, ns_c_in);
	put16(m, 0);
	put16(m, 60); /* seconds */
	put16(m, size);
	memcpy(m->bytes + m->size, data, size);
	m->size += size;
	m->bytes[7]++;
}

/* By the first label of the name. */
static void answer(struct message *m, unsigned type)
{
	static const unsigned char v4[] = {192, 0, 2, 7};
	static const unsigned char v6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
	static const unsigned char other[] = "\4real\7example";
	const char *label = (const char *)m->bytes + HEAD + 1;
	bool four = type == ns_t_a, six = type == ns_t_aaaa;
	unsigned code = ns_r_noerror;

	if (!strncmp(label, "none", 4))
		code = ns_r_nxdomain;
	else if (!strncmp(label, "fails", 5) || (!strncmp(label, "half", 4) && four))
		code = ns_r_servfail;
	m->bytes[2] = 0x81;
	m->bytes[3] = (unsigned char)(0x80 | code);
	if (code)
		return;
	if (!strncmp(label, "alias", 5)) {
		unsigned at = (unsigned)m->size + 12;

		put_record(m, HEAD, ns_t_cname, other, sizeof(other));
		if (four)
			put_record(m, at, type, v4, sizeof(v4));
	} else if (!strncmp(label, "wrong", 5)) {
		put_record(m, HEAD, type, v6, four ? 3 : 4);
	} else if (!strncmp(label, "many", 4) && four) {
		for (unsigned char i = 0; i < 6; i++) {
			const unsigned char numbered[] = {192, 0, 2, i};

			put_record(m, HEAD, type, numbered, sizeof(numbered));
		}
	} else if (six) {
		put_record(m, HEAD, type, v6, sizeof(v6));
	} else if (four && strncmp(label, "six", 3) && strncmp(label, "many", 4)) {
		put_record(m, HEAD, type, v4, sizeof(v4));
	}
}

static void __attribute__((noreturn)) serve(int fd)
{
	struct sockaddr_storage from;
	struct message m;

	alarm(120);
	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(fd, m.bytes, 256, 0, (struct sockaddr *)&from, &length);
		size_t at = HEAD;

		if (got < HEAD + 5)
			continue;
		while (at < (size_t)got && m.bytes[at])
			at += m.bytes[at] + 1u;
		if (at + 5 > (size_t)got)
			continue;
		/* What follows the question, EDNS, is not repeated. */
		m.size = at + 5;
		memset(m.bytes + 6, 0, 6);
		answer(&m, (unsigned)m.bytes[at + 1] << 8 | m.bytes[at + 2]);
		sendto(fd, m.bytes, m.size, 0, (struct sockaddr *)&from, length);
	}
}

static int start(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		return -1;
	port = ntohs(address.sin_port);
	server = fork();
	if (!server)
		serve(fd);
	close(fd);
	return server < 0 ? -1 : 0;
}

static int stop(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	return waitpid(server, NULL, 0) == server ? 0 : -1;
}

/* --- the client --- */

static struct resolver_answer ask(const char *name)
{
	struct resolver_answer answer = {};
	struct __res_state state = {};

	assert_int_equal(res_ninit(&state), 0);
	state.nscount = 1;
	state.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	state.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	resolver_ask_servers(&state, name, &answer);
	res_nclose(&state);
	return answer;
}

static void is_v4(const struct net_address *address)
{
	static const unsigned char v4[] = {192, 0, 2, 7};

	assert_int_equal(address->family, AF_INET);
	assert_memory_equal(address->number, v4, sizeof(v4));
}

static void is_v6(const struct net_address *address)
{
	static const unsigned char v6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};

	assert_int_equal(address->family, AF_INET6);
	assert_memory_equal(address->number, v6, sizeof(v6));
}

static void both_kinds(void **state)
{
	struct resolver_answer answer = ask("both.example.");

	(void)state;
	assert_int_equal(answer.error, 0);
	assert_int_equal(answer.count, 2);
	is_v4(&answer.list[0]);
	is_v6(&answer.list[1]);
	/* Half of the room is for each. */
	answer = ask("many.example.");
	assert_int_equal(answer.count, RESOLVER_MOST / 2 + 1);
	assert_int_equal(answer.list[RESOLVER_MOST / 2 - 1].family, AF_INET);
	is_v6(&answer.list[RESOLVER_MOST / 2]);
}

static void only_ipv6(void **state)
{
	struct resolver_answer answer = ask("six.example.");

	(void)state;
	assert_int_equal(answer.error, 0);
	assert_int_equal(answer.count, 1);
	is_v6(&answer.list[0]);
}

static void through_another_name(void **state)
{
	struct resolver_answer answer = ask("alias.example.");

	(void)state;
	assert_int_equal(answer.error, 0);
	assert_int_equal(answer.count, 1);
	is_v4(&answer.list[0]);
}

/* A server that can't tell addresses of IPv4 may know those of IPv6. */
static void one_kind_fails(void **state)
{
	struct resolver_answer answer = ask("half.example.");

	(void)state;
	assert_int_equal(answer.error, 0);
	assert_int_equal(answer.count, 1);
	is_v6(&answer.list[0]);
}

static void no_addresses(void **state)
{
	struct resolver_answer answer = ask("none.example.");

	(void)state;
	assert_int_equal(answer.error, -ENOENT);
	answer = ask("fails.example.");
	assert_int_equal(answer.error, -EAGAIN);
	/* Three bytes are no address, nor are four of IPv6. */
	answer = ask("wrong.example.");
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.error, -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_kinds),		cmocka_unit_test(only_ipv6),
		cmocka_unit_test(through_another_name), cmocka_unit_test(one_kind_fails),
		cmocka_unit_test(no_addresses),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
