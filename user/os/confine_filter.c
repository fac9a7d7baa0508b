/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: somebody may take over this process through a mistake in reading what a target wrote. It
 * must then be able to do very little.
 *
 * The filter names what a profiler never does after loading: run programs, change the host (mounts,
 * modules, clock, swap), change its user, open a file for writing (a report was opened before),
 * write to other processes, load more BPF programs, use a network. All other calls are allowed. A
 * list of allowed calls would differ between C libraries, and a report that is lost because of a
 * forgotten call makes nobody safer. A refused call fails with EPERM, as without the right to it.
 *
 * There is one filter for Linux 5.10 and all later kernels. System calls that 5.10 does not have
 * fail with ENOSYS, as they do there: so calls that do not exist yet are refused too. From 424 on
 * the numbers are the same on all architectures. */
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_ is it?"
#endif

#define LAST_CALL_OF_5_10 440 /* process_madvise */
#define SOCKET_TYPE	  0xf /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

static const unsigned short refused[] = {
	/* run programs */
	SYS_execve,
	SYS_execveat,
	/* change the host */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_quotactl,
	SYS_syslog,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_vhangup,
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
#endif
	/* change namespaces or the user */
	SYS_setns,
	SYS_unshare,
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_personality,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* change files: owners, modes, devices */
	SYS_fchown,
	SYS_fchownat,
	SYS_mknodat,
	SYS_open_by_handle_at,
	SYS_setxattr,
	SYS_lsetxattr,
	SYS_fsetxattr,
	SYS_fchmodat,
	SYS_mkdirat,
	SYS_truncate,
	SYS_removexattr,
	SYS_lremovexattr,
	SYS_fremovexattr,
#ifdef SYS_chown
	SYS_chown,
	SYS_lchown,
	SYS_mknod,
	SYS_chmod,
	SYS_mkdir,
	SYS_rmdir,
	SYS_creat,
#endif
	/* change other processes; reading them is allowed */
	SYS_process_vm_writev,
	SYS_pidfd_getfd,
	SYS_process_madvise,
	SYS_migrate_pages,
	SYS_move_pages,
	SYS_kcmp,
	/* calls that were used most in attacks on the kernel */
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_vmsplice,
#ifdef SYS_modify_ldt
	SYS_modify_ldt,
#endif
};

static bool filtered; /* this process has the filter */

#define REFUSED (sizeof(refused) / sizeof(refused[0]))
#define ROOM	(2 * REFUSED + 128)

struct builder {
	struct sock_filter code[ROOM];
	unsigned short count;
};

static void put(struct builder *b, struct sock_filter instruction)
{
	/* Never false: ROOM suffices for all that is put. */
	if (b->count < ROOM)
		b->code[b->count++] = instruction;
}

static void load(struct builder *b, size_t offset)
{
	put(b, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void give(struct builder *b, unsigned action)
{
	put(b, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static void refuse(struct builder *b, unsigned call)
{
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
	give(b, SECCOMP_RET_ERRNO | EPERM);
}

static void enosys(struct builder *b, unsigned call)
{
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
	give(b, SECCOMP_RET_ERRNO | ENOSYS);
}

/* Refuses `call` if `test` (BPF_JEQ or BPF_JSET) gives `wanted` for `value` and the low half of
 * argument number `argument` (from 0). */
static void refuse_where(struct builder *b, unsigned call, unsigned argument, unsigned short test,
			 unsigned value, bool wanted)
{
	size_t low = offsetof(struct seccomp_data, args) + argument * sizeof(__u64);

	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
	load(b, low); /* both architectures are little-endian */
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, !wanted, wanted));
	give(b, SECCOMP_RET_ERRNO | EPERM);
	load(b, offsetof(struct seccomp_data, nr));
}

/* A process that makes a call of another architecture, or of x32, is killed: numbers mean other
 * calls there, and no program makes one by mistake. */
static void begin(struct builder *b)
{
	load(b, offsetof(struct seccomp_data, arch));
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
	give(b, SECCOMP_RET_KILL_PROCESS);
	load(b, offsetof(struct seccomp_data, nr));
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
	give(b, SECCOMP_RET_KILL_PROCESS);
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_CALL_OF_5_10, 0, 1));
	give(b, SECCOMP_RET_ERRNO | ENOSYS);
}

/* Installs it for all threads of this process. */
static int install(struct builder *b)
{
	struct sock_fprog program = {b->count, b->code};
	long err;

	give(b, SECCOMP_RET_ALLOW);
	program.len = b->count;
	err = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	/* A result above 0 is the ID of a thread that has another filter of its own. No thread
	 * has. */
	return err < 0 ? -errno : err ? -EBUSY : 0;
}

/* Sockets other than unix; with CONFINE_CONNECT, but for streams of IP, of its own protocols. With
 * CONFINE_RESOLVE sockets other than streams and datagrams of IP: who parses packets of the network
 * must not talk to services of the host, which may trust whoever can connect. */
static void refuse_sockets(struct builder *b, unsigned needs)
{
	const bool resolve = needs & CONFINE_RESOLVE;
	const unsigned type = resolve ? SOCK_DGRAM : SOCK_STREAM;

	if (!(needs & (CONFINE_CONNECT | CONFINE_RESOLVE))) {
		refuse_where(b, SYS_socket, 0, BPF_JEQ, AF_UNIX, false);
		return;
	}
	refuse(b, SYS_bind);
	refuse(b, SYS_listen);
	refuse_where(b, SYS_socket, 2, BPF_JEQ, 0, false);
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 10));
	load(b, offsetof(struct seccomp_data, args));
	put(b,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, resolve ? 2 : 7, 0));
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0));
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0));
	give(b, SECCOMP_RET_ERRNO | EPERM);
	load(b, offsetof(struct seccomp_data, args) + sizeof(__u64));
	put(b, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SOCKET_TYPE));
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, type, 0, 1));
	give(b, SECCOMP_RET_ERRNO | EPERM);
	load(b, offsetof(struct seccomp_data, nr));
}

/* Refuses to send signals to others. */
static void refuse_signals(struct builder *b, unsigned needs)
{
	/* The keeper kills its examiners. */
	if (!(needs & CONFINE_READ))
		refuse(b, SYS_kill);
	refuse(b, SYS_tkill);
	refuse(b, SYS_rt_sigqueueinfo);
	refuse(b, SYS_rt_tgsigqueueinfo);
	/* An examiner that hangs is killed. */
	if (!(needs & CONFINE_EXAMINE))
		refuse(b, SYS_pidfd_send_signal);
	/* abort() sends a signal to its own thread; in an examiner that thread belongs to a
	 * child. */
	if (!(needs & CONFINE_READ))
		refuse_where(b, SYS_tgkill, 0, BPF_JEQ, (unsigned)getpid(), false);
}

/* Refuses calls, or uses of them, that belong to a need which this process does not have. */
static void refuse_by_need(struct builder *b, unsigned needs)
{
	if (!(needs & CONFINE_TRACE))
		refuse(b, SYS_ptrace);
	/* The reader of a user's sources changes to the user's rights to files. */
	if (!(needs & CONFINE_READ)) {
		refuse(b, SYS_setfsuid);
		refuse(b, SYS_setfsgid);
		refuse(b, SYS_setgroups);
		if (!(needs & CONFINE_PEEK))
			refuse(b, SYS_process_vm_readv);
	}
	if (needs &
	    (CONFINE_READ | CONFINE_WRITE | CONFINE_PLAIN | CONFINE_RELAY | CONFINE_RESOLVE))
		refuse(b, SYS_bpf);
	if (needs & CONFINE_WRITE)
		refuse(b, SYS_socket);
	if (needs & (CONFINE_WRITE | CONFINE_RESOLVE)) {
		refuse(b, SYS_socketpair);
		refuse(b, SYS_clone);
#ifdef SYS_fork
		refuse(b, SYS_fork);
		refuse(b, SYS_vfork);
#endif
	}
	/* Before libbpf attaches a probe, it loads small programs to find out what the kernel can
	 * do. */
	if (!(needs & CONFINE_PROBES)) {
		refuse(b, SYS_perf_event_open);
		refuse_where(b, SYS_bpf, 0, BPF_JEQ, BPF_PROG_LOAD, true);
		refuse_where(b, SYS_bpf, 0, BPF_JEQ, BPF_BTF_LOAD, true);
	}
	if (!(needs & CONFINE_REPORT)) {
		refuse(b, SYS_linkat);
		if (!(needs & CONFINE_REPLACE))
			refuse(b, SYS_renameat);
#ifdef SYS_rename
		refuse(b, SYS_link);
		refuse(b, SYS_rename);
#endif
		refuse(b, SYS_renameat2);
		refuse(b, SYS_symlinkat);
	}
	if (!(needs & (CONFINE_REPORT | CONFINE_UNLINK | CONFINE_CREATE))) {
		refuse(b, SYS_unlinkat);
#ifdef SYS_unlink
		refuse(b, SYS_unlink);
#endif
	}
	if (!(needs & CONFINE_SIGNAL))
		refuse_signals(b, needs);
}

/* Refuses to open files for writing; with `create`, but for new ones: nothing that exists is opened
 * by a call that must make a file. */
static void refuse_opening(struct builder *b, unsigned call, unsigned argument, bool create)
{
	size_t low = offsetof(struct seccomp_data, args) + argument * sizeof(__u64);
	const unsigned new = O_CREAT | O_EXCL | O_NOFOLLOW;

	if (!create) {
		refuse_where(b, call, argument, BPF_JSET, O_ACCMODE, true);
		return;
	}
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 7));
	load(b, low);
	put(b, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, new));
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, new, 3, 0));
	load(b, low);
	put(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_ACCMODE, 0, 1));
	give(b, SECCOMP_RET_ERRNO | EPERM);
	load(b, offsetof(struct seccomp_data, nr));
}

/* Opening files for writing. The flags of openat2() are in memory, where no filter sees them. Only
 * an examiner may call it, to find files inside a container's root (source_read.c, proc.c). */
static void refuse_writing(struct builder *b, unsigned needs)
{
	if (!(needs & CONFINE_WRITE)) {
		refuse_opening(b, SYS_openat, 2, needs & CONFINE_CREATE);
#ifdef SYS_open
		refuse_opening(b, SYS_open, 1, needs & CONFINE_CREATE);
#endif
	}
	if (!(needs & CONFINE_READ))
		enosys(b, SYS_openat2);
}

int confine_filter_calls(unsigned needs)
{
	struct builder b = {.count = 0};
	size_t i;
	int err;

	begin(&b);
	refuse_writing(&b, needs);
	/* The flags of clone3() are in memory too. After ENOSYS the C library calls clone(). */
	enosys(&b, SYS_clone3);
	refuse_where(&b, SYS_clone, 0, BPF_JSET,
		     CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			     CLONE_NEWUTS | CLONE_NEWCGROUP,
		     true);
	refuse_sockets(&b, needs);
	/* TIOCSTI puts input into the terminal. */
	refuse_where(&b, SYS_ioctl, 1, BPF_JEQ, TIOCSTI, true);
	for (i = 0; i < REFUSED; i++)
		refuse(&b, refused[i]);
	refuse_by_need(&b, needs);
	err = install(&b);
	filtered = !err;
	return err;
}

int confine_end_trace(void)
{
	struct builder b = {.count = 0};

	/* Without a filter there is nothing to add. */
	if (!filtered)
		return 0;
	begin(&b);
	refuse(&b, SYS_ptrace);
	return install(&b);
}
