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
 *   GET /metrics ──► metrics_http.c ── once a second ──► render() ──► the text, in both forms
 *        ◄────────────── the text there is ◄──────────────┘
 *
 *   - Nothing is made until somebody asks. Then the loop takes a snapshot and writes the text; that
 *     is the longest that a client can hold the recording up, and at most once a second. If it
 * takes long, such as with lines of thousands of stacks, it is done less often: a tenth of the time
 *     at most goes into it.
 *   - metrics_http.c owns the text, from the end of render() until the next one, or until the last
 *     connection that reads it is closed.
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
#include "base/clock.h"
#include "base/exit_status.h"
#include "model/metric_book.h"
#include "report/report.h"

#define GROUPS 100 /* programs, and containers, that have rows of their own */

struct agent_metrics {
	struct agent *agent;
	/* Copies: those of the options end with the next SIGHUP. NULL: not given. */
	char *listen, *tls_cert, *tls_key, *token_file;
	struct metrics_listener listener;
	struct metrics_http *http;
	struct metric_book *programs, *containers;
	uint64_t missed; /* processes, for want of memory */
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
			.lines = lines && kinds[i].by == MODEL_BY_PROGRAM,
		};

		metrics_groups(&m);
		if (kinds[i].by == MODEL_BY_CONTAINER)
			metrics_put_containers(&m);
	}
	metrics_put_agent(form, own);
	if (!form->plain)
		fputs("# EOF\n", form->out);
}

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
	return err;
}

static struct metrics_agent own_of(const struct agent_metrics *m, struct counts_facts *facts)
{
	const struct agent *a = m->agent;
	uint64_t since = a->paused_ns ? clock_ns(CLOCK_MONOTONIC) - a->paused_ns : 0;

	profiler_facts(a->profiler, facts);
	return (struct metrics_agent){
		.facts = facts,
		.http = metrics_http_counts(m->http),
		.stored = a->sizes,
		.store_bytes = a->options.store_bytes,
		.recording = !recorder_pauses(a->recorder),
		.write_errors = a->write_errors,
		.unrecorded_seconds = (double)(a->unrecorded_ns + since) / 1e9,
		.memory = agent_memory(),
		.bpf_seconds = (double)profiler_cpu_ns(a->profiler) / 1e9,
		.shed_level = shed_level(&a->shed),
		.shed_seconds =
			{
				profiler_shed_seconds(a->profiler, TRACKER_SHEDS_EVENTS),
				profiler_shed_seconds(a->profiler, TRACKER_SHEDS_DEPTH),
				profiler_shed_seconds(a->profiler, TRACKER_SHEDS_PROCESSES),
			},
		.untraced = profiler_untraced(a->profiler),
		.missed = m->missed,
	};
}

/* A metrics_render_fn. */
static int render(void *arg, struct metrics_texts *texts)
{
	struct agent_metrics *m = arg;
	struct group_sums sums[KINDS] = {};
	struct counts_facts facts;
	struct metrics_agent own;
	unsigned lines = m->agent->options.metrics_lines;
	struct profiler *profiler = m->agent->profiler;
	struct model *model = lines ? profiler_snapshot(profiler, false) : profiler_brief(profiler);
	int err = model ? report_add_cgroups(model) : -errno;

	err = err ?: metric_book_sums(m->programs, model, lines, &sums[0]);
	err = err ?: metric_book_sums(m->containers, model, 0, &sums[1]);
	if (!err) {
		own = own_of(m, &facts);
		err = put_text(false, &texts->open, &texts->open_size, model, sums, &own, lines);
		err = err
			      ?: put_text(true, &texts->plain, &texts->plain_size, model, sums,
					  &own, lines);
	}
	for (size_t i = 0; i < KINDS; i++)
		group_sums_free(&sums[i]);
	if (!err)
		return 0;
	free(texts->open);
	free(texts->plain);
	*texts = (struct metrics_texts){};
	return err;
}

void agent_metrics_gone(struct agent_metrics *m, const struct model_process *process)
{
	int err = metric_book_gone(m->programs, process);

	err = metric_book_gone(m->containers, process) ?: err;
	m->missed += err != 0;
}

/* --- begin and end --- */

static bool copy(char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return !text || *to;
}

static int open_all(struct agent_metrics *m)
{
	const struct agent_options *o = &m->agent->options;
	const struct metrics_access access = {
		.listen = o->listen,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.token_file = o->token_file,
	};
	char why[512];
	int err = metrics_listener_open(&m->listener, &access, why, sizeof(why));

	if (err) {
		agent_complain("%s", why);
		return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	m->programs = metric_book_new(MODEL_BY_PROGRAM, GROUPS);
	m->containers = metric_book_new(MODEL_BY_CONTAINER, GROUPS);
	if (!m->programs || !m->containers || !copy(&m->listen, o->listen) ||
	    !copy(&m->tls_cert, o->tls_cert) || !copy(&m->tls_key, o->tls_key) ||
	    !copy(&m->token_file, o->token_file)) {
		agent_complain("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	m->http = metrics_http_new(&m->listener, render, m);
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
	if (!o->listen && !o->tls_cert && !o->tls_key && !o->token_file && !o->metrics_lines)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m) {
		agent_complain("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	m->agent = a;
	m->listener.fd = -1;
	*metrics = m;
	return open_all(m);
}

int agent_metrics_watch(struct agent_metrics *m)
{
	int err = metrics_http_watch(m->http, m->agent->loop);

	if (err) {
		agent_complain("--listen %s: %s", m->listen, strerror(-err));
		return EXIT_FAILED;
	}
	agent_say(m->agent, "serves metrics at %s", m->listener.url);
	return 0;
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
	fn(!metrics && asked->metrics_lines, "--metrics-lines");
}

void agent_metrics_close(struct agent_metrics *m)
{
	if (!m)
		return;
	metrics_http_free(m->http);
	metrics_listener_close(&m->listener);
	metric_book_free(m->programs);
	metric_book_free(m->containers);
	free(m->listen);
	free(m->tls_cert);
	free(m->tls_key);
	free(m->token_file);
	free(m);
}
