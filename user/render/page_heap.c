/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What looks at heaps found, in a page: the member `heap`. Paths and types are written once, and
 * rows name them by number.
 *
 * A redacted page has no verdicts: they may name files. A path leads from a module's variable to
 * what holds, and ends before the first key of a dict. */
#include "render/heap_parts.h"
#include "render/page_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"

const char *heap_name_without_keys(char *text, size_t size, const char *name)
{
	const char *key = strchr(name, '[');
	size_t length = key ? (size_t)(key - name) : strlen(name), most = size - sizeof("[…]");

	snprintf(text, size, "%.*s%s", (int)(length < most ? length : most), name,
		 key ? "[…]" : "");
	return text;
}

static json_t *name_value(const struct page *page, const char *name)
{
	char cut[HEAP_TIMES_NAME + 8], text[STACK_ROW_TEXT];

	if (page->options->redacted)
		name = heap_name_without_keys(cut, sizeof(cut), name);
	stack_row_text(text, name);
	return json_text(text);
}

static json_t *balance_value(const struct heap_balance *balance)
{
	json_t *object = json_object();
	int err = object ? 0 : -1;

#define BALANCE_SET(name, text) \
	err = err ?: json_object_set_new(object, text, json_count(balance->name));
	HEAP_BALANCE(BALANCE_SET)
#undef BALANCE_SET
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static void put_rows(FILE *out, const struct heap_times_look *look)
{
	size_t i;

	fputs(",\"types\":[", out);
	for (i = 0; i < look->type_count; i++)
		fprintf(out, "%s%zu,%llu,%llu", i ? "," : "", look->types[i].type,
			(unsigned long long)look->types[i].objects,
			(unsigned long long)look->types[i].bytes);
	fputs("],\"holders\":[", out);
	for (i = 0; i < look->holder_count; i++)
		fprintf(out, "%s%zu,%zu,%lld,%llu", i ? "," : "", look->holders[i].path,
			look->holders[i].type, (long long)look->holders[i].entries,
			(unsigned long long)look->holders[i].retained_bytes);
	fputc(']', out);
}

static int put_look(struct page *page, const struct heap_times_look *look)
{
	bool said = *look->verdict && !page->options->redacted;
	struct json_member members[] = {
		{"process", json_integer(page_process(page, look->process))},
		{"time", page_time(look->time)},
		{"types_only", json_boolean(look->types_only)},
		{"verdict", said ? page_harmless(look->verdict) : json_null()},
		{"rss_bytes", json_count(look->rss_bytes)},
		{"balance", balance_value(&look->balance)},
	};
	int err;

	fputc('{', page->out);
	err = JSON_PUT_MEMBERS(page->out, "", members, false);
	put_rows(page->out, look);
	fputc('}', page->out);
	return err;
}

int page_put_heap(struct page *page)
{
	const struct heap_times *heap = page->options->heap_times;
	size_t i;
	int err = 0;

	if (!heap || (!heap->look_count && !heap->unreadable))
		return 0;
	fprintf(page->out, ",\n\"heap\":{\"thinned\":%zu,\"unreadable\":%zu,\"names\":[",
		heap->thinned, heap->unreadable);
	for (i = 0; i < heap->name_count && !err; i++) {
		if (i)
			fputc(',', page->out);
		err = json_put(page->out, name_value(page, heap->names[i]));
	}
	fputs("],\"looks\":[", page->out);
	for (i = 0; i < heap->look_count && !err; i++) {
		fputs(i ? ",\n" : "\n", page->out);
		err = put_look(page, &heap->looks[i]);
	}
	fputs("]}", page->out);
	return err;
}
