/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The statuses that the program ends with, in the manual page and the help too. */
#ifndef EXIT_STATUS_H
#define EXIT_STATUS_H

#define EXIT_DONE	 0
#define EXIT_FAILED	 1 /* while it ran */
#define EXIT_USAGE	 2
#define EXIT_ENVIRONMENT 3 /* not root, no BTF, kernel too old */

#endif
