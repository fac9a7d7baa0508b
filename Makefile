# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make demo     install what is missing, build, and watch a real program
# make check    install what tests need and run all of them
# make check-fast   those of every hour: two minutes
# make help     the other targets

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
VERSION := $(shell cat VERSION)

ARCH ?= $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BUILD ?= build

# CPPFLAGS, CFLAGS and LDFLAGS are the builder's, and nothing of the project is in them. WERROR=1: warnings are
# errors, as in what tests build. Others build with compilers that warn of more.
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra $(if $(WERROR),-Werror)
ALL_CFLAGS = $(CPPFLAGS) $(CFLAGS) -std=gnu11 $(WARN) -MMD -MP -D_GNU_SOURCE -DPYMEM_VERSION='"$(VERSION)"' \
	-Iinclude -Iuser -I$(BUILD) $(PATH_MAP)
LDLIBS ?= -lbpf -lelf -ljansson -lsqlite3 -lprotobuf-c -lmicrohttpd -lgnutls -lresolv -lncursesw -ltinfo -lz -lm -lpthread

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) $(WARN) -Wno-unused-function \
	-MMD -MP -I. -Iinclude -Ibpf -ffile-prefix-map=$(CURDIR)=.
# <asm/errno.h>, for libbpf's <bpf/usdt.bpf.h>: the numbers are the same everywhere.
BPF_INCLUDE ?= -idirafter /usr/include/$(shell gcc -dumpmachine)

# What there is follows from the folders: each is a layer (tests/unit/check_layers).
MODULES := $(patsubst user/%.c,%,$(wildcard user/*/*.c)) render/pprof.pb-c agent/push.pb-c
OBJS := $(MODULES:%=$(BUILD)/user/%.o)
include packaging/static.mk
# All but main(): for the tests, which link what they need of them.
LIBRARY := $(filter-out cli/main,$(MODULES))
# Built twice: for 6.2 and later, and for what came before (bpf/base/compat.bpf.h, LOOP).
BPF_SOURCES := $(filter-out bpf/births/%,$(wildcard bpf/*/*.bpf.c))
MODERN := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/modern/%.bpf.o)
LEGACY := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/legacy/%.bpf.o)
SKELETONS := $(BUILD)/modern.skel.h $(BUILD)/legacy.skel.h
# An object of its own, which only `pymem-bpf heap` loads.
BIRTHS := $(BUILD)/births_modern.skel.h $(BUILD)/births_legacy.skel.h

all: $(BUILD)/pymem-bpf

$(BUILD):
	mkdir -p $@

# What is too old is said before anything is compiled.
$(BUILD)/able: tools/check-build | $(BUILD)
	tools/check-build "$(CC)" "$(CLANG)"
	$(if $(STATIC),tools/check-build --static "$(CC)" $(STATIC_LIBS))
	touch $@
$(MODERN) $(LEGACY) $(OBJS): | $(BUILD)/able

$(BUILD)/modern/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -c $< -o $@

$(BUILD)/legacy/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -DPYMEM_LEGACY -c $< -o $@

$(BUILD)/modern.linked.o: $(MODERN)
$(BUILD)/legacy.linked.o: $(LEGACY)
$(BUILD)/births_modern.linked.o: $(BUILD)/modern/births/births.bpf.o
$(BUILD)/births_legacy.linked.o: $(BUILD)/legacy/births/births.bpf.o
$(BUILD)/%.linked.o:
	$(BPFTOOL) gen object $@ $^

$(BUILD)/%.skel.h: $(BUILD)/%.linked.o tools/pack-skeleton
	$(BPFTOOL) gen skeleton $< name pymem_$* > $@.raw
	$(PYTHON) tools/pack-skeleton $< pymem_$* < $@.raw > $@.tmp
	mv $@.tmp $@
	rm $@.raw

$(BUILD)/user/%.o: user/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

# The messages of --format pprof, and of agent --push, from their descriptions.
PROTOC_C ?= protoc-c
PPROF := $(BUILD)/render/pprof.pb-c
PUSH := $(BUILD)/agent/push.pb-c
RUN_PROTOC = @mkdir -p $(@D) && $(PROTOC_C) --proto_path=$(<D) --c_out=$(@D) $(<F)
$(PPROF).c $(PPROF).h &: user/render/pprof.proto | $(BUILD)/able
	$(RUN_PROTOC)
$(PUSH).c $(PUSH).h &: user/agent/push.proto | $(BUILD)/able
	$(RUN_PROTOC)

PROTO_OBJS = $(BUILD)/user/$(1).o $(BUILD)/asan/$(1).o $(BUILD)/fuzzed/$(1).o
$(foreach module,render/pprof.pb-c agent/push.pb-c,$(eval $(call PROTO_OBJS,$(module)): $(BUILD)/$(module).c))
$(call PROTO_OBJS,render/pprof.pb-c) $(call PROTO_OBJS,agent/push.pb-c):
	@mkdir -p $(@D)
	$(if $(findstring fuzzed,$@),$(CLANG) $(FUZZ_CFLAGS),$(CC) $(ALL_CFLAGS) $(if $(findstring asan,$@),-O1 $(SANITIZE))) -c $< -o $@

$(call PROTO_OBJS,render/render_pprof) $(call PROTO_OBJS,render/pprof_pieces): $(PPROF).h
$(call PROTO_OBJS,agent/push_profiles): $(PUSH).h

# The web pages of --format flamegraph and html, from their sources, by the bundler that the lock file
# names. ESBUILD=/usr/bin/esbuild: by that one, without npm and a network. NO_HTML=1: without them, and without
# node and npm; those formats then say so.
WEB := user/render/web
ESBUILD ?=
WEB_PAGE := $(BUILD)/render/web_page.h
WEB_MODE := $(BUILD)/web/mode-$(if $(NO_HTML),without,with)
$(WEB_MODE): | $(BUILD)/able
	@mkdir -p $(@D)
	rm -f $(BUILD)/web/mode-*
	touch $@

$(BUILD)/web/complete: $(WEB)/package.json $(WEB)/package-lock.json | $(BUILD)/able
	@mkdir -p $(@D)
	tools/check-build --web
	cp $^ $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

ifdef NO_HTML
$(WEB_PAGE): $(WEB_MODE)
	@mkdir -p $(@D)
	printf '%s\n' 'static const unsigned char web_page_begin[1], web_page_end[1];' \
		'#define WEB_PAGE_ABSENT "this pymem-bpf was built without web pages (make NO_HTML=1)"' > $@
else
$(WEB_PAGE): $(wildcard $(WEB)/*.js $(WEB)/*.mjs $(WEB)/*.css $(WEB)/*.html) $(if $(ESBUILD),,$(BUILD)/web/complete) $(WEB_MODE)
	@mkdir -p $(@D)
	$(if $(ESBUILD),tools/check-build --web $(ESBUILD))
	node $(WEB)/build.mjs $(or $(ESBUILD),$(BUILD)/web/node_modules/.bin/esbuild) $@.tmp
	mv $@.tmp $@
endif

$(BUILD)/user/render/page.o $(BUILD)/asan/render/page.o $(BUILD)/fuzzed/render/page.o: $(WEB_PAGE)

# What `help TOPIC` prints.
$(BUILD)/cli/help_topics.h: docs/pymem-bpf.8 tools/gen-help
	@mkdir -p $(@D)
	tools/gen-help $< > $@.tmp
	mv $@.tmp $@

$(BUILD)/user/cli/cmd_help.o $(BUILD)/asan/cli/cmd_help.o $(BUILD)/fuzzed/cli/cmd_help.o: $(BUILD)/cli/help_topics.h

# The encodings of sources, from Python's codecs.
$(BUILD)/os/encodings.h: tools/gen-encodings
	@mkdir -p $(@D)
	$(PYTHON) $< > $@.tmp
	mv $@.tmp $@

$(BUILD)/user/os/source_encoding.o $(BUILD)/asan/os/source_encoding.o $(BUILD)/fuzzed/os/source_encoding.o: $(BUILD)/os/encodings.h

# The BPF objects are embedded there.
$(BUILD)/user/kernel/bpf_object.o $(BUILD)/asan/kernel/bpf_object.o \
	$(BUILD)/fuzzed/kernel/bpf_object.o: $(SKELETONS)
$(BUILD)/user/kernel/birth_probes.o $(BUILD)/asan/kernel/birth_probes.o \
	$(BUILD)/fuzzed/kernel/birth_probes.o: $(BIRTHS)

# Those that have the version in them.
VERSIONED := agent/push_target cli/cmd_diff cli/cmd_heap cli/options record/recorder report/report serve/serve_request
$(foreach folder,user asan fuzzed,$(VERSIONED:%=$(BUILD)/$(folder)/%.o)) $(BUILD)/tests/test_serve $(BUILD)/tests/test_push_parse: VERSION

$(BUILD)/pymem-bpf: $(OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LDLIBS)

# What shells complete, from the rows of the options. COMPLETER: a pymem-bpf of this version that runs
# here, where the one that is built is for another architecture.
COMPLETER ?= $(BUILD)/pymem-bpf
COMPLETIONS := $(BUILD)/completions/bash $(BUILD)/completions/zsh $(BUILD)/completions/fish
completions: $(COMPLETIONS)
$(COMPLETIONS): $(BUILD)/completions/%: $(BUILD)/pymem-bpf
	@mkdir -p $(@D)
	$(COMPLETER) completion $* > $@

# --- tests ---
# The library again, under the sanitizers: each test takes from the archive what it needs.
SANITIZE := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_CFLAGS := $(ALL_CFLAGS) -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(BUILD)/tests $(BUILD)/fuzz $(BUILD)/fuzzed:
	mkdir -p $@

$(BUILD)/asan/%.o: user/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) -c $< -o $@

$(BUILD)/fuzzed/%.o: user/%.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -c $< -o $@

$(BUILD)/asan/library.a: $(LIBRARY:%=$(BUILD)/asan/%.o)
$(BUILD)/fuzzed/library.a: $(LIBRARY:%=$(BUILD)/fuzzed/%.o)
$(BUILD)/%/library.a:
	rm -f $@
	$(AR) rc $@ $^

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/asan/library.a | $(BUILD)/tests
	$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) -Itests/unit $< $(filter %.a,$^) -o $@ -lcmocka $(LDLIBS)

$(FUZZ:%=$(BUILD)/fuzzed/%.o): $(BUILD)/fuzzed/%.o: tests/fuzz/%.c | $(BUILD)/fuzzed
	$(CLANG) $(FUZZ_CFLAGS) -c $< -o $@

$(FUZZ:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $(BUILD)/fuzzed/%.o $(BUILD)/fuzzed/library.a | $(BUILD)/fuzz
	$(CLANG) $(FUZZ_CFLAGS) $(filter %.o,$^) $(BUILD)/fuzzed/library.a -o $@ $(LDLIBS)

# With the BPF walker in it (see walker, below).
$(BUILD)/fuzz/fuzz_walk: $(BUILD)/fuzzed/walker_bpf.o

$(BUILD)/fuzzed/walker_bpf.o: tests/walker/walker_bpf.c | $(BUILD)/fuzzed
	$(CLANG) $(FUZZ_CFLAGS) -fno-sanitize=alignment \
		-Wno-unused-function -D__TARGET_ARCH_$(ARCH) -Itests/walker -I. -Ibpf -c $< -o $@

# The BPF walker as a program: the headers of bpf/ unchanged, with tests/walker/bpf/ in place of
# libbpf's. Twice, as the product. BPF reads words of any alignment.
WALKER := $(BUILD)/walker/modern $(BUILD)/walker/legacy
WALKER_OBJS := $(patsubst %,$(BUILD)/walker/%.o,walker oracle image reference hostile) $(BUILD)/asan/library.a
WALKER_BPF := $(ALL_CFLAGS) -O1 $(SANITIZE) -fno-sanitize=alignment -Wno-unused-function \
	-D__TARGET_ARCH_$(ARCH) -Itests/walker -I. -Ibpf

$(BUILD)/walker:
	mkdir -p $@

$(BUILD)/walker/%.bpf.o: tests/walker/walker_bpf.c | $(BUILD)/walker
	$(CC) $(WALKER_BPF) $(if $(filter legacy,$*),-DPYMEM_LEGACY) -c $< -o $@

$(BUILD)/walker/%.o: tests/walker/%.c | $(BUILD)/walker
	$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) -Itests/walker -c $< -o $@

$(WALKER): $(BUILD)/walker/%: $(BUILD)/walker/%.bpf.o $(WALKER_OBJS)
	$(CC) $(SANITIZE) $^ -o $@ $(LDLIBS)

walker: $(WALKER)

# The profiler's own session, with what the verifier says of each program.
$(BUILD)/verifier-stats: tests/verifier/verifier_stats.c $(LIBRARY:%=$(BUILD)/user/%.o)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Wl,--wrap=bpf_object__load,--wrap=libbpf_num_possible_cpus \
		$(filter %.c %.o,$^) -o $@ $(LDLIBS)

# What a census says of a process, for tests that know better.
$(BUILD)/heap-dump: tests/heap/heap_dump.c $(LIBRARY:%=$(BUILD)/user/%.o)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter %.c %.o,$^) -o $@ $(LDLIBS)

$(BUILD)/heap-faults: tests/heap/heap_faults.c $(BUILD)/asan/library.a
	$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) $(filter %.c %.a,$^) -o $@ $(LDLIBS)

# What the TOML reader reads, to compare it with Python's.
$(BUILD)/toml-dump: tests/toml/toml_dump.c $(BUILD)/asan/library.a
	$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) $(filter %.c %.a,$^) -o $@ $(LDLIBS)

HEAP_TOOLS := $(BUILD)/heap-dump $(BUILD)/heap-faults
unit: $(UNIT:%=$(BUILD)/tests/%) $(BUILD)/verifier-stats $(HEAP_TOOLS) $(BUILD)/toml-dump
fuzz-targets: $(FUZZ:%=$(BUILD)/fuzz/%)

# What a target needs is installed before anything is built, so recipes build in a make of their own.
JOBS ?= $(shell nproc)
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

# Installs what tests need, builds everything, runs all tests.
check:
	tools/install-deps test
	$(MAKE) $(PARALLEL) WERROR=1 all unit fuzz-targets walker
	tests/run $(CHECK)

# What needs no profiler that is attached, and no guest: two minutes.
check-fast:
	tools/install-deps test
	$(MAKE) $(PARALLEL) WERROR=1 all unit walker
	tests/run build unit scripts walker

# make fuzz SECONDS=60 TARGET="lines walk": finds are kept in build/fuzz-finds.
SECONDS ?= 60
fuzz:
	tools/install-deps test
	$(MAKE) $(PARALLEL) fuzz-targets
	tests/fuzz/fuzz.py --seconds $(SECONDS) $(TARGET)

# make stress SECONDS=180 SEED=2: hundreds of processes, thousands of threads, memory limits, kills.
stress:
	tools/install-deps test
	$(MAKE) all
	PYMEM_STRESS_SECONDS=$(SECONDS) PYMEM_STRESS_SEED=$(or $(SEED),1) tests/run stress

# Every interpreter there is, and the table of what works on which. FREE_THREADED=1 (or versions):
# builds such CPythons from Debian's sources first, once. Those in the cache are tested anyway.
FREE_THREADED ?=
check-pythons:
	tools/install-deps $(if $(FREE_THREADED),free-threaded,test)
	$(MAKE) $(PARALLEL) all walker $(BUILD)/verifier-stats $(HEAP_TOOLS) $(BUILD)/toml-dump
	set -e; for version in $(FREE_THREADED:1=3.13); do tests/free_threaded.sh $$version; done
	rm -rf $(BUILD)/matrix
	PYMEM_MATRIX=$(abspath $(BUILD)/matrix) tests/run scripts walker e2e python; status=$$?; \
	tests/matrix_table.py $(BUILD)/matrix docs/PYTHONS.md && exit $$status

# The package and the program on free-threaded builds of CPython, which are built first, once; and the package's
# extension in one that is built under ThreadSanitizer. A version whose sources can't be had is named.
FREE_THREADED_VERSIONS ?= 3.13 3.14 3.15
check-free-threaded:
	tools/install-deps free-threaded
	$(MAKE) $(PARALLEL) all walker
	for version in $(FREE_THREADED_VERSIONS); do \
		tests/free_threaded.sh $$version && continue; \
		[ $$? = 77 ] && echo "SKIP $${version}t: its sources can't be had" || exit 1; \
	done
	PYMEM_FREE_THREADED=1 tests/pythons.sh list | grep -q ^free-threaded-
	tests/free_threaded.sh $(firstword $(FREE_THREADED_VERSIONS)) tsan
	rm -rf $(BUILD)/free-threaded
	PYMEM_FREE_THREADED=1 PYMEM_MATRIX=$(abspath $(BUILD)/free-threaded) tests/run walker e2e python
	$(PYTHON) -m pytest -q -p no:cacheprovider tests/python/test_eight_threads.py

# All attacks that are tests, and the table of them in docs/SECURITY.md.
check-security:
	tools/install-deps test
	$(MAKE) $(PARALLEL) all
	rm -rf $(BUILD)/attacks
	for group in security e2e stress; do \
		PYMEM_ATTACKS=$(abspath $(BUILD)/attacks) $(PYTHON) -B -m pytest -q --tb=short -p no:cacheprovider \
			-m attack tests/$$group || failed=1; \
	done; \
	$(PYTHON) -B tests/attacks_table.py $(BUILD)/attacks docs/SECURITY.md && [ -z "$$failed" ]

# A host of 200 Pythons of many kinds, the agent and a Prometheus, for minutes (MINUTES=60: the hour), and what came of
# it in docs/FLEET.md.
MINUTES ?= 8
check-fleet:
	tools/install-deps fleet
	$(MAKE) $(PARALLEL) all
	$(PYTHON) -B tests/fleet/fleet.py --minutes $(MINUTES) --docs docs/FLEET.md

# Stock kernels in qemu, all that there is to check, and docs/KERNELS.md. CPUS: one run for each
# number; without, two, and 8 and 32 for the newest kernel.
VM_KERNELS := $(or $(KERNELS),5.10 6.1 6.12 7.2)
CPUS ?=
check-vm:
	tools/install-deps test
	$(MAKE) $(PARALLEL) all $(BUILD)/verifier-stats
	PYMEM_VM_KERNELS="$(VM_KERNELS)" PYMEM_VM_CPUS="$(CPUS)" PYMEM_VM_FULL=1 tests/run vm

# Other projects' tests, fetched from Debian's packages into the cache: memory_profiler's against the Python
# package; CPython's under the profiler (MODULES="test_os": these only; PEERS=--all: every one, hours).
check-memory-profiler:
	tools/install-deps test
	$(MAKE) $(PARALLEL) all
	$(MAKE) python
	tests/peers/check_memory_profiler.py --python $(PYTHON)

check-cpython:
	tools/install-deps test
	$(MAKE) $(PARALLEL) all
	tests/peers/check_cpython.py $(PEERS) $(MODULES)

# The verifier's figures of this kernel and of KERNELS, into bench/verifier.txt.
verifier-update:
	tools/install-deps test
	$(MAKE) $(PARALLEL) all $(BUILD)/verifier-stats
	rm -rf $(BUILD)/verifier
	set -e; for kernel in $(VM_KERNELS); do \
		tests/vm/vmtest.sh $$kernel $(BUILD)/verifier-stats > $(BUILD)/verifier.tmp; \
		mkdir -p $(BUILD)/verifier; mv $(BUILD)/verifier.tmp $(BUILD)/verifier/$$kernel.txt; \
	done
	$(PYTHON) tests/verifier/compare.py update

# What kernels say of a control group's memory, this one and all guests', into docs/EVENTS.md.
memory-update:
	tools/install-deps test
	$(MAKE) $(PARALLEL) all
	rm -rf $(BUILD)/memory; mkdir -p $(BUILD)/memory
	$(PYTHON) -B tests/memory_table.py here > $(BUILD)/memory/here.txt
	set -e; for kernel in $(VM_KERNELS); do \
		tests/vm/vmtest.sh $$kernel tests/vm/in_guest.sh memory_cgroup > $(BUILD)/memory/$$kernel.txt; \
	done
	$(PYTHON) -B tests/memory_table.py write $(BUILD)/memory/*.txt

golden-update: unit
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_render
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_render_answer
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_render_folded
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_heap_render
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_diff_render
	PYMEM_GOLDEN_UPDATE=1 $(BUILD)/tests/test_diff_page

# --- everything else ---
deps:
	tools/install-deps build

# Installs what is missing, builds, and shows the main job on a real program.
demo:
	tools/install-deps build
	$(MAKE) $(PARALLEL) all
	tools/demo

# QUICK=1: fewer rounds and less work, to see that it works; docs/ is left alone then. BENCH: more
# options of bench/suite.py (--only run,tool; --allow-missing).
bench:
	tools/install-deps bench
	$(MAKE) $(PARALLEL) all $(BUILD)/bench-empty
	$(MAKE) python
	$(PYTHON) -B bench/suite.py $(if $(QUICK),--quick) $(BENCH)

# An empty program at the same probes, to compare the exact engine with.
$(BUILD)/empty.skel.h: bench/probe/empty.bpf.c | $(BUILD)
	$(CLANG) $(BPF_CFLAGS) $(BPF_INCLUDE) -c $< -o $(BUILD)/empty.bpf.o
	$(BPFTOOL) gen skeleton $(BUILD)/empty.bpf.o name empty > $@.tmp
	mv $@.tmp $@

$(BUILD)/bench-empty: bench/probe/empty.c $(BUILD)/empty.skel.h
	$(CC) $(ALL_CFLAGS) $< -o $@ $(LDLIBS)

# The other architecture: BPF objects for it, and the program where its libraries are there.
arm64:
	$(MAKE) BUILD=$(BUILD)/arm64 ARCH=arm64 CC=aarch64-linux-gnu-gcc $(ARM64_GOAL)

# On arm64 kernels, emulated: up to half an hour, and packages of another architecture.
check-arm64:
	tools/install-deps arm64
	$(MAKE) arm64
	tests/vm/check_arm64.sh $(KERNELS)

# --- installation ---
# The Python package goes where PYTHON looks for it; with PREFIX=/usr, where Debian's packages are.
# Where each shell looks for completions that are not its own; Debian's zsh looks elsewhere below /usr.
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
# With the folders of the project in it, so that what is named docs/SERVE.md is found there, too.
DOCDIR ?= $(PREFIX)/share/doc/pymem-bpf
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/$(if $(and $(filter /usr,$(PREFIX)),$(wildcard \
	/usr/share/zsh/vendor-completions)),vendor-completions,site-functions)
FISH_COMPLETIONS ?= $(PREFIX)/share/fish/vendor_completions.d
PYTHON_SITE ?= $(shell $(PYTHON) tools/build-extension --site $(PREFIX))
INSTALL_PROGRAM ?= install -D -m 755
INSTALL_DATA := install -D -m 644
SERVICES := $(BUILD)/packaging/pymem-bpf.service $(BUILD)/packaging/pymem-bpf-agent.service
MANUALS := pymem-bpf.8 pymem-mprof.1
DOCUMENTS := README.md CHANGELOG.md $(wildcard docs/*.md docs/*.json docs/*.svg docs/pictures/*.png docs/pictures/*.svg \
	examples/*.py packaging/prometheus/*.yml packaging/grafana/*.json packaging/profiles/*.yaml packaging/profiles/*.alloy) \
	packaging/agent.toml packaging/pymem-bpf-agent.yaml

# Units know where the program is: made anew each time, for this SBINDIR. Manuals know of which version they are.
$(SERVICES): $(BUILD)/packaging/%.service: packaging/%.service.in FORCE
	@mkdir -p $(@D)
	sed 's|@SBINDIR@|$(SBINDIR)|' $< > $@
$(MANUALS:%=$(BUILD)/packaging/%): $(BUILD)/packaging/%: docs/% VERSION
	@mkdir -p $(@D)
	sed 's/^\.Os pymem-bpf$$/& $(VERSION)/' $< > $@

# A source distribution of the Python package has no python/: pip installs the package from there.
ifneq ($(wildcard python/extension.py),)
install: install-program install-python

install-python: $(BUILD)/packaging/pymem-mprof.1
	@if $(EXTENSION); then \
		DESTDIR="$(DESTDIR)" $(PYTHON) tools/install-package "$(PYTHON_SITE)" "$(BINDIR)"; \
	else \
		echo "the Python package is not installed, for $(PYTHON)" >&2; exit 1; \
	fi
	$(INSTALL_DATA) $(BUILD)/packaging/pymem-mprof.1 $(DESTDIR)$(MANDIR)/man1/pymem-mprof.1

# The Python package's extension, in place: PYTHONPATH=python/src then has the package.
python:
	$(EXTENSION)
else
install install-python python:
	@echo "a source distribution: make install-program installs the program, and pip install . the package" >&2; exit 1
endif
install-strip:
	$(MAKE) install INSTALL_PROGRAM='$(INSTALL_PROGRAM) -s'

# What is installed without the Python package; `make dist` packs the same, and licences.
install-program: all completions $(SERVICES) $(BUILD)/packaging/pymem-bpf.8
	$(INSTALL_PROGRAM) $(BUILD)/pymem-bpf $(DESTDIR)$(SBINDIR)/pymem-bpf
	$(INSTALL_DATA) $(BUILD)/packaging/pymem-bpf.8 $(DESTDIR)$(MANDIR)/man8/pymem-bpf.8
	$(INSTALL_DATA) $(BUILD)/completions/bash $(DESTDIR)$(BASH_COMPLETIONS)/pymem-bpf
	$(INSTALL_DATA) $(BUILD)/completions/zsh $(DESTDIR)$(ZSH_COMPLETIONS)/_pymem-bpf
	$(INSTALL_DATA) $(BUILD)/completions/fish $(DESTDIR)$(FISH_COMPLETIONS)/pymem-bpf.fish
	set -e; for unit in packaging/pymem-bpf.socket $(SERVICES); do \
		$(INSTALL_DATA) $$unit $(DESTDIR)$(UNITDIR)/$${unit##*/}; \
	done
	set -e; for document in $(DOCUMENTS); do \
		$(INSTALL_DATA) $$document $(DESTDIR)$(DOCDIR)/$$document; \
	done

# What is installed below DOCDIR, a line each: for tests.
print-documents:
	@printf '%s\n' $(DOCUMENTS)

# With the PREFIX, DESTDIR and PYTHON of the installation. Recordings and /etc/pymem-bpf stay, and a Python package that
# pip or the distribution has installed.
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/pymem-bpf $(DESTDIR)$(BASH_COMPLETIONS)/pymem-bpf \
		$(DESTDIR)$(MANDIR)/man8/pymem-bpf.8 $(DESTDIR)$(MANDIR)/man1/pymem-mprof.1 \
		$(DESTDIR)$(ZSH_COMPLETIONS)/_pymem-bpf $(DESTDIR)$(FISH_COMPLETIONS)/pymem-bpf.fish \
		$(addprefix $(DESTDIR)$(UNITDIR)/,pymem-bpf.socket $(notdir $(SERVICES))) $(DOCUMENTS:%=$(DESTDIR)$(DOCDIR)/%)
	[ ! -d $(DESTDIR)$(DOCDIR) ] || find $(DESTDIR)$(DOCDIR) -depth -type d -empty -delete
	DESTDIR="$(DESTDIR)" $(PYTHON) tools/install-package --remove "$(PYTHON_SITE)" "$(BINDIR)"

include packaging/dist.mk
include packaging/release.mk

EXTENSION := CC='$(CC)' CPPFLAGS='$(CPPFLAGS)' CFLAGS='$(CFLAGS)' LDFLAGS='$(LDFLAGS)' WERROR='$(WERROR)' \
	$(PYTHON) tools/build-extension

# A wheel, which pip installs on any glibc of its tag and for any Python: the program as a command, and the
# package with an extension for each Python; and one for musl. WHEEL_PROGRAM: a static program; WHEEL_LICENSES: a folder with the licence
# of each library in it (empty: none). Both as `make dist` leaves them, stripped. WHEEL_OPTIONS: more options of
# tools/build-wheel.
WHEEL_DIST := $(BUILD)/dist/$(shell uname -m)/root/usr/local
WHEEL_PROGRAM ?= $(WHEEL_DIST)/sbin/pymem-bpf
WHEEL_LICENSES ?= $(WHEEL_DIST)/share/doc/pymem-bpf/libraries
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)
WHEEL_OPTIONS ?=
WHEEL_OUT := $(BUILD)/wheel
BUILD_WHEEL = SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(PYTHON) -B tools/build-wheel --out $(WHEEL_OUT)
wheel:
	$(BUILD_WHEEL) --program "$(WHEEL_PROGRAM)" --licenses "$(WHEEL_LICENSES)" $(WHEEL_OPTIONS)

# Whether there is an interpreter with headers for each extension; nothing is built.
wheel-pythons:
	$(PYTHON) -B tools/build-wheel --find-pythons $(WHEEL_OPTIONS)

# What pip builds from where there is no wheel: the package; and the sources of the program, for make.
sdist:
	$(BUILD_WHEEL) --sdist

# What they are, and that pip installs them offline, for each interpreter that is here: the wheel that
# `make wheel` has left.
check-wheel:
	tools/install-deps wheel
	$(PYTHON) -B -m pytest -q --tb=short -p no:cacheprovider tests/install

SOURCES := $(wildcard bpf/*/*.c bpf/*/*.h user/*/*.c user/*/*.h include/*.h tests/unit/*.c tests/unit/*.h \
	tests/fuzz/*.c tests/fuzz/*.h tests/walker/*.c tests/walker/*.h tests/walker/bpf/*.h \
	tests/verifier/*.c tests/heap/*.c tests/toml/*.c packaging/static/*.c bench/probe/*.c python/src/pymem_bpf/native/*.c \
	python/src/pymem_bpf/native/*.h tests/python/*.c)
GENERATED := user/python/py_layout_table.h user/python/py_heap_layout_table.h user/base/text_widths.h
FORMATTED := $(filter-out $(GENERATED),$(SOURCES))
format:
	clang-format -i $(FORMATTED)
format-check:
	clang-format --dry-run -Werror $(FORMATTED)

clean:
	rm -rf $(BUILD) python/build python/src/*.egg-info
	rm -f python/src/pymem_bpf/_lines*.so python/src/pymem_bpf/_lines*.tmp
	find python tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Packages of Debian, and a source package of RPM with its packages; into build/packages.
deb:
	tools/install-deps packages
	tools/package deb

rpm:
	tools/install-deps packages
	tools/package rpm
	rpmlint -c packaging/rpmlint.toml $(BUILD)/packages/rpm

# SUITES: Debian's releases into which the packages are installed.
check-deb:
	tools/install-deps packages
	tests/install/deb.sh $(SUITES)

help:
	@echo 'make            build/pymem-bpf (NO_HTML=1: without web pages, node and npm)'
	@echo 'make demo       install what is missing, build, show the main job'
	@echo 'make check      install what tests need, run all of them (CHECK=unit|e2e|…: some)'
	@echo 'make check-fast build, unit, scripts, walker, in two minutes'
	@echo 'make fuzz       libFuzzer targets for SECONDS=60 each (TARGET="lines walk": these only)'
	@echo 'make stress     hundreds of processes under -a, for SECONDS=60 (SEED=1: what they do)'
	@echo 'make check-pythons  tests on every interpreter, docs/PYTHONS.md (FREE_THREADED=1: build one)'
	@echo 'make check-free-threaded   tests on free-threaded CPythons, which are built; ThreadSanitizer'
	@echo 'make check-security  the attacks of docs/SECURITY.md, and its table'
	@echo 'make check-vm   all checks on stock kernels in qemu (KERNELS="5.10 7.2" CPUS=8,32: these only)'
	@echo 'make check-memory-profiler, check-cpython   their own tests, from Debian (docs/TESTING.md)'
	@echo 'make memory-update    what kernels say of a control group, into docs/EVENTS.md'
	@echo 'make verifier-update  the verifier'"'"'s figures into bench/verifier.txt'
	@echo 'make python     the Python package in place, for PYTHON=…'
	@echo 'make wheel, sdist   what pip installs, in build/wheel; make check-wheel tests them'
	@echo 'make bench      measure overhead, also of other profilers (75 minutes; QUICK=1: 17)'
	@echo 'make check-arm64   the walk on emulated arm64 kernels (KERNELS=6.12: one of them)'
	@echo 'make dist       static programs to download, in dist/; make check-dist: two builds, an empty root'
	@echo 'make image      the static program as an image (an OCI archive), in build/image'
	@echo 'make release    all files of a release, in dist/, from a commit: static programs, image, wheels, packages'
	@echo 'make check-install   each of them installed and used, and the table of that (ONLY="image archive-*": some)'
	@echo 'make check-hosts   README'"'"'s first command and the tests, in fresh systems of other releases (HOSTS="trixie --e2e all")'
	@echo 'make deb, make rpm   packages, into build/packages; make check-deb: install and remove them in a chroot'
	@echo 'make deps, install, install-strip, uninstall, arm64, format, clean (WERROR=1: warnings are errors)'

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(BUILD)/*/*/*.d)

.PHONY: python wheel wheel-pythons sdist check-wheel all completions unit walker fuzz-targets fuzz check check-fast check-fleet stress check-arm64 golden-update deps demo \
	bench arm64 install format format-check check-pythons check-free-threaded check-security clean help check-vm \
	verifier-update memory-update check-memory-profiler check-cpython install-strip install-program install-python \
	uninstall deb rpm check-deb print-documents FORCE
.DELETE_ON_ERROR:
