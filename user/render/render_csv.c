/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CSV for spreadsheets and data frames: one row for each line of each process, with the figures of
 * the JSON. Fields are quoted as in RFC 4180; rows end with a line feed.
 *
 * Invariant: a column adds up to what the JSON has. What belongs to no line has rows of its own, so
 * increment_bytes adds up to the change of RSS, and resident_bytes to RSS.
 *
 * A field never contains a line feed or another control byte: it is escaped as in the table. A text
 * that a spreadsheet would take for a formula has an apostrophe in front. Ended processes of a
 * program that are a sum have no PID. Left out: processes in
 * which nothing changed, notes, and processes that were skipped. */
#include "render/render_parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "model/cgroup_name.h"
#include "model/program.h"

static const char head[] = "pid,program,where,row,file,line,function,"
			   "increment_bytes,total_bytes,grown_bytes,freed_bytes,peak_bytes,"
			   "mem_usage_bytes,occurrences,resident_bytes,"
			   "run_increment_bytes,row_increment_bytes,gc_bytes,collections,"
			   "anon_bytes,file_bytes,shmem_bytes,swap_bytes,"
			   "minor_faults,major_faults,cow_faults,cow_total_faults"
#define CALL_COLUMNS(id, name) "," name "_calls," name "_bytes"
	PYMEM_VMCALLS(CALL_COLUMNS)
#undef CALL_COLUMNS
		",stalls,stalled_ns,reclaimed_bytes,cached_bytes,cached_there_bytes,kernel_bytes,"
		"huge_pages,collapses,huge_filled_bytes,swapped_in_bytes,swap_wait_ns,"
		"swapped_out_bytes,self_bytes\n";
#define FIGURES (33 + 2 * PYMEM_VMCALL_COUNT)

/* The figures of a row, in the order of the head. */
struct figures {
	struct figure {
		bool known;
		int64_t value;
	} all[FIGURES];
	unsigned count;
};

/* Where rows without a line, and those of functions, have their figures. */
enum {
	INCREMENT = 0,
	PEAK = 4,
	USAGE,
	OCCURRENCES,
	RESIDENT,
	RUN_INCREMENT,
	GC = 10,
	COLLECTIONS,
	STALLS = FIGURES - 13,
	STALLED_NS,
	CACHED = FIGURES - 10,
	KERNEL = FIGURES - 8,
	HUGE_PAGES,
	COLLAPSES,
	HUGE_FILLED,
	SWAPPED_IN,
	SWAP_WAIT,
	SWAPPED_OUT,
	SELF
};

static void add(struct figures *f, int64_t value)
{
	f->all[f->count++] = (struct figure){true, value};
}

/* Nothing is written if `known` is false. */
static void add_known(struct figures *f, bool known, int64_t value)
{
	f->all[f->count++] = (struct figure){known, value};
}

/* Does a spreadsheet take such a text for a formula? The wide forms count in some. */
static bool begins_formula(const char *text)
{
	static const char *const wide[] = {"\uff1d", "\uff0b", "\uff0d", "\uff20"};

	if (*text && strchr("=+-@", *text))
		return true;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (!strncmp(text, wide[i], strlen(wide[i])))
			return true;
	return false;
}

/* Semicolons are escaped: spreadsheets of some languages begin a field at them. */
static void put_text(FILE *out, const char *text)
{
	char escaped[4 * PARTS_FIELD_MAX];
	const char *at;

	text_escape(escaped, sizeof(escaped), text);
	fputc('"', out);
	if (begins_formula(escaped))
		fputc('\'', out);
	for (at = escaped; *at; at++) {
		if (*at == ';') {
			fputs("\\x3b", out);
			continue;
		}
		if (*at == '"')
			fputc('"', out);
		fputc(*at, out);
	}
	fputc('"', out);
}

/* The first columns: the process, and what the row is about. */
static void put_begin(FILE *out, const struct model_process *process, const char *row)
{
	struct program program;
	char name[256];

	if (!process->folded)
		fprintf(out, "%d", process->pid);
	fputc(',', out);
	program_parse(&program, process->cmdline, process->comm);
	program_name(&program, name, sizeof(name));
	put_text(out, name);
	fputc(',', out);
	cgroup_name(process->cgroup, name, sizeof(name));
	put_text(out, name);
	fprintf(out, ",%s,", row);
}

static void put_figures(FILE *out, const struct figures *f)
{
	for (unsigned i = 0; i < FIGURES; i++) {
		fputc(',', out);
		if (f->all[i].known)
			fprintf(out, "%" PRId64, f->all[i].value);
	}
	fputc('\n', out);
}

/* What is counted only if it is asked for, but stalls. */
static void add_events(struct figures *f, const struct model *model, const struct model_line *line)
{
	bool huge = model->extras & PYMEM_EXTRA_HUGE, waits = model->extras & PYMEM_EXTRA_WAITS;

	add_known(f, model->cache_known, (int64_t)line->cached.bytes);
	add_known(f, model->cache_known, model_cached_there(&line->cached));
	add_known(f, model->kernel_known, model_line_kernel_bytes(line));
	add_known(f, huge, (int64_t)line->extras[PYMEM_EXTRA_HUGE_PAGES]);
	add_known(f, huge, (int64_t)line->extras[PYMEM_EXTRA_COLLAPSES]);
	add_known(f, huge, (int64_t)model_huge_bytes(model, line->extras));
	add_known(f, waits, (int64_t)line->extras[PYMEM_EXTRA_SWAPPED_IN]);
	add_known(f, waits, (int64_t)line->extras[PYMEM_EXTRA_SWAPIN_NS]);
	add_known(f, model->extras & PYMEM_EXTRA_SWAP,
		  (int64_t)line->extras[PYMEM_EXTRA_SWAPPED_OUT]);
}

static void put_line(FILE *out, const struct model_process *process, const struct model_line *line,
		     const struct model *model)
{
	bool ran = line->occurrences >= 0, stalls_known = model->stalls_known;
	struct figures f = {};
	int i;

	add(&f, line->increment_bytes);
	add(&f, line->total_bytes);
	add(&f, line->grown_bytes);
	add(&f, line->freed_bytes);
	add_known(&f, line->peak_bytes >= 0, line->peak_bytes);
	add_known(&f, line->mem_usage_bytes >= 0, line->mem_usage_bytes);
	add_known(&f, ran, line->occurrences);
	add_known(&f, line->resident_bytes >= 0, line->resident_bytes);
	add_known(&f, ran, line->run_bytes);
	add_known(&f, ran, line->row_bytes);
	add_known(&f, ran, line->gc_bytes);
	add_known(&f, ran, line->collections);
	add(&f, line->anon_bytes);
	add(&f, line->file_bytes);
	add(&f, line->shmem_bytes);
	add(&f, line->swap_bytes);
	add(&f, line->minor_faults);
	add(&f, line->major_faults);
	add(&f, line->cow_faults);
	add(&f, line->cow_total_faults);
	for (i = 0; i < PYMEM_VMCALL_COUNT; i++) {
		add(&f, line->vm_calls[i]);
		add(&f, line->vm_bytes[i]);
	}
	add_known(&f, stalls_known, (int64_t)line->stalls);
	add_known(&f, stalls_known, (int64_t)line->stalled_ns);
	add_known(&f, stalls_known, (int64_t)line->reclaimed_bytes);
	add_events(&f, model, line);
	add_known(&f, false, 0);
	put_begin(out, process, "line");
	put_text(out, line->location->file);
	fprintf(out, ",%d,", line->location->line);
	put_text(out, line->location->function);
	put_figures(out, &f);
}

/* A row without a line: one figure, and what it is. Nothing is written if it is 0. `process` NULL:
 * ended ones that are in no other. */
static void put_rest(FILE *out, const struct model *model, const struct model_process *process,
		     const char *row, const char *what, unsigned column, int64_t figure)
{
	struct figures f = {};

	if (!figure)
		return;
	f.all[column] = (struct figure){true, figure};
	if (process)
		put_begin(out, process, row);
	else
		fprintf(out, ",\"%llu ended processes\",\"\",%s,",
			(unsigned long long)model->unfolded.processes, row);
	fprintf(out, "\"\",,\"%s\"", what);
	put_figures(out, &f);
}

/* A function has figures of its own. Those of its lines are in rows of theirs. */
static void put_function(FILE *out, const struct model_process *process,
			 const struct model_function *function)
{
	struct figures f = {};

	f.all[PEAK] = (struct figure){function->peak_bytes >= 0, function->peak_bytes};
	f.all[USAGE] = (struct figure){function->return_bytes >= 0, function->return_bytes};
	f.all[OCCURRENCES] = (struct figure){true, (int64_t)function->calls};
	f.all[RUN_INCREMENT] = (struct figure){true, function->total_bytes};
	f.all[GC] = (struct figure){true, function->gc_bytes};
	f.all[COLLECTIONS] = (struct figure){true, (int64_t)function->collections};
	f.all[SELF] = (struct figure){true, function->self_bytes};
	put_begin(out, process, "function");
	put_text(out, function->location->file);
	fprintf(out, ",%d,", function->location->line);
	put_text(out, function->location->function);
	put_figures(out, &f);
}

static const char *const loss_names[] = {
#define LOSS_NAME(id, name, text) name,
	PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
};

static void put_lost(FILE *out, const struct model *model, const struct model_process *process,
		     const int64_t *lost_bytes)
{
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		put_rest(out, model, process, "unattributed", loss_names[i], INCREMENT,
			 lost_bytes[i]);
}

/* What no line has of figures that are counted only if they are asked for. */
static void put_lost_events(FILE *out, const struct model *model,
			    const struct model_process *process)
{
	const uint64_t *lost = process->lost_extras;
	const struct {
		const char *what;
		unsigned column;
		uint64_t figure;
	} extras[] = {
		{"huge pages", HUGE_PAGES, lost[PYMEM_EXTRA_HUGE_PAGES]},
		{"collapses", COLLAPSES, lost[PYMEM_EXTRA_COLLAPSES]},
		{"huge filled", HUGE_FILLED, model_huge_bytes(model, lost)},
		{"swapped in", SWAPPED_IN, lost[PYMEM_EXTRA_SWAPPED_IN]},
		{"swap wait", SWAP_WAIT, lost[PYMEM_EXTRA_SWAPIN_NS]},
		{"swapped out", SWAPPED_OUT, lost[PYMEM_EXTRA_SWAPPED_OUT]},
	};

	put_rest(out, model, process, "unattributed", "stalls", STALLS,
		 (int64_t)process->lost_stalls);
	put_rest(out, model, process, "unattributed", "stalled", STALLED_NS,
		 (int64_t)process->lost_stall_ns);
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		put_rest(out, model, process, "unattributed", loss_names[i], CACHED,
			 (int64_t)process->cached_lost_bytes[i]);
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		put_rest(out, model, process, "unattributed", loss_names[i], KERNEL,
			 process->kernel_lost_bytes[i]);
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
		put_rest(out, model, process, "unattributed", extras[i].what, extras[i].column,
			 (int64_t)extras[i].figure);
}

static void put_process(FILE *out, const struct model *model, struct model_process *process,
			enum model_sort sort)
{
	size_t i;

	model_sort_lines(process, sort);
	for (i = 0; i < process->line_count && !ferror(out); i++)
		put_line(out, process, &process->lines[i], model);
	for (i = 0; i < process->function_count && !ferror(out); i++)
		put_function(out, process, &process->functions[i]);
	if (process->functions_counted)
		put_rest(out, model, process, "function", "outside", SELF,
			 model_outside_bytes(process));
	put_lost(out, model, process, process->lost_bytes);
	put_lost_events(out, model, process);
	if (!process->resident_known)
		return;
	put_rest(out, model, process, "resident", "before", RESIDENT,
		 process->resident_before_bytes);
	put_rest(out, model, process, "resident", "unknown", RESIDENT,
		 process->resident_unknown_bytes);
}

static int csv_emit(FILE *out, struct model *model, const struct render_options *options)
{
	size_t i;
	int err = model_sort_processes(model, options->sort);

	if (err)
		return err;
	fputs(head, out);
	for (i = 0; i < model_row_count(model) && !ferror(out); i++)
		put_process(out, model, model_row(model, i), options->sort);
	put_rest(out, model, NULL, "gathered", "", INCREMENT, model->unfolded.charged_bytes);
	put_lost(out, model, NULL, model->unfolded.lost_bytes);
	return parts_flush(out);
}

const struct renderer render_csv = {
	.name = "csv",
	.only_rows = true,
	.functions = true,
	.emit = csv_emit,
};
