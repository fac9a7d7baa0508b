/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: recordings from anybody (user/record/recording*.c). A good one is made at the
 * beginning; each input changes a copy of it, which is then read, reported and rendered. Input:
 * records of (what is changed, two numbers of 8 bytes, a length, bytes). */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "../unit/counts_table.h"
#include "../unit/heap_looks.h"
#include "record/recorder.h"
#include "record/recording.h"
#include "record/recording_heap.h"
#include "render/heap_render.h"
#include "render/render.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ?1 and ?2: the numbers; ?3: the bytes. */
static const char *const changes[] = {
	"UPDATE change SET data=?3 WHERE interval=?1%5",
	"INSERT OR REPLACE INTO change VALUES(?1%5,?3)",
	"UPDATE facts SET data=?3",
	"INSERT OR REPLACE INTO touched VALUES(?1%4,?3)",
	"INSERT OR REPLACE INTO firsts VALUES(?1%4,?3)",
	"UPDATE text SET bytes=?3 WHERE id=1+abs(?1%8)",
	"UPDATE content SET size=?1,data=?3",
	"UPDATE frame SET file=?1,function=?2,line=?1,first_line=?2 WHERE id=1+abs(?1%4)",
	"UPDATE frame SET line=?1,first_line=?2,flags=?1",
	"INSERT OR REPLACE INTO node VALUES(?1%10,?2%10,1+abs(?2%6))",
	"UPDATE image SET pid=?1,ppid=?2,comm=?3,argv=?3,flags=?1 WHERE id=1+abs(?2%2)",
	"UPDATE image SET cgroup=?3,python=?3,reason=?3,view=?1,view_cwd=?2,lines_error=?1",
	"UPDATE image SET began=?1,ended=?2,start_wall=?1",
	"UPDATE image SET start_anon=?1,start_file=?2,start_swap=?1,user=?2,pss=?2",
	"INSERT OR REPLACE INTO sample VALUES(?1%4,?2%4,?1,?2,?1,?2,?1)",
	"UPDATE sample SET anon=?1%1000000,file=?2%1000000,peak=?2",
	"UPDATE interval SET until=1700000000+?2%10 WHERE id=1+abs(?1%4)",
	"INSERT OR REPLACE INTO interval VALUES(?1,?2/1e3)",
	"UPDATE about SET value=?1 WHERE name IN ('start','end','complete') AND ?2%3",
	"UPDATE about SET value=?3 WHERE name IN ('host','kernel','version')",
	"UPDATE about SET value=4096<<(?1%9) WHERE name='page_size'",
	"INSERT INTO look VALUES(NULL,?1,?2%4,?1,?3)",
	"INSERT INTO mark VALUES(?1,'gone',?2%4,?3,?1,?2)",
	"INSERT INTO mark VALUES(1700000000+?1%10,'gc',?2%4,NULL,?1,?2)",
	"INSERT INTO mark VALUES(1700000000+?1%10,'reclaim',NULL,?3,?1,?2)",
	"INSERT INTO mark VALUES(1700000000+?1%10,'unseen',nullif(?2%4,0),?3,NULL,NULL)",
	"UPDATE source SET state=?1%8,changed=?2,content=?1%3",
	"DELETE FROM sample WHERE interval=?1%4",
	"DELETE FROM interval WHERE id=?1%5",
	"INSERT OR REPLACE INTO pss VALUES(?1%4,?2%4,?2,?1)",
	"INSERT OR REPLACE INTO firsts VALUES(-(?1%4),?3)", /* what is away */
};

#define CHANGES (sizeof(changes) / sizeof(changes[0]))
#define SPOIL_LOOK \
	0xf0 /* instead of a change: another look, its JSON with bytes of the input in it */
#define LOOK_MOST 16384

static char folder[64], path[96];
static uint8_t *good;
static size_t good_size;
static char *good_look;

static void must(bool so)
{
	if (!so)
		abort();
}

static void fill(struct counts_table *table)
{
	static const char *const functions[] = {"f", "g", "h"};

	for (uint32_t id = 1; id <= 2; id++) {
		struct table_image *image = table_add_image(table, id);

		image->record.start_pages[PYMEM_ANON] = image->record.now_pages[PYMEM_ANON] = 100;
		for (int i = 0; i < 3; i++) {
			struct table_stack *stack = table_add_stack(table, id, 10 + i, 3, 7);

			stack->counters.grown_pages = 7;
			stack->frames[0].function = functions[i];
			image->record.now_pages[PYMEM_ANON] += 7;
		}
	}
	table_add_line(table, 1, 12, 5);
	table->touched_count = 1;
	table->touched[0] = (struct table_touched){
		.resident = {.image = 1, .pages = 121, .before_pages = 100, .away = true},
		.pages = {7, 7, 7},
		.swapped = {3},
		.absent = {0, 5}};
	table->firsts[0] = 20;
}

/* Makes good_look, as `heap` prints a look. */
static void write_look(void)
{
	struct heap_look *look = look_live();
	struct heap_report report = {
		.host = "h", .kernel = "k", .version = "v", .looks = &look, .look_count = 1};
	const struct render_options options = {};
	size_t size;
	FILE *out = open_memstream(&good_look, &size);

	must(out && heap_renderer_find("json")->emit(out, &report, &options) == 0);
	must(fclose(out) == 0 && size < LOOK_MOST);
	heap_look_free(look);
}

static void add_look(struct recorder *recorder, double time)
{
	uint8_t packed[LOOK_MOST];
	uLongf size = sizeof(packed);

	must(compress(packed, &size, (const Bytef *)good_look, strlen(good_look)) == Z_OK);
	recorder_add_look(recorder, 1, time, packed, size, strlen(good_look));
}

static void read_good(void)
{
	int fd = open(path, O_RDONLY);
	off_t end = lseek(fd, 0, SEEK_END);

	must(fd >= 0 && end > 0);
	good_size = (size_t)end;
	good = malloc(good_size);
	must(good && pread(fd, good, good_size, 0) == end);
	close(fd);
}

static void finish(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	must(system(command) == 0);
}

static void make_good(void)
{
	const struct recorder_options options = {.path = path, .mode = 0600, .touched = true};
	static struct counts_table table;
	struct recorder *recorder;
	struct report *report;
	char why[256];

	snprintf(folder, sizeof(folder), "%s/pymem-fuzz.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	must(mkdtemp(folder));
	atexit(finish);
	snprintf(path, sizeof(path), "%s/r", folder);
	recorder = recorder_new(&options, why, sizeof(why));
	must(recorder);
	report = report_new(recorder_counts(recorder, table_counts(&table)), 1700000000, 1 << 20,
			    false);
	recorder_begin(recorder, 1700000000);
	write_look();
	for (int i = 1; i < 4; i++) {
		if (i == 2)
			fill(&table);
		table.facts.end = 1700000000 + i;
		must(recorder_tick(recorder) == 0);
		if (i > 1)
			add_look(recorder, table.facts.end);
	}
	recorder_ends(recorder);
	table.facts.end += 1;
	must(recorder_finish(recorder, report_build(report, true)) == 0);
	report_free(report);
	recorder_free(recorder);
	read_good();
}

static int64_t number(const uint8_t *data)
{
	int64_t value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static void run(sqlite3 *db, const char *sql, const uint8_t *data, size_t length)
{
	sqlite3_stmt *statement;

	must(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
	sqlite3_bind_int64(statement, 1, number(data));
	sqlite3_bind_int64(statement, 2, number(data + 8));
	sqlite3_bind_blob(statement, 3, data + 17, (int)length, SQLITE_STATIC);
	sqlite3_step(statement);
	sqlite3_finalize(statement);
}

/* Adds the good look with `length` bytes of it replaced. */
static void spoil_look(sqlite3 *db, const uint8_t *data, size_t length)
{
	size_t size = strlen(good_look), at = (uint64_t)number(data) % size;
	char text[LOOK_MOST];
	uint8_t packed[LOOK_MOST];
	uLongf packed_size = sizeof(packed);
	sqlite3_stmt *statement;

	memcpy(text, good_look, size);
	memcpy(text + at, data + 17, length < size - at ? length : size - at);
	must(compress(packed, &packed_size, (const Bytef *)text, size) == Z_OK);
	must(sqlite3_prepare_v2(db,
				"INSERT INTO look VALUES(NULL,1700000002+?1%2,1+abs(?1%2),?2,?3)",
				-1, &statement, NULL) == SQLITE_OK);
	sqlite3_bind_int64(statement, 1, number(data + 8));
	sqlite3_bind_int64(statement, 2, (int64_t)size);
	sqlite3_bind_blob(statement, 3, packed, (int)packed_size, SQLITE_STATIC);
	sqlite3_step(statement);
	sqlite3_finalize(statement);
}

/* Makes the file of this input. Bytes of the file itself are changed last. */
static void make(const uint8_t *data, size_t size)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	sqlite3 *db;

	must(fd >= 0 && write(fd, good, good_size) == (ssize_t)good_size);
	close(fd);
	must(sqlite3_open(path, &db) == SQLITE_OK);
	sqlite3_exec(db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN", NULL, NULL,
		     NULL);
	fd = open(path, O_WRONLY);
	while (size >= 18) {
		size_t length = data[17] < size - 18 ? data[17] : size - 18;

		if (data[0] < 0xf0)
			run(db, changes[data[0] % CHANGES], data + 1, length);
		else if (data[0] == SPOIL_LOOK)
			spoil_look(db, data + 1, length);
		data += 18 + length;
		size -= 18 + length;
	}
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(db);
	/* What is left over. */
	for (; size >= 3; data += 3, size -= 3)
		must(pwrite(fd, data + 2, 1, (data[0] | data[1] << 8) % (off_t)good_size) == 1);
	close(fd);
}

static void show_looks(FILE *out, struct recording *recording, const struct model *model)
{
	const struct render_options options = {.verbose = true};
	struct heap_times times = {0};
	struct heap_report report = {0};
	char why[512] = "";

	must(recording_heap_times(recording, &times, why, sizeof(why)) == 0 || *why);
	heap_times_fini(&times);
	if (recording_heap_report(recording, model, &report, why, sizeof(why)) == 0) {
		for (size_t i = 0; heap_renderers[i]; i++)
			heap_renderers[i]->emit(out, &report, &options);
	} else {
		must(*why);
	}
	heap_report_fini(&report);
}

static void show(struct recording *recording, double since, double until)
{
	const struct recording_view view = {.since = since, .until = until, .keep_trees = true};
	const struct render_options options = {.verbose = true,
					       .sources = recording_sources(recording)};
	char why[512] = "";
	struct model *model = recording_model(recording, &view, why, sizeof(why));
	FILE *out;

	must(model || *why);
	if (!model)
		return;
	out = fopen("/dev/null", "w");
	must(out);
	for (size_t i = 0; renderers[i]; i++)
		renderers[i]->emit(out, model, &options);
	show_looks(out, recording, model);
	fclose(out);
	timeline_free(recording_timeline(recording, 10, 100, why, sizeof(why)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording *recording;
	char why[512] = "";

	if (!good)
		make_good();
	make(data, size);
	recording = recording_open(path, why, sizeof(why));
	must(recording || *why);
	if (!recording)
		return 0;
	show(recording, 0, 0);
	show(recording, 1700000001.5, 1700000002.5);
	recording_close(recording);
	return 0;
}
