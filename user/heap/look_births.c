/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/look_births.h"

#include <errno.h>
#include <string.h>

#include "heap/births.h"

#define WATCHED_WHOLE 0.98
/* For a holder that grew by fewer bytes, a missing line is not explained. */
#define GREW_LEAST (64 << 10)

void look_births_begin(struct census *census, const struct heap_target *target)
{
	struct births_request *request;
	struct holder *holders = NULL;
	size_t count = 0;
	int err = 0;

	if (!target->births)
		return;
	request = heap_births_request(target->births);
	request->pid = target->pid;
	request->method = (enum births_method)target->births_method;
	request->process = target->python;
	request->heap = target->layout;
	if (census->graph)
		err = heap_holders_find(census->graph, BIRTHS_CANDIDATES, &holders, &count);
	if (err) {
		heap_births_give_up(target->births, err);
		return;
	}
	heap_births_candidates(request, census->graph, holders, count);
	heap_holders_free(holders, count);
	heap_births_begin(target->births);
}

/* Why debug registers were not used; "": they were not asked for. */
static const char *watch_refusal(int err)
{
	switch (err) {
	case 0:
		return "";
	case -ENOTSUP:
		return "debug registers do nothing here";
	case -ENOENT:
		return "nothing grew that could be watched";
	case -EBUSY:
	case -ENOSPC:
		return "another debugger has the debug registers";
	default:
		return strerror(-err);
	}
}

static const char *burst_refusal(int err)
{
	switch (err) {
	case -ENOTSUP:
		return "bursts need Linux 6.6";
	case -ENOENT:
		return "this build of Python exports none of the functions that make objects";
	case -EBUSY:
	case -ENOSPC:
		return "another debugger has the process";
	default:
		return strerror(-err);
	}
}

/* Says why there are no lines at all. */
static int say_refusal(struct heap_look *look, const struct heap_target *target, int err)
{
	const char *watch = "", *burst = "", *reason = NULL;

	if (err == -EPERM || err == -EACCES)
		reason = "it needs the rights to use BPF and to trace: root";
	else if (err == -ETIME)
		reason = "the process held it up";
	else if (err == -ENOMEM)
		reason = "there is not enough memory to find out";
	if (target->births_method == BIRTHS_METHOD_WATCH)
		watch = watch_refusal(err);
	else
		burst = burst_refusal(err);
	if (target->births_method == BIRTHS_METHOD_AUTO)
		watch = watch_refusal(heap_births_figures(target->births)->watch_error);
	return heap_look_say(&look->notes, "which lines fill what grew is not known: %s%s%s",
			     reason ? reason : watch, !reason && *watch && *burst ? ", and " : "",
			     reason ? "" : burst);
}

static int say_figures(struct heap_look *look, const struct births_figures *figures)
{
	int err = 0;

	if (figures->watched && figures->watched_part < WATCHED_WHOLE)
		err = heap_look_say(&look->notes,
				    "insertions are those of %.0f %% of the time: there were too "
				    "many to see all",
				    100 * figures->watched_part);
	if (!err && figures->replaced)
		err = heap_look_say(&look->notes,
				    "what was put into %llu of the containers that were watched is "
				    "not known: others have replaced them, or may have",
				    (unsigned long long)figures->replaced);
	return err;
}

int look_births_add(struct heap_look *look, const struct census *census,
		    const struct heap_target *target, const struct holder *holders, size_t count)
{
	int err;

	if (!target->births)
		return 0;
	if (census->births_error)
		return say_refusal(look, target, census->births_error);
	err = say_figures(look, heap_births_figures(target->births));
	return err ? err
		   : heap_births_rows(target->births, census->graph, census->blocks, census->types,
				      holders, count, &look->births, &look->birth_count);
}

static bool has_line(const struct heap_look *look, const struct heap_holder_row *holder)
{
	for (size_t i = 0; i < look->birth_count; i++)
		if (!strcmp(look->births[i].holder, holder->path))
			return true;
	return false;
}

int look_births_explain(struct heap_look *look, const struct census *census,
			const struct heap_target *target)
{
	const struct heap_holder_row *first = look->holders;
	const struct births_figures *figures;
	const char *cause;

	if (!target->births || census->births_error || !look->holder_count ||
	    first->grown_bytes < GREW_LEAST || first->is_unreached ||
	    heap_look_is_passing(look, first) || has_line(look, first))
		return 0;
	figures = heap_births_figures(target->births);
	if (!figures->watched && figures->missed && figures->missed == figures->bursts)
		cause = "in no burst the process could be stopped: one of its threads does not "
			"stop, or another process traces it";
	else if (!figures->watched)
		cause = "of what is in it nothing was made in a burst";
	else if (first->is_new)
		cause = "it came after the first look, and debug registers are on what was there "
			"(--births burst looks at whatever is made)";
	else
		cause = "no insertion was seen: it was not among those watched, or others have "
			"replaced it";
	return heap_look_say(&look->notes, "which line fills %s is not known: %s", first->path,
			     cause);
}
