/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: who watches a host asks every few seconds which program and which container grows. The
 * answer must be cheap, bounded, and must never hold up what the agent is there for, its recording.
 *
 * How the data flows:
 *
 *   profiler ── each process that its model forgets ──► books (metric_book.h): what only grows
 *      │                                                  │
 *      └── a snapshot: the model of now ──────────────────┤
 *                                                         ▼
 *   GET /metrics ──► metrics_http.c ── once a second ──► render() ──► the text, in one form
 *        ◄────────────── the text there is ◄──────────────┘
 *
 *   - Nothing is made until somebody asks. Then the loop takes a snapshot and writes the text; that
 *     is the longest that a client can hold the recording up, and at most once a second for each of
 *     the two forms. If it takes long, such as with lines of thousands of stacks, it is done less
 *     often: a tenth of the time at most goes into both.
 *   - metrics_http.c owns the text, from the end of render() until the next one, or until the last
 *     connection that reads it is closed.
 *   - Lines are computed so seldom that it takes a small part of the time (metric_lines.h). A text
 *     between has those from before.
 *   - The books are the only state. They are told of processes that end whether somebody asks or
 *     not, so counters don't depend on when they are read.
 *   - The figures are those that the recording has, since both are made of the same counts. */
#include "agent/agent_metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "agent/metrics_http.h"
#include "agent/metrics_page.h"
#include "agent/textfile.h"
#include "base/clock.h"
#include "base/exit_status.h"
#include "model/metric_book.h"
#include "model/metric_lines.h"
#include "python/py_collector.h"
#include "report/report.h"

#define GROUPS	    100	    /* programs, and containers, that have rows of their own */
#define LINES_PART  0.00033 /* of the time that computing lines may take */
#define TEXTFILE_NS 15000000000ULL

struct agent_metrics {
	struct agent *agent;
	/* Copies: those of the options end with the next SIGHUP. NULL: not given. */
	char *listen, *tls_cert, *tls_key, *token_file, *path;
	struct metrics_listener listener;
	struct pprof_ops pprof;
	struct metrics_http *http; /* NULL: there is only the text file */
	struct textfile textfile;
	struct loop_timer write;
	int write_error; /* of the text file, as was said last */
	struct metric_book *programs, *containers;
	struct metric_lines *lines;
	uint64_t missed;	     /* processes, for want of memory */
	uint64_t missed_collections; /* readings of a process, for want of memory */
	uint64_t own_ns;	     /* METRICS_SPENT_OWN, when it was told last */
};

/* --- the text --- */

static const struct {
	const char *prefix;
	enum model_by by;
} kinds[] = {{"pymem_", MODEL_BY_PROGRAM}, {"pymem_container_", MODEL_BY_CONTAINER}};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void put_all(const struct metrics_form *form, const struct model *model,
		    const struct group_sums *sums, const struct metrics_agent *own, bool lines,
		    int *err)
{
	*err = *err ?: metrics_put_host(form, model);
	for (size_t i = 0; i < KINDS; i++) {
		const struct metrics m = {
			.form = *form,
			.prefix = kinds[i].prefix,
			.by = kinds[i].by,
			.model = model,
			.sums = &sums[i],
			.counters = true,
			.swap = true,
			.shares = own->pss,
			.lines = lines && kinds[i].by == MODEL_BY_PROGRAM,
		};

		metrics_groups(&m);
		if (kinds[i].by == MODEL_BY_CONTAINER)
			metrics_put_containers(&m);
	}
	metrics_put_agent(form, own);
	metrics_put_alarms(form, own);
	if (!form->plain)
		fputs("# EOF\n", form->out);
}

/* 0 or -errno; then there is no text to free. */
static int put_text(bool plain, char **text, size_t *size, const struct model *model,
		    const struct group_sums *sums, const struct metrics_agent *own, bool lines)
{
	struct metrics_form form = {.out = open_memstream(text, size), .plain = plain};
	int err = 0;

	if (!form.out)
		return -errno;
	put_all(&form, model, sums, own, lines, &err);
	if (ferror(form.out))
		err = err ?: -ENOMEM;
	if (fclose(form.out))
		err = err ?: -errno;
	if (err) {
		free(*text);
		*text = NULL;
	}
	return err;
}

/* Both clocks that the agent's own time is made of are coarse: it must not seem to fall. */
static void put_spent(struct agent_metrics *m, struct metrics_agent *own)
{
	const struct agent_used used = agent_used_now(m->agent);
	uint64_t own_ns = used.own_ns > used.serve_ns ? used.own_ns - used.serve_ns : 0;

	m->own_ns = own_ns > m->own_ns ? own_ns : m->own_ns;
	own->spent_seconds[METRICS_SPENT_OWN] = (double)m->own_ns / 1e9;
	own->spent_seconds[METRICS_SPENT_REQUESTS] = (double)used.serve_ns / 1e9;
	own->spent_seconds[METRICS_SPENT_WALKS] = (double)used.walks_ns / 1e9;
	own->spent_seconds[METRICS_SPENT_FAULTS] = (double)used.faults_ns / 1e9;
}

static struct metrics_agent own_of(const struct agent_metrics *m, struct counts_facts *facts)
{
	const struct agent *a = m->agent;
	uint64_t since = a->paused_ns ? clock_ns(CLOCK_MONOTONIC) - a->paused_ns : 0;
	struct push_counts pushed = {};
	bool pushes = agent_push_counts(a->push, &pushed);

	profiler_facts(a->profiler, facts);
	return (struct metrics_agent){
		.facts = facts,
		.http = m->http ? metrics_http_counts(m->http) : (struct metrics_http_counts){},
		.stored = a->sizes,
		.store_bytes = a->options.store_bytes,
		.recording = !recorder_pauses(a->recorder),
		.write_errors = a->write_errors,
		.unrecorded_seconds = (double)(a->unrecorded_ns + since) / 1e9,
		.memory = agent_rss(),
		.own_memory = agent_memory(),
		.budget = a->options.budget,
		.shed_level = shed_level(&a->shed),
		.shed_seconds =
			{
				profiler_shed_seconds(a->profiler, TRACKER_SHEDS_EVENTS),
				profiler_shed_seconds(a->profiler, TRACKER_SHEDS_DEPTH),
				profiler_shed_seconds(a->profiler, TRACKER_SHEDS_PROCESSES),
			},
		.untraced = profiler_untraced(a->profiler),
		.missed = m->missed,
		.collectors = recorder_collectors(a->recorder),
		.missed_collections = m->missed_collections,
		.pushes = pushes,
		.pushed = pushed,
		.alarms = a->alarms,
		.lines_age = a->options.metrics_lines
				     ? metric_lines_age(m->lines, clock_seconds(CLOCK_MONOTONIC))
				     : -1,
	};
}

/* Computes lines anew, from a snapshot, which has all stacks, and keeps them. 0 or -errno. */
static int compute_lines(struct agent_metrics *m, unsigned lines, double now)
{
	double began = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
	const struct model *model = profiler_snapshot(m->agent->profiler, false);
	struct group_sums sums = {};
	int err = model ? group_sums_make(model, MODEL_BY_PROGRAM, GROUPS, lines, &sums) : -errno;

	if (err)
		return err;
	err = metric_lines_keep(m->lines, &sums, now,
				clock_seconds(CLOCK_THREAD_CPUTIME_ID) - began);
	group_sums_free(&sums);
	return err;
}

/* Fills `sums` of programs with `lines` lines of each. `*model` becomes that which they are of. All
 * but lines comes from the same kind of model each time: a snapshot knows better what is
 * unattributed, and a figure that went up and down with it would tell of changes that there were
 * not. 0 or -errno. */
static int sum_programs(struct agent_metrics *m, unsigned lines, struct group_sums *sums,
			struct model **model)
{
	double now = clock_seconds(CLOCK_MONOTONIC);
	int err = 0;

	if (lines && metric_lines_are_due(m->lines, now, LINES_PART))
		err = compute_lines(m, lines, now);
	if (err)
		return err;
	*model = profiler_brief(m->agent->profiler);
	err = *model ? metric_book_sums(m->programs, *model, 0, sums) : -errno;
	if (lines && !err)
		err = metric_lines_put(m->lines, sums);
	return err;
}

/* A metrics_render_fn. */
static int render(void *arg, bool plain, char **text, size_t *size)
{
	struct agent_metrics *m = arg;
	struct group_sums sums[KINDS] = {};
	struct counts_facts facts;
	struct agent_pss_figures pss;
	struct metrics_agent own;
	unsigned lines = m->agent->options.metrics_lines;
	struct model *model = NULL;
	int err = sum_programs(m, lines, &sums[0], &model);

	err = err ?: report_add_cgroups(model);
	err = err ?: metric_book_sums(m->containers, model, 0, &sums[1]);
	for (size_t i = 0; i < KINDS && m->agent->pss && !err; i++)
		err = agent_pss_put(m->agent, model, kinds[i].by, &sums[i], &pss);
	if (!err) {
		own = own_of(m, &facts);
		put_spent(m, &own);
		own.pss = m->agent->pss ? &pss : NULL;
		err = put_text(plain, text, size, model, sums, &own, lines);
	}
	for (size_t i = 0; i < KINDS; i++)
		group_sums_free(&sums[i]);
	return err;
}

void agent_metrics_gone(struct agent_metrics *m, const struct model_process *process)
{
	int err = metric_book_gone(m->programs, process);

	err = metric_book_gone(m->containers, process) ?: err;
	m->missed += err != 0;
}

void agent_metrics_killed(struct agent_metrics *m, const struct model_process *process,
			  enum death_cause cause)
{
	if (!m)
		return;
	metric_book_killed(m->programs, process, cause);
	metric_book_killed(m->containers, process, cause);
}

void agent_metrics_collected(struct agent_metrics *m, uint32_t image, const uint64_t *collections)
{
	int err;

	_Static_assert(PY_GENERATIONS == GROUP_GENERATIONS, "");
	if (!m)
		return;
	err = metric_book_collected(m->programs, image, collections);
	err = metric_book_collected(m->containers, image, collections) ?: err;
	m->missed_collections += err != 0;
}

/* --- the text file --- */

static void on_write(void *arg)
{
	struct agent_metrics *m = arg;
	char *text = NULL;
	size_t size;
	int err = render(m, true, &text, &size);

	err = err ?: textfile_write(&m->textfile, text, size);
	free(text);
	if (err && err != m->write_error)
		agent_complain("--textfile %s: %s", m->path, strerror(-err));
	else if (!err && m->write_error)
		agent_say(m->agent, "--textfile %s: is written again", m->path);
	m->write_error = err;
}

/* --- begin and end --- */

static bool copy(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return !text || *to;
}

/* Whether all of it is for the text file alone. */
static bool only_writes(const struct agent_options *o)
{
	return o->textfile && !o->listen && !o->tls_cert && !o->tls_key && !o->token_file;
}

/* Opens what must be opened before rights are given up. 0 or an exit status. */
static int open_places(struct agent_metrics *m)
{
	const struct agent_options *o = &m->agent->options;
	const struct metrics_access access = {
		.listen = o->listen,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.token_file = o->token_file,
	};
	char why[PATH_MAX + 512];
	int err = 0;

	if (!only_writes(o))
		err = metrics_listener_open(&m->listener, &access, why, sizeof(why));
	if (!err && o->textfile)
		err = textfile_open(&m->textfile, m->path, why, sizeof(why));
	if (!err)
		return 0;
	agent_complain("%s", why);
	return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static int open_all(struct agent_metrics *m)
{
	const struct agent_options *o = &m->agent->options;
	int status;

	m->programs = metric_book_new(MODEL_BY_PROGRAM, GROUPS);
	m->containers = metric_book_new(MODEL_BY_CONTAINER, GROUPS);
	m->lines = metric_lines_new();
	if (!m->programs || !m->containers || !m->lines || !copy(&m->listen, o->listen) ||
	    !copy(&m->tls_cert, o->tls_cert) || !copy(&m->tls_key, o->tls_key) ||
	    !copy(&m->token_file, o->token_file) || !copy(&m->path, o->textfile)) {
		agent_complain("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	status = open_places(m);
	if (status || only_writes(o))
		return status;
	m->pprof = agent_pprof_ops(m->agent);
	m->http = metrics_http_new(&m->listener, render,
				   o->pprof || o->pprof_kept ? &m->pprof : NULL, m);
	if (m->http)
		return 0;
	if (errno == EINVAL) {
		agent_complain("--tls-cert %s, --tls-key %s: they are no certificate and its key, "
			       "in PEM",
			       o->tls_cert, o->tls_key);
		return EXIT_USAGE;
	}
	agent_complain("--listen %s: %s", o->listen, strerror(errno));
	return EXIT_FAILED;
}

int agent_metrics_open(struct agent *a, struct agent_metrics **metrics)
{
	const struct agent_options *o = &a->options;
	struct agent_metrics *m;

	*metrics = NULL;
	if (!o->listen && !o->tls_cert && !o->tls_key && !o->token_file && !o->metrics_lines &&
	    !o->textfile)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m) {
		agent_complain("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	m->agent = a;
	m->listener.fd = -1;
	m->textfile.folder = -1;
	*metrics = m;
	return open_all(m);
}

int agent_metrics_watch(struct agent_metrics *m)
{
	int err = m->http ? metrics_http_watch(m->http, m->agent->loop) : 0;

	if (m->path) {
		agent_say(m->agent, "writes metrics to %s", m->path);
		loop_timer_start(m->agent->loop, &m->write, 0, TEXTFILE_NS, on_write, m);
	}
	if (err) {
		agent_complain("--listen %s: %s", m->listen, strerror(-err));
		return EXIT_FAILED;
	}
	if (m->http)
		agent_say(m->agent, "serves metrics at %s", m->listener.url);
	return 0;
}

uint64_t agent_metrics_cpu_ns(const struct agent_metrics *m)
{
	return m && m->http ? metrics_http_cpu_ns(m->http) : 0;
}

static bool differs(const char *one, const char *other)
{
	return strcmp(one ?: "", other ?: "") != 0;
}

void agent_metrics_compare(const struct agent_metrics *metrics, const struct agent_options *asked,
			   void (*fn)(bool differs, const char *option))
{
	static const struct agent_metrics none;
	const struct agent_metrics *m = metrics ?: &none;

	fn(differs(m->listen, asked->listen), "--listen");
	fn(differs(m->tls_cert, asked->tls_cert), "--tls-cert");
	fn(differs(m->tls_key, asked->tls_key), "--tls-key");
	fn(differs(m->token_file, asked->token_file), "--metrics-token-file");
	fn(differs(m->path, asked->textfile), "--textfile");
	fn(!metrics && asked->metrics_lines, "--metrics-lines");
}

void agent_metrics_close(struct agent_metrics *m)
{
	if (!m)
		return;
	loop_timer_stop(&m->write);
	textfile_close(&m->textfile);
	metrics_http_free(m->http);
	metrics_listener_close(&m->listener);
	metric_book_free(m->programs);
	metric_book_free(m->containers);
	metric_lines_free(m->lines);
	free(m->listen);
	free(m->tls_cert);
	free(m->tls_key);
	free(m->token_file);
	free(m->path);
	free(m);
}
