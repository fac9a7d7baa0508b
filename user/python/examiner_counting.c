/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the examiner does for examiner_collections.c.
 *
 * Problem: a request is about many processes, and one of them may hold it up for ever. Only the
 * examiner knows which, and then it can't answer any more. So it says whom it reads before it does,
 * in memory that it shares with those who ask. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "os/proc.h"
#include "python/examiner.h"
#include "python/examiner_helper.h"
#include "python/examiner_private.h"

/* --- whom the examiner reads --- */

static _Atomic int32_t *reading; /* NULL: not yet known */

int examiner_share_reading(void)
{
	void *page;

	if (reading)
		return 0;
	page = mmap(NULL, sizeof(*reading), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	if (page == MAP_FAILED)
		return -errno;
	reading = page;
	return 0;
}

void examiner_read_none(void)
{
	atomic_store(reading, 0);
}

pid_t examiner_reading(void)
{
	return reading ? atomic_load(reading) : 0;
}

/* --- what the examiner does --- */

static bool read_of(void *pid, uint64_t addr, void *to, size_t size)
{
	return proc_read_memory(*(const pid_t *)pid, addr, to, size) == (ssize_t)size;
}

int examiner_do_find_collector(struct py_image_cache *cache, pid_t pid, void **body, size_t *size)
{
	static struct py_process process;
	static struct wire_collector found;
	int err = py_process_identify(cache, pid, &process);

	found = (struct wire_collector){};
	*body = &found;
	*size = sizeof(found);
	if (err)
		return err == -ENOTSUP ? -EINVAL : err;
	err = py_collector_find(&process, read_of, &pid, &found.place);
	if (err == -ENOTSUP)
		py_collector_explain(&process, found.why, sizeof(found.why));
	return err;
}

static int count(const struct wire_counter *item, uint64_t counts[PY_GENERATIONS])
{
	unsigned char bytes[PY_COLLECTOR_BYTES];
	ssize_t n;

	if (item->place.bytes > sizeof(bytes))
		return -EINVAL;
	n = proc_read_memory(item->pid, item->place.addr, bytes, item->place.bytes);
	if (n < 0)
		return (int)n;
	if ((size_t)n < item->place.bytes)
		return -EFAULT;
	return py_collector_counts(&item->place, bytes, counts) ? 0 : -EAGAIN;
}

void examiner_do_count(const void *items, size_t bytes, void **body, size_t *size)
{
	static struct wire_counts results[WIRE_COUNTERS_MAX];
	const struct wire_counter *all = items;
	size_t total = bytes / sizeof(*all);

	if (total > WIRE_COUNTERS_MAX)
		total = WIRE_COUNTERS_MAX;
	for (size_t i = 0; i < total; i++) {
		atomic_store(reading, all[i].pid);
		results[i] = (struct wire_counts){};
		results[i].error = count(&all[i], results[i].counts);
	}
	*body = results;
	*size = total * sizeof(*results);
}
