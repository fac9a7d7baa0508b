/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf ps`: the Python processes of this host. */
#ifndef CMD_PS_H
#define CMD_PS_H

/* argv[0] is "ps". Returns the exit status: 0, 1 (failed), 2 (usage). Uses getopt. */
int cmd_ps(int argc, char **argv);

#endif
