/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The recorded texts of sources, as a source cache reads them. A view of a recording has a number
 * that no other open recording has, so two recordings may share a cache without mixing files of one
 * name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "record/recording_private.h"

static struct recording *all;
static uint32_t numbers; /* views that have a number */

static int count_view(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	int64_t most = sqlite3_column_int64(row, 0);

	r->view_count = most > 0 && most < INT32_MAX / 4 ? (uint32_t)most : 0;
	return 0;
}

int recording_open_sources(struct recording *r)
{
	int err = recording_query(r, "SELECT max(max(view), max(view_cwd)) FROM image", NULL, 0,
				  count_view, r);

	if (err)
		return err;
	if (numbers > UINT32_MAX - r->view_count - 1)
		return recording_fail(r, -E2BIG, "too many recordings are open");
	r->first_view = numbers;
	numbers += r->view_count;
	r->next = all;
	all = r;
	r->sources = source_cache_new(recording_read_source);
	return r->sources ? 0 : -ENOMEM;
}

void recording_close_sources(struct recording *r)
{
	struct recording **at;

	for (at = &all; *at; at = &(*at)->next) {
		if (*at != r)
			continue;
		*at = r->next;
		break;
	}
	source_cache_free(r->sources);
	r->sources = NULL;
}

static struct recording *recording_of(uint32_t number)
{
	struct recording *r;

	for (r = all; r; r = r->next)
		if (number > r->first_view && number - r->first_view <= r->view_count)
			return r;
	return NULL;
}

char *recording_unpack(const void *packed, size_t packed_size, int64_t size, size_t most,
		       size_t *unpacked)
{
	uLongf length = (uLongf)size;
	char *text;

	if (size < 0 || (uint64_t)size > most || !packed) {
		errno = EINVAL;
		return NULL;
	}
	text = malloc((size_t)size + 1);
	if (!text)
		return NULL;
	if (uncompress((Bytef *)text, &length, packed, packed_size) != Z_OK) {
		free(text);
		errno = EINVAL;
		return NULL;
	}
	text[length] = '\0';
	*unpacked = length;
	return text;
}

static int unpack(sqlite3_stmt *row, struct source_text *text)
{
	text->data =
		recording_unpack(sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3),
				 sqlite3_column_int64(row, 2), SOURCE_FILE_MAX, &text->size);
	return text->data ? 0 : -errno;
}

int recording_read_source(const struct source_root *root, const char *name,
			  struct source_text *text)
{
	static const char sql[] =
		"SELECT s.state, s.changed, c.size, c.data FROM source s"
		" JOIN text t ON t.id = s.file LEFT JOIN content c ON c.id = s.content"
		" WHERE s.view = ? AND t.bytes = ?";
	uint32_t number = name[0] == '/' ? root->recorded : root->recorded_cwd;
	struct recording *r = number ? recording_of(number) : NULL;
	sqlite3_stmt *query = NULL;
	int err = 0;

	*text = (struct source_text){.state = SOURCE_UNREADABLE};
	if (!r || sqlite3_prepare_v2(r->sqlite, sql, -1, &query, NULL) != SQLITE_OK)
		return 0;
	sqlite3_bind_int64(query, 1, number - r->first_view);
	sqlite3_bind_blob(query, 2, name, (int)strlen(name), SQLITE_STATIC);
	if (sqlite3_step(query) == SQLITE_ROW) {
		int64_t state = sqlite3_column_int64(query, 0);

		text->changed = sqlite3_column_double(query, 1);
		if (state == SOURCE_OK)
			err = unpack(query, text);
		if (!err && (state == SOURCE_OK || state == SOURCE_MISSING))
			text->state = (enum source_state)state;
	}
	sqlite3_finalize(query);
	return err;
}
