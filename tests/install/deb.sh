#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The Debian packages, as a user has them: built without a network, looked at by lintian, installed into a fresh
# system of each release, used there for the main job, removed, and no file left.
#
#   tests/install/deb.sh [SUITE]…   releases of Debian (default: this machine's); packages of another release are
#                                   built in a system of it, with what debian/control says is needed, and nothing else
#   tests/install/deb.sh --system SUITE FOLDER PACKAGE,…     only makes a system of that release in the folder
#
# Root only. Each system is a folder (mmdebstrap) below build/packages, gone at the end; it has its own mount
# namespace, with this machine's /proc and /sys, whose processes are profiled. Lines are those of TAP. Environment:
# PYMEM_MIRROR: where packages come from; PYMEM_DEB_KEEP=1: take packages that are built already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$(dirname "$here")")
out=$project/build/packages
count=0 failed=0

die()
{
	echo "Bail out! $*"
	exit 1
}

# $1: what is checked; the rest: a command. What it says is shown where it fails.
check()
{
	local what=$1 log
	shift
	count=$((count + 1))
	if log=$("$@" 2>&1); then
		echo "ok $count - $what"
	else
		failed=$((failed + 1))
		echo "not ok $count - $what"
		printf '%s\n' "$log" | tail -n 60 | sed 's/^/# /'
	fi
}

mirror()
{
	# shellcheck disable=SC2016 # apt's own
	echo "${PYMEM_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)}"
}

own_suite()
{
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# A system of the suite $1 in the folder $2, with the packages $3. A mirror may be some weeks behind, and lists of a release that
# is still to come are signed for days only.
system()
{
	local merged='--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr'
	# Debian 11 does without a merged /usr, and has no package that says that it is merged.
	[ "$1" != bullseye ] || merged=
	# shellcheck disable=SC2086 # an option, or none
	mmdebstrap --quiet --variant=apt --include="$3" $merged --aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Retries "5"' "$1" "$2" "$(mirror)"
	cp -L /etc/resolv.conf "$2/etc/resolv.conf"
}

# Runs the command in the system $1: mounts are its own, processes are the machine's.
inside()
{
	unshare --mount --propagation private "$here/deb.sh" --enter "$@"
}

enter()
{
	local root=$1 path
	shift
	for path in /proc /sys /dev; do
		mkdir -p "$root$path"
		mount --rbind "$path" "$root$path"
	done
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		${http_proxy:+http_proxy="$http_proxy"} chroot "$root" "$@"
}

# All that is there, but what apt, dpkg and the check itself keep. $1: the system.
files()
{
	(cd "$1" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o \
		-path ./root -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/apt -o -path ./var/lib/dpkg \) -prune \
		-o -printf '%y %m %p %l\n' | LC_ALL=C sort)
}

packages()
{
	# shellcheck disable=SC2016 # dpkg's own
	dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${Package}\n' | LC_ALL=C sort
}

build()
{
	local suite=$1 root
	rm -rf "$out/deb"
	if [ "$suite" = "$(own_suite)" ]; then
		unshare --net "$project/tools/package" deb
		return
	fi
	(cd "$project" && tools/package deb-source)
	root=$work/build
	system "$suite" "$root" build-essential,fakeroot,dpkg-dev
	mkdir "$root/build"
	cp "$out"/deb/pymem-bpf_* "$root/build"
	inside "$root" sh -c 'apt-get -q update && apt-get -q build-dep -y --no-install-recommends /build/*.dsc'
	inside "$root" unshare --net sh -c 'cd /build && dpkg-source -x *.dsc source && cd source &&
		dpkg-buildpackage --unsigned-source --unsigned-changes -b'
	cp "$root"/build/*.deb "$root"/build/*.changes "$root"/build/*.buildinfo "$out/deb"
	rm -rf --one-file-system "$root"
}

no_difference()
{
	diff -u "$1" "$2"
}

clean_of_lintian()
{
	# Root is who runs it here.
	lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$out"/deb/*.changes
}

try()
{
	local suite=$1 root=$work/root debs
	echo "# $suite"
	if [ -z "${PYMEM_DEB_KEEP:-}" ]; then
		check "$suite: packages are built, without a network" build "$suite"
	fi
	debs=$(ls "$out"/deb/pymem-bpf_*.deb "$out"/deb/python3-pymem-bpf_*.deb 2>/dev/null) || die "no packages in $out/deb"
	[ "$suite" != "$(own_suite)" ] || check "$suite: lintian has nothing to say" clean_of_lintian
	check "$suite: a fresh system" system "$suite" "$root" python3,systemd,man-db
	mkdir -p "$root/root/packages"
	# shellcheck disable=SC2086 # a list
	cp $debs "$here/installed.py" "$root/root/packages"
	inside "$root" sh -c 'apt-get -q update' >/dev/null 2>&1 || die "$suite: apt-get update failed"
	files "$root" > "$work/before"
	packages "$root" > "$work/packages-before"
	check "$suite: apt-get install" inside "$root" sh -c 'apt-get -q install -y --no-install-recommends \
		/root/packages/*.deb'
	inside "$root" python3 -B /root/packages/installed.py "$(cat "$project/VERSION")" > "$work/tap" 2>&1 || true
	while IFS= read -r line; do
		case $line in
		ok\ *) check "$suite: ${line#ok }" true ;;
		not\ ok\ *) check "$suite: ${line#not ok }" false ;;
		*) printf '# %s\n' "$line" ;;
		esac
	done < "$work/tap"
	check "$suite: its checks ran to their end" grep -qx 'end' "$work/tap"
	check "$suite: apt-get remove" inside "$root" apt-get -q remove -y pymem-bpf python3-pymem-bpf
	check "$suite: remove leaves the configuration and the recordings" \
		inside "$root" sh -c 'test -f /etc/pymem-bpf/agent.toml && ls /var/lib/pymem-bpf/*.pymem'
	# With what came along: apt's autoremove keeps what another package only suggests.
	packages "$root" > "$work/packages-after"
	# shellcheck disable=SC2046 # a list
	check "$suite: apt-get purge" inside "$root" apt-get -q purge -y pymem-bpf python3-pymem-bpf \
		$(comm -13 "$work/packages-before" "$work/packages-after")
	files "$root" > "$work/after"
	check "$suite: no file is left, and none changed" no_difference "$work/before" "$work/after"
	rm -rf --one-file-system "$root"
}

case ${1:-} in
--enter)
	shift
	enter "$@"
	;;
--system)
	shift
	system "$@"
	exit
	;;
esac
[ "$(id -u)" = 0 ] || die 'systems are made, and BPF is used, by root: sudo make check-deb'
mkdir -p "$out"
work=$(mktemp -d "$out/check.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"
for suite in "${@:-$(own_suite)}"; do
	try "$suite"
done
echo "1..$count"
echo "$((count - failed)) passed, $failed failed"
[ "$failed" = 0 ]
