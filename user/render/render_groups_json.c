/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rows of --by in JSON (docs/JSON.md), all of them, and what a container is. */
#include "render/render_groups.h"

#include "base/json_text.h"
#include "model/cgroup_name.h"
#include "os/cgroup_parse.h"
#include "render/json_parts.h"

/* Takes the values. NULL: out of memory. */
static json_t *object_of(struct json_member *members, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++) {
		if (!object) {
			json_decref(members[i].value);
		} else if (json_object_set_new(object, members[i].name, members[i].value)) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

static json_t *known_percent(const struct model_cgroup *cgroup)
{
	return cgroup && cgroup->pressure >= 0 ? json_real(cgroup->pressure) : json_null();
}

json_t *json_container(const struct model *model, const char *path)
{
	const struct model_cgroup *cgroup = model_find_cgroup(model, path);
	struct cgroup_parsed parsed;
	char name[CGROUP_PLACE_MAX];

	cgroup_parse(path, &parsed);
	if (!cgroup_container_name(path, &parsed, name, sizeof(name)))
		return json_null();
	struct json_member members[] = {
		{"name", json_text(name)},
		{"runtime", json_text_or_null(parsed.runtime)},
		{"id", json_text_or_null(parsed.id)},
		{"pod", json_text_or_null(parsed.pod)},
		{"qos", json_text_or_null(parsed.qos)},
		{"unit", json_text_or_null(parsed.unit)},
		{"current_bytes", json_known(cgroup ? cgroup->current_bytes : -1)},
		{"limit_bytes", json_known(cgroup ? cgroup->limit_bytes : -1)},
		{"limited_bytes", json_known(cgroup ? cgroup->limited_bytes : -1)},
		{"oom_kills", json_known(cgroup ? cgroup->oom_kills : -1)},
		{"pressure_some_avg10", known_percent(cgroup)},
	};

	return object_of(members, sizeof(members) / sizeof(members[0]));
}

static json_t *losses_of(const struct group_sum *sum)
{
	static const char *const names[] = {
#define LOSS_NAME(id, name, text) name,
		PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
	};
	struct json_member members[PYMEM_LOSS_COUNT];

	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		members[i] = (struct json_member){names[i], json_integer(sum->lost_bytes[i])};
	return object_of(members, PYMEM_LOSS_COUNT);
}

static json_t *lines_of(const struct group_sum *sum)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sum->line_count && array; i++) {
		const struct group_line_sum *line = &sum->lines[i];
		struct json_member members[] = {
			{"file", json_text(line->location->file)},
			{"line", json_integer(line->location->line)},
			{"function", json_text(line->location->function)},
			{"increment_bytes", json_integer(line->change_bytes)},
		};

		if (!json_array_append_new(array, object_of(members, 4)))
			continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

static json_t *container_of(const struct model *model, const struct group_sum *sum)
{
	return sum->first ? json_container(model, sum->first->cgroup) : json_null();
}

static int put_group(FILE *out, const struct model *model, enum model_by by,
		     const struct group_sum *sum)
{
	bool process = by == MODEL_BY_PROCESS && sum->first;
	bool container = by == MODEL_BY_CONTAINER;
	struct json_member members[] = {
		{"name", sum->rest ? json_null() : json_text_or_null(sum->name)},
		{"where", json_text_or_null(sum->where)},
		{"pid", process ? json_integer(sum->first->pid) : json_null()},
		{"ns_pid", process ? json_unless_zero(sum->first->ns_pid) : json_null()},
		{"rest", json_boolean(sum->rest)},
		{"container", container ? container_of(model, sum) : json_null()},
		{"processes", json_count(sum->processes)},
		{"rss_bytes", json_integer(sum->rss_bytes)},
		{"pss_bytes", json_known(sum->pss_bytes)},
		{"rss_peak_bytes", json_integer(sum->peak_bytes)},
		{"change_bytes", json_integer(sum->change_bytes)},
		{"grown_bytes", json_count(sum->grown_bytes)},
		{"freed_bytes", json_count(sum->freed_bytes)},
		{"lost_bytes", losses_of(sum)},
		{"minor_faults", json_count(sum->minor_faults)},
		{"major_faults", json_count(sum->major_faults)},
		{"copied_pages", json_count(sum->copied_pages)},
		{"lost_faults", json_count(sum->lost_faults)},
		{"other_lines_bytes", json_integer(sum->other_lines_bytes)},
		{"lines", lines_of(sum)},
	};
	int err;

	fputs("\n   {", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputc('}', out);
	return err;
}

int render_groups_json(FILE *out, const struct model *model, const struct render_options *options)
{
	struct json_member by = {"by", json_string(render_by_names[options->by])};
	struct group_sums sums;
	int err = group_sums_make(model, options->by, SIZE_MAX, options->top ?: SIZE_MAX, &sums);

	if (err) {
		json_decref(by.value);
		return err;
	}
	fputs(",\n \"groups\":{", out);
	err = json_put_members(out, "", &by, 1, false);
	fputs(",\"rows\":[", out);
	for (size_t i = 0; i < sums.count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_group(out, model, options->by, &sums.list[i]);
	}
	fputs("]}", out);
	group_sums_free(&sums);
	return err;
}
