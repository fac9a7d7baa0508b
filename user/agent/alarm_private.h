/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the alarms share. */
#ifndef ALARM_PRIVATE_H
#define ALARM_PRIVATE_H

#include "agent/alarm_base.h"
#include "agent/alarm_heap.h"
#include "agent/alarms.h"
#include "base/hash.h"
#include "model/alarm_state.h"

#define ALARM_SUBJECTS_MOST 16384 /* of each kind: processes; programs and control groups */
#define ALARM_KEY_MOST	    4096

struct alarm_subject { /* what an alarm watches */
	enum alarm_scope scope;
	uint32_t image; /* of a process; else 0 */
	pid_t pid, ns_pid;
	char *key;    /* of all others: a program and its place, or a path */
	char *memory; /* of a control group: its name as in cgroup_memory.h */
	char *name;   /* of a program: without its place, escaped; NULL: no memory */
	char *place; /* of a program: where it runs, escaped; "": nowhere special; NULL: the same */
	struct alarm_subject *of_program; /* of a process; NULL: none */
	/* The control group of a process. Of a program the one of some process of it, if the same
	 * limit is above all of them: alarms_settle(). NULL: none */
	struct alarm_subject *of_group;
	/* Of a program, while alarms_settle() looks for its group: a process was there, and they
	 * have several limits. */
	bool joined, split;
	unsigned users;		    /* processes that are in it */
	uint64_t seen;		    /* of a process: the last reading that had it */
	uint64_t start_boottime_ns; /* of a process */
	double looked;		    /* of a process: alarm_heap_subject.looked */
	double start; /* of a process: since when its figures are known, seconds since the epoch */
	int64_t rss;
	int64_t used, limit; /* of a control group, bytes; -1: not known */
	size_t limit_length; /* of `memory`: of the part that names the group that has the limit */
	double read;	     /* when these were read; CLOCK_MONOTONIC; 0: never */
	struct alarm_series *series[ALARM_TRACKS_MOST]; /* NULL: none */
	unsigned fresh; /* bits of tracks: their series have something new at which nobody looked */
	struct alarm_state states[ALARM_RULES_MOST];
	UT_hash_handle hh;
};

struct alarms {
	struct store *store;
	struct alarm_heap *heap; /* NULL: heaps are not looked at */
	struct counts counts;	 /* behind ours */
	double start;		 /* of the profile, in seconds since the epoch */
	struct alarm_rules rules;
	uint64_t told[ALARM_RULES_MOST]; /* by rule */
	struct alarm_track tracks[ALARM_TRACKS_MOST];
	size_t track_count, track_of[ALARM_RULES_MOST];
	struct alarm_subject *processes; /* by image */
	struct alarm_subject *others;	 /* by key */
	uint64_t reading;
	uint32_t turn; /* the image with which the next look at growths begins */
	size_t group_turn;
	struct alarm_base *older, *newer; /* NULL: none */
	double base_period, newer_time;	  /* CLOCK_MONOTONIC */
	struct alarm_gate gate;
	size_t most;			      /* bytes of a report */
	bool crowded, base_failed, no_memory; /* which was said */
	/* of the reading that goes on */
	const struct counts_reader *reader;
	void *reader_arg;
};

/* alarm_subjects.c */
/* Notes an image as a reading has it. */
void alarms_note_image(struct alarms *alarms, const struct counts_image *image);
/* After a reading: drops what is gone, adds up what is together. */
void alarms_settle(struct alarms *alarms);
void alarms_free_subjects(struct alarms *alarms);
/* Goes on with other rules and tracks: what was watched by the same ones before goes on. */
void alarms_change_subjects(struct alarms *alarms, const struct alarms *before);
/* Reads what a control group uses of its limit, unless it was read at `now`
 * (CLOCK_MONOTONIC). */
void alarms_read_group(struct alarm_subject *group, double now);

/* What an alarm on a limit is about: the control group whose limit it is, in `*group` (NULL: there
 * is none, or it is not known), and what the subject has of that limit, in bytes. */
int64_t alarms_part_of_limit(const struct alarm_subject *subject,
			     const struct alarm_subject **group);

/* alarm_tell.c */
/* Tells that the rule is met by the subject, whose slope is that of the rule's track. */
void alarms_tell(struct alarms *alarms, const struct alarm_rule *rule,
		 struct alarm_subject *subject, const struct alarm_slope *slope);

#endif
