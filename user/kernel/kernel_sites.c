/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "kernel/kernel_sites.h"

#include <stdlib.h>
#include <string.h>

/* Functions that call an allocator. A compiler may have made one part of its caller: then that is
 * the one that calls, and if it is not here, what it allocates is an object of no kind. */
static const struct {
	const char *name;
	enum pymem_kernel_kind kind;
} functions[] = {
	{"__alloc_skb", PYMEM_KERNEL_SOCKETS},
	{"alloc_skb_with_frags", PYMEM_KERNEL_SOCKETS},
	{"kmalloc_reserve", PYMEM_KERNEL_SOCKETS},
	{"sk_alloc", PYMEM_KERNEL_SOCKETS},
	{"sk_prot_alloc", PYMEM_KERNEL_SOCKETS},
	{"sock_alloc_inode", PYMEM_KERNEL_SOCKETS},
	{"sock_kmalloc", PYMEM_KERNEL_SOCKETS},
	{"sock_wmalloc", PYMEM_KERNEL_SOCKETS},
	{"alloc_pipe_info", PYMEM_KERNEL_PIPES},
	{"pipe_resize_ring", PYMEM_KERNEL_PIPES},
	{"__alloc_file", PYMEM_KERNEL_FILES},
	{"__d_alloc", PYMEM_KERNEL_FILES},
	{"alloc_empty_file", PYMEM_KERNEL_FILES},
	{"alloc_fdtable", PYMEM_KERNEL_FILES},
	{"alloc_inode", PYMEM_KERNEL_FILES},
	{"dup_fd", PYMEM_KERNEL_FILES},
	{"init_file", PYMEM_KERNEL_FILES},
	{"lsm_file_alloc", PYMEM_KERNEL_FILES},
	{"lsm_inode_alloc", PYMEM_KERNEL_FILES},
	{"security_file_alloc", PYMEM_KERNEL_FILES},
	{"security_inode_alloc", PYMEM_KERNEL_FILES},
};

/* A symbol's name without what a compiler puts behind it: ".isra.0". */
static bool has_name(const char *symbol, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(symbol, name, length) && (!symbol[length] || symbol[length] == '.');
}

/* False: the function with that name is none of those. */
static bool find_kind(const char *symbol, __u32 *kind)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (has_name(symbol, functions[i].name)) {
			*kind = functions[i].kind;
			return true;
		}
	return false;
}

static int compare(const void *left, const void *right)
{
	const struct pymem_site *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

size_t kernel_sites_read(FILE *symbols, struct pymem_site sites[PYMEM_SITES])
{
	struct pymem_site *open = NULL; /* whose end is not known yet */
	unsigned long long address;
	char line[512], name[256], type;
	size_t count = 0;
	__u32 kind;

	while (fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %c %255s", &address, &type, name) != 3 || !address)
			continue;
		/* Symbols come in the order of their addresses, those of modules last. */
		if (open && address < open->start) {
			count--;
			open = NULL;
		} else if (open && address > open->start) {
			open->end = address;
			open = NULL;
		}
		if ((type != 't' && type != 'T') || count == PYMEM_SITES || !find_kind(name, &kind))
			continue;
		open = &sites[count++];
		*open = (struct pymem_site){.start = address, .kind = kind};
	}
	if (open)
		count--;
	qsort(sites, count, sizeof(*sites), compare);
	return count;
}

bool kernel_shows_symbols(const char *path)
{
	FILE *symbols = fopen(path, "re");
	unsigned long long address;
	bool shows = false;
	char line[512], type;

	if (!symbols)
		return false;
	/* Before the functions come offsets of each CPU's variables, from 0 on. */
	while (fgets(line, sizeof(line), symbols)) {
		if (sscanf(line, "%llx %c", &address, &type) == 2 && (type == 't' || type == 'T')) {
			shows = address != 0;
			break;
		}
	}
	fclose(symbols);
	return shows;
}
