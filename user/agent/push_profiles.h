/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A model as a request to Pyroscope: one series of profiles for each program. */
#ifndef PUSH_PROFILES_H
#define PUSH_PROFILES_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

#define PUSH_PROGRAMS 20 /* that have series of their own; all others are GROUP_PLACE_REST */
/* Of all profiles of a request, before they are compressed. Pyroscope takes 2 MiB at once from one
 * who sends, and two requests may follow one another. */
#define PUSH_PROFILE_BYTES ((size_t)960 << 10)

/* Makes `*body`, which the caller frees. `model` keeps trees. `resident`: what is resident, under
 * the name "kept"; else what came since, under "rss". `*size` 0: there is nothing to tell, and no
 * body. 0 or -errno: -ENOMEM. */
int push_profiles(struct model *model, bool resident, uint8_t **body, size_t *size);

#endif
