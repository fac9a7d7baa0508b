# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make STATIC=1 BUILD=build/static: a program that needs no library of the host, and loads none. `make dist`
# makes releases of it. packaging/static/ has what takes the place of what the C library and GnuTLS would load.

STATIC_LIBS := -lbpf -lelf -ljansson -lsqlite3 -lprotobuf-c -lmicrohttpd -lgnutls -lhogweed -lnettle -lgmp \
	-ltasn1 -lunistring -lresolv -lncursesw -ltinfo -lz -lm -lpthread
# Calls of these go to packaging/static/, also those that libraries make.
STATIC_WRAPPED := dlopen dlsym dlclose dlerror getpwuid_r setlocale nl_langinfo btowc wctob mblen mbtowc mbrtowc \
	mbstowcs wcrtomb wcsrtombs wcstombs wcwidth iswprint
STATIC_OBJS := $(patsubst packaging/static/%.c,$(BUILD)/static/%.o,$(wildcard packaging/static/*.c))

STATIC_SCRIPT := packaging/static/no-unwind.ld
# The linkers of other architectures can't pack relocations.
STATIC_LDFLAGS := -static-pie -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack -Wl,-z,noseparate-code \
	-Wl,--build-id=sha1 -Wl,--fatal-warnings -Wl,--no-eh-frame-hdr -Wl,-T,$(STATIC_SCRIPT) $(STATIC_WRAPPED:%=-Wl,--wrap=%)
ifeq ($(ARCH),x86)
STATIC_LDFLAGS += -Wl,-z,pack-relative-relocs
endif

ifdef STATIC
OBJS += $(STATIC_OBJS)
LDLIBS := $(STATIC_LIBS)
override LDFLAGS += $(STATIC_LDFLAGS)
override CFLAGS += -fPIE
$(BUILD)/pymem-bpf: $(STATIC_SCRIPT)
# What runs once for a report or an answer is made small: a release may have 8 MiB (tools/pack-dist). Not what reads
# processes, kernels and heaps, nor what records.
STATIC_SMALL := cli render report agent screen
$(filter $(STATIC_SMALL:%=$(BUILD)/user/%/%),$(OBJS)): private override CFLAGS += -Os
endif

$(BUILD)/static/%.o: packaging/static/%.c | $(BUILD)/able
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -idirafter /usr/include/p11-kit-1 -c $< -o $@
