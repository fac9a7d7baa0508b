/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/push_exchange.c with TLS: what is sent arrives at a server with the right certificate;
 * nothing is sent to one whose certificate is of an unknown authority, for another host, for
 * something else, of the past, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/push.h"

#define NS     1000000000ULL
#define GUARD  (30 * NS)
#define BODY   200000
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n"

static gnutls_x509_privkey_t key;
static gnutls_x509_crt_t certificate;
static char authority[] = "/tmp/pymem-tls-XXXXXX";

struct given {
	struct loop *loop;
	struct loop_timer guard, look;
	struct push *push;
	char said[1024];
	uint16_t port;
	pid_t server;
};

static void must(int result)
{
	if (result < 0)
		fail_msg("%s", gnutls_strerror(result));
}

struct wanted {		     /* of a certificate */
	const char *name;    /* NULL: it is for 127.0.0.1 */
	time_t ends;	     /* seconds from now */
	const char *purpose; /* NULL: it does not say */
};

/* One that has signed itself; and a file with it. */
static void certify(const struct wanted *w)
{
	const unsigned char number[] = {1}, address[] = {127, 0, 0, 1};
	gnutls_datum_t pem;
	FILE *file = fopen(authority, "we");

	if (certificate)
		gnutls_x509_crt_deinit(certificate);
	must(gnutls_x509_crt_init(&certificate));
	must(gnutls_x509_crt_set_version(certificate, 3));
	must(gnutls_x509_crt_set_serial(certificate, number, sizeof(number)));
	must(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 7200));
	must(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + w->ends));
	must(gnutls_x509_crt_set_dn(certificate, "CN=test", NULL));
	if (w->name)
		must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, w->name,
							  (unsigned)strlen(w->name),
							  GNUTLS_FSAN_SET));
	else
		must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS,
							  address, sizeof(address),
							  GNUTLS_FSAN_SET));
	if (w->purpose)
		must(gnutls_x509_crt_set_key_purpose_oid(certificate, w->purpose, 0));
	must(gnutls_x509_crt_set_key(certificate, key));
	must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem));
	assert_non_null(file);
	assert_int_equal(fwrite(pem.data, 1, pem.size, file), pem.size);
	assert_int_equal(fclose(file), 0);
	gnutls_free(pem.data);
}

static int make_certificate(void **state)
{
	const struct wanted right = {.ends = 3600};
	int fd = mkstemp(authority);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	must(gnutls_x509_privkey_init(&key));
	must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
	certify(&right);
	return 0;
}

static int remove_certificate(void **state)
{
	(void)state;
	gnutls_x509_crt_deinit(certificate);
	gnutls_x509_privkey_deinit(key);
	return unlink(authority);
}

/* --- the server: a process --- */

/* Whether the client has said which name it wants, if it is one. */
static bool is_asked_for(gnutls_session_t session, const char *name)
{
	char asked[64] = "";
	size_t size = sizeof(asked);
	unsigned type;
	int result = gnutls_server_name_get(session, asked, &size, &type, 0);

	if (!name)
		return result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
	return result >= 0 && type == GNUTLS_NAME_DNS && !strcmp(asked, name);
}

/* Exits with 0 if it got all of it. `name`: NULL: the client has an address. */
static int serve_one(int fd, const char *name)
{
	gnutls_certificate_credentials_t own;
	gnutls_session_t session;
	size_t got = 0, head = 0;
	char *bytes = calloc(1, BODY + 4096), *end;
	ssize_t more;

	if (!bytes || gnutls_certificate_allocate_credentials(&own) < 0 ||
	    gnutls_certificate_set_x509_key(own, &certificate, 1, key) < 0 ||
	    gnutls_init(&session, GNUTLS_SERVER) < 0 || gnutls_set_default_priority(session) < 0 ||
	    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own) < 0)
		return 1;
	gnutls_transport_set_int(session, fd);
	if (gnutls_handshake(session) < 0)
		return 2;
	if (!is_asked_for(session, name))
		return 9;
	while (!head || got < head + BODY) {
		more = gnutls_record_recv(session, bytes + got, BODY + 4095 - got);
		if (more <= 0)
			return 3;
		got += (size_t)more;
		end = strstr(bytes, "\r\n\r\n");
		head = end ? (size_t)(end + 4 - bytes) : 0;
	}
	for (size_t i = head; i < got; i++)
		if (bytes[i] != 'x')
			return 4;
	if (!strstr(bytes, "\r\nX-Scope-OrgID: a\r\n") ||
	    gnutls_record_send(session, ANSWER, strlen(ANSWER)) < 0)
		return 5;
	gnutls_bye(session, GNUTLS_SHUT_WR);
	return 0;
}

static void start(struct given *g, const char *name, bool tls)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	g->port = ntohs(address.sin_port);
	g->server = fork();
	assert_true(g->server >= 0);
	if (!g->server) {
		signal(SIGPIPE, SIG_IGN);
		alarm(60);
		client = accept(fd, NULL, NULL);
		if (tls)
			_exit(client < 0 ? 6 : serve_one(client, name));
		_exit(send(client, "220 mail.example.org ESMTP\r\n", 28, 0) == 28 ? 7 : 8);
	}
	close(fd);
}

/* --- the client --- */

static void say(void *arg, bool bad, const char *words)
{
	struct given *g = arg;
	size_t used = strlen(g->said);

	(void)bad;
	snprintf(g->said + used, sizeof(g->said) - used, "%s\n", words);
}

static void on_look(void *arg)
{
	const struct given *g = arg;
	struct push_counts counts = push_counts(g->push);

	if (counts.sent || counts.failed)
		loop_stop(g->loop);
}

static void on_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happens");
}

/* Pushes once. Returns the server's exit status. */
static int push_to(struct given *g, const char *host, const char *ca, bool tls)
{
	const struct resolver none = {-1, -1};
	struct push_target target;
	struct push_counts counts;
	char url[64], why[512] = "";
	struct push_access access = {.url = url, .tenant = "a", .ca_file = ca};
	uint8_t *body = malloc(BODY);
	int status;

	*g = (struct given){.loop = loop_new()};
	assert_non_null(g->loop);
	assert_non_null(body);
	memset(body, 'x', BODY);
	start(g, strcmp(host, "127.0.0.1") ? host : NULL, tls);
	snprintf(url, sizeof(url), "https://%s:%u", host, g->port);
	if (push_target_open(&target, &access, why, sizeof(why)))
		fail_msg("%s", why);
	g->push = push_new(&target, &none, say, g);
	assert_non_null(g->push);
	push_add(g->push, body, BODY, push_now());
	push_watch(g->push, g->loop);
	loop_timer_start(g->loop, &g->guard, GUARD, 0, on_late, g);
	loop_timer_start(g->loop, &g->look, NS / 1000, NS / 1000, on_look, g);
	assert_int_equal(loop_run(g->loop), 0);
	counts = push_counts(g->push);
	push_free(g->push);
	loop_timer_stop(&g->guard);
	loop_timer_stop(&g->look);
	loop_free(g->loop);
	assert_int_equal(waitpid(g->server, &status, 0), g->server);
	assert_true(WIFEXITED(status));
	assert_int_equal(counts.sent, WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status);
}

static void expect(const struct given *g, const char *words)
{
	if (!strstr(g->said, words))
		fail_msg("%s: %s", words, g->said);
}

static void is_right(void **state)
{
	struct given g;

	(void)state;
	assert_int_equal(push_to(&g, "127.0.0.1", authority, true), 0);
	expect(&g, " takes profiles\n");
}

static void is_unknown(void **state)
{
	struct given g;

	(void)state;
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK))
		skip();
	assert_int_equal(push_to(&g, "127.0.0.1", NULL, true), 2);
	expect(&g, "TLS: The certificate is NOT trusted.");
}

static void is_of_another_host(void **state)
{
	struct given g;

	(void)state;
	assert_int_equal(push_to(&g, "localhost", authority, true), 2);
	expect(&g, "TLS: The certificate is NOT trusted. The name in the certificate does not "
		   "match the expected.\n");
}

static void is_right_by_name(void **state)
{
	const struct wanted named = {
		.name = "localhost", .ends = 3600, .purpose = GNUTLS_KP_TLS_WWW_SERVER};
	struct given g;

	(void)state;
	certify(&named);
	assert_int_equal(push_to(&g, "localhost", authority, true), 0);
	expect(&g, " takes profiles\n");
}

static void is_past(void **state)
{
	const struct wanted past = {.ends = -3600};
	struct given g;

	(void)state;
	certify(&past);
	assert_int_equal(push_to(&g, "127.0.0.1", authority, true), 2);
	expect(&g, "TLS: The certificate is NOT trusted. The certificate chain uses expired "
		   "certificate.\n");
}

/* That of a client, say, which an authority gives to more people than it lets be a server. */
static void is_for_something_else(void **state)
{
	const struct wanted client = {.ends = 3600, .purpose = GNUTLS_KP_TLS_WWW_CLIENT};
	struct given g;

	(void)state;
	certify(&client);
	assert_int_equal(push_to(&g, "127.0.0.1", authority, true), 2);
	expect(&g, "TLS: The certificate is NOT trusted. The certificate chain does not match the "
		   "intended purpose.\n");
}

static void is_no_tls(void **state)
{
	struct given g;

	(void)state;
	assert_int_equal(push_to(&g, "127.0.0.1", authority, false), 7);
	expect(&g, "which is tried again: TLS: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_right),
		cmocka_unit_test(is_unknown),
		cmocka_unit_test(is_of_another_host),
		cmocka_unit_test(is_no_tls),
		cmocka_unit_test(is_right_by_name),
		cmocka_unit_test(is_past),
		cmocka_unit_test(is_for_something_else),
	};

	return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
