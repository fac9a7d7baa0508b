/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a window of a recording into memory: of each image what it was at the beginning and at the
 * end, and of each stack what was added in between.
 *
 * Nothing that the file says is trusted: numbers refer to what was read before, or the file is
 * refused. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "record/recording_private.h"

#define ARGUMENTS_MOST 4096
#define ROWS_MOST      (4u << 20) /* stacks and lines of all processes: nearly 2 GiB of memory */
#define EPSILON	       1e-6	  /* seconds: times go through a decimal text */

/* --- the window --- */

/* An interval belongs to the window if its middle does. Of a window that has no middle of one, it
 * is the interval around the window's own middle. */
static bool is_inside(const struct recording *r, double since, double until)
{
	const struct recording_view *v = r->view;
	double middle = (since + until) / 2;

	return (!v->since || middle >= v->since) && (!v->until || middle <= v->until);
}

static bool is_around(const struct recording *r, double since, double until)
{
	double begin = r->view->since ?: r->about.start, end = r->view->until ?: r->about.end;
	double middle = (begin + end) / 2;

	return since <= middle && middle <= until;
}

struct finding {
	struct recording *recording;
	bool (*belongs)(const struct recording *r, double since, double until);
	int64_t before; /* number of the last interval */
	double since;	/* its end: where the next one begins */
	bool first;	/* none has come yet */
};

static int find_interval(sqlite3_stmt *row, void *arg)
{
	struct finding *f = arg;
	struct recording *r = f->recording;
	double since = f->since, until = sqlite3_column_double(row, 1);

	if (!recording_is_time(until) || sqlite3_column_int64(row, 0) <= f->before)
		return recording_refuse(r, "an interval has no time");
	f->before = sqlite3_column_int64(row, 0);
	if (until < since)
		until = since;
	f->since = until;
	/* What was before the file is in it as one interval, which is before each window. */
	if (f->first && r->about.continues) {
		f->first = false;
		return 0;
	}
	f->first = false;
	if (!f->belongs(r, since, until)) {
		r->all = r->whole = false;
		/* What comes after the window, comes after all of it. */
		if (r->first)
			r->ended = false;
		return 0;
	}
	r->ended = r->about.complete;
	if (!r->first) {
		r->first = sqlite3_column_int64(row, 0);
		r->since = since;
	}
	r->last = sqlite3_column_int64(row, 0);
	r->until = until;
	return 0;
}

static int find_intervals(struct recording *r,
			  bool (*belongs)(const struct recording *r, double since, double until))
{
	struct finding f = {r, belongs, INT64_MIN, r->about.start, true};

	r->first = r->last = 0;
	r->all = true;
	r->whole = !r->about.continues;
	r->ended = r->about.complete;
	r->since = r->until = r->about.start;
	return recording_query(r, "SELECT id, until FROM interval ORDER BY id", NULL, 0,
			       find_interval, &f);
}

static int find_window(struct recording *r)
{
	int err = find_intervals(r, is_inside);

	if (!err && !r->first && !r->all)
		err = find_intervals(r, is_around);
	if (!err && !r->first && !r->all)
		return recording_fail(r, -ENOENT,
				      "nothing was recorded in that time: the "
				      "recording has %.0f s",
				      r->about.end - r->about.start);
	if (!err && r->all)
		r->since = r->about.start;
	return err;
}

/* --- images --- */

static bool is_asked(const struct recording_view *view, const struct played_image *image)
{
	bool found = !view->pids;
	const char *name = view->program;

	for (size_t i = 0; i < view->pid_count && !found; i++)
		found = view->pids[i] == image->image.pid;
	if (!found || !name)
		return found;
	found = strstr(image->comm, name) != NULL;
	for (char **argument = image->argv; argument && *argument && !found; argument++)
		found = strstr(*argument, name) != NULL;
	return found;
}

static size_t count_arguments(const char *bytes, size_t size)
{
	size_t count = 1; /* the last one may lack its NUL */

	for (size_t i = 0; i < size && count < ARGUMENTS_MOST; i++)
		count += !bytes[i];
	return count;
}

/* Splits arguments, each of which ends with a NUL. */
static int load_arguments(sqlite3_stmt *row, int column, struct played_image *image)
{
	const char *bytes = sqlite3_column_blob(row, column), *at, *end;
	int size = sqlite3_column_bytes(row, column);
	size_t count = 0, most;

	if (!bytes || !size)
		return 0;
	most = count_arguments(bytes, (size_t)size);
	image->arguments = malloc((size_t)size + 1);
	image->argv = calloc(most + 1, sizeof(*image->argv));
	if (!image->arguments || !image->argv)
		return -ENOMEM;
	memcpy(image->arguments, bytes, (size_t)size);
	image->arguments[size] = '\0';
	end = image->arguments + size;
	for (at = image->arguments; at < end && count < most; at += strlen(at) + 1)
		image->argv[count++] = (char *)at;
	return 0;
}

static void free_image(struct played_image *image)
{
	counts_free_death(image->death);
	free(image->comm);
	free(image->cgroup);
	free(image->python);
	free(image->reason);
	free(image->arguments);
	free(image->argv);
	free(image);
}

static int copy_texts(sqlite3_stmt *row, struct played_image *image)
{
	static const char *const none = "";
	char **const texts[] = {&image->comm, &image->cgroup, &image->python, &image->reason};
	static const int columns[] = {3, 5, 6, 7};
	int err = load_arguments(row, 4, image);

	for (int i = 0; i < 4 && !err; i++)
		err = recording_text(row, columns[i], texts[i]);
	/* Only the control group may be unknown. */
	for (int i = 0; i < 4 && !err; i++)
		if (!*texts[i] && texts[i] != &image->cgroup && !(*texts[i] = strdup(none)))
			err = -ENOMEM;
	return err;
}

/* 0: none, or none that a kernel gives. */
static pid_t ns_pid_of(int64_t flags)
{
	int64_t pid = flags >> RECORD_NS_PID_SHIFT;

	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static void describe(struct recording *r, sqlite3_stmt *row, struct played_image *image)
{
	static const int members[] = {PYMEM_ANON, PYMEM_FILE, PYMEM_SHMEM, PYMEM_SWAP};
	int64_t flags = sqlite3_column_int64(row, 14);
	uint32_t views = r->view_count;
	uint32_t view = recording_number(row, 12, views),
		 view_cwd = recording_number(row, 13, views);

	image->root = (struct source_root){
		.root_fd = -1,
		.cwd_fd = -1,
		.start_wall = recording_is_time(sqlite3_column_double(row, 11))
				      ? sqlite3_column_double(row, 11)
				      : 0,
		.recorded = view ? r->first_view + view : 0,
		.recorded_cwd = view_cwd ? r->first_view + view_cwd : 0,
	};
	for (int i = 0; i < PYMEM_MEMBERS; i++)
		image->start[members[i]] = sqlite3_column_int64(row, 17 + i);
	image->record.start_boottime_ns = (uint64_t)sqlite3_column_int64(row, 10);
	image->record.user = (uint32_t)sqlite3_column_int64(row, 16);
	image->image = (struct counts_image){
		.id = (uint32_t)sqlite3_column_int64(row, 0),
		.pid = (pid_t)sqlite3_column_int64(row, 1),
		.ppid = (pid_t)sqlite3_column_int64(row, 2),
		.ns_pid = ns_pid_of(flags),
		.comm = image->comm,
		.argv = image->argv,
		.cgroup = image->cgroup,
		.python = image->python,
		.reason = image->reason,
		.root = &image->root,
		.record = &image->record,
		.held = flags & 1,
		.lines = flags >> 1 & 1,
		.lines_late = flags >> 2 & 1,
		.functions = (flags >> 1 & 1) && (flags >> 3 & 1),
		.lines_error = (int)sqlite3_column_int64(row, 15),
	};
	image->began = sqlite3_column_double(row, 8);
	image->ended = sqlite3_column_double(row, 9);
	image->pss = recording_pss(row, 21);
	/* An end after the window is none in it. */
	image->image.ended = image->ended && image->ended <= r->until + EPSILON;
	if (r->whole && image->ended)
		image->image.ended = true;
	/* It began with the interval in which it was seen first. */
	image->asked = is_asked(r->view, image) && (r->whole || image->began < r->until - EPSILON);
	/* Its last figures may come some intervals after its end: load_change(). */
	image->inside = r->whole || !image->ended || image->ended >= r->since - EPSILON;
}

static int load_image(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	struct played_image *image = calloc(1, sizeof(*image)), *same;
	uint32_t id = (uint32_t)sqlite3_column_int64(row, 0);
	int err = image ? copy_texts(row, image) : -ENOMEM;

	HASH_FIND(hh, r->images, &id, sizeof(id), same);
	if (!err && same)
		err = recording_refuse(r, "two processes have one number");
	if (!err) {
		describe(r, row, image);
		HASH_ADD(hh, r->images, image.id, sizeof(id), image);
		err = image->hh.tbl ? 0 : -ENOMEM;
	}
	if (err && image)
		free_image(image);
	return err;
}

static struct played_image *find_image(struct recording *r, int64_t number)
{
	uint32_t id = (uint32_t)number;
	struct played_image *image;

	HASH_FIND(hh, r->images, &id, sizeof(id), image);
	return image && image->asked ? image : NULL;
}

/* Samples come by time: before the window, the last one is what the image began with. */
static int load_sample(sqlite3_stmt *row, void *arg)
{
	static const int members[] = {PYMEM_ANON, PYMEM_FILE, PYMEM_SHMEM, PYMEM_SWAP};
	struct recording *r = arg;
	struct played_image *image = find_image(r, sqlite3_column_int64(row, 0));
	bool before = sqlite3_column_int64(row, 1) < r->first;
	int64_t pages[PYMEM_MEMBERS];

	if (!image)
		return 0;
	for (int i = 0; i < PYMEM_MEMBERS; i++) {
		pages[i] = sqlite3_column_int64(row, 2 + i);
		image->record.now_pages[members[i]] = pages[i];
		if (before)
			image->start[members[i]] = pages[i];
	}
	image->record.peak_pages = (uint64_t)sqlite3_column_int64(row, 6);
	recording_peak_sample(image, pages, sqlite3_column_int64(row, 6), before);
	image->sampled = true;
	image->inside |= !before;
	return 0;
}

/* --- what changed --- */

static struct played_row *get_row(struct recording *r, const struct played_key *key)
{
	struct played_row *row;

	HASH_FIND(hh, r->rows, key, sizeof(*key), row);
	if (row)
		return row;
	row = HASH_COUNT(r->rows) < ROWS_MOST ? calloc(1, sizeof(*row)) : NULL;
	if (row)
		row->key = *key;
	if (!row || HASH_INSERT(r->rows, key, row)) {
		free(row);
		return NULL;
	}
	return row;
}

/* True if a row of this kind may have that identifier and these flags. */
static bool is_known(const struct recording *r, uint64_t kind, uint64_t id, uint64_t flags)
{
	switch (kind) {
	case AMOUNTS_STACKS:
		return flags <= 0xff && recording_is_stack(r, id);
	case AMOUNTS_CACHED:
		return flags >> CACHED_TEXT_SHIFT <= r->text_count &&
		       (flags & CACHED_LOSS) <= PYMEM_LOSS_COUNT &&
		       !id == !!(flags & CACHED_LOSS) && recording_is_stack(r, id);
	case AMOUNTS_KERNEL:
		return flags <= PYMEM_LOSS_COUNT && !id == !!flags && recording_is_stack(r, id);
	default:
		return flags <= 0xff && recording_is_line(r, id);
	}
}

static int load_part(struct recording *r, const struct amounts_part *part, bool before)
{
	struct played_image *image = find_image(r, (int64_t)part->image);
	struct amounts_reader reader = part->rows;
	struct amounts amounts;
	uint64_t id, flags;

	if (!image || part->kind >= AMOUNTS_KINDS)
		return 0;
	image->inside |= !before;
	while (amounts_next(&reader, &id, &flags, &amounts)) {
		struct played_key key = {image->image.id, (uint32_t)id, (uint32_t)flags,
					 (uint32_t)part->kind};
		struct played_row *row;

		if (part->kind == AMOUNTS_RECORD) {
			if (!before)
				amounts_add(AMOUNTS_RECORD, &image->amounts, &amounts);
			continue;
		}
		if (!is_known(r, part->kind, id, flags))
			return recording_refuse(r, "a stack is unknown");
		/* These have no maxima. */
		if (before && (part->kind == AMOUNTS_CACHED || part->kind == AMOUNTS_KERNEL))
			continue;
		row = get_row(r, &key);
		if (!row)
			return -ENOMEM;
		if (before)
			recording_row_before(row, &amounts);
		else
			amounts_add((enum amounts_kind)part->kind, &row->amounts, &amounts);
	}
	return reader.failed ? recording_refuse(r, "figures of an interval can't be read") : 0;
}

static int load_change(sqlite3_stmt *statement, void *arg)
{
	struct recording *r = arg;
	bool before = sqlite3_column_int64(statement, 0) < r->first;
	struct amounts_reader reader = recording_packed(statement, 1);
	struct amounts_part part;
	int err = 0;

	while (!err && amounts_next_part(&reader, &part))
		err = load_part(r, &part, before);
	return err
		       ?: reader.failed
			  ? recording_refuse(r, "figures of an interval can't be read")
			  : 0;
}

static int load_facts(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	int err;

	facts_free(&r->facts);
	err = facts_unpack(&r->facts, sqlite3_column_blob(row, 0),
			   (size_t)sqlite3_column_bytes(row, 0));
	return err == -EINVAL ? recording_refuse(r, "its notes can't be read") : err;
}

static int add_gone(struct recording *r, struct played_image *image)
{
	if (image->hh_gone.tbl)
		return 0;
	image->gone =
		(struct gone_key){(uint64_t)image->image.pid, image->record.start_boottime_ns};
	HASH_ADD(hh_gone, r->gone, gone, sizeof(image->gone), image);
	return image->hh_gone.tbl ? 0 : -ENOMEM;
}

static int load_mark(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	struct played_image *image = find_image(r, sqlite3_column_int64(row, 0));
	const char *kind = (const char *)sqlite3_column_text(row, 1);

	if (image && kind && strcmp(kind, "gone") != 0)
		image->asked = false;
	else if (image && kind && r->ended)
		return add_gone(r, image);
	return 0;
}

/* What all figures of a recording may be together: an exbibyte, in bytes or pages. Then products
 * and sums of them do not overflow. No machine has that much in a year. */
#define FIGURES_MOST 1152921504606846976.0

static void count_figure(struct recording *r, int64_t figure, double unit)
{
	r->figures += fabs((double)figure) * unit;
}

static void count_figures(struct recording *r, enum amounts_kind kind,
			  const struct amounts *amounts)
{
	for (int i = 0; i < AMOUNTS_FIELDS; i++) {
		bool bytes = kind == AMOUNTS_STACKS && i >= STACK_CALLS;

		count_figure(r, amounts->at[i], bytes ? 1 : (double)r->about.page_size);
	}
}

/* A row that has maxima only: nothing of it is in the window, or what was recorded of it before its
 * frames were known has moved to them. */
static void drop_lone_maxima(struct played_row *row)
{
	struct amounts sums = row->amounts;

	amounts_drop_maxima((enum amounts_kind)row->key.kind, &sums);
	if (amounts_none(&sums))
		row->amounts = sums;
}

static void settle_image(struct recording *r, struct played_image *image)
{
	struct pymem_proc *record = &image->record;

	for (int i = 0; i < PYMEM_MEMBERS; i++) {
		record->start_pages[i] = image->start[i];
		if (!image->sampled)
			record->now_pages[i] = image->start[i];
		count_figure(r, record->start_pages[i], (double)r->about.page_size);
		count_figure(r, record->now_pages[i], (double)r->about.page_size);
	}
	recording_settle_peak(image);
	count_figure(r, (int64_t)record->peak_pages, (double)r->about.page_size);
	count_figures(r, AMOUNTS_RECORD, &image->amounts);
	amounts_to_record(&image->amounts, record);
	image->late = image->amounts.at[RECORD_LATE];
	image->wanted = image->asked && image->inside;
}

/* What is known, in the form in which a live source has it. 0 or -EINVAL. */
static int settle(struct recording *r)
{
	struct played_image *image;
	struct played_row *row;

	r->figures = 0;
	for (row = r->rows; row; row = row->hh.next) {
		count_figures(r, (enum amounts_kind)row->key.kind, &row->amounts);
		count_figure(r, row->peak_before, (double)r->about.page_size);
		count_figure(r, row->usage_before, (double)r->about.page_size);
		drop_lone_maxima(row);
		/* What moved to frames that became known later began before this part. */
		if (!r->whole && row->key.kind == AMOUNTS_STACKS)
			amounts_raise(&row->amounts);
	}
	for (image = r->images; image; image = image->hh.next)
		settle_image(r, image);
	return r->figures < FIGURES_MOST ? 0 : recording_refuse(r, "no machine has such figures");
}

int recording_load(struct recording *r, const struct recording_view *view)
{
	int64_t window[1];
	int err;

	r->view = view;
	err = recording_load_names(r) ?: find_window(r);
	window[0] = r->last;
	if (!err)
		err = recording_query(r, "SELECT * FROM image ORDER BY id", NULL, 0, load_image, r);
	if (!err)
		err = recording_query(r,
				      "SELECT image, interval, anon, file, shmem, swap, peak FROM "
				      "sample WHERE interval <= ? ORDER BY interval",
				      window, 1, load_sample, r);
	if (!err)
		err = recording_query(r,
				      "SELECT interval, data FROM change WHERE interval <= ?"
				      " ORDER BY interval",
				      window, 1, load_change, r);
	if (!err)
		err = recording_query(r,
				      "SELECT data FROM facts WHERE interval <= ?"
				      " ORDER BY interval DESC LIMIT 1",
				      window, 1, load_facts, r);
	if (!err)
		err = recording_query(
			r, "SELECT image, kind FROM mark WHERE kind IN ('gone', 'withdrawn')", NULL,
			0, load_mark, r);
	return err ?: recording_load_pss(r) ?: recording_load_threads(r)
		       ?: recording_load_deaths(r) ?: settle(r);
}

void recording_unload(struct recording *r)
{
	struct played_image *image, *next_image;
	struct played_row *row, *next_row;

	HASH_CLEAR(hh_gone, r->gone);
	HASH_ITER(hh, r->images, image, next_image)
	{
		HASH_DEL(r->images, image);
		free_image(image);
	}
	HASH_ITER(hh, r->rows, row, next_row)
	{
		HASH_DEL(r->rows, row);
		free(row);
	}
	recording_unload_threads(r);
	facts_free(&r->facts);
	r->facts = (struct facts){};
	r->taken = false;
}
