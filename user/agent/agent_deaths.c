/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent does when a signal has ended a process: it says so, in one line, and writes its
 * last words into a file of their own. A service that is killed each second, or a thousand
 * processes that are killed at once, may neither fill the journal nor the folder. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "agent/deaths.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/program.h"
#include "render/last_words.h"

#define NS	    1000000000ULL
#define MINUTE_MOST 60		 /* processes of each cause that are told one by one */
#define BYTES_PART  64		 /* of --size */
#define LARGE	    (512u << 10) /* bytes of a document: then it has one thread */

/* The document. The caller frees it. NULL: out of memory. */
static char *document(const struct model *model, const struct model_process *process, json_t *heap,
		      bool one, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);
	int err;

	if (!out)
		return NULL;
	err = last_words_document(out, model, process, heap, one);
	if (!fclose(out) && !err)
		return text;
	free(text);
	return NULL;
}

/* Two sentences, escaped, in one line. The caller frees it. NULL: out of memory. */
static char *sentences(const struct model_process *process)
{
	char *plain = NULL, *text = NULL;
	struct program program;
	char name[64];
	size_t size;
	FILE *out = open_memstream(&plain, &size);

	if (!out)
		return NULL;
	program_parse(&program, process->cmdline, process->comm);
	program_name(&program, name, sizeof(name));
	fprintf(out, "%s: ", name);
	last_words_write(out, NULL, process, true);
	if (fclose(out)) {
		free(plain);
		return NULL;
	}
	out = open_memstream(&text, &size);
	if (out) {
		text_wrap(out, plain, 0, 0, 0);
		if (fclose(out)) {
			free(text);
			text = NULL;
		}
	}
	free(plain);
	return text;
}

/* The last look at its heap, or null. */
static json_t *look_at(const struct agent *a, const struct model_process *process,
		       uint64_t start_boottime_ns)
{
	if (!a->heap)
		return json_null();
	return alarm_heap_last(a->heap, process->pid, start_boottime_ns,
			       process->death->facts.time);
}

static int write_file(struct agent *a, const struct model *model,
		      const struct model_process *process, uint64_t start_boottime_ns,
		      char name[DEATHS_NAME])
{
	const struct death *death = &process->death->facts;
	int err = deaths_name(death_cause(death, process->pid), death->time, process->pid, name);
	json_t *heap;
	size_t size;
	char *text;

	if (err)
		return err;
	heap = look_at(a, process, start_boottime_ns);
	text = heap ? document(model, process, heap, false, &size) : NULL;
	/* Names of files and functions are the target's to choose. */
	if (text && size > LARGE) {
		free(text);
		text = document(model, process, heap, true, &size);
	}
	err = text ? deaths_write(a->store.folder, name, text, size) : -ENOMEM;
	free(text);
	json_decref(heap);
	return err;
}

void agent_tell_more_deaths(struct agent *a, bool ends)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	unsigned more = 0;

	if (!a->deaths_since_ns || (!ends && now - a->deaths_since_ns < 60 * NS))
		return;
	for (int i = 0; i < DEATH_CAUSES; i++)
		more += a->deaths[i] > MINUTE_MOST ? a->deaths[i] - MINUTE_MOST : 0;
	if (more)
		agent_complain("%u more processes were ended by signals within a minute: their "
			       "last words are in recordings only",
			       more);
	a->deaths_since_ns = 0;
	memset(a->deaths, 0, sizeof(a->deaths));
}

/* False: there were too many of this kind in this minute. Somebody who kills many does not hide
 * what the OOM killer does. */
static bool may_tell(struct agent *a, enum death_cause cause)
{
	agent_tell_more_deaths(a, false);
	if (!a->deaths_since_ns)
		a->deaths_since_ns = clock_ns(CLOCK_MONOTONIC);
	return ++a->deaths[cause] <= MINUTE_MOST;
}

void agent_killed(const struct model *model, const struct model_process *process,
		  uint64_t start_boottime_ns, void *arg)
{
	enum death_cause cause = death_cause(&process->death->facts, process->pid);
	char name[DEATHS_NAME] = "", *text;
	struct agent *a = arg;
	int err;

	agent_metrics_killed(a->metrics, process, cause);
	if (!may_tell(a, cause))
		return;
	err = write_file(a, model, process, start_boottime_ns, name);
	text = sentences(process);
	/* That somebody was told to end is no trouble. */
	if (cause == DEATH_KILL)
		agent_say(a, "%s (%s)", text ?: strerror(ENOMEM), err ? "no file" : name);
	else
		agent_complain("%s (%s)", text ?: strerror(ENOMEM), err ? "no file" : name);
	free(text);
	if (err)
		agent_complain("the last words of PID %d can't be written: %s", process->pid,
			       strerror(-err));
}

int agent_trim_deaths(struct agent *a, uint64_t *bytes)
{
	return deaths_trim(a->store.folder, DEATHS_MOST, a->options.store_bytes / BYTES_PART,
			   bytes);
}
