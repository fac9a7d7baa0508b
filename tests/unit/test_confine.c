/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* confine.c, confine_filter.c: what was given up can't be done any more. Each attempt is made in a
 * process of its own, which reports the result. */
#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/confine.h"

#define UNCHANGED 255
#define EVERYTHING                                                                          \
	(CONFINE_EXAMINE | CONFINE_LOOK | CONFINE_PROBES | CONFINE_TRACE | CONFINE_SIGNAL | \
	 CONFINE_REPORT | CONFINE_UNLINK | CONFINE_READ | CONFINE_PEEK)

/* Confines a process to `needs`, then calls `attempt`. Returns its errno; 0: it succeeded. */
static int outcome(unsigned needs, int (*attempt)(void))
{
	struct confined confined;
	int status, err;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (confine(needs, &confined) || confined.filter_error)
			_exit(UNCHANGED);
		err = attempt();
		_exit(err ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), UNCHANGED);
	return WEXITSTATUS(status);
}

static int run_a_program(void)
{
	char *const arguments[] = {(char *)"true", NULL};

	return execv("/bin/true", arguments);
}

static int mount_something(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static int load_a_module(void)
{
	return (int)syscall(SYS_finit_module, -1, "", 0);
}

static int become_somebody(void)
{
	return setuid(65534);
}

static int make_a_namespace(void)
{
	return (int)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

static int clone_a_namespace(void)
{
	long pid = syscall(SYS_clone, 0x10000000 | SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	return (int)pid;
}

static int talk_to_the_network(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? -1 : 0;
}

static int talk_to_the_kernel(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int open_for_writing(void)
{
	return open("/dev/null", O_WRONLY);
}

static int create_a_file(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/tmp/pymem-confine", O_CREAT | O_RDWR, 0600);
}

static int make_a_folder(void)
{
	return mkdirat(AT_FDCWD, "/tmp/pymem-confine", 0700);
}

static int give_a_file_away(void)
{
	return fchownat(AT_FDCWD, "/tmp", 65534, 65534, 0);
}

static int write_to_a_process(void)
{
	char byte = 1;
	struct iovec part = {&byte, 1};

	return (int)process_vm_writev(getpid(), &part, 1, &part, 1, 0);
}

static int load_bpf(void)
{
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER};

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int type_into_the_terminal(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static int use_a_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 0, NULL);
}

static int make_a_call_to_come(void)
{
	return (int)syscall(2000, 0, 0, 0);
}

static int end_somebody(void)
{
	return kill(getppid(), 0);
}

static int end_by_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getppid(), 0);

	return fd < 0 || syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
}

static int read_memory(void)
{
	char from = 1, to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1;
}

static int open_inside(void)
{
	struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT};

	return syscall(SYS_openat2, AT_FDCWD, "/proc/self/status", &how, sizeof(how)) < 0;
}

static int rename_a_file(void)
{
	return renameat(AT_FDCWD, "/tmp/pymem-none", AT_FDCWD, "/tmp/pymem-none2");
}

static int remove_a_file(void)
{
	return unlinkat(AT_FDCWD, "/tmp/pymem-none", 0);
}

/* --- what goes on --- */

static int read_a_file(void)
{
	return open("/proc/self/status", O_RDONLY) < 0;
}

static int fork_again(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

static int get_memory(void)
{
	return mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int talk_to_neighbours(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
}

static int end_itself(void)
{
	return (int)syscall(SYS_tgkill, getpid(), getpid(), 0);
}

static void test_refused(void **state)
{
	static int (*const attempts[])(void) = {
		run_a_program,	    mount_something,   load_a_module,	       become_somebody,
		make_a_namespace,   clone_a_namespace, talk_to_the_network,    talk_to_the_kernel,
		open_for_writing,   create_a_file,     make_a_folder,	       give_a_file_away,
		write_to_a_process, use_a_ring,	       type_into_the_terminal,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		assert_int_equal(outcome(0, attempts[i]), EPERM);
		assert_int_equal(outcome(EVERYTHING, attempts[i]), EPERM);
	}
	assert_int_equal(outcome(EVERYTHING, make_a_call_to_come), ENOSYS);
}

/* Each is refused to processes without that need, and only to them. */
static void test_by_need(void **state)
{
	static const struct {
		int (*attempt)(void);
		unsigned need;
		int otherwise;
	} cases[] = {
		{load_bpf, CONFINE_PROBES, E2BIG},	 {trace, CONFINE_TRACE, 0},
		{end_somebody, CONFINE_SIGNAL, 0},	 {end_somebody, CONFINE_READ, 0},
		{end_by_descriptor, CONFINE_EXAMINE, 0}, {read_memory, CONFINE_READ, 0},
		{read_memory, CONFINE_PEEK, 0},		 {rename_a_file, CONFINE_REPORT, ENOENT},
		{remove_a_file, CONFINE_UNLINK, ENOENT}, {remove_a_file, CONFINE_CREATE, ENOENT},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(outcome(CONFINE_LOOK, cases[i].attempt), EPERM);
		assert_int_equal(outcome(cases[i].need, cases[i].attempt), cases[i].otherwise);
	}
}

/* Only the examiner may call it, since no filter can see whether it opens for writing. */
static void test_openat2(void **state)
{
	(void)state;
	assert_int_equal(outcome(EVERYTHING & ~CONFINE_READ, open_inside), ENOSYS);
	assert_int_not_equal(outcome(CONFINE_READ, open_inside), ENOSYS);
	assert_int_equal(outcome(CONFINE_READ, load_bpf), EPERM);
}

static int read_a_map(void)
{
	union bpf_attr attr = {.map_fd = (__u32)-1};

	return (int)syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
}

/* Who reads recordings has no BPF, and no capability but those of its report. */
static void test_plain(void **state)
{
	(void)state;
	assert_int_equal(outcome(CONFINE_LOOK, read_a_map), EBADF);
	assert_int_equal(outcome(CONFINE_PLAIN, read_a_map), EPERM);
	assert_int_equal(outcome(CONFINE_PLAIN | CONFINE_REPORT, read_a_map), EPERM);
	assert_int_equal(outcome(CONFINE_PLAIN | CONFINE_REPORT, rename_a_file), ENOENT);
}

static int make_a_new_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_WRONLY, 0600);

	return fd < 0 && errno != EOPNOTSUPP ? -1 : 0;
}

/* Who makes files does nothing else. */
static void test_write(void **state)
{
	static int (*const attempts[])(void) = {run_a_program,	    make_a_folder,
						give_a_file_away,   read_memory,
						load_bpf,	    trace,
						fork_again,	    end_somebody,
						talk_to_neighbours, write_to_a_process};
	size_t i;

	(void)state;
	assert_int_equal(outcome(CONFINE_WRITE, make_a_new_file), 0);
	assert_int_equal(outcome(CONFINE_READ | CONFINE_EXAMINE, make_a_new_file), EPERM);
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(outcome(CONFINE_WRITE | CONFINE_REPORT, attempts[i]), EPERM);
	assert_int_equal(outcome(CONFINE_WRITE | CONFINE_REPORT, open_inside), ENOSYS);
}

static int open_flags(int flags)
{
	int fd = open("/dev/null", flags | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int make_what_exists(void)
{
	return open_flags(O_RDWR | O_CREAT | O_EXCL);
}

static int make_or_open(void)
{
	return open_flags(O_RDWR | O_CREAT);
}

static int write_what_exists(void)
{
	return open_flags(O_RDWR | O_EXCL);
}

static int read_what_exists(void)
{
	return open_flags(O_RDONLY);
}

/* Who may make new files opens none that exists for writing, and gets no capability by it. */
static void test_create(void **state)
{
	(void)state;
	assert_int_equal(outcome(CONFINE_CREATE, make_what_exists), EEXIST);
	assert_int_equal(outcome(CONFINE_LOOK, make_what_exists), EPERM);
	assert_int_equal(outcome(CONFINE_CREATE, make_or_open), EPERM);
	assert_int_equal(outcome(CONFINE_CREATE, write_what_exists), EPERM);
	assert_int_equal(outcome(CONFINE_CREATE, read_what_exists), 0);
	assert_int_equal(outcome(CONFINE_CREATE, rename_a_file), EPERM);
	assert_int_equal(outcome(CONFINE_CREATE | CONFINE_REPLACE, rename_a_file), ENOENT);
	assert_int_equal(outcome(CONFINE_CREATE | CONFINE_REPLACE, make_or_open), EPERM);
	assert_int_equal(outcome(CONFINE_CREATE, make_a_folder), EPERM);
	assert_int_equal(outcome(CONFINE_CREATE, write_to_a_process), EPERM);
}

/* Who passes on what an examiner says does nothing else, either. */
static void test_relay(void **state)
{
	static int (*const attempts[])(void) = {run_a_program, make_a_folder,  give_a_file_away,
						read_memory,   load_bpf,       trace,
						end_somebody,  make_a_new_file};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(outcome(CONFINE_EXAMINE | CONFINE_RELAY, attempts[i]), EPERM);
}

static int send_datagrams(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) < 0 ? -1 : 0;
}

static int talk_over_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* A host may have none. */
	return fd < 0 && errno != EAFNOSUPPORT ? -1 : 0;
}

static int talk_another_protocol(void)
{
	return socket(AF_INET, SOCK_STREAM, 132 /* SCTP */);
}

static int make_packets(void)
{
	return socket(AF_INET, SOCK_RAW, 0);
}

static int wait_for_clients(void)
{
	return listen(socket(AF_INET, SOCK_STREAM, 0), 1);
}

static int take_a_port(void)
{
	const struct sockaddr address = {.sa_family = AF_INET};

	return bind(socket(AF_INET, SOCK_STREAM, 0), &address, sizeof(address));
}

static int talk_to_services(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0 ? -1 : 0;
}

static int send_to_services(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 ? -1 : 0;
}

/* Who pushes profiles can connect, and nothing else; who looks up names can also ask. */
static void test_network(void **state)
{
	static int (*const attempts[])(void) = {make_packets, talk_another_protocol,
						wait_for_clients, take_a_port, talk_to_the_kernel};
	size_t i;

	(void)state;
	assert_int_equal(outcome(CONFINE_CONNECT, talk_to_the_network), 0);
	assert_int_equal(outcome(CONFINE_CONNECT, talk_over_ipv6), 0);
	assert_int_equal(outcome(CONFINE_CONNECT, talk_to_neighbours), 0);
	assert_int_equal(outcome(CONFINE_CONNECT, send_datagrams), EPERM);
	assert_int_equal(outcome(CONFINE_RESOLVE, talk_to_the_network), 0);
	assert_int_equal(outcome(CONFINE_RESOLVE, send_datagrams), 0);
	assert_int_equal(outcome(CONFINE_RESOLVE, talk_over_ipv6), 0);
	assert_int_equal(outcome(CONFINE_RESOLVE, talk_to_neighbours), EPERM);
	assert_int_equal(outcome(CONFINE_RESOLVE, talk_to_services), EPERM);
	assert_int_equal(outcome(CONFINE_RESOLVE, send_to_services), EPERM);
	assert_int_equal(outcome(CONFINE_CONNECT, talk_to_services), 0);
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		assert_int_equal(outcome(CONFINE_CONNECT, attempts[i]), EPERM);
		assert_int_equal(outcome(CONFINE_RESOLVE, attempts[i]), EPERM);
	}
	assert_int_equal(outcome(CONFINE_RESOLVE, load_bpf), EPERM);
	assert_int_equal(outcome(CONFINE_RESOLVE, fork_again), EPERM);
	assert_int_equal(outcome(CONFINE_RESOLVE, make_a_new_file), EPERM);
}

static void test_goes_on(void **state)
{
	static int (*const attempts[])(void) = {read_a_file, fork_again, get_memory,
						talk_to_neighbours, end_itself};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		assert_int_equal(outcome(0, attempts[i]), 0);
}

static int trace_after_all(void)
{
	if (confine_end_trace())
		return 0;
	return trace();
}

static pthread_barrier_t given_up;

static void *trace_in_thread(void *arg)
{
	pthread_barrier_wait(&given_up);
	*(int *)arg = trace() ? errno : 0;
	return NULL;
}

/* In a thread that existed before, like the one that attaches probes. */
static int trace_in_thread_after_all(void)
{
	pthread_t thread;
	int err = 0;

	pthread_barrier_init(&given_up, NULL, 2);
	if (pthread_create(&thread, NULL, trace_in_thread, &err) || confine_end_trace())
		return 0;
	pthread_barrier_wait(&given_up);
	pthread_join(thread, NULL);
	errno = err;
	return err ? -1 : 0;
}

static void test_end_of_trace(void **state)
{
	(void)state;
	assert_int_equal(outcome(CONFINE_TRACE, trace_in_thread_after_all), EPERM);
	assert_int_equal(outcome(CONFINE_TRACE, trace_after_all), EPERM);
}

static void test_names(void **state)
{
	char names[64], few[12];

	(void)state;
	confine_names(0, names, sizeof(names));
	assert_string_equal(names, "none");
	confine_names(1ULL << 5 | 1ULL << 39 | 1ULL << 50, names, sizeof(names));
	assert_string_equal(names, "CAP_KILL, CAP_BPF, capability 50");
	confine_names(~0ULL, few, sizeof(few));
	assert_int_equal(strlen(few), sizeof(few) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_by_need),
		cmocka_unit_test(test_openat2), cmocka_unit_test(test_write),
		cmocka_unit_test(test_create),	cmocka_unit_test(test_plain),
		cmocka_unit_test(test_relay),	cmocka_unit_test(test_network),
		cmocka_unit_test(test_goes_on), cmocka_unit_test(test_end_of_trace),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
