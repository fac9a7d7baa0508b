/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads the programs, and probes functions. birth_watch.c has the debug registers. */
#include "kernel/birth_probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/birth_private.h"
/* The skeletons need the types of the BPF side's variables, so they come last. */
#include "births_legacy.skel.h"
#include "births_modern.skel.h"

/* From linux/bpf.h of 6.6. Older headers lack the first two. */
#define ATTACH_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI */
#define MULTI_RETURN	    1  /* BPF_F_UPROBE_MULTI_RETURN */
#define LINK_CREATE	    28 /* BPF_LINK_CREATE */

/* The part of union bpf_attr that BPF_LINK_CREATE reads for such a link. */
struct multi_link_attr {
	uint32_t program_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_counters, cookies;
	uint32_t count, multi_flags, pid, pad;
};

/* Maps that the programs use. Other maps exist only because the walk's headers declare them. */
static const char *const used_maps[] = {"birth_threads", "birth_events", "scratches", "layouts"};

static bool is_used(const char *name)
{
	/* Sections of variables: "births_m.bss". */
	if (strchr(name, '.'))
		return true;
	for (size_t i = 0; i < sizeof(used_maps) / sizeof(used_maps[0]); i++)
		if (!strcmp(name, used_maps[i]))
			return true;
	return false;
}

static int use_few_maps(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		int err = is_used(bpf_map__name(map)) ? 0 : bpf_map__set_autocreate(map, false);

		if (err)
			return err;
	}
	return 0;
}

/* Both builds have the same variables, in a struct of each skeleton's own. */
#define TAKE_VARIABLES(probes, skeleton)                              \
	do {                                                          \
		(probes)->target = (void *)&(skeleton)->bss->target;  \
		(probes)->watches = (void *)(skeleton)->bss->watches; \
		(probes)->enabled = &(skeleton)->bss->enabled;        \
		(probes)->most = &(skeleton)->bss->most;              \
		(probes)->seen = &(skeleton)->bss->seen;              \
		(probes)->lost = &(skeleton)->bss->lost;              \
		(probes)->unwalked = &(skeleton)->bss->unwalked;      \
		(probes)->ends = &(skeleton)->bss->ends;              \
		(probes)->spoilt = &(skeleton)->bss->spoilt;          \
		(probes)->on_return = (skeleton)->progs.birth_return; \
		(probes)->on_death = (skeleton)->progs.birth_death;   \
		(probes)->on_write = (skeleton)->progs.birth_write;   \
		(probes)->layouts = (skeleton)->maps.layouts;         \
		(probes)->events = (skeleton)->maps.birth_events;     \
	} while (0)

static int expect_many(struct bpf_program *program)
{
	return bpf_program__set_expected_attach_type(program,
						     (enum bpf_attach_type)ATTACH_UPROBE_MULTI);
}

/* Chooses the programs to load: those for bursts or that for watches. 0 or -errno. */
static int choose_programs(const struct birth_probes *probes)
{
	bool bursts = !probes->wanted_watches;
	int err = bpf_program__set_autoload(probes->on_return, bursts)
			  ?: bpf_program__set_autoload(probes->on_death, bursts);

	return err ? err : bpf_program__set_autoload(probes->on_write, !bursts);
}

static int load_modern(struct birth_probes *probes)
{
	struct pymem_births_modern *skeleton = pymem_births_modern__open();
	int err;

	if (!skeleton)
		return -errno;
	TAKE_VARIABLES(probes, skeleton);
	err = use_few_maps(skeleton->obj) ?: choose_programs(probes);
	if (!err && probes->many)
		err = expect_many(probes->on_return) ?: expect_many(probes->on_death);
	if (!err)
		err = pymem_births_modern__load(skeleton);
	if (err) {
		pymem_births_modern__destroy(skeleton);
		probes->enabled = NULL;
		return err;
	}
	TAKE_VARIABLES(probes, skeleton);
	probes->modern = skeleton;
	return 0;
}

static int load_legacy(struct birth_probes *probes)
{
	struct pymem_births_legacy *skeleton = pymem_births_legacy__open();
	int err;

	if (!skeleton)
		return -errno;
	TAKE_VARIABLES(probes, skeleton);
	err = use_few_maps(skeleton->obj) ?: choose_programs(probes)
					     ?: pymem_births_legacy__load(skeleton);
	if (err) {
		pymem_births_legacy__destroy(skeleton);
		probes->enabled = NULL;
		return err;
	}
	TAKE_VARIABLES(probes, skeleton);
	probes->legacy = skeleton;
	return 0;
}

/* Loads the build that this kernel accepts: it refuses one for which it lacks something. 0 or
 * -errno. */
static int load_any(struct birth_probes *probes)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int err;

	probes->many = !probes->wanted_watches;
	err = load_modern(probes);
	/* Bursts are of no use where functions can't be probed together. */
	if (err && !probes->many)
		err = load_legacy(probes);
	libbpf_set_print(print);
	/* An older kernel does not know the attach type, and says EINVAL. */
	return err == -EINVAL && probes->many ? -ENOTSUP : err;
}

static uint16_t extent(uint16_t size, unsigned offset, unsigned width)
{
	return size < offset + width ? (uint16_t)(offset + width) : size;
}

static int set_layout(struct birth_probes *probes, const struct py_layout *py)
{
	struct pymem_layout value = {.py = *py};
	uint32_t first = 0;

	value.tstate_size = extent(0, py->tstate_thread_id, 8);
	value.tstate_size = extent(value.tstate_size, py->tstate_frame, 8);
	value.tstate_size = extent(value.tstate_size, py->tstate_next, 8);
	value.code_size = extent(0, py->code_firstlineno, 4);
	value.code_size = extent(value.code_size, py->code_filename, 8);
	value.code_size = extent(value.code_size, py->code_name, 8);
	value.code_size = extent(value.code_size, py->code_linetable, 8);
	return bpf_map_update_elem(bpf_map__fd(probes->layouts), &first, &value, BPF_ANY) ? -errno
											  : 0;
}

static int take_event(void *arg, void *data, size_t size)
{
	struct birth_probes *probes = arg;

	struct birth_event end = {};

	if (size >= sizeof(struct birth_event))
		return probes->fn(probes->fn_arg, data);
	if (size < sizeof(struct birth_end))
		return 0;
	end.object = ((const struct birth_end *)data)->object;
	return probes->fn(probes->fn_arg, &end);
}

int birth_probes_open(const struct birth_target *target, struct birth_probes **result)
{
	struct birth_probes *probes = calloc(1, sizeof(*probes));
	int err;

	*result = NULL;
	if (!probes)
		return -ENOMEM;
	probes->returns.fd = probes->entries.fd = -1;
	probes->pid = target->pid;
	probes->wanted_watches = target->watches;
	err = load_any(probes) ?: set_layout(probes, &target->layout);
	if (!err)
		probes->ring =
			ring_buffer__new(bpf_map__fd(probes->events), take_event, probes, NULL);
	if (!err && !probes->ring)
		err = -errno;
	if (err) {
		birth_probes_close(probes);
		return err;
	}
	probes->target->id = 1;
	probes->target->tgid = (uint32_t)target->pid;
	probes->target->identified = 1;
	probes->target->runtime = target->runtime;
	*result = probes;
	return 0;
}

void birth_probes_close(struct birth_probes *probes)
{
	if (!probes)
		return;
	if (probes->enabled)
		*probes->enabled = 0;
	birth_probes_detach(probes);
	birth_probes_unwatch(probes);
	ring_buffer__free(probes->ring);
	pymem_births_modern__destroy(probes->modern);
	pymem_births_legacy__destroy(probes->legacy);
	free(probes);
}

/* --- functions --- */

/* Attaches a program to all `places` of the file `path`. Returns the link's descriptor, or
 * -errno. */
static int attach_together(const struct birth_probes *probes, const struct bpf_program *program,
			   bool on_return, const char *path, const struct birth_places *places)
{
	struct multi_link_attr attr = {
		.program_fd = (uint32_t)bpf_program__fd(program),
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)places->offsets,
		.count = (uint32_t)places->count,
		.multi_flags = on_return ? MULTI_RETURN : 0,
		.pid = (uint32_t)probes->pid,
	};
	int fd = (int)syscall(SYS_bpf, LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

static void *close_in_thread(void *arg)
{
	struct birth_link *link = arg;

	close(link->fd);
	return NULL;
}

static void close_link(struct birth_link *link)
{
	if (link->closing)
		pthread_join(link->closer, NULL);
	else if (link->fd >= 0)
		close(link->fd);
	*link = (struct birth_link){.fd = -1};
}

int birth_probes_attach(struct birth_probes *probes, int fd, const struct birth_places *makers,
			const struct birth_places *destroyers)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Deaths first: else an object whose birth was seen may die unseen. */
	if (destroyers->count)
		probes->entries.fd =
			attach_together(probes, probes->on_death, false, path, destroyers);
	if (destroyers->count && probes->entries.fd < 0)
		return probes->entries.fd;
	probes->returns.fd = attach_together(probes, probes->on_return, true, path, makers);
	if (probes->returns.fd >= 0)
		return 0;
	close_link(&probes->entries);
	return probes->returns.fd;
}

/* Closes a link in a thread. All signals are blocked in the thread: they are for the main
 * thread. */
static void start_to_close(struct birth_link *link)
{
	sigset_t all, before;

	if (link->fd < 0 || link->closing)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	link->closing = !pthread_create(&link->closer, NULL, close_in_thread, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void birth_probes_detach_begin(struct birth_probes *probes)
{
	start_to_close(&probes->returns);
	start_to_close(&probes->entries);
}

void birth_probes_detach(struct birth_probes *probes)
{
	close_link(&probes->returns);
	close_link(&probes->entries);
}

/* --- events --- */

void birth_probes_enable(struct birth_probes *probes, bool on, uint64_t most)
{
	if (on) {
		*probes->most = most ? *probes->seen + most : 0;
		*probes->spoilt = 0;
	}
	__atomic_store_n(probes->enabled, on, __ATOMIC_RELEASE);
}

void birth_probes_no_more(struct birth_probes *probes)
{
	/* 0 is no limit. */
	uint64_t seen = __atomic_load_n(probes->seen, __ATOMIC_RELAXED);

	__atomic_store_n(probes->most, seen ? seen : 1, __ATOMIC_RELAXED);
}

int birth_probes_read(struct birth_probes *probes, birth_event_fn *fn, void *arg)
{
	probes->fn = fn;
	probes->fn_arg = arg;
	return ring_buffer__consume(probes->ring);
}

bool birth_probes_spoilt(const struct birth_probes *probes)
{
	return *probes->spoilt != 0;
}

struct birth_counts birth_probes_counts(const struct birth_probes *probes)
{
	return (struct birth_counts){*probes->seen, *probes->lost, *probes->unwalked,
				     *probes->ends};
}
