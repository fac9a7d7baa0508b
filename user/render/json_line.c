/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A line of the profile as JSON, and what processes and sums have as lines do. */
#include "render/json_line.h"

#include "base/json_text.h"
#include "render/json_parts.h"
#include "render/render_parts.h"

json_t *json_cached(const struct model_cache_amounts *amounts)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "bytes", json_count(amounts->bytes),
			 "there_bytes", json_integer(model_cached_there(amounts)), "gone_bytes",
			 json_count(amounts->gone_bytes), "unknown_bytes",
			 json_count(amounts->unknown_bytes), "own_group_bytes",
			 json_count(amounts->own_bytes), "other_group_bytes",
			 json_count(amounts->other_bytes));
}

json_t *json_losses(const int64_t *lost_bytes)
{
	static const char *const names[] = {
#define LOSS_NAME(id, name, text) name,
		PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_LOSS_COUNT && !err; i++)
		err = json_object_set_new(object, names[i], json_integer(lost_bytes[i]));
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

json_t *json_kernel(const struct pymem_kernel *sums)
{
	static const char *const names[] = {
#define KERNEL_NAME(id, name, text) name,
		PYMEM_KERNEL_KINDS(KERNEL_NAME)
#undef KERNEL_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_KERNEL_COUNT && !err; i++) {
		if (!sums->bytes[i] && !sums->gone[i] && !sums->objects[i])
			continue;
		err = json_object_set_new(object, names[i],
					  json_pack("{s:I, s:o, s:o}", "bytes",
						    (json_int_t)sums->bytes[i], "gone_bytes",
						    json_count(sums->gone[i]), "objects",
						    json_count(sums->objects[i])));
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

/* An object with the system calls that the line made; empty if it made none. */
static json_t *vm_calls_value(const struct model_line *line)
{
	static const char *const names[] = {
#define VMCALL_NAME(id, name) name,
		PYMEM_VMCALLS(VMCALL_NAME)
#undef VMCALL_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_VMCALL_COUNT && !err; i++) {
		if (!line->vm_calls[i])
			continue;
		err = json_object_set_new(object, names[i],
					  json_pack("{s:o, s:I}", "calls",
						    json_count(line->vm_calls[i]), "bytes",
						    (json_int_t)line->vm_bytes[i]));
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

/* An object with the kinds of stalls that the line had. */
static json_t *stall_kinds_value(const struct model_line *line)
{
	static const char *const names[] = {
#define STALL_NAME(id, name) name,
		PYMEM_STALLS(STALL_NAME)
#undef STALL_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_STALL_COUNT && !err; i++) {
		if (!line->kind_stalls[i])
			continue;
		err = json_object_set_new(object, names[i],
					  json_pack("{s:o, s:o}", "stalls",
						    json_count(line->kind_stalls[i]), "ns",
						    json_count(line->kind_ns[i])));
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static bool has_vm_calls(const struct model_line *line)
{
	int i;

	for (i = 0; i < PYMEM_VMCALL_COUNT; i++) {
		if (line->vm_calls[i])
			return true;
	}
	return false;
}

/* Writes what only the exact engine knows, of a line that was seen to run. */
static int put_runs(FILE *out, const struct model_line *line)
{
	struct json_member members[] = {
		{"run_increment_bytes", json_integer(line->run_bytes)},
		{"row_increment_bytes", json_integer(line->row_bytes)},
		{"gc_bytes", json_integer(line->gc_bytes)},
		{"collections", json_count(line->collections)},
	};

	fputc(',', out);
	return JSON_PUT_MEMBERS(out, "", members, false);
}

json_t *json_counted_if(bool known, uint64_t count)
{
	return known ? json_count(count) : json_null();
}

/* --- extras --- */

json_t *json_huge(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "pages",
			 json_count(extras[PYMEM_EXTRA_HUGE_PAGES]), "collapses",
			 json_count(extras[PYMEM_EXTRA_COLLAPSES]), "collapse_filled_bytes",
			 json_count(extras[PYMEM_EXTRA_COLLAPSE_FILLED]), "filled_bytes",
			 json_count(model_huge_bytes(model, extras)), "untouched_most_bytes",
			 json_count(model_huge_untouched(model, extras)));
}

json_t *json_swap(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	bool waits = model->extras & PYMEM_EXTRA_WAITS;

	return json_pack("{s:o, s:o, s:o}", "out_bytes",
			 json_count(extras[PYMEM_EXTRA_SWAPPED_OUT]), "in_bytes",
			 json_counted_if(waits, extras[PYMEM_EXTRA_SWAPPED_IN]), "wait_ns",
			 json_counted_if(waits, extras[PYMEM_EXTRA_SWAPIN_NS]));
}

/* Writes what the line has of extras; nothing if it has none. */
static int put_line_extras(FILE *out, const struct model *model, const struct model_line *line)
{
	const uint64_t *extras = line->extras;
	int err = 0;

	if (extras[PYMEM_EXTRA_HUGE_PAGES] || extras[PYMEM_EXTRA_COLLAPSES]) {
		fputs(",\"huge\":", out);
		err = json_put(out, json_huge(model, extras));
	}
	if (extras[PYMEM_EXTRA_SWAPPED_IN] || extras[PYMEM_EXTRA_SWAPPED_OUT]) {
		fputs(",\"swap\":", out);
		err = json_put(out, json_swap(model, extras)) ?: err;
	}
	if (line->swapped_now_bytes || line->gone_bytes) {
		fputs(",\"away\":", out);
		err = json_put(out, json_pack("{s:o, s:o}", "swapped_bytes",
					      json_count(line->swapped_now_bytes), "gone_bytes",
					      json_count(line->gone_bytes)))
			      ?: err;
	}
	return err;
}

int json_put_line(FILE *out, const struct model *model, const struct model_line *line)
{
	bool stalls_known = model->stalls_known, cache_known = model->cache_known;
	struct json_member members[] = {
		{"file", json_text(line->location->file)},
		{"line", json_integer(line->location->line)},
		{"function", json_text(line->location->function)},
		{"increment_bytes", json_integer(line->increment_bytes)},
		{"total_bytes", json_integer(line->total_bytes)},
		{"grown_bytes", json_count(line->grown_bytes)},
		{"freed_bytes", json_count(line->freed_bytes)},
		{"peak_bytes", json_known(line->peak_bytes)},
		{"mem_usage_bytes", json_known(line->mem_usage_bytes)},
		{"occurrences", json_known(line->occurrences)},
		{"resident_bytes", json_known(line->resident_bytes)},
		{"anon_bytes", json_integer(line->anon_bytes)},
		{"file_bytes", json_integer(line->file_bytes)},
		{"shmem_bytes", json_integer(line->shmem_bytes)},
		{"swap_bytes", json_integer(line->swap_bytes)},
		{"minor_faults", json_count(line->minor_faults)},
		{"major_faults", json_count(line->major_faults)},
		{"cow_faults", json_count(line->cow_faults)},
		{"cow_total_faults", json_count(line->cow_total_faults)},
		{"stalls", json_counted_if(stalls_known, line->stalls)},
		{"stalled_ns", json_counted_if(stalls_known, line->stalled_ns)},
		{"reclaimed_bytes", json_counted_if(stalls_known, line->reclaimed_bytes)},
		{"cached_bytes", json_counted_if(cache_known, line->cached.bytes)},
		{"cached_there_bytes",
		 cache_known ? json_integer(model_cached_there(&line->cached)) : json_null()},
		{"kernel_bytes",
		 model->kernel_known ? json_integer(model_line_kernel_bytes(line)) : json_null()},
	};
	int err;

	fputs("\n    {", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	if (line->occurrences >= 0)
		err = put_runs(out, line) ?: err;
	if (has_vm_calls(line)) {
		fputs(",\"vm_calls\":", out);
		err = json_put(out, vm_calls_value(line)) ?: err;
	}
	if (line->stalls) {
		fputs(",\"stall_kinds\":", out);
		err = json_put(out, stall_kinds_value(line)) ?: err;
	}
	err = put_line_extras(out, model, line) ?: err;
	if (parts_has_kernel(model_line_kernel(line))) {
		fputs(",\"kernel_kinds\":", out);
		err = json_put(out, json_kernel(model_line_kernel(line))) ?: err;
	}
	fputc('}', out);
	return err;
}
