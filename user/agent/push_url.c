/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a URL of an option may have is less than RFC 3986 allows: what is put into a request line
 * and headers must not be able to end them, and a password on a command line is everybody's. */
#include "agent/push_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABEL_MOST 63

static int refuse(const char *what, char *why, size_t size)
{
	snprintf(why, size, "%s", what);
	return -EINVAL;
}

/* Letters, digits, '-' and '_', in labels between dots. */
static bool is_name(const char *host)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	while (*host) {
		size_t length = strspn(host, letters);

		if (!length || length > LABEL_MOST || *host == '-')
			return false;
		host += length;
		if (*host == '.')
			host++;
		else if (*host)
			return false;
	}
	return true;
}

/* "127.1" and "0x7f000001" would be addresses to some readers: those whose last label is a number.
 */
static bool is_like_a_number(const char *host)
{
	static const char digits[] = "0123456789", more[] = "0123456789abcdefABCDEF";
	size_t length = strlen(host), last;
	bool hexadecimal;

	if (length && host[length - 1] == '.')
		length--;
	for (last = length; last && host[last - 1] != '.'; last--)
		;
	length -= last;
	hexadecimal = length >= 2 && !strncasecmp(host + last, "0x", 2);
	return hexadecimal ? strspn(host + last + 2, more) + 2 >= length
			   : strspn(host + last, digits) >= length;
}

/* The host, which is `length` bytes of `text`. 0 or -EINVAL. */
static int set_host(struct push_url *url, const char *text, size_t length, bool brackets, char *why,
		    size_t size)
{
	if (!length || length > PUSH_HOST_MOST)
		return refuse("a host is needed, of at most 253 characters", why, size);
	memcpy(url->host, text, length);
	url->host[length] = '\0';
	if (brackets) {
		if (inet_pton(AF_INET6, url->host, &url->address.v6) != 1)
			return refuse("in brackets is an address of IPv6", why, size);
		url->family = AF_INET6;
		url->loopback = IN6_IS_ADDR_LOOPBACK(&url->address.v6);
		return 0;
	}
	if (inet_pton(AF_INET, url->host, &url->address.v4) == 1) {
		url->family = AF_INET;
		url->loopback = ntohl(url->address.v4.s_addr) >> 24 == 127;
		return 0;
	}
	if (!is_name(url->host) || is_like_a_number(url->host))
		return refuse("its host is no name of letters, digits, - and ., and no address",
			      why, size);
	/* To DNS it says that nothing is to be put behind the name. Certificates and servers have
	 * names without it. */
	memcpy(url->looked_up, url->host, sizeof(url->host));
	if (url->host[length - 1] == '.')
		url->host[length - 1] = '\0';
	url->loopback = !strcasecmp(url->host, "localhost");
	return 0;
}

/* What follows the host: ":PORT", or nothing. 0 or -EINVAL. */
static int set_port(struct push_url *url, const char *text, size_t length, char *why, size_t size)
{
	unsigned long port;

	url->port = url->tls ? 443 : 80;
	if (!length)
		return 0;
	if (*text != ':' || length < 2 || length > 6 || strspn(text + 1, "0123456789") < length - 1)
		return refuse("behind the host is :PORT, or /", why, size);
	port = strtoul(text + 1, NULL, 10);
	if (!port || port > 65535)
		return refuse("a port is a number from 1 to 65535", why, size);
	url->port = (uint16_t)port;
	return 0;
}

static int set_path(struct push_url *url, const char *text, char *why, size_t size)
{
	size_t length = strlen(text);

	while (length && text[length - 1] == '/')
		length--;
	if (length > PUSH_PATH_MOST)
		return refuse("its path is too long", why, size);
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("?#\"<>\\^`{|}", text[i]))
			return refuse("its path has letters, digits and signs, no ? and no #", why,
				      size);
	memcpy(url->path, text, length);
	url->path[length] = '\0';
	return 0;
}

int push_url_parse(const char *text, struct push_url *url, char *why, size_t size)
{
	const char *rest, *end, *close;
	bool brackets;
	size_t length;
	int err;

	*url = (struct push_url){.tls = !strncasecmp(text, "https://", 8)};
	if (!url->tls && strncasecmp(text, "http://", 7) != 0)
		return refuse("give http://HOST[:PORT] or https://HOST[:PORT]", why, size);
	rest = text + (url->tls ? 8 : 7);
	end = rest + strcspn(rest, "/?#");
	/* Wherever it is: a password may have a slash in it. */
	if (strchr(rest, '@'))
		return refuse("a name and a password go into --push-password-file", why, size);
	brackets = *rest == '[';
	close = memchr(rest, ']', (size_t)(end - rest));
	if (brackets && !close)
		return refuse("a ] is missing", why, size);
	rest += brackets;
	length = brackets ? (size_t)(close - rest) : strcspn(rest, ":/?#");
	err = set_host(url, rest, length, brackets, why, size);
	rest += length + brackets;
	err = err ?: set_port(url, rest, (size_t)(end - rest), why, size)
		  ?: set_path(url, end, why, size);
	if (err)
		return err;
	if (url->port == (url->tls ? 443 : 80))
		snprintf(url->authority, sizeof(url->authority), brackets ? "[%s]" : "%s",
			 url->host);
	else
		snprintf(url->authority, sizeof(url->authority), brackets ? "[%s]:%u" : "%s:%u",
			 url->host, url->port);
	return 0;
}
