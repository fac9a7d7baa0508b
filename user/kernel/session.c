/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opens, sizes, loads and attaches the BPF side, and reads its maps.
 *
 * Nothing is pinned: links, programs and maps live as long as this process, however it
 * ends. Maps allocate entries as they are used where the kernel allows it; on older
 * kernels they are allocated at load, so they start smaller there.
 */
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

#include "kernel/kernel.h"
#include "kernel/probe_closer.h"
#include "kernel/session_private.h"

static int verbosity;

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	/* One level quieter than ourselves; failures are explained by session_new(). */
	if ((level == LIBBPF_WARN && verbosity >= 1) || verbosity >= 2)
		return vfprintf(stderr, format, args);
	return 0;
}

static void set_knob(struct session *session, const char *name, uint32_t value)
{
	if (object_set_knob(session->object, name, value))
		bpf_names_missing(BPF_NAME_KNOB, name);
}

static void set_size(struct session *session, const char *name, unsigned entries)
{
	struct bpf_map *map = session_map(session, name);

	if (!session->kernel.run_time_alloc)
		bpf_map__set_map_flags(map, bpf_map__map_flags(map) & ~BPF_F_NO_PREALLOC);
	bpf_map__set_max_entries(map, entries);
}

#define PLACES 16384 /* of probes in processes; some ten each */

/* The exact engine's maps, where it is wanted. */
static void set_line_sizes(struct session *session, unsigned images, unsigned stacks)
{
	static const char *const maps[] = {"lines", "line_stacks"};
	static const char *const legacy_maps[] = {"line_blank", "places"};
	size_t i;

	if (session->options.lines) {
		set_size(session, "lines", stacks);
		/* 8 KiB each, allocated at load. */
		if (session->kernel.batched_counters) {
			set_size(session, "line_stacks", images < 1024 ? 1024 : images);
			set_size(session, "places", session->cookies ? 1 : PLACES);
		}
		return;
	}
	for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		bpf_map__set_autocreate(session_map(session, maps[i]), false);
	for (i = 0; session->kernel.batched_counters && i < 2; i++)
		bpf_map__set_autocreate(session_map(session, legacy_maps[i]), false);
}

/* Of the tables with a quota (bpf/account/quota.bpf.h). Where only what was asked for is profiled,
 * one process, or one user's, may fill a table but for a thirtieth. */
static void set_quotas(struct session *session, unsigned stacks, unsigned threads)
{
	set_knob(session, "room_stacks", stacks);
	set_knob(session, "room_vmcalls", stacks / 4);
	set_knob(session, "room_codes", stacks);
	set_knob(session, "room_lines", stacks);
	set_knob(session, "room_threads", threads);
	set_knob(session, "quota_share", session->options.many ? 1 : 32);
	set_knob(session, "quota_user_share", session->options.many ? 3 : 32);
}

static void size_maps(struct session *session, int cpus)
{
	const struct session_options *o = &session->options;
	unsigned images = o->max_images, stacks = o->max_stacks;
	/* 2 KiB each, on 5.10 allocated at load. */
	unsigned threads = images * (session->kernel.run_time_alloc ? 16 : 4);

	session->proc_size = sizeof(struct pymem_proc) + cpus * sizeof(struct pymem_cpu);
	bpf_map__set_value_size(session_map(session, "procs"), session->proc_size);
	bpf_map__set_value_size(session_map(session, "blank"), session->proc_size);
	set_size(session, "procs", images);
	set_size(session, "dead", images * 2);
	set_size(session, "tgids", images * 2);
	set_size(session, "wanted", images);
	if (threads < 4096)
		threads = 4096;
	if (session->kernel.batched_counters)
		set_size(session, "threads", threads);
	set_quotas(session, stacks, threads);
	/* 4 KiB each. Pages are for sessions that only count. */
	bpf_map__set_max_entries(session_map(session, "page_records"),
				 o->count_only ? PYMEM_PAGES : 1);
	set_size(session, "stacks", stacks);
	set_size(session, "vmcalls", stacks / 4);
	set_size(session, "codes", stacks);
	set_line_sizes(session, images, stacks);
	bpf_map__set_max_entries(session_map(session, "cpu_offsets"), cpus);
	bpf_map__set_max_entries(session_map(session, "ring"), o->ring_bytes);
}

static void select_programs(struct session *session)
{
	static const char *const lines[] = {"line",	  "function_entry", "function_return",
					    "gc_start",	  "gc_done",	    "lines_exit",
					    "lines_exec", "lines_settle"};
	const struct kernel_features *k = &session->kernel;
	size_t i;
	bool faults = session->options.faults && k->faults;

	if (session->options.faults && !k->faults)
		session->lacks |= SESSION_LACK_FAULTS;
	if (session->options.syscalls && !k->sys_exit)
		session->lacks |= SESSION_LACK_SYSCALLS;
	if (session->options.faults && !k->page_alloc)
		session->lacks |= SESSION_LACK_COPIES;
	if (k->batched_counters)
		session->lacks |= SESSION_BATCHED;
	/* Batched counters are only seen at faults. */
	if (k->batched_counters && k->faults)
		faults = true;
	set_knob(session, "count_faults", faults);
	bpf_program__set_autoload(session_program(session, "fault_user"), faults);
	bpf_program__set_autoload(session_program(session, "fault_kernel"), faults);
	bpf_program__set_autoload(session_program(session, "page_alloc"), faults && k->page_alloc);
	bpf_program__set_autoload(session_program(session, "syscall_exit"),
				  session->options.syscalls && k->sys_exit);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		bpf_program__set_autoload(session_program(session, lines[i]),
					  session->options.lines);
}

static int find_cpu_offsets(struct session *session, unsigned cpus)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int program, err;

	/* Batched counters are not per CPU. */
	if (session->kernel.batched_counters)
		return 0;
	program = bpf_program__fd(session_program(session, "find_cpu_offsets"));
	err = bpf_prog_test_run_opts(program, &opts);
	if (err)
		return err;
	return *(uint32_t *)session_variable(session, "cpu_offsets_found") == cpus ? 0 : -ENODATA;
}

/* Can a program ask for the cookie of the uprobe that runs it? */
static bool has_cookies(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie, NULL) == 1;
}

static int session_load(struct session *session, char *why, size_t size)
{
	int cpus = libbpf_num_possible_cpus(), err;
	long online;

	session->cookies = !session->kernel.batched_counters || has_cookies();
	size_maps(session, cpus);
	select_programs(session);
	/* The other build needs no such knob. */
	if (session->kernel.batched_counters)
		set_knob(session, "probe_cookies", session->cookies);
	set_knob(session, "nr_cpus", cpus);
	/* percpu_counter_batch: lib/percpu_counter.c, compute_batch_value(). */
	online = sysconf(_SC_NPROCESSORS_ONLN);
	set_knob(session, "counter_batch", online > 16 ? 2 * online : 32);
	set_knob(session, "follow_children", session->options.follow_children);
	set_knob(session, "watch_host", session->options.watch_host);
	set_knob(session, "payer_images", session->options.payer_images);
	set_knob(session, "all_payers_images", session->options.all_payers_images);
	set_knob(session, "count_only", session->options.count_only);
	set_knob(session, "own_tgid", getpid());
	set_knob(session, "ring_wakeup_bytes", session->options.ring_bytes / 4);
	err = bpf_object__load(session->object);
	if (err) {
		snprintf(why, size, "the kernel refused the BPF programs: %s%s", strerror(-err),
			 err == -EPERM ? " (run as root)" : " (-vv shows its reasons)");
		return err;
	}
	session->globals = object_map_globals(session->object);
	if (!session->globals) {
		err = -errno;
		snprintf(why, size, "the BPF programs' variables can't be mapped: %s",
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
	int err;

	if (!session)
		return NULL;
	verbosity = options->verbosity;
	libbpf_set_print(print_libbpf);
	session->options = *options;
	/* Before 5.11 map memory counts against it; it may be refused where it does not matter. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* Programs, maps, probes and processes each take descriptors. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	kernel_probe(&session->kernel);
	refusal = kernel_refusal(&session->kernel, options->lines);
	if (refusal) {
		snprintf(why, size, "%s", refusal);
		err = -EOPNOTSUPP;
		goto fail;
	}
	session->object = object_open(session->kernel.batched_counters);
	if (!session->object) {
		err = -errno;
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
	err = bpf_names_check(session->object, session->kernel.batched_counters, bpf_names,
			      bpf_name_count, why, size);
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

static int attach_one(struct session *session, const char *name)
{
	struct bpf_program *program = session_program(session, name);
	struct bpf_link *link;

	if (!bpf_program__autoload(program))
		return 0;
	link = bpf_program__attach(program);
	if (!link)
		return -errno;
	session->links[session->link_count++] = link;
	return 0;
}

int session_attach(struct session *session)
{
	/* Lifecycle first: an image that ends while the others attach must be seen to end. */
	static const char *const order[] = {"lines_exit",   "lines_exec",   "process_exit",
					    "process_exec", "process_fork", "fault_user",
					    "fault_kernel", "syscall_exit", "rss_stat"};
	size_t i;
	int err;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		err = attach_one(session, order[i]);
		if (err) {
			session_detach(session);
			return err;
		}
	}
	return 0;
}

void session_detach(struct session *session)
{
	/* Probes take long to detach; lines end now, the probes go after session_settle(). */
	if (session->globals && session->options.lines)
		*(volatile uint32_t *)session_variable(session, "lines_off") = 1;
	while (session->link_count)
		bpf_link__destroy(session->links[--session->link_count]);
	bpf_link__destroy(session->copies);
	session->copies = NULL;
}

int session_watch_copies(struct session *session)
{
	struct bpf_program *program = session_program(session, "page_alloc");

	if (session->copies || !bpf_program__autoload(program))
		return 0;
	session->copies = bpf_program__attach(program);
	if (!session->copies)
		return -errno;
	*(volatile uint32_t *)session_variable(session, "copies_watched") = 1;
	return 0;
}

/* Runs a task iterator program over all tasks; what it writes goes to `fn` in records of
 * `size` bytes (0: it writes nothing). */
int session_run_iterator(struct session *session, const char *name, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg)
{
	struct bpf_link *link = bpf_program__attach_iter(session_program(session, name), NULL);
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

	/* What runs ends with the amounts that were seen. */
	if (session->options.lines)
		err = session_run_iterator(session, "lines_settle", 0, NULL, NULL);
	if (!err)
		err = session_run_iterator(session, "settle", 0, NULL, NULL);
	session_release_probes(session);
	return err;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session_detach(session);
	session_free_probes(session);
	session_pages_free(session);
	ring_buffer__free(session->ring);
	object_unmap_globals(session->globals);
	bpf_object__close(session->object);
	free(session);
}

bool session_sees_mappings(const struct session *session)
{
	return session->options.syscalls && session->kernel.sys_exit;
}

unsigned session_lacks(const struct session *session)
{
	return session->lacks;
}

static uint16_t extent(uint16_t size, uint16_t offset, uint16_t width)
{
	return offset != PY_NONE && offset + width > size ? offset + width : size;
}

int session_add_layout(struct session *session, const struct py_layout *layout)
{
	struct pymem_layout value = {};
	uint32_t i;

	_Static_assert(sizeof(*layout) <= sizeof(value.py), "struct pymem_layout.py is too small");
	for (i = 0; i < session->layout_count; i++)
		if (!memcmp(&session->layouts[i], layout, sizeof(*layout)))
			return i;
	if (i == sizeof(session->layouts) / sizeof(session->layouts[0]))
		return -ENOSPC;
	value.tstate_size = extent(value.tstate_size, layout->tstate_thread_id, 8);
	value.tstate_size = extent(value.tstate_size, layout->tstate_frame, 8);
	value.tstate_size = extent(value.tstate_size, layout->tstate_next, 8);
	value.code_size = extent(value.code_size, layout->code_firstlineno, 4);
	if (layout->code_version != PY_NONE)
		value.code_size =
			extent(value.code_size, layout->code_firstlineno + layout->code_version, 4);
	value.code_size = extent(value.code_size, layout->code_filename, 8);
	value.code_size = extent(value.code_size, layout->code_name, 8);
	value.code_size = extent(value.code_size, layout->code_qualname, 8);
	value.code_size = extent(value.code_size, layout->code_linetable, 8);
	memcpy(value.py, layout, sizeof(*layout));
	if (bpf_map_update_elem(session_map_fd(session, "layouts"), &i, &value, BPF_ANY))
		return -errno;
	session->layouts[i] = *layout;
	session->layout_count++;
	return i;
}

int session_track(struct session *session, struct session_target *targets, size_t count)
{
	int fd = session_map_fd(session, "wanted"), err = 0;
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
		w.page = targets[i].page;
		w.expect = targets[i].expect;
		w.payer = targets[i].payer;
		if (bpf_map_update_elem(fd, &key, &w, BPF_ANY)) {
			err = -errno;
			break;
		}
	}
	if (!err)
		err = session_run_iterator(session, "attach_wanted", 0, NULL, NULL);
	/* Whatever failed, none is wanted any more. */
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
	return session_variable(session, "payers");
}

int session_set_reader(struct session *session, session_message_fn fn, void *arg)
{
	session->ring = ring_buffer__new(session_map_fd(session, "ring"), fn, arg, NULL);
	return session->ring ? 0 : -errno;
}

int session_poll(struct session *session, int timeout_ms)
{
	return ring_buffer__poll(session->ring, timeout_ms);
}

int session_consume(struct session *session)
{
	return ring_buffer__consume(session->ring);
}

uint64_t session_dropped_messages(const struct session *session)
{
	return *(volatile uint64_t *)session_variable(session, "dropped_messages");
}

uint64_t session_dropped_calls(const struct session *session)
{
	return *(volatile uint64_t *)session_variable(session, "dropped_calls");
}

uint64_t session_dropped_images(const struct session *session)
{
	return *(volatile uint64_t *)session_variable(session, "dropped_images");
}
