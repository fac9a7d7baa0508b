/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The statuses that the program can end with. The help prints this list. */
#ifndef EXIT_STATUS_H
#define EXIT_STATUS_H

/* X(name, number, what the help says) */
#define EXIT_STATUSES(X)                                                         \
	X(EXIT_DONE, 0, "done")                                                  \
	X(EXIT_FAILED, 1, "failed while running")                                \
	X(EXIT_USAGE, 2, "usage")                                                \
	X(EXIT_ENVIRONMENT, 3, "environment (not root, no BTF, kernel too old)") \
	X(EXIT_EXCEEDED, 4, "grown by more than --fail-above")

#define EXIT_STATUS_NUMBER(name, number, meaning) name = (number),
enum exit_status { EXIT_STATUSES(EXIT_STATUS_NUMBER) };
#undef EXIT_STATUS_NUMBER

#endif
