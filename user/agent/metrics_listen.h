/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the agent's metrics can be fetched, and who may: the socket, its certificate, its token. */
#ifndef METRICS_LISTEN_H
#define METRICS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define METRICS_TOKEN_LEAST 16 /* characters */
#define METRICS_TOKEN_MOST  1024

struct metrics_access {	    /* what options say; NULL: not given */
	const char *listen; /* "127.0.0.1:9746", "[::1]:9746", "unix:/path" */
	const char *tls_cert, *tls_key;
	const char *token_file;
};

struct metrics_listener { /* {.fd = -1} is a closed one */
	int fd;
	bool local; /* a unix socket */
	char *path; /* of the unix socket; NULL: it is none, or it was not made */
	dev_t dev;  /* of the file at `path` */
	ino_t ino;
	char url[160];	  /* what a client may be told: "http://127.0.0.1:9746/metrics" */
	char *cert, *key; /* PEM; NULL: no TLS */
	char *token;	  /* that clients must have; NULL: none */
};

/* Listens. Whatever others on the network could reach must have a certificate and a token. The
 * socket of a dead agent is replaced, any other file is left alone. 0, or -errno with a sentence
 * for the user in `why` (`size` bytes): -EINVAL: options are wrong. metrics_listener_close() is to
 * be called either way. */
int metrics_listener_open(struct metrics_listener *listener, const struct metrics_access *access,
			  char *why, size_t size);
/* Closes it, and removes the file of a unix socket if that is still the same. */
void metrics_listener_close(struct metrics_listener *listener);

/* True if `given` is the token. Takes as long for any two texts of these lengths. */
bool metrics_token_is(const char *token, const char *given);

#endif
