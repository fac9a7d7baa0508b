/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* parallel_load() with a libbpf of our own: it loads as libbpf does, one program after the other,
 * and asks the handler before each. When it fails, it frees what it has. A loaded program is a
 * file, whose name tells which one it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/parallel_load.h"
#include "pymem_license.h"

#define PROGRAMS 20
#define MIB	 (1u << 20)

struct bpf_program {
	char name[32];
	const char *section;
	struct bpf_insn insns[8];
	size_t count;
	int fd;
	unsigned log_level;
	bool is_other; /* not of a raw tracepoint */
	bool calls_modules;
	/* One function, named by the number of instructions; a line for each of these. */
	struct bpf_func_info *func_info;
	struct bpf_line_info *line_info;
};

struct bpf_object {
	struct bpf_program programs[PROGRAMS];
	int count, fails_at; /* libbpf fails before it loads that one; -1: it does not */
};

static libbpf_prog_prepare_load_fn_t before_load;
static libbpf_prog_attach_fn_t attach;
static int handlers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int loads, refusals_told;
static int at_once, most_at_once; /* threads that are in the kernel */
static bool held;		  /* they stay there */
static const char *refused;	  /* the kernel refuses that program */
static bool all_refused;	  /* and all others */
static size_t log_bytes;	  /* the verifier's log is that long */
static int logged_errno;	  /* so it is refused when its log is asked for */
static char attached_to[32];

int libbpf_register_prog_handler(const char *section, enum bpf_prog_type type,
				 enum bpf_attach_type expected,
				 const struct libbpf_prog_handler_opts *how)
{
	assert_string_equal(section, "raw_tp+");
	assert_int_equal(type, BPF_PROG_TYPE_RAW_TRACEPOINT);
	assert_int_equal(expected, 0);
	before_load = how->prog_prepare_load_fn;
	attach = how->prog_attach_fn;
	return ++handlers;
}

size_t bpf_program__insn_cnt(const struct bpf_program *program)
{
	return program->count;
}

const struct bpf_insn *bpf_program__insns(const struct bpf_program *program)
{
	return program->insns;
}

int bpf_program__set_insns(struct bpf_program *program, struct bpf_insn *insns, size_t count)
{
	memcpy(program->insns, insns, count * sizeof(*insns));
	program->count = count;
	return 0;
}

enum bpf_prog_type bpf_program__type(const struct bpf_program *program)
{
	return program->is_other ? BPF_PROG_TYPE_TRACING : BPF_PROG_TYPE_RAW_TRACEPOINT;
}

const char *bpf_program__name(const struct bpf_program *program)
{
	return program->name;
}

const char *bpf_program__section_name(const struct bpf_program *program)
{
	return program->section;
}

int bpf_program__fd(const struct bpf_program *program)
{
	return program->fd;
}

struct bpf_link *bpf_program__attach_raw_tracepoint(const struct bpf_program *program,
						    const char *tracepoint)
{
	(void)program;
	snprintf(attached_to, sizeof(attached_to), "%s", tracepoint);
	return (struct bpf_link *)attached_to;
}

/* bpf_prog_load(), by another name here: since libbpf 1.2 its last argument is no pointer to const.
 */
int kernel_load(enum bpf_prog_type type, const char *name, const char *license,
		const struct bpf_insn *insns, size_t count,
		const struct bpf_prog_load_opts *how) __asm__("bpf_prog_load");

/* As kernels before 6.4: of a log that does not fit, the beginning is there, and the answer says
 * nothing else. */
static int refuse(const struct bpf_prog_load_opts *how)
{
	static const char last[] = "R1 is bad";

	if (!how->log_level)
		return EACCES;
	for (size_t i = 0; i < log_bytes && i < how->log_size - 1; i++)
		how->log_buf[i] = i % 10 == 9 ? '\n' : 'a' + i % 10;
	if (log_bytes + sizeof(last) > how->log_size) {
		how->log_buf[how->log_size - 1] = '\0';
		return ENOSPC;
	}
	memcpy(how->log_buf + log_bytes, last, sizeof(last));
	return logged_errno;
}

/* Counts the loads, and those that are under way. */
static void stay(void)
{
	pthread_mutex_lock(&lock);
	loads++;
	at_once++;
	most_at_once = at_once > most_at_once ? at_once : most_at_once;
	pthread_cond_broadcast(&changed);
	while (held)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	usleep(1000);
	pthread_mutex_lock(&lock);
	at_once--;
	pthread_mutex_unlock(&lock);
}

/* The file has as many bytes as the program has instructions. */
int kernel_load(enum bpf_prog_type type, const char *name, const char *license,
		const struct bpf_insn *insns, size_t count, const struct bpf_prog_load_opts *how)
{
	int fd;

	(void)type;
	assert_string_equal(license, PYMEM_LICENSE);
	stay();
	/* What the program was, not what has taken its place: each test program ends so. */
	assert_int_equal(insns[count - 1].code, BPF_JMP | BPF_EXIT);
	/* All of that is still there, too. */
	assert_int_equal(how->func_info_cnt, 1);
	assert_int_equal(((const struct bpf_func_info *)how->func_info)->insn_off, count);
	assert_int_equal(how->line_info_cnt, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(((const struct bpf_line_info *)how->line_info)[i].insn_off, i);
	if (all_refused || (refused && !strcmp(name, refused))) {
		errno = refuse(how);
		return -errno;
	}
	fd = memfd_create(name, 0);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, count), 0);
	return fd;
}

/* The state of a thread of ours: 'R', 'S' and so on. */
static char thread_state(pid_t thread)
{
	char path[64], text[512] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_non_null(strrchr(text, ')'));
	return strrchr(text, ')')[2];
}

/* Lets the threads go once the main one waits for them, and so has told them to end. */
static void *let_go_later(void *arg)
{
	while (thread_state(getpid()) != 'S')
		usleep(1000);
	pthread_mutex_lock(&lock);
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return arg;
}

static pthread_t releaser;

/* As libbpf does when a load fails: here while all threads that there can be are in the kernel. */
static void unload(struct bpf_object *object)
{
	int threads = parallel_load_threads(sysconf(_SC_NPROCESSORS_ONLN));
	struct timespec limit;

	if (held) {
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 60;
		pthread_mutex_lock(&lock);
		while (at_once < threads)
			assert_int_equal(pthread_cond_timedwait(&changed, &lock, &limit), 0);
		pthread_mutex_unlock(&lock);
	}
	for (int i = 0; i < object->count; i++) {
		struct bpf_program *program = &object->programs[i];

		free(program->func_info);
		free(program->line_info);
		program->func_info = NULL;
		program->line_info = NULL;
		if (program->fd >= 0)
			close(program->fd);
		program->fd = -1;
	}
	if (held)
		assert_int_equal(pthread_create(&releaser, NULL, let_go_later, NULL), 0);
}

int bpf_object__load(struct bpf_object *object)
{
	static const int modules[1];

	for (int i = 0; i < object->count; i++) {
		struct bpf_program *program = &object->programs[i];
		LIBBPF_OPTS(bpf_prog_load_opts, how, .func_info = program->func_info,
			    .func_info_cnt = 1, .func_info_rec_size = sizeof(*program->func_info),
			    .line_info = program->line_info, .line_info_cnt = program->count,
			    .line_info_rec_size = sizeof(*program->line_info),
			    .fd_array = program->calls_modules ? modules : NULL,
			    .log_level = program->log_level);

		if (i == object->fails_at) {
			unload(object);
			return -EINVAL;
		}
		if (!program->is_other)
			assert_int_equal(before_load(program, &how, 0), 0);
		/* Type information is that of the program's own instructions. */
		assert_int_equal(how.func_info_cnt, program->count == 2 ? 0 : 1);
		program->fd = memfd_create("libbpf", 0);
		assert_int_equal(ftruncate(program->fd, program->count), 0);
	}
	return 0;
}

static struct bpf_object *object_of(int count)
{
	struct bpf_object *object = calloc(1, sizeof(*object));

	object->count = count;
	object->fails_at = -1;
	for (int i = 0; i < count; i++) {
		struct bpf_program *program = &object->programs[i];

		snprintf(program->name, sizeof(program->name), "program%d", i);
		program->section = "raw_tp/sched_switch";
		program->count = 3 + i % 5;
		program->fd = -1;
		for (size_t k = 0; k < program->count; k++)
			program->insns[k].code = BPF_ALU64 | BPF_MOV | BPF_K;
		program->insns[program->count - 1].code = BPF_JMP | BPF_EXIT;
		program->func_info = calloc(1, sizeof(*program->func_info));
		program->func_info->insn_off = program->count;
		program->line_info = calloc(program->count, sizeof(*program->line_info));
		for (size_t k = 0; k < program->count; k++)
			program->line_info[k].insn_off = k;
	}
	loads = refusals_told = at_once = most_at_once = 0;
	refused = NULL;
	held = all_refused = false;
	log_bytes = 0;
	logged_errno = EACCES;
	assert_int_equal(parallel_load_prepare(), 0);
	return object;
}

static void object_free(struct bpf_object *object)
{
	unload(object);
	free(object);
}

static off_t loaded_size(const struct bpf_program *program)
{
	struct stat st;

	assert_int_equal(fstat(program->fd, &st), 0);
	return st.st_size;
}

static void tell_refused(const char *program, const char *log)
{
	assert_string_equal(program, refused);
	assert_string_equal(log, "R1 is bad");
	refusals_told++;
}

/* Of a long log, the end is told, from the beginning of a line on. */
static void tell_long_log(const char *program, const char *log)
{
	size_t length = strlen(log);

	assert_string_equal(program, refused);
	assert_true(length > PARALLEL_LOAD_LOG_BYTES - 20 && length <= PARALLEL_LOAD_LOG_BYTES);
	assert_int_equal(log[0], 'a');
	assert_string_equal(log + length - strlen("\nR1 is bad"), "\nR1 is bad");
	refusals_told++;
}

/* One whose end there was no room for. */
static void tell_cut_log(const char *program, const char *log)
{
	assert_string_equal(program, refused);
	assert_true(strlen(log) <= PARALLEL_LOAD_LOG_BYTES);
	assert_int_equal(log[0], 'a');
	assert_null(strstr(log, "bad"));
	refusals_told++;
}

static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static bool one_cpu(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) == 1;
}

static void threads_are_few(void **state)
{
	(void)state;
	assert_int_equal(parallel_load_threads(-1), 0);
	assert_int_equal(parallel_load_threads(0), 0);
	assert_int_equal(parallel_load_threads(1), 0);
	assert_int_equal(parallel_load_threads(2), 1);
	assert_int_equal(parallel_load_threads(3), 2);
	assert_int_equal(parallel_load_threads(4), 3);
	assert_int_equal(parallel_load_threads(5), 3);
	assert_int_equal(parallel_load_threads(256), 3);
}

/* Each descriptor is that of the program that was to be loaded. Does it take threads, and none? */
static void each_program_is_its_own(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	assert_int_equal(parallel_load(object, tell_refused), 0);
	for (int i = 0; i < PROGRAMS; i++)
		assert_int_equal(loaded_size(&object->programs[i]), 3 + i % 5);
	assert_true(loads == PROGRAMS || one_cpu());
	assert_true(most_at_once <= 4);
	assert_int_equal(refusals_told, 0);
	object_free(object);
	/* Once more: nothing is left of the first. */
	object = object_of(1);
	assert_int_equal(parallel_load(object, tell_refused), 0);
	assert_int_equal(loaded_size(&object->programs[0]), 3);
	object_free(object);
	assert_int_equal(handlers, 1);
}

static void others_are_left_to_libbpf(void **state)
{
	struct bpf_object *object = object_of(3);

	(void)state;
	object->programs[0].is_other = true;
	object->programs[1].log_level = 4;
	object->programs[2].calls_modules = true;
	assert_int_equal(parallel_load(object, NULL), 0);
	assert_int_equal(loads, 0);
	assert_int_equal(loaded_size(&object->programs[1]), 4);
	assert_int_equal(loaded_size(&object->programs[2]), 5);
	object_free(object);
}

/* program7 is refused: the result is why, and the log is told to `tell`. `tries`: how often it is
 * loaded. */
static void check_refused(struct bpf_object *object, int tries,
			  void (*tell)(const char *program, const char *log))
{
	int before = descriptors();

	refused = "program7";
	if (!one_cpu()) { /* else libbpf loads all, and tells itself */
		assert_int_equal(parallel_load(object, tell), -EACCES);
		assert_int_equal(refusals_told, 1);
		assert_int_equal(loads, PROGRAMS - 1 + tries);
		/* libbpf's own. */
		assert_int_equal(descriptors(), before + PROGRAMS);
	}
	object_free(object);
}

static void a_refusal_is_told(void **state)
{
	(void)state;
	check_refused(object_of(PROGRAMS), 2, tell_refused);
}

/* What it was refused for is the result, whatever the load for the log is answered. */
static void the_first_error_stays(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	logged_errno = EBADF;
	check_refused(object, 2, tell_refused);
}

/* 3 MiB: with 1, 2 and 4 MiB. */
static void a_long_log_is_told(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	log_bytes = 3 * MIB / 10 * 10;
	check_refused(object, 4, tell_long_log);
}

/* 1, 2, 4, 8 and 16 MiB. */
static void there_is_an_end_to_it(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	log_bytes = 16 * MIB;
	check_refused(object, 6, tell_cut_log);
}

/* What libbpf could not do is the result, and nothing is loaded that nobody has begun with. What is
 * being loaded then has all it needs, though libbpf has freed what it had. */
static void libbpf_fails(void **state)
{
	int before = descriptors(), threads = parallel_load_threads(sysconf(_SC_NPROCESSORS_ONLN));
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	object->fails_at = PROGRAMS - 1;
	held = true;
	/* None is loaded again for its log, nor told. */
	all_refused = true;
	assert_int_equal(parallel_load(object, tell_refused), -EINVAL);
	pthread_join(releaser, NULL);
	assert_int_equal(loads, threads);
	assert_int_equal(refusals_told, 0);
	assert_int_equal(descriptors(), before);
	object_free(object);
}

static void programs_are_attached(void **state)
{
	struct bpf_object *object = object_of(1);
	struct bpf_link *link;

	(void)state;
	assert_int_equal(attach(&object->programs[0], 0, &link), 0);
	assert_string_equal(attached_to, "sched_switch");
	/* A program that is only run by a command. */
	object->programs[0].section = "raw_tp";
	assert_int_equal(attach(&object->programs[0], 0, &link), -EOPNOTSUPP);
	assert_null(link);
	object_free(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_are_few),
		cmocka_unit_test(each_program_is_its_own),
		cmocka_unit_test(others_are_left_to_libbpf),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(the_first_error_stays),
		cmocka_unit_test(a_long_log_is_told),
		cmocka_unit_test(there_is_an_end_to_it),
		cmocka_unit_test(libbpf_fails),
		cmocka_unit_test(programs_are_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
