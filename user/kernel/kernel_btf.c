/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "kernel/kernel_btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <unistd.h>

/* <linux/btf.h> may be newer or older than the running kernel. Newer kernels have a longer header,
 * and use bits of these fields that were 0 before. */
#define HEADER_BYTES (offsetof(struct btf_header, str_len) + sizeof(uint32_t))
#define KIND(info)   ((info) >> 24 & 0x7f)
#define VLEN(info)   ((info)&0xffffff)

/* Reads one section of the file through a window in memory. */
struct window {
	int fd;
	uint64_t next, end; /* file offsets: what of the section is not read yet */
	size_t at, have;    /* indices of `bytes`: what is not looked at yet */
	char bytes[16 * 1024];
};

static void window_open(struct window *w, int fd, uint64_t start, uint64_t length)
{
	w->fd = fd;
	w->next = start;
	w->end = start + length;
	w->at = w->have = 0;
}

/* Reads more behind what is left in the window. 0, -errno, -ENODATA at the end of the section, or
 * -E2BIG if the window is full. */
static int window_more(struct window *w)
{
	size_t room;
	ssize_t got;

	memmove(w->bytes, w->bytes + w->at, w->have - w->at);
	w->have -= w->at;
	w->at = 0;
	room = sizeof(w->bytes) - w->have;
	if (!room)
		return -E2BIG;
	if (room > w->end - w->next)
		room = w->end - w->next;
	if (!room)
		return -ENODATA;
	do
		got = pread(w->fd, w->bytes + w->have, room, w->next);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (!got)
		return -EINVAL; /* the file ends within the section */
	w->have += got;
	w->next += got;
	return 0;
}

/* Copies the next `size` bytes of the section to `to`. 0 or -errno. */
static int window_take(struct window *w, void *to, size_t size)
{
	int err;

	while (w->have - w->at < size) {
		err = window_more(w);
		if (err)
			return err == -ENODATA ? -EINVAL : err;
	}
	memcpy(to, w->bytes + w->at, size);
	w->at += size;
	return 0;
}

static int window_skip(struct window *w, uint64_t size)
{
	uint64_t here = w->have - w->at;

	if (size <= here) {
		w->at += size;
		return 0;
	}
	size -= here;
	w->at = w->have = 0;
	if (size > w->end - w->next)
		return -EINVAL;
	w->next += size;
	return 0;
}

static bool window_done(const struct window *w)
{
	return w->at == w->have && w->next == w->end;
}

static void note_name(struct kernel_btf_wanted *wanted, size_t count, const char *name,
		      size_t length, uint32_t offset)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!strncmp(wanted[i].name, name, length + 1))
			wanted[i].name_offset = offset;
		if (wanted[i].member && !strncmp(wanted[i].member, name, length + 1))
			wanted[i].member_offset = offset;
	}
}

/* Tells most of what is not wanted from what is, by one bit of each. */
#define SIFT_BITS 4096
struct sift {
	uint64_t bits[SIFT_BITS / 64];
};

/* Of a name of `length` bytes, at least one. */
static unsigned name_bit(const char *name, size_t length)
{
	unsigned first = (unsigned char)name[0], last = (unsigned char)name[length - 1];

	return (length * 131 + first * 31 + last) % SIFT_BITS;
}

static void sift_add(struct sift *sift, unsigned bit)
{
	sift->bits[bit / 64] |= 1ULL << bit % 64;
}

/* False: what has this bit was not added. */
static bool sift_may_have(const struct sift *sift, unsigned bit)
{
	return sift->bits[bit / 64] >> bit % 64 & 1;
}

/* Finds the offsets of the names in the section of strings, by which types refer to them. */
static int find_names(struct window *w, struct kernel_btf_wanted *wanted, size_t count)
{
	struct sift sift = {};
	uint32_t offset = 0;
	size_t i;
	int err;

	for (i = 0; i < count; i++) {
		sift_add(&sift, name_bit(wanted[i].name, strlen(wanted[i].name)));
		if (wanted[i].member)
			sift_add(&sift, name_bit(wanted[i].member, strlen(wanted[i].member)));
	}
	while (!window_done(w)) {
		const char *string = w->bytes + w->at;
		const char *end = memchr(string, '\0', w->have - w->at);
		size_t length;

		if (!end) {
			err = window_more(w);
			if (err) /* a string without an end, or longer than any name */
				return err == -ENODATA || err == -E2BIG ? -EINVAL : err;
			continue;
		}
		length = end - string;
		if (length && sift_may_have(&sift, name_bit(string, length)))
			note_name(wanted, count, string, length, offset);
		offset += length + 1;
		w->at += length + 1;
	}
	return 0;
}

/* Bytes behind struct btf_type, the enumerators included. -1: unknown kind. */
static int64_t bytes_behind(unsigned kind, uint64_t vlen)
{
	switch (kind) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return vlen * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return vlen * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return vlen * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return vlen * sizeof(struct btf_var_secinfo);
	case BTF_KIND_ENUM64:
		return vlen * sizeof(struct btf_enum64);
	default:
		return -1;
	}
}

/* Both begin with the offset of their name. */
struct part {
	uint32_t name_off;
	uint32_t rest[2];
};
_Static_assert(sizeof(struct part) == sizeof(struct btf_member), "read as struct part");
_Static_assert(offsetof(struct btf_enum, name_off) == 0, "read as struct part");
_Static_assert(offsetof(struct btf_member, name_off) == 0, "read as struct part");

/* Reads the enumerators or members of `type`, of number `id`, which come next, and compares them
 * with those wanted. 0 or -errno. */
static int look_at_parts(struct window *w, const struct btf_type *type, uint32_t id,
			 struct kernel_btf_wanted *wanted, size_t count)
{
	unsigned kind = KIND(type->info);
	size_t size = kind == BTF_KIND_ENUM ? sizeof(struct btf_enum) : sizeof(struct btf_member);
	uint32_t vlen = VLEN(type->info);
	struct part part;
	size_t i;
	int err;

	while (vlen--) {
		err = window_take(w, &part, size);
		if (err)
			return err;
		for (i = 0; i < count; i++)
			if (wanted[i].kind == kind && wanted[i].name_offset == type->name_off &&
			    wanted[i].member_offset && wanted[i].member_offset == part.name_off) {
				wanted[i].found = true;
				wanted[i].id = id;
			}
	}
	return 0;
}

/* True if parts of this type are wanted. */
static bool has_parts(const struct btf_type *type, const struct kernel_btf_wanted *wanted,
		      size_t count)
{
	unsigned kind = KIND(type->info);
	size_t i;

	if (kind != BTF_KIND_ENUM && kind != BTF_KIND_STRUCT)
		return false;
	for (i = 0; type->name_off && i < count; i++)
		if (wanted[i].member && wanted[i].kind == kind &&
		    wanted[i].name_offset == type->name_off)
			return true;
	return false;
}

/* Notes a type that is wanted for its name alone. */
static void note_type(struct kernel_btf_wanted *wanted, size_t count, const struct btf_type *type,
		      uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (wanted[i].name_offset == type->name_off && wanted[i].kind == KIND(type->info) &&
		    !wanted[i].member) {
			wanted[i].found = true;
			wanted[i].id = id;
		}
}

static int look_at_types(struct window *w, struct kernel_btf_wanted *wanted, size_t count)
{
	struct sift sift = {};
	struct btf_type type;
	uint32_t id = 0;
	int64_t behind;
	bool named;
	int err;

	for (size_t i = 0; i < count; i++)
		if (wanted[i].name_offset)
			sift_add(&sift, wanted[i].name_offset % SIFT_BITS);

	/* Types are numbered in their order, from 1 on. */
	while (!window_done(w)) {
		id++;
		err = window_take(w, &type, sizeof(type));
		if (err)
			return err;
		behind = bytes_behind(KIND(type.info), VLEN(type.info));
		if (behind < 0)
			return -ENOTSUP;
		named = type.name_off && sift_may_have(&sift, type.name_off % SIFT_BITS);
		if (named && has_parts(&type, wanted, count))
			err = look_at_parts(w, &type, id, wanted, count);
		else
			err = window_skip(w, behind);
		if (err)
			return err;
		if (named)
			note_type(wanted, count, &type, id);
	}
	return 0;
}

static int find(int fd, struct window *w, struct kernel_btf_wanted *wanted, size_t count)
{
	struct btf_header header;
	int err;

	window_open(w, fd, 0, HEADER_BYTES);
	err = window_take(w, &header, HEADER_BYTES);
	if (err)
		return err;
	if (header.magic != BTF_MAGIC || header.hdr_len < HEADER_BYTES)
		return -EINVAL;
	window_open(w, fd, (uint64_t)header.hdr_len + header.str_off, header.str_len);
	err = find_names(w, wanted, count);
	if (err)
		return err;
	window_open(w, fd, (uint64_t)header.hdr_len + header.type_off, header.type_len);
	return look_at_types(w, wanted, count);
}

int kernel_btf_find(const char *path, struct kernel_btf_wanted *wanted, size_t count)
{
	struct window window;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	size_t i;

	if (fd < 0)
		return -errno;
	for (i = 0; i < count; i++) {
		wanted[i].found = false;
		wanted[i].name_offset = wanted[i].member_offset = 0;
	}
	err = find(fd, &window, wanted, count);
	close(fd);
	return err;
}
