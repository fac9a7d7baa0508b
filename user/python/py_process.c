/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: find the Python interpreter in a process by what is mapped there, never by names. It may
 * be static or shared, stripped, embedded, deleted on disk, or in a container.
 *
 * Each file with an executable mapping is examined (elf_image.c), once per host and not once per
 * process; files without Python are in the cache too. A process may have more than one interpreter
 * (an extension linked with libpython under a static python). Then the one that is running counts.
 * If none runs yet, the executable's counts, since the dynamic linker prefers its symbols.
 *
 * Left out: interpreters whose code was moved to anonymous memory (some huge-page tools), and
 * 32-bit ones under a 64-bit kernel. Invariant: 0 is returned only if the process is, after all
 * reads, still the one from before. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/budget.h"
#include "python/elf_image.h"
#include "os/proc.h"
#include "python/py_layouts.h"
#include "python/py_process.h"

#define CACHE_BUCKETS	  4096
#define CACHE_ENTRIES_MAX 65536 /* then the cache is emptied */
#define CANDIDATES_MAX	  8
#define PASSES_MAX	  3
#define NEWEST_MINOR	  15 /* the newest 3.x that is supported */

struct image_key {
	uint64_t dev, inode, size;
	int64_t mtime_sec, mtime_nsec;
};

struct image_entry {
	struct image_entry *next;
	struct image_key key;
	struct elf_image *image; /* NULL: the file has no interpreter */
	bool refused;		 /* examining it exceeds the budget of a file */
};

struct py_image_cache {
	struct image_entry *buckets[CACHE_BUCKETS];
	size_t count;
};

struct candidate {
	struct elf_image image;
	uint64_t runtime_addr;
	uint64_t bias; /* address in memory minus symbol value */
	uint64_t dev, inode;
	bool executable;
	char path[512];
};

struct scan {
	struct py_image_cache *cache;
	pid_t pid;
	struct stat exe; /* st_ino 0: unknown */
	/* The last mapping of file offset 0, at which a loaded file begins. */
	uint64_t base_start, base_inode;
	uint32_t base_major, base_minor;
	/* The file examined last: its other executable mappings are skipped. */
	uint64_t done_base;
	/* The last file without an interpreter: other mappings of it are skipped. */
	uint64_t dull_dev, dull_inode;
	int error;     /* -errno of a file that could not be examined; 0: none */
	bool vanished; /* a mapping disappeared before it could be opened */
	bool mapped;   /* the process maps anything at all */
	struct candidate candidates[CANDIDATES_MAX];
	unsigned count;
};

struct py_image_cache *py_image_cache_new(void)
{
	return calloc(1, sizeof(struct py_image_cache));
}

static void cache_clear(struct py_image_cache *cache)
{
	for (size_t i = 0; i < CACHE_BUCKETS; i++) {
		while (cache->buckets[i]) {
			struct image_entry *entry = cache->buckets[i];

			cache->buckets[i] = entry->next;
			free(entry->image);
			free(entry);
		}
	}
	cache->count = 0;
}

void py_image_cache_free(struct py_image_cache *cache)
{
	if (!cache)
		return;
	cache_clear(cache);
	free(cache);
}

static struct image_key key_of(const struct stat *st)
{
	struct image_key key = {
		.dev = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_sec = st->st_mtim.tv_sec,
		.mtime_nsec = st->st_mtim.tv_nsec,
	};

	return key;
}

static struct image_entry **cache_bucket(struct py_image_cache *cache, const struct image_key *key)
{
	uint64_t hash = (key->inode ^ key->dev << 32) * 0x9e3779b97f4a7c15ull;

	return &cache->buckets[hash >> 52];
}

static int cache_add(struct py_image_cache *cache, const struct image_key *key,
		     const struct elf_image *image, bool refused, struct image_entry **added)
{
	struct image_entry **bucket = cache_bucket(cache, key);
	struct image_entry *entry;

	if (cache->count >= CACHE_ENTRIES_MAX)
		cache_clear(cache);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->key = *key;
	entry->refused = refused;
	if (image->is_python) {
		entry->image = malloc(sizeof(*image));
		if (!entry->image) {
			free(entry);
			return -ENOMEM;
		}
		*entry->image = *image;
	}
	entry->next = *bucket;
	*bucket = entry;
	cache->count++;
	*added = entry;
	return 0;
}

/* Finds the image behind a mapping. `*image` belongs to the cache; NULL: no interpreter. 0 or
 * -errno. */
static int image_of(struct scan *scan, const struct proc_mapping *mapping, const struct stat *st,
		    const struct elf_image **image)
{
	struct image_key key = key_of(st);
	struct image_entry *entry;
	struct elf_image read;
	bool refused;
	int err, fd;

	for (entry = *cache_bucket(scan->cache, &key); entry; entry = entry->next) {
		if (memcmp(&entry->key, &key, sizeof(key)) == 0) {
			*image = entry->image;
			return entry->refused ? -EFBIG : 0;
		}
	}
	fd = proc_open_mapping(scan->pid, mapping);
	if (fd < 0)
		return fd;
	budget_begin_file();
	err = elf_image_read(fd, &read);
	close(fd);
	refused = err == -EFBIG;
	if (err && err != -ENOEXEC && !refused)
		return err;
	err = cache_add(scan->cache, &key, &read, refused, &entry);
	if (!err)
		*image = entry->image;
	return err ? err : refused ? -EFBIG : 0;
}

static void add_candidate(struct scan *scan, const struct proc_mapping *mapping,
			  const struct stat *st, const struct elf_image *image, bool has_base)
{
	struct candidate *candidate;

	if (scan->count == CANDIDATES_MAX || (!has_base && !image->fixed_address))
		return;
	candidate = &scan->candidates[scan->count++];
	candidate->image = *image;
	candidate->bias = image->fixed_address ? 0 : scan->base_start - image->load_vaddr;
	candidate->runtime_addr = candidate->bias + image->runtime_vaddr;
	candidate->dev = makedev(mapping->dev_major, mapping->dev_minor);
	candidate->inode = mapping->inode;
	candidate->executable = scan->exe.st_ino != 0 && st->st_dev == scan->exe.st_dev &&
				st->st_ino == scan->exe.st_ino;
	snprintf(candidate->path, sizeof(candidate->path), "%s", mapping->path);
}

static int examine_mapping(const struct proc_mapping *mapping, void *arg)
{
	const struct elf_image *image = NULL;
	struct scan *scan = arg;
	struct stat st;
	bool has_base;
	uint64_t dev;
	int err;

	scan->mapped = true;
	if (mapping->inode == 0)
		return 0;
	if (mapping->offset == 0) {
		scan->base_start = mapping->start;
		scan->base_inode = mapping->inode;
		scan->base_major = mapping->dev_major;
		scan->base_minor = mapping->dev_minor;
	}
	if (mapping->perms[2] != 'x')
		return 0;
	has_base = scan->base_inode == mapping->inode && scan->base_major == mapping->dev_major &&
		   scan->base_minor == mapping->dev_minor;
	dev = makedev(mapping->dev_major, mapping->dev_minor);
	if ((has_base && scan->done_base == scan->base_start) ||
	    (mapping->inode == scan->dull_inode && dev == scan->dull_dev))
		return 0;
	err = proc_stat_mapping(scan->pid, mapping, &st);
	if (!err)
		err = image_of(scan, mapping, &st, &image);
	if (err == -ENOMEM || err == -EDQUOT)
		return err;
	if (!err && !image) {
		scan->dull_dev = dev;
		scan->dull_inode = mapping->inode;
	}
	if (err == -ENOENT)
		scan->vanished = true;
	else if (err && err != -ENODEV)
		scan->error = err;
	if (has_base)
		scan->done_base = scan->base_start;
	if (image)
		add_candidate(scan, mapping, &st, image, has_base);
	return 0;
}

/* Lists the interpreters that the process maps, the executable's first. 0 or -errno. */
static int find_candidates(struct scan *scan)
{
	char path[64];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)scan->pid);
	if (stat(path, &scan->exe) != 0)
		scan->exe.st_ino = 0;
	/* If a mapping merges with its neighbour, its name in map_files changes: try again. */
	for (int pass = 0; pass < PASSES_MAX; pass++) {
		scan->count = 0;
		scan->error = 0;
		scan->vanished = false;
		scan->done_base = 0;
		scan->dull_inode = 0;
		scan->base_inode = 0;
		err = proc_maps_each(scan->pid, examine_mapping, scan);
		if (err || scan->count > 0 || !scan->vanished)
			break;
	}
	for (unsigned i = 1; i < scan->count; i++) {
		struct candidate first = scan->candidates[i];

		if (!first.executable)
			continue;
		memmove(scan->candidates + 1, scan->candidates, i * sizeof(first));
		scan->candidates[0] = first;
		break;
	}
	if (!err && scan->count == 0 && scan->error)
		err = scan->error;
	return err;
}

/* Reads _Py_DebugOffsets of the process. Returns the bytes read, or -errno. */
static ssize_t read_debug_offsets(pid_t pid, uint64_t addr, unsigned char *buf)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < PY_DEBUG_OFFSETS_MAX) {
		n = proc_read_memory(pid, addr + done, buf + done, PY_DEBUG_OFFSETS_MAX - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done > 0 ? (ssize_t)done : n;
}

/* Finds the layout. 0, or -errno. -ENOTSUP: the version is unknown, or its objects begin with other
 * members. Up to 3.7 Py_DEBUG implied Py_TRACE_REFS (bpo-36465 ended that). From 3.13 on such a
 * build publishes sizes that py_layouts.c refuses. */
static int layout_of(pid_t pid, const struct candidate *candidate, struct py_layout *layout)
{
	const struct elf_image *image = &candidate->image;
	unsigned char head[PY_DEBUG_OFFSETS_MAX];
	ssize_t len;
	int err;

	if (image->is_python2 || image->traces_refs)
		return -ENOTSUP;
	if (image->major != 0 && (image->major != 3 || image->minor < 13)) {
		err = py_layout_from_table(image->major, image->minor, layout);
		return err == -ENOENT ? -ENOTSUP : err;
	}
	len = read_debug_offsets(pid, candidate->runtime_addr, head);
	if (len < 0)
		return (int)len;
	err = py_layout_from_debug_offsets(head, (size_t)len, layout);
	/* Neither a version in the file nor debug offsets: it is older than 3.13, and unknown. */
	if (err == -ENOENT || (err == -EINVAL && image->major == 0))
		return -ENOTSUP;
	return err;
}

static void fill(struct py_process *process, const struct candidate *candidate)
{
	const struct elf_image *image = &candidate->image;

	memset(process, 0, sizeof(*process));
	process->runtime_addr = candidate->runtime_addr;
	if (image->interp_head_vaddr)
		process->interp_head_addr = candidate->bias + image->interp_head_vaddr;
	process->major = image->major;
	process->minor = image->minor;
	process->micro = image->micro;
	memcpy(process->version, image->version, sizeof(process->version));
	process->kind = candidate->executable ? PY_BUILD_STATIC : PY_BUILD_SHARED;
	process->debug_build = image->debug_build;
	process->traces_refs = image->traces_refs;
	process->has_line_probe = image->has_line_probe;
	process->line_probe_aborts = image->line_probe_aborts;
	process->has_function_probe = image->has_function_probe;
	process->entry_wants_line = image->entry_wants_line;
	process->image_dev = candidate->dev;
	process->image_inode = candidate->inode;
	process->image_runtime_vaddr = image->runtime_vaddr;
	process->image_load_vaddr = image->load_vaddr;
	process->image_fixed_address = image->fixed_address;
	memcpy(process->image_path, candidate->path, sizeof(process->image_path));
}

/* True if this interpreter runs: its first PyInterpreterState exists (3.6: the current thread
 * state, or interp_head). */
static bool is_live(pid_t pid, const struct py_process *process)
{
	uint64_t addr = process->runtime_addr, pointer;

	if (process->layout.flags & PY_TSTATE_CURRENT)
		addr = process->interp_head_addr ? process->interp_head_addr : addr;
	else if (process->layout.runtime_interp_head != PY_NONE)
		addr += process->layout.runtime_interp_head;
	else
		return false;
	return proc_read_memory(pid, addr, &pointer, sizeof(pointer)) == sizeof(pointer) &&
	       pointer != 0;
}

static int identify_candidate(pid_t pid, const struct candidate *candidate,
			      struct py_process *process)
{
	int err;

	fill(process, candidate);
	err = layout_of(pid, candidate, &process->layout);
	process->implausible = err == -EINVAL;
	if (err)
		return err;
	if (process->major == 0) {
		process->major = process->layout.version >> 8;
		process->minor = process->layout.version & 0xff;
		snprintf(process->version, sizeof(process->version), "%u.%u", process->major,
			 process->minor);
	}
	process->free_threaded = process->layout.flags & PY_FREE_THREADED;
	return 0;
}

/* Chooses among the candidates: one that runs, else one that is supported, else the first. 0 or
 * -errno. */
static int choose(struct scan *scan, struct py_process *process)
{
	struct py_process other;
	int err = identify_candidate(scan->pid, &scan->candidates[0], process);

	for (unsigned i = 1; i < scan->count; i++) {
		if (err == 0 && is_live(scan->pid, process))
			break;
		if (identify_candidate(scan->pid, &scan->candidates[i], &other) != 0)
			continue;
		if (err == 0 && !is_live(scan->pid, &other))
			continue;
		*process = other;
		err = 0;
	}
	return err;
}

int py_process_identify(struct py_image_cache *cache, pid_t pid, struct py_process *process)
{
	uint64_t start = proc_start_ticks(pid);
	struct scan *scan;
	int err;

	memset(process, 0, sizeof(*process));
	if (start == 0)
		return -ESRCH;
	scan = calloc(1, sizeof(*scan));
	if (!scan)
		return -ENOMEM;
	scan->cache = cache;
	scan->pid = pid;
	err = find_candidates(scan);
	if (!err)
		err = scan->count > 0 ? choose(scan, process) : scan->mapped ? -ENOENT : -ESRCH;
	free(scan);
	if (proc_start_ticks(pid) != start)
		err = -ESRCH;
	return err;
}

void py_process_explain(const struct py_process *process, char *text, size_t size)
{
	const char *version = process->version;
	bool known = process->major == 3 && process->minor >= 13 && process->minor <= NEWEST_MINOR;

	if (process->traces_refs)
		snprintf(text, size, "Python %s is not supported: it was built with Py_TRACE_REFS",
			 version);
	else if (known && process->implausible)
		snprintf(text, size,
			 "Python %s is not supported: the offsets that it publishes of its "
			 "structures can't be true; a build that was changed, or damaged memory",
			 version);
	else if (known && strpbrk(version, "ab"))
		snprintf(text, size,
			 "Python %s is not supported: it is an alpha or beta, in which structures "
			 "still change; release candidates and releases are supported",
			 version);
	else if (*version)
		snprintf(text, size, "Python %s is not supported (3.6 to 3.%d are)", version,
			 NEWEST_MINOR);
	else
		snprintf(text, size,
			 "a Python of unknown version is not supported: its file tells none, as "
			 "builds of 3.11 and later always do");
}
