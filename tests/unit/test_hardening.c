/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/hardening.c with files as kernels write them, below a folder in place of the root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/hardening.h"

static char root[64];

static void put(const char *name, const char *text)
{
	char command[512];
	FILE *file;

	snprintf(command, sizeof(command), "mkdir -p $(dirname %s%s) && cat > %s%s", root, name,
		 root, name);
	file = popen(command, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(pclose(file), 0);
}

static int begin(void **state)
{
	(void)state;
	strcpy(root, "/tmp/pymem-hardening.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void test_nothing(void **state)
{
	struct hardening h;

	(void)state;
	hardening_read(&h, root);
	assert_string_equal(h.lockdown, "");
	assert_string_equal(h.confinement, "");
	assert_string_equal(h.hidepid, "");
	assert_int_equal(h.ptrace_scope, -1);
	assert_int_equal(h.unprivileged_bpf, -1);
}

static void test_settings(void **state)
{
	struct hardening h;

	(void)state;
	put("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	put("/proc/sys/kernel/yama/ptrace_scope", "3\n");
	put("/proc/sys/kernel/unprivileged_bpf_disabled", "2\n");
	hardening_read(&h, root);
	assert_string_equal(h.lockdown, "confidentiality");
	assert_int_equal(h.ptrace_scope, 3);
	assert_int_equal(h.unprivileged_bpf, 2);
	put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put("/proc/sys/kernel/yama/ptrace_scope", "none\n");
	hardening_read(&h, root);
	assert_string_equal(h.lockdown, "none");
	assert_int_equal(h.ptrace_scope, -1);
	put("/sys/kernel/security/lockdown", "none [integrity\n");
	hardening_read(&h, root);
	assert_string_equal(h.lockdown, "");
}

static void test_hidepid(void **state)
{
	static const struct {
		const char *mounts, *expected;
	} cases[] = {
		{"proc /proc proc rw,nosuid,hidepid=invisible,gid=4 0 0\n", "invisible"},
		{"proc /proc proc rw,hidepid=2 0 0\n", "2"},
		{"proc /proc proc rw,hidepid=off 0 0\n", ""},
		{"proc /proc proc rw,hidepid=0 0 0\n", ""},
		{"proc /proc proc rw 0 0\n", ""},
		{"proc /srv/proc proc rw,hidepid=2 0 0\n", ""},
		{"x /proc tmpfs rw,hidepid=2 0 0\n", ""},
		{"proc /proc proc rw,hidepid=2 0 0\nproc /proc proc rw 0 0\n", ""},
		{"proc /proc proc rw 0 0\nproc /proc proc rw,hidepid=4 0 0\nx\n", "4"},
	};
	struct hardening h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("/proc/self/mounts", cases[i].mounts);
		hardening_read(&h, root);
		assert_string_equal(h.hidepid, cases[i].expected);
	}
}

static void test_apparmor(void **state)
{
	static const struct {
		const char *label, *expected;
		bool enforced;
	} cases[] = {
		{"unconfined\n", "", false},
		{"docker-default (enforce)\n", "docker-default (enforce)", true},
		{"/usr/bin/a b (complain)\n", "/usr/bin/a b (complain)", false},
		{"x (kill)\n", "x (kill)", true},
		{"unconfined-helper (enforce)\n", "unconfined-helper (enforce)", true},
		{"firefox (unconfined)\n", "", false},
	};
	struct hardening h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("/proc/self/attr/current", cases[i].label);
		put("/sys/module/apparmor/parameters/enabled", "N\n");
		hardening_read(&h, root);
		assert_string_equal(h.confinement, "");
		put("/sys/module/apparmor/parameters/enabled", "Y\n");
		hardening_read(&h, root);
		assert_string_equal(h.confinement, cases[i].expected);
		if (!*cases[i].expected)
			continue;
		assert_string_equal(h.module, "AppArmor");
		assert_int_equal(h.enforced, cases[i].enforced);
	}
	put("/proc/self/attr/apparmor/current", "of-apparmor (enforce)\n");
	hardening_read(&h, root);
	assert_string_equal(h.confinement, "of-apparmor (enforce)");
}

static void test_selinux(void **state)
{
	struct hardening h;

	(void)state;
	put("/proc/self/attr/current", "system_u:system_r:container_t:s0:c1,c2");
	hardening_read(&h, root);
	assert_string_equal(h.confinement, "");
	for (int enforced = 0; enforced < 2; enforced++) {
		put("/sys/fs/selinux/enforce", enforced ? "1" : "0");
		hardening_read(&h, root);
		assert_string_equal(h.confinement, "system_u:system_r:container_t:s0:c1,c2");
		assert_string_equal(h.module, "SELinux");
		assert_int_equal(h.enforced, enforced);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, begin, end),
		cmocka_unit_test_setup_teardown(test_settings, begin, end),
		cmocka_unit_test_setup_teardown(test_hidepid, begin, end),
		cmocka_unit_test_setup_teardown(test_apparmor, begin, end),
		cmocka_unit_test_setup_teardown(test_selinux, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
