/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the live screen knows from one sample to the next: processes, programs and containers with
 * their histories, and the lines of one process. Pure: it is made from a model (model.h) and the
 * time, which the caller passes (seconds of one clock).
 *
 * Everything that can be a row is a screen_object. It keeps its number, its place among the rows
 * and its history as long as it is there. */
#ifndef SCREEN_DATA_H
#define SCREEN_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "model/model.h"
#include "screen/screen_history.h"

enum screen_level {
	LEVEL_CONTAINERS,
	LEVEL_PROGRAMS,
	LEVEL_PROCESSES,
	LEVEL_LINES,
	LEVEL_SOURCE,
	LEVELS
};

/* Figures since the beginning or the last reset, but RSS and the limit are those of now. */
struct screen_figures {
	int64_t rss_bytes; /* of a group each shared page once, if that is known. -1: unknown */
	int64_t growth_bytes;
	int64_t total_bytes; /* of a line: what it calls included; else as growth_bytes */
	uint64_t grown_bytes, freed_bytes, faults;
	int64_t lost_bytes;
	double per_minute;	 /* of growth_bytes; NAN: unknown */
	double total_per_minute; /* of total_bytes */
	double limit_share; /* part of a memory limit that is used, 0 to 1; NAN: no limit known */
	unsigned count;	    /* processes that live */
};

#define SCREEN_NO_PLACE 0xffffffffu

struct screen_object {
	uint64_t number;	       /* its identity; never used again */
	unsigned place;		       /* in the last order of rows; SCREEN_NO_PLACE: it is new */
	unsigned seen;		       /* the sample that it was last part of */
	struct screen_history history; /* of rss_bytes; of a line, of growth_bytes */
	struct screen_figures now;
};

/* A memory limit of a cgroup. The screen reads it (screen_proc.h); processes share it. */
struct screen_limit {
	int64_t limit_bytes, current_bytes; /* -1: unknown */
};

struct screen_process {
	struct screen_object object;
	struct {
		uint32_t id; /* model_process.id */
		int pid;
	} key;
	int ppid, ns_pid;
	char *program, *container, *command; /* container "": none. Raw bytes of the target */
	char *cgroup;
	char *note; /* why there are no lines; NULL: none */
	bool ended;
	struct screen_figures
		base; /* figures at the reset; rss_bytes: RSS that growth counts from */
	/* RSS in which shared pages count in part (Pss), and RSS when that was read. -1:
	 * unknown. */
	int64_t pss_bytes, pss_rss_bytes;
	int64_t pss_known_bytes;	  /* our figure of its RSS at that time */
	double pss_read;		  /* when */
	const struct screen_limit *limit; /* NULL: none */
	UT_hash_handle hh;
};

struct screen_group { /* a container, or a program in a container */
	struct screen_object object;
	enum screen_level level;
	char *container, *program; /* program "" for a container */
	double alive;		   /* when one of its processes was last alive; 0: never */
	bool mixed_limits;	   /* its processes have different limits, or one has none */
	const struct screen_limit *limit;
	char *key;
	UT_hash_handle hh;
};

struct screen_line {
	struct screen_object object;
	struct {
		const char *file, *function; /* the model's own strings, as an identity */
		int line, unused;
	} key;
	char *file, *function; /* copies of them */
	char *text;	       /* the source line; NULL: none, or not read */
	bool text_read, library;
	struct screen_history total_history; /* of total_bytes */
	struct screen_figures base;
	UT_hash_handle hh;
};

struct screen_source { /* lines of a file */
	char *file;
	int first; /* number of the first line of `texts` */
	char **texts;
	struct screen_object *objects; /* one for each line */
	int count;
};

struct screen_base_line; /* a line's figures at the reset */

struct screen_data {
	double begun, reset, now; /* seconds of one clock; reset: when growth began to count */
	unsigned sample;	  /* its number */
	uint64_t next_number;
	struct screen_process *processes; /* hash tables */
	struct screen_group *groups;
	struct screen_object host;
	bool has_containers, has_limits;
	size_t notes;	 /* number of the model's notes, and of processes that were left out */
	bool all_shared; /* Pss of every process is known: host.now.rss_bytes is exact */
	/* The open process (screen_object.number), whose lines are kept; 0: none. */
	uint64_t open_process;
	struct screen_line *lines;
	struct screen_source source;
	struct screen_base_line *base_lines;
};

/* Begins with nothing known. screen_data_fini() frees what it owns. */
void screen_data_init(struct screen_data *data, double now);
void screen_data_fini(struct screen_data *data);

/* Takes a sample: copies from `model` what is known at time `now`. Frees objects that are not in it
 * any more. 0 or -ENOMEM. */
int screen_data_take(struct screen_data *data, const struct model *model, double now);

/* Called in place of screen_data_take() if nothing has changed: only time has passed, so rates
 * change. 0 or -ENOMEM. */
int screen_data_pass(struct screen_data *data, double now);

/* Recomputes groups and the host; call it after limits or Pss have changed. 0 or -ENOMEM. */
int screen_data_group(struct screen_data *data);

/* Takes `model` as a sample; from now on growth counts from it. 0 or -ENOMEM. */
int screen_data_reset(struct screen_data *data, const struct model *model, double now);

/* Keeps the lines of the process of that number from the next sample on (0: of none); forgets those
 * of another one. */
void screen_data_open(struct screen_data *data, uint64_t process);

/* The process of that number, which belongs to `data`; NULL: there is none. */
struct screen_process *screen_data_process(const struct screen_data *data, uint64_t number);

/* The model's entry for `process`, which belongs to the model; NULL: there is none any more. */
const struct model_process *screen_data_find(const struct model *model,
					     const struct screen_process *process);

/* Empties the source. */
void screen_source_clear(struct screen_source *source);
/* Makes the source `count` lines of `file` from line `first` on, whose texts are NULL. The caller
 * fills in texts that free() takes. 0 or -ENOMEM. */
int screen_source_begin(struct screen_data *data, const char *file, int first, int count);
/* Adds the figures of the open process's lines to the lines of the source. */
void screen_source_fill(struct screen_data *data);

#endif
