#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Builds a free-threaded CPython (--disable-gil) from Debian's source package, into the cache;
# Debian has no package of one. Prints the interpreter's path.
#
#   tests/free_threaded.sh 3.14          3.13 (of trixie), 3.14 or 3.15 (of forky)
#   tests/free_threaded.sh 3.14 tsan     the same under ThreadSanitizer, in a folder of its own
#
# apt fetches the source and authenticates it; its lists and its cache are ours, so no root is
# needed and nothing of the system's changes. Exit status 77: Debian does not serve the sources. Only the upstream archive of the source package is
# built: what Debian patches is where things get installed. -O1 and no PGO, for a build of some
# minutes. What modules want of other libraries is left out, where its headers are missing.
set -eu

cache=${PYMEM_CACHE:-$HOME/.cache/pymem-bpf}/pythons
mirror=${PYMEM_MIRROR:-}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Nothing of these matters to memory or frames.
without='_test_capi|_testcapi _testinternalcapi _testlimitedcapi _testclinic _testclinic_limited
_testbuffer _testimportmultiple _testmultiphase _testsinglephase _testexternalinspection
_ctypes_test xxlimited xxlimited_35 xxsubtype _tkinter _curses _curses_panel _dbm _gdbm _sqlite3
readline _codecs_cn _codecs_hk _codecs_iso2022 _codecs_kr _codecs_tw'

die()
{
	echo "free_threaded.sh: $*" >&2
	exit 1
}

suite_of()
{
	case $1 in
	3.13) echo trixie ;;
	3.14 | 3.15) echo forky ;;
	*) return 1 ;;
	esac
}

# The source package's archive, checked by apt, in $1/source.
fetch()
{
	local work=$1 name=$2 suite=$3 options
	[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
	[ -n "$mirror" ] || die 'no Debian mirror is configured (set PYMEM_MIRROR)'
	[ -r "$keyring" ] || die "$keyring is missing (debian-archive-keyring has it)"
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
	echo "deb-src [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
	options="-o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache
		-o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=$(id -un)"
	# shellcheck disable=SC2086 # a list
	apt-get $options -qq update
	# shellcheck disable=SC2086
	(cd "$work/source" && apt-get $options -qq source --download-only "$name")
}

configure_flags()
{
	local module
	printf '%s\n' --disable-gil --without-ensurepip --disable-test-modules
	[ -z "$sanitizer" ] || echo --with-thread-sanitizer
	for module in ${without//|/ }; do
		echo "py_cv_module_$module=n/a"
	done
}

build()
{
	local work=$1 prefix=$2 archive
	archive=$(ls "$work"/source/*.orig.tar.*z)
	mkdir "$work/tree" "$work/build"
	tar -xf "$archive" -C "$work/tree" --strip-components=1
	cd "$work/build"
	# shellcheck disable=SC2046
	nice -n 10 "$work/tree/configure" -q --prefix="$prefix" OPT='-O1 -g1 -fwrapv -DNDEBUG' \
		$(configure_flags)
	# The build runs what it has built. Races of CPython's own are not what is looked for.
	export TSAN_OPTIONS=report_bugs=0
	nice -n 10 make -s -j2 all
	# Bytecode of all modules takes the sanitizer a quarter of an hour.
	nice -n 10 make -s altinstall DESTDIR="$work/install" ${sanitizer:+COMPILEALL_OPTS="-r 0"}
	# Races of CPython's own, as its developers list them.
	[ -z "$sanitizer" ] || cp "$work"/tree/Tools/tsan/*.txt "$work/install$prefix"
}

version=${1-} sanitizer=${2-}
suite=$(suite_of "$version") || die "usage: $0 3.13 | 3.14 | 3.15 [tsan]"
case $sanitizer in
'') dest=$cache/free-threaded-$version ;;
tsan) dest=$cache/thread-sanitizer-$version ;;
*) die "usage: $0 3.13 | 3.14 | 3.15 [tsan]" ;;
esac
python=$dest/bin/python${version}t
if [ ! -x "$python" ]; then
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	if ! (fetch "$work" "python$version" "$suite") >"$work/log" 2>&1; then
		tail -n 5 "$work/log" >&2
		echo "free_threaded.sh: the sources of python$version can't be fetched" >&2
		exit 77
	fi
	if ! (build "$work" "$dest") >"$work/log" 2>&1; then
		tail -n 5 "$work/log" >&2
		die "python$version cannot be built"
	fi
	TSAN_OPTIONS=report_bugs=0 "$work/install$python" -c 'import ctypes, threading, sys; assert not sys._is_gil_enabled()' ||
		die "python$version was built, but it does not run free-threaded"
	# Another run may have been faster: then its build stays.
	mv -T "$work/install$dest" "$dest" 2>/dev/null || [ -x "$python" ]
fi
echo "$python"
