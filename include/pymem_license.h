/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The license that the kernel is told of the BPF programs. Programs are loaded by libbpf, which
 * takes it from their object and does not tell it, and by parallel_load.c: both must say the same.
 * Helpers that are for the GPL only are refused to programs of another one. */
#ifndef PYMEM_LICENSE_H
#define PYMEM_LICENSE_H

#define PYMEM_LICENSE "Dual BSD/GPL"

#endif
