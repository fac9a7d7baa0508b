/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process brought into the page cache, in words, and by file. */
#include "render/render_parts.h"

#include "base/text.h"

#define PATH_LEAST 16 /* columns of a path in a narrow table */

/* Writes to which control group it is accounted. */
static void print_groups(FILE *out, const struct model_process *process)
{
	const struct model_cache_amounts *sum = &process->cached;
	char amount[40];

	if (!sum->own_bytes && !sum->other_bytes) {
		fputs(", to which control group it is accounted is not known", out);
		return;
	}
	parts_amount(amount, sizeof(amount), (int64_t)sum->own_bytes, false);
	fprintf(out, ", %s accounted to its own control group", amount);
	if (*process->cgroup)
		fprintf(out, " %s", process->cgroup);
}

void parts_cached(FILE *out, const struct model_process *process, bool group)
{
	const struct model_cache_amounts *sum = &process->cached;
	uint64_t lost = 0;
	char amount[40];

	parts_amount(amount, sizeof(amount), (int64_t)sum->bytes, false);
	fprintf(out, "%s of files brought into the page cache, ", amount);
	parts_amount(amount, sizeof(amount), model_cached_there(sum), false);
	fprintf(out, "%s still there", amount);
	if (sum->unknown_bytes) {
		parts_amount(amount, sizeof(amount), (int64_t)sum->unknown_bytes, false);
		fprintf(out, ", %s of which that is not known", amount);
	}
	if (group)
		print_groups(out, process);
	if (sum->other_bytes) {
		parts_amount(amount, sizeof(amount), (int64_t)sum->other_bytes, false);
		fprintf(out, ", %s accounted to another control group", amount);
	}
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		lost += process->cached_lost_bytes[i];
	if (lost) {
		parts_amount(amount, sizeof(amount), (int64_t)lost, false);
		fprintf(out, ", %s by no line", amount);
	}
}

void parts_cached_path(FILE *out, const struct model_cached_file *file, unsigned columns)
{
	if (!file->path) {
		fputs("files for which the table has no room", out);
		return;
	}
	text_print(out, file->path, columns, true);
	if (file->deleted)
		fputs(" (deleted)", out);
}

/* One file in a row: "  64.0 MiB   60.1 MiB  data.bin". */
static void print_file(FILE *out, const struct model_cached_file *file,
		       const struct render_options *options)
{
	char bytes[32], there[32];
	unsigned room = 0;

	parts_size(bytes, sizeof(bytes), (int64_t)file->amounts.bytes, false);
	parts_size(there, sizeof(there), model_cached_there(&file->amounts), false);
	if (options->width)
		room = options->width > 24 + PATH_LEAST ? options->width - 24 : PATH_LEAST;
	fprintf(out, "%10s  %10s  ", bytes, there);
	parts_cached_path(out, file, room);
	fputc('\n', out);
	if (!file->most)
		return;
	fprintf(out, "%10s  %10s  ← ", "", "");
	parts_place(out, file->most, room ? room - 2 : 0);
	fputc('\n', out);
}

void parts_cached_files(FILE *out, const struct model_process *process,
			const struct render_options *options)
{
	size_t count = process->cached_file_count, i;

	if (!count)
		return;
	if (options->top && count > options->top)
		count = options->top;
	fputc('\n', out);
	parts_style(out, options, STYLE_HEAD);
	fprintf(out, "%10s  %10s  File", "Cached", "Still there");
	parts_style(out, options, STYLE_OFF);
	fputc('\n', out);
	for (i = 0; i < count; i++)
		print_file(out, process->cached_files[i], options);
	if (count < process->cached_file_count)
		fprintf(out, "%10s  %10s  and %zu more\n", "", "",
			process->cached_file_count - count);
}
