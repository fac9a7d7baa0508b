/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the path of a control group to where people say that a process runs: a container, a service.
 * Pure: nothing is read but the path.
 *
 * Who may make groups may call them what he likes, such as what another one's container is called.
 * So what lies below a unit or a container, where groups may be delegated, has the name of that one
 * behind its own: "podman:0123456789ab of user 1000", "docker:0123456789ab in lxc:web". A name
 * without such an end is one that root's systemd or root's runtime gave. The end is kept:
 * what has no room is cut before it. That holds as far as root keeps to it: a plain folder that
 * root has handed to a user, below no unit and no container, is taken for root's word. */
#ifndef CGROUP_NAME_H
#define CGROUP_NAME_H

#include <stdbool.h>
#include <stddef.h>

struct cgroup_parsed;

#define CGROUP_PLACE_MAX 256 /* bytes, with the NUL, in which a whole name has room */

/* All of them write the name into `name`, of `size` bytes, of which there is at least 1. What is
 * too long is cut before the end that tells whose it is, between two characters. Names are escaped
 * as text_escape_name() does, so escaping them again changes nothing. `parsed` is what
 * cgroup_parse() made of `path`. */

/* "docker:0123456789ab" (the runtime and the beginning of the container's id), "lxc:web",
 * "api.service", "batch.slice", "session-3.scope"; "" for the root group. Of systemd's units and of
 * what is below them it is the innermost unit. True: it is a container. */
bool cgroup_name(const char *path, char *name, size_t size);

/* The name of the container alone; "" if it is none. True: it is one. */
bool cgroup_container_name(const char *path, const struct cgroup_parsed *parsed, char *name,
			   size_t size);

/* The innermost unit of systemd; "": there is none. In a container it is its name there. */
void cgroup_unit_name(const char *path, const struct cgroup_parsed *parsed, char *name,
		      size_t size);

/* What tells one program from the same program elsewhere: the container; else the service; else, of
 * what a user runs in sessions and scopes, "user 1000"; else "". Sessions, and units that are made
 * for one run, have new names each time: two of them are one place. */
void cgroup_place_name(const char *path, char *name, size_t size);

/* The end of such a name that tells whose it is: " of user 1000". It is a part of `name`, the empty
 * one behind it if there is none. text_print_ended() does not cut it. */
const char *cgroup_name_end(const char *name);

/* True: the container is below a unit or another container, so that its id and its Pod are what
 * those who run there say. */
bool cgroup_is_inner(const struct cgroup_parsed *parsed);

/* Writes `text` and the same end as behind a container's name, which tells whose it is. */
void cgroup_qualify(const char *path, const struct cgroup_parsed *parsed, const char *text,
		    char *name, size_t size);

#endif
