/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* parallel_load() with a libbpf of our own: it loads as libbpf does, one program after the other,
 * and asks the handler before each. A loaded program is a file, whose name tells which one it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/parallel_load.h"

#define PROGRAMS 20

struct bpf_program {
	char name[32];
	const char *section;
	struct bpf_insn insns[8];
	size_t count;
	int fd;
	unsigned log_level;
	bool is_other; /* not of a raw tracepoint */
};

struct bpf_object {
	struct bpf_program programs[PROGRAMS];
	int count, fails_at; /* libbpf fails before it loads that one; -1: it does not */
};

static libbpf_prog_prepare_load_fn_t before_load;
static libbpf_prog_attach_fn_t attach;
static int handlers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int loads, refusals_told;
static const char *refused; /* the kernel refuses that program */
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

/* The file has as many bytes as the program has instructions. */
int kernel_load(enum bpf_prog_type type, const char *name, const char *license,
		const struct bpf_insn *insns, size_t count, const struct bpf_prog_load_opts *how)
{
	int fd;

	(void)type;
	assert_string_equal(license, "Dual BSD/GPL");
	/* What the program was, not what has taken its place: each test program ends so. */
	assert_int_equal(insns[count - 1].code, BPF_JMP | BPF_EXIT);
	pthread_mutex_lock(&lock);
	loads++;
	pthread_mutex_unlock(&lock);
	usleep(1000);
	if (refused && !strcmp(name, refused)) {
		if (how->log_level)
			snprintf(how->log_buf, how->log_size, "R1 is bad");
		errno = EACCES;
		return -EACCES;
	}
	fd = memfd_create(name, 0);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, count), 0);
	return fd;
}

int bpf_object__load(struct bpf_object *object)
{
	static const struct bpf_func_info infos[1];

	for (int i = 0; i < object->count; i++) {
		struct bpf_program *program = &object->programs[i];
		LIBBPF_OPTS(bpf_prog_load_opts, how, .func_info = infos, .func_info_cnt = 1,
			    .log_level = program->log_level);

		if (i == object->fails_at)
			return -EINVAL;
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
	}
	loads = refusals_told = 0;
	refused = NULL;
	assert_int_equal(parallel_load_prepare(), 0);
	return object;
}

static void object_free(struct bpf_object *object)
{
	for (int i = 0; i < object->count; i++)
		if (object->programs[i].fd >= 0)
			close(object->programs[i].fd);
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

/* Each descriptor is that of the program that was to be loaded. Does it take threads, and none? */
static void each_program_is_its_own(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	assert_int_equal(parallel_load(object, tell_refused), 0);
	for (int i = 0; i < PROGRAMS; i++)
		assert_int_equal(loaded_size(&object->programs[i]), 3 + i % 5);
	assert_true(loads == PROGRAMS || sysconf(_SC_NPROCESSORS_ONLN) == 1);
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
	struct bpf_object *object = object_of(2);

	(void)state;
	object->programs[0].is_other = true;
	object->programs[1].log_level = 4;
	assert_int_equal(parallel_load(object, NULL), 0);
	assert_int_equal(loads, 0);
	assert_int_equal(loaded_size(&object->programs[1]), 4);
	object_free(object);
}

static void a_refusal_is_told(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	if (sysconf(_SC_NPROCESSORS_ONLN) == 1) /* libbpf loads all, and tells itself */
		skip();
	refused = "program7";
	assert_int_equal(parallel_load(object, tell_refused), -EACCES);
	assert_int_equal(refusals_told, 1);
	assert_int_equal(loads, PROGRAMS + 1); /* a second time, for the log */
	object_free(object);
}

/* What libbpf could not do is the result, and nothing is loaded that nobody has begun with. */
static void libbpf_fails(void **state)
{
	struct bpf_object *object = object_of(PROGRAMS);

	(void)state;
	object->fails_at = PROGRAMS - 1;
	assert_int_equal(parallel_load(object, tell_refused), -EINVAL);
	assert_true(loads < PROGRAMS);
	assert_int_equal(refusals_told, 0);
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
		cmocka_unit_test(each_program_is_its_own),
		cmocka_unit_test(others_are_left_to_libbpf),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(libbpf_fails),
		cmocka_unit_test(programs_are_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
