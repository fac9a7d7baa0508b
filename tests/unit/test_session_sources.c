/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* session_sources.c: what is loaded and attached, in which order, and that it is undone. No kernel
 * is needed: some functions of libbpf are replaced here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel/bpf_object.h"
#include "kernel/session_private.h"

static char attached[1024];   /* names, in order */
static char detached[1024];   /* names, in order */
static const char *unwilling; /* attaching it fails */

static void append(char *names, const char *name)
{
	strcat(strcat(names, *names ? " " : ""), name);
}

/* The link is the program itself. */
struct bpf_link *bpf_program__attach(const struct bpf_program *program)
{
	if (unwilling && !strcmp(bpf_program__name(program), unwilling)) {
		errno = EACCES;
		return NULL;
	}
	append(attached, bpf_program__name(program));
	return (struct bpf_link *)(uintptr_t)program;
}

static unsigned updates; /* of maps: the shared end of memory system calls is put in its place */
static int update_error; /* what they return */

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	(void)fd, (void)key, (void)value, (void)flags;
	updates++;
	return update_error;
}

static const char *passed_over; /* the program that has passed over events */

int bpf_program__fd(const struct bpf_program *program)
{
	return passed_over && !strcmp(bpf_program__name(program), passed_over);
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *size)
{
	assert_int_equal(*size, sizeof(struct bpf_prog_info));
	((struct bpf_prog_info *)info)->recursion_misses = fd ? 7 : 0;
	return 0;
}

static char targets[128]; /* functions that programs were turned to, when they have other names */

int bpf_program__set_attach_target(struct bpf_program *program, int fd, const char *name)
{
	assert_int_equal(fd, 0);
	append(targets, bpf_program__name(program));
	append(targets, name);
	return 0;
}

int bpf_link__destroy(struct bpf_link *link)
{
	if (link)
		append(detached, bpf_program__name((struct bpf_program *)link));
	return 0;
}

/* A session before the load, on a kernel that has everything but `lacking`. */
static struct session *session_of(bool legacy, const struct session_options *options,
				  const char *lacking)
{
	struct session *session = calloc(1, sizeof(*session));
	char why[256];

	assert_non_null(session);
	*attached = *detached = '\0';
	unwilling = NULL;
	updates = 0;
	update_error = 0;
	session->options = *options;
	session->options.max_stacks = session->options.max_images = 1024;
	session->kernel.btf = session->kernel.uprobes = session->kernel.function_ends = true;
	session->kernel.symbols = true;
	session->kernel.batched_counters = legacy;
	session->kernel.huge_page_bytes = 2 << 20;
	event_sources_ask(&session->kernel);
	for (unsigned i = 0; i < session->kernel.type_count; i++)
		session->kernel.types[i].found =
			!lacking || strcmp(session->kernel.types[i].name, lacking);
	session->object = object_open(legacy, &session->bpf);
	assert_non_null(session->object);
	if (session_find_sources(session, why, sizeof(why)))
		fail_msg("%s", why);
	session_select_sources(session);
	return session;
}

static void session_close(struct session *session)
{
	bpf_object__close(session->object);
	free(session);
}

static const struct session_options plain = {.faults = true, .syscalls = true},
				    exits = {.faults = true, .syscalls = true, .sys_exit = true},
				    lines = {.faults = true, .syscalls = true, .lines = true}, none,
				    everything = {.faults = true,
						  .syscalls = true,
						  .stalls = true,
						  .cache = true,
						  .huge = true,
						  .swap = true,
						  .external = true,
						  .kernel = true,
						  .last_words = true,
						  .lines = true};

static void test_order(void **state)
{
	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		struct session *session = session_of(legacy, &everything, NULL);

		assert_int_equal(session_attach(session), 0);
		assert_int_equal(updates, legacy);
		assert_string_equal(attached, "tables_rss tables_fault_user tables_fault_kernel "
					      "lines_exit lines_exec process_exit process_exec "
					      "process_fork fault_user fault_kernel brk_ends "
					      "mmap_ends munmap_ends mremap_ends madvise_ends "
					      "direct_begin direct_end memcg_begin memcg_end "
					      "compaction_begin compaction_end throttled "
					      "high_begin high_end cache_deleted cache_added "
					      "collapse_isolates collapse_ends "
					      "cache_object_freed plain_object_freed "
					      "cache_object plain_object task_made pages_freed "
					      "pages_made signal_sent "
					      "signal_delivered victim_marked rss_stat");
		*attached = '\0';
		assert_int_equal(session_watch_copies(session), 0);
		assert_int_equal(session_watch_copies(session), 0);
		assert_string_equal(attached, "page_alloc");
		assert_int_equal(*session->bpf.variable.copies_watched, 1);
		session_detach(session);
		assert_string_equal(
			detached,
			"rss_stat victim_marked signal_delivered signal_sent "
			"pages_made pages_freed task_made plain_object cache_object "
			"plain_object_freed cache_object_freed "
			"collapse_ends collapse_isolates "
			"cache_added cache_deleted high_end high_begin throttled "
			"compaction_end compaction_begin memcg_end "
			"memcg_begin direct_end direct_begin madvise_ends "
			"mremap_ends munmap_ends mmap_ends brk_ends "
			"fault_kernel fault_user "
			"process_fork process_exec process_exit lines_exec "
			"lines_exit tables_fault_kernel tables_fault_user tables_rss page_alloc");
		session_detach(session);
		assert_string_equal(strstr(detached, "page_alloc"), "page_alloc");
		session_close(session);
	}
}

static bool is_loaded(const struct session *session, const char *name)
{
	return bpf_program__autoload(bpf_object__find_program_by_name(session->object, name));
}

static void test_loaded_by_default(void **state)
{
	struct session *session = session_of(false, &plain, NULL);

	(void)state;
	assert_false(is_loaded(session, "line") || is_loaded(session, "lines_exit") ||
		     is_loaded(session, "lines_settle"));
	assert_true(is_loaded(session, "page_alloc") && is_loaded(session, "fault_user"));
	assert_true(is_loaded(session, "settle") && is_loaded(session, "block_command"));
	assert_int_equal(*session->bpf.knob.count_faults, 1);
	assert_false(bpf_map__autocreate(session->bpf.map.lines));
	assert_true(session_sees_mappings(session));
	assert_true(session_counts_faults(session) && session_counts_copies(session));
	assert_false(session_counts_stalls(session) || is_loaded(session, "direct_begin") ||
		     is_loaded(session, "memcg_end") || is_loaded(session, "compaction_end") ||
		     is_loaded(session, "throttled") || is_loaded(session, "high_end"));
	assert_false(session_counts_cache(session) || is_loaded(session, "cache_added") ||
		     is_loaded(session, "cache_deleted"));
	assert_false(session_counts_kernel(session) || is_loaded(session, "tables_rss") ||
		     is_loaded(session, "tables_fault_user") ||
		     is_loaded(session, "cache_object") || is_loaded(session, "pages_freed") ||
		     bpf_map__autocreate(session->bpf.map.kernel_sums) ||
		     bpf_map__autocreate(session->bpf.map.kernel_owners));
	assert_int_equal(*session->bpf.knob.watch_kernel, 0);
	assert_false(bpf_map__autocreate(session->bpf.map.cached) ||
		     bpf_map__autocreate(session->bpf.map.cache_files));
	assert_int_equal(session_extras(session), 0);
	assert_int_equal(session_huge_page_bytes(session), 0);
	assert_false(*session->bpf.knob.watch_huge || *session->bpf.knob.watch_swap ||
		     *session->bpf.knob.watch_waits || *session->bpf.knob.watch_takers ||
		     is_loaded(session, "collapse_ends"));
	session_close(session);
}

/* The function in which a thread sleeps beyond memory.high has another name from 6.18 on. */
static void test_names_of_a_function(void **state)
{
	struct session *session;

	(void)state;
	*targets = '\0';
	session = session_of(false, &everything, "__mem_cgroup_handle_over_high");
	assert_true(is_loaded(session, "high_begin") && is_loaded(session, "high_end"));
	session_close(session);
	session = session_of(false, &none, "mem_cgroup_handle_over_high");
	assert_false(is_loaded(session, "high_begin"));
	session_close(session);
	assert_string_equal(targets, "");
	session = session_of(false, &everything, "mem_cgroup_handle_over_high");
	assert_true(is_loaded(session, "high_begin") && is_loaded(session, "high_end"));
	session_close(session);
	assert_string_equal(targets, "high_begin __mem_cgroup_handle_over_high "
				     "high_end __mem_cgroup_handle_over_high");
}

static void test_loaded_if_asked_for(void **state)
{
	struct session *session = session_of(false, &everything, "btf_trace_mm_compaction_end");

	(void)state;
	assert_true(session_counts_stalls(session) && is_loaded(session, "memcg_end"));
	assert_false(is_loaded(session, "compaction_begin"));
	assert_true(session_counts_cache(session) && is_loaded(session, "cache_added"));
	assert_true(session_counts_kernel(session) && is_loaded(session, "tables_rss"));
	assert_int_equal(bpf_map__max_entries(session->bpf.map.kernel_sums), 256);
	assert_int_equal(bpf_map__max_entries(session->bpf.map.kernel_owners), PYMEM_KERNEL_OWNERS);
	assert_int_equal(*session->bpf.knob.watch_kernel, 1);
	assert_true(bpf_map__autocreate(session->bpf.map.cache_chunks));
	assert_int_equal(bpf_map__max_entries(session->bpf.map.cached), PYMEM_CACHED_PLACES);
	assert_int_equal(session_extras(session), PYMEM_EXTRA_HUGE | PYMEM_EXTRA_SWAP |
							  PYMEM_EXTRA_WAITS | PYMEM_EXTRA_EXTERNAL);
	assert_int_equal(session_huge_page_bytes(session), 2 << 20);
	assert_int_equal(*session->bpf.knob.watch_huge, (2 << 20) / sysconf(_SC_PAGESIZE));
	assert_true(*session->bpf.knob.watch_swap && *session->bpf.knob.watch_waits &&
		    *session->bpf.knob.watch_takers && is_loaded(session, "collapse_ends"));
	session_close(session);
}

static void test_loaded_without(void **state)
{
	struct session *session = session_of(false, &none, NULL);

	(void)state;
	assert_int_equal(*session->bpf.knob.count_faults, 0);
	assert_false(is_loaded(session, "page_alloc") || is_loaded(session, "fault_user"));
	assert_false(session_sees_mappings(session));
	assert_false(session_counts_faults(session) || session_counts_copies(session));
	assert_int_equal(session_attach(session), 0);
	assert_string_equal(attached, "process_exit process_exec process_fork rss_stat");
	*attached = '\0';
	assert_int_equal(session_watch_copies(session), 0);
	assert_string_equal(attached, "");
	assert_int_equal(*session->bpf.variable.copies_watched, 0);
	session_close(session);
}

/* How system calls are seen. */
static void test_loaded_for_calls(void **state)
{
	struct session *session = session_of(true, &lines, "__x64_sys_mmap");

	(void)state;
	assert_int_equal(*session->bpf.knob.count_faults, 1);
	assert_true(bpf_map__autocreate(session->bpf.map.places));
	assert_int_equal(bpf_map__max_entries(session->bpf.map.lines), 1024);
	assert_true(is_loaded(session, "line") && !is_loaded(session, "syscall_exit"));
	assert_false(session_sees_mappings(session) || is_loaded(session, "call_tail"));
	assert_false(bpf_map__autocreate(session->bpf.map.call_tails));
	session_close(session);

	/* Calls of madvise are not seen by the lock. */
	session = session_of(false, &plain, "__x64_sys_mmap");
	assert_true(is_loaded(session, "lock_released") && !is_loaded(session, "lock_wanted"));
	assert_false(is_loaded(session, "mmap_ends") || is_loaded(session, "syscall_exit"));
	assert_true(session_sees_mappings(session));
	assert_int_equal(*session->bpf.knob.watch_advice, 1);
	session_close(session);
	session = session_of(false, &exits, "__x64_sys_mmap");
	assert_true(is_loaded(session, "syscall_exit") && !is_loaded(session, "lock_released"));
	assert_true(session_sees_mappings(session));
	assert_int_equal(*session->bpf.knob.watch_advice, 0);
	session_close(session);
}

/* If one can't be attached, none is, and the error is returned. */
static void test_refused_attach(void **state)
{
	struct session *session = session_of(false, &plain, NULL);

	(void)state;
	unwilling = "fault_kernel";
	assert_int_equal(session_attach(session), -EACCES);
	assert_string_equal(attached, "process_exit process_exec process_fork fault_user");
	assert_string_equal(detached, "fault_user process_fork process_exec process_exit");
	session_close(session);
	session = session_of(true, &plain, NULL);
	update_error = -EPERM;
	assert_int_equal(session_attach(session), -EPERM);
	assert_string_equal(attached, "process_exit process_exec process_fork fault_user "
				      "fault_kernel");
	assert_string_equal(detached, "fault_kernel fault_user process_fork process_exec "
				      "process_exit");
	session_close(session);
	session = session_of(false, &plain, NULL);
	unwilling = "page_alloc";
	assert_int_equal(session_watch_copies(session), -EACCES);
	assert_int_equal(*session->bpf.variable.copies_watched, 0);
	session_close(session);
}

static void collect(const char *text, void *arg)
{
	append(arg, text);
}

static bool nothing_shed_is_attached(const struct session *session)
{
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		if (session_can_shed(session, i) && session->sources[i].links[0])
			return false;
	return true;
}

/* What amounts can do without goes and comes back; before 6.2 amounts come with page faults. */
static void test_shed(void **state)
{
	static const char *const shed[] = {
		"madvise_ends mremap_ends munmap_ends mmap_ends brk_ends page_alloc fault_kernel "
		"fault_user",
		"madvise_ends mremap_ends munmap_ends mmap_ends brk_ends"};
	static const char *const back[] = {
		"fault_user fault_kernel brk_ends mmap_ends munmap_ends mremap_ends madvise_ends "
		"page_alloc",
		"brk_ends mmap_ends munmap_ends mremap_ends madvise_ends"};

	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		struct session *session = session_of(legacy, &everything, NULL);
		char text[256] = "";

		assert_int_equal(session_attach(session), 0);
		assert_int_equal(session_watch_copies(session), 0);
		session_each_shed(session, collect, text);
		assert_string_equal(text,
				    legacy ? "memory system calls"
					   : "page faults copies on write memory system calls");
		assert_int_equal(session_shed_events(session, true), 0);
		assert_int_equal(session_shed_events(session, true), 0);
		assert_string_equal(detached, shed[legacy]);
		assert_int_equal(*session->bpf.variable.copies_watched, legacy);
		assert_false(session_sees_mappings(session));
		*attached = '\0';
		assert_int_equal(session_watch_copies(session), 0);
		assert_string_equal(attached, "");
		/* What fails leaves none behind, and is tried again: the copies, which come last,
		 * too. */
		for (int i = 0; i < (legacy ? 1 : 2); i++) {
			unwilling = i ? "page_alloc" : "munmap_ends";
			assert_int_equal(session_shed_events(session, false), -EACCES);
			assert_false(session_sees_mappings(session));
			assert_true(nothing_shed_is_attached(session));
		}
		unwilling = NULL;
		*attached = '\0';
		assert_int_equal(session_shed_events(session, false), 0);
		assert_string_equal(attached, back[legacy]);
		assert_int_equal(*session->bpf.variable.copies_watched, 1);
		assert_true(session_sees_mappings(session));
		session_close(session);
	}
}

/* Who touched a page is known by faults and calls: without them, pages that were freed and touched
 * again would keep the stacks that they had before. */
static void test_shed_with_touches(void **state)
{
	const struct session_options touches = {.faults = true, .syscalls = true, .touched = true};
	struct session *session = session_of(false, &touches, NULL);
	char text[256] = "";

	(void)state;
	assert_int_equal(session_attach(session), 0);
	assert_int_equal(session_watch_copies(session), 0);
	session_each_shed(session, collect, text);
	assert_string_equal(text, "copies on write");
	assert_int_equal(session_shed_events(session, true), 0);
	assert_string_equal(detached, "page_alloc");
	assert_true(session_sees_mappings(session));
	assert_int_equal(*session->bpf.variable.copies_watched, 0);
	*attached = '\0';
	assert_int_equal(session_shed_events(session, false), 0);
	assert_string_equal(attached, "page_alloc");
	session_close(session);
}

/* Of copies that nobody has asked for, nothing is attached. */
static void test_shed_without_copies(void **state)
{
	struct session *session = session_of(false, &plain, NULL);

	(void)state;
	assert_int_equal(session_attach(session), 0);
	assert_int_equal(session_shed_events(session, true), 0);
	assert_int_equal(session_shed_events(session, false), 0);
	assert_null(strstr(attached, "page_alloc"));
	/* They were asked for meanwhile. */
	assert_int_equal(session_shed_events(session, true), 0);
	assert_int_equal(session_watch_copies(session), 0);
	assert_null(strstr(attached, "page_alloc"));
	assert_int_equal(session_shed_events(session, false), 0);
	assert_non_null(strstr(attached, "page_alloc"));
	session_close(session);
}

static void test_walks(void **state)
{
	struct session *session = session_of(false, &plain, NULL);
	uint64_t walks_ns, faults_ns;

	(void)state;
	session_limit_walks(session, 16);
	assert_int_equal(*session->bpf.variable.walk_less, PYMEM_MAX_WALK - 16);
	session_limit_walks(session, PYMEM_MAX_WALK + 1);
	assert_int_equal(*session->bpf.variable.walk_less, 0);
	session_limit_walks(session, 0);
	assert_int_equal(*session->bpf.variable.walk_less, 0);
	session_cpu_ns(session, &walks_ns, &faults_ns);
	assert_true(!walks_ns && !faults_ns);
	*session->bpf.variable.timed_walks = 10;
	*session->bpf.variable.timed_ns = 12000;
	session_cpu_ns(session, &walks_ns, &faults_ns);
	assert_true(walks_ns > 61 * 12000 && walks_ns < 61 * 24000);
	session_close(session);
}

/* Nanoseconds for each page fault of the host. */
static uint64_t fault_ns(struct session *session)
{
	uint64_t walks_ns, faults_ns;

	session->host_faults = 1;
	session->fault_ns = 0;
	session_cpu_ns(session, &walks_ns, &faults_ns);
	assert_int_equal(faults_ns, session->fault_ns);
	assert_true(session->host_faults > 1);
	assert_int_equal(session->fault_ns % (session->host_faults - 1), 0);
	return session->fault_ns / (session->host_faults - 1);
}

/* A page fault costs less while its programs are detached, which up to 6.1 they never are. */
static void test_faults_cost(void **state)
{
	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		struct session *session = session_of(legacy, &plain, NULL);

		assert_int_equal(session_attach(session), 0);
		assert_int_equal(fault_ns(session), 200);
		assert_int_equal(session_shed_events(session, true), 0);
		assert_int_equal(fault_ns(session), legacy ? 200 : 100);
		session_close(session);
	}
}

static void collect_dropped(uint64_t events, const char *text, void *arg)
{
	if (!events)
		return;
	assert_int_equal(events, 7);
	append(arg, text);
}

static void test_told(void **state)
{
	struct session *session = session_of(true, &plain, "btf_trace_mm_page_alloc");
	char text[1024] = "";

	(void)state;
	session_each_note(session, collect, text);
	assert_string_equal(
		text,
		"this kernel has no mm_page_alloc tracepoint: copies on write are not counted "
		"this kernel (6.1 or older) batches its counters per task: amounts are exact, "
		"attributed fault by fault, one fault late; two threads that hand over what they "
		"counted in the same instant may swap it, 64 faults each at most");
	*text = '\0';
	*(volatile uint64_t *)object_variable(session->object, "dropped_calls", 8) = 7;
	session_each_dropped(session, collect_dropped, text);
	assert_string_equal(text, "memory system calls were not counted: table full; raise "
				  "--max-stacks");
	session_close(session);
}

/* What the kernel passed over is said once, by the source whose program it was. */
static void test_passed_over(void **state)
{
	struct session *session = session_of(false, &plain, NULL);
	char text[1024] = "";

	(void)state;
	passed_over = "mmap_ends";
	session_each_dropped(session, collect_dropped, text);
	passed_over = NULL;
	assert_non_null(strstr(text, "memory system calls, of all processes, were passed over"));
	session_close(session);
	session = session_of(false, &none, NULL); /* not loaded */
	*text = '\0';
	passed_over = "mmap_ends";
	session_each_dropped(session, collect_dropped, text);
	passed_over = NULL;
	assert_string_equal(text, "");
	session_close(session);
}

static bool names(const char *const *list, const char *name)
{
	for (int i = 0; i < SOURCE_PROGRAMS_MAX && list[i]; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

/* Each BPF program belongs to a source or is run by the session. Else it would be loaded and
 * verified for nothing. */
static void test_each_program_has_a_source(void **state)
{
	struct bpf_program *program;
	struct bpf_handles handles;

	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		struct bpf_object *object = object_open(legacy, &handles);

		assert_non_null(object);
		bpf_object__for_each_program (program, object) {
			const char *name = bpf_program__name(program);
			int owners = program == handles.program.block_command ||
				     program == handles.program.call_tail ||
				     program == handles.program.find_cpu_offsets;

			for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
				owners += names(event_sources[i]->programs, name) +
					  names(event_sources[i]->others, name);
			if (owners != 1)
				fail_msg("%s is named by %d descriptors (user/kernel/source_*.c)",
					 name, owners);
		}
		bpf_object__close(object);
	}
}

static void check_missing(const struct event_source *source, const char *said)
{
	struct bpf_handles handles;
	struct bpf_object *object = object_open(false, &handles);
	struct session_source found = {};
	char why[256] = "";

	assert_non_null(object);
	assert_int_equal(session_source_find(&found, source, object, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, said);
	bpf_object__close(object);
}

static void test_missing(void **state)
{
	static const struct event_source program = {.name = "toy",
						    .programs = {"settle", "renamed"}};
	static const struct event_source other = {.name = "toy", .others = {"renamed"}};
	static const struct event_source counter = {.name = "toy", .dropped = "renamed"};
	/* The variable exists but has 32 bits. */
	static const struct event_source small = {.name = "toy", .dropped = "copies_asked"};

	(void)state;
	check_missing(&program, "the embedded BPF object has no program 'renamed' of the event "
				"source 'toy': build it anew");
	check_missing(&other, "the embedded BPF object has no program 'renamed' of the event "
			      "source 'toy': build it anew");
	check_missing(&counter, "the embedded BPF object has no 64-bit counter 'renamed' of the "
				"event source 'toy': build it anew");
	check_missing(&small, "the embedded BPF object has no 64-bit counter 'copies_asked' of "
			      "the event source 'toy': build it anew");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_loaded_by_default),
		cmocka_unit_test(test_loaded_if_asked_for),
		cmocka_unit_test(test_names_of_a_function),
		cmocka_unit_test(test_loaded_without),
		cmocka_unit_test(test_loaded_for_calls),
		cmocka_unit_test(test_refused_attach),
		cmocka_unit_test(test_shed),
		cmocka_unit_test(test_shed_with_touches),
		cmocka_unit_test(test_shed_without_copies),
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_faults_cost),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_passed_over),
		cmocka_unit_test(test_each_program_has_a_source),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
