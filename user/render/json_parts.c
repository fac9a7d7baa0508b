/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "render/json_parts.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#include "base/json_text.h"

json_t *json_text_or_null(const char *text)
{
	return text && *text ? json_text(text) : json_null();
}

json_t *json_count(uint64_t number)
{
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *json_known(int64_t number)
{
	return number < 0 ? json_null() : json_integer(number);
}

json_t *json_time(double seconds)
{
	char text[64], day[32];
	struct tm parts;
	double whole = floor(seconds);
	int milli = (int)((seconds - whole) * 1000);
	time_t at;

	if (!(seconds > -1e11 && seconds < 1e11))
		return json_null();
	at = (time_t)whole;
	if (!gmtime_r(&at, &parts) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts))
		return json_null();
	snprintf(text, sizeof(text), "%s.%03dZ", day, milli);
	return json_string(text);
}

void json_put_number(FILE *out, int64_t number)
{
	char digits[24], *at = digits + sizeof(digits);
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do
		*--at = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*--at = '-';
	fwrite(at, 1, (size_t)(digits + sizeof(digits) - at), out);
}

int json_put(FILE *out, json_t *value)
{
	int err = value ? json_write(out, value,
				     JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9))
			: -1;

	json_decref(value);
	return err && !ferror(out) ? -ENOMEM : 0;
}

int json_put_members(FILE *out, const char *indent, const struct json_member *members, size_t count,
		     bool more)
{
	size_t i;
	int err = 0;

	for (i = 0; i < count; i++) {
		fprintf(out, "%s%s\"%s\":", i || more ? "," : "", indent, members[i].name);
		err = json_put(out, members[i].value) ?: err;
	}
	return err;
}

json_t *json_strings(char *const *strings, size_t count)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array && i < count; i++) {
		if (json_array_append_new(array, json_text(strings[i])) == 0)
			continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}
