/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent does for a profile: it reads messages, then figures, and writes them. Names are
 * chosen by programs, so it is not known before how large it will be: a stream refuses what is too
 * much, and it is written again with fewer stacks. */
#include "agent/agent_pprof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "base/exit_status.h"
#include "render/render_pprof.h"

#define STACKS	    4096 /* of a profile */
#define FEWER	    8	 /* so many times fewer, if it was too large */
#define BYTES	    ((size_t)8 << 20)
#define FIRST_BYTES ((size_t)64 << 10)

_Static_assert((int)PPROF_PUSHED == (int)PPROF_PLACES, "each request that waits has a window");

/* --- a stream of bounded size --- */

struct sink {
	char *bytes;
	size_t size, room, most;
	bool full; /* the stream's own error may be another one: it is not told which write failed
		    */
};

static ssize_t sink_write(void *arg, const char *bytes, size_t size)
{
	struct sink *s = arg;
	size_t room = s->room ?: FIRST_BYTES;
	char *larger;

	s->full |= size > s->most - s->size;
	if (s->full)
		return 0;
	while (room < s->size + size)
		room *= 2;
	if (room > s->room) {
		larger = realloc(s->bytes, room);
		if (!larger)
			return 0;
		s->bytes = larger;
		s->room = room;
	}
	memcpy(s->bytes + s->size, bytes, size);
	s->size += size;
	return (ssize_t)size;
}

static int write_once(struct model *model, const struct pprof_bounds *bounds, struct sink *s)
{
	const cookie_io_functions_t functions = {.write = sink_write};
	FILE *out = fopencookie(s, "w", functions);
	int err;

	if (!out)
		return -errno;
	err = pprof_write(out, model, bounds);
	return fclose(out) && !err ? -errno : err;
}

int pprof_bytes_within(struct model *model, const struct pprof_bounds *given, unsigned fewer,
		       size_t most, char **bytes, size_t *size)
{
	struct pprof_bounds bounds = *given;
	struct sink s;
	int err;

	for (;; bounds.stacks /= fewer) {
		s = (struct sink){.most = most};
		err = write_once(model, &bounds, &s);
		if (!err)
			break;
		free(s.bytes);
		if ((!s.full && err != -EFBIG) || !bounds.stacks)
			return s.full ? -EFBIG : err;
	}
	*bytes = s.bytes;
	*size = s.size;
	return 0;
}

int pprof_bytes(struct model *model, bool resident, size_t most, char **bytes, size_t *size)
{
	const struct pprof_bounds bounds = {.stacks = STACKS, .resident = resident};

	return pprof_bytes_within(model, &bounds, FEWER, most, bytes, size);
}

/* --- requests --- */

static int begin(void *arg, unsigned place)
{
	const struct agent *a = arg;

	return pprof_source_open(a->pprof, place);
}

static void cancel(void *arg, unsigned place)
{
	const struct agent *a = arg;

	pprof_source_close(a->pprof, place);
}

static int end(void *arg, unsigned place, char **profile, size_t *size)
{
	const struct agent *a = arg;
	/* Messages come before figures. */
	int err = profiler_poll(a->profiler);
	struct model *model = err ? NULL : pprof_source_model(a->pprof, place);

	if (!err)
		err = model ? pprof_bytes(model, false, BYTES, profile, size) : -errno;
	pprof_source_close(a->pprof, place);
	return err;
}

static int kept(void *arg, char **profile, size_t *size)
{
	const struct agent *a = arg;
	struct report *report = NULL;
	struct model *model = NULL;
	int err = profiler_poll(a->profiler);

	if (!err) {
		model = pprof_source_kept(a->pprof, &report);
		err = model ? pprof_bytes(model, true, BYTES, profile, size) : -errno;
	}
	report_free(report);
	return err;
}

static uint64_t took_ns(void *arg)
{
	const struct agent *a = arg;

	return pprof_source_asked_ns(a->pprof);
}

struct pprof_ops agent_pprof_ops(struct agent *a)
{
	return (struct pprof_ops){
		.arg = a,
		.begin = begin,
		.end = end,
		.cancel = cancel,
		.kept = a->options.pprof_kept ? kept : NULL,
		.took_ns = took_ns,
	};
}

int agent_pprof_open(struct agent *a)
{
	const struct agent_options *o = &a->options;

	if (!o->pprof && !o->pprof_kept && !o->push)
		return 0;
	if (!o->listen && (o->pprof || !o->push)) {
		agent_complain("--pprof and --pprof-kept need --listen, or --pprof-kept --push");
		return EXIT_USAGE;
	}
	a->pprof = pprof_source_new();
	if (a->pprof)
		return 0;
	agent_complain("%s", strerror(ENOMEM));
	return EXIT_FAILED;
}
