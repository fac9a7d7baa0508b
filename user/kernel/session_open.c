/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds out what the kernel has, and opens the BPF object for it. Each takes some milliseconds, and
 * most kernels want the same object: so it is opened meanwhile. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>

#include "kernel/bpf_object.h"
#include "kernel/kernel.h"
#include "kernel/parallel_load.h"
#include "kernel/session_private.h"
#include "os/quiet_thread.h"

static void *probe(void *kernel)
{
	kernel_probe(kernel);
	return NULL;
}

int session_open(struct session *session)
{
	pthread_t prober;
	bool apart = quiet_thread(&prober, probe, &session->kernel);
	int err;

	if (!apart)
		kernel_probe(&session->kernel);
	err = parallel_load_prepare();
	if (!err) {
		session->object = object_open(false, &session->bpf);
		err = session->object ? 0 : -errno;
	}
	if (apart)
		pthread_join(prober, NULL);
	if (err || !session->kernel.batched_counters)
		return err;
	bpf_object__close(session->object);
	session->object = object_open(true, &session->bpf);
	return session->object ? 0 : -errno;
}
