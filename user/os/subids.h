/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The further user numbers that /etc/subuid (subuid(5)) gives to a user. The user can take them
 * with newuidmap(1) in a user namespace; and outside of it, by a set-user-ID file that was made
 * inside. */
#ifndef SUBIDS_H
#define SUBIDS_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct subid_range {
	uid_t first;
	uint32_t count; /* at least 1 */
	uid_t user; /* to whom they are given; `first` itself if the name is not in /etc/passwd */
};

/* Calls `fn` for each range in `file` until it returns something other than 0, which is then
 * returned. Root's ranges are left out: what root gives to containers are users of their own. Lines
 * that subuid(5) does not allow are left out too, as newuidmap(1) does. `passwd` is read from its
 * beginning for each name. */
int subids_each(FILE *file, FILE *passwd, int (*fn)(const struct subid_range *range, void *arg),
		void *arg);

#define SUBIDS_PREFIXES_MAX 64 /* of one range */

/* A block of numbers: all whose highest `bits` bits are those of `first`. */
struct subid_prefix {
	uid_t first;
	unsigned bits;
};

/* Writes the prefixes that make up the range into `prefixes`, in order. Returns how many. */
size_t subids_prefixes(const struct subid_range *range,
		       struct subid_prefix prefixes[SUBIDS_PREFIXES_MAX]);

#endif
