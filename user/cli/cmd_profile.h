/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The main job: attach, measure, report. */
#ifndef CMD_PROFILE_H
#define CMD_PROFILE_H

/* Runs with the whole command line; the exit status. */
int cmd_profile(int argc, char **argv);
/* `pymem-bpf check`; the exit status. */
int cmd_check(int argc, char **argv);

#endif
