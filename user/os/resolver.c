/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: looking up a name may take half a minute, and the loop of a service must not wait. The
 * C library's getaddrinfo() loads libraries of the host, which a static program can't. So a child
 * does it, with what both kinds of program have: /etc/hosts, and the C library's client of DNS
 * (res_nsearch(3)), which reads /etc/resolv.conf. Other sources of nsswitch.conf are not asked.
 *
 * The child is forked before anything of a target is read, closes what it has from its parent,
 * becomes a user who owns nothing, and gives up everything but sockets of the network
 * (CONFINE_RESOLVE): it reads what comes from there. Question and answer are structs of fixed size.
 */
#include "os/resolver.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/confine.h"

#define HOSTS	     "/etc/hosts"
#define LINE	     1024
#define ANSWER_BYTES 8192
#define SECONDS	     2 /* for a server to answer, doubled for the second try */
#define TRIES	     2
#define NOBODY	     65534

struct question {
	uint32_t number;
	char name[RESOLVER_NAME];
};

static void add(struct resolver_answer *answer, int family, const void *number)
{
	struct net_address address = {.family = family};

	memcpy(address.number, number, family == AF_INET ? 4 : 16);
	for (uint32_t i = 0; i < answer->count; i++)
		if (!memcmp(&answer->list[i], &address, sizeof(address)))
			return;
	if (answer->count < RESOLVER_MOST)
		answer->list[answer->count++] = address;
}

/* --- /etc/hosts --- */

static void read_line(char *line, const char *name, struct resolver_answer *answer)
{
	char *rest = NULL, *address = NULL, *word;
	unsigned char number[16];
	int family;

	line[strcspn(line, "#\n")] = '\0';
	address = strtok_r(line, " \t", &rest);
	if (!address)
		return;
	family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, address, number) != 1)
		return;
	while ((word = strtok_r(NULL, " \t", &rest)))
		if (!strcasecmp(word, name)) {
			add(answer, family, number);
			return;
		}
}

void resolver_read_hosts(FILE *hosts, const char *name, struct resolver_answer *answer)
{
	char line[LINE];
	bool whole = true, begins;

	while (fgets(line, sizeof(line), hosts)) {
		begins = whole;
		whole = strchr(line, '\n');
		/* The end of a line that is too long is no line. */
		if (begins)
			read_line(line, name, answer);
	}
}

/* --- DNS --- */

/* 0; -ENOENT; -EAGAIN. */
static int error_of(int h_error)
{
	return h_error == HOST_NOT_FOUND || h_error == NO_DATA ? -ENOENT : -EAGAIN;
}

static int ask_servers(struct __res_state *state, const char *name, ns_type type,
		       struct resolver_answer *answer)
{
	const int family = type == ns_t_a ? AF_INET : AF_INET6;
	const int size = family == AF_INET ? 4 : 16;
	unsigned char bytes[ANSWER_BYTES];
	int got = res_nsearch(state, name, ns_c_in, type, bytes, sizeof(bytes));
	const uint32_t before = answer->count;
	ns_msg message;
	ns_rr record;

	if (got < 0)
		return error_of(state->res_h_errno);
	if (got > (int)sizeof(bytes))
		got = (int)sizeof(bytes);
	if (ns_initparse(bytes, got, &message))
		return -EAGAIN;
	/* Names that lead to others (CNAME) are followed by the server. */
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++)
		if (!ns_parserr(&message, ns_s_an, i, &record) && ns_rr_type(record) == type &&
		    ns_rr_class(record) == ns_c_in && ns_rr_rdlen(record) == size)
			add(answer, family, ns_rr_rdata(record));
	return answer->count > before ? 0 : -ENOENT;
}

void resolver_ask_servers(struct __res_state *state, const char *name,
			  struct resolver_answer *answer)
{
	uint64_t began = clock_ms(CLOCK_MONOTONIC);
	int v4, v6;

	state->retrans = SECONDS;
	state->retry = TRIES;
	v4 = ask_servers(state, name, ns_t_a, answer);
	/* Half of the room for each. */
	if (answer->count > RESOLVER_MOST / 2)
		answer->count = RESOLVER_MOST / 2;
	/* Who was silent would not be faster now. One that can't tell addresses of IPv4 may know
	 * others. */
	v6 = v4 == -EAGAIN && clock_ms(CLOCK_MONOTONIC) - began >= 1000 * SECONDS
		     ? v4
		     : ask_servers(state, name, ns_t_aaaa, answer);
	if (!answer->count)
		answer->error = v4 == -EAGAIN ? v4 : v6;
}

static void look_up(const char *name, struct resolver_answer *answer)
{
	struct __res_state state = {};
	FILE *hosts = fopen(HOSTS, "re");

	if (hosts) {
		resolver_read_hosts(hosts, name, answer);
		fclose(hosts);
	}
	if (answer->count)
		return;
	if (res_ninit(&state)) {
		answer->error = -EAGAIN;
		return;
	}
	resolver_ask_servers(&state, name, answer);
	res_nclose(&state);
}

/* --- the child --- */

/* All but standard error and that one. */
static int close_others(int fd)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	if (fd > STDERR_FILENO + 1 &&
	    syscall(SYS_close_range, (unsigned)STDERR_FILENO + 1, (unsigned)fd - 1, 0))
		return -errno;
	return syscall(SYS_close_range, (unsigned)fd + 1, UINT_MAX, 0) ? -errno : 0;
}

/* Becomes a user who owns nothing. 0 or -errno: it stays who it is, or has only lost groups. */
static int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

static int asked_at = -1;

static void on_event(int number)
{
	struct pollfd end = {.fd = asked_at};

	(void)number;
	if (poll(&end, 1, 0) == 1 && end.revents & (POLLHUP | POLLERR))
		_exit(0);
}

/* Ends with its parent, also while it waits for a server. A parent without CAP_KILL can't signal
 * another user's process, by PR_SET_PDEATHSIG either: so the end of their socket does it, too. 0 or
 * -errno. */
static int end_with(int fd, pid_t parent)
{
	const struct sigaction action = {.sa_handler = on_event, .sa_flags = SA_RESTART};
	int flags = fcntl(fd, F_GETFL);

	asked_at = fd;
	/* A change of the user undoes this, so it comes after it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || flags < 0 || sigaction(SIGIO, &action, NULL) ||
	    fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETFL, flags | O_ASYNC))
		return -errno;
	if (getppid() != parent)
		_exit(1);
	return 0;
}

struct begun { /* what the child says first */
	int error;
	struct resolver_rights rights;
};

static void __attribute__((noreturn)) serve(int fd, pid_t parent)
{
	struct begun begun = {};
	struct confined confined = {};
	struct question question;
	ssize_t got;
	int err;

	/* The service manager tells all processes to end, and a last profile is to be pushed. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	begun.rights.user_error = become_nobody();
	err = end_with(fd, parent) ?: close_others(fd) ?: confine(CONFINE_RESOLVE, &confined);
	begun.error = err;
	begun.rights.filter_error = confined.filter_error;
	send(fd, &begun, sizeof(begun), MSG_NOSIGNAL);
	while (!err) {
		struct resolver_answer answer = {};

		got = recv(fd, &question, sizeof(question), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got != (ssize_t)sizeof(question))
			break;
		answer.number = question.number;
		question.name[sizeof(question.name) - 1] = '\0';
		look_up(question.name, &answer);
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(err ? 1 : 0);
}

/* Waits until it has given up its rights. 0 or -errno. */
static int wait_for(const struct resolver *resolver, struct resolver_rights *rights)
{
	struct begun begun;
	ssize_t got;

	do
		got = recv(resolver->fd, &begun, sizeof(begun), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got != (ssize_t)sizeof(begun))
		return -EPIPE;
	*rights = begun.rights;
	return begun.error;
}

int resolver_start(struct resolver *resolver, struct resolver_rights *rights)
{
	pid_t parent = getpid();
	int pair[2], err;

	*resolver = (struct resolver){-1, -1};
	*rights = (struct resolver_rights){};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	resolver->pid = fork();
	err = resolver->pid < 0 ? -errno : 0;
	if (!resolver->pid) {
		close(pair[0]);
		serve(pair[1], parent);
	}
	close(pair[1]);
	resolver->fd = pair[0];
	err = err ?: wait_for(resolver, rights);
	if (err)
		resolver_stop(resolver);
	return err;
}

void resolver_stop(struct resolver *resolver)
{
	if (resolver->fd >= 0)
		close(resolver->fd);
	/* One that waits for a server ends with this process. */
	if (resolver->pid > 0)
		waitpid(resolver->pid, NULL, WNOHANG);
	*resolver = (struct resolver){-1, -1};
}

int resolver_ask(const struct resolver *resolver, uint32_t number, const char *name)
{
	struct question question = {.number = number};

	if (strlen(name) >= sizeof(question.name))
		return -ENAMETOOLONG;
	strcpy(question.name, name);
	if (resolver->fd < 0)
		return -EPIPE;
	if (send(resolver->fd, &question, sizeof(question), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	return errno == EAGAIN ? -EAGAIN : -EPIPE;
}

int resolver_take(const struct resolver *resolver, struct resolver_answer *answer)
{
	ssize_t got = recv(resolver->fd, answer, sizeof(*answer), MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (got != (ssize_t)sizeof(*answer) || answer->count > RESOLVER_MOST)
		return -EPIPE;
	/* The helper may be somebody else's by now. */
	for (uint32_t i = 0; i < answer->count; i++)
		if (answer->list[i].family != AF_INET && answer->list[i].family != AF_INET6)
			return -EPIPE;
	return 0;
}

bool resolver_is_there(const struct resolver *resolver)
{
	struct pollfd end = {.fd = resolver->fd};

	return resolver->fd >= 0 && !(poll(&end, 1, 0) == 1 && end.revents & (POLLHUP | POLLERR));
}
