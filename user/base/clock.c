/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/clock.h"

#define NS_PER_SECOND 1000000000ULL

static uint64_t as_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS_PER_SECOND + (uint64_t)t->tv_nsec;
}

uint64_t clock_ns(clockid_t clock)
{
	struct timespec t = {};

	clock_gettime(clock, &t);
	return as_ns(&t);
}

uint64_t clock_ms(clockid_t clock)
{
	return clock_ns(clock) / 1000000;
}

double clock_seconds(clockid_t clock)
{
	struct timespec t = {};

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct timespec clock_after_ms(unsigned ms)
{
	uint64_t ns = clock_ns(CLOCK_MONOTONIC) + ms * 1000000ULL;

	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_SECOND),
				 .tv_nsec = (long)(ns % NS_PER_SECOND)};
}
