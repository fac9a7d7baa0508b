#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The checks that run inside a guest (tests/vm/vmtest.sh KERNEL tests/vm/in_guest.sh), and
# small enough for software emulation: what differs between kernels is how RSS is counted
# and which hooks there are, so a few programs with known amounts will do.
#
# Prints TAP; the exit status is not 0 if a check failed.
set -eu
# The emulation is some 15 times slower than the host.
export PYMEM_E2E_PATIENCE=300
exec /usr/bin/python3 "$(dirname "$0")/guest_checks.py" "$@"
