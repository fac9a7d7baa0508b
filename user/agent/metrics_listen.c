/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: figures of all programs of a host must not be readable for the network by mistake. So
 * nothing listens by default; a loopback address or a unix socket needs nothing else; and any other
 * address is refused unless there are a certificate and a token, which only root can read.
 *
 * Addresses are numbers: looking up a name would ask somebody else where to listen. */
#include "agent/metrics_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/given_file.h"

#define BACKLOG	   128
#define FILE_BYTES (256 * 1024) /* of a certificate with its chain at most */
#define UNIX	   "unix:"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

struct words { /* where a sentence goes */
	char *why;
	size_t size;
};

static int __attribute__((format(printf, 3, 4)))
refuse(const struct words *words, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(words->why, words->size, format, args);
	va_end(args);
	return err;
}

bool metrics_token_is(const char *token, const char *given)
{
	size_t length = strlen(token), other = strlen(given);
	volatile size_t differs = length ^ other;

	for (size_t i = 0; i < length; i++)
		differs |= (unsigned char)token[i] ^ (unsigned char)(other ? given[i % other] : 0);
	return !differs;
}

/* --- addresses --- */

/* Reads "1.2.3.4:PORT" or "[ADDRESS]:PORT". Returns the size of the address, or 0. */
static socklen_t parse_address(const char *text, union address *address)
{
	const char *colon = strrchr(text, ':'), *end;
	char host[INET6_ADDRSTRLEN + 2];
	unsigned long port;
	char *rest;

	if (!colon || colon[1] < '0' || colon[1] > '9' || (size_t)(colon - text) >= sizeof(host))
		return 0;
	errno = 0;
	port = strtoul(colon + 1, &rest, 10);
	if (errno || *rest || port > 65535)
		return 0;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	*address = (union address){};
	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons((uint16_t)port);
		return sizeof(address->v4);
	}
	end = strchr(host, ']');
	if (host[0] != '[' || !end || end[1])
		return 0;
	host[end - host] = '\0';
	if (inet_pton(AF_INET6, host + 1, &address->v6.sin6_addr) != 1)
		return 0;
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons((uint16_t)port);
	return sizeof(address->v6);
}

static bool is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* The port may have been 0: then the kernel has chosen one. */
static void write_url(struct metrics_listener *l)
{
	union address address;
	socklen_t size = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "";

	if (l->local || getsockname(l->fd, &address.any, &size)) {
		snprintf(l->url, sizeof(l->url), UNIX "%s", l->path ?: "");
		return;
	}
	if (address.any.sa_family == AF_INET)
		inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
	else
		inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
	snprintf(l->url, sizeof(l->url),
		 address.any.sa_family == AF_INET ? "http%s://%s:%u/metrics"
						  : "http%s://[%s]:%u/metrics",
		 l->cert ? "s" : "", host, ntohs(address.v4.sin_port));
}

static int listen_tcp(struct metrics_listener *l, const char *text, const struct words *words)
{
	union address address;
	socklen_t size = parse_address(text, &address);
	int on = 1;

	if (!size)
		return refuse(words, -EINVAL,
			      "--listen %s: give 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, "
			      "addresses as numbers",
			      text);
	if (!is_loopback(&address) && !(l->cert && l->token))
		return refuse(
			words, -EINVAL,
			"--listen %s: others could read it from the network: give --tls-cert, "
			"--tls-key and --metrics-token-file, or listen at 127.0.0.1 or "
			"unix:/PATH",
			text);
	l->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return refuse(words, -errno, "--listen %s: %s", text, strerror(errno));
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address.any.sa_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(l->fd, &address.any, size) || listen(l->fd, BACKLOG))
		return refuse(words, -errno, "--listen %s: %s", text, strerror(errno));
	return 0;
}

/* --- a unix socket --- */

/* Removes the file at the path if it is the socket of an agent that is dead. 0: the path is free.
 */
static int clear_stale(const struct sockaddr_un *address, const struct words *words)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, err;

	if (lstat(path, &st))
		return errno == ENOENT ? 0
				       : refuse(words, -errno, "--listen unix:%s: %s", path,
						strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return refuse(words, -EEXIST,
			      "--listen unix:%s: it is there and is no socket; it is left alone",
			      path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return refuse(words, -errno, "--listen unix:%s: %s", path, strerror(errno));
	err = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(fd);
	if (err != ECONNREFUSED)
		return refuse(words, -EADDRINUSE,
			      "--listen unix:%s: another program listens there; end it, or choose "
			      "another path",
			      path);
	if (unlink(path) && errno != ENOENT)
		return refuse(words, -errno, "--listen unix:%s: %s", path, strerror(errno));
	return 0;
}

/* Only its owner, and so root, may connect. The folder is made if only its last part is missing. */
static int listen_unix(struct metrics_listener *l, const char *path, const struct words *words)
{
	union address address = {.local.sun_family = AF_UNIX};
	char folder[sizeof(address.local.sun_path)];
	struct stat st;
	mode_t mask;
	int err;

	if (*path != '/' || strlen(path) >= sizeof(address.local.sun_path))
		return refuse(words, -EINVAL,
			      "--listen unix:%s: a path that begins with / and has at most %zu "
			      "bytes is needed",
			      path, sizeof(address.local.sun_path) - 1);
	strcpy(address.local.sun_path, path);
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (*folder && mkdir(folder, 0755) && errno != EEXIST)
		return refuse(words, -errno, "--listen unix:%s: %s", path, strerror(errno));
	err = clear_stale(&address.local, words);
	if (err)
		return err;
	l->local = true;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	err = l->fd < 0 || bind(l->fd, &address.any, sizeof(address.local)) ? -errno : 0;
	umask(mask);
	if (!err && (lstat(path, &st) || listen(l->fd, BACKLOG)))
		err = -errno;
	if (err)
		return refuse(words, err, "--listen unix:%s: %s", path, strerror(-err));
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->path = strdup(path);
	return l->path ? 0 : refuse(words, -ENOMEM, "%s", strerror(ENOMEM));
}

/* --- all of it --- */

static int read_secrets(struct metrics_listener *l, const struct metrics_access *access,
			const struct words *words)
{
	const struct given_file cert = {"--tls-cert", access->tls_cert, false, FILE_BYTES};
	const struct given_file key = {"--tls-key", access->tls_key, true, FILE_BYTES};
	const struct given_file token = {"--metrics-token-file", access->token_file, true,
					 FILE_BYTES};
	int err = 0;

	if (!access->tls_cert != !access->tls_key)
		return refuse(words, -EINVAL, "--tls-cert and --tls-key need each other");
	if (access->tls_cert)
		err = given_file_read(&cert, &l->cert, words->why, words->size)
			      ?: given_file_read(&key, &l->key, words->why, words->size);
	if (!err && access->token_file)
		err = given_file_secret(&token, "a token has", METRICS_TOKEN_LEAST,
					METRICS_TOKEN_MOST, &l->token, words->why, words->size);
	return err;
}

int metrics_listener_open(struct metrics_listener *l, const struct metrics_access *access,
			  char *why, size_t size)
{
	const struct words words = {why, size};
	const char *text = access->listen;
	bool local = text && !strncmp(text, UNIX, strlen(UNIX));
	int err;

	*l = (struct metrics_listener){.fd = -1};
	if (!text)
		return refuse(
			&words, -EINVAL,
			"--tls-cert, --tls-key, --metrics-token-file and --metrics-lines need "
			"--listen");
	if (local && access->tls_cert)
		return refuse(&words, -EINVAL, "--listen %s: a unix socket has no TLS", text);
	err = read_secrets(l, access, &words);
	if (!err)
		err = local ? listen_unix(l, text + strlen(UNIX), &words)
			    : listen_tcp(l, text, &words);
	if (!err)
		write_url(l);
	return err;
}

void metrics_listener_close(struct metrics_listener *l)
{
	struct stat st;

	if (l->path && !lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l->cert);
	given_file_wipe(l->key);
	given_file_wipe(l->token);
	*l = (struct metrics_listener){.fd = -1};
}
