/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `pymem-bpf agent`, and its config file. The command line counts more, then
 * the file, then defaults. So no row has a default: a field that is zero was not given, but where
 * zero can be asked for. What takes no argument can't be taken back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/alarm_heap.h"
#include "cli/agent_config.h"
#include "cli/command.h"
#include "cli/heap_options.h"
#include "cli/privilege.h"
#include "cli/shared_rows.h"

#define CONFIG	      "/etc/pymem-bpf/agent.toml"
#define CONFIG_BEFORE "/etc/pymem-bpf/agent.conf" /* not TOML: it is not read any more */
#define SIZE	      (256u << 20)
#define ROTATE	      21600.0
#define INTERVAL      5.0
#define MAX_STACKS    65536
#define MAX_PROCESSES 4096
#define RING_BYTES    (8192u << 10)
#define AT(field)     OPTION_AT(struct agent_options, field)

/* What a config file can say, too. */
#define AGENT_ROWS                                                                        \
	{.name = "store",                                                                 \
	 .argument = "DIR",                                                               \
	 .type = OPTION_FILE,                                                             \
	 AT(store),                                                                       \
	 .noun = "a folder",                                                              \
	 .help = "where the recordings are (" AGENT_STORE ")"},                           \
		{.name = "size",                                                          \
		 .argument = "MIB",                                                       \
		 .type = OPTION_MIB,                                                      \
		 AT(store_bytes),                                                         \
		 .least = AGENT_STORE_LEAST,                                              \
		 .most = 1 << 20,                                                         \
		 .help = "of all recordings together (256); the oldest are removed"},     \
		{.name = "rotate",                                                        \
		 .argument = "SEC",                                                       \
		 .type = OPTION_SECONDS,                                                  \
		 AT(rotate),                                                              \
		 .least = 1,                                                              \
		 .most = 1e9,                                                             \
		 .help = "begin another recording after SEC seconds; 30m, 1h (6h), or\n"  \
			 "when one has an eighth of --size"},                             \
		{.name = "interval",                                                      \
		 .argument = "SEC",                                                       \
		 .type = OPTION_SECONDS,                                                  \
		 AT(interval),                                                            \
		 .least = 1,                                                              \
		 .most = 60,                                                              \
		 .help = "read and record every SEC seconds (5): so coarse are times\n"   \
			 "in recordings; more seconds cost less"},                        \
		{.name = "no-sources",                                                    \
		 .type = OPTION_FLAG,                                                     \
		 AT(no_sources),                                                          \
		 .help = "do not keep the text of source files"},                         \
		{.name = "max-stacks",                                                    \
		 .argument = "N",                                                         \
		 .type = OPTION_UNSIGNED,                                                 \
		 AT(max_stacks),                                                          \
		 .least = 16,                                                             \
		 .most = 1 << 24,                                                         \
		 .help = "distinct stacks kept (65536)"},                                 \
		{.name = "max-processes",                                                 \
		 .argument = "N",                                                         \
		 .type = OPTION_UNSIGNED,                                                 \
		 AT(max_processes),                                                       \
		 .least = 1,                                                              \
		 .most = 1 << 20,                                                         \
		 .help = "process images at one time (4096)"},                            \
		{.name = "ring-size",                                                     \
		 .argument = "KIB",                                                       \
		 .type = OPTION_KIB_POWER,                                                \
		 AT(ring_bytes),                                                          \
		 .least = 64,                                                             \
		 .most = 1 << 20,                                                         \
		 .help = "buffer to user space (8192)"},                                  \
		{.name = "alarm",                                                         \
		 .argument = "ALARM",                                                     \
		 .type = OPTION_TEXTS,                                                    \
		 AT(alarm_texts),                                                         \
		 .count_offset = offsetof(struct agent_options, alarm_count),             \
		 .help = "tell what grows or is large: growth>50MiB/h, rss>2GiB,\n"       \
			 "limit>90%; process:, program: or container: before it;\n"       \
			 "may be given several times"},                                   \
		{.name = "alarm-heap",                                                    \
		 .type = OPTION_FLAG,                                                     \
		 AT(alarm_heap),                                                          \
		 .help = "look at the heap of the process that an alarm is about: who\n"  \
			 "keeps its memory; at most once an hour"},                       \
		{.name = "alarm-heap-rss",                                                \
		 .argument = "MIB",                                                       \
		 .type = OPTION_MIB,                                                      \
		 AT(alarm_heap_bytes),                                                    \
		 .least = 1,                                                              \
		 .most = 1 << 20,                                                         \
		 .help = "not if it has more RSS (1024): a look takes as much memory"},   \
		{.name = "budget",                                                        \
		 .argument = "BUDGET",                                                    \
		 .type = OPTION_TEXT,                                                     \
		 AT(budget_text),                                                         \
		 .noun = "cpu=2%,memory=64M, or none",                                    \
		 .help = "what it may use itself, beyond which it records less:\n"        \
			 "cpu=2%,memory=64M, none (a tenth of all CPUs, 256M)"},          \
		{.name = "listen",                                                        \
		 .argument = "ADDRESS",                                                   \
		 .type = OPTION_TEXT,                                                     \
		 AT(listen),                                                              \
		 .noun = "127.0.0.1:PORT, [::1]:PORT or unix:/PATH",                      \
		 .help = "serve metrics there: 127.0.0.1:9746, unix:/PATH"},              \
		{.name = "metrics-lines",                                                 \
		 .argument = "N",                                                         \
		 .type = OPTION_UNSIGNED,                                                 \
		 AT(metrics_lines),                                                       \
		 .given_offset = offsetof(struct agent_options, metrics_lines_given),     \
		 .least = 0,                                                              \
		 .most = 100,                                                             \
		 .alone = "10",                                                           \
		 .help = "metrics have the N lines of each program that changed it\n"     \
			 "most: without N 10; without the option none"},                  \
		{.name = "pss",                                                           \
		 .type = OPTION_FLAG,                                                     \
		 AT(pss),                                                                 \
		 .help = "read PSS, one process after the other, for metrics and\n"       \
			 "recordings: it takes a 500th of the time"},                     \
		{.name = "textfile",                                                      \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(textfile),                                                            \
		 .noun = "a file name",                                                   \
		 .help = "write metrics there, for node_exporter: FILE ends with .prom"}, \
		{.name = "pprof",                                                         \
		 .type = OPTION_FLAG,                                                     \
		 AT(pprof),                                                               \
		 .help = "serve what grows, by stacks, at /debug/pprof/rss"},             \
		{.name = "pprof-kept",                                                    \
		 .type = OPTION_FLAG,                                                     \
		 AT(pprof_kept),                                                          \
		 .help = "the same, and at /debug/pprof/kept what is resident: this\n"    \
			 "makes page faults dearer"},                                     \
		{.name = "push",                                                          \
		 .argument = "URL",                                                       \
		 .type = OPTION_TEXT,                                                     \
		 AT(push),                                                                \
		 .noun = "http://HOST:PORT or https://HOST",                              \
		 .help = "push what grows, by program, to a Pyroscope:\n"                 \
			 "https://HOST; with --pprof-kept also what is resident"},        \
		{.name = "push-every",                                                    \
		 .argument = "SEC",                                                       \
		 .type = OPTION_SECONDS,                                                  \
		 AT(push_every),                                                          \
		 .least = 1,                                                              \
		 .most = 900,                                                             \
		 .help = "how often (15)"},                                               \
		{.name = "push-token-file",                                               \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(push_token_file),                                                     \
		 .noun = "a file name",                                                   \
		 .help = "with the token in FILE"},                                       \
		{.name = "push-password-file",                                            \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(push_password_file),                                                  \
		 .noun = "a file name",                                                   \
		 .help = "or with NAME:PASSWORD in FILE"},                                \
		{.name = "push-tenant",                                                   \
		 .argument = "ID",                                                        \
		 .type = OPTION_TEXT,                                                     \
		 AT(push_tenant),                                                         \
		 .noun = "a tenant",                                                      \
		 .help = "as this tenant (X-Scope-OrgID)"},                               \
		{.name = "push-ca",                                                       \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(push_ca),                                                             \
		 .noun = "a file name",                                                   \
		 .help = "the server's certificate is of an authority in FILE (PEM;\n"    \
			 "those of the system)"},                                         \
		{.name = "metrics-token-file",                                            \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(token_file),                                                          \
		 .noun = "a file name",                                                   \
		 .help = "who asks for metrics must have the token in FILE"},             \
		{.name = "tls-cert",                                                      \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(tls_cert),                                                            \
		 .noun = "a file name",                                                   \
		 .help = "serve metrics by HTTPS, with this certificate (PEM)"},          \
		{.name = "tls-key",                                                       \
		 .argument = "FILE",                                                      \
		 .type = OPTION_FILE,                                                     \
		 AT(tls_key),                                                             \
		 .noun = "a file name",                                                   \
		 .help = "and this key of it"},                                           \
	{                                                                                 \
		.name = "quiet", .letter = 'q', .type = OPTION_FLAG, AT(quiet),           \
		.help = "say only what goes wrong, and alarms"                            \
	}

static const struct option_row rows[] = {
	{.name = "config",
	 .argument = "FILE",
	 .type = OPTION_FILE,
	 AT(config),
	 .noun = "a file name",
	 .help = "options in TOML: size = 512; by default " CONFIG ",\n"
		 "if there is one; read again at SIGHUP"},
	AGENT_ROWS,
	ROW_VERBOSE("what is given up after loading; libbpf's warnings (-vv: all)"),
	OPTION_HELP_ROW,
	{},
};

static const struct option_row file_rows[] = {AGENT_ROWS, {}};

static const struct command command_config = {
	.name = "agent",
	.rows = file_rows,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct agent_options),
};

struct agent_command {
	struct agent_options given; /* in the command line */
	/* The file as it was at the beginning, and as it was read last: strings of both are in use.
	 */
	struct agent_config first, latest;
	bool is_running;
};

/* Fields that are not given are those of `other`. */
static void fill_in(struct agent_options *o, const struct agent_options *other)
{
	o->store = o->store ?: other->store;
	o->store_bytes = o->store_bytes ?: other->store_bytes;
	o->rotate = o->rotate > 0 ? o->rotate : other->rotate;
	o->interval = o->interval > 0 ? o->interval : other->interval;
	o->no_sources |= other->no_sources;
	o->max_stacks = o->max_stacks ?: other->max_stacks;
	o->max_processes = o->max_processes ?: other->max_processes;
	o->ring_bytes = o->ring_bytes ?: other->ring_bytes;
	o->alarm_heap |= other->alarm_heap;
	o->alarm_heap_bytes = o->alarm_heap_bytes ?: other->alarm_heap_bytes;
	o->budget_text = o->budget_text ?: other->budget_text;
	o->listen = o->listen ?: other->listen;
	if (!o->metrics_lines_given)
		o->metrics_lines = other->metrics_lines;
	o->metrics_lines_given |= other->metrics_lines_given;
	o->textfile = o->textfile ?: other->textfile;
	o->pprof |= other->pprof;
	o->pprof_kept |= other->pprof_kept;
	o->push = o->push ?: other->push;
	o->push_every = o->push_every > 0 ? o->push_every : other->push_every;
	o->push_token_file = o->push_token_file ?: other->push_token_file;
	o->push_password_file = o->push_password_file ?: other->push_password_file;
	o->push_tenant = o->push_tenant ?: other->push_tenant;
	o->push_ca = o->push_ca ?: other->push_ca;
	o->pss |= other->pss;
	o->token_file = o->token_file ?: other->token_file;
	o->tls_cert = o->tls_cert ?: other->tls_cert;
	o->tls_key = o->tls_key ?: other->tls_key;
	o->quiet |= other->quiet;
}

/* Reads the alarms of a command line or of a file (`config`, or NULL): those of both count. 0 or
 * -EINVAL, which is said. */
static int add_alarms(struct alarm_rules *rules, const struct agent_options *from,
		      const struct agent_config *config)
{
	char why[512];

	for (size_t i = 0; i < from->alarm_count; i++) {
		if (!alarm_rules_add(rules, from->alarm_texts[i], why, sizeof(why)))
			continue;
		options_complain(&command_config, "--alarm %s: %s", from->alarm_texts[i], why);
		return config ? agent_config_complain(config, from->alarm_texts[i]) : -EINVAL;
	}
	return 0;
}

/* 0 or -EINVAL, which is said. `config`: of the file that has it; NULL: it is of the command line.
 */
static int set_budget(struct agent_options *o, const struct agent_config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char why[320];

	o->budget = shed_budget_default(cpus > 0 ? (unsigned)cpus : 1);
	if (!o->budget_text || !shed_budget_parse(o->budget_text, &o->budget, why, sizeof(why)))
		return 0;
	options_complain(&command_config, "--budget %s: %s", o->budget_text, why);
	return config ? agent_config_complain(config, o->budget_text) : -EINVAL;
}

/* Reads the config file. There may be none where it is by default, and then none in the format
 * that was read before. 0, or -EINVAL after saying what is wrong. */
static int read_config(struct agent_config *config, const char *path, struct agent_options *file)
{
	int err = agent_config_read(config, path ?: CONFIG, !path, &command_config, file);

	if (path || err != -ENOENT)
		return err ? -EINVAL : 0;
	if (access(CONFIG_BEFORE, F_OK))
		return 0;
	return options_complain(&command_config,
				CONFIG_BEFORE " is not read any more: write it as TOML to " CONFIG
					      ", or remove it");
}

/* An agent_reload_fn: the command line, the file, the defaults. */
static int load(void *arg, struct agent_options *o)
{
	static const struct agent_options defaults = {
		.store = AGENT_STORE,
		.store_bytes = SIZE,
		.rotate = ROTATE,
		.interval = INTERVAL,
		.max_stacks = MAX_STACKS,
		.max_processes = MAX_PROCESSES,
		.ring_bytes = RING_BYTES,
		.alarm_heap_bytes = ALARM_HEAP_RSS,
	};
	struct agent_command *agent = arg;
	struct agent_config *kept = agent->is_running ? &agent->latest : &agent->first, config;
	struct agent_options file;
	int err = read_config(&config, agent->given.config, &file);

	if (!err) {
		*o = agent->given;
		fill_in(o, &file);
		fill_in(o, &defaults);
		err = add_alarms(&o->alarms, &agent->given, NULL)
			      ?: add_alarms(&o->alarms, &file, &config)
			      ?: set_budget(o, agent->given.budget_text ? NULL : &config);
	}
	options_fini(&command_config, &file);
	agent_config_fini(err ? &config : kept);
	if (!err)
		*kept = config;
	return err;
}

static int run(void *options)
{
	struct agent_command agent = {.given = *(const struct agent_options *)options};
	struct agent_options o;
	int status = load(&agent, &o) ? EXIT_USAGE : privilege_check("agent");

	agent.is_running = true;
	if (!status)
		status = agent_run(&o, load, &agent, heap_look_both);
	agent_config_fini(&agent.first);
	agent_config_fini(&agent.latest);
	return status;
}

const struct command command_agent = {
	.name = "agent",
	.synopsis = "agent",
	.summary = "record all Pythons of the host, all the time",
	.usage = "[--store DIR] [--size MIB] [--alarm ALARM]... [--listen ADDRESS] [--config FILE]",
	.about =
		"Records every Python process of the host, present and future, all the time, into "
		"a\nfolder of a fixed size: a service. pymem-bpf report shows a recording of it.\n",
	.rows = rows,
	.notes = "Ends at SIGTERM or SIGINT; SIGHUP reads the config file again.\n",
	.exits = EXITS_BPF,
	.options_size = sizeof(struct agent_options),
	.run = run,
};
