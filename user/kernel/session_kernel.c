/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gives back what images that are gone have left in the table of the kernel's objects. Whose
 * an object is (`kernel_owners`) is taken out when the object is freed, but the kernel does not
 * tell all ends, and an image leaves these behind. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/map_read.h"
#include "kernel/session_private.h"
#include "pymem_objects.h"

/* Owners are looked through if so many of them as this part of the table are there: 1/2. */
#define OWNERS_MANY 2

#define FILTER_BYTES (PYMEM_KERNEL_FILTER * sizeof(uint32_t))

int session_map_kernel(struct session *session)
{
	void *filter;

	if (!session->sources[EVENT_SOURCE_kernel_slab].loaded)
		return 0;
	filter = mmap(NULL, FILTER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(session->bpf.map.kernel_filter), 0);
	if (filter == MAP_FAILED)
		return -errno;
	session->kernel_filter = filter;
	return 0;
}

void session_unmap_kernel(struct session *session)
{
	if (session->kernel_filter)
		munmap(session->kernel_filter, FILTER_BYTES);
	session->kernel_filter = NULL;
}

struct sweep {
	struct session *session;
	bool (*is_gone)(uint32_t proc, void *arg);
	void *arg;
};

/* The entry was taken out. */
static void book_gone(struct session *session, uint64_t address, uint32_t account)
{
	__sync_fetch_and_sub(&session->kernel_filter[pymem_kernel_slot(address)], 1);
	__sync_fetch_and_sub(session->bpf.variable.kernel_owners_used, 1);
	__sync_fetch_and_sub(&session->bpf.variable.kernel_held[account % PYMEM_ACCOUNTS], 1);
}

static int forget_owner(const void *key, const void *value, void *arg)
{
	const struct sweep *c = arg;
	int fd = bpf_map__fd(c->session->bpf.map.kernel_owners), err;
	struct pymem_kernel_owner owner;
	uint64_t address;

	memcpy(&owner, value, sizeof(owner));
	memcpy(&address, key, sizeof(address));
	if (!c->is_gone(owner.proc, c->arg))
		return 0;
	err = map_take(&map_ops_kernel, c->session->takes_at_once, fd, &address, &owner);
	if (err)
		return err == -ENOENT ? 0 : err;
	/* Something else has got the address just then. It is put back; if it was freed meanwhile,
	 * what gets the address next takes its place. */
	if (!c->is_gone(owner.proc, c->arg) &&
	    !bpf_map_update_elem(fd, &address, &owner, BPF_NOEXIST))
		return 0;
	book_gone(c->session, address, owner.account);
	return 0;
}

int session_forget_owners(struct session *session, bool (*is_gone)(uint32_t proc, void *arg),
			  void *arg)
{
	const struct bpf_map *owners = session->bpf.map.kernel_owners;
	struct sweep c = {session, is_gone, arg};

	if (!session->kernel_filter ||
	    *session->bpf.variable.kernel_owners_used < PYMEM_KERNEL_OWNERS / OWNERS_MANY)
		return 0;
	return map_each(&map_ops_kernel,
			&(struct map_shape){bpf_map__fd(owners), bpf_map__key_size(owners),
					    bpf_map__value_size(owners)},
			MAP_KEEPS, forget_owner, &c);
}
