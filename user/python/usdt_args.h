/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arguments of a USDT probe, as its note describes them: "8@%rbx -4@12(%rsp)". */
#ifndef USDT_ARGS_H
#define USDT_ARGS_H

#include <stdint.h>

/* Where argument `number` (0: the first) of the note's text is, as PYMEM_ARG() packs it. 0;
 * -ENOENT: there is no such argument; -EOPNOTSUPP: it lies where we can't read it. Hostile input.
 */
int usdt_arg_parse(const char *args, unsigned number, uint32_t *arg);

#endif
