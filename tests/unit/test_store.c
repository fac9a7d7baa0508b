/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* store.c: what one image hands over is bounded, and what does not fit is counted. How messages
 * are read is tests/fuzz/fuzz_store.c's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "store.h"

static int give_stack(struct store *store, uint32_t proc, uint64_t hash)
{
	struct pymem_msg_stack m = {
		.type = PYMEM_MSG_STACK, .proc = proc, .hash = hash, .depth = 8};

	return store_add(store, &m, sizeof(m));
}

static int give_code(struct store *store, uint32_t proc, uint64_t code, uint32_t table_length)
{
	struct pymem_msg_code m = {
		.type = PYMEM_MSG_CODE,
		.proc = proc,
		.code = code,
		.table_length = table_length,
	};

	return store_add(store, &m, sizeof(m));
}

static void test_bounds(void **state)
{
	struct pymem_stack_key key = {.proc = 1, .hash = 1};
	unsigned kept = 0, refused = 0;
	struct store store;
	int err;

	(void)state;
	store_init(&store);
	assert_int_equal(store.image_bytes, STORE_IMAGE_BYTES);
	store.image_bytes = 64 << 10;
	for (uint64_t hash = 1; hash <= 1000; hash++) {
		err = give_stack(&store, 1, hash);
		assert_true(!err || err == -ENOSPC);
		kept += !err;
		refused += err == -ENOSPC;
		key.hash = hash;
		assert_int_equal(store_stack(&store, &key) != NULL, !err);
	}
	assert_true(kept > 50 && refused > 500);
	assert_int_equal(store.refused, refused);
	/* What is there already takes no room; what a code object claims to have does. */
	assert_int_equal(give_stack(&store, 1, 1), 0);
	assert_int_equal(give_code(&store, 2, 1, 1 << 20), -ENOSPC);
	assert_int_equal(give_code(&store, 2, 1, 100), 0);
	/* Each image has its own share, and leaves it behind. */
	assert_int_equal(give_stack(&store, 3, 1), 0);
	store_forget(&store, 1);
	assert_int_equal(give_stack(&store, 1, 1), 0);
	assert_int_equal(store.malformed, 0);
	store_fini(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
