/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where profiles are pushed to, and who the agent is there: what options and their files say. */
#ifndef PUSH_TARGET_H
#define PUSH_TARGET_H

#include <gnutls/gnutls.h>

#include "agent/push_url.h"

struct push_access {	 /* what options say; NULL: not given */
	const char *url; /* never NULL */
	const char *token_file, *password_file, *tenant, *ca_file;
};

struct push_target { /* {} has nothing */
	struct push_url url;
	char *shown;	     /* the URL as it was given: it has no secret in it */
	char *authorization; /* the value of that header, a secret; NULL: none */
	char *tenant;	     /* the value of X-Scope-OrgID; NULL: none */
	gnutls_certificate_credentials_t trust; /* NULL: no TLS */
	unsigned char authorities[32];		/* the hash of their certificates; zeros: no TLS */
};

/* Reads the URL and the files. A token or a password goes over TLS, or to a loopback address, only.
 * 0, or -errno with a sentence for the user in `why` (`size` bytes): -EINVAL: options are wrong.
 * Then `target` has nothing. */
int push_target_open(struct push_target *target, const struct push_access *access, char *why,
		     size_t size);
void push_target_close(struct push_target *target);
/* Whether requests to them would be the same, and their certificates trusted alike. */
bool push_target_same(const struct push_target *one, const struct push_target *other);

/* What nobody may see of `authorization`, which is in there. NULL: there is no secret. */
const char *push_target_secret(const struct push_target *target);

/* The head of a request with a body of so many bytes, with a NUL behind it, for given_file_wipe().
 * NULL: out of memory. */
char *push_target_head(const struct push_target *target, size_t body_size);

#endif
