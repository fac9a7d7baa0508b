/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much a profiler that runs all the time sheds, from what it uses. Pure.
 *
 * Time goes by in windows. After SHED_OVER windows in a row above the budget, one step more is
 * shed; after SHED_UNDER in a row well below it, one step less. Each step is tried for that long
 * before the next one. If what was shed is soon needed again, it comes back later and later.
 *
 * Any user can make the agent work, by page faults or by requests, whatever it sheds. So a step is
 * only taken for what it can reduce, and one that brought nothing is taken back: events for all but
 * requests, depth and processes for walks and what is made of them alone. For memory, processes
 * follow on events: a stack that is cut is a new stack. */
#ifndef SHED_H
#define SHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHED_OVER  3u
#define SHED_UNDER 6u
#define SHED_WARMUP \
	6u /* windows at the beginning, in which everything is new, and nothing is shed */
#define SHED_SOON	 60u  /* windows: more is shed so soon after less was */
#define SHED_LATEST	 5u   /* how often SHED_UNDER is doubled at most */
#define SHED_CALM	 360u /* windows without a change after which that is forgotten */
#define SHED_LOW	 0.7  /* of the CPU time: below that a window is well below the budget, */
#define SHED_LOW_MEMORY	 0.9  /* and of the memory, which seldom falls by much */
#define SHED_HELD	 360u /* windows in which a step that brought nothing is not tried again */
#define SHED_GAIN	 0.05 /* of the CPU time: less than that is nothing, */
#define SHED_GAIN_MEMORY 0.01 /* and of the memory, from one step to the next */
#define SHED_PARTS	 4u   /* processes are shed by so many parts, one a step */

struct shed_budget {
	double cpu;	 /* CPU time, in CPUs: 0.01 is one per cent of one; 0: any */
	uint64_t memory; /* bytes; 0: any */
	double window;	 /* seconds, as it was asked for: shed_window() */
};

/* The budget of who gives none, on a host with so many CPUs. */
struct shed_budget shed_budget_default(unsigned cpus);

/* budget = "none" | part { "," part }; part = "cpu=" NUMBER "%" | "memory=" NUMBER ( "M" | "G" ) |
 * "window=" NUMBER [ "s" ]. What the text does not name stays as it is in `budget`. 0, or -EINVAL
 * with what is wrong in `why` (`size` bytes); then `budget` is unchanged. Any bytes are fine. */
int shed_budget_parse(const char *text, struct shed_budget *budget, char *why, size_t size);

/* Seconds of a window where the figures are read each `interval` seconds (greater than 0): a whole
 * number of these. Else some windows would have more readings than others, or none, and a load
 * would never be in a row of windows. */
double shed_window(const struct shed_budget *budget, double interval);

/* What is shed; each level sheds what those before it shed, too, but for `uncut`. */
enum shed_level { SHED_NOTHING, SHED_EVENTS, SHED_DEPTH, SHED_PROCESSES };

struct shed_use { /* in one window; seconds but for the last */
	double seconds;
	/* CPU time: of walks, of reading and naming what they found, and all that has no other
	 * place; for each page fault of the host; for requests. */
	double trace, faults, serve;
	uint64_t memory; /* bytes, at its end */
};

struct shed {		      /* all zeros at first */
	unsigned step;	      /* 0: nothing */
	bool uncut;	      /* processes are shed, and depth is not */
	unsigned warm;	      /* windows since the beginning, up to SHED_WARMUP */
	unsigned over, under; /* windows in a row */
	unsigned later;	      /* how often SHED_UNDER is doubled */
	unsigned since;	      /* windows since the last change */
	bool eased;	      /* that change was to less */
	struct shed_use sum;  /* of the windows in a row that count just now */
	/* What steps are for, before they were taken: CPUs, of SHED_EVENTS and of those behind it,
	 * and bytes. 0: there is nothing to be judged. */
	double events_before, trace_before, memory_before;
	/* For so many windows the level is not tried again. */
	unsigned events_held, trace_held, memory_held;
	struct shed_cause { /* of the last change */
		enum shed_level level;
		double seconds, cpu; /* as struct shed_budget has it */
		uint64_t memory;
		bool by_memory; /* only the memory was above the budget */
		bool useless;	/* what was taken back had brought nothing */
	} cause;
};

/* A window is over. Returns 1: more is shed now, -1: less; 0: as much as before. */
int shed_step(struct shed *shed, const struct shed_budget *budget, const struct shed_use *use);

enum shed_level shed_level(const struct shed *shed);
/* Whether stacks are cut. */
bool shed_cuts(const struct shed *shed);
/* Parts of SHED_PARTS of all processes that are not traced. */
unsigned shed_parts(const struct shed *shed);
/* "events", "depth", "processes"; "" of SHED_NOTHING. */
const char *shed_name(enum shed_level level);

#endif
