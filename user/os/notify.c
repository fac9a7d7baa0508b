/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define USEC_MOST (86400ULL * 1000000 * 365)

/* An address with @ before it is one of the abstract namespace. 0 or -errno. */
static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	int fd, err;

	if ((name[0] != '/' && name[0] != '@') || !name[1])
		return -EINVAL;
	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* The time that the manager gives; 0: none, or it is meant for another process. */
static uint64_t watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long value;
	char *end;

	if (!usec || !*usec || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	errno = 0;
	value = strtoull(usec, &end, 10);
	return errno || *end || value > USEC_MOST ? 0 : value * 1000;
}

int notify_open(struct notify *notify)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int fd = name && *name ? connect_to(name) : -1;

	*notify = (struct notify){.fd = fd < 0 ? -1 : fd, .watchdog_ns = fd < 0 ? 0 : watchdog()};
	if (!name || !*name)
		fd = 0;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return fd < 0 ? fd : 0;
}

void notify_send(const struct notify *notify, const char *format, ...)
{
	char text[512];
	va_list args;
	int size;

	if (notify->fd < 0)
		return;
	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size < 0)
		return;
	if ((size_t)size >= sizeof(text))
		size = sizeof(text) - 1;
	/* If it fails, the manager restarts or is busy: it hears the next one. */
	(void)send(notify->fd, text, (size_t)size, MSG_NOSIGNAL);
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}
