/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a server that runs as root tells what it sees of processes. It must not tell a user more
 * than that user could find out alone.
 *
 * The rule is that of ptrace for reading (ptrace_may_access() in kernel/ptrace.c), applied to all
 * IDs. The four user IDs and four group IDs of the process must be the peer's. The process must be
 * dumpable, and must have no capability that the peer lacks. That refuses setuid and setgid
 * programs, programs with file capabilities, and programs that hide on purpose (ssh-agent). Root
 * may watch any process.
 *
 * Capabilities count only in the user namespace in which they were got, because the creator of a
 * namespace has all of them there. So they are compared only if both have the same namespace. Else
 * the peer counts as having none.
 *
 * Left out: what security modules add. What the creator of a user namespace may do in it is
 * refused, although ptrace allows it.
 *
 * Nothing else is told about a process of another user: neither its name, nor why else it would be
 * refused. That there is such a process is told, also if /proc hides it (hidepid): kill(2) tells
 * that, too.
 */
#include "serve/serve_access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SEEN_UIDS = 1, SEEN_GIDS = 2, SEEN_CAPS = 4, SEEN_TGID = 8, SEEN_ALL = 15 };

static unsigned take_line(const char *line, struct serve_creds *c)
{
	unsigned id[4];
	int i;

	if (sscanf(line, "Tgid:%d", &c->tgid) == 1)
		return SEEN_TGID;
	if (sscanf(line, "CapPrm:%" SCNx64, &c->permitted) == 1)
		return SEEN_CAPS;
	if (sscanf(line, "Uid:%u%u%u%u", &id[0], &id[1], &id[2], &id[3]) == 4) {
		for (i = 0; i < 4; i++)
			c->uids[i] = id[i];
		return SEEN_UIDS;
	}
	if (sscanf(line, "Gid:%u%u%u%u", &id[0], &id[1], &id[2], &id[3]) == 4) {
		for (i = 0; i < 4; i++)
			c->gids[i] = id[i];
		return SEEN_GIDS;
	}
	return 0;
}

int serve_creds_parse(const char *text, size_t len, struct serve_creds *creds)
{
	const char *end = text + len, *stop;
	unsigned seen = 0;
	char line[128];

	/* The name comes first, and its newlines are escaped. So no line can be forged. */
	for (; text < end; text = stop + 1) {
		stop = memchr(text, '\n', (size_t)(end - text));
		if (!stop)
			break; /* cut off: digits may be missing */
		if ((size_t)(stop - text) >= sizeof(line))
			continue;
		memcpy(line, text, (size_t)(stop - text));
		line[stop - text] = '\0';
		seen |= take_line(line, creds);
	}
	return seen == SEEN_ALL ? 0 : -EBADMSG;
}

const char *serve_access_refusal(const struct serve_peer *peer, const struct serve_creds *creds)
{
	bool same_space = peer->userns && peer->userns == creds->userns;
	int i;

	if (peer->uid == 0)
		return NULL;
	for (i = 0; i < 4; i++)
		if (creds->uids[i] != peer->uid)
			return "is not your own, or has changed its user; root may watch any";
	for (i = 0; i < 4; i++)
		if (creds->gids[i] != peer->gid)
			return "is of another group than yours, or has changed it; root may watch "
			       "any";
	if (creds->owner != peer->uid)
		return "does not allow to be examined (it is not dumpable); root may watch any";
	if (creds->permitted & ~(same_space ? peer->permitted : 0))
		return "has capabilities that you have not, or has them in another user namespace; "
		       "root may watch any";
	return NULL;
}
