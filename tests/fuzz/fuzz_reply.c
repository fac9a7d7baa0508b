/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: any bytes as what a server of profiles answers, as a URL, and as an /etc/hosts.
 * The first byte is the size of the pieces in which the answer comes. In pieces it is understood as
 * it is in one. Whatever comes, its head and what is kept of its body are bounded, and what is told
 * of it has no control characters. A URL that is taken can't end a line of a head. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http_reply.h"
#include "agent/push_url.h"
#include "os/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1700000000

static void check(int holds)
{
	if (!holds)
		abort();
}

static int take(struct http_reply *r, const char *bytes, size_t size, size_t piece)
{
	int result = 0;
	size_t at = 0;

	*r = (struct http_reply){};
	for (; at < size && !result; at += piece)
		result = http_reply_take(r, bytes + at, piece < size - at ? piece : size - at, NOW);
	check(result <= 1);
	/* Afterwards it takes no more. */
	if (result)
		check(http_reply_take(r, "x", 1, NOW) == 1);
	return result ?: http_reply_end(r);
}

static void check_reply(const char *bytes, size_t size, size_t piece)
{
	struct http_reply whole, parts;
	int result = take(&whole, bytes, size, size ?: 1);
	char words[1024];

	check(take(&parts, bytes, size, piece) == result);
	check(whole.status == parts.status && whole.retry_after == parts.retry_after &&
	      !strcmp(whole.text, parts.text));
	check(whole.head_used <= HTTP_REPLY_HEAD + 1 && strlen(whole.text) <= HTTP_REPLY_TEXT);
	if (result < 0)
		return;
	check(whole.status >= 200 && whole.status <= 599);
	check(whole.retry_after >= -1 && whole.retry_after <= 1000000000);
	http_reply_words(&whole, "a-secret-token", words, sizeof(words));
	check(!strstr(words, "a-secret-token"));
	for (const char *at = words; *at; at++)
		check((unsigned char)*at >= ' ' && *at != 127);
}

static void check_url(const char *text)
{
	struct push_url url;
	char why[128];

	if (push_url_parse(text, &url, why, sizeof(why)))
		return;
	check(url.port && *url.host && (!*url.path || *url.path == '/'));
	for (const char *at = url.authority; *at; at++)
		check(*at > ' ' && *at <= '~');
	for (const char *at = url.path; *at; at++)
		check(*at > ' ' && *at <= '~');
}

static void check_hosts(char *bytes, size_t size)
{
	struct resolver_answer answer = {};
	FILE *file = size ? fmemopen(bytes, size, "r") : NULL;

	if (!file)
		return;
	resolver_read_hosts(file, "profiles", &answer);
	fclose(file);
	check(answer.count <= RESOLVER_MOST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = malloc(size);
	check(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	check_reply(text, size - 1, data[0] % 64 + 1);
	check_url(text);
	check_hosts(text, size - 1);
	free(text);
	return 0;
}
