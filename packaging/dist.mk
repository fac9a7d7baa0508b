# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make dist: dist/pymem-bpf-VERSION-linux-ARCH.tar.xz for each architecture that can be built here, and
# dist/SHA256SUMS. Built twice from one commit, in whatever folder, the files have the same bytes: no path of the
# machine is in them, and times are that of the commit (SOURCE_DATE_EPOCH).

DIST_ARCHS ?= $(shell uname -m) $(if $(filter x86_64,$(shell uname -m)),$(if $(shell command -v \
	aarch64-linux-gnu-gcc),aarch64))
DIST_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION))
# Another architecture's C library is the one that has security updates, not that of the cross-compiler.
DIST_CC = $(if $(filter $(shell uname -m),$1),gcc,$1-linux-gnu-gcc -B/usr/lib/$1-linux-gnu)
DIST_NAME = pymem-bpf-$(VERSION)-linux-$(1:aarch64=arm64)
DIST_BUILD = $(BUILD)/dist/$1
DIST_CFLAGS := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wno-unused-result -ffunction-sections \
	-fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables
# All that the Makefile takes from whoever builds, from the environment too: none of it is in a release.
DIST_GIVEN = CC="$(call DIST_CC,$1)" CLANG=clang BPFTOOL="$(firstword $(wildcard /usr/sbin/bpftool) bpftool)" PROTOC_C=protoc-c \
	PYTHON=/usr/bin/python3 CPPFLAGS= CFLAGS="$(DIST_CFLAGS)" LDFLAGS= WERROR= NO_HTML= ESBUILD= PREFIX=/usr/local \
	BPF_INCLUDE="-idirafter /usr/include/$(shell gcc -dumpmachine)" SBINDIR=/usr/local/sbin BINDIR=/usr/local/bin \
	MANDIR=/usr/local/share/man UNITDIR=/usr/local/lib/systemd/system DOCDIR=/usr/local/share/doc/pymem-bpf \
	BASH_COMPLETIONS=/usr/local/share/bash-completion/completions ZSH_COMPLETIONS=/usr/local/share/zsh/site-functions \
	FISH_COMPLETIONS=/usr/local/share/fish/vendor_completions.d INSTALL_PROGRAM="install -D -m 755"
# The native one comes first: it prints the completions of the others.
DIST_MAKE = $(MAKE) STATIC=1 BUILD=$(call DIST_BUILD,$1) ARCH=$(patsubst x86_64,x86,$(1:aarch64=arm64)) \
	PATH_MAP=-ffile-prefix-map=$(CURDIR)=. COMPLETER=$(call DIST_BUILD,$(firstword $(DIST_ARCHS)))/pymem-bpf $(DIST_GIVEN)

# Where they go; not of the environment.
DIST_OUT := dist
dist:
	tools/install-deps dist
	@! ls $(DIST_OUT)/*.whl $(DIST_OUT)/*-oci.tar > /dev/null 2>&1 || { \
		echo "make dist: $(DIST_OUT) has a release: move it away first, or remove it" >&2; exit 1; }
	rm -rf $(DIST_OUT)
	mkdir -p $(DIST_OUT)
	$(foreach arch,$(DIST_ARCHS),$(MAKE) dist-one DIST_ARCH=$(arch) && ) true
	cd $(DIST_OUT) && sha256sum *.tar.xz > SHA256SUMS
	cat $(DIST_OUT)/SHA256SUMS

# One architecture. `+`: make would not see that these are makes. The unstripped program stays in the build folder: with it, addresses of a crash become lines.
dist-one:
	+$(call DIST_MAKE,$(DIST_ARCH)) $(PARALLEL) all completions
	rm -rf $(call DIST_BUILD,$(DIST_ARCH))/root
	+$(call DIST_MAKE,$(DIST_ARCH)) install-program \
		DESTDIR=$(abspath $(call DIST_BUILD,$(DIST_ARCH)))/root
	tools/pack-dist "$(call DIST_CC,$(DIST_ARCH))" $(call DIST_BUILD,$(DIST_ARCH))/root/usr/local \
		$(DIST_OUT)/$(call DIST_NAME,$(DIST_ARCH)).tar.xz $(DIST_EPOCH) $(STATIC_LIBS)

# Two builds in two folders, the program in an empty root, and the image. Half an hour.
check-dist: dist
	tools/install-deps test image
	tests/dist/check_twice dist
	rm -f $(IMAGE_OUT)/*-oci.tar
	$(MAKE) image
	$(PYTHON) -B -m pytest -q -p no:cacheprovider tests/dist

.PHONY: dist dist-one check-dist
