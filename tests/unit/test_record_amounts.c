/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/amounts.c and record/facts.c: what is packed comes back as it was, and hostile bytes are
 * refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "counts_table.h"
#include "record/facts.h"

/* A different number in each member. */
static void fill(void *bytes, size_t size, uint64_t first)
{
	uint64_t *words = bytes;

	for (size_t i = 0; i < size / sizeof(*words); i++)
		words[i] = first + i;
}

static void test_fields_of_stacks(void **state)
{
	struct pymem_counters counters, again;
	struct pymem_vmcalls calls = {}, calls_again;
	struct amounts amounts;

	(void)state;
	fill(&counters, sizeof(counters), 100);
	fill(&calls, offsetof(struct pymem_vmcalls, account), 500);
	amounts_of_stack(&amounts, &counters, &calls);
	amounts_to_stack(&amounts, &again, &calls_again);
	assert_memory_equal(&counters, &again, sizeof(counters));
	assert_memory_equal(&calls, &calls_again, sizeof(calls));
	/* Each figure has a field of its own; in between there is room. */
	for (int i = 0; i < STACK_FIELDS; i++) {
		if (i >= (int)STACK_EXTRAS + (int)PYMEM_EXTRA_COUNT && i < STACK_LATER)
			assert_int_equal(amounts.at[i], 0);
		for (int j = 0; j < i; j++)
			assert_true(!amounts.at[i] || amounts.at[i] != amounts.at[j]);
	}
	/* Recordings have these numbers. */
	assert_int_equal(amounts.at[20], calls.stalls[PYMEM_STALL_DIRECT]);
	assert_int_equal(amounts.at[25], calls.stall_ns[PYMEM_STALL_COMPACTION]);
	assert_int_equal(amounts.at[26], calls.reclaimed_pages);
	assert_int_equal(amounts.at[27], calls.extras[0]);
	assert_int_equal(amounts.at[44], calls.stalls[PYMEM_STALL_THROTTLED]);
	assert_int_equal(amounts.at[45], calls.stall_ns[PYMEM_STALL_THROTTLED]);
	assert_int_equal(amounts.at[46], calls.stalls[PYMEM_STALL_HIGH]);
	assert_int_equal(amounts.at[47], calls.stall_ns[PYMEM_STALL_HIGH]);
	amounts_of_stack(&amounts, &counters, NULL);
	amounts_to_stack(&amounts, &again, &calls_again);
	assert_memory_equal(&counters, &again, sizeof(counters));
	memset(&calls, 0, sizeof(calls));
	assert_memory_equal(&calls, &calls_again, sizeof(calls));
}

static void test_fields_of_runs(void **state)
{
	struct pymem_line run = {}, again;
	struct amounts amounts;

	(void)state;
	fill(&run, offsetof(struct pymem_line, account), 7);
	amounts_of_run(&amounts, &run);
	amounts_to_run(&amounts, &again);
	assert_memory_equal(&run, &again, sizeof(run));
}

static void test_fields_of_records(void **state)
{
	struct pymem_proc record = {.truncated = 1,
				    .lost_faults = 2,
				    .unwatched_writes = 3,
				    .threads = 4,
				    .lost_stalls = 5,
				    .lost_stall_ns = 6,
				    .lost_extras = {7, 8, 9}};
	struct pymem_proc again = {};
	struct amounts amounts;
	int i;

	(void)state;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		record.lost_pages[i] = -10 - i;
	for (i = 0; i < PYMEM_TABLE_COUNT; i++) {
		record.places[i].held = 100 + (unsigned)i;
		record.places[i].refused = 200 + (unsigned)i;
		record.places[i].denied = 300 + (unsigned)i;
	}
	amounts_of_record(&amounts, &record);
	assert_int_equal(amounts.at[RECORD_LATE], 0);
	amounts_to_record(&amounts, &again);
	assert_memory_equal(&record, &again, sizeof(record));
	assert_true(PYMEM_LOSS_COUNT <= RECORD_TRUNCATED - RECORD_LOST);
}

/* --- sums --- */

static void test_changes(void **state)
{
	struct amounts before = {}, now = {}, change, sum;

	(void)state;
	for (int kind = 0; kind < AMOUNTS_KINDS; kind++) {
		for (int i = 0; i < AMOUNTS_FIELDS; i++) {
			before.at[i] = 3 * i;
			now.at[i] = i % 2 ? 100 + i : 2 * i;
		}
		amounts_change((enum amounts_kind)kind, &change, &before, &now);
		sum = before;
		amounts_add((enum amounts_kind)kind, &sum, &change);
		for (int i = 0; i < AMOUNTS_FIELDS; i++) {
			bool maximum = (kind == AMOUNTS_STACKS && i == STACK_PEAK) ||
				       (kind == AMOUNTS_RUNS && (i == RUN_USAGE || i == RUN_PEAK));

			if (maximum && now.at[i] < before.at[i])
				assert_int_equal(sum.at[i], before.at[i]);
			else
				assert_int_equal(sum.at[i], now.at[i]);
		}
	}
}

static void test_maxima(void **state)
{
	struct amounts amounts = {.at = {[STACK_ANON] = 5, [STACK_PEAK] = 7}};

	(void)state;
	amounts_drop_maxima(AMOUNTS_STACKS, &amounts);
	assert_int_equal(amounts.at[STACK_ANON], 5);
	assert_int_equal(amounts.at[STACK_PEAK], 0);
	assert_false(amounts_none(&amounts));
	amounts.at[STACK_ANON] = 0;
	assert_true(amounts_none(&amounts));
}

/* Figures of a file may be anything: their sums wrap. */
static void test_overflow(void **state)
{
	struct amounts sum = {.at = {INT64_MAX}}, more = {.at = {1}}, change;

	(void)state;
	amounts_add(AMOUNTS_STACKS, &sum, &more);
	assert_true(sum.at[0] == INT64_MIN);
	amounts_change(AMOUNTS_STACKS, &change, &more, &sum);
	assert_true(change.at[0] == INT64_MAX);
}

/* --- packed --- */

static void test_rows(void **state)
{
	static const int64_t extremes[] = {1,	      -1,	 63,	    -64,
					   64,	      -65,	 1 << 20,   INT64_MAX,
					   INT64_MIN, INT32_MAX, INT32_MIN, 1ll << 62};
	const size_t count = sizeof(extremes) / sizeof(extremes[0]);
	struct amounts_buffer buffer = {};
	struct amounts_reader reader;
	struct amounts row;
	uint64_t id, flags;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		row = (struct amounts){.at = {[AMOUNTS_FIELDS - 1] = -5}};
		row.at[i] = extremes[i];
		amounts_put(&buffer, i ? UINT64_MAX - i : 0, i, &row);
	}
	row = (struct amounts){};
	amounts_put(&buffer, 1, 2, &row);
	assert_false(buffer.failed);
	reader = (struct amounts_reader){buffer.bytes, buffer.bytes + buffer.size, false};
	for (size_t i = 0; i < count; i++) {
		assert_true(amounts_next(&reader, &id, &flags, &row));
		assert_true(id == (i ? UINT64_MAX - i : 0) && flags == i);
		assert_true(row.at[i] == extremes[i] && row.at[AMOUNTS_FIELDS - 1] == -5);
		row.at[i] = row.at[AMOUNTS_FIELDS - 1] = 0;
		assert_true(amounts_none(&row));
	}
	assert_true(amounts_next(&reader, &id, &flags, &row));
	assert_true(amounts_none(&row) && id == 1 && flags == 2);
	assert_false(amounts_next(&reader, &id, &flags, &row));
	assert_false(reader.failed);
	free(buffer.bytes);
}

/* Fields of a later version are passed over. */
static void test_fields_of_later(void **state)
{
	struct amounts_buffer buffer = {};
	struct amounts_reader reader;
	struct amounts row;
	uint64_t id, flags;

	(void)state;
	amounts_put_number(&buffer, 7);
	amounts_put_number(&buffer, 0);
	amounts_put_number(&buffer, 1 | 1ull << 63);
	amounts_put_number(&buffer, 2 * 300);
	amounts_put_number(&buffer, 2 * 1000);
	row = (struct amounts){.at = {4}};
	amounts_put(&buffer, 8, 0, &row);
	reader = (struct amounts_reader){buffer.bytes, buffer.bytes + buffer.size, false};
	assert_true(amounts_next(&reader, &id, &flags, &row));
	assert_true(id == 7 && row.at[0] == 300);
	assert_true(amounts_next(&reader, &id, &flags, &row));
	assert_true(id == 8 && row.at[0] == 4);
	assert_false(amounts_next(&reader, &id, &flags, &row));
	assert_false(reader.failed);
	free(buffer.bytes);
}

/* What a stack mostly has takes few bytes. */
static void test_small(void **state)
{
	struct amounts row = {.at = {[STACK_ANON] = 25, [STACK_GROWN] = 25, [STACK_MINOR] = 25}};
	struct amounts_buffer buffer = {};

	(void)state;
	amounts_put(&buffer, 1000, 0, &row);
	assert_in_range(buffer.size, 1, 8);
	free(buffer.bytes);
}

static void test_numbers_and_bytes(void **state)
{
	static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
	struct amounts_buffer buffer = {};
	struct amounts_reader reader;
	const char *text;
	size_t i, size;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		amounts_put_number(&buffer, numbers[i]);
	amounts_put_bytes(&buffer, "a\0b", 3);
	amounts_put_bytes(&buffer, NULL, 0);
	reader = (struct amounts_reader){buffer.bytes, buffer.bytes + buffer.size, false};
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_true(amounts_next_number(&reader) == numbers[i]);
	text = amounts_next_bytes(&reader, &size);
	assert_int_equal(size, 3);
	assert_memory_equal(text, "a\0b", 3);
	assert_non_null(amounts_next_bytes(&reader, &size));
	assert_int_equal(size, 0);
	assert_false(reader.failed);
	assert_null(amounts_next_bytes(&reader, &size));
	assert_true(reader.failed);
	free(buffer.bytes);
}

/* A row that ends early is refused at each length; so is one with fields that no row has. */
static void test_hostile_rows(void **state)
{
	static const unsigned char endless[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
						  0xff, 0xff, 0xff, 0xff, 0xff};
	/* The value of a later version's field is missing. */
	static const unsigned char mask[] = {1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40};
	struct amounts row = {.at = {INT64_MIN, 300, -7}}, read;
	struct amounts_buffer buffer = {};
	struct amounts_reader reader;
	uint64_t id, flags;

	(void)state;
	amounts_put(&buffer, 12345, 3, &row);
	for (size_t size = 1; size < buffer.size; size++) {
		/* An exact copy, so that the sanitizer sees a read beyond the end. */
		unsigned char *copy = malloc(size);

		memcpy(copy, buffer.bytes, size);
		reader = (struct amounts_reader){copy, copy + size, false};
		assert_false(amounts_next(&reader, &id, &flags, &read));
		assert_true(reader.failed);
		assert_false(amounts_next(&reader, &id, &flags, &read));
		free(copy);
	}
	reader = (struct amounts_reader){endless, endless + sizeof(endless), false};
	assert_int_equal(amounts_next_number(&reader), 0);
	assert_true(reader.failed);
	reader = (struct amounts_reader){mask, mask + sizeof(mask), false};
	assert_false(amounts_next(&reader, &id, &flags, &read));
	assert_true(reader.failed);
	free(buffer.bytes);
}

/* --- facts --- */

static const char comms[COUNTS_COMMS_MAX][16] = {"python3", "fifteen-bytes..", "", ""};

/* A table with all facts there are. `skips` and `unwatched` are the caller's, two of each. */
static void give_facts(struct counts_table *table, struct counts_skip *skips,
		       struct counts_unwatched *unwatched)
{
	skips[0] = (struct counts_skip){7, "java", "it is no Python", &skips[1]};
	skips[1] = (struct counts_skip){8, "a\nb", "\xff", NULL};
	unwatched[0] = (struct counts_unwatched){.parent = 5,
						 .pids = {1, 2},
						 .named = 2,
						 .count = 9,
						 .more = true,
						 .next = unwatched + 1};
	unwatched[1] = (struct counts_unwatched){.parent = 6, .count = 1, .late = true};
	table->facts = (struct counts_facts){
		.dropped_images = 1,
		.dropped_messages = 2,
		.unexamined = 4,
		.unexamined_comms = comms,
		.unseen = 5,
		.copies_error = -ENOTSUP,
		.malformed = 6,
		.refused = 7,
		.image_bytes = 8,
		.all_bytes = 9,
		.no_memory = 10,
		.more_skips = 11,
		.skips_most = 12,
		.stalls = true,
		.skips = skips,
		.unwatched = unwatched,
	};
	for (int i = 0; i < PYMEM_LINE_MISS_COUNT; i++)
		table->facts.line_misses[i] = 20 + (uint64_t)i;
	for (int i = 0; i < COUNTS_GAP_COUNT; i++)
		table->gaps[i] = 30 + (uint64_t)i;
	table->notes[COUNTS_NOTE_KERNEL] = "a kernel without";
	table->notes[COUNTS_NOTE_PROBES] = "a file without";
}

static void pack(struct counts_table *table, struct amounts_buffer *buffer)
{
	struct counts counts = table_counts(table);
	struct counts_facts facts;

	counts.ops->facts(counts.self, &facts);
	facts_pack(buffer, &counts, &facts);
	assert_false(buffer->failed);
}

static void same_numbers(const struct counts_facts *a, const struct counts_facts *b)
{
	struct counts_facts x = *a, y = *b;

	/* All but what they point to. */
	x.unexamined_comms = y.unexamined_comms = NULL;
	x.gaps = y.gaps = NULL;
	x.skips = y.skips = NULL;
	x.unwatched = y.unwatched = NULL;
	x.end = y.end = 0;
	assert_memory_equal(&x, &y, sizeof(x));
}

static void test_facts(void **state)
{
	struct counts_table table = {};
	struct counts_skip skips[2];
	struct counts_unwatched unwatched[2];
	struct amounts_buffer buffer = {};
	struct facts facts;

	(void)state;
	give_facts(&table, skips, unwatched);
	pack(&table, &buffer);
	assert_int_equal(facts_unpack(&facts, buffer.bytes, buffer.size), 0);
	same_numbers(&facts.facts, &table.facts);
	assert_memory_equal(facts.facts.gaps, table.gaps, sizeof(table.gaps));
	assert_memory_equal(facts.facts.unexamined_comms, comms, sizeof(comms));
	assert_string_equal(facts.facts.skips->comm, "java");
	assert_string_equal(facts.facts.skips->reason, "it is no Python");
	assert_int_equal(facts.facts.skips->next->pid, 8);
	assert_string_equal(facts.facts.skips->next->reason, "\xff");
	assert_null(facts.facts.skips->next->next);
	assert_int_equal(facts.facts.unwatched->count, 9);
	assert_int_equal(facts.facts.unwatched->named, 2);
	assert_int_equal(facts.facts.unwatched->pids[1], 2);
	assert_true(facts.facts.unwatched->more && !facts.facts.unwatched->late);
	assert_true(facts.facts.unwatched->next->late);
	assert_string_equal(facts.notes[COUNTS_NOTE_KERNEL]->text, "a kernel without");
	assert_null(facts.notes[COUNTS_NOTE_EVENTS]);
	assert_string_equal(facts.notes[COUNTS_NOTE_PROBES]->text, "a file without");
	facts_free(&facts);
	free(buffer.bytes);
}

static void test_hostile_facts(void **state)
{
	struct counts_table table = {};
	struct counts_skip skips[2];
	struct counts_unwatched unwatched[2];
	struct amounts_buffer buffer = {};
	struct facts facts;
	unsigned seed = 1;

	(void)state;
	give_facts(&table, skips, unwatched);
	pack(&table, &buffer);
	for (size_t size = 0; size < buffer.size; size++) {
		unsigned char *copy = malloc(size + !size);

		memcpy(copy, buffer.bytes, size);
		assert_int_equal(facts_unpack(&facts, size ? copy : NULL, size), -EINVAL);
		facts_free(&facts);
		free(copy);
	}
	for (int round = 0; round < 2000; round++) {
		unsigned char *copy = malloc(buffer.size);
		int err;

		memcpy(copy, buffer.bytes, buffer.size);
		for (int i = 0; i < 3; i++)
			copy[(size_t)rand_r(&seed) % buffer.size] = (unsigned char)rand_r(&seed);
		err = facts_unpack(&facts, copy, buffer.size);
		assert_true(!err || err == -EINVAL);
		for (struct counts_unwatched *u = facts.unwatched; u; u = u->next)
			assert_true(u->named <= COUNTS_UNWATCHED_NAMED && u->named <= u->count);
		facts_free(&facts);
		free(copy);
	}
	free(buffer.bytes);
}

static void test_parts(void **state)
{
	struct amounts_buffer buffer = {}, rows = {};
	struct amounts amounts = {.at = {7, -3}}, again;
	struct amounts_reader reader;
	struct amounts_part part;
	uint64_t id, flags;

	(void)state;
	amounts_put(&rows, 5, 1, &amounts);
	amounts_put(&rows, 6, 0, &amounts);
	amounts_put_part(&buffer, 4000000000u, AMOUNTS_STACKS, &rows);
	rows.size = 0;
	amounts_put_part(&buffer, 1, AMOUNTS_RECORD, &rows);
	assert_false(buffer.failed);
	reader = (struct amounts_reader){buffer.bytes, buffer.bytes + buffer.size, false};
	assert_true(amounts_next_part(&reader, &part));
	assert_int_equal(part.image, 4000000000u);
	assert_int_equal(part.kind, AMOUNTS_STACKS);
	for (uint64_t i = 0; i < 2; i++) {
		assert_true(amounts_next(&part.rows, &id, &flags, &again));
		assert_int_equal(id, 5 + i);
		assert_int_equal(flags, !i);
		assert_memory_equal(&amounts, &again, sizeof(amounts));
	}
	assert_false(amounts_next(&part.rows, &id, &flags, &again));
	assert_false(part.rows.failed);
	assert_true(amounts_next_part(&reader, &part));
	assert_int_equal(part.image, 1);
	assert_int_equal(part.kind, AMOUNTS_RECORD);
	assert_false(amounts_next(&part.rows, &id, &flags, &again));
	assert_false(amounts_next_part(&reader, &part));
	assert_false(reader.failed);
	/* What failed is not written. */
	rows.failed = true;
	amounts_put_part(&buffer, 1, AMOUNTS_RECORD, &rows);
	assert_true(buffer.failed);
	free(rows.bytes);
	free(buffer.bytes);
}

static void test_hostile_parts(void **state)
{
	static const struct {
		unsigned char bytes[16];
		size_t size;
	} bad[] = {
		{{1}, 1},
		{{1, 0}, 2},
		{{1, 0, 5, 1, 2}, 5}, /* more rows than there are bytes */
		{{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, 13},
		{{0x80, 0x80}, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct amounts_reader reader = {bad[i].bytes, bad[i].bytes + bad[i].size, false};
		struct amounts_part part;

		assert_false(amounts_next_part(&reader, &part));
		assert_true(reader.failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_of_stacks),
		cmocka_unit_test(test_fields_of_runs),
		cmocka_unit_test(test_fields_of_records),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_maxima),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_hostile_parts),
		cmocka_unit_test(test_fields_of_later),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_numbers_and_bytes),
		cmocka_unit_test(test_hostile_rows),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_hostile_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
