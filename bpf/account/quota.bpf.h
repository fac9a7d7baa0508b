/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many places an image may take of a table that all images share.
 *
 * An image may hold `quota_share` times as many places as are free, so each later image gets its
 * part of them. The first QUOTA_FLOOR places, which suffice for most programs, are not denied until
 * an eighth of the table is left.
 *
 * A program can fork any number of images. So the last sixteenth is root's: what the host runs on
 * is seen whatever users do. And all images of one user together may hold `quota_user_share` times
 * what is free of the rest; root's have no such bound.
 *
 * Held places are counted with each entry: added by the insertion that made it, which the map lets
 * one CPU win, and taken off by the deletion likewise. So tables and accounts come to 0 when all
 * images have ended, whatever raced.
 *
 * The loader sets the shares. If one program is profiled, it may use nearly the whole table. On a
 * host that is watched, an image may have half of what is free, and a user three quarters.
 */
#ifndef QUOTA_BPF_H
#define QUOTA_BPF_H

#include "account/owner.bpf.h"
#include "base/maps.bpf.h"

#define QUOTA_FLOOR	  256
#define QUOTA_FLOOR_UNTIL 8  /* while more than an eighth of the table is free */
#define QUOTA_ROOT	  16 /* a sixteenth of the table is kept for root */

/* Why an image may not take another place. Otherwise the result is the account that the place will
 * be on. */
enum quota_verdict { QUOTA_IMAGE_FULL = -1, QUOTA_USER_FULL = -2 };

static __always_inline struct pymem_account *account_at(__u32 account)
{
	return &accounts[account & (PYMEM_ACCOUNTS - 1)];
}

static __always_inline int quota_verdict(struct pymem_proc *p, __u32 table, __u32 user)
{
	__u32 used = places_used[table], room = table_rooms[table], held = p->places[table].held;
	__u32 free = used < room ? room - used : 0, floor = QUOTA_FLOOR, account = 0;

	if (user) {
		account = p->account & (PYMEM_ACCOUNTS - 1);
		if (free <= room / QUOTA_FLOOR_UNTIL)
			floor = 0;
		free = free > room / QUOTA_ROOT ? free - room / QUOTA_ROOT : 0;
		/* Signed: what is given back late may be more than was taken. */
		if ((__s32)account_at(account)->held[table] >= (__s64)quota_user_share * free)
			return QUOTA_USER_FULL;
	}
	if (free && (held < floor || held < (__u64)quota_share * free))
		return account;
	return QUOTA_IMAGE_FULL;
}

/* For tables that only one source has, without a floor: may somebody who holds `held` of `room`
 * places have another one, of which `used` are taken, and his user's account, 0: root's, holds
 * `users`? */
static __always_inline bool quota_leaves(__u32 used, __u32 room, __u32 held, __u32 account,
					 __u32 users)
{
	__u32 free = used < room ? room - used : 0;

	if (account) {
		free = free > room / QUOTA_ROOT ? free - room / QUOTA_ROOT : 0;
		if ((__s32)users >= (__s64)quota_user_share * free)
			return false;
	}
	return free && held < (__u64)quota_share * free;
}

/* The account on which p's next place in such a table is; 0: root's. */
static __noinline __u32 quota_account(struct pymem_proc *p)
{
	if (!p || !(__u32)bpf_get_current_uid_gid())
		return 0;
	if (!p->account)
		proc_own(p, 0, credentials_of(current_task()));
	return p->account & (PYMEM_ACCOUNTS - 1);
}

/* May the image `id` on `mm` take another place in `table`, for what runs with the credentials at
 * `cred`, 0: for the current task? Returns the account, 0: none, since the image is root's; or enum
 * quota_verdict. With `count`, a refusal is counted for the report. */
SEPARATE __s64 quota_of(__u64 mm, __u64 id, __u64 table, __u64 cred, __u64 count)
{
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);
	__u32 user;
	int verdict;

	if (!p || p->id != id || table >= PYMEM_TABLE_COUNT)
		return QUOTA_IMAGE_FULL;
	user = cred ? BPF_CORE_READ((const struct cred *)cred, uid.val)
		    : (__u32)bpf_get_current_uid_gid();
	if (user && !p->account)
		proc_own(p, 0, cred ?: credentials_of(current_task()));
	verdict = quota_verdict(p, table, user);
	if (verdict == QUOTA_USER_FULL)
		__sync_fetch_and_add(&p->places[table].denied, count);
	else if (verdict < 0)
		__sync_fetch_and_add(&p->places[table].refused, count);
	return verdict;
}

/* quota_of() for p and the current task. */
static __always_inline int quota_ask(const struct pymem_proc *p, __u32 table)
{
	return quota_of(p->mm, p->id, table, 0, 0);
}

/* The same; a refusal is counted. */
static __always_inline int quota_allows(const struct pymem_proc *p, __u32 table)
{
	return quota_of(p->mm, p->id, table, 0, 1);
}

/* Counts for the report that p was refused a place. */
static __always_inline void quota_refuse(struct pymem_proc *p, __u32 table, int verdict)
{
	if (verdict == QUOTA_USER_FULL)
		__sync_fetch_and_add(&p->places[table].denied, 1);
	else
		__sync_fetch_and_add(&p->places[table].refused, 1);
}

/* p holds `places` more. */
static __always_inline void quota_hold(struct pymem_proc *p, __u32 table, __s32 places)
{
	__sync_fetch_and_add(&p->places[table].held, places);
}

/* The table has `places` more entries, which name that account. */
static __always_inline void quota_book(__u32 table, __u32 account, __s32 places)
{
	__sync_fetch_and_add(&places_used[table], places);
	__sync_fetch_and_add(&account_at(account)->held[table], places);
}

/* Inserts `value`, which names the account, into the map, for p or for nobody (NULL). Returns what
 * is at the key then; another CPU may have inserted that. NULL: no room. */
static __always_inline void *table_insert(struct pymem_proc *p, __u32 table, void *map,
					  const void *key, const void *value, __u32 account)
{
	if (!bpf_map_update_elem(map, key, value, BPF_NOEXIST)) {
		quota_book(table, account, 1);
		if (p)
			quota_hold(p, table, 1);
	}
	return bpf_map_lookup_elem(map, key);
}

/* Defines name(p, key), which makes an entry of p in `map`, of struct `type`, whose quota is that
 * of the table `vmcalls`: it is of the same size, and as rare. NULL: no room, or p may have no
 * more. A function of its own, as stack_make(). */
#define DEFINE_MAKE(name, type, map)                                                     \
	static __noinline struct type *name(struct pymem_proc *p,                        \
					    const struct pymem_stack_key *key)           \
	{                                                                                \
		struct type value = {};                                                  \
		int account;                                                             \
                                                                                         \
		if (!p || !key)                                                          \
			return NULL;                                                     \
		account = quota_allows(p, PYMEM_TABLE_VMCALLS);                          \
		if (account < 0)                                                         \
			return NULL;                                                     \
		value.account = account;                                                 \
		return table_insert(p, PYMEM_TABLE_VMCALLS, &map, key, &value, account); \
	}

#endif
