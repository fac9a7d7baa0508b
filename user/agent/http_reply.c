/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a server may answer anything, for any time. Of an answer that is asked for once, on a
 * connection that is closed then, little is needed: so the head is read line by line, each byte
 * once, and nothing is kept but what is below. A library for HTTP would bring connections, a cache
 * of names, redirects, and half of the size that this program may still grow by. */
#include "agent/http_reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"

#define SECONDS_MOST 1000000000LL
#define SECRET_PART  8 /* characters of a secret that are too many in a journal */

/* --- fields --- */

/* A number of digits alone, at most `most`; -1: it is none. */
static int64_t number_of(const char *text, int64_t most)
{
	size_t length = strlen(text);
	int64_t number = 0;

	if (!length || strspn(text, "0123456789") != length)
		return -1;
	for (; *text; text++)
		if (number < most)
			number = number * 10 + (*text - '0');
	return number < most ? number : most;
}

int64_t http_reply_retry_after(const char *text, int64_t now)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64_t seconds = number_of(text, SECONDS_MOST);
	struct tm at = {};
	char month[4];
	int used = 0;

	if (seconds >= 0)
		return seconds;
	/* The two forms that nobody may send any more are not read. */
	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &at.tm_mday, month,
		   &at.tm_year, &at.tm_hour, &at.tm_min, &at.tm_sec, &used) != 6 ||
	    !used || text[used])
		return -1;
	for (at.tm_mon = 0; at.tm_mon < 12 && strcmp(months[at.tm_mon], month); at.tm_mon++)
		;
	if (at.tm_mon == 12 || at.tm_year < 1970 || at.tm_mday < 1 || at.tm_mday > 31 ||
	    at.tm_hour < 0 || at.tm_hour > 23 || at.tm_min < 0 || at.tm_min > 59 || at.tm_sec < 0 ||
	    at.tm_sec > 60)
		return -1;
	at.tm_year -= 1900;
	seconds = (int64_t)timegm(&at) - now;
	return seconds < 0 ? 0 : seconds < SECONDS_MOST ? seconds : SECONDS_MOST;
}

/* The value of the field if it is that one; without blanks around it. NULL: it is another one. */
static char *value_of(char *line, const char *name)
{
	size_t length = strlen(name), end;
	char *value = line + length + 1;

	if (strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	value += strspn(value, " \t");
	for (end = strlen(value); end && strchr(" \t", value[end - 1]); end--)
		;
	value[end] = '\0';
	return value;
}

/* Parameters may follow. */
static bool is_proto(const char *type)
{
	static const char proto[] = "application/proto";
	size_t length = strlen(proto);

	return !strncasecmp(type, proto, length) && strchr("; \t", type[length]);
}

static void take_field(struct http_reply *r, int64_t now)
{
	char *value = value_of(r->line, "Retry-After");
	int64_t number;

	if (value)
		r->retry_after = http_reply_retry_after(value, now);
	value = value_of(r->line, "Content-Length");
	number = value ? number_of(value, INT64_MAX / 20) : -1;
	if (number >= 0)
		r->body_size = (uint64_t)number;
	value = value_of(r->line, "Transfer-Encoding");
	r->chunked |= value && *value;
	value = value_of(r->line, "Content-Type");
	if (value)
		r->proto = is_proto(value);
}

/* --- lines --- */

/* "HTTP/1.1 200 OK" */
static int take_status(struct http_reply *r)
{
	const char *line = r->line;

	if (strncmp(line, "HTTP/1.", 7) != 0 || line[7] < '0' || line[7] > '9' || line[8] != ' ' ||
	    line[9] < '1' || line[9] > '5' || strspn(line + 9, "0123456789") != 3 ||
	    (line[12] && line[12] != ' '))
		return -EPROTO;
	r->status = (unsigned)strtoul(line + 9, NULL, 10);
	r->retry_after = -1;
	r->body_size = UINT64_MAX;
	r->chunked = r->proto = false;
	r->state = HTTP_REPLY_FIELDS;
	return 0;
}

static int over(struct http_reply *r, int result)
{
	r->state = HTTP_REPLY_OVER;
	return result;
}

/* The head is there. */
static int take_end(struct http_reply *r)
{
	/* 101 was not asked for; behind the others comes the answer. */
	if (r->status == 101)
		return -EPROTO;
	if (r->status < 200) {
		r->status = 0;
		r->state = HTTP_REPLY_STATUS;
		return 0;
	}
	/* The length of what comes in pieces is not known before. */
	if (r->chunked)
		r->body_size = UINT64_MAX;
	if (r->status < 300 || r->status == 304 || !r->body_size)
		return over(r, 1);
	r->state = HTTP_REPLY_SAYS;
	return 0;
}

static int take_line(struct http_reply *r, int64_t now)
{
	bool whole = r->line_used < sizeof(r->line);
	size_t length = whole ? r->line_used : sizeof(r->line) - 1;

	r->line_used = 0;
	if (length && whole && r->line[length - 1] == '\r')
		length--;
	r->line[length] = '\0';
	if (strlen(r->line) != length)
		return -EPROTO;
	if (r->state == HTTP_REPLY_STATUS)
		return take_status(r);
	if (!length)
		return take_end(r);
	/* The values that are looked at are short. */
	if (whole)
		take_field(r, now);
	return 0;
}

static int take_head(struct http_reply *r, char byte, int64_t now)
{
	if (++r->head_used > HTTP_REPLY_HEAD)
		return -EMSGSIZE;
	if (byte == '\n')
		return take_line(r, now);
	if (r->line_used < sizeof(r->line))
		r->line[r->line_used] = byte;
	if (r->line_used <= sizeof(r->line))
		r->line_used++;
	return 0;
}

static int take_body(struct http_reply *r, char byte)
{
	r->body_used++;
	if (r->text_used < HTTP_REPLY_TEXT)
		r->text[r->text_used++] = byte ?: ' ';
	r->text[r->text_used] = '\0';
	return r->body_used >= r->body_size || r->body_used >= HTTP_REPLY_BODY ||
			       r->text_used == HTTP_REPLY_TEXT
		       ? over(r, 1)
		       : 0;
}

int http_reply_take(struct http_reply *r, const char *bytes, size_t size, int64_t now)
{
	int result = r->state == HTTP_REPLY_OVER ? 1 : 0;

	for (size_t i = 0; i < size && !result; i++) {
		r->any = true;
		result = r->state == HTTP_REPLY_SAYS ? take_body(r, bytes[i])
						     : take_head(r, bytes[i], now);
	}
	return result < 0 ? over(r, result) : result;
}

int http_reply_end(struct http_reply *r)
{
	if (!r->any)
		return -ECONNRESET;
	if (r->state == HTTP_REPLY_STATUS || r->state == HTTP_REPLY_FIELDS || !r->status)
		return over(r, -EPROTO);
	r->state = HTTP_REPLY_OVER;
	return 0;
}

/* --- what it says --- */

static const char *phrase_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} known[] = {
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == status)
			return known[i].phrase;
	return status >= 300 && status < 400 ? "a redirect, which is not followed" : "";
}

/* Connect says {"code":"invalid_argument","message":"…"}: what is in quotes behind "message". */
static const char *sentence_of(const char *text, size_t *length)
{
	static const char key[] = "\"message\":\"";
	const char *begin = strstr(text, key), *end;

	if (!begin) {
		*length = strlen(text);
		return text;
	}
	begin += strlen(key);
	for (end = begin; *end && *end != '"'; end++)
		if (*end == '\\' && end[1])
			end++;
	*length = (size_t)(end - begin);
	return begin;
}

/* Up to the end of the line. What JSON escapes is a character again, but for those with a number.
 */
static void copy_line(char *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length && !strchr("\r\n", text[i]); i++) {
		if (text[i] == '\\' && i + 1 < length && strchr("\"\\/nrt", text[i + 1])) {
			i++;
			*out++ = text[i];
			if (strchr("nrt", text[i]))
				out[-1] = ' ';
		} else {
			*out++ = text[i];
		}
	}
	*out = '\0';
}

/* Also if only a part of it is there: what is said may be cut, or have escapes in between. */
static bool has_secret(const char *text, const char *secret)
{
	size_t length = secret ? strlen(secret) : 0;
	size_t part = length >= 2 * SECRET_PART ? SECRET_PART : (length + 1) / 2;

	for (size_t at = 0; length && at + part <= length; at++)
		if (memmem(text, strlen(text), secret + at, part))
			return true;
	return false;
}

void http_reply_words(const struct http_reply *r, const char *secret, char *words, size_t size)
{
	const char *phrase = phrase_of(r->status), *text = r->text;
	char said[HTTP_REPLY_TEXT + 1], escaped[HTTP_REPLY_TEXT + 1];
	size_t length;

	/* The size of the first piece. */
	if (r->chunked && strchr(text, '\n'))
		text = strchr(text, '\n') + 1;
	text = sentence_of(text, &length);
	copy_line(said, text, length);
	if (has_secret(said, secret))
		snprintf(said, sizeof(said), "(it repeats the secret)");
	text_escape(escaped, sizeof(escaped), said);
	snprintf(words, size, "%u%s%s%s%s", r->status, *phrase ? " " : "", phrase,
		 *escaped ? ": " : "", escaped);
}
