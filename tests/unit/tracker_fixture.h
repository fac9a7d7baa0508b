/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A tracker with a BPF side in memory (fake_kernel.h), attached to this process. */
#ifndef TRACKER_FIXTURE_H
#define TRACKER_FIXTURE_H

#include "fake_session.h"

#include <unistd.h>

#include "report/report.h"
#include "track/tracker_private.h"

/* No process has such a PID. */
#define PID(n) (5000000 + (n))

struct given {
	struct session *session;
	struct tracker tracker;
	struct report *report; /* of all that is tracked */
	int64_t page;
	uint32_t self; /* the image of this process, which is attached */
};

static void given_new(struct given *g)
{
	char reason[256];

	memset(g, 0, sizeof(*g));
	g->session = fake_new();
	assert_int_equal(tracker_init(&g->tracker, g->session, false, false), 0);
	g->session->identify_error = 0;
	assert_int_equal(tracker_attach(&g->tracker, getpid(), reason, sizeof(reason)), 0);
	/* New processes are no Python, unless their parent is one. */
	g->session->identify_error = -ENOENT;
	g->self = getpid();
	g->page = sysconf(_SC_PAGESIZE);
	g->report = report_new(tracker_counts(&g->tracker), 0, 64 << 20, false);
	assert_non_null(g->report);
}

static void given_free(struct given *g)
{
	report_free(g->report);
	tracker_fini(&g->tracker);
	fake_free(g->session);
}

static int setup(void **state)
{
	*state = malloc(sizeof(struct given));
	assert_non_null(*state);
	given_new(*state);
	return 0;
}

static int teardown(void **state)
{
	given_free(*state);
	free(*state);
	return 0;
}

static void poll_all(struct given *g)
{
	assert_true(tracker_poll(&g->tracker, 0) >= 0);
}

static inline struct image *image(struct given *g, uint32_t id)
{
	return tracker_image(&g->tracker, id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
