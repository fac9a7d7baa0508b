/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF side and the user side share about the page cache: which stack brought which pages
 * of which file into it (bpf/account/cache.bpf.h). Amounts are in pages. */
#ifndef PYMEM_CACHE_H
#define PYMEM_CACHE_H

#include "pymem.h"

#define PYMEM_CACHED_PLACES	 65536 /* pairs of a stack and a file; their number has 16 bits */
#define PYMEM_CACHE_FILES	 32768
#define PYMEM_CACHE_CHUNKS	 131072 /* of 256 KiB of a file; where all are allocated at the load, */
#define PYMEM_CACHE_CHUNKS_FEW	 16384
#define PYMEM_CACHE_CHUNK_PAGES	 64
#define PYMEM_CACHE_NAME_BYTES	 512  /* a power of two; a file's own name has up to 255 */
#define PYMEM_CACHE_NAME_PARTS	 16   /* of a path, from its end */
#define PYMEM_CACHE_FILTER_SLOTS 8192 /* a power of two */

/* Place of an inode, by address, in the filter that turns away what is in no file of the table. */
static inline __u32 pymem_cache_slot(__u64 inode)
{
	return ((inode >> 6) ^ (inode >> 19)) & (PYMEM_CACHE_FILTER_SLOTS - 1);
}

/* A file: the inode in the kernel's memory, and what tells it from another one that had or will
 * have this memory. As long as a page of it is in the cache, the inode stays there. */
struct pymem_cache_file_key {
	__u64 inode; /* its address */
	__u64 number;
	__u32 device; /* of its filesystem: major << 20 | minor */
	__u32 generation;
};

/* Bits of pymem_cache_file.state. */
#define PYMEM_CACHE_NAMED   1 /* the name is there */
#define PYMEM_CACHE_CUT	    2 /* the path goes on before the outermost part */
#define PYMEM_CACHE_DELETED 4 /* it had no name any more when it was first seen */
#define PYMEM_CACHE_BLOCKS  8 /* it is no file, but the blocks of the device themselves */

struct pymem_cache_file {
	struct pymem_cache_file_key key;
	__u32 state;
	__u32 bytes;   /* of the name */
	__u32 account; /* struct pymem_account of who first brought a page of it; 0: root's */
	__u32 pad;
	/* Parts of its path in its filesystem, each with a NUL; the file's own name comes first. */
	char name[PYMEM_CACHE_NAME_BYTES];
};

/* What all images of one user hold together of the two arrays. */
struct pymem_cache_held {
	__u32 places, files;
};

struct pymem_cached_key {
	struct pymem_stack_key stack; /* hash up to PYMEM_LOSS_COUNT: no stack; the cause, plus 1 */
	__u32 file; /* number of its record, plus 1; 0: the table of files is full */
	__u32 pad;
};

/* What one stack of an image brought into the cache of one file. */
struct pymem_cached {
	struct pymem_cached_key key; /* key.stack.proc 0: the place is free */
	__u32 turn;		     /* how often the place was given out; never 0 */
	__u32 account;		     /* struct pymem_account that the place is on; 0: root's */
	__u64 added;
	__u64 gone;    /* of these: taken out of the cache again */
	__u64 unknown; /* of these: nobody knows whether they are still there; no room */
	__u64 own;     /* of these: accounted to the control group of the thread, */
	__u64 other;   /* to another one; the rest: the kernel does not account them */
};

/* Which place brought each page of a chunk: its number and its turn << 16; 0: none. Programs never
 * delete one, since another CPU may have just found it and write to it, and the memory of a deleted
 * one is used again at once. User space deletes those that were empty for a while. */
struct pymem_cache_chunk {
	__u32 pages[PYMEM_CACHE_CHUNK_PAGES];
	__u32 used; /* pages that are not 0 */
	__u32 look; /* cache_look when a program last used it; 0: one is about to */
};

struct pymem_cache_chunk_key {
	__u64 number; /* offset in the file, in chunks */
	__u32 file;   /* as in a pymem_cached_key, not 0 */
	__u32 pad;
};

#endif
