// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Attaches empty programs until it is killed; says "attached" once they are:
 *
 *   empty PID BINARY PROBE…    to probes of the provider python in a process
 *   empty tracepoints          to the kernel's tracepoints that the walk engine is attached to
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "empty.skel.h"

static int attach_probes(struct empty *object, char **argv)
{
	int i;

	for (i = 3; argv[i]; i++) {
		if (!bpf_program__attach_usdt(object->progs.empty, atoi(argv[1]), argv[2], "python",
					      argv[i], NULL)) {
			perror(argv[i]);
			return 1;
		}
	}
	return 0;
}

static int attach_tracepoints(struct empty *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, object->obj) {
		if (program == object->progs.empty)
			continue;
		if (!bpf_program__attach(program)) {
			perror(bpf_program__name(program));
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool tracepoints = argc == 2 && !strcmp(argv[1], "tracepoints");
	struct empty *object;

	if (argc < 4 && !tracepoints) {
		fprintf(stderr, "usage: empty PID BINARY PROBE… | empty tracepoints\n");
		return 2;
	}
	object = empty__open_and_load();
	if (!object) {
		fprintf(stderr, "empty: the programs can't be loaded (run as root)\n");
		return 1;
	}
	if (tracepoints ? attach_tracepoints(object) : attach_probes(object, argv))
		return 1;
	puts("attached");
	fflush(stdout);
	pause();
	return 0;
}
