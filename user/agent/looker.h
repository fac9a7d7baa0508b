/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A helper process that looks at heaps, for an agent that has given up the rights that it takes. It
 * does one look at a time, each in a child process, which is killed if it takes too long. */
#ifndef LOOKER_H
#define LOOKER_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define LOOKER_VERDICT_MOST 512 /* bytes */
#define LOOKER_SAID_MOST    65536
#define LOOKER_BRIEF_MOST   65536

/* Looks at the heap of process `pid`, which began at `start_ticks` (proc_start_ticks()), and writes
 * what it found as text and as JSON, the answer in one line, which is not escaped, into `verdict`,
 * and the look in brief (model/heap_brief.h) into `brief`. Messages go to stderr. Runs in a process
 * of its own. Returns an exit status (exit_status.h). */
typedef int looker_heap_fn(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
			   FILE *brief);

struct looker {	      /* all zeros: there is none, and looker_end() does nothing */
	pid_t helper; /* 0: none */
	int socket;   /* readable when there is an answer, or the helper has ended */
	int pidfd;
};

struct looker_request {
	int32_t pid;
	uint64_t start_ticks; /* proc_start_ticks() of the process that is meant */
	uint64_t rss_most;    /* bytes: if it has more RSS when its turn comes, there is no look */
	uint64_t file_most;   /* bytes of the text, and of the JSON */
};

enum looker_result {
	LOOKER_MADE,
	LOOKER_FAILED,	  /* said in `said` */
	LOOKER_LATE,	  /* it took too long, and was given up */
	LOOKER_ENDED,	  /* the process ended before its memory was copied */
	LOOKER_DIED,	  /* the child was killed: for want of memory, perhaps */
	LOOKER_TOO_LARGE, /* the process: rss_most */
	LOOKER_TOO_MUCH,  /* was found: file_most */
	LOOKER_NO_ROOM	  /* a file in memory, or the child, could not be made */
};

struct looker_answer {
	enum looker_result result;
	/* Files in memory, at any position: what the look has written, the answer in one line
	 * (LOOKER_VERDICT_MOST), its messages (LOOKER_SAID_MOST, which end with '\0' before), and
	 * the look in brief (LOOKER_BRIEF_MOST).
	 * The child may have written anything, but no more than that. The caller closes them
	 * (looker_close()); -1: there is none. */
	int text, json, verdict, said, brief;
};

/* Forks the helper, which gives up what it does not need. Call it early, before this process has
 * what the helper must not inherit, and before rights are given up. A look may take `most_ms`. 0 or
 * -errno. */
int looker_fork(struct looker *looker, looker_heap_fn *heap, unsigned most_ms);
/* Asks for a look; the one before was answered. 0, or -errno: the helper is gone. */
int looker_ask(const struct looker *looker, const struct looker_request *request);
/* Takes the answer. 0; -EAGAIN: there is none yet; another -errno: the helper is gone. */
int looker_take(const struct looker *looker, struct looker_answer *answer);
void looker_close(struct looker_answer *answer);
/* Ends the helper, and a look that goes on. */
void looker_end(struct looker *looker);

#endif
