/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one place that defines what maps.bpf.h declares. */
#define PYMEM_DEFINE_MAPS
#include "base/maps.bpf.h"

#include "pymem_license.h"

char LICENSE[] SEC("license") = PYMEM_LICENSE;
