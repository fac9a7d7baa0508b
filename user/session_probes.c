/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The exact engine's programs on the probes of a binary: one process's, or everyone's.
 *
 * The line probe comes last: until its semaphore is up, builds of 3.11 fire no entry
 * either, so that what a thread is seen to enter it is also seen to run.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "session_private.h"

static const struct {
	const char *program, *name;
} probes[] = {
	{"gc_start", "gc__start"},
	{"gc_done", "gc__done"},
	{"function_return", "function__return"},
	{"function_entry", "function__entry"},
	{"line", "line"},
};

static int add_link(struct session *session, struct bpf_link *link, pid_t pid)
{
	struct probe_link *more;
	size_t room;

	if (session->probe_count == session->probe_room) {
		room = session->probe_room ? session->probe_room * 2 : 16;
		more = reallocarray(session->probes, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		session->probes = more;
		session->probe_room = room;
	}
	session->probes[session->probe_count++] = (struct probe_link){link, pid};
	return 0;
}

/* Detaches all but the first `kept`. */
static void drop_links(struct session *session, size_t kept)
{
	while (session->probe_count > kept)
		bpf_link__destroy(session->probes[--session->probe_count].link);
}

int session_attach_probes(struct session *session, pid_t pid, const char *path)
{
	struct bpf_program *program;
	size_t i, before = session->probe_count;
	struct bpf_link *link;
	int err;

	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		program = session_program(session, probes[i].program);
		link = bpf_program__attach_usdt(program, pid, path, "python", probes[i].name, NULL);
		err = link ? add_link(session, link, pid) : -errno;
		if (err) {
			if (link)
				bpf_link__destroy(link);
			/* Not by PID: the whole host's probes, of every binary, have one. */
			drop_links(session, before);
			return err;
		}
	}
	return 0;
}

void session_detach_probes(struct session *session, pid_t pid)
{
	size_t i, kept = 0;

	for (i = 0; i < session->probe_count; i++) {
		if (session->probes[i].pid == pid)
			bpf_link__destroy(session->probes[i].link);
		else
			session->probes[kept++] = session->probes[i];
	}
	session->probe_count = kept;
}

void session_detach_all_probes(struct session *session)
{
	drop_links(session, 0);
	free(session->probes);
	session->probes = NULL;
	session->probe_room = 0;
}
