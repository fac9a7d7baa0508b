/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parser of command lines, on a command that has an option of each type; and the rows of all
 * real commands, for mistakes that the compiler can't see. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <cmocka.h>

#include "cli/command.h"
#include "cli/options_value.h"
#include "cli/profile_options.h"

struct asked {
	bool all, more;
	int loud, level, engine, fd;
	const char *text, *file, *any, *name, *word;
	unsigned count, kept, events, top;
	pid_t pid;
	pid_t *pids;
	size_t pid_count;
	const char **words;
	size_t word_count;
	char **names;
	double seconds, rest;
	mode_t mode;
	size_t memory, ring;
	char **command;
};

#define AT(field) OPTION_AT(struct asked, field)
#define TIMES	  ", or a time such as 30s, 5m or 1h"

static const char *name_of(size_t i)
{
	static const char *const names[] = {"red", "green", "blue"};

	return i < 3 ? names[i] : NULL;
}

static const struct option_choice engines[] = {
	{"auto", OPTION_KEEP}, {"walk", 1}, {"lines", 2}, {}};

static const struct option_choice events[] = {{"one", 1}, {"two", 2}, {"four", 4}, {}};

static const struct option_row rows[] = {
	{.name = "all", .letter = 'a', .type = OPTION_FLAG, AT(all), .help = "everything"},
	{.name = "more", .type = OPTION_FLAG, AT(more), .help = "more"},
	{.name = "loud", .letter = 'v', .type = OPTION_COUNT, AT(loud), .help = "louder"},
	{.name = "low", .letter = 'l', .type = OPTION_VALUE, AT(level), .value = -3, .help = "low"},
	{.name = "text",
	 .letter = 't',
	 .argument = "TEXT",
	 .type = OPTION_TEXT,
	 AT(text),
	 .noun = "a text",
	 .help = "one line\nand another"},
	{.name = "any", .argument = "TEXT", .type = OPTION_TEXT, AT(any), .help = "any text"},
	{.name = "file", .argument = "FILE", .type = OPTION_FILE, AT(file), .help = "a file"},
	{.name = "word",
	 .argument = "TEXT",
	 .type = OPTION_TEXTS,
	 AT(words),
	 .count_offset = offsetof(struct asked, word_count),
	 .help = "texts"},
	{.name = "name",
	 .argument = "NAME",
	 .type = OPTION_NAME,
	 AT(name),
	 .names = name_of,
	 .preset = "green",
	 .help = "{}"},
	{.name = "engine",
	 .letter = 'e',
	 .argument = "NAME",
	 .type = OPTION_CHOICE,
	 AT(engine),
	 .choices = engines,
	 .help = "one of {}."},
	{.name = "events",
	 .argument = "LIST",
	 .type = OPTION_SET,
	 AT(events),
	 .choices = events,
	 .help = "some of {}"},
	{.name = "count",
	 .letter = 'n',
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(count),
	 .least = 2,
	 .most = 40,
	 .preset = "20",
	 .preset_all = "30",
	 .help = "so many ({})"},
	{.name = "top",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(top),
	 .most = 50,
	 .alone = "10",
	 .help = "top"},
	{.name = "kept-stacks",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(kept),
	 .most = UINT_MAX,
	 .help = "kept"},
	{.name = "kept-fd", .argument = "N", .type = OPTION_FD, AT(fd), .most = 99, .help = "fd"},
	{.name = "pid",
	 .letter = 'P',
	 .argument = "PID",
	 .type = OPTION_PID,
	 AT(pid),
	 .least = 1,
	 .most = 1 << 22,
	 .help = "a process"},
	{.name = "pids",
	 .letter = 'p',
	 .argument = "PID[,PID…]",
	 .type = OPTION_PIDS,
	 AT(pids),
	 .count_offset = offsetof(struct asked, pid_count),
	 .least = 1,
	 .most = 1 << 22,
	 .help = "processes"},
	{.name = "programs",
	 .letter = 'g',
	 .argument = "NAME",
	 .type = OPTION_PIDS,
	 AT(pids),
	 .count_offset = offsetof(struct asked, pid_count),
	 .names_offset = offsetof(struct asked, names),
	 .least = 1,
	 .most = 1 << 22,
	 .help = "processes or programs"},
	{.name = "seconds",
	 .letter = 'd',
	 .argument = "SEC",
	 .type = OPTION_SECONDS,
	 AT(seconds),
	 .most = 100,
	 .help = "time"},
	{.name = "rest",
	 .argument = "SEC",
	 .type = OPTION_SECONDS,
	 AT(rest),
	 .least = 0.1,
	 .most = 5,
	 .help = "more time"},
	{.name = "mode",
	 .argument = "MODE",
	 .type = OPTION_MODE,
	 AT(mode),
	 .preset = "640",
	 .help = "mode ({})"},
	{.name = "memory",
	 .argument = "MIB",
	 .type = OPTION_MIB,
	 AT(memory),
	 .least = 1,
	 .most = 1 << 20,
	 .help = "MiB"},
	{.name = "ring",
	 .argument = "KIB",
	 .type = OPTION_KIB_POWER,
	 AT(ring),
	 .least = 64,
	 .most = 1024,
	 .help = "KiB"},
	{.name = "version", .type = OPTION_VERSION, .help = "version"},
	OPTION_HELP_ROW,
	{.argument = "CMD …", .type = OPTION_COMMAND, AT(command), .help = "CMD"},
	{},
};

static int checked;

static int check(const struct command *command, void *options)
{
	const struct asked *a = options;

	checked++;
	if (a->more && !a->count)
		return options_complain(command, "--more goes with -%c", 'n');
	return 0;
}

static const struct option_lacking lacking[] = {
	{"elsewhere", "--elsewhere: the other command has it"}, {}};

static const struct command test_command = {
	.name = "test",
	.usage = "[-n N]\n        [-a]\n-- CMD …",
	.about = "Tests.\n",
	.rows = rows,
	.lacking = lacking,
	.exits = EXITS_PLAIN,
	.exits_more = "; more",
	.options_size = sizeof(struct asked),
	.check = check,
};

/* The result of parsing a line. */
struct parsed {
	struct asked asked;
	enum options_outcome outcome;
	char said[512]; /* printed on stderr */
	char *copy, *argv[64];
	int argc;
};

/* Parses the words of `line`, which live in `p`. The word "''" is empty. */
static void parse_with(struct parsed *p, const struct command *command, const char *line)
{
	FILE *real = stderr, *memory;
	char *rest, *word, *text = NULL;
	size_t size;

	memset(p, 0, sizeof(*p));
	p->copy = rest = strdup(line);
	p->argv[p->argc++] = (char *)"test";
	while ((word = strsep(&rest, " ")) && *line)
		p->argv[p->argc++] = strcmp(word, "''") ? word : (char *)"";
	stderr = memory = open_memstream(&text, &size);
	p->outcome = options_parse(command, &p->asked, p->argc, p->argv);
	fclose(memory);
	stderr = real;
	snprintf(p->said, sizeof(p->said), "%s", text);
	free(text);
}

static void parse(struct parsed *p, const char *line)
{
	parse_with(p, &test_command, line);
}

static void parsed_fini(struct parsed *p)
{
	options_fini(&test_command, &p->asked);
	assert_null(p->asked.pids);
	assert_null(p->asked.names);
	free(p->copy);
}

/* `line` must be refused with exactly these words behind "pymem-bpf test: ". */
static void assert_refused(const char *line, const char *words)
{
	char whole[512];
	struct parsed p;

	parse(&p, line);
	snprintf(whole, sizeof(whole), "pymem-bpf test: %s\n", words);
	assert_string_equal(p.said, whole);
	assert_int_equal(p.outcome, OPTIONS_WRONG);
	parsed_fini(&p);
}

/* `line` must be accepted. Returns its result, which the caller frees. */
static struct asked *assert_good(struct parsed *p, const char *line)
{
	parse(p, line);
	assert_string_equal(p->said, "");
	assert_int_equal(p->outcome, OPTIONS_RUN);
	return &p->asked;
}

static void test_defaults(void **state)
{
	struct parsed p;
	struct asked *a = assert_good(&p, "");

	(void)state;
	assert_int_equal(a->count, 20);
	assert_int_equal(a->mode, 0640);
	assert_string_equal(a->name, "green");
	assert_int_equal(a->fd, -1);
	assert_null(a->text);
	assert_null(a->command);
	assert_int_equal(a->kept, 0);
	assert_false(a->all);
	parsed_fini(&p);

	/* With -a, wherever it stands, the default is another one; a value that is given stays. */
	assert_int_equal(assert_good(&p, "-a")->count, 30);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "-n 7 -a")->count, 7);
	parsed_fini(&p);
}

static void test_each_type(void **state)
{
	struct parsed p;
	struct asked *a = assert_good(
		&p,
		"-avv --loud -l -t x --any '' --word ab --file /f --word '' --name blue -e "
		"lines --events four,one -n "
		"40 --kept-stacks 0 "
		"--kept-fd 0 -P 4194304 -p 1,2 -p 3 -d .5 --mode 777 --memory 3 --ring 128 -- c "
		"-a");

	(void)state;
	assert_true(a->all);
	assert_int_equal(a->loud, 3);
	assert_int_equal(a->level, -3);
	assert_string_equal(a->text, "x");
	assert_string_equal(a->any, "");
	assert_string_equal(a->file, "/f");
	assert_int_equal(a->word_count, 2);
	assert_string_equal(a->words[0], "ab");
	assert_string_equal(a->words[1], "");
	assert_string_equal(a->name, "blue");
	assert_int_equal(a->engine, 2);
	assert_int_equal(a->events, 5);
	assert_int_equal(a->count, 40);
	assert_int_equal(a->fd, 0);
	assert_int_equal(a->pid, 1 << 22);
	assert_int_equal(a->pid_count, 3);
	assert_int_equal(a->pids[0], 1);
	assert_int_equal(a->pids[2], 3);
	assert_true(a->seconds > 0.49 && a->seconds < 0.51);
	assert_int_equal(a->mode, 0777);
	assert_int_equal(a->memory, 3 << 20);
	assert_int_equal(a->ring, 128 << 10);
	assert_string_equal(a->command[0], "c");
	assert_string_equal(a->command[1], "-a");
	assert_null(a->command[2]);
	parsed_fini(&p);
}

static void test_bounds(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{"-n 1", "-n 1: expected a whole number from 2 to 40"},
		{"-n 41", "-n 41: expected a whole number from 2 to 40"},
		{"--count 41", "-n 41: expected a whole number from 2 to 40"},
		{"--kept-stacks 4294967296",
		 "--kept-stacks 4294967296: expected a whole number from 0 to 4294967295"},
		{"--kept-fd 100", "--kept-fd 100: expected a whole number from 0 to 99"},
		{"-P 0", "-P 0: expected a whole number from 1 to 4194304"},
		{"-p 1,4194305", "-p 4194305: expected a whole number from 1 to 4194304"},
		{"-d 0", "-d 0: expected seconds, more than 0 and at most 100" TIMES},
		{"-d -1", "-d -1: expected seconds, more than 0 and at most 100" TIMES},
		{"-d nan", "-d nan: expected seconds, more than 0 and at most 100" TIMES},
		{"-d inf", "-d inf: expected seconds, more than 0 and at most 100" TIMES},
		{"-d 1e999", "-d 1e999: expected seconds, more than 0 and at most 100" TIMES},
		{"-d 101", "-d 101: expected seconds, more than 0 and at most 100" TIMES},
		{"--rest 0.01", "--rest 0.01: expected seconds from 0.1 to 5" TIMES},
		{"--memory 0", "--memory 0: expected a whole number from 1 to 1048576"},
		{"--ring 32", "--ring 32: expected a whole number from 64 to 1024"},
		{"--ring 100", "--ring 100: expected a power of two (KiB)"},
		{"-t ''", "-t '': expected a text"},
		{"--name mauve", "--name mauve: expected red, green or blue"},
		{"-e ''", "-e '': expected auto, walk or lines"},
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].line, cases[i].words);
	assert_int_equal(assert_good(&p, "-n 2")->count, 2);
	parsed_fini(&p);
	assert_true(assert_good(&p, "--kept-stacks 4294967295")->kept == UINT_MAX);
	parsed_fini(&p);
	assert_true(assert_good(&p, "-d 100")->seconds >= 100);
	parsed_fini(&p);
}

static void test_numbers_with_more_behind(void **state)
{
	static const char *const bad[] = {"3x",
					  "3.5",
					  "1e1",
					  "0x10",
					  "-3",
					  "--3",
					  "''",
					  "x",
					  "3,",
					  "99999999999999999999999",
					  "-18446744073709551613"};
	char line[64], words[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "-n %s", bad[i]);
		snprintf(words, sizeof(words), "-n %s: expected a whole number from 2 to 40",
			 bad[i]);
		assert_refused(line, words);
	}
	assert_refused("-p 1,,2", "-p '': expected a whole number from 1 to 4194304");
	assert_refused("-p 1,", "-p '': expected a whole number from 1 to 4194304");
	assert_refused("-d 5x", "-d 5x: expected seconds, more than 0 and at most 100" TIMES);
}

static void test_times(void **state)
{
	static const struct {
		const char *line;
		double seconds;
	} good[] = {
		{"-d 2s", 2}, {"-d 1m", 60}, {"-d .01h", 36}, {"-d 100s", 100}, {"-d 1.5", 1.5}};
	static const char *const bad[] = {"1h", "2m",	"0s",  "2S",  "2ms",
					  "s",	"1h30", "-1s", "nanm"};
	struct parsed p;
	double seconds;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		seconds = assert_good(&p, good[i].line)->seconds;
		assert_true(seconds > good[i].seconds - 1e-9 && seconds < good[i].seconds + 1e-9);
		parsed_fini(&p);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[32], words[160];

		snprintf(line, sizeof(line), "-d %s", bad[i]);
		snprintf(words, sizeof(words),
			 "-d %s: expected seconds, more than 0 and at most 100" TIMES, bad[i]);
		assert_refused(line, words);
	}
}

/* A word with a letter in it is a name, where names are allowed. */
static void test_programs(void **state)
{
	struct parsed p;
	struct asked *a = assert_good(&p, "-g 12,api.py -g 3x -p 7");

	(void)state;
	assert_int_equal(a->pid_count, 2);
	assert_int_equal(a->pids[0], 12);
	assert_int_equal(a->pids[1], 7);
	assert_string_equal(a->names[0], "api.py");
	assert_string_equal(a->names[1], "3x");
	assert_null(a->names[2]);
	parsed_fini(&p);
	assert_null(assert_good(&p, "-g 12")->names);
	parsed_fini(&p);
	assert_refused("-g api,", "-g '': expected a whole number from 1 to 4194304");
	assert_refused("-g api,-3", "-g -3: expected a whole number from 1 to 4194304");
}

static void test_modes(void **state)
{
	static const char *const bad[] = {"1000", "400",  "200", "648", "u=rw",
					  "-600", "+600", "''",	 "600x"};
	char line[64], words[192];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "--mode %s", bad[i]);
		snprintf(words, sizeof(words),
			 "--mode %s: expected an octal number from 600 to 777 that lets the owner "
			 "read and write, such as 640",
			 bad[i]);
		assert_refused(line, words);
	}
}

/* The last one counts; PIDs add up; a choice may leave the field as it is. */
static void test_given_twice(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(assert_good(&p, "-n 3 -n 4")->count, 4);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "-aa")->all, true);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "-e walk -e auto")->engine, 1);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "-l -v")->loud, 1);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "-p 5 -p 5")->pid_count, 2);
	parsed_fini(&p);
	/* An error frees what came before it. */
	assert_refused("-p 5,6 -p x", "-p x: expected a whole number from 1 to 4194304");
}

/* An option may have a meaning without its argument: then only a number is one in the next word. */
static void test_without_argument(void **state)
{
	static const struct {
		const char *line;
		unsigned top;
		bool all;
	} good[] = {
		{"--top", 10, false},	     {"--top -a", 10, true}, {"--top 3 -a", 3, true},
		{"--top=3 -a", 3, true},     {"--to 0", 0, false},   {"-a --top", 10, true},
		{"--top --top 4", 4, false},
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct asked *asked = assert_good(&p, good[i].line);

		if (asked->top != good[i].top || asked->all != good[i].all)
			fail_msg("%s: %u %d", good[i].line, asked->top, asked->all);
		parsed_fini(&p);
	}
	assert_refused("--top 51", "--top 51: expected a whole number from 0 to 50");
	assert_refused("--top=", "--top '': expected a whole number from 0 to 50");
	assert_refused("--top=-a", "--top -a: expected a whole number from 0 to 50");
}

static void test_names_cut_short(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(assert_good(&p, "--cou 5")->count, 5);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "--cou=6")->count, 6);
	parsed_fini(&p);
	assert_int_equal(assert_good(&p, "-n7")->count, 7);
	parsed_fini(&p);
	/* A complete name is that option, even if another name begins with it. */
	assert_int_equal(assert_good(&p, "--pid 5")->pid, 5);
	parsed_fini(&p);
	assert_refused("--kept 5", "--kept: more than one option begins so: --kept-stacks, "
				   "--kept-fd; pymem-bpf test --help tells more");
	assert_refused("--kept=5", "--kept=5: more than one option begins so: --kept-stacks, "
				   "--kept-fd; pymem-bpf test --help tells more");
}

static void test_what_is_no_option(void **state)
{
	(void)state;
	assert_refused("--nonsense",
		       "--nonsense: no such option; pymem-bpf test --help tells more");
	assert_refused("--nonsense=3",
		       "--nonsense=3: no such option; pymem-bpf test --help tells more");
	/* What another command has is explained, by its whole name alone. */
	assert_refused("--elsewhere", "--elsewhere: the other command has it");
	assert_refused("--elsewhere=3", "--elsewhere: the other command has it");
	assert_refused("--elsew", "--elsew: no such option; pymem-bpf test --help tells more");
	assert_refused("-avx", "-x: no such option; pymem-bpf test --help tells more");
	assert_refused("-a3", "-3: no such option; pymem-bpf test --help tells more");
	assert_refused("--all=3", "--all takes no argument; pymem-bpf test --help tells more");
	assert_refused("-a -n", "-n needs its argument, N; pymem-bpf test --help tells more");
	assert_refused("--file",
		       "--file needs its argument, FILE; pymem-bpf test --help tells more");
	assert_refused("--fi", "--file needs its argument, FILE; pymem-bpf test --help tells more");
}

static void test_operands(void **state)
{
	const char *words = "x: no such command; to start a program, put -- before it";
	struct option_row bare_rows[] = {{.type = OPTION_COMMAND_BARE, AT(command)}, {}};
	struct option_row word_rows[] = {{.type = OPTION_WORD, AT(word), .names = name_of}, {}};
	const struct command bare = {.name = "bare", .rows = bare_rows};
	const struct command word = {.name = "word", .rows = word_rows};
	const struct command none = {.name = "none", .rows = &bare_rows[1]};
	struct parsed p;

	(void)state;
	assert_refused("x", words);
	assert_refused("5849", "5849 is a PID: pymem-bpf test -P 5849");
	assert_refused("x -- y", words);
	/* Here, -- is the name of a file. */
	assert_refused("--file -- x", words);
	assert_null(assert_good(&p, "--")->command);
	parsed_fini(&p);
	assert_string_equal(assert_good(&p, "--file -- -- x")->command[0], "x");
	parsed_fini(&p);

	parse_with(&p, &bare, "x -q");
	assert_string_equal(p.asked.command[1], "-q");
	free(p.copy);
	parse_with(&p, &bare, "-- x");
	assert_string_equal(p.asked.command[0], "x");
	free(p.copy);
	parse_with(&p, &word, "red");
	assert_string_equal(p.asked.word, "red");
	free(p.copy);
	parse_with(&p, &word, "pink");
	assert_string_equal(p.said, "pymem-bpf word: pink: expected red, green or blue\n");
	free(p.copy);
	parse_with(&p, &word, "red blue");
	assert_string_equal(p.said, "pymem-bpf word: unexpected argument: blue; see --help\n");
	free(p.copy);
	parse_with(&p, &none, "x");
	assert_string_equal(p.said, "pymem-bpf none: unexpected argument: x; see --help\n");
	assert_int_equal(p.outcome, OPTIONS_WRONG);
	free(p.copy);
}

static void test_loose_operands(void **state)
{
	struct option_row loose_rows[] = {
		{.type = OPTION_OPERAND, AT(word), .noun = "a file"},
		{.type = OPTION_OPERAND, AT(text)},
		{.name = "quiet", .letter = 'q', .type = OPTION_FLAG, AT(all)},
		{}};
	const struct command loose = {.name = "loose", .rows = loose_rows};
	struct parsed p;

	(void)state;
	parse_with(&p, &loose, "-q one two");
	assert_string_equal(p.asked.word, "one");
	assert_string_equal(p.asked.text, "two");
	free(p.copy);
	/* Options may stand anywhere; what is behind -- is none. */
	parse_with(&p, &loose, "one -q -- -q");
	assert_int_equal(p.outcome, OPTIONS_RUN);
	assert_true(p.asked.all);
	assert_string_equal(p.asked.word, "one");
	assert_string_equal(p.asked.text, "-q");
	free(p.copy);
	parse_with(&p, &loose, "one two --wrong");
	assert_int_equal(p.outcome, OPTIONS_WRONG);
	free(p.copy);
	parse_with(&p, &loose, "one");
	assert_null(p.asked.text);
	free(p.copy);
	parse_with(&p, &loose, "one two three -q");
	assert_string_equal(p.said, "pymem-bpf loose: unexpected argument: three; see --help\n");
	free(p.copy);
}

/* check() sees only what was given: a default of -n is no -n. */
static void test_check(void **state)
{
	struct parsed p;

	(void)state;
	assert_refused("--more", "--more goes with -n");
	assert_good(&p, "--more -n 3");
	parsed_fini(&p);
	checked = 0;
	assert_refused("-n x", "-n x: expected a whole number from 2 to 40");
	assert_int_equal(checked, 0);
}

static void test_help(void **state)
{
	static const char *const lines[] = {
		"Usage: pymem-bpf test [-n N]\n        [-a]\n       pymem-bpf test -- CMD …\n"
		"\nTests.\n\n"
		"  -a, --all                  everything\n"
		"      --more                 more\n",
		"  -t, --text TEXT            one line\n"
		"                             and another\n",
		"      --name NAME            red, green or blue\n"
		"  -e, --engine NAME          one of auto, walk or lines.\n"
		"      --events LIST          some of one, two or four\n"
		"  -n, --count N              so many (20; -a: 30)\n",
		"      --top [N]              top\n",
		"  -p, --pids PID[,PID…]      processes\n",
		"      --mode MODE            mode (640)\n",
		"  -h, --help                 print this\n"
		"\nExit status: 0 done, 1 failed while running, 2 usage; more.\n",
	};
	char *text = NULL, *at;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(options_help(&test_command, out), 0);
	fclose(out);
	at = text;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		at = strstr(at, lines[i]);
		if (!at)
			fail_msg("not in its place:\n%s", lines[i]);
	}
	assert_ptr_equal(strstr(text, lines[0]), text);
	free(text);
	out = fopen("/dev/full", "w");
	assert_int_equal(options_help(&test_command, out), -EIO);
	fclose(out);
}

static size_t size_of(enum option_type type)
{
	static const size_t sizes[OPTION_TYPES] = {
		[OPTION_FLAG] = sizeof(bool),
		[OPTION_COUNT] = sizeof(int),
		[OPTION_VALUE] = sizeof(int),
		[OPTION_TEXT] = sizeof(const char *),
		[OPTION_FILE] = sizeof(const char *),
		[OPTION_NAME] = sizeof(const char *),
		[OPTION_CHOICE] = sizeof(int),
		[OPTION_SET] = sizeof(unsigned),
		[OPTION_UNSIGNED] = sizeof(unsigned),
		[OPTION_FD] = sizeof(int),
		[OPTION_PID] = sizeof(pid_t),
		[OPTION_PIDS] = sizeof(pid_t *),
		[OPTION_TEXTS] = sizeof(const char **),
		[OPTION_SECONDS] = sizeof(double),
		[OPTION_MODE] = sizeof(mode_t),
		[OPTION_MIB] = sizeof(size_t),
		[OPTION_KIB_POWER] = sizeof(size_t),
		[OPTION_OPERAND] = sizeof(const char *),
		[OPTION_WORD] = sizeof(const char *),
		[OPTION_COMMAND] = sizeof(char **),
		[OPTION_COMMAND_BARE] = sizeof(char **),
	};

	return sizes[type];
}

/* What is wrong with a row; NULL: nothing. */
static const char *fault_of(const struct command *command, const struct option_row *row)
{
	bool takes = option_takes_argument(row) || !row->name;
	const struct option_row *other;
	char help[512];

	if (row->size != size_of(row->type))
		return "its field is not of its type";
	if (row->offset + row->size > command->options_size && row->size)
		return "its field is outside of the command's struct";
	if (row->alone && (!row->name || row->letter || !row->argument))
		return "it can't be without its argument";
	if (takes != (row->argument != NULL))
		return "its type and its argument disagree";
	if (!row->help || strlen(row->help) > sizeof(help) / 2)
		return "its help is missing or too long";
	if (row->choices && row->names)
		return "it has choices and names";
	if ((row->type == OPTION_CHOICE || row->type == OPTION_SET || row->type == OPTION_NAME ||
	     row->type == OPTION_WORD) != (option_word(row, 0) != NULL))
		return "its type and its words disagree";
	if (strstr(row->help, "{}") && !option_word(row, 0) && !row->preset)
		return "its help has {}, which stands for nothing";
	if (row->least > row->most || row->most > (double)UINT_MAX)
		return "its bounds";
	for (other = command->rows; other != row; other++)
		if (row->name && other->name &&
		    (!strcmp(other->name, row->name) ||
		     (row->letter && row->letter == other->letter)))
			return "its name or letter is another's";
	return NULL;
}

static void test_rows_of_all_commands(void **state)
{
	const struct option_row *row;
	const char *fault;
	size_t i, helps;

	(void)state;
	assert_null(commands[0]->name);
	for (i = 0; commands[i]; i++) {
		assert_non_null(commands[i]->usage);
		assert_non_null(commands[i]->run);
		assert_true(!commands[i]->name || commands[i]->summary);
		helps = 0;
		for (row = commands[i]->rows; row->type != OPTION_END; row++) {
			fault = fault_of(commands[i], row);
			if (fault)
				fail_msg("%s %s: %s", commands[i]->name ?: "main",
					 row->name ?: row->argument, fault);
			helps += row->type == OPTION_HELP;
		}
		assert_int_equal(helps, 1);
	}
}

/* Each default is within the bounds of its row, and is the documented one. */
static void test_main_job(void **state)
{
	char *argv[] = {(char *)"pymem-bpf", (char *)"-a", NULL};
	struct profile_options o = {};

	(void)state;
	assert_int_equal(options_parse(&command_profile, &o, 2, argv), OPTIONS_RUN);
	assert_int_equal(o.max_processes, 4096);
	assert_int_equal(o.ring_bytes, 8 << 20);
	assert_int_equal(o.ended_bytes, 256 << 20);
	assert_int_equal(o.max_stacks, 65536);
	assert_int_equal(o.mode, 0600);
	assert_int_equal(o.top, 20);
	assert_string_equal(o.format, "table");
	assert_false(o.lines);
	options_fini(&command_profile, &o);
}

/* Words of a list: each use adds more, and each that is none of them is refused. */
static void test_sets(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(assert_good(&p, "--events two --events one,two")->events, 3);
	parsed_fini(&p);
	assert_refused("--events two,three,one", "--events two,three,one: expected some of one, "
						 "two or four, with commas between them");
	assert_refused(
		"--events two,",
		"--events two,: expected some of one, two or four, with commas between them");
	assert_refused("--events on",
		       "--events on: expected some of one, two or four, with commas between them");
	assert_refused("--events ''",
		       "--events '': expected some of one, two or four, with commas between them");
}

/* What --events names and another option rules out. */
static void test_events(void **state)
{
	static const struct {
		const char *line;
		enum options_outcome outcome;
		unsigned events;
	} cases[] = {
		{"-a --events reclaim", OPTIONS_RUN, PROFILE_RECLAIM},
		{"-a --sort stalled", OPTIONS_RUN, PROFILE_RECLAIM},
		{"-a --events reclaim,cache", OPTIONS_RUN, PROFILE_RECLAIM | PROFILE_CACHE},
		{"-a --sort cached", OPTIONS_RUN, PROFILE_CACHE},
		{"-a --events huge,swap,external", OPTIONS_RUN,
		 PROFILE_HUGE | PROFILE_SWAP | PROFILE_EXTERNAL},
		{"-a --no-faults --events huge,external", OPTIONS_RUN,
		 PROFILE_HUGE | PROFILE_EXTERNAL},
		{"-a --no-faults --events swap", OPTIONS_WRONG, 0},
		{"-a --sort kernel", OPTIONS_RUN, PROFILE_KERNEL},
		{"-a --events kernel,cache", OPTIONS_RUN, PROFILE_KERNEL | PROFILE_CACHE},
		{"-a --format folded --metric stalled", OPTIONS_RUN, PROFILE_RECLAIM},
		{"-a --events faults,syscalls", OPTIONS_RUN, PROFILE_FAULTS | PROFILE_SYSCALLS},
		{"-a --no-faults --events reclaim", OPTIONS_RUN, PROFILE_RECLAIM},
		{"-a --no-faults --events faults", OPTIONS_WRONG, 0},
		{"-a --no-faults --events copies", OPTIONS_WRONG, 0},
		{"-a --no-syscalls --events syscalls", OPTIONS_WRONG, 0},
		{"-a --no-syscalls --sys-exit", OPTIONS_WRONG, 0},
		{"-a --sys-exit", OPTIONS_RUN, 0},
		{"-a --events swaps", OPTIONS_WRONG, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[64], *argv[8] = {(char *)"pymem-bpf"}, *rest = line;
		struct profile_options o = {};
		int argc = 1;

		snprintf(line, sizeof(line), "%s", cases[i].line);
		while ((argv[argc] = strsep(&rest, " ")))
			argc++;
		assert_int_equal(options_parse(&command_profile, &o, argc, argv), cases[i].outcome);
		if (cases[i].outcome == OPTIONS_RUN)
			assert_int_equal(o.events, cases[i].events);
		options_fini(&command_profile, &o);
	}
}

/* The last one of -l and --engine counts, but not auto. */
static void test_engine(void **state)
{
	static const struct {
		const char *line;
		bool lines;
	} cases[] = {{"-a -l", true},
		     {"-a --engine lines", true},
		     {"-a -l --engine auto", true},
		     {"-a -l --engine walk", false},
		     {"-a --engine walk -l", true},
		     {"-a --engine auto", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[64], *argv[8] = {(char *)"pymem-bpf"}, *rest = line;
		struct profile_options o = {};
		int argc = 1;

		snprintf(line, sizeof(line), "%s", cases[i].line);
		while ((argv[argc] = strsep(&rest, " ")))
			argc++;
		assert_int_equal(options_parse(&command_profile, &o, argc, argv), OPTIONS_RUN);
		assert_int_equal(o.lines, cases[i].lines);
		options_fini(&command_profile, &o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_each_type),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_numbers_with_more_behind),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_given_twice),
		cmocka_unit_test(test_without_argument),
		cmocka_unit_test(test_names_cut_short),
		cmocka_unit_test(test_what_is_no_option),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_loose_operands),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_rows_of_all_commands),
		cmocka_unit_test(test_main_job),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
