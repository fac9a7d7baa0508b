/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

/* `pymem-bpf serve`; argv[0] is "serve". The exit status. */
int cmd_serve(int argc, char **argv);

#endif
