/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/metrics_listen.c: nothing is open to the network without a certificate and a token, secrets
 * that others can read are refused, and files that are no socket of ours are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/metrics_listen.h"

#define TOKEN "0123456789abcdef"

static char folder[] = "/tmp/pymem-listen-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static const char *in_folder(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Opens and closes it. The result, with what was said in `why`. */
static int attempt(const struct metrics_access *access, char why[512])
{
	struct metrics_listener listener;
	int err;

	strcpy(why, "");
	err = metrics_listener_open(&listener, access, why, 512);
	if (!err)
		assert_true(listener.fd >= 0 && *listener.url);
	metrics_listener_close(&listener);
	assert_int_equal(listener.fd, -1);
	return err;
}

static void addresses(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *words;
	} cases[] = {
		{"127.0.0.1:0", 0, ""},
		{"127.1.2.3:0", 0, ""},
		{"0.0.0.0:0", -EINVAL, "from the network"},
		{"192.0.2.1:9746", -EINVAL, "from the network"},
		{"[::]:0", -EINVAL, "from the network"},
		{"[2001:db8::1]:1", -EINVAL, "from the network"},
		{"[::ffff:127.0.0.1]:1", -EINVAL, "from the network"},
		{"localhost:9746", -EINVAL, "addresses as numbers"},
		{"127.0.0.1", -EINVAL, "addresses as numbers"},
		{"127.0.0.1:", -EINVAL, "addresses as numbers"},
		{"127.0.0.1:65536", -EINVAL, "addresses as numbers"},
		{"127.0.0.1:-1", -EINVAL, "addresses as numbers"},
		{"127.0.0.1:80x", -EINVAL, "addresses as numbers"},
		{"::1:80", -EINVAL, "addresses as numbers"},
		{"[::1:80", -EINVAL, "addresses as numbers"},
		{"[::1]x:80", -EINVAL, "addresses as numbers"},
		{"9746", -EINVAL, "addresses as numbers"},
		{":9746", -EINVAL, "addresses as numbers"},
		{"", -EINVAL, "addresses as numbers"},
		{"unix:relative", -EINVAL, "begins with /"},
		{"unix:", -EINVAL, "begins with /"},
		{"unix:/none/at/all", -ENOENT, "No such file"},
	};
	char why[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = attempt(&(struct metrics_access){.listen = cases[i].text}, why);

		if (err != cases[i].err || !strstr(why, cases[i].words))
			fail_msg("%s: %d %s", cases[i].text, err, why);
	}
}

static void ports(void **state)
{
	struct metrics_listener one, other;
	char why[512], *port, text[64];

	(void)state;
	assert_int_equal(metrics_listener_open(&one,
					       &(struct metrics_access){.listen = "127.0.0.1:0"},
					       why, sizeof(why)),
			 0);
	assert_int_equal(strncmp(one.url, "http://127.0.0.1:", 17), 0);
	port = strrchr(one.url, ':') + 1;
	snprintf(text, sizeof(text), "127.0.0.1:%.*s", (int)strcspn(port, "/"), port);
	assert_int_equal(metrics_listener_open(&other, &(struct metrics_access){.listen = text},
					       why, sizeof(why)),
			 -EADDRINUSE);
	assert_non_null(strstr(why, text));
	metrics_listener_close(&other);
	metrics_listener_close(&one);
}

/* Not each machine has it. */
static void ipv6(void **state)
{
	const struct metrics_access access = {.listen = "[::1]:0"};
	struct metrics_listener listener;
	char why[512];
	int err = metrics_listener_open(&listener, &access, why, sizeof(why));

	(void)state;
	if (err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT) {
		metrics_listener_close(&listener);
		skip();
	}
	assert_int_equal(err, 0);
	assert_int_equal(strncmp(listener.url, "http://[::1]:", 13), 0);
	metrics_listener_close(&listener);
}

static void unix_socket(void **state)
{
	struct metrics_listener one, other;
	char path[128], text[160], why[512];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct metrics_access access = {.listen = text};
	struct stat st;
	int fd;

	(void)state;
	snprintf(text, sizeof(text), "unix:%s", in_folder(path, "sub"));
	write_file(path, "mine", 0600);
	assert_int_equal(attempt(&access, why), -EEXIST);
	assert_non_null(strstr(why, "is no socket; it is left alone"));
	assert_int_equal(unlink(path), 0);

	/* The folder is made, and the file is only root's. */
	strcat(text, "/metrics.sock");
	assert_int_equal(metrics_listener_open(&one, &access, why, sizeof(why)), 0);
	assert_int_equal(lstat(text + 5, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_string_equal(one.url, text);
	/* Somebody listens: that one stays. */
	assert_int_equal(metrics_listener_open(&other, &access, why, sizeof(why)), -EADDRINUSE);
	assert_non_null(strstr(why, "another program listens there"));
	metrics_listener_close(&other);
	assert_int_equal(lstat(text + 5, &st), 0);
	metrics_listener_close(&one);
	assert_int_equal(lstat(text + 5, &st), -1);

	/* One of a dead agent is replaced. */
	strcpy(address.sun_path, text + 5);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(metrics_listener_open(&one, &access, why, sizeof(why)), 0);
	/* One that has been replaced meanwhile is somebody else's. */
	assert_int_equal(unlink(text + 5), 0);
	write_file(text + 5, "theirs", 0600);
	metrics_listener_close(&one);
	assert_int_equal(unlink(text + 5), 0);
	assert_int_equal(rmdir(path), 0);
}

static void secrets(void **state)
{
	char token[128], cert[128], key[128], why[512];
	struct metrics_access access = {.listen = "0.0.0.0:0",
					.tls_cert = in_folder(cert, "cert"),
					.tls_key = in_folder(key, "key"),
					.token_file = in_folder(token, "token")};
	static const struct {
		const char *text;
		mode_t mode;
		const char *words;
	} cases[] = {
		{TOKEN "\n", 0600, ""},
		{TOKEN, 0400, ""},
		{TOKEN "\n", 0640, "others may read it: chmod 600"},
		{TOKEN "\n", 0604, "others may read it: chmod 600"},
		{"short\n", 0600, "16 to 1024 characters"},
		{"", 0600, "16 to 1024 characters"},
		{"0123456789 abcdef\n", 0600, "no blanks"},
		{TOKEN "\n" TOKEN "\n", 0600, "it has more than one line"},
		{"0123456789\x80"
		 "abcdef\n",
		 0600, "no blanks"},
	};

	(void)state;
	write_file(cert, "certificate", 0644);
	write_file(key, "key", 0600);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err;

		write_file(token, cases[i].text, cases[i].mode);
		err = attempt(&access, why);
		if (err != (*cases[i].words ? -EINVAL : 0) || !strstr(why, cases[i].words))
			fail_msg("%zu: %d %s", i, err, why);
	}
	write_file(token, TOKEN "\n", 0600);
	assert_int_equal(chmod(key, 0644), 0);
	assert_int_equal(attempt(&access, why), -EINVAL);
	assert_non_null(strstr(why, "--tls-key"));
	assert_int_equal(chmod(key, 0600), 0);
	access.tls_key = NULL;
	assert_int_equal(attempt(&access, why), -EINVAL);
	assert_non_null(strstr(why, "need each other"));
	/* Each of the two alone does not do. */
	access.tls_cert = NULL;
	assert_int_equal(attempt(&access, why), -EINVAL);
	assert_non_null(strstr(why, "from the network"));
	access = (struct metrics_access){.listen = "0.0.0.0:0", .tls_cert = cert, .tls_key = key};
	assert_int_equal(attempt(&access, why), -EINVAL);
	assert_non_null(strstr(why, "from the network"));
	access.listen = "unix:/tmp/x";
	assert_int_equal(attempt(&access, why), -EINVAL);
	access.listen = NULL;
	assert_int_equal(attempt(&access, why), -EINVAL);
	assert_non_null(strstr(why, "need --listen"));
	access = (struct metrics_access){.listen = "127.0.0.1:0", .token_file = "/dev/zero"};
	assert_int_equal(attempt(&access, why), -EINVAL);
	assert_non_null(strstr(why, "it is no file"));
	unlink(cert);
	unlink(key);
	unlink(token);
}

static void tokens(void **state)
{
	(void)state;
	assert_true(metrics_token_is(TOKEN, TOKEN));
	assert_false(metrics_token_is(TOKEN, ""));
	assert_false(metrics_token_is(TOKEN, TOKEN TOKEN));
	assert_false(metrics_token_is(TOKEN TOKEN, TOKEN));
	assert_false(metrics_token_is(TOKEN, "0123456789abcdeF"));
	assert_false(metrics_token_is(TOKEN, "0123456789abcde"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),   cmocka_unit_test(ports),	  cmocka_unit_test(ipv6),
		cmocka_unit_test(unix_socket), cmocka_unit_test(secrets), cmocka_unit_test(tokens),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
