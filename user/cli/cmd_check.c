/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf check`: prints what this kernel and this user can do, one line for each requirement,
 * with a remedy if it is not met. It also loads and attaches the programs, since nothing else
 * proves that this works. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/confine.h"
#include "os/hardening.h"
#include "os/sudo.h"
#include "kernel/event_source.h"
#include "kernel/kernel.h"
#include "cli/command.h"
#include "cli/privilege.h"
#include "kernel/session.h"
#include "os/cgroup_stat.h"

struct check {
	struct kernel_features kernel;
	bool failed;
};

/* Prints one line. If it is `needed` and not `good`, the check fails. */
static void line(struct check *check, bool good, bool needed, const char *what, const char *detail,
		 const char *remedy)
{
	printf("%-7s %s%s%s\n",
	       good	? "ok"
	       : needed ? "MISSING"
			: "limited",
	       what, *detail ? ": " : "", detail);
	if (!good)
		printf("        %s\n", remedy);
	if (!good && needed)
		check->failed = true;
}

static void check_privileges(struct check *check)
{
	char missing[128], sudo[512], remedy[640];

	kernel_missing_capabilities(missing, sizeof(missing));
	sudo_command(sudo, sizeof(sudo));
	snprintf(remedy, sizeof(remedy),
		 "run as root: %s check; in a container add the capabilities named", sudo);
	line(check, !*missing, true, "privileges", *missing ? missing : "all", remedy);
	line(check, kernel_host_users(), true, "the host's user namespace", "",
	     "the capabilities here count in this namespace only: " PRIVILEGE_HOST_USERS);
	line(check, kernel_host_pids(), true, "the host's PID namespace", "",
	     "only this container's processes are seen, under PIDs of its "
	     "own: " PRIVILEGE_HOST_PIDS);
}

static void check_source(struct check *check, const struct event_source *source)
{
	const struct kernel_features *k = &check->kernel;
	bool required = event_source_is_required(source, k);
	const struct source_need *need;

	for (int i = 0; i < SOURCE_NEEDS_MAX && source->needs[i].what; i++) {
		need = &source->needs[i];
		if (!need->applies || need->applies(k))
			line(check, source_need_is_met(need, k), required && need->refusal,
			     need->what, need->detail ?: "", need->remedy);
	}
}

static void check_kernel(struct check *check)
{
	const struct kernel_features *k = &check->kernel;
	struct utsname name;

	uname(&name);
	line(check, k->btf, true, "kernel type information (BTF)", name.release,
	     k->btf ? "" : kernel_refusal(k));
	if (!k->btf)
		return;
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		check_source(check, event_sources[i]);
}

/* What the control groups of this host tell of their memory, beside --events kernel and cache. */
static void check_groups(struct check *check)
{
	char lacks[256] = "";
	struct cgroup_stat stat;
	static const char *const texts[] = {
#define PART_TEXT(id, key, text) text,
		CGROUP_PARTS(PART_TEXT)
#undef PART_TEXT
	};
	static const enum cgroup_part parts[] = {
		CGROUP_ANON,	     CGROUP_FILE,	CGROUP_SHMEM, CGROUP_KERNEL,
		CGROUP_KERNEL_STACK, CGROUP_PAGETABLES, CGROUP_PERCPU};

	cgroup_stat_probe(&stat);
	if (stat.bytes[CGROUP_TOTAL] < 0) {
		line(check, false, false, "memory of control groups", "",
		     "no memory controller: what groups use is not told beside --events kernel");
		return;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (stat.bytes[parts[i]] < 0)
			snprintf(lacks + strlen(lacks), sizeof(lacks) - strlen(lacks), "%s%s",
				 *lacks ? ", " : "not told apart: ", texts[parts[i]]);
	line(check, !*lacks, false, "memory of control groups", stat.v1 ? "version 1" : "version 2",
	     lacks);
}

/* Yama asks for more than capabilities only in mode 3, which nobody can leave again. Programs of
 * BPF read memory without ptrace's leave. */
static void check_ptrace_scope(struct check *check, int scope)
{
	char detail[96];

	if (scope < 0)
		return;
	snprintf(detail, sizeof(detail), "kernel.yama.ptrace_scope is %d%s", scope,
		 scope >= 3 ? ", which forbids it to all, root too"
		 : scope    ? "; CAP_SYS_PTRACE is enough"
			    : "");
	line(check, scope < 3, false, "copies of processes' memory (for heap)", detail,
	     "heap and --alarm-heap can't look at any process: set it to 2 in /etc/sysctl.d, and "
	     "restart; it can't be lowered before that");
}

static void check_confined_by(struct check *check, const struct hardening *h)
{
	bool apparmor;

	if (!*h->confinement)
		return;
	apparmor = !strcmp(h->module, "AppArmor");
	line(check,
	     !h->enforced || strstr(h->confinement, ":unconfined_") ||
		     strstr(h->confinement, ":spc_t"),
	     false, h->module, h->confinement,
	     apparmor ? "what the profile does not allow is refused to root, too: "
			"--security-opt apparmor=unconfined (Docker, Podman), appArmorProfile: "
			"{type: Unconfined} (Kubernetes), aa-complain (a host)"
		      : "what the policy does not allow is refused to root, too: "
			"--security-opt label=disable (Docker, Podman), seLinuxOptions: {type: "
			"spc_t} (Kubernetes); ausearch -m AVC shows what was refused");
}

/* Settings of this host that forbid something beyond capabilities, each only where it is there. */
static void check_hardening(struct check *check)
{
	struct hardening h;
	char detail[96], missing[128];
	bool sees_all;

	hardening_read(&h, "");
	if (*h.lockdown)
		line(check, strcmp(h.lockdown, "confidentiality"), true, "kernel lockdown",
		     h.lockdown,
		     "BPF programs may not read memory, not of root either: boot with "
		     "lockdown=integrity, which is what Secure Boot asks for");
	snprintf(detail, sizeof(detail), "kernel.unprivileged_bpf_disabled is %d%s",
		 h.unprivileged_bpf, h.unprivileged_bpf ? "; CAP_BPF is enough" : "");
	if (h.unprivileged_bpf >= 0)
		line(check, h.unprivileged_bpf, false, "BPF is for those with rights only", detail,
		     "all users may load some kinds of programs; pymem-bpf needs no such thing: "
		     "sysctl kernel.unprivileged_bpf_disabled=2");
	check_ptrace_scope(check, h.ptrace_scope);
	kernel_missing_capabilities(missing, sizeof(missing));
	sees_all = !strstr(missing, "CAP_SYS_PTRACE");
	snprintf(detail, sizeof(detail), "/proc has hidepid=%s%s", h.hidepid,
		 sees_all ? "; CAP_SYS_PTRACE sees them all" : "");
	if (*h.hidepid)
		line(check, sees_all, true, "other users' processes", detail,
		     "add CAP_SYS_PTRACE, or mount -o remount,hidepid=0 /proc");
	check_confined_by(check, &h);
}

#if defined(__aarch64__)
#define FORKED_PAGES 64

/* True if a child can read its parent's pages after a fork without a page fault. A processor before
 * ARMv8.1 leaves it to the kernel to mark a page as accessed, in a fault. BPF must not fault, so it
 * can't read what the child has not touched. */
static bool reads_after_fork(void)
{
	size_t size = FORKED_PAGES * (size_t)sysconf(_SC_PAGESIZE), i;
	struct rusage before, after;
	volatile char *pages;
	int status = -1;
	pid_t child;

	pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return false;
	madvise((void *)pages, size, MADV_NOHUGEPAGE);
	memset((void *)pages, 1, size);
	child = fork();
	if (!child) {
		getrusage(RUSAGE_SELF, &before);
		for (i = 0; i < size; i += size / FORKED_PAGES)
			(void)pages[i];
		getrusage(RUSAGE_SELF, &after);
		_exit(after.ru_minflt - before.ru_minflt >= FORKED_PAGES / 2);
	}
	if (child > 0 && waitpid(child, &status, 0) != child)
		status = -1;
	munmap((void *)pages, size);
	return status == 0;
}

static void check_processor(struct check *check)
{
	line(check, reads_after_fork(), false, "memory of forked children", "",
	     "this processor leaves it to the kernel to mark pages as accessed (ARMv8.0): what a "
	     "child has not touched since its fork can't be read, and is unattributed "
	     "(unreadable)");
}
#else
static void check_processor(struct check *check)
{
	(void)check;
}
#endif

static void check_load(struct check *check)
{
	struct session_options options = {
		.follow_children = true,
		.faults = true,
		.syscalls = true,
		.stalls = true,
		.cache = true,
		.huge = true,
		.swap = true,
		.external = true,
		.kernel = true,
		.last_words = true,
		.max_stacks = 1024,
		.max_images = 16,
		.ring_bytes = 256 * 1024,
	};
	struct session *session;
	char why[512] = "";
	int err;

	session = session_new(&options, why, sizeof(why));
	line(check, session, true, "BPF programs load", why,
	     "run pymem-bpf -vv … and report what it prints");
	if (!session)
		return;
	err = session_attach(session);
	line(check, !err, true, "BPF programs attach", err ? strerror(-err) : "",
	     "another security module or lockdown=confidentiality may forbid it");
	session_free(session);
}

/* Comes last, since rights that were given up can't be regained. */
static void check_confinement(struct check *check)
{
	struct confined confined = {};
	char names[1024] = "";
	int err = confine(CONFINE_LOOK | CONFINE_EXAMINE, &confined);

	confine_names(confined.dropped, names, sizeof(names));
	line(check, !err, true, "privileges dropped once loaded", err ? strerror(-err) : names,
	     "a security module forbids it: report what it logs");
	if (err)
		return;
	confine_names(confined.kept, names, sizeof(names));
	line(check, true, false, "kept by -p and -a", names, "");
	line(check, !confined.bounding_error, false, "no new privileges, bounding set",
	     confined.bounding_error ? strerror(-confined.bounding_error) : "",
	     "without CAP_SETPCAP the bounding set stays as it is");
	line(check, !confined.filter_error, false, "seccomp filter",
	     confined.filter_error ? strerror(-confined.filter_error) : "",
	     "system calls are not limited: use a kernel with CONFIG_SECCOMP_FILTER");
}

static int check_all(void *options)
{
	struct check check = {};

	(void)options;
	kernel_probe(&check.kernel);
	check_privileges(&check);
	check_hardening(&check);
	check_kernel(&check);
	check_processor(&check);
	check_groups(&check);
	if (!check.failed)
		check_load(&check);
	if (!check.failed)
		check_confinement(&check);
	puts(check.failed ? "pymem-bpf can't do its main job here"
			  : "pymem-bpf can do its main job here");
	if (fflush(stdout))
		return EXIT_FAILED;
	return check.failed ? EXIT_ENVIRONMENT : EXIT_DONE;
}

static const struct option_row rows[] = {OPTION_HELP_ROW, {}};

const struct command command_check = {
	.name = "check",
	.synopsis = "check",
	.summary = "what this kernel can do",
	.usage = "",
	.about = "Says what this kernel can do, one line per requirement, with its remedy.\n",
	.rows = rows,
	.exits = EXITS_BPF,
	.exits_more = ": the main job can't run here",
	.run = check_all,
};
