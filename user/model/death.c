/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/death.h"

#include <signal.h>
#include <stdio.h>

/* Codes above 0 are the kernel's. */
enum death_sender death_sender(const struct death *death)
{
	if (!death->sent)
		return DEATH_SENDER_UNSEEN;
	if (death->code == SI_TIMER)
		return DEATH_SENDER_TIMER;
	return death->code > 0 ? DEATH_SENDER_KERNEL : DEATH_SENDER_PROCESS;
}

enum death_cause death_cause(const struct death *death, int pid)
{
	if (death->victim)
		return DEATH_OOM;
	/* SIGKILL never comes from what a program does. */
	if (death->signal != SIGKILL &&
	    (!death->sent || (death->sender == pid && death->code != SI_TIMER)))
		return DEATH_CRASH;
	return DEATH_KILL;
}

const char *death_cause_name(enum death_cause cause)
{
	static const char *const names[] = {
		[DEATH_OOM] = "oom", [DEATH_KILL] = "kill", [DEATH_CRASH] = "crash"};

	return names[cause];
}

int64_t death_rss(const struct death *death)
{
	return death->anon_bytes + death->file_bytes + death->shmem_bytes;
}

const char *death_signal(int number, char *text, size_t size)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {{SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},
		     {SIGFPE, "SIGFPE"}, {SIGKILL, "SIGKILL"}, {SIGSEGV, "SIGSEGV"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(text, size, "signal %d", number);
	return text;
}

unsigned death_rank(const struct death *death, const struct death_thread *thread, int pid)
{
	if (!thread->depth)
		return 0;
	if (thread->raised || (death->victim && death->sent && thread->tid == death->sender_thread))
		return 3;
	return thread->tid == pid ? 2 : 1;
}
