/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tells the service manager how the service is: sd_notify(3), the datagrams of which are described
 * there. Without a manager that listens (NOTIFY_SOCKET), all functions do nothing. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdint.h>

struct notify {
	int fd;		      /* connected; -1: nobody listens */
	uint64_t watchdog_ns; /* so often it wants to hear of us; 0: it does not */
};

/* Connects to the manager, and removes its variables from the environment: they are not for
 * children. Before confine(). 0, or -errno: NOTIFY_SOCKET names no socket that can be reached. */
int notify_open(struct notify *notify);
/* Sends assignments, such as "READY=1", one a line. What the manager does not take is lost: it
 * comes again. */
void notify_send(const struct notify *notify, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void notify_close(struct notify *notify);

#endif
