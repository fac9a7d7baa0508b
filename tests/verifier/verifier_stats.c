/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Prints what the running kernel's verifier says about each BPF program: instructions processed,
 * states kept. One line each, separated by tabs: release, mode, program, instructions, most states
 * at one instruction, states in all, states at the peak.
 *
 * The profiler's own session is loaded. The linker puts two wrappers before libbpf. One asks for
 * the verifier's figures. The other says that there are two CPUs: loops over CPUs are verified once
 * for each CPU, and figures of two machines must be comparable. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "kernel/session.h"

#define LOG_BYTES (64 * 1024)
#define LOG_STATS 4 /* BPF_LOG_STATS, since 5.2 */

int __real_bpf_object__load(struct bpf_object *object);
int __wrap_bpf_object__load(struct bpf_object *object);
int __wrap_libbpf_num_possible_cpus(void);

static struct utsname kernel;
static const char *mode;
static unsigned printed, unreadable;

int __wrap_libbpf_num_possible_cpus(void)
{
	return 2;
}

static int ask_figures(struct bpf_object *object)
{
	struct bpf_program *program;
	int err;

	bpf_object__for_each_program (program, object) {
		char *log = calloc(1, LOG_BYTES);

		if (!log)
			return -1;
		err = bpf_program__set_log_buf(program, log, LOG_BYTES);
		if (!err)
			err = bpf_program__set_log_level(program, LOG_STATS);
		if (err)
			return err;
	}
	return 0;
}

/* Finds the line of totals. 7.2 prints "insns processed" for each subprogram before it. */
static bool find_figures(const char *log, unsigned figures[4])
{
	unsigned limit;

	while ((log = strstr(log, "processed "))) {
		if (sscanf(log,
			   "processed %u insns (limit %u) max_states_per_insn %u "
			   "total_states %u peak_states %u",
			   &figures[0], &limit, &figures[1], &figures[2], &figures[3]) == 5)
			return true;
		log++;
	}
	return false;
}

static void print_figures(const struct bpf_program *program, const char *log)
{
	const char *name = bpf_program__name(program);
	unsigned figures[4];

	if (!find_figures(log, figures)) {
		fprintf(stderr, "%s: no figures in the verifier's log: %s\n", name, log);
		unreadable++;
		return;
	}
	printf("%s\t%s\t%s\t%u\t%u\t%u\t%u\n", kernel.release, mode, name, figures[0], figures[1],
	       figures[2], figures[3]);
	printed++;
}

int __wrap_bpf_object__load(struct bpf_object *object)
{
	struct bpf_program *program;
	size_t size;
	char *log;
	int err = ask_figures(object);

	if (err)
		return err;
	err = __real_bpf_object__load(object);
	bpf_object__for_each_program (program, object) {
		log = (char *)(uintptr_t)bpf_program__log_buf(program, &size);
		if (!err && bpf_program__autoload(program))
			print_figures(program, log);
		else if (err && *log)
			fprintf(stderr, "%s: %s\n", bpf_program__name(program), log);
		bpf_program__set_log_buf(program, NULL, 0);
		free(log);
	}
	return err;
}

/* 0: the programs were loaded. The session may fail later because of the wrong number of CPUs; that
 * does not matter. */
static int measure(const char *name, struct session_options options)
{
	unsigned before = printed;
	char why[512] = "";

	mode = name;
	options.follow_children = options.faults = options.syscalls = true;
	options.max_stacks = 1024;
	options.max_images = 16;
	options.ring_bytes = 256 * 1024;
	session_free(session_new(&options, why, sizeof(why)));
	if (printed > before)
		return 0;
	fprintf(stderr, "%s: %s\n", name, why);
	return 1;
}

/* verifier-stats [lines|functions|serve|touched|locks|exits|events]: one of them, or all. */
int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct session_options options;
	} modes[] = {
		{"lines", {.lines = true, .stalls = true, .last_words = true}},
		{"functions", {.lines = true, .functions = true}},
		{"serve", {.count_only = true}},
		{"touched", {.touched = true}},
		{"locks", {.touched = true, .no_function_ends = true}},
		{"exits", {.sys_exit = true, .no_function_ends = true}},
		{"events",
		 {.cache = true, .huge = true, .swap = true, .external = true, .kernel = true}},
	};
	const char *only = argc > 1 ? argv[1] : NULL;
	int failed = 0;

	uname(&kernel);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!only || !strcmp(only, modes[i].name))
			failed |= measure(modes[i].name, modes[i].options);
	return failed || unreadable || !printed;
}
