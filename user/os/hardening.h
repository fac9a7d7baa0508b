/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a host forbids beyond what capabilities say, as far as it tells: so that a refusal can be
 * put down to the setting that made it. */
#ifndef HARDENING_H
#define HARDENING_H

#include <stdbool.h>

struct hardening {
	/* kernel_lockdown(7): "none", "integrity", "confidentiality". Empty: the kernel has no
	 * lockdown, or securityfs is not mounted. */
	char lockdown[32];
	/* The profile (AppArmor) or context (SELinux) that this process is confined by, and which
	 * of the two it is; `enforced`: what it forbids is refused, not only logged. Empty: none.
	 */
	char confinement[256];
	const char *module;
	bool enforced;
	int ptrace_scope;     /* kernel.yama.ptrace_scope, 0 to 3; -1: there is no Yama */
	int unprivileged_bpf; /* kernel.unprivileged_bpf_disabled, 0 to 2; -1: not known */
	char hidepid[16]; /* how /proc hides processes, proc(5): "invisible"; empty: it does not */
};

/* Fills `hardening` from the files below `root`, which is empty but for tests. What can't be read
 * is not known, and no error. */
void hardening_read(struct hardening *hardening, const char *root);

#endif
