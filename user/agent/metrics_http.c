/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the loop that records must not wait for anybody who fetches metrics, or who only
 * pretends to. So libmicrohttpd has no threads here: its epoll descriptor is one of the loop's, and
 * its timeout is a timer of the loop. Each of its turns does what is ready and returns.
 *
 * What bounds a client:
 *
 *   - METRICS_HTTP_CONNECTIONS connections at a time, each with MEMORY bytes for its request.
 *   - A request must be there HEAD_NS after it was accepted, and all of the answer must have been
 *     taken END_NS after. Both are counted from the beginning: a client that sends a byte now and
 *     then has no more time than one that sends none.
 *   - One request a connection.
 *   - Each form of the text is made at most once in RENDER_NS, whoever asks, and after what took
 *     long only after REST times as long; others get the one there is. Connections that still read
 *     an older one keep it, for END_NS at most.
 *
 * Who asks for a profile of some seconds waits (pprof_http.c). Who goes away meanwhile is noticed.
 *
 * A web page in a browser of this host could be given a name that leads here (DNS rebinding): so
 * where no token is needed, Host must be a number or localhost. */
#include "agent/metrics_http_private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define HEAD_NS	  (2 * NS)
#define END_NS	  (10 * NS)
#define IDLE_S	  10u
#define RENDER_NS NS
#define REST	  9
#define SWEEP_NS  (NS / 4)
#define MEMORY	  ((size_t)16 * 1024)
#define BEARER	  "Bearer "
#define TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_WORD "text/plain; charset=utf-8"

/* --- answers --- */

struct MHD_Response *http_headers(struct MHD_Response *response, const char *type)
{
	if (!response)
		return NULL;
	if (MHD_add_response_header(response, "Content-Type", type) == MHD_YES &&
	    MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
	    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
	    MHD_add_response_header(response, "Connection", "close") == MHD_YES)
		return response;
	MHD_destroy_response(response);
	return NULL;
}

enum MHD_Result http_words(struct MHD_Connection *connection, unsigned status, const char *words,
			   const char *header, const char *value)
{
	/* MHD only reads it. */
	struct MHD_Response *response =
		http_headers(MHD_create_response_from_buffer(strlen(words), (void *)words,
							     MHD_RESPMEM_PERSISTENT),
			     TYPE_WORD);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	result = header ? MHD_add_response_header(response, header, value) : MHD_YES;
	if (result == MHD_YES)
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Takes over the text. */
static struct MHD_Response *response_of(char *text, size_t size, const char *type)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);

	if (!response)
		free(text);
	return http_headers(response, type);
}

static void drop_text(struct metrics_http *http)
{
	/* Connections that still send it have it until they are done. */
	for (size_t i = 0; i < sizeof(http->forms) / sizeof(http->forms[0]); i++) {
		if (http->forms[i].text)
			MHD_destroy_response(http->forms[i].text);
		http->forms[i] = (struct text_form){};
	}
}

/* The text, made anew if it is old. NULL: there is none. Both forms of it become old at the same
 * time; the one that nobody asks for is not made. */
static struct MHD_Response *current_text(struct metrics_http *http, bool plain)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), took;
	struct text_form *form = &http->forms[plain];
	bool old = now >= http->due_ns;
	size_t size;
	char *text;

	if (old)
		drop_text(http);
	if (form->made)
		return form->text;
	form->made = true;
	if (!http->render(http->render_arg, plain, &text, &size))
		form->text = response_of(text, size, plain ? TYPE_TEXT : TYPE_OPEN);
	took = clock_ns(CLOCK_MONOTONIC) - now;
	http->due_ns = old ? now + took + (REST * took > RENDER_NS ? REST * took : RENDER_NS)
			   : http->due_ns + took + REST * took;
	http->counts.renderings++;
	http->counts.rendering_seconds += (double)took / (double)NS;
	return form->text;
}

/* --- requests --- */

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool is_allowed(const struct metrics_http *http, struct MHD_Connection *connection)
{
	const char *given = header_of(connection, "Authorization");

	if (!http->token)
		return true;
	return given && !strncasecmp(given, BEARER, strlen(BEARER)) &&
	       metrics_token_is(http->token, given + strlen(BEARER));
}

/* A number has no letters but those of an IPv6 address, which is in brackets. */
static bool is_our_host(const struct metrics_http *http, struct MHD_Connection *connection)
{
	const char *host = header_of(connection, "Host"), *port;
	size_t length;

	if (http->any_host || !host || *host == '[')
		return true;
	port = strrchr(host, ':');
	length = port ? (size_t)(port - host) : strlen(host);
	return strspn(host, "0123456789.") == length ||
	       (length == strlen("localhost") && !strncasecmp(host, "localhost", length));
}

/* Who names the older format and not OpenMetrics gets that. */
static bool wants_plain(struct MHD_Connection *connection)
{
	const char *accept = header_of(connection, "Accept");

	return accept && strstr(accept, "text/plain") &&
	       !strstr(accept, "application/openmetrics-text");
}

enum MHD_Result http_refuse(struct metrics_http *http, struct MHD_Connection *connection,
			    unsigned status, const char *words, const char *header,
			    const char *value)
{
	http->counts.refused++;
	return http_words(connection, status, words, header, value);
}

static enum MHD_Result send_metrics(struct metrics_http *http, struct MHD_Connection *connection)
{
	struct MHD_Response *text = current_text(http, wants_plain(connection));

	if (!text)
		return http_refuse(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "the figures can't be read just now\n", "Retry-After", "1");
	http->counts.answered++;
	return MHD_queue_response(connection, MHD_HTTP_OK, text);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	struct metrics_http *http = arg;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *client = info ? info->socket_context : NULL;

	(void)version, (void)upload;
	if (*context)
		return pprof_http_answer(http, connection, upload_size, context);
	if (client)
		client->answered = true;
	if (!is_our_host(http, connection))
		return http_refuse(http, connection, MHD_HTTP_FORBIDDEN,
				   "ask for an address as a number, or for localhost\n", NULL,
				   NULL);
	if (!is_allowed(http, connection))
		return http_refuse(http, connection, MHD_HTTP_UNAUTHORIZED, "a token is needed\n",
				   "WWW-Authenticate", "Bearer");
	if (!strncmp(url, PPROF_HTTP_PATH, strlen(PPROF_HTTP_PATH)))
		return pprof_http_ask(http, connection, client, url, method, context);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return http_refuse(http, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				   "only GET and HEAD\n", "Allow", "GET, HEAD");
	if (!strcmp(url, "/metrics"))
		return send_metrics(http, connection);
	if (!strcmp(url, "/-/healthy"))
		return http_words(connection, MHD_HTTP_OK, "the agent runs\n", NULL, NULL);
	if (!strcmp(url, "/"))
		return http_words(connection, MHD_HTTP_OK,
				  "the metrics of pymem-bpf agent are at /metrics\n", NULL, NULL);
	return http_refuse(http, connection, MHD_HTTP_NOT_FOUND, "there is /metrics\n", NULL, NULL);
}

/* --- connections --- */

static void on_turn(void *arg);

/* The library does not look at a connection that waits. */
static bool has_left(const struct client *client)
{
	struct pollfd fd = {.fd = client->fd, .events = POLLRDHUP};

	return poll(&fd, 1, 0) > 0;
}

/* Ends connections that take too long: the library then reads their end, and closes them. */
static void on_sweep(void *arg)
{
	struct metrics_http *http = arg;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	bool any = false;

	for (struct client *c = http->clients; c < http->clients + METRICS_HTTP_CONNECTIONS; c++) {
		any |= c->fd >= 0;
		if (c->waits && has_left(c))
			pprof_http_give_up(http, c);
		if (c->fd < 0 || c->dropped || c->waits ||
		    now - c->since_ns < (c->answered ? END_NS : HEAD_NS))
			continue;
		c->dropped = true;
		http->counts.dropped++;
		shutdown(c->fd, SHUT_RDWR);
	}
	if (!any)
		loop_timer_stop(&http->sweep);
	/* At the limit, the library stops to accept. It goes on in the turn after the one that has
	 * closed a connection, and does not ask for that turn. */
	on_turn(http);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct metrics_http *http = arg;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *client = *context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED && client)
		client->fd = -1;
	if (code != MHD_CONNECTION_NOTIFY_STARTED || !info)
		return;
	for (client = http->clients; client < http->clients + METRICS_HTTP_CONNECTIONS; client++) {
		if (client->fd >= 0)
			continue;
		*client = (struct client){.fd = info->connect_fd,
					  .since_ns = clock_ns(CLOCK_MONOTONIC)};
		*context = client;
		if (!http->sweep.loop)
			loop_timer_start(http->loop, &http->sweep, SWEEP_NS, SWEEP_NS, on_sweep,
					 http);
		return;
	}
	/* Never: there is a place for each that the library accepts. One without would have no end.
	 */
	shutdown(info->connect_fd, SHUT_RDWR);
}

/* --- the loop --- */

static void arm(struct metrics_http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
		loop_timer_start(http->loop, &http->turn, ms * (NS / 1000), 0, on_turn, http);
	else
		loop_timer_stop(&http->turn);
}

/* There is nobody to tell if it fails: clients come again. */
static void on_turn(void *arg)
{
	struct metrics_http *http = arg;
	uint64_t began = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	MHD_run(http->daemon);
	arm(http);
	http->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - began;
}

void http_turn(struct metrics_http *http)
{
	on_turn(http);
}

static void on_ready(void *arg, uint32_t events)
{
	(void)events;
	on_turn(arg);
}

int metrics_http_watch(struct metrics_http *http, struct loop *loop)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int err = info ? loop_add(loop, &http->ready, info->epoll_fd, EPOLLIN, on_ready, http)
		       : -ENOTSUP;

	if (err)
		return err;
	http->loop = loop;
	arm(http);
	return 0;
}

/* --- begin and end --- */

struct metrics_http *metrics_http_new(const struct metrics_listener *listener,
				      metrics_render_fn *render, const struct pprof_ops *pprof,
				      void *arg)
{
	struct metrics_http *http = calloc(1, sizeof(*http));
	const struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, listener->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, listener->key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0,
		 (void *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL | (listener->cert ? MHD_USE_TLS : 0) |
			 (pprof ? MHD_ALLOW_SUSPEND_RESUME : 0);

	if (!http)
		return NULL;
	for (size_t i = 0; i < METRICS_HTTP_CONNECTIONS; i++)
		http->clients[i].fd = -1;
	http->token = listener->token;
	http->any_host = listener->token || listener->local;
	http->pprof = pprof;
	http->render = render;
	http->render_arg = arg;
	errno = 0;
	http->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, listener->fd,
		MHD_OPTION_CONNECTION_LIMIT, METRICS_HTTP_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
		pprof_http_completed, http, MHD_OPTION_ARRAY, listener->cert ? tls : tls + 3,
		MHD_OPTION_END);
	if (http->daemon)
		return http;
	free(http);
	errno = listener->cert ? EINVAL : errno ?: EIO;
	return NULL;
}

struct metrics_http_counts metrics_http_counts(const struct metrics_http *http)
{
	return http->counts;
}

uint64_t metrics_http_cpu_ns(const struct metrics_http *http)
{
	return http->cpu_ns;
}

void metrics_http_free(struct metrics_http *http)
{
	if (!http)
		return;
	loop_remove(&http->ready);
	loop_timer_stop(&http->turn);
	loop_timer_stop(&http->sweep);
	pprof_http_end(http);
	/* The listening socket is not the library's to close. */
	MHD_quiesce_daemon(http->daemon);
	MHD_stop_daemon(http->daemon);
	drop_text(http);
	free(http);
}
