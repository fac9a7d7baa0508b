/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `pymem-bpf serve`. */
#include "cli/command.h"
#include "cli/privilege.h"
#include "cli/shared_rows.h"
#include "pymem_serve.h"
#include "serve/serve.h"
#include "serve/serve_quota.h"

#define MAX_CLIENTS    4096
#define AT(field)      OPTION_AT(struct serve_options, field)
#define TEXT_OF(n)     #n
#define NUMBER_TEXT(n) TEXT_OF(n)

static const struct option_row rows[] = {
	{.name = "socket",
	 .argument = "PATH",
	 .type = OPTION_FILE,
	 AT(socket),
	 .preset = PYMEM_SERVE_SOCKET,
	 .help = "where to listen ({})"},
	{.name = "fd",
	 .argument = "N",
	 .type = OPTION_FD,
	 AT(fd),
	 .most = 1 << 20,
	 .help = "serve the one client at the other end of descriptor N, a\n"
		 "connected socket, and end with it"},
	{.name = "max-clients",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(max_clients),
	 .least = 1,
	 .most = MAX_CLIENTS,
	 .preset = NUMBER_TEXT(SERVE_MAX_CLIENTS),
	 .help = "connections in all ({})"},
	{.name = "max-per-user",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(max_per_user),
	 .least = 1,
	 .most = MAX_CLIENTS,
	 .preset = NUMBER_TEXT(SERVE_MAX_PER_USER),
	 .help = "connections of each user ({})"},
	{.name = "max-processes",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(max_processes),
	 .least = 1,
	 .most = SERVE_USERS_IMAGES,
	 .preset = NUMBER_TEXT(SERVE_USER_IMAGES),
	 .help = "processes watched of each user, children included ({})"},
	ROW_VERBOSE("tell of each client; -vv: also libbpf's warnings"),
	{.name = "quiet",
	 .letter = 'q',
	 .type = OPTION_VALUE,
	 AT(verbosity),
	 .value = -1,
	 .help = "errors only"},
	OPTION_HELP_ROW,
	{},
};

static int check(const struct command *command, void *options)
{
	const struct serve_options *o = options;

	if (o->socket && o->fd >= 0)
		return options_complain(command, "--socket and --fd exclude one another");
	return 0;
}

static int run(void *options)
{
	int status = privilege_check("serve");

	return status ? status : serve_run(options);
}

const struct command command_serve = {
	.name = "serve",
	.synopsis = "serve",
	.summary = "figures for users' own processes, over a socket",
	.usage = "[--socket PATH] [--max-clients N] [--max-per-user N]\n"
		 "                       [--max-processes N] [-v] [-q]\n"
		 "--fd N [-v] [-q]",
	.about =
		"Gives users exact figures of their own processes' memory, over a unix socket, for "
		"the\nPython package's %memit and %mprun. Needs root; docs/SERVE.md says what it "
		"gives away.\n",
	.rows = rows,
	.notes = "A socket passed by systemd (LISTEN_FDS) is used instead of --socket. Ends at "
		 "SIGTERM,\nSIGINT or SIGHUP.\n",
	.exits = EXITS_BPF,
	.options_size = sizeof(struct serve_options),
	.check = check,
	.run = run,
};
