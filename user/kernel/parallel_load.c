/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "kernel/parallel_load.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/quiet_thread.h"

#define PROGRAMS_MAX 64
/* The verifier's memory, tens of MiB a program before 6.2, may count against a control group. */
#define THREADS_MAX 4
#define LOG_BYTES   (1u << 20) /* of the log of a program that is refused */
#define SECTION	    "raw_tp"

/* A program that was taken out of libbpf's hands. */
struct job {
	struct bpf_program *program;
	struct bpf_prog_load_opts how;
	struct bpf_insn *insns;
	size_t insn_count;
	bool begun;
	int fd;	   /* of the program that was loaded, or -errno */
	char *log; /* why it was refused, or NULL */
};

/* The load that is under way. */
static struct load {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool collecting; /* parallel_load() waits for libbpf */
	struct job jobs[PROGRAMS_MAX];
	unsigned job_count, begun;
	pthread_t threads[THREADS_MAX];
	unsigned thread_count, thread_limit;
} load = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int load_once(struct job *job)
{
	/* The license of bpf/base/maps.bpf.c, which libbpf does not tell. */
	int fd = bpf_prog_load(bpf_program__type(job->program), bpf_program__name(job->program),
			       "Dual BSD/GPL", job->insns, job->insn_count, &job->how);

	return fd >= 0 ? fd : -errno;
}

static void run_job(struct job *job)
{
	job->fd = load_once(job);
	if (job->fd >= 0)
		return;
	/* Once more, to be told why. It may even succeed, if memory was short. */
	job->log = calloc(1, LOG_BYTES);
	if (!job->log)
		return;
	job->how.log_level = 1;
	job->how.log_buf = job->log;
	job->how.log_size = LOG_BYTES;
	job->fd = load_once(job);
}

/* The longest program that nobody has begun with. There is one. */
static struct job *longest_job(void)
{
	struct job *longest = NULL;

	for (unsigned i = 0; i < load.job_count; i++)
		if (!load.jobs[i].begun &&
		    (!longest || load.jobs[i].insn_count > longest->insn_count))
			longest = &load.jobs[i];
	return longest;
}

/* A job to be done, waiting for one as long as libbpf may bring more. NULL: there are no more. */
static struct job *take_job(void)
{
	struct job *job = NULL;

	pthread_mutex_lock(&load.lock);
	while (load.collecting && load.begun == load.job_count)
		pthread_cond_wait(&load.changed, &load.lock);
	if (load.begun < load.job_count) {
		job = longest_job();
		job->begun = true;
		load.begun++;
	}
	pthread_mutex_unlock(&load.lock);
	return job;
}

static void *run_jobs(void *arg)
{
	struct job *job;

	while ((job = take_job()))
		run_job(job);
	return arg;
}

/* If there can't be a thread, those there are do the work, in the end the caller of
 * parallel_load(). */
static void start_thread(void)
{
	if (quiet_thread(&load.threads[load.thread_count], run_jobs, NULL))
		load.thread_count++;
}

static int add_job(struct bpf_program *program, const struct bpf_prog_load_opts *how)
{
	size_t count = bpf_program__insn_cnt(program), bytes = count * sizeof(struct bpf_insn);
	struct job *job = &load.jobs[load.job_count];

	*job = (struct job){
		.program = program, .insn_count = count, .fd = -ECANCELED, .insns = malloc(bytes)};
	if (!job->insns)
		return -ENOMEM;
	memcpy(job->insns, bpf_program__insns(program), bytes);
	/* The library's structure may be shorter or longer than the one in the header. */
	job->how.sz = how->sz < sizeof(job->how) ? how->sz : sizeof(job->how);
	memcpy(&job->how, how, job->how.sz);
	job->how.sz = sizeof(job->how);
	pthread_mutex_lock(&load.lock);
	load.job_count++;
	pthread_cond_signal(&load.changed);
	pthread_mutex_unlock(&load.lock);
	if (load.thread_count < load.thread_limit)
		start_thread();
	return 0;
}

/* libbpf calls this before it loads a program of a raw tracepoint, and loads what this leaves. */
static int before_load(struct bpf_program *program, struct bpf_prog_load_opts *how, long cookie)
{
	static struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int err;

	(void)cookie;
	if (!load.collecting || how->log_level || load.job_count == PROGRAMS_MAX)
		return 0;
	err = add_job(program, how);
	if (err)
		return err;
	how->func_info = how->line_info = NULL;
	how->func_info_cnt = how->line_info_cnt = 0;
	return bpf_program__set_insns(program, nothing, sizeof(nothing) / sizeof(*nothing));
}

static int attach(const struct bpf_program *program, long cookie, struct bpf_link **link)
{
	const char *section = bpf_program__section_name(program);

	(void)cookie;
	*link = NULL;
	if (strncmp(section, SECTION "/", sizeof(SECTION)))
		return -EOPNOTSUPP;
	*link = bpf_program__attach_raw_tracepoint(program, section + sizeof(SECTION));
	return *link ? 0 : -errno;
}

int parallel_load_prepare(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, how, .prog_prepare_load_fn = before_load,
		    .prog_attach_fn = attach);
	static bool registered;
	int handler;

	if (registered)
		return 0;
	handler = libbpf_register_prog_handler(SECTION "+", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &how);
	registered = handler >= 0;
	return registered ? 0 : handler;
}

/* Puts the real program in the place of the empty one. 0 or -errno. */
static int finish_job(struct job *job, bool loaded,
		      void (*failed)(const char *program, const char *log))
{
	int err = job->fd < 0 ? job->fd : 0;

	if (err && err != -ECANCELED && failed)
		failed(bpf_program__name(job->program), job->log ?: "");
	if (!err && loaded && dup3(job->fd, bpf_program__fd(job->program), O_CLOEXEC) < 0)
		err = -errno;
	if (job->fd >= 0)
		close(job->fd);
	free(job->insns);
	free(job->log);
	return err;
}

int parallel_load(struct bpf_object *object, void (*failed)(const char *program, const char *log))
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int err, first;

	load.job_count = load.begun = load.thread_count = 0;
	/* The caller's thread loads what libbpf does, and then helps. */
	load.thread_limit = cpus > THREADS_MAX ? THREADS_MAX : cpus > 0 ? cpus - 1 : 0;
	load.collecting = load.thread_limit > 0;
	err = bpf_object__load(object);
	pthread_mutex_lock(&load.lock);
	load.collecting = false;
	if (err) /* what nobody has begun with need not be loaded */
		load.begun = load.job_count;
	pthread_cond_broadcast(&load.changed);
	pthread_mutex_unlock(&load.lock);
	run_jobs(NULL);
	for (unsigned i = 0; i < load.thread_count; i++)
		pthread_join(load.threads[i], NULL);
	for (unsigned i = 0; i < load.job_count; i++) {
		first = finish_job(&load.jobs[i], !err, failed);
		err = err ?: first;
	}
	return err;
}
