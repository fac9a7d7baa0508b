/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an alarm watches, and from when on it is met, as a user writes it. Pure.
 *
 *     alarm  = [ scope ":" ] ( growth | rss | limit )
 *     scope  = "process" | "program" | "container"
 *     growth = "growth" ">" SIZE "/" TIME [ "over" NUMBER TIME ]
 *     rss    = "rss" ">" SIZE
 *     limit  = "limit" ">" NUMBER "%"
 *     SIZE   = NUMBER ( "KiB" | "MiB" | "GiB" )
 *     TIME   = "s" | "min" | "h" | "d"
 *
 * There may be blanks between the parts. */
#ifndef ALARM_RULE_H
#define ALARM_RULE_H

#include <stdbool.h>
#include <stddef.h>

#define ALARM_RULES_MOST  16
#define ALARM_TRACKS_MOST 4	/* different windows: each costs memory for each process */
#define ALARM_TEXT	  64	/* bytes with the NUL of an alarm as it was written */
#define ALARM_WINDOW	  600.0 /* seconds: of what has no window of its own, for its forecast */

enum alarm_what { ALARM_GROWTH, ALARM_RSS, ALARM_LIMIT };

enum alarm_scope {
	ALARM_PROCESS = 1,
	ALARM_PROGRAM = 2,   /* all processes of a program, at one place */
	ALARM_CONTAINER = 4, /* all Python processes of a container */
	ALARM_GROUP = 8,     /* the same of a control group that is no container's: a service */
};

struct alarm_rule {
	enum alarm_what what;
	unsigned scopes;       /* enum alarm_scope, ORed */
	double threshold;      /* bytes per second; bytes; per cent */
	double unit;	       /* of a growth: the seconds of its TIME */
	double window;	       /* seconds over which a growth is measured */
	char text[ALARM_TEXT]; /* as it was written */
};

struct alarm_rules {
	struct alarm_rule list[ALARM_RULES_MOST];
	size_t count;
};

/* Fills `rule`. 0, or -EINVAL: then `why` (`size` bytes) says in which column (from 1 on) what is
 * wrong, and what to write. Any bytes are fine. */
int alarm_rule_parse(const char *text, struct alarm_rule *rule, char *why, size_t size);

/* True if both watch the same things from the same threshold on, whatever their texts. */
bool alarm_rule_same(const struct alarm_rule *a, const struct alarm_rule *b);

/* Appends the alarm, unless one that means the same is there. 0, or -EINVAL with `why` as above:
 * also if there are too many, or too many windows. */
int alarm_rules_add(struct alarm_rules *rules, const char *text, char *why, size_t size);

/* What samples are kept of, for some of the rules. */
struct alarm_track {
	bool used_bytes; /* what a control group uses; else RSS */
	double window;	 /* seconds */
	unsigned scopes; /* of all its rules */
};

/* The track of a rule among `tracks`, of which there are `*count`; a new one is appended. At most
 * ALARM_TRACKS_MOST come of the rules of a struct alarm_rules. Returns its number. */
size_t alarm_track_of(const struct alarm_rule *rule, struct alarm_track *tracks, size_t *count);

#endif
