/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recorder wants the counts of collections of hundreds of processes each second. A
 * request for each process would cost more than the reading. So one request has many processes.
 *
 * If such a request never ends, one of them is to blame: examiner_counting.c knows which. */
#include <errno.h>
#include <string.h>

#include "python/examiner.h"
#include "python/examiner_private.h"

int examiner_find_collector(pid_t pid, struct py_collector *collector, char why[EXAMINER_WHY])
{
	struct wire_message request = {.head.op = WIRE_COLLECTOR}, answer;
	int err = examiner_ask_about(pid, &request, &answer);

	*why = '\0';
	if (err)
		return err;
	if (answer.head.body_bytes == sizeof(struct wire_collector)) {
		const struct wire_collector *found = answer.body;

		err = answer.head.result;
		*collector = found->place;
		memcpy(why, found->why, EXAMINER_WHY);
	} else {
		err = -ENOTCONN;
	}
	wire_fini(&answer);
	return err;
}

static void take(const struct wire_message *answer, struct examiner_counted *const *asked,
		 size_t count)
{
	const struct wire_counts *results = answer->body;

	for (size_t i = 0; i < count; i++) {
		asked[i]->error = results[i].error;
		memcpy(asked[i]->counts, results[i].counts, sizeof(asked[i]->counts));
	}
}

static void ask(struct examiner_counted *const *asked, size_t count)
{
	static struct wire_counter items[WIRE_COUNTERS_MAX];
	struct wire_message request = {.head = {.op = WIRE_COLLECTIONS}, .body = items}, answer;
	pid_t to_blame = 0;
	int err;

	for (size_t i = 0; i < count; i++)
		items[i] = (struct wire_counter){asked[i]->pid, asked[i]->collector};
	request.head.body_bytes = count * sizeof(*items);
	err = examiner_ask_about_many(&request, &answer, &to_blame);
	if (!err && answer.head.body_bytes != count * sizeof(struct wire_counts)) {
		wire_fini(&answer);
		err = -ENOTCONN;
	}
	if (!err) {
		take(&answer, asked, count);
		wire_fini(&answer);
		return;
	}
	/* The others are not to blame for it, and are read the next time. */
	for (size_t i = 0; i < count; i++)
		asked[i]->error = err == -ETIME && asked[i]->pid != to_blame ? -EAGAIN : err;
}

void examiner_count_collections(struct examiner_counted *all, size_t total)
{
	struct examiner_counted *asked[WIRE_COUNTERS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < total; i++) {
		all[i].error = examiner_may_ask(all[i].pid);
		if (!all[i].error)
			asked[count++] = &all[i];
		if (count == WIRE_COUNTERS_MAX) {
			ask(asked, count);
			count = 0;
		}
	}
	if (count)
		ask(asked, count);
}
