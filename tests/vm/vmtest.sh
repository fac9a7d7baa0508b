#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs a command as root on a stock Debian kernel, in qemu, with the host's files.
#
#   tests/vm/vmtest.sh KERNEL CMD…     KERNEL: 5.10, 6.1, 6.12 or 7.2
#
# The guest sees the host's / read-only (9p), the current folder writable, and fresh tmpfs on
# /tmp, /run and /var/tmp. CMD's output comes out on stdout and its status is ours; 124: time
# ran out, 125: the guest could not do it. Kernels are taken from the Debian mirror that apt
# uses, checked against the release's own checksums and kept in the cache, made under a
# temporary name and renamed when complete.
#
# Emulated in software (TCG), since nested KVM is rarely usable: some 15 times slower than
# the host. One emulation thread (several raced while kernels patched their code) and a CPU
# without AVX (emulating it slows every memcpy). Not the "cloud" kernels: they have no 9p. The
# kernel is not to try its timer: on a host with much other work no tick comes in time, and it panics.
#
# Environment: VM_MEMORY (2G), VM_CPUS (2), VM_SECONDS (840), VM_APPEND (words for the command line of the kernel),
# PYMEM_CACHE, PYMEM_MIRROR.
set -eu

cache=${PYMEM_CACHE:-$HOME/.cache/pymem-bpf}/kernels
me=$(readlink -f "$0")

die()
{
	echo "vmtest: $*" >&2
	exit 125
}

suite_of()
{
	case $1 in
	5.10) echo bullseye ;;
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7.2) echo forky ;;
	*) return 1 ;;
	esac
}

need()
{
	local tool
	for tool in qemu-system-x86_64 busybox cpio curl xz zstd dpkg-deb; do
		command -v "$tool" >/dev/null || die "$tool is missing; tools/install-deps test installs it"
	done
}

# One field of one package: index, package, field.
field()
{
	awk -v package="$2" -v name="$3:" '
		/^Package: / { hit = $2 == package }
		hit && $1 == name { sub(/^[^:]*: /, ""); print; exit }' "$1"
}

# The real packages behind linux-image-amd64: the image, and from 6.19 on its parts.
kernel_packages()
{
	local image
	image=$(field "$1" linux-image-amd64 Depends | tr ', ' '\n\n' | grep '^linux-image-[0-9]' | head -n 1)
	[ -n "$image" ] || return 1
	echo "$image"
	field "$1" "$image" Depends | tr ', ' '\n\n' | grep -E '^linux-(base|binary|modules)-[0-9]' || true
}

fetch()
{
	curl -fsS --retry 5 --retry-all-errors --connect-timeout 20 -o "$1" "$2"
}

download()
{
	local kernel=$1 site suite work package path
	suite=$(suite_of "$kernel") || die "$kernel: no such kernel; there are 5.10, 6.1, 6.12, 7.2"
	site=${PYMEM_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)}
	[ -n "$site" ] || die 'no Debian mirror is configured (set PYMEM_MIRROR)'
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	fetch "$work/index.xz" "$site/dists/$suite/main/binary-amd64/Packages.xz" && xz -d "$work/index.xz" ||
		die "$site: the package list of $suite can't be read"
	for package in $(kernel_packages "$work/index"); do
		path=$(field "$work/index" "$package" Filename)
		fetch "$work/deb" "$site/$path" || die "$path can't be fetched"
		echo "$(field "$work/index" "$package" SHA256)  $work/deb" | sha256sum --check --quiet >&2 ||
			die "$path has a wrong checksum"
		dpkg-deb -x "$work/deb" "$work/tree"
	done
	[ -n "$(find "$work/tree" -name 'vmlinuz*' -type f 2>/dev/null)" ] || die "no kernel image in $suite"
	make_initrd "$work/tree"
	mv -T "$work/tree" "$cache/$kernel" 2>/dev/null || [ -d "$cache/$kernel" ] || die 'rename failed'
	rm -rf "$work"
}

# Modules in the order in which they need one another; absent ones are built in.
modules='virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache
9pnet 9pnet_virtio 9p'

make_initrd()
{
	local tree=$1 root module file
	root=$(mktemp -d)
	mkdir -p "$root"/{bin,mod,proc,sys,dev,host,job}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for module in $modules; do
		file=$(find "$tree" -name "$module.ko*" | head -n 1)
		case $file in
		'') continue ;;
		*.xz) xz -dc "$file" >"$root/mod/$module.ko" ;;
		*.zst) zstd -qdc "$file" >"$root/mod/$module.ko" ;;
		*) cp "$file" "$root/mod/$module.ko" ;;
		esac
		echo "$module" >>"$root/mod/order"
	done
	guest_init >"$root/init"
	chmod 755 "$root/init"
	(cd "$root" && find . | cpio --quiet -o -H newc) | gzip -1 >"$tree/initrd"
	rm -rf "$root"
}

# Runs as the guest's first process.
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
folder=$(cat /job/folder)
mkdir -p "/host$folder"
mount -t 9p -o $nine,cache=mmap folder "/host$folder" || poweroff -f
mkdir -p /host/run/job
mount -o bind /job /host/run/job
for place in proc sys dev; do mount --move /$place /host/$place; done
mkdir -p /host/dev/pts /host/dev/shm
mount -t devpts none /host/dev/pts
mount -t tmpfs none /host/dev/shm
mount -t bpf none /host/sys/fs/bpf
mount -t cgroup2 none /host/sys/fs/cgroup
chroot /host ip link set lo up
stty -F /host/dev/ttyS1 raw -echo
chroot /host /bin/bash /run/job/script </host/dev/null >/host/dev/ttyS1 2>&1
echo $? >/host/run/job/status
sync
poweroff -f
INIT
}

# The command with our folder and a few variables, as a script for the guest.
job_script()
{
	local name
	for name in PATH HOME LANG TERM ${!PYMEM_*}; do
		[ -z "${!name+x}" ] || printf 'export %s=%q\n' "$name" "${!name}"
	done
	printf 'cd %q || exit 125\nexec' "$PWD"
	printf ' %q' "$@"
	echo
}

share()
{
	echo "local,id=$1,mount_tag=$1,path=$2,security_model=none,multidevs=remap$3"
}

boot()
{
	local tree=$1 job=$2
	timeout "${VM_SECONDS:-840}" qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-accel tcg,thread=single -cpu Nehalem -m "${VM_MEMORY:-2G}" -smp "${VM_CPUS:-2}" -no-reboot \
		-kernel "$(find "$tree" -name 'vmlinuz*' -type f | head -n 1)" -initrd "$tree/initrd" \
		-append 'console=ttyS0 panic=-1 quiet no_timer_check'"${VM_APPEND:+ $VM_APPEND}" \
		-serial "file:$job/console" -serial stdio \
		-virtfs "$(share root / ,readonly=on)" -virtfs "$(share folder "$PWD" '')" \
		-virtfs "$(share job "$job" '')" </dev/null
}

# One at a time: two guests of a kernel may start together.
prepare()
{
	local kernel=$1
	mkdir -p "$cache"
	exec 9>"$cache/$kernel.lock"
	flock 9
	[ -d "$cache/$kernel" ] || download "$kernel"
	# The initrd is made from this script.
	[ "$cache/$kernel/initrd" -nt "$me" ] || make_initrd "$cache/$kernel"
	exec 9>&-
}

main()
{
	local kernel=$1 job rc=0
	shift
	need
	suite_of "$kernel" >/dev/null || die "$kernel: no such kernel; there are 5.10, 6.1, 6.12, 7.2"
	prepare "$kernel"
	job=$(mktemp -d)
	trap 'rm -rf "$job"' EXIT
	echo "$PWD" >"$job/folder"
	job_script "$@" >"$job/script"
	boot "$cache/$kernel" "$job" || rc=$?
	[ $rc != 124 ] || { echo "vmtest: $kernel: no end after ${VM_SECONDS:-840} s" >&2; exit 124; }
	[ -s "$job/status" ] && exit "$(cat "$job/status")"
	tail -n 30 "$job/console" >&2
	die "$kernel: the guest ended without a status"
}

[ $# -ge 2 ] || die 'usage: vmtest.sh KERNEL CMD…'
main "$@"
