/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the path of a control group to what runs in it: a container, a Pod, a unit of systemd. Pure:
 * nothing is read but the path, so no runtime is asked and none needs to run. */
#ifndef CGROUP_PARSE_H
#define CGROUP_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#define CGROUP_ID_DIGITS 64  /* of a container's id */
#define CGROUP_ID_SHOWN	 12  /* of these, as `docker ps` and `crictl ps` show */
#define CGROUP_NAME_MAX	 256 /* bytes with the NUL; the kernel limits a part of a path to 255 */
#define CGROUP_POD_MAX	 40  /* a UID has 36 characters, that of a static Pod 32 */

/* Texts are "" where the path does not say. They are raw bytes: escape them to show them. */
struct cgroup_parsed {
	bool container;
	size_t length;	    /* of the path up to the container's part, with it; 0: it is none */
	size_t unit_length; /* the same up to the part of `unit` */
	/* The same up to the first part that names a unit or a container. Up to there, groups are
	 * made by root: by systemd, runtimes and the kubelet. What is below it may have been
	 * delegated, and be named by whoever runs there. That a plain folder above was handed to a
	 * user (cgcreate -a) the path does not say: what is in it counts as root's. */
	size_t outer_length;
	/* "docker", "containerd", "cri-o", "podman", "nerdctl", "lxc", "nspawn". "": the path has
	 * an id, but does not say whose; of Kubernetes with the driver cgroupfs it never does. */
	char runtime[24];
	char id[CGROUP_ID_DIGITS + 1];	 /* of a container that has one */
	char name[CGROUP_NAME_MAX];	 /* of a container without an id: what its user calls it */
	char pod[CGROUP_POD_MAX];	 /* the Pod's UID, with dashes */
	char qos[12];			 /* of a Pod: "guaranteed", "burstable" or "besteffort" */
	char unit[CGROUP_NAME_MAX];	 /* the innermost service or scope of systemd, as written */
	char unit_name[CGROUP_NAME_MAX]; /* the same for people: "\x2d" is "-" */
	char slice[CGROUP_NAME_MAX];	 /* the innermost slice */
	char session[CGROUP_NAME_MAX];	 /* "3" of session-3.scope */
	char user[12];			 /* the UID in user-1000.slice, of the innermost one */
	char owner[12]; /* of the innermost one above `outer_length`: whose group that is */
};

/* Fills `parsed` from `path`: as in /proc/PID/cgroup of cgroup v2 or of a hierarchy of v1, or as
 * cgroup_memory_name() gives it. Of containers within containers the innermost one counts. Any
 * bytes and any length are fine; a part that is too long for its field is cut. */
void cgroup_parse(const char *path, struct cgroup_parsed *parsed);

#endif
