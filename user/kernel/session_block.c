/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counter blocks that processes read about themselves. Each is a small map of its own, so that a
 * client who gets its descriptor sees no other's. The kernel refuses a shared mapping of a
 * descriptor that was opened read-only, so a client gets an ordinary one. The map is frozen: nobody
 * can write to it from user space. But a client that may load BPF programs can still write to its
 * counter block, and mislead itself. So nothing is read from there, neither here nor by the BPF
 * side, which has its own records (block_records).
 *
 * The place of a counter block in the tables of the BPF side is its number modulo PYMEM_BLOCKS. A
 * number is not used again: a process that still refers to one that is gone refers to nothing. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/array.h"
#include "pymem_block.h"
#include "kernel/session_private.h"

static struct block_slot *slot_of(const struct session *session, int number)
{
	struct block_slot *slot;

	if (!session->blocks || number <= 0)
		return NULL;
	slot = &session->blocks[number % PYMEM_BLOCKS];
	return slot->number == number ? slot : NULL;
}

/* A number whose place is free, or -ENOSPC. */
static int new_number(struct session *session)
{
	int i, number = session->last_block;

	for (i = 0; i < PYMEM_BLOCKS; i++) {
		number = number == INT_MAX ? 1 : number + 1;
		if (!session->blocks[number % PYMEM_BLOCKS].number)
			return number;
	}
	return -ENOSPC;
}

/* Makes the map of counter block `number`. Only the BPF side writes to it. A descriptor or
 * -errno. */
static int block_map_create(int number)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct pymem_block *first = calloc(1, sizeof(*first));
	uint32_t zero = 0;
	int fd, err = 0;

	if (!first)
		return -ENOMEM;
	first->version = PYMEM_BLOCK_VERSION;
	first->serial = number;
	first->slots = 1;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pymem_block", sizeof(zero), sizeof(*first), 1,
			    &opts);
	if (fd < 0 || bpf_map_update_elem(fd, &zero, first, BPF_ANY) || bpf_map_freeze(fd))
		err = -errno;
	free(first);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

/* The BPF side's record of the counter block; all 0: there is none. */
static struct pymem_block_record record_of(const struct session *session, int number)
{
	struct pymem_block_record record;
	uint32_t place = number % PYMEM_BLOCKS;

	if (bpf_map_lookup_elem(bpf_map__fd(session->bpf.map.block_records), &place, &record) ||
	    (int)record.serial != number)
		memset(&record, 0, sizeof(record));
	return record;
}

/* Registers the counter block at the BPF side; with number 0, empties the place. 0 or -errno. */
static int record_set(struct session *session, uint32_t place, int number)
{
	const struct pymem_block_record record = {.serial = number, .slots = 1};

	if (bpf_map_update_elem(bpf_map__fd(session->bpf.map.block_records), &place, &record,
				BPF_ANY))
		return -errno;
	return 0;
}

static int block_create(struct session *session, struct block_slot *slot, int number)
{
	uint32_t place = number % PYMEM_BLOCKS;
	int err;

	slot->fd = block_map_create(number);
	if (slot->fd < 0)
		return slot->fd;
	slot->block = mmap(NULL, sizeof(struct pymem_block), PROT_READ, MAP_SHARED, slot->fd, 0);
	if (slot->block == MAP_FAILED) {
		err = -errno;
		close(slot->fd);
		return err;
	}
	err = 0;
	if (bpf_map_update_elem(bpf_map__fd(session->bpf.map.blocks), &place, &slot->fd, BPF_ANY))
		err = -errno;
	if (!err)
		err = record_set(session, place, number);
	if (err) {
		munmap((void *)slot->block, sizeof(struct pymem_block));
		close(slot->fd);
		return err;
	}
	return 0;
}

int session_block_new(struct session *session)
{
	struct block_slot *slot;
	int number, err;

	if (!session->blocks)
		session->blocks = calloc(PYMEM_BLOCKS, sizeof(*session->blocks));
	if (!session->blocks)
		return -ENOMEM;
	number = new_number(session);
	if (number < 0)
		return number;
	slot = &session->blocks[number % PYMEM_BLOCKS];
	err = block_create(session, slot, number);
	if (err)
		return err;
	slot->number = number;
	session->last_block = number;
	return number;
}

const struct pymem_block *session_block(const struct session *session, int number)
{
	struct block_slot *slot = slot_of(session, number);

	return slot ? slot->block : NULL;
}

int session_block_fd(const struct session *session, int number)
{
	struct block_slot *slot = slot_of(session, number);
	int fd;

	if (!slot)
		return -ENOENT;
	fd = fcntl(slot->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Runs the program block_command with four arguments; each command uses some of them. 0 or
 * -errno. */
static int block_command(struct session *session, int number, enum pymem_block_command command,
			 uint64_t third, uint64_t fourth)
{
	uint64_t arguments[4] = {number, command, third, fourth};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = arguments, .ctx_size_in = sizeof(arguments));
	int program = bpf_program__fd(session->bpf.program.block_command);

	if (bpf_prog_test_run_opts(program, &opts))
		return -errno;
	return opts.retval ? -ENOENT : 0;
}

int session_block_do(struct session *session, int number, enum pymem_block_command command,
		     unsigned slot)
{
	return block_command(session, number, command, slot, 0);
}

/* Takes one off the filter's count of entries at `slot`. */
static void filter_leave(volatile uint32_t *filter, uint32_t slot)
{
	__sync_fetch_and_sub(&filter[slot], 1);
}

/* Deletes an image's entries, and takes it out of the filters. The BPF side
 * does the same at an image's end: proc_end(). */
static void forget_image(struct session *session, const struct pymem_proc *p)
{
	uint64_t mm = p->mm;
	uint32_t tgid = p->tgid, payer = p->payer % PYMEM_PAYERS;
	volatile struct pymem_payer *payers = session->bpf.variable.payers;

	if (!bpf_map_delete_elem(bpf_map__fd(session->bpf.map.tgids), &tgid))
		filter_leave(session->bpf.variable.tgid_filter, tgid & (PYMEM_FILTER_SLOTS - 1));
	if (bpf_map_delete_elem(bpf_map__fd(session->bpf.map.procs), &mm))
		return;
	filter_leave(session->bpf.variable.mm_filter, pymem_mm_slot(mm));
	if (payer) {
		__sync_fetch_and_sub(&payers[payer].images, 1);
		__sync_fetch_and_sub(&payers[0].images, 1);
	}
}

int session_block_around(const struct session *session, int number)
{
	struct pymem_block_record record = record_of(session, number);
	int i;

	for (i = 0; record.outer && i < PYMEM_BLOCK_NESTED; i++) {
		record = record_of(session, record.outer);
		if (record.serial && !record.closing)
			return record.serial;
	}
	return 0;
}

struct leaving {
	uint32_t number;
	struct pymem_proc *images;
	size_t count, room;
};

static int note_image(const struct pymem_proc *p, void *arg)
{
	struct leaving *l = arg;

	if (p->block != l->number && p->tree != l->number)
		return 0;
	if (!ARRAY_HAS_ROOM(l->images, l->count, l->room))
		return -ENOMEM;
	l->images[l->count++] = *p;
	return 0;
}

/* Forgets the processes that are tracked only for counter block `number`. A process that also
 * belongs to the sum of the block around it stays tracked for that one. */
static void leave_block(struct session *session, int number, int outer)
{
	struct leaving l = {.number = number};
	size_t i;

	/* If memory runs out, processes that were not noted stay tracked, for nothing. */
	session_each_live(session, note_image, &l);
	for (i = 0; i < l.count; i++) {
		/* If it can't leave, it has ended. */
		if (outer)
			block_command(session, number, PYMEM_BLOCK_DO_LEAVE, l.images[i].mm,
				      l.images[i].id);
		else
			forget_image(session, &l.images[i]);
	}
	free(l.images);
	for (i = 0; i < PYMEM_BLOCKS; i++)
		if (session->blocks[i].number &&
		    (int)record_of(session, session->blocks[i].number).outer == number)
			block_command(session, session->blocks[i].number, PYMEM_BLOCK_DO_CLIMB, 0,
				      0);
}

void session_block_free(struct session *session, int number)
{
	struct block_slot *slot = slot_of(session, number);
	uint32_t place = number % PYMEM_BLOCKS;

	if (!slot)
		return;
	session_block_do(session, number, PYMEM_BLOCK_DO_END, 0);
	leave_block(session, number, session_block_around(session, number));
	record_set(session, place, 0);
	bpf_map_delete_elem(bpf_map__fd(session->bpf.map.blocks), &place);
	munmap((void *)slot->block, sizeof(struct pymem_block));
	close(slot->fd);
	slot->number = 0;
}

void session_blocks_free(struct session *session)
{
	int i;

	for (i = 0; session->blocks && i < PYMEM_BLOCKS; i++)
		session_block_free(session, session->blocks[i].number);
	free(session->blocks);
	session->blocks = NULL;
}
