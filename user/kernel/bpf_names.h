/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps, programs and variables of the BPF side go by name. All names that are used are looked for
 * when the object is opened: one that is not there (renamed on one side only) ends it at once, and
 * by name, where it would leave a constant at its default or be a NULL somewhere later. */
#ifndef BPF_NAMES_H
#define BPF_NAMES_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

enum bpf_name_kind {
	BPF_NAME_MAP,
	BPF_NAME_PROGRAM,
	BPF_NAME_KNOB,	   /* a constant set before the load */
	BPF_NAME_VARIABLE, /* read and written after it */
};

enum bpf_name_build { /* which of the builds has it */
		      BPF_NAME_BOTH,
		      BPF_NAME_MODERN,
		      BPF_NAME_LEGACY,
};

struct bpf_name {
	enum bpf_name_kind kind;
	const char *name;
	enum bpf_name_build build;
};

/* All that the session uses. */
extern const struct bpf_name bpf_names[];
extern const size_t bpf_name_count;

/* Are they all in the opened object? 0, or -ENOENT, and `why` (of `size` bytes) names the first
 * that is not. */
int bpf_names_check(const struct bpf_object *object, bool legacy, const struct bpf_name *names,
		    size_t count, char *why, size_t size);

/* The map, the program `name`; never NULL: a name that is not in the object ends the program with a
 * message. */
struct bpf_map *bpf_names_map(const struct bpf_object *object, const char *name);
struct bpf_program *bpf_names_program(const struct bpf_object *object, const char *name);

/* Ends the program: there is no such name, though bpf_names_check() should have found that. */
__attribute__((noreturn)) void bpf_names_missing(enum bpf_name_kind kind, const char *name);

#endif
