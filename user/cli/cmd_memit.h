/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CMD_MEMIT_H
#define CMD_MEMIT_H

/* `pymem-bpf memit`; argv[0] is "memit". The exit status. */
int cmd_memit(int argc, char **argv);

#endif
