/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arguments of a USDT probe, as its note describes them: "8@%rbx -4@12(%rsp)". */
#ifndef USDT_ARGS_H
#define USDT_ARGS_H

#include <stdint.h>

/* Finds argument `number` (from 0) in the note's text, which is hostile input. `*arg` becomes where
 * it lies, packed by PYMEM_ARG(). 0; -ENOENT: there is no such argument; -EOPNOTSUPP: it lies where
 * it can't be read. */
int usdt_arg_parse(const char *args, unsigned number, uint32_t *arg);

#endif
