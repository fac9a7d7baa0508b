/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One function for each type of option: reads the text, says what was expected, stores the value.
 *
 * A field only gets values within the bounds of the row. Strings belong to argv or are constants;
 * only names of -p are copied. */
#include "cli/options_value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* What is needed to store a value: its row, and the command that is named in errors. */
struct store {
	const struct command *command;
	const struct option_row *row;
	void *options;
	void *field;
};

/* Prints "OPTION TEXT: expected …", with the option's letter if it has one. Returns -EINVAL. */
static int expect(const struct store *s, const char *text, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int expect(const struct store *s, const char *text, const char *format, ...)
{
	const struct option_row *row = s->row;
	const char *shown = *text ? text : "''";
	char wanted[256];
	va_list args;

	va_start(args, format);
	vsnprintf(wanted, sizeof(wanted), format, args);
	va_end(args);
	if (row->letter)
		return options_complain(s->command, "-%c %s: expected %s", row->letter, shown,
					wanted);
	if (row->name)
		return options_complain(s->command, "--%s %s: expected %s", row->name, shown,
					wanted);
	return options_complain(s->command, "%s: expected %s", shown, wanted);
}

bool option_takes_argument(const struct option_row *row)
{
	return row->type >= OPTION_TEXT && row->type < OPTION_OPERAND;
}

const char *option_word(const struct option_row *row, size_t i)
{
	size_t known;

	if (row->names)
		return row->names(i);
	for (known = 0; row->choices && row->choices[known].name; known++)
		if (known == i)
			return row->choices[i].name;
	return NULL;
}

void option_words(const struct option_row *row, char *text, size_t size)
{
	const char *word, *next;
	size_t i, used;

	*text = '\0';
	for (i = 0; (word = option_word(row, i)); i++) {
		next = option_word(row, i + 1);
		used = strlen(text);
		snprintf(text + used, size - used, "%s%s", !i ? "" : next ? ", " : " or ", word);
	}
}

/* A decimal number within the bounds of the row. 0, or -EINVAL after saying what was expected. */
static int read_number(const struct store *s, const char *text, unsigned long *number)
{
	const struct option_row *row = s->row;
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	/* strtoul() accepts a minus and returns ULONG_MAX minus the number. */
	if (!errno && end != text && !*end && !strchr(text, '-') && (double)*number >= row->least &&
	    (double)*number <= row->most)
		return 0;
	return expect(s, text, "a whole number from %.0f to %.0f", row->least, row->most);
}

static int store_flag(const struct store *s, const char *text)
{
	(void)text;
	*(bool *)s->field = true;
	return 0;
}

static int store_count(const struct store *s, const char *text)
{
	(void)text;
	++*(int *)s->field;
	return 0;
}

static int store_value(const struct store *s, const char *text)
{
	(void)text;
	*(int *)s->field = s->row->value;
	return 0;
}

static int store_text(const struct store *s, const char *text)
{
	if (!*text && s->row->noun)
		return expect(s, text, "%s", s->row->noun);
	*(const char **)s->field = text;
	return 0;
}

static int store_texts(const struct store *s, const char *text)
{
	const char ***texts = s->field, **more;
	size_t *count = (size_t *)((char *)s->options + s->row->count_offset);

	more = reallocarray(*texts, *count + 1, sizeof(*more));
	if (!more)
		return options_complain(s->command, "%s", strerror(ENOMEM));
	*texts = more;
	more[(*count)++] = text;
	return 0;
}

static int expect_word(const struct store *s, const char *text)
{
	char words[192];

	option_words(s->row, words, sizeof(words));
	return expect(s, text, "%s", words);
}

static int store_name(const struct store *s, const char *text)
{
	const char *name;
	size_t i;

	for (i = 0; (name = option_word(s->row, i)); i++) {
		if (strcmp(name, text))
			continue;
		*(const char **)s->field = name;
		return 0;
	}
	return expect_word(s, text);
}

static int store_choice(const struct store *s, const char *text)
{
	const struct option_choice *choice;

	for (choice = s->row->choices; choice->name; choice++) {
		if (strcmp(choice->name, text))
			continue;
		if (choice->value != OPTION_KEEP)
			*(int *)s->field = choice->value;
		return 0;
	}
	return expect_word(s, text);
}

static int store_set(const struct store *s, const char *text)
{
	const struct option_choice *choice;
	const char *word = text;
	char words[192];
	size_t length;

	for (;; word += length + 1) {
		length = strcspn(word, ",");
		for (choice = s->row->choices; choice->name; choice++)
			if (strlen(choice->name) == length && !strncmp(choice->name, word, length))
				break;
		if (!choice->name)
			break;
		*(unsigned *)s->field |= (unsigned)choice->value;
		if (!word[length])
			return 0;
	}
	option_words(s->row, words, sizeof(words));
	return expect(s, text, "some of %s, with commas between them", words);
}

static int store_unsigned(const struct store *s, const char *text)
{
	unsigned long number;
	int err = read_number(s, text, &number);

	if (!err)
		*(unsigned *)s->field = (unsigned)number;
	return err;
}

/* Descriptors and PIDs are int; the bounds of their rows keep them within INT_MAX. */
static int store_int(const struct store *s, const char *text)
{
	unsigned long number;
	int err = read_number(s, text, &number);

	if (!err)
		*(int *)s->field = (int)number;
	return err;
}

static int add_pid(const struct store *s, pid_t pid)
{
	pid_t **pids = s->field, *more;
	size_t *count = (size_t *)((char *)s->options + s->row->count_offset);

	more = reallocarray(*pids, *count + 1, sizeof(*more));
	if (!more)
		return options_complain(s->command, "%s", strerror(ENOMEM));
	*pids = more;
	more[(*count)++] = pid;
	return 0;
}

static int add_name(const struct store *s, const char *name)
{
	char ***names = (char ***)((char *)s->options + s->row->names_offset), **more;
	size_t count = 0;

	while (*names && (*names)[count])
		count++;
	more = reallocarray(*names, count + 2, sizeof(*more));
	if (more) {
		*names = more;
		more[count + 1] = NULL;
		more[count] = strdup(name);
	}
	if (!more || !more[count])
		return options_complain(s->command, "%s", strerror(ENOMEM));
	return 0;
}

/* A name has a letter in it, a number has none. */
static bool is_name(const char *word)
{
	while (*word && !isalpha((unsigned char)*word) && !(*word & 0x80))
		word++;
	return *word;
}

static int store_pids(const struct store *s, const char *text)
{
	char *copy = strdup(text), *rest = copy, *word;
	unsigned long pid;
	int err = 0;

	if (!copy)
		return options_complain(s->command, "%s", strerror(ENOMEM));
	while (!err && (word = strsep(&rest, ","))) {
		if (s->row->names_offset && is_name(word)) {
			err = add_name(s, word);
			continue;
		}
		err = read_number(s, word, &pid);
		if (!err)
			err = add_pid(s, (pid_t)pid);
	}
	free(copy);
	return err;
}

/* The seconds of the unit `text`; 0: there is no such unit. */
static double unit_seconds(const char *text)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(text, units[i].unit))
			return units[i].seconds;
	return 0;
}

static int store_seconds(const struct store *s, const char *text)
{
	const struct option_row *row = s->row;
	double seconds;
	char *end;

	errno = 0;
	seconds = strtod(text, &end);
	if (end != text)
		seconds *= unit_seconds(end);
	/* "nan" is not greater than anything, so it is refused too. */
	if (!errno && end != text && seconds > 0 && seconds >= row->least && seconds <= row->most) {
		*(double *)s->field = seconds;
		return 0;
	}
	if (row->least > 0)
		return expect(s, text, "seconds from %g to %.0f, or a time such as 30s, 5m or 1h",
			      row->least, row->most);
	return expect(s, text,
		      "seconds, more than 0 and at most %.0f, or a time such as 30s, 5m or 1h",
		      row->most);
}

/* Reads an octal number, as chmod does. The program writes the file as its owner, so the owner must
 * be able to. */
static int store_mode(const struct store *s, const char *text)
{
	unsigned long mode;
	char *end;

	errno = 0;
	mode = strtoul(text, &end, 8);
	if (errno || end == text || *end || *text < '0' || *text > '7' || mode > 0777 ||
	    (mode & 0600) != 0600)
		return expect(s, text,
			      "an octal number from 600 to 777 that lets the owner read and write, "
			      "such as 640");
	*(mode_t *)s->field = (mode_t)mode;
	return 0;
}

static int store_mib(const struct store *s, const char *text)
{
	unsigned long number;
	int err = read_number(s, text, &number);

	if (!err)
		*(size_t *)s->field = number << 20;
	return err;
}

static int store_kib_power(const struct store *s, const char *text)
{
	unsigned long number;
	int err = read_number(s, text, &number);

	if (!err && number & (number - 1))
		return expect(s, text, "a power of two (KiB)");
	if (!err)
		*(size_t *)s->field = number << 10;
	return err;
}

static int (*const stores[OPTION_TYPES])(const struct store *s, const char *text) = {
	[OPTION_FLAG] = store_flag,
	[OPTION_COUNT] = store_count,
	[OPTION_VALUE] = store_value,
	[OPTION_TEXT] = store_text,
	[OPTION_FILE] = store_text,
	[OPTION_TEXTS] = store_texts,
	[OPTION_NAME] = store_name,
	[OPTION_CHOICE] = store_choice,
	[OPTION_SET] = store_set,
	[OPTION_UNSIGNED] = store_unsigned,
	[OPTION_FD] = store_int,
	[OPTION_PID] = store_int,
	[OPTION_PIDS] = store_pids,
	[OPTION_SECONDS] = store_seconds,
	[OPTION_MODE] = store_mode,
	[OPTION_MIB] = store_mib,
	[OPTION_KIB_POWER] = store_kib_power,
	[OPTION_OPERAND] = store_text,
	[OPTION_WORD] = store_name,
};

int option_store(const struct command *command, const struct option_row *row, void *options,
		 const char *text)
{
	struct store s = {
		.command = command,
		.row = row,
		.options = options,
		.field = (char *)options + row->offset,
	};
	int err = stores[row->type](&s, text);

	if (!err && row->given_offset)
		*(bool *)((char *)options + row->given_offset) = true;
	return err;
}

void option_clear(const struct option_row *row, void *options)
{
	if (row->type == OPTION_FD)
		*(int *)((char *)options + row->offset) = -1;
}

void option_free(const struct option_row *row, void *options)
{
	pid_t **pids = (pid_t **)((char *)options + row->offset);

	char ***names = (char ***)((char *)options + row->names_offset);

	if (row->type != OPTION_PIDS && row->type != OPTION_TEXTS)
		return;
	free(*pids); /* or texts */
	*pids = NULL;
	*(size_t *)((char *)options + row->count_offset) = 0;
	if (!row->names_offset)
		return;
	for (char **name = *names; name && *name; name++)
		free(*name);
	free(*names);
	*names = NULL;
}
