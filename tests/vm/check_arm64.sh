#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Checks the cross-built program (make arm64) on Debian's arm64 kernels, with Debian's arm64
# Pythons: amounts on lines and conservation, against programs whose truth is known.
#
#   tests/vm/check_arm64.sh [KERNEL…]     default: all that there is below
#
# Prints TAP; the exit status is not 0 if a check failed, or could not be made.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
tool=build/arm64/pymem-bpf
# Emulated in software, some 20 times slower than a host.
export PYMEM_E2E_PATIENCE=180

# Kernel, processor, release of the files, checks. A Neoverse N1 is what servers have had
# since; the Cortex-A72 is an ARMv8.0, which has neither pages of 16 KiB nor an access flag of
# its own. Faults and copies on write are not counted on arm64: of such programs (cow, grow)
# the amounts are checked. file_map and major need a disk.
runs='
6.12     neoverse-n1 trixie   check no_faults accessed_by_processor grow free threads madvise munmap mremap fork cow shared seed execs killed_check kill_9 serve memit
6.12     neoverse-n1 trixie   page_cache huge_pages swapped reclaims memory_high taken kernel_memory memory_cgroup
6.12     cortex-a72  trixie   check accessed_by_kernel grow free threads munmap seed killed_check
6.12     neoverse-n1 bookworm grow threads fork seed execs lines counted_lines
6.12-16k neoverse-n1 trixie   check pages_16k grow free threads madvise munmap mremap fork seed serve memit
7.2      neoverse-n1 forky    check grow free threads munmap fork seed killed_check
6.1      neoverse-n1 bookworm refused
'

planned=0 passed=0 failed=0
fail()
{
	echo "not ok - $1"
	failed=$((failed + 1))
}

guest()
{
	local kernel=$1 cpu=$2 release=$3 line status output good=0 bad=0
	shift 3
	planned=$((planned + $#))
	echo "# kernel $kernel, $cpu, files of $release"
	output=$(mktemp)
	VM_CPU=$cpu PYMEM_ARM64_ROOT=$release VM_SECONDS=${VM_SECONDS:-900} PYMEM_BPF=/run/folder/$tool \
		"$here/arm64.sh" "$kernel" /usr/bin/python3 -B tests/vm/arm64_checks.py "$@" \
		</dev/null >"$output" 2>&1
	status=$?
	cat "$output"
	good=$(grep -c '^ok - ' "$output")
	bad=$(grep -c '^not ok - ' "$output")
	rm -f "$output"
	passed=$((passed + good))
	failed=$((failed + bad))
	if [ $((good + bad)) != $# ]; then
		fail "kernel $kernel, $cpu: $((good + bad)) of $# checks ran, status $status"
	elif [ "$status" != "$bad" ]; then
		fail "kernel $kernel, $cpu: $bad checks failed, but the status is $status"
	fi
}

# What guests read that must be on a disk (guest_events.library()); theirs are in memory.
pages=build/arm64/guest-file.$$
export PYMEM_GUEST_FILE=/run/folder/$pages

[ -x $tool ] || { echo "check_arm64: $tool is not built: make arm64 (it needs arm64's libraries)" >&2; exit 1; }
head -c 96M /dev/urandom >$pages || exit 1
trap 'rm -f $pages' EXIT
while read -r kernel cpu release checks; do
	[ -n "$kernel" ] || continue
	[ $# = 0 ] || [[ " $* " == *" $kernel "* ]] || continue
	# shellcheck disable=SC2086 # a list
	guest "$kernel" "$cpu" "$release" $checks
done <<<"$runs"
echo "1..$planned"
echo "# $passed passed, $failed failed"
[ "$planned" != 0 ] || { echo 'check_arm64: no such kernel' >&2; exit 1; }
[ "$failed" = 0 ]
