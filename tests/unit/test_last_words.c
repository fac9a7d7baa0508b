/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Last words in a report, in a recording, as text, and in a file of their own; hostile ones, too.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>

#include "cli/oom_document.h"
#include "cli/oom_extras.h"
#include "model/death.h"
#include "record_fixture.h"
#include "render/last_words.h"

#define MIB (1 << 20)

static const struct counts_frame frames[] = {
	{.line = 7, .first_line = 5, .file = "/srv/app/shop.py", .function = "load"},
	{.line = 20, .first_line = 1, .file = "/srv/app/shop.py", .function = "<module>"}};
static const struct counts_frame sleeping[] = {
	{.line = 3, .first_line = 1, .file = "/srv/app/rest.py", .function = "rest"}};

static struct counts_death_thread threads[] = {
	{{.tid = 1050, .name = "sleeper", .depth = 1}, sleeping},
	{{.tid = 1001, .name = "python3", .depth = 2, .truncated = true}, frames},
	{{.tid = 1051, .name = "lost", .loss = PYMEM_LOSS_UNREADABLE}, NULL},
};

static const struct counts_frame asking[] = {
	{.line = 31, .first_line = 30, .file = "/srv/other/ask.py", .function = "ask"},
	{.line = 40, .first_line = 1, .file = "/srv/other/ask.py", .function = "<module>"}};
static struct counts_death_thread asker = {
	{.tid = 4001, .name = "celery", .depth = 2, .truncated = true}, asking};

static struct counts_death killed(void)
{
	return (struct counts_death){
		.facts =
			{
				.time = RUN_START + 1.5,
				.signal = SIGKILL,
				.code = DEATH_BY_KERNEL,
				.victim = true,
				.sent = true,
				.sender = 4000,
				.sender_thread = 4000,
				.sender_uid = 33,
				.sender_comm = "java",
				.anon_bytes = 60 * MIB,
				.file_bytes = 4 * MIB,
				.swap_bytes = 2 * MIB,
				.limit_bytes = 64 * MIB,
				.threads = 3,
				.group = {.state = CGROUP_LAST_READ,
					  .path = "/shop",
					  .late_ns = 400000,
					  .bytes = {[CGROUP_TOTAL] = 64 * MIB,
						    [CGROUP_ANON] = 61 * MIB,
						    [CGROUP_FILE] = 2 * MIB,
						    [CGROUP_KERNEL] = MIB},
					  .idle_bytes = MIB,
					  .events = {[CGROUP_EVENT_MAX] = 12,
						     [CGROUP_EVENT_OOM_KILL] = 1}},
			},
		.threads = threads,
		.count = 3,
	};
}

/* Without no-break spaces. */
static void plain(char *text)
{
	for (char *at = text; (at = strstr(at, "\xc2\xa0"));) {
		*at = ' ';
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
}

static char *words(const struct model_process *process, bool named)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	last_words_write(out, NULL, process, named);
	fclose(out);
	plain(text);
	return text;
}

static void check_words(const struct model_process *process, bool named, const char *wanted)
{
	char *text = words(process, named);

	assert_string_equal(text, wanted);
	free(text);
}

/* A process with that death, whose line 12 grew it by 48 MiB. */
static struct model_process *process_of(struct model *model, const struct counts_death *death)
{
	char *command[] = {"python3", "/srv/app/shop.py", NULL};
	struct model_process *p =
		model_add_process(model, 1001, 1, "python3", command, "/a", "3.11.2", "walk");
	const struct model_location *found[2];
	struct pymem_counters counters = {.grown_pages = 48 * MIB / model->page_size};

	assert_int_equal(model_set_death(p, &death->facts, death->count), 0);
	for (size_t i = 0; i < death->count; i++) {
		for (unsigned j = 0; j < death->threads[i].facts.depth; j++)
			found[j] = model_location(model, death->threads[i].frames[j].file,
						  death->threads[i].frames[j].function,
						  death->threads[i].frames[j].line, 1);
		assert_int_equal(model_add_last(p, &death->threads[i].facts, found), 0);
	}
	if (death->sender) {
		for (unsigned j = 0; j < death->sender->facts.depth; j++)
			found[j] = model_location(model, death->sender->frames[j].file,
						  death->sender->frames[j].function,
						  death->sender->frames[j].line, 1);
		assert_int_equal(model_set_sender(p, &death->sender->facts, found), 0);
	}
	found[0] = model_location(model, "/srv/app/shop.py", "cache", 12, 1);
	assert_int_equal(model_add_stack(model, p, found, 1, false, &counters, NULL), 0);
	assert_int_equal(model_compute(model), 0);
	return p;
}

#define GREW "; most was added by /srv/app/shop.py:12 cache (48.0 MiB)."
#define AT   " at 2023-11-14 22:13:21 UTC: RSS 64.0 MiB"
#define MORE ", swapped out 2.0 MiB, limit of its control group 64.0 MiB"

static void test_sentences(void **state)
{
	struct counts_death death = killed();
	struct model *model = model_new(4096);
	struct model_process *p = process_of(model, &death);

	(void)state;
	check_words(p, false,
		    "Killed by the kernel's OOM killer" AT MORE
		    "; java (PID 4000, user 33) asked for memory. It was in /srv/app/shop.py:7 "
		    "load" GREW);
	p->death->facts.sender = 1001;
	p->death->facts.sender_thread = 1050; /* which asked */
	check_words(p, true,
		    "PID 1001 was killed by the kernel's OOM killer" AT MORE
		    "; it asked for memory itself. It was in /srv/app/rest.py:3 rest" GREW);
	p->death->facts.victim = false;
	p->death->facts.swap_bytes = 0;
	p->death->facts.limit_bytes = -1;
	check_words(p, false,
		    "Killed by the kernel with SIGKILL" AT
		    ". It was in /srv/app/shop.py:7 load" GREW);
	p->death->facts.code = 0;
	p->death->facts.sender = 4000;
	check_words(p, false,
		    "Killed by java (PID 4000, user 33) with SIGKILL" AT
		    ". It was in /srv/app/shop.py:7 load" GREW);
	p->death->facts.sent = false;
	check_words(p, false,
		    "Killed by somebody who was not seen with SIGKILL" AT
		    ". It was in /srv/app/shop.py:7 load" GREW);
	p->death->facts.signal = SIGSEGV;
	p->death->threads[0].facts.raised = true;
	check_words(p, true,
		    "PID 1001 crashed with SIGSEGV" AT ". It was in /srv/app/rest.py:3 rest" GREW);
	p->death->facts.sent = true; /* by somebody else */
	p->death->facts.signal = 35;
	snprintf(p->death->facts.sender_comm, 16, "%s", "\x1b[2Jx");
	check_words(p, false,
		    "Killed by \\x1b[2Jx (PID 4000, user 33) with signal 35" AT
		    ". It was in /srv/app/rest.py:3 rest" GREW);
	for (int i = 0; i < 3; i++)
		p->death->threads[i].facts.depth = 0;
	p->lines[0].grown_bytes = MIB;
	check_words(p, false,
		    "Killed by \\x1b[2Jx (PID 4000, user 33) with signal 35" AT
		    ". No line is known in which it was.");
	model_free(model);
}

/* Where the sender was, if it is a Python that is watched. */
static void test_sender(void **state)
{
	struct counts_death death = killed();
	struct model *model = model_new(4096);
	struct model_process *p;
	char *text = NULL;
	size_t size;
	FILE *out;

	(void)state;
	death.sender = &asker;
	p = process_of(model, &death);
	check_words(
		p, false,
		"Killed by the kernel's OOM killer" AT MORE
		"; java (PID 4000, user 33) asked for memory in /srv/other/ask.py:31 ask. It was "
		"in /srv/app/shop.py:7 load" GREW);
	out = open_memstream(&text, &size);
	last_words_show_threads(out, p, 80);
	fclose(out);
	assert_non_null(strstr(text, "\n\nWho asked for memory: thread 4001 of PID 4000 (celery)\n"
				     "  /srv/other/ask.py:31 ask\n"
				     "  /srv/other/ask.py:40 <module>\n  …\n"));
	free(text);
	p->death->facts.victim = false;
	p->death->facts.code = 0;
	p->death->facts.swap_bytes = 0;
	p->death->facts.limit_bytes = -1;
	check_words(p, false,
		    "Killed by java (PID 4000, user 33) in /srv/other/ask.py:31 ask with SIGKILL" AT
		    ". It was in /srv/app/shop.py:7 load" GREW);
	p->death->sender->facts.depth = 0;
	check_words(p, false,
		    "Killed by java (PID 4000, user 33) with SIGKILL" AT
		    ". It was in /srv/app/shop.py:7 load" GREW);
	out = open_memstream(&text, &size);
	last_words_show_threads(out, p, 80);
	fclose(out);
	assert_non_null(strstr(text, "\n\nSender: thread 4001 of PID 4000 (celery): no Python line "
				     "is known\n"));
	free(text);
	model_free(model);
}

/* What is frozen keeps its places when the names of others are thrown away. */
static void keep_gone(const struct model_process *process, void *arg)
{
	*(int *)arg = process->pid;
}

static void test_frozen(void **state)
{
	const struct model_ended_limits limits = {.bytes = 16384};
	struct counts_death death = killed();
	struct model *model = model_new(4096);
	const struct model_death_thread *thread;
	char *none[] = {NULL};
	struct model_process *p, *other;
	int gone = 0;

	(void)state;
	death.sender = &asker;
	p = process_of(model, &death);
	other = model_add_process(model, 5, 1, "x", none, "", "", "walk");
	for (int i = 0; i < 1000; i++) {
		const struct model_location *at = model_location(model, "/y.py", "f", i + 1, 1);
		struct pymem_counters counters = {.grown_pages = 1};

		assert_int_equal(model_add_stack(model, other, &at, 1, false, &counters, NULL), 0);
	}
	assert_int_equal(model_freeze(model), 0);
	assert_int_equal(model_gather_ended(model, &limits, keep_gone, &gone), 0);
	assert_int_equal(gone, 5);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model->process_count, 1);
	assert_ptr_equal(model->processes[0], p);
	thread = model_last_thread(p);
	assert_string_equal(thread->frames[0]->file, "/srv/app/shop.py");
	assert_string_equal(thread->frames[1]->function, "<module>");
	assert_string_equal(p->death->sender->frames[0]->function, "ask");
	model_free(model);
}

static void test_redacted(void **state)
{
	struct counts_death death = killed();
	struct model *model = model_new(4096);
	struct model_process *p;

	(void)state;
	death.sender = &asker;
	p = process_of(model, &death);
	assert_int_equal(model_redact(model, NULL), 0);
	assert_string_equal(p->death->sender->frames[0]->file, "ask.py");
	assert_string_equal(p->death->threads[1].frames[0]->file, "shop.py");
	assert_string_equal(p->death->threads[0].frames[0]->file, "rest.py");
	model_free(model);
}

/* --- recordings --- */

static void record(struct run *run)
{
	static struct counts_death death;
	struct table_image *image;
	struct table_stack *stack;

	death = killed();
	death.sender = &asker;
	run_begin(run, NULL);
	image = table_add_image(&run->table, 1);
	image->record.now_pages[PYMEM_ANON] = 100;
	stack = table_add_stack(&run->table, 1, 10, 2, 100);
	stack->counters.grown_pages = 100;
	run_tick(run, 1);
	image->image.ended = true;
	image->image.death = &death;
	run_tick(run, 1);
	run_take(run);
	run_tick(run, 1);
	run_end(run, 1);
}

static void test_recorded(void **state)
{
	struct run *run = *state;
	const struct model_process *p;

	record(run);
	run_same(run);
	p = run_process(run_window(run, 0, 0), 1);
	assert_int_equal(p->death->count, 3);
	assert_int_equal(p->death->facts.swap_bytes, 2 * MIB);
	assert_string_equal(p->death->facts.group.path, "/shop");
	assert_int_equal(p->death->facts.group.events[CGROUP_EVENT_MAX], 12);
	assert_true(p->death->threads[1].facts.truncated);
	assert_int_equal(p->death->threads[2].facts.loss, PYMEM_LOSS_UNREADABLE);
	assert_int_equal(p->death->sender->facts.tid, 4001);
	assert_string_equal(p->death->sender->frames[0]->function, "ask");
	assert_string_equal(p->death->sender->frames[1]->file, "/srv/other/ask.py");
	/* Before its end it has said nothing. */
	assert_null(run_process(run_window(run, 0, 1), 1)->death);
}

/* Runs SQL on the recording, whose text of the mark is ?1. */
static void change(const struct run *run, const char *text)
{
	sqlite3_stmt *query;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "UPDATE mark SET text = ?1 WHERE kind = 'killed'",
					    -1, &query, NULL),
			 SQLITE_OK);
	sqlite3_bind_blob(query, 1, text, (int)strlen(text), SQLITE_STATIC);
	assert_int_equal(sqlite3_step(query), SQLITE_DONE);
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_finalize(query);
	sqlite3_close(db);
}

/* A recording in which one field has another value; `value` NULL: none. True: it is refused. */
static bool refused(struct run *run, const char *original, const char *field, const char *value)
{
	const struct recording_view view = {};
	json_t *object = json_loads(original, 0, NULL), *changed;
	bool is_refused;
	char *text;

	changed = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
	assert_true(!value || changed);
	if (changed)
		json_object_set_new(object, field, changed);
	else
		json_object_del(object, field);
	text = json_dumps(object, 0);
	change(run, text);
	free(text);
	json_decref(object);
	run_open(run);
	is_refused = !recording_model(run->recording, &view, run->why, sizeof(run->why));
	recording_close(run->recording);
	run->recording = NULL;
	return is_refused;
}

static char *mark_of(const struct run *run)
{
	sqlite3_stmt *query;
	sqlite3 *db;
	char *text;

	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT text FROM mark WHERE kind = 'killed'", -1,
					    &query, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(query), SQLITE_ROW);
	text = strndup(sqlite3_column_blob(query, 0), (size_t)sqlite3_column_bytes(query, 0));
	sqlite3_finalize(query);
	sqlite3_close(db);
	return text;
}

static void test_hostile_recording(void **state)
{
	static const char *const fields[] = {"signal", "code",	 "sender",  "sender_thread",
					     "anon",   "limit",	 "threads", "oom",
					     "sent",   "stacks", "time",    "sender_comm"};
	static const struct {
		const char *field, *value;
	} bad[] = {
		{"signal", "0"},
		{"signal", "1e9"},
		{"anon", "9e18"},
		{"anon", "9000000000000000000"},
		{"sender", "-1"},
		{"time", "1e300"},
		{"group", "7"},
		{"group", "{}"},
		{"group_missing", "7"},
		{"stacks", "{}"},
		{"stacks", "[1]"},
		{"stacks",
		 "[{\"tid\":1,\"name\":\"x\",\"raised\":false,\"truncated\":false,\"loss\":0,"
		 "\"node\":999999}]"},
		{"stacks",
		 "[{\"tid\":1,\"name\":\"x\",\"raised\":false,\"truncated\":false,\"loss\":0,"
		 "\"node\":-1}]"},
		{"sender_stack", "7"},
		{"sender_stack",
		 "{\"tid\":1,\"name\":\"x\",\"raised\":false,\"truncated\":false,\"loss\":0,"
		 "\"node\":999999}"},
		{"stacks", "[{\"tid\":1,\"name\":7,\"raised\":false,\"truncated\":false,\"loss\":0,"
			   "\"node\":0}]"},
	};
	struct run *run = *state;
	char *original;

	record(run);
	original = mark_of(run);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!refused(run, original, fields[i], NULL))
			fail_msg("without %s it is read", fields[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!refused(run, original, bad[i].field, bad[i].value))
			fail_msg("with %s %s it is read", bad[i].field, bad[i].value);
	/* An earlier program did not write it. */
	assert_false(refused(run, original, "sender_stack", NULL));
	assert_false(refused(run, original, "sender_stack", "null"));
	/* What a later program may add is no harm. */
	assert_false(refused(run, original, "more", "[1, 2]"));
	assert_false(refused(run, original, "stacks",
			     "[{\"tid\":1,\"name\":\"x\",\"raised\":false,\"truncated\":false,"
			     "\"loss\":99,\"node\":0}]"));
	change(run, "no JSON");
	run_open(run);
	assert_null(recording_model(run->recording, &(struct recording_view){}, run->why,
				    sizeof(run->why)));
	free(original);
}

/* --- files --- */

#define LOOK                                                                                 \
	"{\"rss_bytes\":4194304,\"holders\":[{\"path\":\"shop.kept\",\"type\":\"list\","     \
	"\"entries\":"                                                                       \
	"3,"                                                                                 \
	"\"retained_bytes\":2097152}],\"holders_in_all\":2,\"types\":[],\"types_in_all\":0," \
	"\"age_s\":90.5}"

static char *document_of(const struct model_process *process, const struct model *model)
{
	json_t *heap = json_loads(LOOK, 0, NULL);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(last_words_document(out, model, process, heap, false), 0);
	fclose(out);
	json_decref(heap);
	return text;
}

static void check_group(struct model_process *process, const char *wanted)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	last_words_group(out, &process->death->facts.group);
	fclose(out);
	plain(text);
	assert_string_equal(text, wanted);
	free(text);
}

/* The lines, which add up, and the last look. */
static void check_extras(const json_t *document)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_true(oom_extras_are_good(document));
	oom_extras_print(out, document, 80);
	fclose(out);
	plain(text);
	assert_non_null(strstr(text, "/srv/app/shop.py:12 cache\n"));
	assert_non_null(strstr(text,
			       "\nWhat kept memory in the last look at its heap, 90.5 s before, "
			       "at RSS 4.0 MiB\n"));
	assert_non_null(strstr(text, "      2.0 MiB  shop.kept  list\n"));
	assert_non_null(strstr(text, "  and 1 more holders\n"));
	free(text);
}

/* What is written is read again, to the same sentences. */
static void test_document(void **state)
{
	struct counts_death death = killed();
	struct model *model = model_new(4096), *other = model_new(4096);
	struct model_process *p = process_of(model, &death), *read;
	char *text, *said;
	json_t *document;

	(void)state;
	model->host = strdup("h\x1b");
	p->ns_pid = 7; /* in its container */
	text = document_of(p, model);
	for (const char *at = text; *at; at++)
		assert_true((*at >= ' ' && *at < 0x7f) || *at == '\n');
	document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(document);
	assert_int_equal(oom_document_read(other, document, &read), 0);
	assert_int_equal(model_compute(other), 0);
	said = words(p, true);
	assert_non_null(strstr(said, "PID 1001 (7 inside) "));
	assert_int_equal(read->ns_pid, 7);
	check_words(read, true, said);
	assert_int_equal(read->death->count, 3);
	assert_int_equal(read->death->facts.threads, 3);
	check_group(read,
		    "Control group /shop, 0.4 ms after the signal: it used 64.0 MiB; anonymous "
		    "61.0 MiB, files 2.0 MiB (1.0 MiB of it not used lately), kernel 1.0 MiB. "
		    "Its limit was met 12 times, and the OOM killer has killed there once.");
	check_extras(document);
	free(said);
	free(text);
	json_decref(document);
	model_free(model);
	model_free(other);
}

/* The same with a field changed. Returns what oom_document_read() does. */
static int read_changed(const char *original, const char *in, const char *field, const char *value)
{
	json_t *document = json_loads(original, 0, NULL), *object = document;
	json_t *changed = json_loads(value, JSON_DECODE_ANY, NULL);
	struct model *model = model_new(4096);
	struct model_process *read;
	int err;

	if (in)
		object = json_object_get(document, in);
	assert_non_null(changed);
	json_object_set_new(object, field, changed);
	err = oom_document_read(model, document, &read);
	assert_true(!err == !!read);
	json_decref(document);
	model_free(model);
	return err;
}

static void test_hostile_document(void **state)
{
	static const struct {
		const char *in, *field, *value;
	} bad[] = {
		{NULL, "schema", "\"pymem-bpf/1\""},
		{NULL, "pid", "-4"},
		{NULL, "pid", "\"4\""},
		{NULL, "ns_pid", "-4"},
		{NULL, "ns_pid", "\"4\""},
		{NULL, "last_words", "[]"},
		{NULL, "grew_most", "{\"file\":1}"},
		{NULL, "lines", "{}"},
		{NULL, "lines", "[{\"file\":\"x\"}]"},
		{NULL, "other_lines_bytes", "\"x\""},
		{NULL, "heap", "7"},
		{NULL, "heap", "{\"age_s\":1}"},
		{"heap", "holders", "[{}]"},
		{"heap", "types", "[7]"},
		{"heap", "age_s", "\"x\""},
		{"last_words", "group", "[]"},
		{"last_words", "group_missing", "[]"},
		{"last_words", "time", "\"soon\""},
		{"last_words", "signal", "\"SIGNONE\""},
		{"last_words", "sender", "7"},
		{"last_words", "sender_stack", "7"},
		{"last_words", "sender_stack", "{\"tid\":1,\"name\":\"x\",\"frames\":[7]}"},
		{"last_words", "limit_bytes", "\"x\""},
		{"last_words", "anon_bytes", "9000000000000000000"},
		{"last_words", "stacks", "[[]]"},
		{"last_words", "stacks", "[{\"tid\":1,\"name\":\"x\",\"frames\":[{\"file\":1}]}]"},
	};
	struct counts_death death = killed();
	struct model *model = model_new(4096);
	char *text = document_of(process_of(model, &death), model);
	struct model_process *read;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (read_changed(text, bad[i].in, bad[i].field, bad[i].value) != -EINVAL)
			fail_msg("%s %s is read", bad[i].field, bad[i].value);
	assert_int_equal(read_changed(text, NULL, "schema", "\"pymem-bpf-oom/2\""), -ENOTSUP);
	assert_int_equal(read_changed(text, NULL, "grew_most", "null"), 0);
	assert_int_equal(read_changed(text, "last_words", "sender", "null"), 0);
	assert_int_equal(read_changed(text, "last_words", "sender_stack", "null"), 0);
	assert_int_equal(read_changed(text, NULL, "more", "[]"), 0);
	assert_int_equal(read_changed(text, NULL, "heap", "null"), 0);
	assert_int_equal(read_changed(text, "last_words", "group", "null"), 0);
	assert_int_equal(oom_document_read(model, NULL, &read), -EINVAL);
	free(text);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_redacted),
		cmocka_unit_test_setup_teardown(test_recorded, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_hostile_recording, run_setup, run_teardown),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_hostile_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
