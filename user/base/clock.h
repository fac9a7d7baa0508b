/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Times as numbers. Each function reads a clock of clock_gettime(2), which can't fail for the
 * clocks that this program names. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

uint64_t clock_ns(clockid_t clock);
uint64_t clock_ms(clockid_t clock);
double clock_seconds(clockid_t clock);

/* The time in `ms` from now on CLOCK_MONOTONIC, for the waits of pthread. */
struct timespec clock_after_ms(unsigned ms);

#endif
