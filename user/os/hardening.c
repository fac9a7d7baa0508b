/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Documentation/admin-guide/LSM/Yama.rst and apparmor.rst, admin-guide/sysctl/kernel.rst,
 * filesystems/proc.rst. Left out: other security modules (Smack, TOMOYO, BPF programs), which have
 * no common way to tell what they forbid. */
#include "os/hardening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first line of a file without its end, as far as it fits; empty if it can't be read. */
static void first_line(const char *root, const char *name, char *text, size_t size)
{
	char path[4096];
	FILE *file;

	*text = '\0';
	if (snprintf(path, sizeof(path), "%s%s", root, name) >= (int)sizeof(path))
		return;
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(text, (int)size, file))
		*text = '\0';
	text[strcspn(text, "\n")] = '\0';
	fclose(file);
}

static int number(const char *root, const char *name)
{
	char text[32], *end;
	long found;

	first_line(root, name, text, sizeof(text));
	found = strtol(text, &end, 10);
	return end == text || *end || found < 0 || found > 99 ? -1 : (int)found;
}

/* "none [integrity] confidentiality": the one in brackets. */
static void read_lockdown(struct hardening *hardening, const char *root)
{
	char text[128], *begin, *end;

	first_line(root, "/sys/kernel/security/lockdown", text, sizeof(text));
	begin = strchr(text, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (end)
		snprintf(hardening->lockdown, sizeof(hardening->lockdown), "%.*s",
			 (int)(end - begin - 1), begin + 1);
}

/* "name (mode)"; a process that no profile is for has the name unconfined, and no mode. */
static bool read_apparmor(struct hardening *hardening, const char *root)
{
	char text[256];

	first_line(root, "/sys/module/apparmor/parameters/enabled", text, sizeof(text));
	if (*text != 'Y')
		return false;
	/* Since 5.8; the other one belongs to whichever module comes first. */
	first_line(root, "/proc/self/attr/apparmor/current", text, sizeof(text));
	if (!*text)
		first_line(root, "/proc/self/attr/current", text, sizeof(text));
	if (!*text || !strcmp(text, "unconfined") || strstr(text, " (unconfined)"))
		return false;
	hardening->module = "AppArmor";
	hardening->enforced = !strstr(text, " (complain)");
	snprintf(hardening->confinement, sizeof(hardening->confinement), "%s", text);
	return true;
}

static void read_selinux(struct hardening *hardening, const char *root)
{
	int enforced = number(root, "/sys/fs/selinux/enforce");

	if (enforced < 0)
		return;
	first_line(root, "/proc/self/attr/current", hardening->confinement,
		   sizeof(hardening->confinement));
	if (!*hardening->confinement)
		return;
	hardening->module = "SELinux";
	hardening->enforced = enforced;
}

/* Of several mounts of /proc the last one is seen. */
static void read_hidepid(struct hardening *hardening, const char *root)
{
	char path[4096], line[4096], point[1024], type[64], options[1024];
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/proc/self/mounts", root) >= (int)sizeof(path))
		return;
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		const char *found;

		if (sscanf(line, "%*s %1023s %63s %1023s", point, type, options) != 3 ||
		    strcmp(point, "/proc") || strcmp(type, "proc"))
			continue;
		*hardening->hidepid = '\0';
		found = strstr(options, "hidepid=");
		if (found && sscanf(found, "hidepid=%15[^,]", hardening->hidepid) == 1 &&
		    (!strcmp(hardening->hidepid, "0") || !strcmp(hardening->hidepid, "off")))
			*hardening->hidepid = '\0';
	}
	fclose(file);
}

void hardening_read(struct hardening *hardening, const char *root)
{
	*hardening = (struct hardening){};
	read_lockdown(hardening, root);
	hardening->ptrace_scope = number(root, "/proc/sys/kernel/yama/ptrace_scope");
	hardening->unprivileged_bpf = number(root, "/proc/sys/kernel/unprivileged_bpf_disabled");
	read_hidepid(hardening, root);
	if (!read_apparmor(hardening, root))
		read_selinux(hardening, root);
}
