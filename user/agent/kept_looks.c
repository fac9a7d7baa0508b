/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/kept_looks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/looker.h"
#include "model/heap_brief.h"
#include "render/json_parts.h"

static bool is_of(const struct kept_look *look, pid_t pid, uint64_t start_ticks)
{
	return look->brief && look->pid == pid && look->start_ticks == start_ticks;
}

/* That of the process before; else a free place, or the oldest one. */
static struct kept_look *place_for(struct kept_looks *kept, pid_t pid, uint64_t start_ticks)
{
	struct kept_look *best = &kept->all[0];

	for (int i = 0; i < KEPT_LOOKS_MOST; i++) {
		struct kept_look *look = &kept->all[i];

		if (is_of(look, pid, start_ticks))
			return look;
		if (best->brief && (!look->brief || look->time < best->time))
			best = look;
	}
	return best;
}

/* The text of a file. 0, or -errno; the caller frees it. */
static int read_brief(int fd, char **text)
{
	ssize_t got;

	*text = malloc(LOOKER_BRIEF_MOST + 1);
	if (!*text)
		return -ENOMEM;
	got = pread(fd, *text, LOOKER_BRIEF_MOST, 0);
	if (got < 0) {
		int err = -errno;

		free(*text);
		*text = NULL;
		return err;
	}
	(*text)[got] = '\0';
	return 0;
}

int kept_looks_take(struct kept_looks *kept, pid_t pid, uint64_t start_ticks, double time, int fd)
{
	struct kept_look *place;
	json_t *value;
	char *text, *brief;
	int err = read_brief(fd, &text);

	if (err)
		return err;
	value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (!heap_brief_is_one(value)) {
		json_decref(value);
		return -EINVAL;
	}
	brief = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(value);
	if (!brief)
		return -ENOMEM;
	place = place_for(kept, pid, start_ticks);
	free(place->brief);
	*place = (struct kept_look){pid, start_ticks, time, brief};
	return 0;
}

void kept_looks_free(struct kept_looks *kept)
{
	for (int i = 0; i < KEPT_LOOKS_MOST; i++)
		free(kept->all[i].brief);
	*kept = (struct kept_looks){};
}

json_t *kept_looks_find(const struct kept_looks *kept, pid_t pid, uint64_t start_ticks, double at)
{
	const struct kept_look *look = NULL;
	json_t *value;

	for (int i = 0; i < KEPT_LOOKS_MOST && !look; i++)
		if (is_of(&kept->all[i], pid, start_ticks))
			look = &kept->all[i];
	if (!look)
		return json_null();
	value = json_loads(look->brief, 0, NULL);
	if (!value)
		return NULL;
	if (!json_object_set_new(value, "time", json_time(look->time)) &&
	    !json_object_set_new(value, "age_s",
				 json_real((double)(int64_t)((at - look->time) * 1000) / 1000)))
		return value;
	json_decref(value);
	return NULL;
}
