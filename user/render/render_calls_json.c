/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The functions that the exact engine counted, in JSON. */
#include "base/json_text.h"
#include "render/json_parts.h"
#include "render/render_parts.h"

static int put_function(FILE *out, const struct model_function *function)
{
	struct json_member members[] = {
		{"file", json_text(function->location->file)},
		{"line", json_integer(function->location->line)},
		{"function", json_text(function->location->function)},
		{"calls", json_count(function->calls)},
		{"total_bytes", json_integer(function->total_bytes)},
		{"self_bytes", json_integer(function->self_bytes)},
		{"peak_bytes", json_known(function->peak_bytes)},
		{"return_bytes", json_known(function->return_bytes)},
		{"gc_bytes", json_integer(function->gc_bytes)},
		{"collections", json_count(function->collections)},
	};
	int err;

	fputs("\n    {", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputc('}', out);
	return err;
}

int parts_functions_json(FILE *out, const struct model_process *process)
{
	struct json_member outside = {"outside_functions_bytes",
				      json_integer(model_outside_bytes(process))};
	int err;

	fputc(',', out);
	err = json_put_members(out, "\n   ", &outside, 1, false);
	fputs(",\n   \"functions\":[", out);
	for (size_t i = 0; i < process->function_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_function(out, &process->functions[i]);
	}
	fputc(']', out);
	return err;
}
