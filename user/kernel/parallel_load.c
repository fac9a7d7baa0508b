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
#include "pymem_license.h"

#define PROGRAMS_MAX 64
/* So many are verified at once, one of them by the caller's thread. The verifier's memory, tens of
 * MiB a program before 6.2, may count against a control group. */
#define AT_ONCE_MAX   4
#define LOG_BYTES     (1u << 20) /* of the log of a program that is refused, at first */
#define LOG_BYTES_MAX (16u << 20)
#define SECTION	      "raw_tp"

/* A program that was taken out of libbpf's hands. All that `how` points to is the job's own: when
 * libbpf fails, it frees what it has, while threads still load. Maps are closed then, too; a
 * program that is loaded after that is refused, and nobody is told. */
struct job {
	struct bpf_program *program;
	struct bpf_prog_load_opts how;
	struct bpf_insn *insns;
	void *func_info, *line_info;
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
	bool failed;	 /* libbpf did */
	struct job jobs[PROGRAMS_MAX];
	unsigned job_count, begun;
	pthread_t threads[AT_ONCE_MAX - 1];
	unsigned thread_count, thread_limit;
} load = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int load_once(struct job *job)
{
	int fd = bpf_prog_load(bpf_program__type(job->program), bpf_program__name(job->program),
			       PYMEM_LICENSE, job->insns, job->insn_count, &job->how);

	return fd >= 0 ? fd : -errno;
}

static bool has_failed(void)
{
	bool failed;

	pthread_mutex_lock(&load.lock);
	failed = load.failed;
	pthread_mutex_unlock(&load.lock);
	return failed;
}

/* Keeps the end of a log, from the beginning of a line on: that is where the verifier says what it
 * refuses. */
static void keep_end(struct job *job)
{
	size_t length = strlen(job->log);
	char *from = job->log, *kept;

	if (length > PARALLEL_LOAD_LOG_BYTES) {
		from += length - PARALLEL_LOAD_LOG_BYTES;
		from = strchr(from, '\n') ? strchr(from, '\n') + 1 : from;
	}
	memmove(job->log, from, strlen(from) + 1);
	kept = realloc(job->log, strlen(job->log) + 1);
	job->log = kept ?: job->log;
}

/* Loads with a log of so many bytes, which is the job's from then on. The descriptor or -errno,
 * that of the load or -ENOMEM. */
static int load_logged(struct job *job, unsigned bytes)
{
	char *log = calloc(1, bytes);

	if (!log)
		return -ENOMEM;
	free(job->log);
	job->log = log;
	job->how.log_level = 1;
	job->how.log_buf = job->log;
	job->how.log_size = bytes;
	return load_once(job);
}

static void run_job(struct job *job)
{
	unsigned bytes = LOG_BYTES;
	int fd;

	job->fd = load_once(job);
	if (job->fd >= 0 || has_failed())
		return;
	/* Once more, to be told why. Kernels before 6.4 keep the beginning of a log that does not
	 * fit, and answer ENOSPC, whatever the program was refused for. */
	do {
		fd = load_logged(job, bytes);
		bytes *= 2;
	} while (fd == -ENOSPC && bytes <= LOG_BYTES_MAX);
	/* It may even succeed, if memory was short. */
	if (fd >= 0)
		job->fd = fd;
	else if (job->log)
		keep_end(job);
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

static void job_free(struct job *job)
{
	free(job->insns);
	free(job->func_info);
	free(job->line_info);
	free(job->log);
}

/* A copy that the caller frees. NULL: out of memory. */
static void *copy_of(const void *from, size_t bytes)
{
	void *copy = malloc(bytes ?: 1);

	if (copy && bytes)
		memcpy(copy, from, bytes);
	return copy;
}

/* Fills in what the job needs to be loaded. 0 or -ENOMEM. */
static int job_init(struct job *job, struct bpf_program *program,
		    const struct bpf_prog_load_opts *how)
{
	size_t count = bpf_program__insn_cnt(program);

	*job = (struct job){.program = program, .insn_count = count, .fd = -ECANCELED};
	/* The library's structure may be shorter or longer than the one in the header. */
	memcpy(&job->how, how, how->sz < sizeof(job->how) ? how->sz : sizeof(job->how));
	job->how.sz = sizeof(job->how);
	job->insns = copy_of(bpf_program__insns(program), count * sizeof(struct bpf_insn));
	job->func_info =
		copy_of(how->func_info, (size_t)how->func_info_cnt * how->func_info_rec_size);
	job->line_info =
		copy_of(how->line_info, (size_t)how->line_info_cnt * how->line_info_rec_size);
	job->how.func_info = job->func_info;
	job->how.line_info = job->line_info;
	if (job->insns && job->func_info && job->line_info)
		return 0;
	job_free(job);
	return -ENOMEM;
}

static int add_job(struct bpf_program *program, const struct bpf_prog_load_opts *how)
{
	int err = job_init(&load.jobs[load.job_count], program, how);

	if (err)
		return err;
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
	/* It is there if a program calls functions of a kernel module, and libbpf frees it at the
	 * end of its own loads. Programs of raw tracepoints call none. */
	if (how->fd_array)
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

	/* If libbpf failed, it has told why; and had closed the maps before a thread was done. */
	if (err && loaded && failed)
		failed(bpf_program__name(job->program), job->log ?: "");
	if (!err && loaded && dup3(job->fd, bpf_program__fd(job->program), O_CLOEXEC) < 0)
		err = -errno;
	if (job->fd >= 0)
		close(job->fd);
	job_free(job);
	return err;
}

unsigned parallel_load_threads(long cpus)
{
	if (cpus >= AT_ONCE_MAX)
		return AT_ONCE_MAX - 1;
	return cpus > 1 ? cpus - 1 : 0;
}

int parallel_load(struct bpf_object *object, void (*failed)(const char *program, const char *log))
{
	int err, first;

	load.job_count = load.begun = load.thread_count = 0;
	/* The caller's thread loads what libbpf does, and then helps. */
	load.thread_limit = parallel_load_threads(sysconf(_SC_NPROCESSORS_ONLN));
	load.collecting = load.thread_limit > 0;
	load.failed = false;
	err = bpf_object__load(object);
	pthread_mutex_lock(&load.lock);
	load.collecting = false;
	load.failed = err;
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
