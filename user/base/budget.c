/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/budget.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"

/* Reading the clock is a system call. So it is read only once in so many steps, or so many
 * bytes. */
#define STEPS_A_LOOK 64
#define BYTES_A_LOOK (1 << 20)

struct account {
	uint64_t begin_ms, bytes;
};

static _Thread_local struct {
	bool active;
	struct account process, file;
	unsigned steps;	 /* since the clock was read */
	uint64_t unseen; /* bytes since then */
} budget;

static uint64_t cpu_ms(void)
{
	return clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

void budget_begin(void)
{
	budget.active = true;
	budget.steps = 0;
	budget.unseen = 0;
	budget.process = budget.file = (struct account){.begin_ms = cpu_ms()};
}

void budget_end(void)
{
	budget.active = false;
}

void budget_begin_file(void)
{
	budget.file = (struct account){.begin_ms = budget.active ? cpu_ms() : 0};
}

int budget_spend(size_t bytes)
{
	uint64_t now;

	if (!budget.active)
		return 0;
	budget.process.bytes += bytes;
	budget.file.bytes += bytes;
	budget.unseen += bytes;
	if (budget.process.bytes > BUDGET_PROCESS_BYTES)
		return -EDQUOT;
	if (budget.file.bytes > BUDGET_FILE_BYTES)
		return -EFBIG;
	if (++budget.steps < STEPS_A_LOOK && budget.unseen < BYTES_A_LOOK)
		return 0;
	budget.steps = 0;
	budget.unseen = 0;
	now = cpu_ms();
	if (now - budget.process.begin_ms > BUDGET_PROCESS_MS)
		return -EDQUOT;
	return now - budget.file.begin_ms > BUDGET_FILE_MS ? -EFBIG : 0;
}
