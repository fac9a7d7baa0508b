/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Container managers name groups by the container's id, of 64 hexadecimal digits, with their own
 * name before it (docker-ID.scope, cri-containerd-ID.scope) or above it (/docker/ID). */
#include "model/cgroup_name.h"

#include <stdio.h>
#include <string.h>

#define ID_DIGITS   64
#define SHOWN	    12 /* digits of an id, as `docker ps` shows them */
#define RUNTIME_MAX 24

/* The id in a part of a path; NULL: there is none. */
static const char *container_id(const char *part, size_t length)
{
	size_t i, run = 0;

	for (i = 0; i < length; i++) {
		run = strchr("0123456789abcdef", part[i]) ? run + 1 : 0;
		if (run == ID_DIGITS)
			return part + i + 1 - ID_DIGITS;
	}
	return NULL;
}

/* "docker" of "docker-ID.scope"; of a bare id the part above it; "cri-containerd" becomes
 * "containerd". `above` (`above_length`) may be empty. */
static void runtime_of(const char *part, const char *id, const char *above, size_t above_length,
		       char *runtime, size_t size)
{
	const char *from = part;
	size_t length = (size_t)(id - part);

	while (length && strchr("-_:", from[length - 1]))
		length--;
	if (!length) {
		from = above;
		length = above_length;
	}
	if (length > 4 && !strncmp(from, "cri-", 4)) {
		from += 4;
		length -= 4;
	}
	if (!length || !strncmp(from, "pod", 3) || memchr(from, '.', length))
		snprintf(runtime, size, "%s", "container");
	else if (!strncmp(from, "libpod", 6))
		snprintf(runtime, size, "%s", "podman");
	else
		snprintf(runtime, size, "%.*s", (int)length, from);
}

/* LXC and systemd-nspawn name groups by the container. */
static bool named_container(const char *part, size_t length, const char *above, size_t above_length,
			    char *name, size_t size)
{
	static const char payload[] = "lxc.payload.", machine[] = "machine-";

	if (above_length == 3 && !strncmp(above, "lxc", 3))
		snprintf(name, size, "lxc:%.*s", (int)length, part);
	else if (length > strlen(payload) && !strncmp(part, payload, strlen(payload)))
		snprintf(name, size, "lxc:%.*s", (int)(length - strlen(payload)),
			 part + strlen(payload));
	else if (length > strlen(machine) + 6 && !strncmp(part, machine, strlen(machine)) &&
		 !strncmp(part + length - 6, ".scope", 6))
		snprintf(name, size, "nspawn:%.*s", (int)(length - 6 - strlen(machine)),
			 part + strlen(machine));
	else
		return false;
	return true;
}

static bool ends_with(const char *part, size_t length, const char *end)
{
	return length > strlen(end) && !strncmp(part + length - strlen(end), end, strlen(end));
}

bool cgroup_name(const char *path, char *name, size_t size)
{
	const char *above = "", *id, *part, *end;
	size_t above_length = 0, length;
	char runtime[RUNTIME_MAX];
	bool unit = false;

	snprintf(name, size, "%s", "");
	for (part = path; *part; part = end) {
		part += strspn(part, "/");
		end = strchrnul(part, '/');
		length = (size_t)(end - part);
		if (!length)
			break;
		id = container_id(part, length);
		if (id) {
			runtime_of(part, id, above, above_length, runtime, sizeof(runtime));
			snprintf(name, size, "%s:%.*s", runtime, SHOWN, id);
			return true;
		}
		if (named_container(part, length, above, above_length, name, size))
			return true;
		/* What is below a service is the service's own. */
		if (!unit)
			snprintf(name, size, "%.*s", (int)length, part);
		unit |= ends_with(part, length, ".service");
		above = part;
		above_length = length;
	}
	return false;
}
