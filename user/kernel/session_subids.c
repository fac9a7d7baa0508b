/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tells the BPF side to which user each number of /etc/subuid belongs (bpf/account/owner.bpf.h).
 * The file is read once, at the load. Numbers that are given out later count as users of their
 * own. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "kernel/session_private.h"
#include "os/subids.h"

static int add_range(const struct subid_range *range, void *arg)
{
	struct session *session = arg;
	struct subid_prefix prefixes[SUBIDS_PREFIXES_MAX];
	size_t i, count = subids_prefixes(range, prefixes);

	for (i = 0; i < count; i++) {
		const struct pymem_subid_key key = {prefixes[i].bits, htonl(prefixes[i].first)};
		const uint32_t user = range->user;

		if (bpf_map_update_elem(bpf_map__fd(session->bpf.map.subids), &key, &user, BPF_ANY))
			return -errno;
	}
	return 0;
}

int session_add_subids(struct session *session)
{
	FILE *file = fopen("/etc/subuid", "re"), *passwd;
	int err;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	passwd = fopen("/etc/passwd", "re");
	err = passwd ? subids_each(file, passwd, add_range, session) : -errno;
	if (passwd)
		fclose(passwd);
	fclose(file);
	return err;
}
