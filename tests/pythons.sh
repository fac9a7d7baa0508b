#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The interpreters that tests run against: the system's, pyenv's, and those of other Debian
# releases, unpacked into a cache without being installed.
#
#   tests/pythons.sh list          one line each: name<TAB>command prefix; fetches what is missing
#   tests/pythons.sh local         the same without those of other Debian releases
#   tests/pythons.sh run DIR CMD…  CMD with DIR as its root, in a mount namespace of its own
#   tests/pythons.sh tree NAME SUITE PACKAGE…
#                                  the folder of a tree with python3 and these packages of a suite
#
# An unpacked interpreter needs its own C library, so it runs in a chroot. /proc, /dev, /tmp
# and the project's folder are bound into it at the same paths, in a private mount namespace:
# nothing stays mounted, and the command keeps its PID, since everything here execs.
#
# A tree is made under a temporary name and renamed when it has run its interpreter once;
# packages are authenticated by apt. What can't be had is named on stderr (SKIP …); the exit
# status is not 0 only if there is no interpreter at all.
#
# With PYMEM_MATRIX set (make check-pythons), `list` has more: debug builds of each release,
# further interpreters of /usr, /usr/local and /opt, a virtual environment, and the free-threaded
# builds in the cache (free_threaded.sh makes them). With PYMEM_FREE_THREADED set (make check-free-threaded)
# it has these and the system's, no others.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")
cache=${PYMEM_CACHE:-$HOME/.cache/pymem-bpf}/pythons

# name and suite of each
releases='python3.9 bullseye
python3.11 bookworm
python3.13 trixie
python3.14 forky
python3.15 forky'
debug_builds='python3.9-dbg bullseye
python3.11-dbg bookworm
python3.13-dbg trixie
python3.14-dbg forky
python3.15-dbg forky'

mirror()
{
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1
}

skip()
{
	echo "SKIP $1: $2" >&2
}

# Inside the private mount namespace: binds what tests share, then becomes the command.
enter()
{
	local root=$1 path
	shift
	for path in /proc /dev /tmp "$project"; do
		mkdir -p "$root$path"
		mount --rbind "$path" "$root$path"
	done
	exec chroot "$root" "$@"
}

run()
{
	[ -d "$1" ] || { echo "pythons.sh: $1: no such folder" >&2; exit 1; }
	exec unshare --mount --propagation private "$here/pythons.sh" enter "$@"
}

# Unpacks packages $3 (with commas) of suite $2 into the folder $1 unless its interpreter $4 is
# there; prints the reason and fails if that can't be done. $5: what it must be able to import.
unpack()
{
	local dest=$1 suite=$2 packages=$3 name=$4 imports=$5 tmp site
	[ ! -x "$dest/usr/bin/$name" ] || return 0
	command -v mmdebstrap >/dev/null || { echo 'mmdebstrap is not installed'; return 1; }
	site=${PYMEM_MIRROR:-$(mirror)}
	[ -n "$site" ] || { echo 'no Debian mirror is configured (set PYMEM_MIRROR)'; return 1; }
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	chmod 755 "$tmp"
	if ! mmdebstrap --quiet --variant=extract --include="$packages" \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"' \
		"$suite" "$tmp/root" "$site" >"$tmp/log" 2>&1; then
		echo "mmdebstrap: $(grep '^E:' "$tmp/log" | tail -n 1)"
		rm -rf "$tmp"
		return 1
	fi
	link_alternatives "$tmp/root"
	if ! run_quietly "$tmp/root" "/usr/bin/$name" -c "import $imports" >>"$tmp/log" 2>&1; then
		echo "unpacked, but it does not run: $(tail -n 1 "$tmp/log")"
		rm -rf "$tmp"
		return 1
	fi
	# Another run may have been faster: then its tree stays.
	mv -T "$tmp/root" "$dest" 2>/dev/null || [ -x "$dest/usr/bin/$name" ]
	rm -rf "$tmp"
}

# numpy's libraries are alternatives: links that the packages' scripts, which don't run, would make.
link_alternatives()
{
	local library
	for library in "$1"/usr/lib/*/blas/libblas.so.3 "$1"/usr/lib/*/lapack/liblapack.so.3; do
		[ ! -e "$library" ] || ln -sf "${library#"${library%/*/*}/"}" "${library%/*/*}/"
	done
}

# Modules without bytecode would slow down each start. Some are templates: those stay as they are.
compile()
{
	(cd "$1" && run_quietly "$1" /usr/bin/python3 -m compileall -q /usr/lib/python3 \
		$(printf '/%s ' usr/lib/python3.*) >/dev/null 2>&1) || true
	touch "$1/.compiled"
}

tree()
{
	local dest=$cache/$1-$2 suite=$2 packages reason
	shift 2
	packages=$(echo python3 "$@" | tr ' ' ,)
	[ "$(id -u)" = 0 ] || { echo 'pythons.sh: unpacking and chroot need root' >&2; exit 1; }
	reason=$(unpack "$dest" "$suite" "$packages" python3 ctypes) ||
		{ echo "pythons.sh: $packages of $suite: $reason" >&2; exit 1; }
	[ -e "$dest/.compiled" ] || compile "$dest"
	echo "$dest"
}

run_quietly()
{
	(run "$@")
}

list_local()
{
	local python version
	if [ -x /usr/bin/python3 ]; then
		version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
		printf 'system-%s\t%s\n' "$version" /usr/bin/python3
	fi
	for python in "$HOME"/.pyenv/versions/*/bin/python3.*; do
		case ${python##*/} in
		python3.[6-9] | python3.[6-9]t | python3.[1-9][0-9] | python3.[1-9][0-9]t) ;;
		*) continue ;;
		esac
		[ -x "$python" ] || continue
		version=${python%/bin/*}
		printf 'pyenv-%s\t%s\n' "${version##*/}" "$python"
	done
}

# Interpreters in other usual places, but for links to one that is listed.
list_elsewhere()
{
	local python name seen
	seen=" $(readlink -f /usr/bin/python3) "
	for python in /usr/bin/python3.* /usr/local/bin/python3.* /opt/*/bin/python3.*; do
		name=${python##*/python}
		[[ $name =~ ^3\.[0-9]+t?d?(-dbg)?$ && -x $python ]] || continue
		case $seen in *" $(readlink -f "$python") "*) continue ;; esac
		seen+="$(readlink -f "$python") "
		case $python in
		/usr/bin/*) name=system-$name ;;
		/usr/local/*) name=local-$name ;;
		*) name=opt-$name-$(basename "${python%/bin/*}") ;;
		esac
		printf '%s\t%s\n' "$name" "$python"
	done
}

# A virtual environment of the system's Python: its interpreter is a link.
list_venv()
{
	local version dest
	[ -x /usr/bin/python3 ] || return 0
	version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	dest=$cache/venv-$version
	if [ ! -x "$dest/bin/python3" ] &&
		! /usr/bin/python3 -m venv --symlinks --without-pip "$dest" >&2; then
		rm -rf "$dest"
		skip "venv-$version" 'python3 -m venv fails'
		return
	fi
	printf 'venv-%s\t%s\n' "$version" "$dest/bin/python3"
}

list_free_threaded()
{
	local version python
	for python in "$cache"/free-threaded-*/bin/python3.*t; do
		[ -x "$python" ] || continue
		version=${python##*/python}
		printf 'free-threaded-%s\t%s\n' "${version%t}" "$python"
	done
}

list_debian()
{
	local name suite reason
	while read -r name suite; do
		if [ "$(id -u)" != 0 ]; then
			skip "$name" 'unpacking and chroot need root'
		elif reason=$(unpack "$cache/$name-$suite" "$suite" "$name" "$name" ctypes); then
			printf '%s-%s\t%s\n' "$suite" "${name#python}" \
				"$here/pythons.sh run $cache/$name-$suite /usr/bin/$name"
		else
			skip "$name" "$reason"
		fi
	done <<<"$1"
}

list()
{
	local found
	found=$("$@")
	[ -n "$found" ] || { echo 'pythons.sh: no Python 3.6 or newer' >&2; exit 1; }
	echo "$found"
}

everything()
{
	if [ -n "${PYMEM_FREE_THREADED-}" ]; then
		list_local | grep ^system-
		list_free_threaded
		return
	fi
	list_local
	list_debian "$releases"
	[ -n "${PYMEM_MATRIX-}" ] || return 0
	list_debian "$debug_builds"
	list_elsewhere
	list_venv
	list_free_threaded
}

case ${1-} in
list) list everything ;;
local) list list_local ;;
run | enter)
	[ $# -ge 3 ] || { echo "usage: $0 $1 DIR CMD…" >&2; exit 2; }
	"$@"
	;;
tree)
	[ $# -ge 3 ] || { echo "usage: $0 tree NAME SUITE PACKAGE…" >&2; exit 2; }
	"$@"
	;;
*)
	echo "usage: $0 list | local | run DIR CMD… | tree NAME SUITE PACKAGE…" >&2
	exit 2
	;;
esac
