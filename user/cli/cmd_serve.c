/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `pymem-bpf serve`. */
#include "cli/cmd_serve.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_status.h"
#include "cli/options.h"
#include "cli/privilege.h"
#include "pymem_serve.h"
#include "serve/serve.h"
#include "serve/serve_quota.h"

#define MAX_CLIENTS 4096

static const char usage[] =
	"Usage: pymem-bpf serve [--socket PATH] [--max-clients N] [--max-per-user N]\n"
	"                       [--max-processes N] [-v] [-q]\n"
	"       pymem-bpf serve --fd N [-v] [-q]\n"
	"\n"
	"Gives users exact figures of their own processes' memory, over a unix socket, for the\n"
	"Python package's %memit and %mprun. Needs root; docs/SERVE.md says what it gives away.\n"
	"\n"
	"      --socket PATH      where to listen (" PYMEM_SERVE_SOCKET ")\n"
	"      --fd N             serve the one client at the other end of descriptor N, a\n"
	"                         connected socket, and end with it\n"
	"      --max-clients N    connections in all (256)\n"
	"      --max-per-user N   connections of each user (64)\n"
	"      --max-processes N  processes watched of each user, children included (2048)\n"
	"  -v, --verbose          tell of each client; -vv: also libbpf's warnings\n"
	"  -q, --quiet            errors only\n"
	"  -h, --help             print this\n"
	"\n"
	"A socket passed by systemd (LISTEN_FDS) is used instead of --socket. Ends at SIGTERM,\n"
	"SIGINT or SIGHUP.\n"
	"Exit status: 0 ended, 1 failed, 2 usage, 3 environment (not root, kernel too old).\n";

enum { OPTION_SOCKET = 256, OPTION_FD, OPTION_CLIENTS, OPTION_PER_USER, OPTION_PROCESSES };

static const struct option longs[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"fd", required_argument, NULL, OPTION_FD},
	{"max-clients", required_argument, NULL, OPTION_CLIENTS},
	{"max-per-user", required_argument, NULL, OPTION_PER_USER},
	{"max-processes", required_argument, NULL, OPTION_PROCESSES},
	{"verbose", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{},
};

/* A whole number from `min` to `max`, or -1 after saying so. */
static long number(const char *option, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (!errno && end != text && !*end && value >= min && value <= max)
		return value;
	fprintf(stderr, "pymem-bpf serve: %s %s: expected a whole number from %ld to %ld\n", option,
		text, min, max);
	return -1;
}

/* 0, or 1 after -h, or -1 after saying what is wrong. */
static int parse(struct serve_options *o, int argc, char **argv)
{
	bool socket = false;
	long value = 0;
	int option;

	optind = 1;
	while (value >= 0 && (option = getopt_long(argc, argv, "vqh", longs, NULL)) != -1) {
		switch (option) {
		case OPTION_SOCKET:
			o->socket = optarg;
			socket = true;
			break;
		case OPTION_FD:
			value = number("--fd", optarg, 0, 1 << 20);
			o->fd = (int)value;
			break;
		case OPTION_CLIENTS:
			value = number("--max-clients", optarg, 1, MAX_CLIENTS);
			o->max_clients = (unsigned)value;
			break;
		case OPTION_PER_USER:
			value = number("--max-per-user", optarg, 1, MAX_CLIENTS);
			o->max_per_user = (unsigned)value;
			break;
		case OPTION_PROCESSES:
			value = number("--max-processes", optarg, 1, SERVE_USERS_IMAGES);
			o->max_processes = (unsigned)value;
			break;
		case 'v':
			o->verbosity++;
			break;
		case 'q':
			o->verbosity = -1;
			break;
		case 'h':
			return 1;
		default:
			fputs("Try pymem-bpf serve --help.\n", stderr);
			return -1;
		}
	}
	if (value < 0)
		return -1;
	if (optind < argc)
		fprintf(stderr, "pymem-bpf serve: unexpected argument: %s; see --help\n",
			argv[optind]);
	else if (socket && o->fd >= 0)
		fputs("pymem-bpf serve: --socket and --fd exclude one another\n", stderr);
	else
		return 0;
	return -1;
}

int cmd_serve(int argc, char **argv)
{
	struct serve_options options = {
		.socket = PYMEM_SERVE_SOCKET,
		.fd = -1,
		.max_clients = SERVE_MAX_CLIENTS,
		.max_per_user = SERVE_MAX_PER_USER,
		.max_processes = SERVE_USER_IMAGES,
	};
	int status = parse(&options, argc, argv);

	if (status > 0) {
		fputs(usage, stdout);
		return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
	}
	if (status < 0)
		return EXIT_USAGE;
	status = privilege_check("serve");
	return status ? status : serve_run(&options);
}
