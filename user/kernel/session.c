/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opens, sizes and loads the BPF side, and tracks processes. session_sources.c attaches it.
 *
 * Nothing is pinned: links, programs and maps live as long as this process, however it ends. Maps
 * allocate entries as they are needed if the kernel can do that. Older kernels allocate all of them
 * at the load, so maps are smaller there. */
#include "kernel/session.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kernel/bpf_object.h"
#include "kernel/kernel.h"
#include "kernel/probe_closer.h"
#include "kernel/map_read.h"
#include "kernel/parallel_load.h"
#include "kernel/session_private.h"

#define CHANGES_BYTES (1u << 20) /* the keys of 32,768 stacks that change between two readings */

static int verbosity;

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	/* libbpf is one level quieter than this program. session_new() explains failures itself. */
	if ((level == LIBBPF_WARN && verbosity >= 1) || verbosity >= 2)
		return vfprintf(stderr, format, args);
	return 0;
}

static void print_refused(const char *program, const char *log)
{
	if (verbosity >= 1)
		fprintf(stderr, "the kernel refused the BPF program '%s':\n%s", program, log);
}

void session_set_size(struct session *session, struct bpf_map *map, unsigned entries)
{
	if (!session->kernel.run_time_alloc)
		bpf_map__set_map_flags(map, bpf_map__map_flags(map) & ~BPF_F_NO_PREALLOC);
	bpf_map__set_max_entries(map, entries);
}

/* Code objects in 2^20 ns: 30,500 a second, which takes up to a tenth of a CPU. */
#define NAMES_RATE 32

/* Sets the quotas (bpf/account/quota.bpf.h) of tables that belong to no single source. If only
 * processes that were asked for are profiled, one process, or those of one user, may fill all but a
 * thirtieth of a table. */
static void set_quotas(struct session *session, unsigned stacks, unsigned threads)
{
	session->bpf.variable.table_rooms[PYMEM_TABLE_STACKS] = stacks;
	session->bpf.variable.table_rooms[PYMEM_TABLE_CODES] = stacks;
	session->bpf.variable.table_rooms[PYMEM_TABLE_THREADS] = threads;
	*session->bpf.knob.quota_share = session->options.many ? 1 : 32;
	*session->bpf.knob.quota_user_share = session->options.many ? 3 : 32;
	*session->bpf.knob.names_rate = session->options.many ? NAMES_RATE : 0;
}

static void size_maps(struct session *session, int cpus)
{
	const struct session_options *o = &session->options;
	unsigned images = o->max_images, stacks = o->max_stacks;
	/* 2 KiB each, all allocated at the load on 5.10. */
	unsigned threads = images * (session->kernel.run_time_alloc ? 16 : 4);

	session->proc_size = sizeof(struct pymem_proc) + cpus * sizeof(struct pymem_cpu);
	bpf_map__set_value_size(session->bpf.map.procs, session->proc_size);
	bpf_map__set_value_size(session->bpf.map.blank, session->proc_size);
	session_set_size(session, session->bpf.map.procs, images);
	session_set_size(session, session->bpf.map.dead, images * 2);
	session_set_size(session, session->bpf.map.tgids, images * 2);
	session_set_size(session, session->bpf.map.wanted, images);
	if (threads < 4096)
		threads = 4096;
	if (session->kernel.batched_counters)
		session_set_size(session, session->bpf.map.threads, threads);
	set_quotas(session, stacks, threads);
	/* 4 KiB each, and only for sessions that only count. */
	bpf_map__set_max_entries(session->bpf.map.block_records, o->count_only ? PYMEM_BLOCKS : 1);
	session_set_size(session, session->bpf.map.stacks, stacks);
	session_set_size(session, session->bpf.map.codes, stacks);
	bpf_map__set_max_entries(session->bpf.map.cpu_offsets, cpus);
	bpf_map__set_max_entries(session->bpf.map.ring, o->ring_bytes);
	if (o->changes)
		bpf_map__set_max_entries(session->bpf.map.changes, CHANGES_BYTES);
}

static int find_cpu_offsets(struct session *session, unsigned cpus)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int program, err;

	/* Batched counters are per task, so no offsets are needed. */
	if (session->kernel.batched_counters)
		return 0;
	program = bpf_program__fd(session->bpf.program.find_cpu_offsets);
	err = bpf_prog_test_run_opts(program, &opts);
	if (err)
		return err;
	return *session->bpf.variable.cpu_offsets_found == cpus ? 0 : -ENODATA;
}

/* True if a BPF program can ask for the cookie of the uprobe that runs it. */
static bool has_cookies(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie, NULL) == 1;
}

static void set_knobs(struct session *session, int cpus)
{
	const struct session_options *o = &session->options;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	*session->bpf.knob.nr_cpus = cpus;
	/* percpu_counter_batch: compute_batch_value() in lib/percpu_counter.c. */
	*session->bpf.knob.counter_batch = online > 16 ? 2 * online : 32;
	*session->bpf.knob.follow_children = o->follow_children;
	*session->bpf.knob.watch_host = o->watch_host;
	*session->bpf.knob.payer_images = o->payer_images;
	*session->bpf.knob.all_payers_images = o->all_payers_images;
	*session->bpf.knob.count_only = o->count_only;
	*session->bpf.knob.tell_threads = o->threads;
	*session->bpf.knob.tell_changes = o->changes;
	*session->bpf.knob.limits_itself = o->limits_itself;
	*session->bpf.knob.own_tgid = getpid();
	if (session->bpf.knob.preemptible)
		*session->bpf.knob.preemptible = session->kernel.preemptible;
	*session->bpf.knob.ring_wakeup_bytes = o->ring_bytes / 4;
}

/* Tried on a map that is still empty. */
static bool can_take_at_once(const struct session *session)
{
	const uint32_t none = 0;
	struct pymem_proc proc;

	return map_takes_at_once(&map_ops_kernel, bpf_map__fd(session->bpf.map.dead), &none, &proc);
}

static int session_load(struct session *session, char *why, size_t size)
{
	int cpus = libbpf_num_possible_cpus(), err;

	session->cookies = !session->kernel.batched_counters || has_cookies();
	size_maps(session, cpus);
	set_knobs(session, cpus);
	session_select_sources(session);
	err = parallel_load(session->object, print_refused);
	if (err) {
		snprintf(why, size, "the kernel refused the BPF programs: %s%s", strerror(-err),
			 err == -EPERM ? " (run as root)" : " (-vv shows its reasons)");
		return err;
	}
	err = object_map_variables(session->object, &session->bpf);
	if (err) {
		snprintf(why, size, "the BPF programs' variables can't be mapped: %s",
			 strerror(-err));
		return err;
	}
	session->running = true;
	err = session_open_changes(session);
	if (err) {
		snprintf(why, size, "changed stacks can't be told apart: %s", strerror(-err));
		return err;
	}
	session->takes_at_once = can_take_at_once(session);
	err = session_add_subids(session);
	if (err) {
		snprintf(why, size, "/etc/subuid could not be taken over: %s", strerror(-err));
		return err;
	}
	err = session_map_touched(session);
	if (err) {
		snprintf(why, size, "the table of touched pages can't be mapped: %s",
			 strerror(-err));
		return err;
	}
	err = session_map_cache(session);
	if (err) {
		snprintf(why, size, "the table of the page cache can't be mapped: %s",
			 strerror(-err));
		return err;
	}
	err = session_map_kernel(session);
	if (err) {
		snprintf(why, size, "the table of the kernel's objects can't be mapped: %s",
			 strerror(-err));
		return err;
	}
	err = find_cpu_offsets(session, cpus);
	if (err)
		snprintf(why, size, "the kernel's per-CPU areas could not be located (%s)",
			 strerror(-err));
	return err;
}

struct session *session_new(const struct session_options *options, char *why, size_t size)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, files;
	struct session *session = calloc(1, sizeof(*session));
	const char *refusal;
	int err, opened;

	if (!session)
		return NULL;
	verbosity = options->verbosity;
	libbpf_set_print(print_libbpf);
	session->options = *options;
	/* Before 5.11 the memory of maps counts against this limit. Where it does not, it does not
	 * matter if this fails. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* Each program, map, probe and process takes descriptors. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	opened = session_open(session);
	session->kernel.function_ends &= !options->no_function_ends;
	refusal = kernel_refusal(&session->kernel)
			  ?: event_sources_refusal(options, &session->kernel);
	if (refusal) {
		snprintf(why, size, "%s", refusal);
		err = -EOPNOTSUPP;
		goto fail;
	}
	if (opened) {
		err = opened;
		snprintf(why, size, "the embedded BPF object can't be opened: %s", strerror(-err));
		goto fail;
	}
	if (options->lines) {
		session->closer = probe_closer_new();
		if (!session->closer) {
			err = -ENOMEM;
			snprintf(why, size, "%s", strerror(ENOMEM));
			goto fail;
		}
	}
	err = session_find_sources(session, why, size);
	if (!err)
		err = session_load(session, why, size);
	if (err)
		goto fail;
	return session;
fail:
	session_free(session);
	errno = -err;
	return NULL;
}

/* Runs an iterator program over all tasks. It writes records of `size` bytes (0: nothing), and `fn`
 * is called for each. */
int session_run_iterator(struct bpf_program *program, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	char buffer[64 * sizeof(struct pymem_collected)];
	size_t have = 0, at;
	ssize_t n;
	int fd, err = 0;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	for (;;) {
		n = read(fd, buffer + have, sizeof(buffer) - have);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			break;
		have += n;
		for (at = 0; size && !err && at + size <= have; at += size)
			err = fn(buffer + at, arg);
		have = size ? have - at : 0;
		memmove(buffer, buffer + at, have);
	}
	if (n < 0 && !err)
		err = -errno;
	close(fd);
out:
	bpf_link__destroy(link);
	return err;
}

int session_settle(struct session *session)
{
	int err = 0;

	/* A line that is still running ends with the amounts seen so far. */
	if (session->options.lines)
		err = session_run_iterator(session->bpf.program.lines_settle, 0, NULL, NULL);
	if (!err)
		err = session_run_iterator(session->bpf.program.settle, 0, NULL, NULL);
	session_release_probes(session);
	return err;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session_detach(session);
	session_free_probes(session);
	session_blocks_free(session);
	session_unmap_touched(session);
	session_unmap_cache(session);
	session_unmap_kernel(session);
	ring_buffer__free(session->ring);
	session_close_changes(session);
	bpf_object__close(session->object);
	free(session);
}

static uint16_t extent(uint16_t size, uint16_t offset, uint16_t width)
{
	return offset != PY_NONE && offset + width > size ? offset + width : size;
}

int session_add_layout(struct session *session, const struct py_layout *layout)
{
	struct pymem_layout value = {};
	uint32_t i;

	for (i = 0; i < session->layout_count; i++)
		if (!memcmp(&session->layouts[i], layout, sizeof(*layout)))
			return i;
	if (i == sizeof(session->layouts) / sizeof(session->layouts[0]))
		return -ENOSPC;
	value.tstate_size = extent(value.tstate_size, layout->tstate_thread_id, 8);
	value.tstate_size = extent(value.tstate_size, layout->tstate_frame, 8);
	value.tstate_size = extent(value.tstate_size, layout->tstate_next, 8);
	value.tstate_from = layout->tstate_thread_id < layout->tstate_frame
				    ? layout->tstate_thread_id
				    : layout->tstate_frame;
	value.tstate_part =
		extent(extent(0, layout->tstate_thread_id, 8), layout->tstate_frame, 8) -
		value.tstate_from;
	value.code_size = extent(value.code_size, layout->code_firstlineno, 4);
	if (layout->code_version != PY_NONE)
		value.code_size =
			extent(value.code_size, layout->code_firstlineno + layout->code_version, 4);
	value.code_size = extent(value.code_size, layout->code_filename, 8);
	value.code_size = extent(value.code_size, layout->code_name, 8);
	value.code_size = extent(value.code_size, layout->code_qualname, 8);
	value.code_size = extent(value.code_size, layout->code_linetable, 8);
	value.py = *layout;
	if (bpf_map_update_elem(bpf_map__fd(session->bpf.map.layouts), &i, &value, BPF_ANY))
		return -errno;
	session->layouts[i] = *layout;
	session->layout_count++;
	return i;
}

int session_track(struct session *session, struct session_target *targets, size_t count)
{
	int fd = bpf_map__fd(session->bpf.map.wanted), err = 0;
	struct pymem_wanted w;
	size_t i;

	for (i = 0; i < count; i++) {
		uint32_t key = targets[i].pid;

		memset(&w, 0, sizeof(w));
		w.start_boottime_ns = targets[i].start_ticks * (1000000000ULL / 100);
		w.runtime = targets[i].runtime;
		w.interp_head = targets[i].interp_head;
		w.layout = targets[i].layout;
		w.identified = targets[i].identified;
		w.block = targets[i].block;
		w.expect = targets[i].expect;
		w.payer = targets[i].payer;
		if (bpf_map_update_elem(fd, &key, &w, BPF_ANY)) {
			err = -errno;
			break;
		}
	}
	if (!err)
		err = session_run_iterator(session->bpf.program.attach_wanted, 0, NULL, NULL);
	/* In case of an error, none of these is wanted any more. */
	for (i = 0; i < count; i++) {
		uint32_t key = targets[i].pid;

		if (!err && bpf_map_lookup_elem(fd, &key, &w))
			err = -errno;
		if (!err) {
			targets[i].id = w.id;
			targets[i].result = w.result;
		}
		bpf_map_delete_elem(fd, &key);
	}
	return err;
}

const volatile struct pymem_payer *session_payers(const struct session *session)
{
	return session->bpf.variable.payers;
}

int session_set_reader(struct session *session, session_message_fn fn, void *arg)
{
	session->ring = ring_buffer__new(bpf_map__fd(session->bpf.map.ring), fn, arg, NULL);
	return session->ring ? 0 : -errno;
}

int session_poll(struct session *session, int timeout_ms)
{
	return ring_buffer__poll(session->ring, timeout_ms);
}

int session_fd(const struct session *session)
{
	return ring_buffer__epoll_fd(session->ring);
}

int session_consume(struct session *session)
{
	return ring_buffer__consume(session->ring);
}

uint64_t session_dropped_messages(const struct session *session)
{
	return *session->bpf.variable.dropped_messages;
}

uint64_t session_dropped_images(const struct session *session)
{
	return *session->bpf.variable.dropped_images;
}
