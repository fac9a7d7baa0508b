/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the agent share. */
#ifndef AGENT_PRIVATE_H
#define AGENT_PRIVATE_H

#include "agent/agent.h"
#include "agent/agent_metrics.h"
#include "agent/agent_pprof.h"
#include "agent/agent_push.h"
#include "agent/agent_pss.h"
#include "agent/alarm_heap.h"
#include "agent/alarms.h"
#include "agent/store.h"
#include "model/death.h"
#include "os/loop.h"
#include "os/notify.h"
#include "record/recorder.h"
#include "report/profiler.h"

#define TROUBLE	   512 /* bytes of what is said of it */
#define ALARM_PART 64  /* of the size of all recordings: an alarm's report */

struct agent {
	struct agent_options options;
	agent_reload_fn *reload;
	looker_heap_fn *look_at_heap;
	void *reload_arg;
	struct profiler *profiler;
	struct recorder *recorder;
	struct agent_metrics *metrics; /* NULL: nobody can ask */
	struct pprof_source *pprof;    /* NULL: not for profiles */
	struct agent_push *push;       /* NULL: they are not pushed */
	struct agent_pss *pss;	       /* NULL: it is not read */
	struct loop *loop;
	struct loop_timer pass, alarm, budget, status, watchdog;
	struct notify notify;
	struct source_cache *sources; /* of the recording that is written; NULL: none are kept */
	struct store store;
	struct alarms *alarms;
	struct alarm_heap *heap;     /* NULL: heaps are not looked at */
	struct store_sizes sizes;    /* as they were last */
	char path[PATH_MAX + 32];    /* of the recording that is written, or the one before */
	char trouble[TROUBLE];	     /* what was said last; "": recording goes on */
	char trim_trouble[TROUBLE];  /* the same of removing old ones */
	uint64_t paused_ns;	     /* since then there is no recording: CLOCK_MONOTONIC */
	uint64_t retry_ns, began_ns; /* when to try again; when the recording began */
	uint64_t base_bytes;	     /* that the recording had when it began */
	uint64_t unrecorded_ns;	     /* without a recording, in all, but for now */
	uint64_t write_errors;
	double clocks_apart; /* CLOCK_REALTIME and CLOCK_MONOTONIC, in seconds; 0: not known yet */
	uint64_t passed_ns;  /* the last pass was until then: CLOCK_MONOTONIC; 0: none was */
	uint64_t trimmed_ns; /* when old recordings were removed last: CLOCK_MONOTONIC */
	/* agent_deaths.c: processes that signals have ended since then (CLOCK_MONOTONIC) */
	uint64_t deaths_since_ns;
	unsigned deaths[DEATH_CAUSES];
	/* agent_shed.c */
	struct shed shed;
	struct agent_used {  /* in all, when the window began */
		double time; /* CLOCK_MONOTONIC, seconds; 0: none has begun */
		/* CPU time: of the agent, and of it of requests; of BPF programs */
		uint64_t own_ns, serve_ns, walks_ns, faults_ns;
	} used;
	bool unshed_failed; /* which was said */
	bool too_small;	    /* which was said */
	int error;
};

/* Prints a line on stderr, unless it is quiet. */
void agent_say(const struct agent *agent, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same of what went wrong, also if it is quiet. */
void agent_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the loop. `err`: why, -errno; 0: it was asked to end. */
void agent_end(struct agent *agent, int err);

/* agent_timers.c */
/* Starts the timers whose times are options. `before`: the options as they were (NULL: at the
 * begin): timers whose times are the same go on as they are, so that many signals to read options
 * again do not keep a pass from coming. */
void agent_start_timers(struct agent *agent, const struct agent_options *before);
/* Brings the next pass forward if so much has ended that it would take much memory until then. */
void agent_pass_early(struct agent *agent);
/* Tells the service manager from time to time how it is, until the end, if there is one. */
void agent_start_telling(struct agent *agent);
/* Stops all of these but the watchdog's: the end may take a while. */
void agent_stop_timers(struct agent *agent);

/* agent_deaths.c. agent_killed(): a report_killed_fn; `arg` is the agent. agent_trim_deaths()
 * removes old files; `*bytes` becomes what the others need. 0 or -errno. */
void agent_killed(const struct model *model, const struct model_process *process,
		  uint64_t start_boottime_ns, void *arg);
int agent_trim_deaths(struct agent *agent, uint64_t *bytes);
/* Says how many were not told one by one: when their minute is over, or the agent `ends`. */
void agent_tell_more_deaths(struct agent *agent, bool ends);

/* agent_shed.c */
/* Once a window: looks at what the agent uses itself, and sheds what is beyond its budget. What it
 * sheds is said, and failures are. */
void agent_tick_budget(struct agent *agent);
/* What the agent has used so far, at this moment. */
struct agent_used agent_used_now(const struct agent *agent);
/* The agent's memory in bytes, without its helpers; 0: it can't be read. agent_rss(): what is
 * resident. agent_memory(): of it what is its own, and not a part of a file, of the program, or of
 * a table of the kernel that it reads (RssAnon). */
uint64_t agent_rss(void);
uint64_t agent_memory(void);

/* agent_files.c: which recording is written */
/* Begins a recording, or another one. If that fails it is said, once, and tried again later. */
void agent_begin_file(struct agent *agent);
/* Once an interval: writes what has changed, begins another recording if it is time, removes old
 * ones, or tries again. 0; -errno of the figures, which can't be read, as was said: nothing can go
 * on. */
int agent_tick_files(struct agent *agent);
/* Nanoseconds until another recording is tried where there is none; UINT64_MAX: there is one. */
uint64_t agent_retry_after(const struct agent *agent);
/* Removes old recordings, so that there is room for what comes until the next time. 0 or -errno,
 * which is said. */
int agent_trim(struct agent *agent);

#endif
