#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The checks that run inside a guest (tests/vm/vmtest.sh KERNEL tests/vm/in_guest.sh), and
# small enough for software emulation: what differs between kernels is how RSS is counted
# and which hooks there are, so a few programs with known amounts will do.
#
# Prints TAP; the exit status is not 0 if a check failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tool=${PYMEM_BPF:-$here/../../build/pymem-bpf}
# The emulation is some 15 times slower than the host.
export PYMEM_E2E_PATIENCE=300

plan=0 failed=0
result()
{
	plan=$((plan + 1))
	if [ "$1" = 0 ]; then
		echo "ok $plan - $2"
	else
		echo "not ok $plan - $2"
		failed=1
	fi
}

echo "# $(uname -r)"
"$tool" check
result $? 'pymem-bpf check'
/usr/bin/python3 "$here/guest_checks.py"
status=$?
result $status 'amounts, conservation, kill -9'
echo "1..$plan"
exit $failed
