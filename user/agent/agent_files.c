/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which recording the agent writes, and for how long.
 *
 * Another one begins when it has an eighth of the size of all, or some hours. What it needs at its
 * beginning for what was before does not count: else many processes and a small size would mean a
 * new recording each pass.
 *
 * If a recording can't be written, it stays as it is, and nothing is recorded for some time. Then
 * another one begins. The profile goes on meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "os/source.h"
#include "python/examiner.h"

#define PARTS	     8 /* recordings of equal size in the folder */
#define NS	     1000000000ULL
#define RETRY_NS     (10 * NS)
#define TRIM_NS	     (5 * NS)
#define SLACK_NS     (NS / 2) /* passes are some milliseconds late, now more and now less */
#define BACK_SECONDS 5
#define MIB(bytes)   ((double)(bytes) / (1 << 20))

/* --- trouble --- */

/* Says it, unless it was said last, as `last` knows. */
static void say_trouble(char last[TROUBLE], const char *what, const char *why)
{
	char text[TROUBLE];

	snprintf(text, sizeof(text), "%s: %s", what, why);
	if (!strcmp(text, last))
		return;
	snprintf(last, TROUBLE, "%s", text);
	agent_complain("%s", text);
}

static void end_trouble(struct agent *a)
{
	double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - a->paused_ns) / 1e9;

	if (!*a->trouble)
		return;
	if (a->paused_ns)
		a->unrecorded_ns += clock_ns(CLOCK_MONOTONIC) - a->paused_ns;
	if (a->paused_ns)
		agent_complain("recording again, to %s: what changed in %.0f s is in no recording",
			       a->path, seconds);
	*a->trouble = '\0';
	a->paused_ns = 0;
}

/* There is no recording from now on. */
static void stop_writing(struct agent *a)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	a->write_errors++;
	if (!a->paused_ns)
		a->paused_ns = now;
	a->retry_ns = now + RETRY_NS;
}

/* --- size --- */

int agent_trim(struct agent *a)
{
	uint64_t most = a->options.store_bytes;
	const char *keep = recorder_pauses(a->recorder) ? NULL : a->path;
	uint64_t words = 0;
	int err = agent_trim_deaths(a, &words), failed;

	a->trimmed_ns = clock_ns(CLOCK_MONOTONIC);
	failed = store_trim(&a->store, keep, most - most / PARTS - words, &a->sizes);
	err = err ?: failed;
	a->sizes.bytes += words;
	if (err) {
		say_trouble(a->trim_trouble, "old recordings can't be removed", strerror(-err));
		return err;
	}
	*a->trim_trouble = '\0';
	if (a->sizes.bytes <= most || a->too_small)
		return 0;
	a->too_small = true;
	agent_complain("--size %.0f is too small: one recording of these processes needs %.1f MiB",
		       MIB(most), MIB(a->sizes.bytes));
	return 0;
}

static bool is_large(struct agent *a)
{
	uint64_t share = a->options.store_bytes / PARTS, bytes = recorder_bytes(a->recorder);

	return bytes >= share && bytes >= a->base_bytes + share / 4;
}

static bool is_old(const struct agent *a)
{
	uint64_t age_ns = clock_ns(CLOCK_MONOTONIC) - a->began_ns + SLACK_NS;

	return (double)age_ns >= a->options.rotate * 1e9;
}

/* --- files --- */

/* A cache never gives room back. If there is none for a new one, the old one is as good. */
static void renew_sources(struct agent *a)
{
	struct source_cache *sources;

	if (a->options.no_sources)
		return;
	sources = source_cache_new(examiner_read_source);
	if (!sources)
		return;
	recorder_use_sources(a->recorder, sources);
	source_cache_free(a->sources);
	a->sources = sources;
}

void agent_begin_file(struct agent *a)
{
	char path[sizeof(a->path)];
	int err = store_new_path(&a->store, clock_seconds(CLOCK_REALTIME), path, sizeof(path));

	err = err ?: recorder_go_on(a->recorder, path);
	if (err) {
		say_trouble(a->trouble,
			    "no recording can be begun, which is tried again every 10 s",
			    recorder_why(a->recorder));
		stop_writing(a);
		return;
	}
	snprintf(a->path, sizeof(a->path), "%s", path);
	renew_sources(a);
	a->began_ns = clock_ns(CLOCK_MONOTONIC);
	a->base_bytes = recorder_bytes(a->recorder);
	end_trouble(a);
	agent_trim(a);
}

/* The recording can't be written any more: what is in it stays. */
static void give_up_file(struct agent *a)
{
	char what[sizeof(a->path) + 64];

	snprintf(what, sizeof(what), "%s ends here, and another one is tried every 10 s", a->path);
	say_trouble(a->trouble, what, recorder_why(a->recorder));
	recorder_pause(a->recorder);
	stop_writing(a);
}

/* True if the clock was set back: all that came until it is as late as before would have the same
 * time in a recording. */
static bool is_set_back(struct agent *a)
{
	double apart = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_MONOTONIC);
	double back = a->clocks_apart - apart;
	bool known = a->clocks_apart > 0;

	a->clocks_apart = apart;
	if (!known || back < BACK_SECONDS)
		return false;
	agent_complain("the clock was set back by %.0f s: another recording begins", back);
	return true;
}

uint64_t agent_retry_after(const struct agent *a)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (!recorder_pauses(a->recorder))
		return UINT64_MAX;
	return a->retry_ns > now ? a->retry_ns - now : 0;
}

int agent_tick_files(struct agent *a)
{
	bool back = is_set_back(a);
	int err = recorder_tick(a->recorder);

	if (err && recorder_is_blind(a->recorder)) {
		agent_complain("%s", recorder_why(a->recorder));
		return err;
	}
	if (err)
		give_up_file(a);
	if (recorder_pauses(a->recorder)) {
		if (clock_ns(CLOCK_MONOTONIC) >= a->retry_ns)
			agent_begin_file(a);
	} else if (back || is_large(a) || is_old(a)) {
		agent_begin_file(a);
	}
	if (clock_ns(CLOCK_MONOTONIC) - a->trimmed_ns + SLACK_NS >= TRIM_NS)
		agent_trim(a);
	return 0;
}
