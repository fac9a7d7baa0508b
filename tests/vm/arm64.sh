#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs a command as root on a Debian arm64 kernel, in qemu, with Debian's arm64 files.
#
#   tests/vm/arm64.sh KERNEL CMD…     KERNEL: 6.1, 6.12, 6.12-16k, 7.2 or 7.2-16k
#
# As vmtest.sh, but the host's files are of no use to another architecture: the guest's / is a
# Debian release unpacked for arm64 (with its Python), read-only over 9p. CMD runs in the current
# folder, which is /run/folder there, and writable; /tmp, /run and /var/tmp are fresh. Its output
# comes out on stdout at its end and its status is ours; 124: time ran out, 125: the guest could
# not do it.
#
# -16k: the kernel of that release with pages of 16 KiB. PYMEM_ARM64_ROOT names the release
# of the files, where that is to be another than the kernel's: bookworm has Python 3.11,
# trixie 3.13, forky 3.14.
#
# Trees are unpacked by mmdebstrap, packages authenticated by apt, and nothing of theirs is run
# here. They are kept in the cache, made under a temporary name and renamed when complete.
#
# Environment: VM_MEMORY (2G), VM_CPUS (2), VM_SECONDS (600), VM_CPU (cortex-a72; neoverse-n1
# for pages of 16 KiB, which the former has not), PYMEM_ARM64_ROOT, PYMEM_CACHE, PYMEM_MIRROR.
set -eu

cache=${PYMEM_CACHE:-$HOME/.cache/pymem-bpf}/arm64
me=$(readlink -f "$0")

die()
{
	echo "arm64.sh: $*" >&2
	exit 125
}

suite_of()
{
	case ${1%-16k} in
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7.2) echo forky ;;
	*) die "$1: no such kernel; there are 6.1, 6.12, 6.12-16k, 7.2 and 7.2-16k" ;;
	esac
}

need()
{
	local tool
	for tool in qemu-system-aarch64 mmdebstrap cpio xz zstd; do
		command -v "$tool" >/dev/null || die "$tool is missing; tools/install-deps arm64 installs it"
	done
}

# What the program links with, what the checks use, and no more.
root_packages()
{
	local elf=libelf1t64 http=libmicrohttpd12t64
	[ "$1" != bookworm ] || { elf=libelf1 http=libmicrohttpd12; }
	echo "python3,libpython3-stdlib,bash,coreutils,busybox-static,libbpf1,$elf,libjansson4,libprotobuf-c1,$http,libncursesw6,zlib1g,bpftool,python3-pytest,python3-jsonschema,mount,util-linux"
}

# Unpacks packages of a release into $cache/NAME, unless they are there.
unpack()
{
	local name=$1 suite=$2 packages=$3 site work
	[ ! -d "$cache/$name" ] || return 0
	[ "$(id -u)" = 0 ] || die 'unpacking another architecture needs root'
	site=${PYMEM_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)}
	[ -n "$site" ] || die 'no Debian mirror is configured (set PYMEM_MIRROR)'
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	chmod 755 "$work"
	if ! mmdebstrap --quiet --variant=extract --arch=arm64 --include="$packages" \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
		"$suite" "$work/tree" "$site" >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		rm -rf "$work"
		die "$name: mmdebstrap failed"
	fi
	# A tree: a script of a package would have made this link, and none is run here.
	[ ! -e "$work/tree/usr/bin/bash" ] || [ -e "$work/tree/usr/bin/sh" ] || ln -s bash "$work/tree/usr/bin/sh"
	# Another run may have been faster: then its tree stays.
	mv -T "$work/tree" "$cache/$name" 2>/dev/null || [ -d "$cache/$name" ] || die 'rename failed'
	rm -rf "$work"
}

# Modules in the order in which they need one another; absent ones are built in.
modules='virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache
9pnet 9pnet_virtio 9p loop'

make_initrd()
{
	local kernel=$1 root=$2 initrd=$3 work module file
	work=$(mktemp -d)
	mkdir -p "$work"/{bin,mod,proc,sys,dev,host,job}
	cp "$root/usr/bin/busybox" "$work/bin/busybox" 2>/dev/null || cp "$root/bin/busybox" "$work/bin/busybox"
	for module in $modules; do
		file=$(find "$kernel/usr/lib/modules" -name "$module.ko*" | head -n 1)
		case $file in
		'') continue ;;
		*.xz) xz -dc "$file" >"$work/mod/$module.ko" ;;
		*.zst) zstd -qdc "$file" >"$work/mod/$module.ko" ;;
		*) cp "$file" "$work/mod/$module.ko" ;;
		esac
		echo "$module" >>"$work/mod/order"
	done
	guest_init >"$work/init"
	chmod 755 "$work/init"
	(cd "$work" && find . | cpio --quiet -o -H newc) | gzip -1 >"$initrd"
	rm -rf "$work"
}

# Runs as the guest's first process. Nothing of the tree has been configured, so that busybox
# does what a distribution's tools would.
guest_init()
{
	cat <<'INIT'
#!/bin/busybox sh
PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in $(cat /mod/order); do insmod /mod/$module.ko; done
nine=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o $nine,ro,cache=loose root /host || poweroff -f
mount -t 9p -o $nine,cache=none job /job || poweroff -f
for place in tmp run var/tmp; do mount -t tmpfs -o mode=1777 none /host/$place; done
mkdir -p /host/run/folder /host/run/job
mount -t 9p -o $nine,cache=mmap folder /host/run/folder || poweroff -f
mount -o bind /job /host/run/job
for place in proc sys dev; do mount --move /$place /host/$place; done
mkdir -p /host/dev/pts /host/dev/shm
mount -t devpts none /host/dev/pts
mount -t tmpfs none /host/dev/shm
mount -t bpf none /host/sys/fs/bpf
mount -t cgroup2 none /host/sys/fs/cgroup
ip link set lo up
chroot /host /bin/bash /run/job/script </host/dev/null >/host/run/job/output 2>&1
echo $? >/host/run/job/status
sync
poweroff -f
INIT
}

# The command with our folder and a few variables, as a script for the guest.
job_script()
{
	local name
	echo 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 TERM=dumb'
	for name in ${!PYMEM_*}; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done
	printf 'cd /run/folder || exit 125\nexec'
	printf ' %q' "$@"
	echo
}

share()
{
	echo "local,id=$1,mount_tag=$1,path=$2,security_model=none,multidevs=remap$3"
}

boot()
{
	local kernel=$1 root=$2 job=$3 cpu=$4
	timeout "${VM_SECONDS:-600}" qemu-system-aarch64 -nodefaults -no-user-config -display none \
		-M virt -accel tcg,thread=single -cpu "$cpu" -m "${VM_MEMORY:-2G}" -smp "${VM_CPUS:-2}" \
		-no-reboot -kernel "$(find "$kernel" -name 'vmlinuz*' -type f | head -n 1)" \
		-initrd "$job/initrd" -append 'console=ttyAMA0 panic=-1 quiet' \
		-serial "file:$job/console" \
		-virtfs "$(share root "$root" ,readonly=on)" -virtfs "$(share folder "$PWD" '')" \
		-virtfs "$(share job "$job" '')" </dev/null
}

main()
{
	local kernel=$1 suite release tree job rc=0 cpu=cortex-a72 flavour=arm64
	shift
	need
	suite=$(suite_of "$kernel")
	release=${PYMEM_ARM64_ROOT:-$suite}
	case $kernel in *-16k) cpu=neoverse-n1 flavour=arm64-16k ;; esac
	unpack "kernel-$kernel" "$suite" "linux-image-$flavour"
	# A tree of other packages is another tree.
	tree=$release-$(root_packages "$release" | cksum | cut -d ' ' -f 1)
	unpack "$tree" "$release" "$(root_packages "$release")"
	job=$(mktemp -d)
	trap 'rm -rf "$job"' EXIT
	make_initrd "$cache/kernel-$kernel" "$cache/$tree" "$job/initrd"
	job_script "$@" >"$job/script"
	boot "$cache/kernel-$kernel" "$cache/$tree" "$job" "${VM_CPU:-$cpu}" || rc=$?
	[ ! -f "$job/output" ] || cat "$job/output"
	[ $rc != 124 ] || { echo "arm64.sh: $kernel: no end after ${VM_SECONDS:-600} s" >&2; exit 124; }
	[ -s "$job/status" ] && exit "$(cat "$job/status")"
	tail -n 30 "$job/console" >&2
	die "$kernel: the guest ended without a status"
}

[ $# -ge 2 ] || die 'usage: arm64.sh KERNEL CMD…'
main "$@"
