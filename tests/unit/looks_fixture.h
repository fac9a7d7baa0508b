/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a helper runs in place of a look (looker_heap_fn). */
#ifndef LOOKS_FIXTURE_H
#define LOOKS_FIXTURE_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/exit_status.h"

#define LOOK_BRIEF                                                                                \
	"{\"rss_bytes\":4096,\"holders\":[{\"path\":\"shop.kept\",\"type\":\"list\",\"entries\":" \
	"3,"                                                                                      \
	"\"retained_bytes\":2048}],\"holders_in_all\":2,\"types\":[],\"types_in_all\":0}"

static int made(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict, FILE *brief)
{
	(void)start_ticks;
	fprintf(text, "PID %d is kept by x\n", (int)pid);
	fprintf(json, "{\"processes\": []}");
	fprintf(verdict, "kept by \x1b[2J.");
	fprintf(brief, LOOK_BRIEF);
	return EXIT_DONE;
}

static int failed(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		  FILE *brief)
{
	(void)pid, (void)start_ticks, (void)json, (void)verdict, (void)brief;
	fputs("half of it", text);
	fputs("pymem-bpf heap: pid 7: Python 2.7 is\x1b not supported\nmore\n", stderr);
	return EXIT_FAILED;
}

static int slow(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict, FILE *brief)
{
	(void)pid, (void)start_ticks, (void)text, (void)json, (void)verdict, (void)brief;
	for (;;)
		pause();
	return EXIT_DONE;
}

static int killed(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		  FILE *brief)
{
	(void)pid, (void)start_ticks, (void)text, (void)json, (void)verdict, (void)brief;
	/* As the OOM killer does. */
	kill(getpid(), SIGKILL);
	return EXIT_DONE;
}

#endif
