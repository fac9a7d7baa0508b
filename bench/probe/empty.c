// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Attaches an empty program to probes of the provider python in a process:
 *
 *   empty PID BINARY PROBE…    attached until it is killed; says "attached"
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "empty.skel.h"

int main(int argc, char **argv)
{
	struct empty *object = argc > 3 ? empty__open_and_load() : NULL;
	int i;

	if (!object) {
		fprintf(stderr, "usage: empty PID BINARY PROBE…\n");
		return 2;
	}
	for (i = 3; i < argc; i++) {
		if (!bpf_program__attach_usdt(object->progs.empty, atoi(argv[1]), argv[2], "python",
					      argv[i], NULL)) {
			perror(argv[i]);
			return 1;
		}
	}
	puts("attached");
	fflush(stdout);
	pause();
	return 0;
}
