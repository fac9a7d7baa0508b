/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The further user numbers that a user may take, by /etc/subuid (subuid(5)): with newuidmap(1) in a
 * user namespace, and from there, by a set-user-ID file, outside it. */
#ifndef SUBIDS_H
#define SUBIDS_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct subid_range {
	uid_t first;
	uint32_t count; /* at least 1 */
	uid_t user;	/* whose they are; `first` itself if the name is not in /etc/passwd */
};

/* Calls fn() for each range in `file` until non-zero, which is returned. Root's are left out: what
 * root gives to containers are users of their own. Lines that subuid(5) does not allow are left out
 * too, as newuidmap(1) does. `passwd` is read from its beginning for each name. */
int subids_each(FILE *file, FILE *passwd, int (*fn)(const struct subid_range *range, void *arg),
		void *arg);

#define SUBIDS_PREFIXES_MAX 64 /* of one range */

/* A part of a range that binary numbers have in common: the first `bits` bits are those of `first`.
 */
struct subid_prefix {
	uid_t first;
	unsigned bits;
};

/* The prefixes that make up the range, in order, into `prefixes`; how many. */
size_t subids_prefixes(const struct subid_range *range,
		       struct subid_prefix prefixes[SUBIDS_PREFIXES_MAX]);

#endif
