# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make demo     install what is missing, build, and watch a real program
# make check    install what tests need and run all of them
# make help     the other targets

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
VERSION := $(shell cat VERSION)

ARCH ?= $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BUILD ?= build

LIBS := libbpf libelf jansson zlib
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Werror
override CFLAGS += -std=gnu11 $(WARN) -MMD -MP -D_GNU_SOURCE -DPYMEM_VERSION='"$(VERSION)"' \
	-Iinclude -Iuser -I$(BUILD)
LDLIBS ?= -lbpf -lelf -ljansson -lz -lm

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) $(WARN) -Wno-unused-function \
	-MMD -MP -I. -Iinclude -Ibpf
# <asm/errno.h>, for libbpf's <bpf/usdt.bpf.h>: the numbers are the same everywhere.
BPF_INCLUDE ?= -idirafter /usr/include/$(shell gcc -dumpmachine)

# Pure modules first: unit tests link them without BPF.
PURE := model model_lines text render render_table render_columns render_function render_runs render_json source \
	py_code py_layouts elf_image elf_version proc py_process cmd_ps \
	serve_request serve_access serve_limits
PURE := $(foreach m,$(PURE),$(if $(wildcard user/$(m).c),$(m)))
PROGRAM := $(filter-out $(PURE),$(basename $(notdir $(wildcard user/*.c))))
OBJS := $(PURE:%=$(BUILD)/%.o) $(PROGRAM:%=$(BUILD)/%.o)
# Built twice: for 6.2 and later, and for what came before (bpf/compat.bpf.h, LOOP).
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
MODERN := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/modern/%.bpf.o)
LEGACY := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/legacy/%.bpf.o)
SKELETONS := $(BUILD)/modern.skel.h $(BUILD)/legacy.skel.h

all: $(BUILD)/pymem-bpf

$(BUILD) $(BUILD)/modern $(BUILD)/legacy:
	mkdir -p $@

$(BUILD)/modern/%.bpf.o: bpf/%.bpf.c | $(BUILD)/modern
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -c $< -o $@

$(BUILD)/legacy/%.bpf.o: bpf/%.bpf.c | $(BUILD)/legacy
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -DPYMEM_LEGACY -c $< -o $@

$(BUILD)/modern.linked.o: $(MODERN)
$(BUILD)/legacy.linked.o: $(LEGACY)
$(BUILD)/%.linked.o:
	$(BPFTOOL) gen object $@ $^

$(BUILD)/%.skel.h: $(BUILD)/%.linked.o
	$(BPFTOOL) gen skeleton $< name $* > $@.tmp
	mv $@.tmp $@

$(BUILD)/%.o: user/%.c | $(BUILD)
	$(CC) $(CFLAGS) -c $< -o $@

$(BUILD)/bpf_object.o: $(SKELETONS)

$(BUILD)/pymem-bpf: $(OBJS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# --- tests ---
# Pure modules again, under the sanitizers; every unit test links all of them.
SANITIZE := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/tests $(BUILD)/asan $(BUILD)/fuzz:
	mkdir -p $@

$(BUILD)/asan/%.o: user/%.c | $(BUILD)/asan
	$(CC) $(CFLAGS) -O1 $(SANITIZE) -c $< -o $@

$(BUILD)/tests/%: tests/unit/%.c $(PURE:%=$(BUILD)/asan/%.o) | $(BUILD)/tests
	$(CC) $(CFLAGS) -O1 $(SANITIZE) -Itests/unit $< $(PURE:%=$(BUILD)/asan/%.o) -o $@ \
		-lcmocka -lelf -ljansson -lz -lm

$(BUILD)/fuzz/%: tests/fuzz/%.c $(PURE:%=user/%.c) | $(BUILD)/fuzz
	$(CLANG) $(filter-out -MMD -MP,$(CFLAGS)) -O1 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $< $(PURE:%=user/%.c) -o $@ -lelf -ljansson -lz -lm

# The profiler's own session, with what the verifier says of each program.
$(BUILD)/verifier-stats: tests/verifier/verifier_stats.c $(filter-out $(BUILD)/main.o,$(OBJS))
	$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=bpf_object__load,--wrap=libbpf_num_possible_cpus \
		$^ -o $@ $(LDLIBS)

unit: $(UNIT:%=$(BUILD)/tests/%) $(BUILD)/verifier-stats
fuzz-targets: $(FUZZ:%=$(BUILD)/fuzz/%)

# Installs what tests need, builds everything, runs all tests.
check:
	tools/install-deps test
	$(MAKE) all unit fuzz-targets
	tests/run $(CHECK)

# Stock kernels in qemu, all that there is to check; CPUS: one run for each number.
KERNELS ?= 5.10 6.1 6.12 7.2
CPUS ?= 2
check-vm: all $(BUILD)/verifier-stats
	tools/install-deps test
	PYMEM_VM_KERNELS="$(KERNELS)" PYMEM_VM_CPUS="$(CPUS)" PYMEM_VM_FULL=1 tests/run vm

# The verifier's figures of this kernel and of KERNELS, into bench/verifier.txt.
verifier-update: all $(BUILD)/verifier-stats
	rm -rf $(BUILD)/verifier
	set -e; for kernel in $(KERNELS); do \
		tests/vm/vmtest.sh $$kernel $(BUILD)/verifier-stats > $(BUILD)/verifier.tmp; \
		mkdir -p $(BUILD)/verifier; mv $(BUILD)/verifier.tmp $(BUILD)/verifier/$$kernel.txt; \
	done
	$(PYTHON) tests/verifier/compare.py update

golden-update: unit
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_render

# --- everything else ---
deps:
	tools/install-deps build

# Installs what is missing, builds, and shows the main job on a real program.
demo:
	tools/install-deps build
	$(MAKE) all
	tools/demo

bench: all $(BUILD)/bench-empty
	tools/install-deps bench
	$(PYTHON) bench/run.py $(BENCH)
	$(PYTHON) bench/probe_cost.py
	$(MAKE) python
	$(PYTHON) bench/mprun.py
	$(PYTHON) bench/memit.py
	$(PYTHON) bench/tool.py

# An empty program at the same probes, to compare the exact engine with.
$(BUILD)/empty.skel.h: bench/probe/empty.bpf.c | $(BUILD)
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -c $< -o $(BUILD)/empty.bpf.o
	$(BPFTOOL) gen skeleton $(BUILD)/empty.bpf.o name empty > $@.tmp
	mv $@.tmp $@

$(BUILD)/bench-empty: bench/probe/empty.c $(BUILD)/empty.skel.h
	$(CC) $(CFLAGS) $< -o $@ $(LDLIBS)

# The other architecture: BPF objects for it, and the program where its libraries are there.
arm64:
	$(MAKE) BUILD=$(BUILD)/arm64 ARCH=arm64 CC=aarch64-linux-gnu-gcc $(ARM64_GOAL)

install: all
	install -D -m 755 $(BUILD)/pymem-bpf $(DESTDIR)$(PREFIX)/sbin/pymem-bpf
	install -D -m 644 docs/pymem-bpf.8 $(DESTDIR)$(PREFIX)/share/man/man8/pymem-bpf.8
	install -D -m 644 packaging/pymem-bpf.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/pymem-bpf.socket
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' packaging/pymem-bpf.service.in > $(BUILD)/pymem-bpf.service
	install -D -m 644 $(BUILD)/pymem-bpf.service $(DESTDIR)$(PREFIX)/lib/systemd/system/pymem-bpf.service
	@if $(PYTHON) tools/build-extension; then \
		site="$(DESTDIR)$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; \
		install -d "$$site/pymem_bpf" && \
		install -m 644 python/pymem_bpf/*.py python/pymem_bpf/*.so "$$site/pymem_bpf/"; \
	else \
		echo "the Python package is not installed for $(PYTHON)"; exit 1; \
	fi

# The Python package's extension, in place: PYTHONPATH=python then has the package.
python:
	$(PYTHON) tools/build-extension

wheel:
	cd python && $(PYTHON) setup.py -q bdist_wheel -d ../$(BUILD)/wheel

SOURCES := $(wildcard bpf/*.c bpf/*.h user/*.c user/*.h include/*.h tests/unit/*.c tests/unit/*.h \
	tests/fuzz/*.c tests/verifier/*.c python/pymem_bpf/*.c python/pymem_bpf/*.h bench/probe/*.c)
GENERATED := user/py_layout_table.h user/text_widths.h
FORMATTED := $(filter-out $(GENERATED),$(SOURCES))
format:
	clang-format -i $(FORMATTED)
format-check:
	clang-format --dry-run -Werror $(FORMATTED)

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            build/pymem-bpf'
	@echo 'make demo       install what is missing, build, show the main job'
	@echo 'make check      install what tests need, run all of them (CHECK=unit|e2e|…: some)'
	@echo 'make check-vm   all checks on stock kernels in qemu (KERNELS="5.10 7.2" CPUS=2,8,32)'
	@echo 'make verifier-update  the verifier'"'"'s figures into bench/verifier.txt'
	@echo 'make python     the Python package in place, for PYTHON=…; make wheel: a wheel of it'
	@echo 'make bench      measure overhead; make deps, install, arm64, format, clean'

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d)

.PHONY: check-vm verifier-update python wheel all unit fuzz-targets check golden-update deps demo bench arm64 install format format-check \
	clean help
.DELETE_ON_ERROR:
