/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: any bytes as /proc/PID/maps and as /proc/PID/stat. What is passed on must be a
 * mapping: a path, four permissions, an end after its start. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(const struct proc_mapping *mapping, void *arg)
{
	size_t *bytes = arg;

	if (mapping->start >= mapping->end || strlen(mapping->perms) != 4 || !mapping->path)
		abort();
	*bytes += strlen(mapping->path);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_info info = {0};
	size_t bytes = 0;
	char *text;
	FILE *in;
	int err;

	if (size == 0)
		return 0;
	in = fmemopen((void *)(uintptr_t)data, size, "r");
	if (!in)
		abort();
	err = proc_maps_parse(in, check, &bytes);
	fclose(in);
	if ((err != 0 && err != -EBADMSG) || bytes > size)
		abort();
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	text = malloc(size);
	if (!text)
		abort();
	memcpy(text, data, size);
	err = proc_stat_parse(text, size, &info);
	if ((err != 0 && err != -EBADMSG) || !memchr(info.comm, '\0', sizeof(info.comm)))
		abort();
	free(text);
	return 0;
}
