#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Builds a CPython whose C library is musl, by musl-gcc, from Debian's source packages, into the cache; Debian has no
# package of one. Prints the interpreter's path. It runs on this machine: Debian's musl has the loader.
#
#   tests/musl_python.sh      3.13, of trixie
#
# With zlib, which pip needs, and libffi (ctypes), both of Debian's sources, and no other library: Debian's are glibc's.
# Exit status 77: there is no musl-gcc, or Debian does not serve the sources. -O1 and no PGO, for a build of some minutes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${PYMEM_CACHE:-$HOME/.cache/pymem-bpf}/pythons
# Nothing of these matters to memory, frames or pip.
without='_testcapi _testinternalcapi _testlimitedcapi _testclinic _testclinic_limited _testbuffer _testimportmultiple
_testmultiphase _testsinglephase _testexternalinspection _ctypes_test xxlimited xxlimited_35 xxsubtype _tkinter _curses
_curses_panel _dbm _gdbm _sqlite3 _ssl _hashlib _bz2 _lzma _uuid nis _crypt readline _codecs_cn _codecs_hk _codecs_iso2022
_codecs_kr _codecs_tw'

die()
{
	echo "musl_python.sh: $*" >&2
	exit 1
}

skip()
{
	echo "musl_python.sh: $*" >&2
	exit 77
}

# A tree of Debian's sources, of a suite, in the cache.
sources()
{
	PYMEM_SUITE=$2 "$here/peers/fetch.sh" source "$1" || skip "the sources of $1 can't be fetched"
}

# Makes a static library of the sources $2 in $1/root. These two end with && between their steps: where a status is asked for,
# bash does not stop at the first command that fails.
library()
{
	local work=$1 tree=$2
	shift 2
	cp -a "$tree" "$work/library" && (cd "$work/library" && ./configure --prefix="$work/root" "$@" && make -s -j2 &&
		make -s install) && rm -rf "$work/library"
}

build()
{
	local work=$1 tree=$2 prefix=$3 module path
	mkdir "$work/bin" "$work/build" "$work/headers"
	# Which multiarch it is, musl-gcc would say as gcc does.
	cat >"$work/bin/cc" <<- 'EOF'
		#!/bin/sh
		case " $* " in
		*' --print-multiarch '*) echo "$(uname -m)-linux-musl" ;;
		*) exec musl-gcc "$@" ;;
		esac
	EOF
	chmod 755 "$work/bin/cc"
	# The kernel's, which libffi needs, and no others of this system.
	for path in linux asm-generic "$(gcc -print-multiarch)/asm"; do
		ln -s "/usr/include/$path" "$work/headers"
	done
	export CC="$work/bin/cc" CFLAGS="-O1 -fPIC -isystem $work/headers"
	library "$work" "$zlib" --static &&
		library "$work" "$ffi" --disable-shared --enable-static --disable-docs --disable-multi-os-directory || return
	export CFLAGS='' CPPFLAGS="-I$work/root/include" LDFLAGS="-L$work/root/lib"
	export PKG_CONFIG_LIBDIR="$work/root/lib/pkgconfig"
	cd "$work/build"
	set --
	for module in $without; do
		set -- "$@" "py_cv_module_$module=n/a"
	done
	# Bytecode of all modules takes a minute, and few are used.
	nice -n 10 "$tree/configure" -q --prefix="$prefix" --without-ensurepip --disable-test-modules \
		OPT='-O1 -g1 -fwrapv -DNDEBUG' "$@" && nice -n 10 make -s -j2 all &&
		nice -n 10 make -s altinstall DESTDIR="$work/install" COMPILEALL_OPTS='-r 0'
}

[ $# = 0 ] || die "usage: $0"
version=3.13 suite=trixie
dest=$cache/musl-$version
python=$dest/bin/python$version
if [ ! -x "$python" ]; then
	command -v musl-gcc >/dev/null || skip 'there is no musl-gcc (Debian: musl-tools)'
	tree=$(sources "python$version" "$suite")
	zlib=$(sources zlib bookworm)
	ffi=$(sources libffi bookworm)
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	if ! (build "$work" "$tree" "$dest") >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		die "python$version cannot be built with musl-gcc"
	fi
	# It is what it is to be, and has what it is to have.
	"$work/install$python" -c 'import ctypes, zlib, threading, sysconfig as s; assert s.get_config_var("SOABI").endswith("musl")' ||
		die "python$version was built, but it does not run, or lacks modules"
	# Another run may have been faster: then its build stays.
	mv -T "$work/install$dest" "$dest" 2>/dev/null || [ -x "$python" ]
fi
echo "$python"
