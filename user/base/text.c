/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: names and source lines are chosen by the target and printed on the terminal of a root
 * user. They must not move its cursor, set its title, reverse the reading order, or break the
 * columns.
 *
 * Text is cut into glyphs. A glyph is a character, or its escape in plain ASCII (\n, \x1b, \u202e).
 * UTF-8 is decoded here, and widths come from a table (text_widths.h): so neither the locale nor
 * the version of the C library changes the output. The output is always UTF-8.
 *
 * Left out: grapheme clusters. The parts of a joined emoji are counted one by one. A terminal that
 * shows them as one character then has a gap. */
#include "base/text.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "base/text_widths.h"

/* More combining marks than this on one character are escaped. A mark takes no column, but a stack
 * of them can cover the rows above and below. */
#define MARKS_MAX 4

struct glyph {
	char bytes[12]; /* one character, or its escape: at most \U0010ffff */
	unsigned length, columns;
};

/* Decodes the character at `text`; *length becomes the number of its bytes. An invalid byte is -1,
 * with length 1. */
static int32_t decode(const unsigned char *text, unsigned *length)
{
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	int32_t code = text[0];
	unsigned i, n;

	*length = 1;
	if (code < 0x80)
		return code;
	if (code < 0xc2 || code > 0xf4)
		return -1;
	n = code < 0xe0 ? 2 : code < 0xf0 ? 3 : 4;
	code &= 0xff >> (n + 1);
	for (i = 1; i < n; i++) {
		/* A NUL is no continuation byte, so nothing is read beyond the end. */
		if ((text[i] & 0xc0) != 0x80)
			return -1;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return -1;
	*length = n;
	return code;
}

static bool in_ranges(const struct text_range *ranges, size_t count, uint32_t code)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (code > ranges[middle].last)
			low = middle + 1;
		else if (code < ranges[middle].first)
			high = middle;
		else
			return true;
	}
	return false;
}

#define IN_RANGES(table, code) in_ranges(table, sizeof(table) / sizeof((table)[0]), code)

/* True for characters that change the text around them, and for those that can't be seen. */
static bool is_hostile(uint32_t code)
{
	static const struct text_range hostile[] = {
		{0x0000, 0x001f},   /* C0 */
		{0x007f, 0x009f},   /* DEL, C1 */
		{0x00ad, 0x00ad},   /* soft hyphen */
		{0x034f, 0x034f},   /* grapheme joiner */
		{0x061c, 0x061c},   /* Arabic letter mark */
		{0x115f, 0x1160},   /* Hangul fillers */
		{0x180b, 0x180f},   /* Mongolian selectors */
		{0x200b, 0x200b},   /* zero-width space */
		{0x200e, 0x200f},   /* directional marks */
		{0x2028, 0x202e},   /* separators, bidirectional embeddings and overrides */
		{0x2060, 0x206f},   /* joiners, bidirectional isolates */
		{0x3164, 0x3164},   /* Hangul filler */
		{0xfeff, 0xfeff},   /* byte order mark */
		{0xffa0, 0xffa0},   /* Hangul filler */
		{0xfff0, 0xfffb},   /* annotations */
		{0xe0000, 0xe0fff}, /* tags, selectors */
	};

	return (code & 0xfffe) == 0xfffe || IN_RANGES(hostile, code);
}

static void escape(struct glyph *glyph, const char *format, unsigned value)
{
	glyph->length = snprintf(glyph->bytes, sizeof(glyph->bytes), format, value);
	glyph->columns = glyph->length;
}

/* Reads the glyph at *text and moves *text behind it. False: the end. `*marks` counts the combining
 * marks since the last character that took a column. It starts at MARKS_MAX: a mark at the very
 * beginning would change the character printed before the text. */
static bool next_glyph(const char **text, struct glyph *glyph, unsigned *marks)
{
	const unsigned char *at = (const unsigned char *)*text;
	unsigned length;
	int32_t code;

	if (!*at)
		return false;
	if (*at >= ' ' && *at <= '~') { /* most are, and nothing has to be looked up for them */
		glyph->bytes[0] = (char)*at;
		glyph->length = glyph->columns = 1;
		*text += 1;
		*marks = 0;
		return true;
	}
	code = decode(at, &length);
	*text += length;
	if (code < 0) {
		escape(glyph, "\\x%02x", *at);
	} else if (code == '\n' || code == '\t' || code == '\r') {
		escape(glyph, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
	} else if (is_hostile(code) || (IN_RANGES(text_zero, code) && *marks >= MARKS_MAX)) {
		escape(glyph,
		       code < 0x80	? "\\x%02x"
		       : code < 0x10000 ? "\\u%04x"
					: "\\U%08x",
		       code);
	} else {
		memcpy(glyph->bytes, at, length);
		glyph->length = length;
		glyph->columns = IN_RANGES(text_zero, code)   ? 0
				 : IN_RANGES(text_wide, code) ? 2
							      : 1;
	}
	*marks = glyph->columns ? 0 : *marks + 1;
	return true;
}

/* The number of columns of `text`. Stops soon after `enough` columns: a source line can have
 * millions. */
static unsigned measure(const char *text, unsigned enough)
{
	unsigned columns = 0, marks = MARKS_MAX;
	struct glyph glyph;

	while (columns <= enough && next_glyph(&text, &glyph, &marks))
		columns += glyph.columns;
	return columns;
}

unsigned text_columns(const char *text)
{
	return measure(text, UINT_MAX - 1);
}

/* Prints glyphs before `stop` (NULL: all) as long as they fit into `columns`. */
static unsigned print_until(FILE *out, const char *text, const char *stop, unsigned columns)
{
	unsigned used = 0, marks = MARKS_MAX;
	struct glyph glyph;

	while (text != stop && next_glyph(&text, &glyph, &marks)) {
		if (used + glyph.columns > columns)
			break;
		fwrite(glyph.bytes, 1, glyph.length, out);
		used += glyph.columns;
	}
	return used;
}

static unsigned print_glyphs(FILE *out, const char *text, unsigned columns)
{
	return print_until(out, text, NULL, columns);
}

unsigned text_print(FILE *out, const char *text, unsigned columns, bool keep_end)
{
	unsigned total = measure(text, keep_end || !columns ? UINT_MAX - 1 : columns);
	unsigned marks = MARKS_MAX, used;
	struct glyph glyph;

	if (!columns || total <= columns)
		return print_glyphs(out, text, total);
	if (!keep_end) {
		used = print_glyphs(out, text, columns - 1);
		fputs("…", out);
		return used + 1;
	}
	while (total > columns - 1 && next_glyph(&text, &glyph, &marks))
		total -= glyph.columns;
	fputs("…", out);
	/* A mark that now follows the ellipsis would belong to it. It is escaped instead, and needs
	 * more columns: so measure again. */
	while (text_columns(text) > columns - 1) {
		marks = 0;
		if (!next_glyph(&text, &glyph, &marks))
			break;
	}
	return print_glyphs(out, text, columns - 1) + 1;
}

unsigned text_end_columns(unsigned begin, unsigned end, unsigned columns)
{
	if (end < columns)
		return end;
	return begin < columns - columns / 2 ? columns - begin : columns / 2;
}

unsigned text_print_ended(FILE *out, const char *text, const char *end, unsigned columns)
{
	unsigned total = text_columns(text), behind = text_columns(end), begin, kept, used;

	if (!columns || total <= columns || !*end)
		return text_print(out, text, columns, false);
	begin = total - behind;
	kept = text_end_columns(begin, behind, columns);
	if (begin <= columns - kept) {
		used = print_until(out, text, end, begin);
	} else {
		used = print_until(out, text, end, columns - kept - 1);
		fputs("…", out);
		used++;
	}
	return used + (kept ? text_print(out, end, kept, false) : 0);
}

static bool is_blank(int32_t code)
{
	static const struct text_range blank[] = {
		{0x0020, 0x0020}, {0x00a0, 0x00a0}, {0x1680, 0x1680}, {0x2000, 0x200a},
		{0x202f, 0x202f}, {0x205f, 0x205f}, {0x2800, 0x2800}, /* Braille */
		{0x3000, 0x3000},
	};

	return code >= 0 && IN_RANGES(blank, (uint32_t)code);
}

/* Takes a run of blanks. True: it is to be shown as `glyph`. */
static bool take_blanks(const char **text, struct glyph *glyph)
{
	unsigned length, count = 0;
	int32_t code, first = 0;

	for (; is_blank(code = decode((const unsigned char *)*text, &length)); *text += length)
		first = count++ ? first : code;
	if (!count)
		return false;
	escape(glyph,
	       count == 1 && first == ' ' ? " "
	       : first == ' '		  ? "\\x%02x"
					  : "\\u%04x",
	       (unsigned)first);
	return true;
}

void text_escape_name(char *out, size_t size, const char *text)
{
	unsigned marks = MARKS_MAX;
	struct glyph glyph;
	size_t used = 0;

	while (*text) {
		if (take_blanks(&text, &glyph))
			marks = 0;
		else
			next_glyph(&text, &glyph, &marks);
		if (used + glyph.length >= size)
			break;
		memcpy(out + used, glyph.bytes, glyph.length);
		used += glyph.length;
	}
	out[used] = '\0';
}

void text_escape(char *out, size_t size, const char *text)
{
	unsigned marks = MARKS_MAX;
	struct glyph glyph;
	size_t used = 0;

	while (next_glyph(&text, &glyph, &marks) && used + glyph.length < size) {
		memcpy(out + used, glyph.bytes, glyph.length);
		used += glyph.length;
	}
	out[used] = '\0';
}

/* No-break spaces have kept a word in one piece. In the output they would only spoil a search. */
static void plain_spaces(char *word)
{
	char *at;

	while ((at = strstr(word, "\xc2\xa0"))) {
		*at = ' ';
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
}

unsigned text_wrap(FILE *out, const char *text, unsigned column, unsigned columns, unsigned indent)
{
	bool fresh = column <= indent; /* nothing is on this line yet */
	unsigned wide, length;
	char word[256];

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		length = strcspn(text, " ");
		/* A longer word is broken between two characters. */
		if (length >= sizeof(word)) {
			length = sizeof(word) - 1;
			while (length > sizeof(word) - 4 && (text[length] & 0xc0) == 0x80)
				length--;
		}
		memcpy(word, text, length);
		word[length] = '\0';
		text += length;
		plain_spaces(word);
		wide = text_columns(word);
		if (columns && !fresh && column + 1 + wide > columns) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!fresh) {
			fputc(' ', out);
			column++;
		}
		fresh = false;
		column += text_print(out, word, columns > indent ? columns - indent : 0, false);
	}
	return column;
}

void text_pid(char *text, size_t size, int pid, int ns_pid, const char *blank)
{
	if (ns_pid)
		snprintf(text, size, "%d%s(%d%sinside)", pid, blank, ns_pid, blank);
	else
		snprintf(text, size, "%d", pid);
}
