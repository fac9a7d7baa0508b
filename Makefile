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
	py_code py_layouts elf_image proc py_process py_image_cache cmd_ps cmd_ps_json
PURE := $(foreach m,$(PURE),$(if $(wildcard user/$(m).c),$(m)))
PROGRAM := $(filter-out $(PURE),$(basename $(notdir $(wildcard user/*.c))))
OBJS := $(PURE:%=$(BUILD)/%.o) $(PROGRAM:%=$(BUILD)/%.o)
BPF_OBJS := $(patsubst bpf/%.bpf.c,$(BUILD)/%.bpf.o,$(wildcard bpf/*.bpf.c))

all: $(BUILD)/pymem-bpf

$(BUILD):
	mkdir -p $@

$(BUILD)/%.bpf.o: bpf/%.bpf.c | $(BUILD)
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -c $< -o $@

$(BUILD)/pymem.linked.o: $(BPF_OBJS)
	$(BPFTOOL) gen object $@ $^

$(BUILD)/pymem.skel.h: $(BUILD)/pymem.linked.o
	$(BPFTOOL) gen skeleton $< name pymem > $@.tmp
	mv $@.tmp $@

$(BUILD)/%.o: user/%.c | $(BUILD)
	$(CC) $(CFLAGS) -c $< -o $@

$(PROGRAM:%=$(BUILD)/%.o): $(BUILD)/pymem.skel.h

$(BUILD)/pymem-bpf: $(OBJS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

-include $(wildcard $(BUILD)/*.d)

.PHONY: all
.DELETE_ON_ERROR:
