#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Other projects' test suites, from Debian's packages, into the cache. Nothing of them is in this project, and
# nothing is installed. Prints the folder.
#
#   tests/peers/fetch.sh source NAME      a source package's upstream archive, unpacked
#   tests/peers/fetch.sh binary NAME      a package's files
#
# Of the release that this machine runs (PYMEM_SUITE: of another). apt authenticates what it fetches; its
# lists and its cache are ours, so no root is needed and nothing of the system's changes.
set -eu

cache=${PYMEM_CACHE:-$HOME/.cache/pymem-bpf}/suites
mirror=${PYMEM_MIRROR:-}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die()
{
	echo "fetch.sh: $*" >&2
	exit 1
}

fetch()
{
	local work=$1 kind=$2 name=$3 options
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/files"
	echo "$kind [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
	options="-o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache
		-o Acquire::Check-Valid-Until=false -o Acquire::Retries=5 -o APT::Sandbox::User=$(id -un)"
	cd "$work/files"
	# shellcheck disable=SC2086 # a list
	apt-get $options -qq update || return
	if [ "$kind" = deb-src ]; then
		# shellcheck disable=SC2086
		apt-get $options -qq source --download-only --tar-only "$name" && mkdir "$work/tree" &&
			tar -xf ./*.orig.tar.?z* -C "$work/tree" --strip-components=1
	else
		# shellcheck disable=SC2086
		apt-get $options -qq download "$name" && dpkg-deb -x ./*.deb "$work/tree"
	fi
}

case ${1-} in
source) kind=deb-src ;;
binary) kind=deb ;;
*) die "usage: $0 source|binary NAME" ;;
esac
name=${2:?NAME}
# shellcheck source=/dev/null
suite=${PYMEM_SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME-}")}
[ -n "$suite" ] || die 'which release of Debian is this? (set PYMEM_SUITE)'
dest=$cache/$name-$suite
if [ ! -d "$dest" ]; then
	# shellcheck disable=SC2016 # apt's names
	[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
	[ -n "$mirror" ] || die 'no Debian mirror is configured (set PYMEM_MIRROR)'
	[ -r "$keyring" ] || die "$keyring is missing (debian-archive-keyring has it)"
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	if ! (fetch "$work" "$kind" "$name") >"$work/log" 2>&1; then
		tail -n 5 "$work/log" >&2
		die "$name of $suite cannot be had"
	fi
	# Another run may have been faster: then its tree stays.
	mv -T "$work/tree" "$dest" 2>/dev/null || [ -d "$dest" ]
fi
echo "$dest"
