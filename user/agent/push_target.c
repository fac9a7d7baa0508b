/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/push_target.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/given_file.h"

#define SECRET_MOST 1024       /* characters */
#define SECRET_FILE 4096       /* bytes */
#define CA_FILE	    (4u << 20) /* bytes: that of Debian has 0.2 MiB */
#define TENANT_MOST 150	       /* characters, as Pyroscope has it */
#define PATH	    "/push.v1.PusherService/Push"
#define CA_OPTION   "--push-ca"

/* Where distributions have the certificates of authorities. */
static const char *const ca_files[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

#define CA_FILES (sizeof(ca_files) / sizeof(ca_files[0]))

static int no_memory(char *why, size_t size)
{
	snprintf(why, size, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

/* --- who we are --- */

/* "Basic " and NAME:PASSWORD in base64. NULL: out of memory. */
static char *basic(const char *words)
{
	const gnutls_datum_t given = {(unsigned char *)words, (unsigned)strlen(words)};
	gnutls_datum_t encoded = {};
	char *value = NULL;

	if (gnutls_base64_encode2(&given, &encoded) < 0)
		return NULL;
	if (asprintf(&value, "Basic %.*s", (int)encoded.size, encoded.data) < 0)
		value = NULL;
	explicit_bzero(encoded.data, encoded.size);
	gnutls_free(encoded.data);
	return value;
}

static char *bearer(const char *token)
{
	char *value;

	return asprintf(&value, "Bearer %s", token) < 0 ? NULL : value;
}

static int read_secret(struct push_target *t, const struct push_access *access, char *why,
		       size_t size)
{
	bool token = access->token_file;
	const struct given_file file = {
		.option = token ? "--push-token-file" : "--push-password-file",
		.path = token ? access->token_file : access->password_file,
		.secret = true,
		.most = SECRET_FILE,
	};
	char *secret;
	int err;

	if (!file.path)
		return 0;
	err = given_file_secret(&file, token ? "a token has" : "NAME:PASSWORD has", 1, SECRET_MOST,
				&secret, why, size);
	if (err)
		return err;
	if (!token && !strchr(secret, ':')) {
		snprintf(why, size, "--push-password-file %s: it has NAME:PASSWORD in one line",
			 file.path);
		err = -EINVAL;
	} else {
		t->authorization = token ? bearer(secret) : basic(secret);
		err = t->authorization ? 0 : no_memory(why, size);
	}
	given_file_wipe(secret);
	return err;
}

static int set_tenant(struct push_target *t, const char *tenant, char *why, size_t size)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"!-_.*'()";
	size_t length = tenant ? strlen(tenant) : 0;

	if (!tenant)
		return 0;
	if (!length || length > TENANT_MOST || strspn(tenant, allowed) != length) {
		snprintf(
			why, size,
			"--push-tenant: a tenant has 1 to %d letters, digits and signs of !-_.*'()",
			TENANT_MOST);
		return -EINVAL;
	}
	t->tenant = strdup(tenant);
	return t->tenant ? 0 : no_memory(why, size);
}

/* --- who the server is --- */

/* 0, or -errno with a sentence in `why`. */
static int trust_file(struct push_target *t, const char *path, char *why, size_t size)
{
	const struct given_file file = {.option = CA_OPTION, .path = path, .most = CA_FILE};
	gnutls_datum_t pem;
	char *text;
	int err = given_file_read(&file, &text, why, size), count;

	if (err)
		return err;
	pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
	count = gnutls_certificate_set_x509_trust_mem(t->trust, &pem, GNUTLS_X509_FMT_PEM);
	if (count > 0)
		count = gnutls_hash_fast(GNUTLS_DIG_SHA256, pem.data, pem.size, t->authorities) < 0
				? GNUTLS_E_HASH_FAILED
				: count;
	free(text);
	if (count > 0)
		return 0;
	snprintf(why, size, "--push-ca %s: it has no certificates in PEM", path);
	return -EINVAL;
}

static int set_trust(struct push_target *t, const char *path, char *why, size_t size)
{
	if (gnutls_certificate_allocate_credentials(&t->trust) < 0) {
		t->trust = NULL;
		return no_memory(why, size);
	}
	if (path)
		return trust_file(t, path, why, size);
	for (size_t i = 0; i < CA_FILES; i++)
		if (!access(ca_files[i], R_OK))
			return trust_file(t, ca_files[i], why, size);
	snprintf(why, size,
		 "the certificates of authorities are not where they are on other systems: name "
		 "their file with " CA_OPTION);
	return -EINVAL;
}

/* --- all of it --- */

static int check(const struct push_target *t, const struct push_access *access, char *why,
		 size_t size)
{
	if (access->token_file && access->password_file)
		snprintf(why, size, "--push-token-file and --push-password-file: give one of them");
	else if (access->ca_file && !t->url.tls)
		snprintf(why, size, "--push-ca: an http:// URL has no certificate");
	else if ((access->token_file || access->password_file) && !t->url.tls && !t->url.loopback)
		snprintf(why, size,
			 "--push %s: others on the network could read the token or the password: "
			 "use https://",
			 access->url);
	else
		return 0;
	return -EINVAL;
}

int push_target_open(struct push_target *t, const struct push_access *access, char *why,
		     size_t size)
{
	char what[128];
	int err;

	*t = (struct push_target){};
	err = push_url_parse(access->url, &t->url, what, sizeof(what));
	/* One with these signs may have a password in it. */
	if (err && strpbrk(access->url, "@?#"))
		snprintf(why, size, "--push: %s", what);
	else if (err)
		snprintf(why, size, "--push %s: %s", access->url, what);
	err = err ?: check(t, access, why, size);
	if (!err) {
		t->shown = strdup(access->url);
		err = t->shown ? 0 : no_memory(why, size);
	}
	err = err ?: set_tenant(t, access->tenant, why, size) ?: read_secret(t, access, why, size);
	if (!err && t->url.tls)
		err = set_trust(t, access->ca_file, why, size);
	if (err)
		push_target_close(t);
	return err;
}

void push_target_close(struct push_target *t)
{
	if (t->trust)
		gnutls_certificate_free_credentials(t->trust);
	given_file_wipe(t->authorization);
	free(t->shown);
	free(t->tenant);
	*t = (struct push_target){};
}

/* NULL is equal to NULL. */
static bool same_text(const char *one, const char *other)
{
	return one && other ? !strcmp(one, other) : one == other;
}

bool push_target_same(const struct push_target *one, const struct push_target *other)
{
	return same_text(one->shown, other->shown) && same_text(one->tenant, other->tenant) &&
	       same_text(one->authorization, other->authorization) &&
	       !memcmp(one->authorities, other->authorities, sizeof(one->authorities));
}

const char *push_target_secret(const struct push_target *t)
{
	const char *blank = t->authorization ? strchr(t->authorization, ' ') : NULL;

	return blank ? blank + 1 : t->authorization;
}

char *push_target_head(const struct push_target *t, size_t body_size)
{
	char *head;

	if (asprintf(&head,
		     "POST %s" PATH " HTTP/1.1\r\n"
		     "Host: %s\r\n"
		     "User-Agent: pymem-bpf/" PYMEM_VERSION "\r\n"
		     "Content-Type: application/proto\r\n"
		     "Connect-Protocol-Version: 1\r\n"
		     "Content-Length: %zu\r\n"
		     "Connection: close\r\n"
		     "%s%s%s%s%s%s\r\n",
		     t->url.path, t->url.authority, body_size,
		     t->authorization ? "Authorization: " : "", t->authorization ?: "",
		     t->authorization ? "\r\n" : "", t->tenant ? "X-Scope-OrgID: " : "",
		     t->tenant ?: "", t->tenant ? "\r\n" : "") < 0)
		return NULL;
	return head;
}
