/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Times as numbers. The functions read a clock with clock_gettime(2). That can't fail for the
 * clocks that this program uses. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

/* The time of `clock` (CLOCK_MONOTONIC, …) in nanoseconds, milliseconds and seconds. */
uint64_t clock_ns(clockid_t clock);
uint64_t clock_ms(clockid_t clock);
double clock_seconds(clockid_t clock);

/* The time in `ms` milliseconds from now, on CLOCK_MONOTONIC, as pthread_cond_timedwait() wants
 * it. */
struct timespec clock_after_ms(unsigned ms);

#endif
