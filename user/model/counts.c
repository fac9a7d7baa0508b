/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/counts.h"

#include <stdlib.h>

static void free_thread(struct counts_death_thread *thread)
{
	free((void *)thread->frames);
	thread->frames = NULL;
}

void counts_free_death(struct counts_death *death)
{
	if (!death)
		return;
	for (size_t i = 0; i < death->count; i++)
		free_thread(&death->threads[i]);
	if (death->sender)
		free_thread(death->sender);
	free(death->sender);
	free(death->threads);
	free(death);
}
