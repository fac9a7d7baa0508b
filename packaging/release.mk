# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make image: an image with just the static program, of the archives that `make dist` left, as an OCI archive.
# make release: everything that a version is, in dist/, with SHA256SUMS of all.

IMAGE_OUT := $(BUILD)/image
IMAGE_ARCHIVES = $(wildcard $(DIST_OUT)/pymem-bpf-$(VERSION)-linux-*.tar.xz)
# Of a tree without git, such as a source package, nobody knows.
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
image:
	tools/install-deps image
	@[ -n "$(IMAGE_ARCHIVES)" ] || { echo "make image: there is no $(DIST_OUT)/pymem-bpf-$(VERSION)-linux-*.tar.xz: make dist" >&2; exit 1; }
	mkdir -p $(IMAGE_OUT)
	tools/pack-image $(IMAGE_OUT)/pymem-bpf-$(VERSION)-oci.tar $(DIST_EPOCH) $(REVISION) $(IMAGE_ARCHIVES)

release:
	BUILD="$(BUILD)" DIST_OUT="$(DIST_OUT)" tools/release

# Each of these files is installed where users install it, and used: the table of docs/INSTALL.md. ONLY: some of its rows
# (tests/install/check_install.py --list), such as ONLY="image archive-*"; ONLY=--missing: those that have not passed yet.
check-install:
	tools/install-deps test packages wheel image
	$(PYTHON) -B tests/install/check_install.py $(ONLY)

# Builds and tests in fresh root file systems of other releases. HOSTS: their names, and options of
# tests/hosts/check_hosts.py, such as HOSTS="trixie --e2e all".
HOSTS :=
check-hosts:
	tools/install-deps packages
	$(PYTHON) -B tests/hosts/check_hosts.py $(HOSTS)

.PHONY: image release check-install check-hosts
