/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is this process a Python, which one, and where is its interpreter? */
#ifndef PY_PROCESS_H
#define PY_PROCESS_H

#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

#include "py_layout.h"

enum py_build_kind {
	PY_BUILD_STATIC, /* the executable contains the interpreter */
	PY_BUILD_SHARED, /* a mapped library does */
};

struct py_process {
	uint64_t runtime_addr; /* address of _PyRuntime (3.6: _PyThreadState_Current) in the process
				*/
	uint64_t interp_head_addr; /* 3.6: address of interp_head if known, else 0 */
	struct py_layout layout;
	unsigned major, minor, micro;
	char version[32];
	enum py_build_kind kind;
	bool debug_build, free_threaded; /* as far as it can be told; false otherwise */
	bool traces_refs;		 /* each object's head has two more pointers: refused */
	bool implausible;		 /* refused for the offsets it publishes (or does not) */
	bool has_line_probe;		 /* USDT python:line in the image */
	bool line_probe_aborts;		 /* one that must not be used: elf_image.h */
	bool has_function_probe;	 /* USDT python:function__entry */
	/* Identity of the image, for caches: device (makedev) and inode of the ELF file, as
	 * /proc/PID/maps has them. */
	uint64_t image_dev, image_inode;
	uint64_t image_runtime_vaddr; /* value of the symbol in the file */
	uint64_t image_load_vaddr;
	bool image_fixed_address; /* ET_EXEC */
	char image_path[512];	  /* as /proc/PID/maps prints it: for messages only */
};

/* Caches elf_image by (device, inode, mtime, size), so that hundreds of processes of one
 * binary cost one ELF read. Opaque. */
struct py_image_cache;
struct py_image_cache *py_image_cache_new(void);
void py_image_cache_free(struct py_image_cache *cache);

/* Identifies `pid`.
 * 0: `process` is filled.
 * -ENOENT: no interpreter is mapped (not Python, or not yet).
 * -ENOTSUP: Python 2, or a version this program does not know; `process->version`
 *  says which ("" if even that is unknown).
 * -EINVAL and process->implausible: it publishes no offsets that can be true, or not yet.
 * -ESRCH: gone, or without memory (a zombie, a kernel thread).
 * -EDQUOT: it takes more than a process may cost (budget.h); -EFBIG: likewise a file mapped in it,
 *  and no other holds an interpreter.
 * -EACCES/-EPERM and other -errno: could not look. */
int py_process_identify(struct py_image_cache *cache, pid_t pid, struct py_process *process);

/* Why a process for which that gave -ENOTSUP, or that is implausible, is not supported: a sentence
 * of at most 192 bytes, without its PID. */
void py_process_explain(const struct py_process *process, char *text, size_t size);

#endif
