/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the C library knows UTF-8 only by files of the host (locales), and for other encodings
 * it loads code. The screen (`pymem-bpf top`) needs UTF-8 nevertheless. So in the static program
 * there are two locales, which are in it: C, and C.UTF-8 where LC_ALL, LC_CTYPE or LANG ends with
 * UTF-8. The linker directs all calls to here (--wrap), also those of curses.
 *
 * Left out: conversion states. What is incomplete is not kept for the next call, which curses,
 * the only caller, does not expect. */
#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>
#include <wctype.h>

#include "base/text_widths.h"

#define INVALID	   ((size_t)-1)
#define INCOMPLETE ((size_t)-2)

char *__wrap_setlocale(int category, const char *locale);
char *__wrap_nl_langinfo(nl_item item);
char *__real_nl_langinfo(nl_item item);
wint_t __wrap_btowc(int byte);
int __wrap_wctob(wint_t code);
size_t __wrap_mbrtowc(wchar_t *code, const char *text, size_t size, mbstate_t *state);
int __wrap_mbtowc(wchar_t *code, const char *text, size_t size);
int __wrap_mblen(const char *text, size_t size);
size_t __wrap_mbstowcs(wchar_t *out, const char *text, size_t room);
size_t __wrap_wcrtomb(char *out, wchar_t code, mbstate_t *state);
size_t __wrap_wcsrtombs(char *out, const wchar_t **text, size_t room, mbstate_t *state);
size_t __wrap_wcstombs(char *out, const wchar_t *text, size_t room);
int __wrap_wcwidth(wchar_t code);
int __wrap_iswprint(wint_t code);

static bool is_utf8;

/* --- the locale --- */

static bool asks_for_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *value, *charset;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		value = getenv(names[i]);
		if (!value || !*value)
			continue;
		charset = strchr(value, '.');
		return charset && (!strncasecmp(charset + 1, "UTF-8", 5) ||
				   !strncasecmp(charset + 1, "UTF8", 4));
	}
	return false;
}

/* As setlocale(3): "" takes what the environment says, NULL only asks. NULL: another locale than
 * the two there are. The text is constant. */
char *__wrap_setlocale(int category, const char *locale)
{
	static char c[] = "C", utf8[] = "C.UTF-8";
	bool concerned = category == LC_CTYPE || category == LC_ALL;

	if (locale && !*locale && concerned)
		is_utf8 = asks_for_utf8();
	else if (locale && *locale && strcmp(locale, c) && strcmp(locale, "POSIX") &&
		 strcmp(locale, utf8))
		return NULL;
	else if (locale && *locale && concerned)
		is_utf8 = !strcmp(locale, utf8);
	return concerned && is_utf8 ? utf8 : c;
}

char *__wrap_nl_langinfo(nl_item item)
{
	static char utf8[] = "UTF-8";

	return item == CODESET && is_utf8 ? utf8 : __real_nl_langinfo(item);
}

/* --- from bytes --- */

/* The bytes of the character that begins with `byte`; 0: none does. */
static unsigned length_of(unsigned char byte)
{
	if (byte < 0x80)
		return 1;
	if (byte < 0xc2 || byte > 0xf4)
		return 0;
	return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

static bool is_scalar(uint32_t code)
{
	return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

/* Decodes; returns the number of bytes, INVALID or INCOMPLETE. */
static size_t decode(const char *text, size_t size, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned length, i;

	if (!size)
		return INCOMPLETE;
	length = is_utf8 ? length_of(*bytes) : *bytes < 0x80;
	if (!length)
		return INVALID;
	*code = length == 1 ? *bytes : *bytes & 0xffu >> (length + 1);
	for (i = 1; i < length; i++) {
		if (i == size)
			return INCOMPLETE;
		if ((bytes[i] & 0xc0) != 0x80)
			return INVALID;
		*code = *code << 6 | (bytes[i] & 0x3f);
	}
	return *code >= least[length] && is_scalar(*code) ? length : INVALID;
}

wint_t __wrap_btowc(int byte)
{
	return byte >= 0 && byte < 0x80 ? (wint_t)byte : WEOF;
}

int __wrap_wctob(wint_t code)
{
	return code < 0x80 ? (int)code : EOF;
}

size_t __wrap_mbrtowc(wchar_t *code, const char *text, size_t size, mbstate_t *state)
{
	uint32_t decoded = 0;
	size_t length;

	(void)state;
	if (!text)
		return 0;
	length = decode(text, size, &decoded);
	if (length == INVALID)
		errno = EILSEQ;
	if (length == INVALID || length == INCOMPLETE)
		return length;
	if (code)
		*code = (wchar_t)decoded;
	return decoded ? length : 0;
}

int __wrap_mbtowc(wchar_t *code, const char *text, size_t size)
{
	size_t length = __wrap_mbrtowc(code, text, size, NULL);

	return length == INVALID || length == INCOMPLETE ? -1 : (int)length;
}

int __wrap_mblen(const char *text, size_t size)
{
	return __wrap_mbtowc(NULL, text, size);
}

size_t __wrap_mbstowcs(wchar_t *out, const char *text, size_t room)
{
	wchar_t code;
	size_t n, length;

	for (n = 0; !out || n < room; n++, text += length) {
		length = __wrap_mbrtowc(&code, text, MB_LEN_MAX, NULL);
		if (length == INVALID || length == INCOMPLETE)
			return INVALID;
		if (out)
			out[n] = code;
		if (!length)
			break;
	}
	return n;
}

/* --- to bytes --- */

size_t __wrap_wcrtomb(char *out, wchar_t wide, mbstate_t *state)
{
	uint32_t code = (uint32_t)wide;
	unsigned length, i;

	(void)state;
	if (!out)
		return 1;
	length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	if (!is_scalar(code) || (!is_utf8 && length > 1)) {
		errno = EILSEQ;
		return INVALID;
	}
	if (length == 1) {
		*out = (char)code;
		return 1;
	}
	for (i = length - 1; i; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(0xf0u << (4 - length) | code);
	return length;
}

size_t __wrap_wcsrtombs(char *out, const wchar_t **text, size_t room, mbstate_t *state)
{
	const wchar_t *at = *text;
	char bytes[MB_LEN_MAX];
	size_t n = 0, length;

	for (;; at++, n += length) {
		length = __wrap_wcrtomb(bytes, *at, state);
		if (length == INVALID)
			return INVALID;
		if (out && n + length > room)
			break;
		if (out)
			memcpy(out + n, bytes, length);
		if (!*at)
			break;
	}
	if (out)
		*text = n < room && !*at ? NULL : at;
	return n;
}

size_t __wrap_wcstombs(char *out, const wchar_t *text, size_t room)
{
	return __wrap_wcsrtombs(out, &text, room, NULL);
}

/* --- characters --- */

static bool in_ranges(const struct text_range *ranges, size_t count, uint32_t code)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (code < ranges[middle].first)
			high = middle;
		else if (code > ranges[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

int __wrap_iswprint(wint_t code)
{
	return code >= 0x20 && (code < 0x7f || (is_utf8 && code >= 0xa0 && is_scalar(code)));
}

/* By the tables of the rest of the program: 0, 1 or 2; -1: not printable. */
int __wrap_wcwidth(wchar_t code)
{
	if (!code)
		return 0;
	if (!__wrap_iswprint((wint_t)code))
		return -1;
	if (in_ranges(text_zero, sizeof(text_zero) / sizeof(text_zero[0]), (uint32_t)code))
		return 0;
	if (in_ranges(text_wide, sizeof(text_wide) / sizeof(text_wide[0]), (uint32_t)code))
		return 2;
	return 1;
}
