/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/push_url, push_target, http_reply, what push.c decides, os/resolver: what users and servers
 * write is understood or refused; a secret goes to nobody who could not keep it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/http_reply.h"
#include "agent/push.h"
#include "agent/push_target.h"
#include "os/confine.h"
#include "os/resolver.h"

#define NS 1000000000ULL

/* --- URLs --- */

static void urls(void **state)
{
	static const struct {
		const char *text, *host, *authority, *path;
		unsigned port;
		bool tls, loopback;
		int family;
	} right[] = {
		{"http://127.0.0.1:4040", "127.0.0.1", "127.0.0.1:4040", "", 4040, false, true,
		 AF_INET},
		{"http://[::1]:4040/", "::1", "[::1]:4040", "", 4040, false, true, AF_INET6},
		{"https://profiles.example.org", "profiles.example.org", "profiles.example.org", "",
		 443, true, false, 0},
		{"HTTP://LocalHost/a/b//", "LocalHost", "LocalHost", "/a/b", 80, false, true, 0},
		{"https://10.1.2.3:65535/x", "10.1.2.3", "10.1.2.3:65535", "/x", 65535, true, false,
		 AF_INET},
		{"http://[2001:db8::7]", "2001:db8::7", "[2001:db8::7]", "", 80, false, false,
		 AF_INET6},
		{"http://pyroscope.monitoring.svc.:80", "pyroscope.monitoring.svc",
		 "pyroscope.monitoring.svc", "", 80, false, false, 0},
		{"http://localhost.:81", "localhost", "localhost:81", "", 81, false, true, 0},
		{"http://3par", "3par", "3par", "", 80, false, false, 0},
		{"http://a.1b", "a.1b", "a.1b", "", 80, false, false, 0},
		{"http://0xyz", "0xyz", "0xyz", "", 80, false, false, 0},
	};
	struct push_url url;
	char why[128];

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(push_url_parse(right[i].text, &url, why, sizeof(why)), 0);
		assert_string_equal(url.host, right[i].host);
		assert_string_equal(url.authority, right[i].authority);
		assert_string_equal(url.path, right[i].path);
		assert_int_equal(url.port, right[i].port);
		assert_int_equal(url.tls, right[i].tls);
		assert_int_equal(url.loopback, right[i].loopback);
		assert_int_equal(url.family, right[i].family);
	}
	/* A dot at its end is for who is asked for the name. */
	assert_int_equal(push_url_parse("http://pyroscope.svc.", &url, why, sizeof(why)), 0);
	assert_string_equal(url.looked_up, "pyroscope.svc.");
	assert_int_equal(push_url_parse("http://10.1.2.3", &url, why, sizeof(why)), 0);
	assert_string_equal(url.looked_up, "");
}

static void wrong_urls(void **state)
{
	static const char *const wrong[] = {
		"",
		"127.0.0.1:4040",
		"ftp://x",
		"http://",
		"http:///path",
		"http://:80",
		"http://x:",
		"http://x:0",
		"http://x:65536",
		"http://x:8o",
		"http://x:123456789",
		"http://[::1",
		"http://[::1]x",
		"http://[1.2.3.4]",
		"http://[fe80::1%25eth0]",
		"http://user:secret@x",
		"http://me:p/w@x",
		"http://me:12/w@x",
		"http://a b",
		"http://a\r\nX: y",
		"http://-x",
		"http://a..b",
		"http://.a",
		"http://127.1",
		"http://1.2.3.4.5",
		"http://0x7f000001",
		"http://0X7F000001",
		"http://0x",
		"http://127.0x1",
		"http://127.1.",
		"http://2130706433",
		"http://a.1",
		"http://.",
		"http://x/a b",
		"http://x/a\r\nX: y",
		"http://x/?q",
		"http://x#f",
		"http://x?q",
		"http://\xc3\xa4.org",
	};
	char name[400] = "http://", why[128];
	struct push_url url;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		*why = '\0';
		if (push_url_parse(wrong[i], &url, why, sizeof(why)) != -EINVAL)
			fail_msg("%s is taken", wrong[i]);
		assert_true(*why);
	}
	/* A label of 63 characters, and of 64. */
	memset(name + 7, 'a', 63);
	assert_int_equal(push_url_parse(name, &url, why, sizeof(why)), 0);
	name[7 + 63] = 'a';
	assert_int_equal(push_url_parse(name, &url, why, sizeof(why)), -EINVAL);
	for (size_t i = 0; i < 254; i++)
		name[7 + i] = i % 2 ? '.' : 'a';
	assert_int_equal(push_url_parse(name, &url, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "253"));
}

/* --- targets --- */

static char folder[] = "/tmp/pymem-push-XXXXXX", secret_path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(secret_path, sizeof(secret_path), "%s/secret", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(secret_path);
	return rmdir(folder);
}

static void write_secret(const char *text, mode_t mode)
{
	int fd = open(secret_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* The head, which the caller frees; NULL: it is refused, and `why` has those words. */
static char *head_of(const struct push_access *access, const char *words)
{
	struct push_target target;
	char why[512] = "", *head;
	int err = push_target_open(&target, access, why, sizeof(why));

	if (words) {
		assert_int_equal(err, -EINVAL);
		if (!strstr(why, words))
			fail_msg("%s: %s", words, why);
		assert_null(target.authorization);
		assert_null(target.trust);
		return NULL;
	}
	assert_string_equal(why, "");
	assert_int_equal(err, 0);
	head = push_target_head(&target, 17);
	assert_non_null(head);
	push_target_close(&target);
	return head;
}

static void heads(void **state)
{
	struct push_access access = {.url = "http://127.0.0.1:4040/x"};
	char *head = head_of(&access, NULL);

	(void)state;
	assert_string_equal(head, "POST /x/push.v1.PusherService/Push HTTP/1.1\r\n"
				  "Host: 127.0.0.1:4040\r\n"
				  "User-Agent: pymem-bpf/" PYMEM_VERSION "\r\n"
				  "Content-Type: application/proto\r\n"
				  "Connect-Protocol-Version: 1\r\n"
				  "Content-Length: 17\r\n"
				  "Connection: close\r\n"
				  "\r\n");
	free(head);
	write_secret("glc_123\n", 0600);
	access.token_file = secret_path;
	access.tenant = "team-a";
	head = head_of(&access, NULL);
	assert_non_null(strstr(head, "\r\nAuthorization: Bearer glc_123\r\n"
				     "X-Scope-OrgID: team-a\r\n\r\n"));
	free(head);
	write_secret("Aladdin:open_sesame\r\n", 0400);
	access.token_file = NULL;
	access.password_file = secret_path;
	head = head_of(&access, NULL);
	assert_non_null(strstr(head, "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuX3Nlc2FtZQ==\r\n"));
	free(head);
}

static void open_right(struct push_target *target, const struct push_access *access)
{
	char why[512];

	if (push_target_open(target, access, why, sizeof(why)))
		fail_msg("%s", why);
}

/* Also if only what is in a file has changed. */
static void same_targets(void **state)
{
	struct push_access access = {.url = "http://127.0.0.1", .token_file = secret_path};
	struct push_target one, other;

	(void)state;
	write_secret("glc_123\n", 0600);
	open_right(&one, &access);
	open_right(&other, &access);
	assert_true(push_target_same(&one, &other));
	push_target_close(&other);
	write_secret("glc_124\n", 0600);
	open_right(&other, &access);
	assert_false(push_target_same(&one, &other));
	push_target_close(&other);
	write_secret("glc_123\n", 0600);
	access.tenant = "a";
	open_right(&other, &access);
	assert_false(push_target_same(&one, &other));
	push_target_close(&other);
	access.tenant = NULL;
	access.url = "http://127.0.0.1/x";
	open_right(&other, &access);
	assert_false(push_target_same(&one, &other));
	push_target_close(&other);
	access.url = "http://127.0.0.1";
	open_right(&other, &access);
	assert_true(push_target_same(&one, &other));
	memset(other.authorities, 1, 1);
	assert_false(push_target_same(&one, &other));
	push_target_close(&other);
	push_target_close(&one);
}

static void secrets_that_are_refused(void **state)
{
	struct push_access access = {.url = "http://127.0.0.1", .token_file = secret_path};

	(void)state;
	write_secret("glc_123\n", 0640);
	head_of(&access, "others may read it: chmod 600");
	write_secret("two words\n", 0600);
	head_of(&access, "no blanks");
	write_secret("", 0600);
	head_of(&access, "a token has 1 to 1024 characters");
	write_secret("glc\r\nX: y\n", 0600);
	head_of(&access, "it has more than one line");
	write_secret("glc\n\n\nother", 0600);
	head_of(&access, "it has more than one line");
	write_secret("glc\r\n\n", 0600);
	free(head_of(&access, NULL));
	access.url = "http://192.0.2.1";
	head_of(&access, "others on the network could read the token or the password");
	access.url = "http://pyroscope";
	head_of(&access, "use https://");
	access.url = "http://localhost";
	free(head_of(&access, NULL));
	access.password_file = secret_path;
	head_of(&access, "give one of them");
	access.token_file = NULL;
	head_of(&access, "NAME:PASSWORD in one line");
	access.password_file = NULL;
	access.tenant = "a\r\nX: y";
	head_of(&access, "--push-tenant");
	access.tenant = "";
	head_of(&access, "--push-tenant");
	access.tenant = NULL;
	access.ca_file = secret_path;
	head_of(&access, "an http:// URL has no certificate");
	access.url = "https://localhost";
	head_of(&access, "it has no certificates in PEM");
}

/* Nor is a part of it shown. */
static void passwords_in_urls(void **state)
{
	static const char *const urls[] = {
		"http://me:secret@x", "http://me:a/secret@x",	"http://me:12/secret@x",
		"me:secret@x",	      "http://x/?token=secret", "http://x/#secret",
		"ftp://me:secret@x",  "http://x?secret",	"http://me:a?secret@x",
	};
	struct push_access access = {};
	struct push_target target;
	char why[512];

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		access.url = urls[i];
		assert_int_equal(push_target_open(&target, &access, why, sizeof(why)), -EINVAL);
		if (strncmp(why, "--push: ", 8) != 0 || strstr(why, "secret"))
			fail_msg("%s", why);
	}
}

/* --- answers --- */

static int take(struct http_reply *r, const char *text, size_t piece)
{
	size_t size = strlen(text);
	int result = 0;

	*r = (struct http_reply){};
	for (size_t at = 0; at < size && !result; at += piece)
		result = http_reply_take(r, text + at, piece < size - at ? piece : size - at, 1000);
	return result;
}

static void check_answer(const char *text, unsigned status, int64_t retry_after, const char *words)
{
	static const size_t pieces[] = {1, 2, 7, 4096};
	char said[600];

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct http_reply r;
		int result = take(&r, text, pieces[i]);

		assert_in_range(result, 0, 1);
		if (!result)
			assert_int_equal(http_reply_end(&r), 0);
		assert_int_equal(r.status, status);
		assert_int_equal(r.retry_after, retry_after);
		http_reply_words(&r, NULL, said, sizeof(said));
		assert_string_equal(said, words);
	}
}

static void answers(void **state)
{
	(void)state;
	check_answer("HTTP/1.1 200 OK\r\n\r\n", 200, -1, "200");
	check_answer("HTTP/1.0 204 \n\n", 204, -1, "204");
	check_answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nRetry-After: 5\r\n\r\n", 200, 5,
		     "200");
	check_answer("HTTP/1.1 503 x\r\nretry-after:  120 \r\nContent-Length: 9\r\n\r\nno memory",
		     503, 120, "503 Service Unavailable: no memory");
	check_answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 60\r\n\r\n"
		     "{\"code\":\"invalid_argument\",\"message\":\"service \\\"x\\\" is not\"}",
		     400, -1, "400 Bad Request: service \"x\" is not");
	check_answer("HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"
		     "5\r\nhello\r\n0\r\n\r\n",
		     500, -1, "500 Internal Server Error: hello");
	check_answer("HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", 302,
		     -1, "302 a redirect, which is not followed");
	check_answer("HTTP/1.1 401 x\r\n\r\n\x1b[2Jevil\nmore", 401, -1,
		     "401 Unauthorized: \\x1b[2Jevil");
	check_answer("HTTP/1.1 599 x\r\n\r\n", 599, -1, "599");
}

static void content_types(void **state)
{
	struct http_reply r;

	(void)state;
	take(&r, "HTTP/1.1 200 x\r\ncontent-type: Application/Proto\r\n\r\n", 3);
	assert_true(r.proto);
	take(&r, "HTTP/1.1 200 x\r\nContent-Type: application/proto; a=b\r\n\r\n", 100);
	assert_true(r.proto);
	take(&r, "HTTP/1.1 200 x\r\nContent-Type: application/protobuf\r\n\r\n", 100);
	assert_false(r.proto);
	take(&r, "HTTP/1.1 200 x\r\nContent-Type: text/html\r\n\r\n", 100);
	assert_false(r.proto);
	take(&r, "HTTP/1.1 100 x\r\nContent-Type: application/proto\r\n\r\nHTTP/1.1 200 x\r\n\r\n",
	     100);
	assert_false(r.proto);
}

/* A server that repeats what it was sent: all of the secret, what fits, with escapes in it. */
static void repeats(void **state)
{
	static const char *const texts[] = {
		"Authorization: Bearer glc_eyJvIjoiMSIsIm4iOiJ4",
		"glc_eyJvIj",
		"glc\\u005feyJvIjoiMS",
		"{\"message\":\"no user: Bearer glc_eyJvIjoiMSIsIm4iOiJ4\"}",
	};
	struct http_reply r;
	char head[256], said[600];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(head, sizeof(head), "HTTP/1.1 401 x\r\n\r\n%s", texts[i]);
		take(&r, head, 1000);
		http_reply_words(&r, "glc_eyJvIjoiMSIsIm4iOiJ4", said, sizeof(said));
		assert_string_equal(said, "401 Unauthorized: (it repeats the secret)");
		http_reply_words(&r, "glc_eYjViJOImsiSiM4IoIj4", said, sizeof(said));
		assert_null(strstr(said, "repeats"));
	}
	take(&r, "HTTP/1.1 401 x\r\n\r\nno user x1", 1000);
	http_reply_words(&r, "x1", said, sizeof(said));
	assert_string_equal(said, "401 Unauthorized: (it repeats the secret)");
}

static void no_answers(void **state)
{
	static const char *const wrong[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/2 200\r\n",
		"HTTP/1.1 99 x\r\n",
		"HTTP/1.1 600 x\r\n",
		"HTTP/1.1 2000 x\r\n",
		"HTTP/1.1  200 x\r\n",
		"HTTP/1.1\r\n",
		"\r\n",
		"HTTP/1.1 20x x\r\n",
		"HTTP/1.1 101 x\r\n\r\n",
	};
	struct http_reply r;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (take(&r, wrong[i], 3) != -EPROTO)
			fail_msg("%s", wrong[i]);
	r = (struct http_reply){};
	assert_int_equal(http_reply_end(&r), -ECONNRESET);
	assert_int_equal(take(&r, "HTTP/1.1 200 OK\r\nA: b\r\n", 100), 0);
	assert_int_equal(http_reply_end(&r), -EPROTO);
	assert_int_equal(take(&r, "HTTP/1.1 100 x\r\n\r\n", 100), 0);
	assert_int_equal(http_reply_end(&r), -EPROTO);
}

/* A head without an end, in long lines and in short ones; interim answers without an end; a body
 * without one. */
static void endless(void **state)
{
	static const char *const begins[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX: ", ""};
	static const char *const more[] = {"A: b\r\n", "xxxxxxx", "HTTP/1.1 100 x\r\n\r\n"};
	struct http_reply r;
	size_t given = 0;
	int result;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		result = take(&r, begins[i], 100);
		for (given = 0; !result && given < 2 * HTTP_REPLY_HEAD; given += strlen(more[i]))
			result = http_reply_take(&r, more[i], strlen(more[i]), 0);
		assert_int_equal(result, -EMSGSIZE);
		assert_int_equal(http_reply_take(&r, "x", 1, 0), 1);
	}
	result = take(&r, "HTTP/1.1 500 x\r\n\r\n", 100);
	for (given = 0; !result && given < 2 * HTTP_REPLY_BODY; given++)
		result = http_reply_take(&r, "y", 1, 0);
	assert_int_equal(result, 1);
	assert_int_equal(given, HTTP_REPLY_TEXT);
}

static void times_to_come_again(void **state)
{
	(void)state;
	assert_int_equal(http_reply_retry_after("0", 0), 0);
	assert_int_equal(http_reply_retry_after("120", 0), 120);
	assert_int_equal(http_reply_retry_after("99999999999999999999999", 0), 1000000000);
	assert_int_equal(http_reply_retry_after("-1", 0), -1);
	assert_int_equal(http_reply_retry_after("1.5", 0), -1);
	assert_int_equal(http_reply_retry_after("", 0), -1);
	assert_int_equal(http_reply_retry_after("soon", 0), -1);
	assert_int_equal(http_reply_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 30),
			 30);
	assert_int_equal(http_reply_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 + 30),
			 0);
	assert_int_equal(http_reply_retry_after("Sun, 06 Nov 1994 08:49:37 CET", 0), -1);
	assert_int_equal(http_reply_retry_after("Sun, 06 Nix 1994 08:49:37 GMT", 0), -1);
	assert_int_equal(http_reply_retry_after("Sun, 41 Nov 1994 08:49:37 GMT", 0), -1);
	assert_int_equal(http_reply_retry_after("Sun, 06 Nov 9994 08:49:37 GMT", 0), 1000000000);
}

/* --- decisions --- */

static void back_off(void **state)
{
	static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};

	(void)state;
	for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		assert_int_equal(push_back_off(i + 1, 0, -1), seconds[i] * NS);
		assert_in_range(push_back_off(i + 1, UINT32_MAX, -1), seconds[i] * NS / 2,
				seconds[i] * NS / 2 + 1);
	}
	assert_int_equal(push_back_off(UINT32_MAX, 0, -1), 300 * NS);
	/* What the server asks for, up to an hour, and not less than would be anyway. */
	assert_int_equal(push_back_off(1, 0, 77), 77 * NS);
	assert_in_range(push_back_off(1, 4000000000u, 77), 77 * NS, 78 * NS);
	assert_int_equal(push_back_off(1, 0, 1000000), 3600 * NS);
	assert_int_equal(push_back_off(10, 0, 1), 300 * NS);
	assert_int_equal(push_back_off(1, 0, 0), NS);
}

static void verdicts(void **state)
{
	static const unsigned later[] = {408, 409, 425, 429, 499, 500, 502, 503, 504, 599};
	static const unsigned refused[] = {300, 301, 302, 307, 400, 401, 403,
					   404, 405, 413, 415, 422, 501, 505};

	(void)state;
	assert_int_equal(push_verdict(200, true), PUSH_TAKEN);
	assert_int_equal(push_verdict(200, false), PUSH_REFUSED);
	assert_int_equal(push_verdict(204, true), PUSH_REFUSED);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		assert_int_equal(push_verdict(later[i], false), PUSH_LATER);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(push_verdict(refused[i], true), PUSH_REFUSED);
}

/* --- names --- */

static void hosts(void **state)
{
	static const char text[] = "# a comment\n"
				   "127.0.0.1\tlocalhost\n"
				   "192.0.2.7  Profiles.example.org profiles # 192.0.2.8 profiles\n"
				   "2001:db8::7 profiles\n"
				   "192.0.2.7 profiles\n"
				   "nonsense profiles\n"
				   "192.0.2.9";
	struct resolver_answer answer = {};
	struct in6_addr v6;
	struct in_addr v4;
	FILE *file = fmemopen((void *)text, strlen(text), "r");

	(void)state;
	assert_non_null(file);
	resolver_read_hosts(file, "PROFILES", &answer);
	fclose(file);
	assert_int_equal(answer.count, 2);
	assert_int_equal(answer.list[0].family, AF_INET);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &v4), 1);
	assert_memory_equal(answer.list[0].number, &v4, sizeof(v4));
	assert_int_equal(answer.list[1].family, AF_INET6);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &v6), 1);
	assert_memory_equal(answer.list[1].number, &v6, sizeof(v6));
}

/* Of /proc/PID/status, without blanks before it. The caller has room for 128. */
static void status_of(pid_t pid, const char *field, char *value)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file))
		found = !strncmp(line, field, strlen(field)) && line[strlen(field)] == ':';
	fclose(file);
	assert_true(found);
	line[strcspn(line, "\n")] = '\0';
	snprintf(value, 128, "%.127s",
		 line + strlen(field) + 1 + strspn(line + strlen(field) + 1, "\t "));
}

/* It has no rights, and if it may, it is nobody. */
static void check_rights(pid_t pid, const struct resolver_rights *rights)
{
	char value[128];

	status_of(pid, "CapEff", value);
	assert_string_equal(value, "0000000000000000");
	status_of(pid, "CapPrm", value);
	assert_string_equal(value, "0000000000000000");
	status_of(pid, "NoNewPrivs", value);
	assert_string_equal(value, "1");
	status_of(pid, "Seccomp", value);
	assert_string_equal(value, rights->filter_error ? "0" : "2");
	if (geteuid()) {
		assert_int_equal(rights->user_error, -EPERM);
		return;
	}
	assert_int_equal(rights->user_error, 0);
	status_of(pid, "Uid", value);
	assert_string_equal(value, "65534\t65534\t65534\t65534");
	status_of(pid, "Gid", value);
	assert_string_equal(value, "65534\t65534\t65534\t65534");
	status_of(pid, "Groups", value);
	assert_string_equal(value, "");
}

/* Who started it ends without the right to signal it. */
static void ends_with_its_parent(void **state)
{
	struct pollfd end = {.events = POLLIN};
	int pipes[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct confined confined;
		struct resolver resolver;
		struct resolver_rights rights;

		/* The helper has it as its standard error. */
		_exit(dup2(pipes[1], STDERR_FILENO) < 0 || resolver_start(&resolver, &rights) ||
		      confine(0, &confined) || resolver_ask(&resolver, 1, "profiles.invalid"));
	}
	close(pipes[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	end.fd = pipes[0];
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_true(end.revents & POLLHUP);
	close(pipes[0]);
}

/* A helper answers, and has nothing of its parent. */
static void names(void **state)
{
	struct pollfd ready = {.events = POLLIN};
	struct resolver_rights rights;
	struct resolver resolver;
	struct resolver_answer answer = {};
	char folder_of_files[64], name[RESOLVER_NAME + 1] = "";
	FILE *file = fopen("/etc/hosts", "re");
	DIR *files;
	int count = 0;

	(void)state;
	if (file) {
		resolver_read_hosts(file, "localhost", &answer);
		fclose(file);
	}
	if (!answer.count)
		skip();
	assert_int_equal(resolver_start(&resolver, &rights), 0);
	check_rights(resolver.pid, &rights);
	snprintf(folder_of_files, sizeof(folder_of_files), "/proc/%d/fd", resolver.pid);
	files = opendir(folder_of_files);
	assert_non_null(files);
	while (readdir(files))
		count++;
	closedir(files);
	/* Standard error and the socket; "." and "..". */
	assert_int_equal(count, 4);
	memset(name, 'a', RESOLVER_NAME);
	assert_int_equal(resolver_ask(&resolver, 6, name), -ENAMETOOLONG);
	assert_int_equal(resolver_take(&resolver, &answer), -EAGAIN);
	assert_int_equal(resolver_ask(&resolver, 7, "LOCALHOST"), 0);
	ready.fd = resolver.fd;
	assert_int_equal(poll(&ready, 1, 20000), 1);
	assert_int_equal(resolver_take(&resolver, &answer), 0);
	assert_int_equal(answer.number, 7);
	assert_int_equal(answer.error, 0);
	assert_in_range(answer.count, 1, RESOLVER_MOST);
	resolver_stop(&resolver);
	assert_int_equal(resolver_ask(&resolver, 8, "localhost"), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(wrong_urls),
		cmocka_unit_test(heads),
		cmocka_unit_test(secrets_that_are_refused),
		cmocka_unit_test(answers),
		cmocka_unit_test(no_answers),
		cmocka_unit_test(endless),
		cmocka_unit_test(times_to_come_again),
		cmocka_unit_test(back_off),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(hosts),
		cmocka_unit_test(names),
		cmocka_unit_test(ends_with_its_parent),
		cmocka_unit_test(passwords_in_urls),
		cmocka_unit_test(repeats),
		cmocka_unit_test(content_types),
		cmocka_unit_test(same_targets),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
