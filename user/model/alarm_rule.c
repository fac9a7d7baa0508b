/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parser goes from left to right and stops at the first thing that it does not understand: that
 * is what it names. */
#include "model/alarm_rule.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define DIGITS_MOST  9	/* before the point, and behind it */
#define SHOWN	     24 /* bytes of what was found instead */
#define KIB	     1024.0
#define WINDOW_LEAST 10.0
#define WINDOW_MOST  604800.0
#define SIZE_MOST    (KIB * KIB * KIB * KIB * 1024)

struct word { /* and what it stands for */
	const char *text;
	double value;
};

static const struct word scopes[] = {
	{"process", ALARM_PROCESS}, {"program", ALARM_PROGRAM}, {"container", ALARM_CONTAINER}, {}};
static const struct word whats[] = {
	{"growth", ALARM_GROWTH}, {"rss", ALARM_RSS}, {"limit", ALARM_LIMIT}, {}};
static const struct word sizes[] = {{"KiB", KIB}, {"MiB", KIB *KIB}, {"GiB", KIB *KIB *KIB}, {}};
static const struct word times[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {}};

struct parser {
	const char *text, *at;
	char *why;
	size_t size;
};

/* Says what is wrong at `at`. -EINVAL. */
static int refuse(const struct parser *p, const char *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct parser *p, const char *at, const char *format, ...)
{
	char rest[SHOWN], shown[4 * SHOWN], remedy[256];
	va_list args;

	snprintf(rest, sizeof(rest), "%s", at);
	text_escape(shown, sizeof(shown), rest);
	va_start(args, format);
	vsnprintf(remedy, sizeof(remedy), format, args);
	va_end(args);
	if (*shown)
		snprintf(p->why, p->size, "column %zu: \"%s\" is not understood: %s",
			 (size_t)(at - p->text) + 1, shown, remedy);
	else
		snprintf(p->why, p->size, "column %zu: it ends too early: %s",
			 (size_t)(at - p->text) + 1, remedy);
	return -EINVAL;
}

static void skip_blanks(struct parser *p)
{
	p->at += strspn(p->at, " \t");
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The word at which the parser is, which it passes. NULL: it is none of them. */
static const struct word *take_word(struct parser *p, const struct word *words)
{
	size_t length = 0;

	skip_blanks(p);
	while (is_letter(p->at[length]))
		length++;
	for (; words->text; words++)
		if (strlen(words->text) == length && !strncmp(words->text, p->at, length)) {
			p->at += length;
			return words;
		}
	return NULL;
}

static bool take_sign(struct parser *p, char sign)
{
	skip_blanks(p);
	if (*p->at != sign)
		return false;
	p->at++;
	return true;
}

/* Decimal digits, as strtod() takes them, but in no locale and nothing else. False: there are none,
 * or too many. */
static bool take_digits(struct parser *p, double *number, double *scale)
{
	unsigned count = 0;

	for (; *p->at >= '0' && *p->at <= '9'; p->at++) {
		if (++count > DIGITS_MOST)
			return false;
		*number = *number * 10 + (*p->at - '0');
		*scale *= 10;
	}
	return count;
}

/* A number that is more than 0. 0 or -EINVAL. */
static int take_number(struct parser *p, double *number, const char *example)
{
	double scale = 1, none = 1;
	const char *begin;

	skip_blanks(p);
	begin = p->at;
	*number = 0;
	if (!take_digits(p, number, &none) ||
	    (take_sign(p, '.') && !take_digits(p, number, &scale)))
		return refuse(p, begin, "write a number of at most %d digits, as in %s",
			      DIGITS_MOST, example);
	*number /= scale;
	if (*number > 0)
		return 0;
	return refuse(p, begin, "write a number above 0, as in %s", example);
}

static int take_size(struct parser *p, double *bytes, const char *example)
{
	const struct word *unit;
	const char *begin;
	int err;

	skip_blanks(p);
	begin = p->at;
	err = take_number(p, bytes, example);
	if (err)
		return err;
	unit = take_word(p, sizes);
	if (!unit)
		return refuse(p, p->at, "write KiB, MiB or GiB, as in %s", example);
	*bytes *= unit->value;
	if (*bytes >= KIB && *bytes <= SIZE_MOST)
		return 0;
	return refuse(p, begin, "write a size from 1 KiB to %.0f GiB", SIZE_MOST / KIB / KIB / KIB);
}

/* How long a growth is watched unless the user says it: long enough for what it is told by. */
static double usual_window(double unit)
{
	if (unit < 60)
		return 120;
	return unit < 3600 ? ALARM_WINDOW : unit;
}

static int take_window(struct parser *p, struct alarm_rule *rule)
{
	static const struct word over[] = {{"over", 0}, {}};
	const struct word *unit;
	const char *begin;
	int err;

	rule->window = usual_window(rule->unit);
	if (!take_word(p, over))
		return 0;
	skip_blanks(p);
	begin = p->at;
	err = take_number(p, &rule->window, "over 20min");
	if (err)
		return err;
	unit = take_word(p, times);
	if (!unit)
		return refuse(p, p->at, "write s, min, h or d, as in over 20min");
	rule->window *= unit->value;
	if (rule->window >= WINDOW_LEAST && rule->window <= WINDOW_MOST)
		return 0;
	return refuse(p, begin, "write a time from %.0fs to %.0fd", WINDOW_LEAST,
		      WINDOW_MOST / 86400);
}

static int take_growth(struct parser *p, struct alarm_rule *rule)
{
	static const char example[] = "growth>50MiB/h";
	const struct word *unit;
	int err = take_size(p, &rule->threshold, example);

	if (err)
		return err;
	if (!take_sign(p, '/'))
		return refuse(p, p->at, "write / and s, min, h or d, as in %s", example);
	unit = take_word(p, times);
	if (!unit)
		return refuse(p, p->at, "write s, min, h or d, as in %s", example);
	rule->unit = unit->value;
	rule->threshold /= rule->unit;
	return take_window(p, rule);
}

static int take_limit(struct parser *p, struct alarm_rule *rule)
{
	static const char example[] = "limit>90%";
	const char *begin;
	int err;

	skip_blanks(p);
	begin = p->at;
	err = take_number(p, &rule->threshold, example);
	if (err)
		return err;
	if (!take_sign(p, '%'))
		return refuse(p, p->at, "write %%, as in %s", example);
	return rule->threshold <= 100 ? 0 : refuse(p, begin, "write at most 100%%");
}

/* What is watched if the user does not say it. */
static unsigned usual_scopes(enum alarm_what what)
{
	if (what == ALARM_GROWTH)
		return ALARM_PROCESS | ALARM_CONTAINER;
	return what == ALARM_RSS ? ALARM_PROCESS : ALARM_CONTAINER | ALARM_GROUP;
}

static int take_what(struct parser *p, struct alarm_rule *rule)
{
	static int (*const takes[])(struct parser *, struct alarm_rule *) = {
		[ALARM_GROWTH] = take_growth, [ALARM_LIMIT] = take_limit};
	const struct word *scope = take_word(p, scopes), *what;

	if (scope && !take_sign(p, ':'))
		return refuse(p, p->at, "write : and growth, rss or limit, as in %s:rss>2GiB",
			      scope->text);
	what = take_word(p, whats);
	if (!what)
		return refuse(p, p->at,
			      scope ? "write growth, rss or limit"
				    : "write growth, rss or limit, and before it perhaps process:, "
				      "program: or container:");
	rule->what = (enum alarm_what)what->value;
	rule->scopes = scope ? (unsigned)scope->value : usual_scopes(rule->what);
	if (!take_sign(p, '>'))
		return refuse(p, p->at,
			      "write > and from when on it is met, as in growth>50MiB/h, "
			      "rss>2GiB or limit>90%%");
	rule->window = ALARM_WINDOW;
	if (rule->what == ALARM_RSS)
		return take_size(p, &rule->threshold, "rss>2GiB");
	return takes[rule->what](p, rule);
}

int alarm_rule_parse(const char *text, struct alarm_rule *rule, char *why, size_t size)
{
	struct parser p = {text, text, why, size};
	int err;

	*rule = (struct alarm_rule){};
	err = take_what(&p, rule);
	if (err)
		return err;
	skip_blanks(&p);
	if (*p.at)
		return refuse(&p, p.at,
			      rule->what == ALARM_GROWTH
				      ? "end it here, or write over and a time, as in over 20min"
				      : "end it here");
	if (strlen(text) >= sizeof(rule->text))
		return refuse(&p, text + sizeof(rule->text) - 1, "write it with fewer blanks");
	strcpy(rule->text, text);
	return 0;
}

bool alarm_rule_same(const struct alarm_rule *a, const struct alarm_rule *b)
{
	double apart = a->threshold - b->threshold, window = a->window - b->window;

	return a->what == b->what && a->scopes == b->scopes && apart < 1e-9 && apart > -1e-9 &&
	       window < 1e-9 && window > -1e-9;
}

size_t alarm_track_of(const struct alarm_rule *rule, struct alarm_track *tracks, size_t *count)
{
	bool used_bytes =
		rule->what == ALARM_LIMIT && rule->scopes & (ALARM_CONTAINER | ALARM_GROUP);
	size_t i;

	for (i = 0; i < *count; i++) {
		double apart = tracks[i].window - rule->window;

		if (tracks[i].used_bytes == used_bytes && apart < 1e-9 && apart > -1e-9)
			break;
	}
	if (i == *count)
		tracks[(*count)++] = (struct alarm_track){used_bytes, rule->window, 0};
	tracks[i].scopes |= rule->scopes;
	return i;
}

int alarm_rules_add(struct alarm_rules *rules, const char *text, char *why, size_t size)
{
	struct alarm_track tracks[ALARM_TRACKS_MOST + 1];
	struct alarm_rule rule;
	size_t count = 0;
	int err = alarm_rule_parse(text, &rule, why, size);

	if (err)
		return err;
	for (size_t i = 0; i < rules->count; i++) {
		if (alarm_rule_same(&rules->list[i], &rule))
			return 0;
		alarm_track_of(&rules->list[i], tracks, &count);
	}
	alarm_track_of(&rule, tracks, &count);
	if (rules->count == ALARM_RULES_MOST) {
		snprintf(why, size, "column 1: it is one alarm too many: at most %d",
			 ALARM_RULES_MOST);
		return -EINVAL;
	}
	if (count > ALARM_TRACKS_MOST) {
		snprintf(why, size,
			 "column 1: it needs one window too many: at most %d; give some alarms the "
			 "same with over, as in growth>50MiB/h over 20min (rss and limit have "
			 "10min)",
			 ALARM_TRACKS_MOST);
		return -EINVAL;
	}
	rules->list[rules->count++] = rule;
	return 0;
}
