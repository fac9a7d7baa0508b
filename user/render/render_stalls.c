/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waits for memory that a thread has to free itself, in words. */
#include "render/render_parts.h"

#include <inttypes.h>

void parts_time(char *text, size_t size, uint64_t ns)
{
	double ms = (double)ns / 1e6;

	if (!ns)
		snprintf(text, size, "0 ms");
	else if (ms < 9.995)
		snprintf(text, size, "%.2f ms", ms);
	else if (ms < 999.5)
		snprintf(text, size, "%.0f ms", ms);
	else
		snprintf(text, size, "%.1f s", ms / 1000);
}

void parts_stalls(FILE *out, const struct model_process *process)
{
	static const char *const names[PYMEM_STALL_COUNT] = {
		[PYMEM_STALL_DIRECT] = "for want of memory on the host",
		[PYMEM_STALL_MEMCG] = "at the limit of a control group",
		[PYMEM_STALL_COMPACTION] = "to get large pages",
		[PYMEM_STALL_THROTTLED] = "until others had freed memory",
		[PYMEM_STALL_HIGH] = "asleep as a control group was beyond its memory.high",
	};
	uint64_t stalls, ns, reclaimed = 0;
	const char *lead = " (";
	char time[40], amount[40];

	for (size_t i = 0; i < process->line_count; i++)
		reclaimed += process->lines[i].reclaimed_bytes;
	model_stalls(process, &stalls, &ns);
	parts_time(time, sizeof(time), ns);
	fprintf(out, "%s in %" PRIu64 " stall%s", time, stalls, stalls == 1 ? "" : "s");
	for (int kind = 0; kind < PYMEM_STALL_COUNT; kind++) {
		for (size_t i = ns = 0; i < process->line_count; i++)
			ns += process->lines[i].kind_ns[kind];
		if (!ns)
			continue;
		parts_time(time, sizeof(time), ns);
		fprintf(out, "%s%s %s", lead, time, names[kind]);
		lead = ", ";
	}
	if (*lead == ',')
		fputc(')', out);
	if (reclaimed) {
		parts_amount(amount, sizeof(amount), (int64_t)reclaimed, false);
		fprintf(out, ", %s reclaimed", amount);
	}
}
