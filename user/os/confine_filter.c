/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: whoever takes over this process through a mistake in reading what a target wrote must
 * find little to do with it.
 *
 * The filter names what a profiler never does once it is loaded: run programs, change the host
 * (mounts, modules, clock, swap), become somebody else, open a file for writing (a report was
 * opened before), write to other processes, load more BPF programs, talk to a network. All else is
 * let through: a list of what is allowed would differ from one C library to the next, and a report
 * that is lost for a call nobody thought of is no safety. Refused calls fail with EPERM, as without
 * the right to them.
 *
 * One filter for Linux 5.10 to any: system calls that 5.10 has not fail with ENOSYS, as they do
 * there, so that those that nobody knows of yet are refused too. From 424 on numbers are the same
 * on all architectures.
 */
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

static const unsigned short refused[] = {
	/* other programs */
	SYS_execve,
	SYS_execveat,
	/* the host */
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
	/* other namespaces, other users */
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
	/* files: owners, modes, devices, by number */
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
	/* other processes: reading them is what we do */
	SYS_process_vm_writev,
	SYS_pidfd_getfd,
	SYS_process_madvise,
	SYS_migrate_pages,
	SYS_move_pages,
	SYS_kcmp,
	/* what has been of most use against kernels */
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_vmsplice,
#ifdef SYS_modify_ldt
	SYS_modify_ldt,
#endif
};

static bool filtered; /* this process is, by confine_filter_calls() */

#define REFUSED (sizeof(refused) / sizeof(refused[0]))
#define ROOM	(2 * REFUSED + 128)

struct builder {
	struct sock_filter code[ROOM];
	unsigned short count;
};

static void put(struct builder *b, struct sock_filter instruction)
{
	/* Not reached: ROOM is counted for all that is put. */
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

/* Refuses `call` where the test (BPF_JEQ or BPF_JSET) of the low half of its argument is `wanted`.
 */
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

/* Another architecture's numbers, and x32's, mean other calls: nobody makes them by mistake. */
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

/* For all threads of this process. */
static int install(struct builder *b)
{
	struct sock_fprog program = {b->count, b->code};
	long err;

	give(b, SECCOMP_RET_ALLOW);
	program.len = b->count;
	err = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	/* > 0: a thread that has a filter which this one has not. There is none of ours. */
	return err < 0 ? -errno : err ? -EBUSY : 0;
}

/* What a need has a use for, or a part of. */
static void refuse_by_need(struct builder *b, unsigned needs)
{
	if (!(needs & CONFINE_TRACE))
		refuse(b, SYS_ptrace);
	/* Who reads a user's sources takes on the user's rights to files. */
	if (!(needs & CONFINE_READ)) {
		refuse(b, SYS_setfsuid);
		refuse(b, SYS_setfsgid);
		refuse(b, SYS_setgroups);
		refuse(b, SYS_process_vm_readv);
	} else {
		refuse(b, SYS_bpf);
	}
	/* libbpf tries with small programs what the kernel can do before it attaches a probe. */
	if (!(needs & CONFINE_PROBES)) {
		refuse(b, SYS_perf_event_open);
		refuse_where(b, SYS_bpf, 0, BPF_JEQ, BPF_PROG_LOAD, true);
		refuse_where(b, SYS_bpf, 0, BPF_JEQ, BPF_BTF_LOAD, true);
	}
	if (!(needs & CONFINE_REPORT)) {
		refuse(b, SYS_linkat);
		refuse(b, SYS_renameat);
#ifdef SYS_rename
		refuse(b, SYS_link);
		refuse(b, SYS_rename);
#endif
		refuse(b, SYS_renameat2);
		refuse(b, SYS_symlinkat);
	}
	if (!(needs & (CONFINE_REPORT | CONFINE_UNLINK))) {
		refuse(b, SYS_unlinkat);
#ifdef SYS_unlink
		refuse(b, SYS_unlink);
#endif
	}
	if (!(needs & CONFINE_SIGNAL)) {
		/* The keeper ends its examiners. */
		if (!(needs & CONFINE_READ))
			refuse(b, SYS_kill);
		refuse(b, SYS_tkill);
		refuse(b, SYS_rt_sigqueueinfo);
		refuse(b, SYS_rt_tgsigqueueinfo);
		/* An examiner that hangs is ended. */
		if (!(needs & CONFINE_EXAMINE))
			refuse(b, SYS_pidfd_send_signal);
		/* abort() signals its own thread, an examiner's too, which is a child. */
		if (!(needs & CONFINE_READ))
			refuse_where(b, SYS_tgkill, 0, BPF_JEQ, (unsigned)getpid(), false);
	}
}

/* Files for writing. The flags of openat2() are in memory, where no filter sees them; an examiner
 * finds files in a container's root by it (source_read.c, proc.c). */
static void refuse_writing(struct builder *b, unsigned needs)
{
	refuse_where(b, SYS_openat, 2, BPF_JSET, O_ACCMODE, true);
#ifdef SYS_open
	refuse_where(b, SYS_open, 1, BPF_JSET, O_ACCMODE, true);
#endif
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
	/* Likewise; the C library goes on with clone. */
	enosys(&b, SYS_clone3);
	refuse_where(&b, SYS_clone, 0, BPF_JSET,
		     CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			     CLONE_NEWUTS | CLONE_NEWCGROUP,
		     true);
	refuse_where(&b, SYS_socket, 0, BPF_JEQ, AF_UNIX, false);
	/* Typing into the terminal. */
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

	/* Where the kernel has no filters, none is missing now. */
	if (!filtered)
		return 0;
	begin(&b);
	refuse(&b, SYS_ptrace);
	return install(&b);
}
