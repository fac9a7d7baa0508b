/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process that a signal ended has said last. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void model_death_free(struct model_death *death)
{
	if (!death)
		return;
	for (size_t i = 0; i < death->count; i++)
		free(death->threads[i].frames);
	if (death->sender)
		free(death->sender->frames);
	free(death->sender);
	free(death->threads);
	free(death);
}

const struct model_death_thread *model_death_stack(const struct model_death *death, size_t i)
{
	if (!death || i > death->count)
		return NULL;
	return i < death->count ? &death->threads[i] : death->sender;
}

int model_set_death(struct model_process *process, const struct death *facts, size_t count)
{
	struct model_death *death = calloc(1, sizeof(*death));

	if (death && count)
		death->threads = calloc(count, sizeof(*death->threads));
	if (!death || (count && !death->threads)) {
		free(death);
		return -ENOMEM;
	}
	death->facts = *facts;
	model_death_free(process->death);
	process->death = death;
	return 0;
}

static int take_thread(struct model_death_thread *thread, const struct death_thread *facts,
		       const struct model_location *const *frames)
{
	*thread = (struct model_death_thread){.facts = *facts};
	if (!facts->depth)
		return 0;
	thread->frames = calloc(facts->depth, sizeof(const struct model_location *));
	if (!thread->frames)
		return -ENOMEM;
	memcpy(thread->frames, frames, facts->depth * sizeof(const struct model_location *));
	return 0;
}

int model_add_last(struct model_process *process, const struct death_thread *facts,
		   const struct model_location *const *frames)
{
	struct model_death *death = process->death;
	int err = take_thread(&death->threads[death->count], facts, frames);

	if (!err)
		death->count++;
	return err;
}

int model_set_sender(struct model_process *process, const struct death_thread *facts,
		     const struct model_location *const *frames)
{
	struct model_death_thread *sender = calloc(1, sizeof(*sender));

	if (!sender || take_thread(sender, facts, frames)) {
		free(sender);
		return -ENOMEM;
	}
	process->death->sender = sender;
	return 0;
}

const struct model_death_thread *model_last_thread(const struct model_process *process)
{
	const struct model_death *death = process->death;
	const struct model_death_thread *best = NULL;
	unsigned most = 0, rank;

	for (size_t i = 0; death && i < death->count; i++) {
		rank = death_rank(&death->facts, &death->threads[i].facts, process->pid);
		if (rank <= most)
			continue;
		most = rank;
		best = &death->threads[i];
	}
	return best;
}

const struct model_line *model_grew_most(const struct model_process *process)
{
	const struct model_line *most = NULL;

	for (size_t i = 0; i < process->line_count; i++)
		if (process->lines[i].grown_bytes > (most ? most->grown_bytes : 0))
			most = &process->lines[i];
	return most;
}
