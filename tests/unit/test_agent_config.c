/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cli/agent_config: from a TOML document to options of each kind, and what is said of one that is
 * wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/agent_config.h"

struct asked {
	bool quiet, more, lines_given;
	const char *store, *listen;
	const char **alarms;
	size_t alarm_count;
	int level;
	unsigned lines, events;
	double rotate;
	size_t bytes;
	mode_t mode;
};

#define AT(field) OPTION_AT(struct asked, field)

static const struct option_choice levels[] = {{"low", 1}, {"high", 2}, {}};
static const struct option_choice events[] = {{"one", 1}, {"two", 2}, {}};

static const struct option_row rows[] = {
	{.name = "quiet", .letter = 'q', .type = OPTION_FLAG, AT(quiet), .help = "quiet"},
	{.name = "no-more", .type = OPTION_FLAG, AT(more), .help = "no more"},
	{.name = "store",
	 .argument = "DIR",
	 .type = OPTION_FILE,
	 AT(store),
	 .noun = "a folder",
	 .help = "a folder"},
	{.name = "listen",
	 .argument = "ADDRESS",
	 .type = OPTION_TEXT,
	 AT(listen),
	 .help = "an address"},
	{.name = "alarm",
	 .argument = "ALARM",
	 .type = OPTION_TEXTS,
	 AT(alarms),
	 .count_offset = offsetof(struct asked, alarm_count),
	 .help = "alarms"},
	{.name = "level",
	 .argument = "LEVEL",
	 .type = OPTION_CHOICE,
	 AT(level),
	 .choices = levels,
	 .help = "{}"},
	{.name = "events",
	 .argument = "LIST",
	 .type = OPTION_SET,
	 AT(events),
	 .choices = events,
	 .help = "{}"},
	{.name = "mode", .argument = "MODE", .type = OPTION_MODE, AT(mode), .help = "a mode"},
	{.name = "lines",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(lines),
	 .given_offset = offsetof(struct asked, lines_given),
	 .most = 100,
	 .alone = "10",
	 .help = "lines"},
	{.name = "rotate",
	 .argument = "SEC",
	 .type = OPTION_SECONDS,
	 AT(rotate),
	 .least = 1,
	 .most = 1e9,
	 .help = "seconds"},
	{.name = "size",
	 .argument = "MIB",
	 .type = OPTION_MIB,
	 AT(bytes),
	 .least = 8,
	 .most = 1024,
	 .help = "size"},
	{},
};

static const struct command command = {
	.name = "test", .rows = rows, .options_size = sizeof(struct asked)};

/* What was read of one file. */
struct parsed {
	struct asked asked;
	struct agent_config config;
	int err;
	char said[1024]; /* printed on stderr */
};

static const char *file_of(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/tmp/pymem-agent-config.%d", (int)getpid());
	return path;
}

static void read_path(struct parsed *p, const char *path, bool optional)
{
	FILE *real = stderr, *memory;
	char *text = NULL;
	size_t size;

	memset(&p->asked, 0xff, sizeof(p->asked));
	stderr = memory = open_memstream(&text, &size);
	p->err = agent_config_read(&p->config, path, optional, &command, &p->asked);
	fclose(memory);
	stderr = real;
	snprintf(p->said, sizeof(p->said), "%s", text);
	free(text);
}

static void write_file(const char *bytes, size_t size)
{
	FILE *file = fopen(file_of(), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void read_text(struct parsed *p, const char *text)
{
	write_file(text, strlen(text));
	read_path(p, file_of(), false);
}

static void parsed_fini(struct parsed *p)
{
	options_fini(&command, &p->asked);
	agent_config_fini(&p->config);
	unlink(file_of());
}

static void test_values(void **state)
{
	struct parsed p;

	(void)state;
	read_text(&p, "# all of it\nsize = 1_0\nrotate = 1.5e3\r\nquiet = true\nno-more = "
		      "false\nstore = '/var/lib/x y'\n"
		      "listen = \"\\u005b::1]:1\"\nalarm = [\n 'a>b', # one\n \"c\\td\"]\nlevel = "
		      "'high'\nevents = ['one', 'two']\n"
		      "mode = '640'\nlines = 7");
	if (p.err)
		fail_msg("%s", p.said);
	assert_string_equal(p.said, "");
	assert_true(p.asked.quiet && !p.asked.more);
	assert_string_equal(p.asked.store, "/var/lib/x y");
	assert_string_equal(p.asked.listen, "[::1]:1");
	assert_int_equal(p.asked.alarm_count, 2);
	assert_string_equal(p.asked.alarms[0], "a>b");
	assert_string_equal(p.asked.alarms[1], "c\td");
	assert_true(p.asked.level == 2 && p.asked.events == 3 && p.asked.lines == 7);
	assert_true(p.asked.rotate == 1500 && p.asked.bytes == 10 << 20 && p.asked.mode == 0640);
	parsed_fini(&p);
	assert_null(p.asked.alarms);
}

/* A 0 that was asked for is told from none. */
static void test_given(void **state)
{
	struct parsed p;

	(void)state;
	read_text(&p, "quiet = true\n");
	assert_true(!p.err && !p.asked.lines && !p.asked.lines_given);
	parsed_fini(&p);
	read_text(&p, "lines = 0\n");
	assert_true(!p.err && !p.asked.lines && p.asked.lines_given);
	parsed_fini(&p);
	/* It has a meaning without its argument: true; false is as if it was not there. */
	read_text(&p, "lines = true\n");
	assert_true(!p.err && p.asked.lines == 10 && p.asked.lines_given);
	parsed_fini(&p);
	read_text(&p, "lines = false\n");
	assert_true(!p.err && !p.asked.lines && !p.asked.lines_given);
	parsed_fini(&p);
	read_text(&p, "lines = 1000\n");
	assert_true(p.err && !p.asked.lines_given);
	parsed_fini(&p);
}

static void test_other_values(void **state)
{
	struct parsed p;

	(void)state;
	/* A number in quotes is one, too; an array may be empty, and one text needs none. */
	read_text(&p, "size = \"16\"\nrotate = '1h'\nalarm = 'x'\nevents = \"two,one\"\n");
	assert_int_equal(p.err, 0);
	assert_true(p.asked.bytes == 16 << 20 && p.asked.rotate == 3600 && p.asked.events == 3);
	assert_true(p.asked.alarm_count == 1 && !strcmp(p.asked.alarms[0], "x"));
	assert_true(!p.asked.quiet && !p.asked.store && !p.asked.listen);
	parsed_fini(&p);
	read_text(&p, "alarm = []\nrotate = 90");
	assert_true(!p.err && !p.asked.alarm_count && p.asked.rotate == 90);
	parsed_fini(&p);
	read_text(&p, "");
	assert_true(!p.err && !p.asked.bytes && !p.asked.quiet && !p.asked.rotate);
	parsed_fini(&p);
}

static const struct {
	const char *text, *said; /* %s: the file */
} wrong[] = {
	{"size = 8\nno-more", "--config %s: line 2, column 8: a value is missing: write no-more = "
			      "true, or another value\n"},
	{"rotate = 1h",
	 "--config %s: line 1, column 10: a text needs quotes: write rotate = \"1h\"\n"},
	{"[agent]\nsize = 8", "--config %s: line 1, column 1: a table, [ ], is not taken: leave "
			      "this line out, names stand alone\n"},
	{"\n siz = 8", "--config %s: line 2, column 2: siz is no option of the file; pymem-bpf "
		       "agent --help lists them\n"},
	/* No short names, letters, or beginnings. */
	{"q = true", "--config %s: line 1, column 1: q is no option of the file; pymem-bpf agent "
		     "--help lists them\n"},
	{"quiet = 1", "--config %s: line 1, column 9: quiet is true or false, without quotes\n"},
	{"quiet = \"true\"",
	 "--config %s: line 1, column 9: quiet is true or false, without quotes\n"},
	{"quiet = [true]",
	 "--config %s: line 1, column 1: quiet takes one value: write it without [ ]\n"},
	{"size = true",
	 "--config %s: line 1, column 8: size takes a number or a text, not true or false\n"},
	{"size = [8]",
	 "--config %s: line 1, column 1: size takes one value: write it without [ ]\n"},
	{"store = 8", "--config %s: line 1, column 9: store is a text: write it in quotes\n"},
	{"alarm = ['x', 8]",
	 "--config %s: line 1, column 15: alarm is a text: write it in quotes\n"},
	{"alarm = ['x', false]",
	 "--config %s: line 1, column 15: alarm takes a number or a text, not true or false\n"},
	{"level = 2.5", "--config %s: line 1, column 9: level is a text: write it in quotes\n"},
	{"size = 8\nsize = 9", "--config %s: line 2, column 1: size is there twice, first in line "
			       "1: write several values as size = [\"one\", \"two\"]\n"},
	{"mode = 640", "--config %s: line 1, column 8: mode is a text: write it in quotes\n"},
	/* What the option itself says of its argument comes before. */
	{"\nsize = 1", "--size 1: expected a whole number from 8 to 1024\n"
		       "pymem-bpf test: --config %s: that is wrong in it, in line 2, column 8\n"},
	{"size = -8", "--size -8: expected a whole number from 8 to 1024\n"
		      "pymem-bpf test: --config %s: that is wrong in it, in line 1, column 8\n"},
	{"size = 8.0", "--size 8.0: expected a whole number from 8 to 1024\n"
		       "pymem-bpf test: --config %s: that is wrong in it, in line 1, column 8\n"},
	{"store = ''", "--store '': expected a folder\n"
		       "pymem-bpf test: --config %s: that is wrong in it, in line 1, column 9\n"},
	{"events = ['one',\n 'six']",
	 "--events six: expected some of one or two, with commas between them\n"
	 "pymem-bpf test: --config %s: that is wrong in it, in line 2, column 2\n"},
};

static void test_wrong(void **state)
{
	char format[512], said[600];
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		read_text(&p, wrong[i].text);
		assert_int_equal(p.err, -EINVAL);
		snprintf(format, sizeof(format), "pymem-bpf test: %s", wrong[i].said);
		snprintf(said, sizeof(said), "%.*s%s%s", (int)(strstr(format, "%s") - format),
			 format, file_of(), strstr(format, "%s") + 2);
		assert_string_equal(p.said, said);
		parsed_fini(&p);
	}
}

/* What only the command can know of a text: where it is. */
static void test_complain(void **state)
{
	struct agent_config moved;
	char said[256], *text = NULL;
	FILE *real = stderr;
	struct parsed p;
	size_t size;

	(void)state;
	read_text(&p, "alarm = ['x',\n  'x', 'y']\n");
	assert_int_equal(p.err, 0);
	moved = p.config;
	stderr = open_memstream(&text, &size);
	assert_int_equal(agent_config_complain(&moved, p.asked.alarms[1]), -EINVAL);
	assert_int_equal(agent_config_complain(&moved, "elsewhere"), -EINVAL);
	fclose(stderr);
	stderr = real;
	snprintf(said, sizeof(said),
		 "pymem-bpf test: --config %s: that is wrong in it, in line 2, column 3\n"
		 "pymem-bpf test: --config %s: that is wrong in it\n",
		 file_of(), file_of());
	assert_string_equal(text, said);
	free(text);
	parsed_fini(&p);
}

static void test_files(void **state)
{
	static char large[AGENT_CONFIG_BYTES + 1];
	struct parsed p;
	char said[128];

	(void)state;
	memset(large, '#', sizeof(large));
	write_file(large, sizeof(large) - 1);
	read_path(&p, file_of(), false);
	assert_int_equal(p.err, 0);
	parsed_fini(&p);
	write_file(large, sizeof(large));
	read_path(&p, file_of(), false);
	assert_int_equal(p.err, -EFBIG);
	snprintf(said, sizeof(said), "pymem-bpf test: --config %s: File too large\n", file_of());
	assert_string_equal(p.said, said);
	parsed_fini(&p);
	/* There is none. */
	read_path(&p, file_of(), false);
	assert_int_equal(p.err, -ENOENT);
	assert_non_null(strstr(p.said, ": No such file or directory\n"));
	parsed_fini(&p);
	read_path(&p, file_of(), true);
	assert_int_equal(p.err, -ENOENT);
	assert_string_equal(p.said, "");
	assert_true(!p.asked.store && !p.asked.bytes);
	parsed_fini(&p);
	/* It is no file: neither waited for nor read without end. */
	assert_int_equal(mkfifo(file_of(), 0600), 0);
	read_path(&p, file_of(), true);
	assert_int_equal(p.err, -EINVAL);
	parsed_fini(&p);
	read_path(&p, "/dev/zero", true);
	assert_int_equal(p.err, -EINVAL);
	assert_string_equal(p.said, "pymem-bpf test: --config /dev/zero: Invalid argument\n");
	parsed_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	     cmocka_unit_test(test_given),
		cmocka_unit_test(test_other_values), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_complain),     cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
