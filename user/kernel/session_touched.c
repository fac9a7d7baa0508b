/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads and frees the leaves of touched pages. Leaves are mapped: a report reads millions of ids.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/map_read.h"
#include "kernel/session_private.h"

bool session_sees_touches(const struct session *session)
{
	return session->leaves != NULL;
}

int session_map_touched(struct session *session)
{
	struct bpf_map *map = session->bpf.map.touched_leaves;
	void *leaves;

	if (!session->sources[EVENT_SOURCE_touched].loaded)
		return 0;
	session->leaf_count = bpf_map__max_entries(map);
	leaves = mmap(NULL, session->leaf_count * sizeof(*session->leaves), PROT_READ | PROT_WRITE,
		      MAP_SHARED, bpf_map__fd(map), 0);
	if (leaves == MAP_FAILED)
		return -errno;
	session->leaves = leaves;
	return 0;
}

void session_unmap_touched(struct session *session)
{
	if (session->leaves)
		munmap(session->leaves, session->leaf_count * sizeof(*session->leaves));
	session->leaves = NULL;
}

const volatile struct pymem_touched_leaf *session_touched_leaf(const struct session *session,
							       uint32_t dir, uint64_t address)
{
	uint64_t key = pymem_touched_key(dir, address);
	uint32_t leaf;

	if (!session->leaves ||
	    bpf_map_lookup_elem(bpf_map__fd(session->bpf.map.touched_dirs), &key, &leaf) ||
	    leaf >= session->leaf_count)
		return NULL;
	return &session->leaves[leaf];
}

int session_each_first(struct session *session, int (*fn)(const struct pymem_first *, void *),
		       void *arg)
{
	struct pymem_first first;
	int err = 0;

	for (uint32_t slot = 0; session->leaves && slot < PYMEM_FIRSTS && !err; slot++) {
		if (bpf_map_lookup_elem(bpf_map__fd(session->bpf.map.touched_firsts), &slot,
					&first))
			return -errno;
		if (first.id)
			err = fn(&first, arg);
	}
	return err;
}

struct forgetting {
	struct session *session;
	bool (*is_gone)(uint32_t dir, void *arg);
	void *arg;
};

static int forget_leaf(const void *key, const void *value, void *arg)
{
	const struct forgetting *f = arg;
	const struct bpf_handles *bpf = &f->session->bpf;
	uint64_t dir_and_region;
	uint32_t leaf;

	memcpy(&dir_and_region, key, sizeof(dir_and_region));
	memcpy(&leaf, value, sizeof(leaf));
	if (!f->is_gone(dir_and_region >> 32, f->arg) || leaf >= f->session->leaf_count)
		return 0;
	if (bpf_map_delete_elem(bpf_map__fd(bpf->map.touched_dirs), key))
		return errno == ENOENT ? 0 : -errno;
	memset(&f->session->leaves[leaf], 0, sizeof(f->session->leaves[leaf]));
	/* The map has room for all leaves. */
	if (bpf_map_update_elem(bpf_map__fd(bpf->map.touched_free), NULL, &leaf, BPF_ANY))
		return -errno;
	__sync_fetch_and_sub(bpf->variable.touched_used, 1);
	return 0;
}

int session_forget_touched(struct session *session, bool (*is_gone)(uint32_t dir, void *arg),
			   void *arg)
{
	const struct bpf_map *map = session->bpf.map.touched_dirs;
	struct forgetting f = {session, is_gone, arg};

	if (!session->leaves)
		return 0;
	return map_each(&map_ops_kernel,
			&(struct map_shape){bpf_map__fd(map), bpf_map__key_size(map),
					    bpf_map__value_size(map)},
			MAP_KEEPS, forget_leaf, &f);
}
