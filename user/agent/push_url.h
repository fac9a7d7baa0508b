/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where profiles are pushed to: "https://profiles.example.org", "http://127.0.0.1:4040/prefix". */
#ifndef PUSH_URL_H
#define PUSH_URL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUSH_HOST_MOST 253 /* characters of a name */
#define PUSH_PATH_MOST 512

struct push_url {
	bool tls;
	/* Without brackets and without a dot behind it: a name or an address. */
	char host[PUSH_HOST_MOST + 1];
	char looked_up[PUSH_HOST_MOST + 1];  /* the name, with such a dot; "": an address */
	char authority[PUSH_HOST_MOST + 10]; /* as the header Host has it */
	char path[PUSH_PATH_MOST + 1];	     /* "", or "/prefix" without a slash at its end */
	uint16_t port;
	/* The address, if `host` is one: AF_INET or AF_INET6, in the network's byte order. 0: it is
	 * a name. */
	int family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} address;
	bool loopback; /* a loopback address, or "localhost" */
};

/* Reads a URL. Without a port it is that of the scheme, 80 or 443. 0, or -EINVAL with what is wrong
 * in `why` (`size` bytes). */
int push_url_parse(const char *text, struct push_url *url, char *why, size_t size);

#endif
