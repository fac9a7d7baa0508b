/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attaches the exact engine's programs to the probes of a file, for one process or for all.
 *
 * A probe is a uprobe at one offset of a file, with a semaphore at another. Both are found by
 * elf_probes.c and attached by descriptor. bpf_program__attach_usdt() is not used: it opens the
 * file by name once for each probe, reads its notes without a limit, and passes arguments through
 * two maps.
 *
 * Before 5.15 a uprobe has no cookie. There the BPF side finds the arguments by process and address
 * (map `places`), so the process must have mapped the file before. */
#include <bpf/libbpf.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/array.h"
#include "python/elf_probes.h"
#include "kernel/probe_closer.h"
#include "kernel/session_private.h"

#define DESCRIPTORS_KEPT 256 /* for everything else: maps, programs, files being read */

static int add_link(struct session *session, struct bpf_link *link)
{
	if (!ARRAY_HAS_ROOM(session->probes, session->probe_count, session->probe_room))
		return -ENOMEM;
	session->probes[session->probe_count++] = (struct probe_link){link, session->last_probes};
	return 0;
}

/* Detaches all but the first `kept`, soon but not at once. */
static void drop_links(struct session *session, size_t kept)
{
	while (session->probe_count > kept)
		probe_closer_add(session->closer, session->probes[--session->probe_count].link);
}

/* True if descriptors are left for `more` links. Each takes two. */
static bool room_for(struct session *session, size_t more)
{
	size_t links = session->probe_count + probe_closer_waiting(session->closer) + more;
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) ||
	       links * 2 + DESCRIPTORS_KEPT <= (size_t)limit.rlim_cur;
}

static struct bpf_program *program_of_probe(struct session *session, enum elf_probe probe)
{
	struct bpf_program *const programs[ELF_PROBES] = {
		[ELF_PROBE_GC_START] = session->bpf.program.gc_start,
		[ELF_PROBE_GC_DONE] = session->bpf.program.gc_done,
		[ELF_PROBE_RETURN] = session->bpf.program.function_return,
		[ELF_PROBE_ENTRY] = session->bpf.program.function_entry,
		[ELF_PROBE_LINE] = session->bpf.program.line,
	};

	return programs[probe];
}

static int attach_site(struct session *session, pid_t pid, const char *file,
		       struct bpf_program *program, const struct elf_probe_site *site)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .ref_ctr_offset = site->semaphore,
		    .bpf_cookie = session->cookies ? site->place : 0);
	struct bpf_link *link;
	int err;

	link = bpf_program__attach_uprobe_opts(program, pid, file, site->offset, &opts);
	if (!link)
		return -errno;
	err = add_link(session, link);
	if (err)
		probe_closer_add(session->closer, link);
	return err;
}

/* To count functions, the line probe's semaphore may have to be up, but its events are of no use.
 */
static int attach_all(struct session *session, pid_t pid, const char *file,
		      const struct elf_probe_sites *sites)
{
	struct bpf_program *program;
	int err = 0;

	if (session->options.functions && sites->entry_wants_line)
		err = attach_site(session, pid, file, session->bpf.program.line, &sites->quiet);
	for (int i = 0; i < ELF_PROBES && !err; i++) {
		program = program_of_probe(session, i);
		if (session->options.functions && i == ELF_PROBE_LINE)
			continue;
		for (unsigned j = 0; j < sites->count[i] && !err; j++)
			err = attach_site(session, pid, file, program, &sites->site[i][j]);
	}
	return err;
}

int session_attach_probes(struct session *session, pid_t pid, int fd,
			  const struct elf_probe_sites *sites)
{
	size_t before = session->probe_count, count = 0;
	char file[32];
	int err = elf_probe_sites_suffice(sites, session->options.functions);

	if (err)
		return err;
	for (int i = 0; i < ELF_PROBES; i++)
		count += sites->count[i];
	if (!room_for(session, count))
		return -EMFILE;
	/* The kernel follows this name to the file that is open, whatever its name is. */
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	session->last_probes++;
	probe_closer_pause(session->closer);
	err = attach_all(session, pid, file, sites);
	probe_closer_resume(session->closer);
	if (err)
		drop_links(session, before);
	return err ?: session->last_probes;
}

void session_detach_probes(struct session *session, int number)
{
	size_t i, kept = 0;

	for (i = 0; i < session->probe_count; i++) {
		if (session->probes[i].number == number)
			probe_closer_add(session->closer, session->probes[i].link);
		else
			session->probes[kept++] = session->probes[i];
	}
	session->probe_count = kept;
}

bool session_counts_functions(const struct session *session)
{
	return session->options.functions;
}

bool session_places_needed(const struct session *session)
{
	return !session->cookies;
}

/* Calls `fn` with the address of each site in a process that has loaded the file at `bias`. `pid`
 * 0: any process. */
static int each_place(const struct elf_probe_sites *sites, uint64_t bias, pid_t pid,
		      int (*fn)(int map, const struct pymem_place_key *key, const uint64_t *place),
		      int map)
{
	struct pymem_place_key key = {.tgid = pid};
	int err = 0;

	for (int i = ELF_PROBE_RETURN; i < ELF_PROBES; i++) {
		for (unsigned j = 0; j < sites->count[i] && !err; j++) {
			key.address = bias + sites->site[i][j].address;
			err = fn(map, &key, &sites->site[i][j].place);
		}
	}
	return err;
}

static int set_place(int map, const struct pymem_place_key *key, const uint64_t *place)
{
	return bpf_map_update_elem(map, key, place, BPF_ANY) ? -errno : 0;
}

static int unset_place(int map, const struct pymem_place_key *key, const uint64_t *place)
{
	(void)place;
	bpf_map_delete_elem(map, key);
	return 0;
}

int session_add_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
		       uint64_t bias)
{
	if (session->cookies)
		return 0;
	return each_place(sites, bias, pid, set_place, bpf_map__fd(session->bpf.map.places));
}

void session_forget_places(struct session *session, pid_t pid, const struct elf_probe_sites *sites,
			   uint64_t bias)
{
	if (!session->cookies)
		each_place(sites, bias, pid, unset_place, bpf_map__fd(session->bpf.map.places));
}

void session_release_probes(struct session *session)
{
	if (session->closer)
		drop_links(session, 0);
}

void session_free_probes(struct session *session)
{
	session_release_probes(session);
	probe_closer_free(session->closer);
	session->closer = NULL;
	free(session->probes);
	session->probes = NULL;
	session->probe_room = 0;
}
