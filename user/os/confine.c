/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: loading BPF programs takes nearly all rights there are. Afterwards this process reads,
 * for hours, what hostile programs wrote. A mistake in that must not give anybody root.
 *
 * So when everything is loaded, it drops what it does not need: capabilities, the right to gain
 * some by an exec, and system calls (confine_filter.c). What it keeps depends on what a command
 * does, not on the user. The user ID stays, and root owns most files: so the filter does not let it
 * open any for writing, in /proc and /sys either.
 *
 * Two processes are forked before. The examiner reads memory and files of others: it keeps the
 * rights to do so, and has no BPF (examiner_helper.c). The one that becomes the command keeps
 * everything (launch.c), since a command has the rights of the user who started it.
 *
 * Left out: Landlock, since a process under it may only look at processes under it. And a user ID
 * of its own, since most of what is kept would have no effect then. */
#include "os/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/exit_status.h"

/* Some kernel headers are older than these: 5.8, 5.8, 5.9. */
#define CAPABILITY_PERFMON	      38
#define CAPABILITY_BPF		      39
#define CAPABILITY_CHECKPOINT_RESTORE 40

#define BIT(number) (1ULL << (number))
#define OF_SYS_ADMIN \
	(BIT(CAPABILITY_PERFMON) | BIT(CAPABILITY_BPF) | BIT(CAPABILITY_CHECKPOINT_RESTORE))

static const char *const names_of[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

#define NAMED (sizeof(names_of) / sizeof(names_of[0]))

void confine_names(uint64_t capabilities, char *names, size_t size)
{
	size_t at = 0;
	unsigned i;

	snprintf(names, size, "none");
	for (i = 0; i < 64 && at < size; i++) {
		if (!(capabilities & BIT(i)))
			continue;
		if (i < NAMED)
			at += (size_t)snprintf(names + at, size - at, "%sCAP_%s", at ? ", " : "",
					       names_of[i]);
		else
			at += (size_t)snprintf(names + at, size - at, "%scapability %u",
					       at ? ", " : "", i);
	}
}

/* The capabilities that `needs` requires, as far as this process has them. */
static uint64_t to_keep(unsigned needs, uint64_t have)
{
	uint64_t keep = BIT(CAPABILITY_BPF) | BIT(CAPABILITY_PERFMON);

	if (needs & (CONFINE_WRITE | CONFINE_PLAIN | CONFINE_RELAY | CONFINE_RESOLVE))
		keep = 0;
	if (needs & CONFINE_READ)
		keep = BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SETUID) |
		       BIT(CAP_SETGID) | BIT(CAPABILITY_CHECKPOINT_RESTORE);
	if (needs & (CONFINE_LOOK | CONFINE_TRACE | CONFINE_PEEK))
		keep |= BIT(CAP_SYS_PTRACE);
	if (needs & CONFINE_PEEK)
		keep |= BIT(CAPABILITY_CHECKPOINT_RESTORE);
	if (needs & CONFINE_HURRY)
		keep |= BIT(CAP_SYS_NICE);
	/* Linux wants this one when a uprobe is opened as a perf event (perf_uprobe_event_init).
	 * Some releases accept CAP_PERFMON instead; which ones can't be known beforehand. */
	if (needs & CONFINE_PROBES)
		keep |= BIT(CAP_SYS_ADMIN);
	if (needs & CONFINE_SIGNAL)
		keep |= BIT(CAP_KILL);
	if (needs & CONFINE_REPORT)
		keep |= BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER);
	/* Later kernels have split capabilities off CAP_SYS_ADMIN. A process that has only that one
	 * keeps it. */
	if (keep & ~have & OF_SYS_ADMIN)
		keep |= BIT(CAP_SYS_ADMIN);
	return have & keep;
}

static struct __user_cap_header_struct cap_header(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

static int permitted(uint64_t *capabilities)
{
	struct __user_cap_header_struct header = cap_header();
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	*capabilities = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

/* The inheritable set becomes empty, so a program that is executed gets no capability either. */
static int set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = cap_header();
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
		{.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Needs CAP_SETPCAP, so it is done before the capabilities are dropped. Without CAP_SETPCAP, the
 * bounding set stays as it is. */
static int drop_bounding(uint64_t keep)
{
	unsigned long i;

	for (i = 0; i < 64; i++) {
		if (keep & BIT(i) || prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0))
			return -errno;
	}
	return 0;
}

int confine(unsigned needs, struct confined *confined)
{
	uint64_t have = 0, keep;
	int err = permitted(&have);

	if (err)
		return err;
	keep = to_keep(needs, have);
	*confined = (struct confined){.dropped = have & ~keep, .kept = keep};
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	confined->bounding_error = drop_bounding(keep);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	err = set_capabilities(keep);
	if (err)
		return err;
	confined->filter_error = confine_filter_calls(needs);
	return 0;
}

static void say_confined(const char *subject, const struct confined *c)
{
	char dropped[1024], kept[1024];

	confine_names(c->dropped, dropped, sizeof(dropped));
	confine_names(c->kept, kept, sizeof(kept));
	fprintf(stderr, "%s: dropped after loading: %s\n", subject, dropped);
	fprintf(stderr, "%s: kept: %s\n", subject, kept);
	fprintf(stderr, "%s: no new privileges; bounding set: %s; seccomp filter: %s\n", subject,
		c->bounding_error ? strerror(-c->bounding_error) : "as kept",
		c->filter_error ? strerror(-c->filter_error) : "on");
}

int confine_or_say(unsigned needs, const char *command, int verbosity)
{
	struct confined confined;
	char subject[32];
	int err = confine(needs, &confined);

	snprintf(subject, sizeof(subject), "pymem-bpf%s%s", command ? " " : "", command ?: "");
	if (err) {
		fprintf(stderr, "%s: privileges can't be given up after loading: %s\n", subject,
			strerror(-err));
		return EXIT_ENVIRONMENT;
	}
	if (verbosity >= 1)
		say_confined(subject, &confined);
	return 0;
}
