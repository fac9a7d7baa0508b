/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: /debug/pprof/rss?seconds=30 is to be answered in 30 seconds, by a loop that must not
 * wait. So the connection is suspended, and a timer ends that: the library does not look at it
 * meanwhile, and nothing of it is read.
 *
 * What bounds clients, beside the list in metrics_http.c:
 *
 *   - PPROF_PLACES requests wait at a time, PPROF_SECONDS_MOST each, or have a profile that they
 * have not taken yet. Others are refused (429), and told when a place will be free.
 *   - After something took LONG_NS or longer, nothing is begun until REST times as long has gone
 * by.
 *   - Who has gone has no place: its connection is looked at while the sweep runs.
 *   - From the end of the wait on it has the time of any other client to take its answer.
 *
 * How a request goes: ask() takes a place and suspends; on_due() makes the profile and resumes;
 * then the library calls the handler once more, which gets to pprof_http_answer(). */
#include "agent/metrics_http_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define REST	9
#define LONG_NS (NS / 100)
#define REST_NS NS /* at least, after what is resident was looked at */
#define TYPE	"application/octet-stream"
#define SECONDS "seconds"
#define INDEX \
	"profiles for pprof: rss?seconds=30 what grows from now on; kept: what is resident now\n"
#define NOT_NOW "the figures can't be read just now\n"

unsigned pprof_http_seconds(const char *text)
{
	size_t length = text ? strlen(text) : 0;
	unsigned long seconds;

	if (!text)
		return PPROF_SECONDS;
	if (!length || length > 3 || strspn(text, "0123456789") != length)
		return 0;
	seconds = strtoul(text, NULL, 10);
	return seconds <= PPROF_SECONDS_MOST ? (unsigned)seconds : 0;
}

static unsigned number_of(const struct metrics_http *http, const struct pprof_place *place)
{
	return (unsigned)(place - http->places);
}

/* --- time --- */

/* What has begun at `began_ns` is over. If it took long, nothing else is begun for REST times as
 * long, and for `least_ns` in any case. */
static void note_time(struct metrics_http *http, uint64_t began_ns, uint64_t least_ns)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), took = now - began_ns;
	uint64_t rest = took < LONG_NS ? 0 : REST * took;
	uint64_t until = now + (rest > least_ns ? rest : least_ns);

	if (until > http->rest_ns)
		http->rest_ns = until;
	http->counts.profile_seconds += (double)took / (double)NS;
}

static enum MHD_Result refuse_until(struct metrics_http *http, struct MHD_Connection *connection,
				    uint64_t until_ns, const char *words)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	char seconds[32];

	snprintf(seconds, sizeof(seconds), "%llu",
		 (unsigned long long)(until_ns > now ? (until_ns - now) / NS + 1 : 1));
	return http_refuse(http, connection, MHD_HTTP_TOO_MANY_REQUESTS, words, "Retry-After",
			   seconds);
}

/* What has ended while somebody waits was taken for them, too: that is a part of their time. */
static bool rests(struct metrics_http *http)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	uint64_t took = http->pprof->took_ns ? http->pprof->took_ns(http->pprof->arg) : 0;
	uint64_t more = took - http->took_ns;

	http->took_ns = took;
	http->counts.profile_seconds += (double)more / (double)NS;
	if (more >= LONG_NS && now + REST * more > http->rest_ns)
		http->rest_ns = now + REST * more;
	return now < http->rest_ns;
}

/* --- answers --- */

static enum MHD_Result refuse_now(struct metrics_http *http, struct MHD_Connection *connection)
{
	return http_refuse(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE, NOT_NOW, "Retry-After",
			   "1");
}

/* Takes over the profile. NULL: out of memory. */
static struct MHD_Response *response_of(char *profile, size_t size)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(size, profile, MHD_RESPMEM_MUST_FREE);

	if (!response)
		free(profile);
	return http_headers(response, TYPE);
}

/* Takes over the response; NULL: there is none. */
static enum MHD_Result send_profile(struct metrics_http *http, struct MHD_Connection *connection,
				    struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return refuse_now(http, connection);
	http->counts.answered++;
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

/* A place; NULL: all are taken, and `*free_ns` becomes when the first one will be free. */
static struct pprof_place *find_place(struct metrics_http *http, uint64_t *free_ns)
{
	*free_ns = UINT64_MAX;
	for (struct pprof_place *p = http->places; p < http->places + PPROF_PLACES; p++) {
		if (!p->connection)
			return p;
		if (p->due_ns < *free_ns)
			*free_ns = p->due_ns;
	}
	return NULL;
}

static enum MHD_Result send_kept(struct metrics_http *http, struct MHD_Connection *connection,
				 void **context)
{
	uint64_t began = clock_ns(CLOCK_MONOTONIC), free_ns;
	struct pprof_place *place;
	char *profile = NULL;
	size_t size = 0;
	int err;

	if (!http->pprof->kept)
		return http_refuse(http, connection, MHD_HTTP_NOT_FOUND,
				   "who touched what is resident is not noted: --pprof-kept\n",
				   NULL, NULL);
	if (rests(http))
		return refuse_until(http, connection, http->rest_ns,
				    "the last profile took long\n");
	place = find_place(http, &free_ns);
	if (!place)
		return refuse_until(http, connection, free_ns, "as many wait as may wait\n");
	/* Until pprof_http_completed(). */
	*place = (struct pprof_place){.http = http, .connection = connection};
	*context = place;
	err = http->pprof->kept(http->pprof->arg, &profile, &size);
	note_time(http, began, REST_NS);
	http->counts.profiles += !err;
	return send_profile(http, connection, err ? NULL : response_of(profile, size));
}

/* --- those that wait --- */

static void release(struct metrics_http *http, struct pprof_place *place)
{
	if (place->timer.loop) {
		loop_timer_stop(&place->timer);
		http->pprof->cancel(http->pprof->arg, number_of(http, place));
	}
	if (place->profile)
		MHD_destroy_response(place->profile);
	*place = (struct pprof_place){};
}

/* From now on it has the time of any other client. */
static void resume(struct pprof_place *place)
{
	place->client->waits = false;
	place->client->since_ns = clock_ns(CLOCK_MONOTONIC);
	MHD_resume_connection(place->connection);
}

static void on_due(void *arg)
{
	struct pprof_place *place = arg;
	struct metrics_http *http = place->http;
	uint64_t began = clock_ns(CLOCK_MONOTONIC);
	uint64_t cpu_began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	char *profile = NULL;
	size_t size = 0;

	place->error = http->pprof->end(http->pprof->arg, number_of(http, place), &profile, &size);
	if (!place->error)
		place->profile = response_of(profile, size);
	http->counts.profiles += !place->error;
	note_time(http, began, 0);
	http->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began;
	resume(place);
	http_turn(http);
}

static void leave_waiting(struct metrics_http *http, struct pprof_place *place)
{
	loop_timer_stop(&place->timer);
	http->pprof->cancel(http->pprof->arg, number_of(http, place));
	place->error = -ECONNRESET;
	resume(place);
}

static bool waits(const struct pprof_place *place)
{
	return place->connection && place->timer.loop;
}

void pprof_http_give_up(struct metrics_http *http, struct client *client)
{
	for (struct pprof_place *p = http->places; p < http->places + PPROF_PLACES; p++)
		if (waits(p) && p->client == client)
			leave_waiting(http, p);
}

void pprof_http_end(struct metrics_http *http)
{
	/* The library ends them, and calls pprof_http_completed() for each. */
	for (struct pprof_place *p = http->places; p < http->places + PPROF_PLACES; p++)
		if (waits(p))
			leave_waiting(http, p);
}

static enum MHD_Result let_wait(struct metrics_http *http, struct MHD_Connection *connection,
				struct client *client, unsigned seconds, void **context)
{
	uint64_t began = clock_ns(CLOCK_MONOTONIC), free_ns;
	struct pprof_place *place = find_place(http, &free_ns);
	int err;

	if (!place)
		return refuse_until(http, connection, free_ns, "as many wait as may wait\n");
	if (rests(http))
		return refuse_until(http, connection, http->rest_ns,
				    "the last profile took long\n");
	err = client ? http->pprof->begin(http->pprof->arg, number_of(http, place)) : -EINVAL;
	note_time(http, began, 0);
	if (err)
		return refuse_now(http, connection);
	*place = (struct pprof_place){
		.http = http,
		.connection = connection,
		.client = client,
		.due_ns = began + seconds * NS,
	};
	client->waits = true;
	*context = place;
	MHD_suspend_connection(connection);
	loop_timer_start(http->loop, &place->timer, seconds * NS, 0, on_due, place);
	return MHD_YES;
}

static enum MHD_Result ask_rss(struct metrics_http *http, struct MHD_Connection *connection,
			       struct client *client, void **context)
{
	const char *value = NULL;
	size_t size = 0;
	unsigned seconds;

	/* A value that has a NUL, as %00, is no number. */
	if (MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, SECONDS,
					  strlen(SECONDS), &value, &size) == MHD_YES &&
	    (!value || strlen(value) != size))
		value = "";
	seconds = pprof_http_seconds(value);
	if (!seconds)
		return http_refuse(http, connection, MHD_HTTP_BAD_REQUEST,
				   "seconds= is a number from 1 to 60\n", NULL, NULL);
	return let_wait(http, connection, client, seconds, context);
}

enum MHD_Result pprof_http_ask(struct metrics_http *http, struct MHD_Connection *connection,
			       struct client *client, const char *url, const char *method,
			       void **context)
{
	const char *name = url + strlen(PPROF_HTTP_PATH);

	if (!http->pprof)
		return http_refuse(http, connection, MHD_HTTP_NOT_FOUND,
				   "profiles are served with --pprof\n", NULL, NULL);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return http_refuse(http, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n",
				   "Allow", "GET");
	if (!strcmp(name, "rss"))
		return ask_rss(http, connection, client, context);
	if (!strcmp(name, "kept"))
		return send_kept(http, connection, context);
	if (!*name)
		return http_words(connection, MHD_HTTP_OK, INDEX, NULL, NULL);
	return http_refuse(http, connection, MHD_HTTP_NOT_FOUND, "there are rss and kept\n", NULL,
			   NULL);
}

enum MHD_Result pprof_http_answer(struct metrics_http *http, struct MHD_Connection *connection,
				  size_t *upload_size, void **context)
{
	struct pprof_place *place = *context;
	struct MHD_Response *profile = place->profile;
	int err = place->error;

	/* A GET with a body: it is read first, and is not looked at. */
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	/* What it got needs memory until the client has taken it: it keeps the place until
	 * pprof_http_completed(). */
	place->profile = NULL;
	return err == -ECONNRESET ? MHD_NO : send_profile(http, connection, profile);
}

void pprof_http_completed(void *arg, struct MHD_Connection *connection, void **context,
			  enum MHD_RequestTerminationCode code)
{
	(void)connection, (void)code;
	if (*context)
		release(arg, *context);
	*context = NULL;
}
