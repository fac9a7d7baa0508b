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
LDLIBS ?= -lbpf -lelf -ljansson -lz

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) $(WARN) -Wno-unused-function \
	-MMD -MP -I. -Iinclude -Ibpf
BPF_INCLUDE ?=

# Pure modules first: unit tests link them without BPF.
PURE := model model_lines text render render_table render_function render_json source \
	py_code py_layouts elf_image elf_version proc py_process cmd_ps
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

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d)

.PHONY: all
.DELETE_ON_ERROR:
