/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a process is a Python, which one, and where its interpreter is. */
#ifndef PY_PROCESS_H
#define PY_PROCESS_H

#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

#include "py_layout.h"

enum py_build_kind {
	PY_BUILD_STATIC, /* the executable contains the interpreter */
	PY_BUILD_SHARED, /* a mapped library contains it */
};

struct py_process {
	uint64_t runtime_addr;	   /* of _PyRuntime (3.6: _PyThreadState_Current) in the process */
	uint64_t interp_head_addr; /* 3.6: of interp_head, if known; else 0 */
	struct py_layout layout;
	unsigned major, minor, micro;
	char version[32];
	enum py_build_kind kind;
	bool debug_build, free_threaded; /* false also if that can't be found out */
	bool traces_refs;		 /* objects have two more pointers in their head: refused */
	bool implausible; /* refused, since the offsets it publishes are missing or can't be true */
	bool has_line_probe;	 /* has the USDT probe python:line */
	bool line_probe_aborts;	 /* has that probe, but it must not be used: elf_image.h */
	bool has_function_probe; /* has the USDT probe python:function__entry, and it can be used */
	bool entry_wants_line;	 /* 3.11: as in struct elf_image */
	/* The ELF file, as /proc/PID/maps gives its device (as of makedev()) and inode: a key for
	 * caches. */
	uint64_t image_dev, image_inode;
	uint64_t image_runtime_vaddr; /* value of the root symbol in the file */
	uint64_t image_load_vaddr;
	bool image_fixed_address; /* ET_EXEC: symbol values are addresses */
	char image_path[512];	  /* as in /proc/PID/maps; only for messages */
};

/* Keeps an elf_image for each (device, inode, mtime, size): hundreds of processes that run one file
 * cost one reading of it. */
struct py_image_cache;
struct py_image_cache *py_image_cache_new(void);
void py_image_cache_free(struct py_image_cache *cache);

/* Identifies `pid`. 0: `process` is filled in.
 * -ENOENT   no interpreter is mapped: it is not Python, or not yet
 * -ENOTSUP  Python 2, or an unknown version; process->version is that, or "" if even that is
 *           unknown
 * -EINVAL   process->implausible: it publishes no offsets that can be true, or not yet
 * -ESRCH    the process has ended, or has no memory (a zombie, a kernel thread)
 * -EDQUOT   the budget of a process (budget.h) is exceeded
 * -EFBIG    that of a file mapped in it is exceeded, and no other file has an interpreter
 * -EACCES, -EPERM and other -errno: it can't be read */
int py_process_identify(struct py_image_cache *cache, pid_t pid, struct py_process *process);

/* Writes why that process is not supported, after -ENOTSUP, or if it is implausible: a sentence of
 * at most 192 bytes, without the PID. */
void py_process_explain(const struct py_process *process, char *text, size_t size);

#endif
