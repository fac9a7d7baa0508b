/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of types, and how their objects are read.
 *
 * tp_name has the module's name, too, of static types and of types that extension modules make from
 * a spec. Of a class made by Python code, tp_name is the bare name. Its module is in its dict, its
 * qualified name in the type.
 */
#include <stdio.h>
#include <stdlib.h>

#include "heap/types_private.h"
#include "python/py_code.h"

#define TEXT_UNITS_MAX 200
#define ENTRIES_MAX    65536
#define BASES_MAX      64

/* --- str and dict --- */

static bool is_exact_str(struct heap_types *types, uint64_t object)
{
	uint64_t type = 0, name = 0, flags = 0;
	char text[8];

	return snapshot_read_any(types->snapshot, object + types->heap_layout->object_type, &type,
				 sizeof(type)) &&
	       snapshot_read_any(types->snapshot, type + types->heap_layout->type_flags, &flags,
				 sizeof(flags)) &&
	       flags & TPFLAG_UNICODE_SUBCLASS && !(flags & TPFLAG_HEAP_TYPE) &&
	       snapshot_read_any(types->snapshot, type + types->heap_layout->type_name, &name,
				 sizeof(name)) &&
	       type_read_name(types, name, text, sizeof(text)) && strcmp(text, "str") == 0;
}

/* Writes the text of a str into `text`, cut to `size` bytes. False: it is no str, or not compact as
 * names are. */
static bool read_str(struct heap_types *types, uint64_t object, char *text, size_t size)
{
	const struct py_layout *l = types->layout;
	unsigned char units[4 * TEXT_UNITS_MAX];
	uint64_t length = 0;
	uint32_t state = 0;
	unsigned kind;
	char *decoded;

	if (!is_exact_str(types, object) ||
	    !snapshot_read_any(types->snapshot, object + l->unicode_length, &length,
			       sizeof(length)) ||
	    !snapshot_read_any(types->snapshot, object + l->unicode_state, &state, sizeof(state)))
		return false;
	kind = state >> l->unicode_kind_shift & 7;
	if (!(state >> l->unicode_compact_shift & 1) || (kind != 1 && kind != 2 && kind != 4))
		return false;
	object += state >> l->unicode_ascii_shift & 1 ? l->unicode_ascii_size
						      : l->unicode_compact_size;
	if (length > TEXT_UNITS_MAX)
		length = TEXT_UNITS_MAX;
	if (!snapshot_read_any(types->snapshot, object, units, length * kind))
		return false;
	decoded = py_unicode_decode(units, length * kind, length, kind);
	if (!decoded)
		return false;
	snprintf(text, size, "%s", decoded);
	free(decoded);
	return true;
}

/* Where a dict's entries are. */
struct entries {
	uint64_t start, count;
	unsigned size, key, value;
};

static unsigned old_index_bytes(uint64_t size)
{
	return size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
}

static bool find_entries(struct heap_types *types, uint64_t dict, struct entries *entries)
{
	const struct py_heap_layout *l = types->heap_layout;
	unsigned char head[64] = {0};
	uint64_t keys = 0, size, index_bytes;
	bool general;

	if (!snapshot_read_any(types->snapshot, dict + l->dict_keys, &keys, sizeof(keys)) ||
	    l->keys_indices > sizeof(head) ||
	    !snapshot_read_any(types->snapshot, keys, head, l->keys_indices))
		return false;
	if (l->flags & PY_HEAP_OLD_KEYS) {
		size = type_word(head, l->keys_size);
		index_bytes = size * old_index_bytes(size);
		general = true;
	} else {
		index_bytes = 1ull << (head[l->keys_log2_index_bytes] & 63);
		general = head[l->keys_kind] == l->keys_kind_general;
	}
	entries->start = keys + l->keys_indices + index_bytes;
	entries->count = type_word(head, l->keys_nentries);
	if (entries->count > ENTRIES_MAX)
		entries->count = ENTRIES_MAX;
	entries->size = general ? l->entry_size : l->unicode_entry_size;
	entries->key = general ? l->entry_key : l->unicode_entry_key;
	entries->value = general ? l->entry_value : l->unicode_entry_value;
	return true;
}

/* The value of the key `name` of a dict; 0: none. */
static uint64_t look_up(struct heap_types *types, uint64_t dict, const char *name)
{
	struct entries e;
	char text[64];

	if (!dict || !find_entries(types, dict, &e))
		return 0;
	for (uint64_t i = 0; i < e.count; i++) {
		uint64_t key = 0, value = 0, at = e.start + i * e.size;

		if (!snapshot_read_any(types->snapshot, at + e.key, &key, sizeof(key)) ||
		    !snapshot_read_any(types->snapshot, at + e.value, &value, sizeof(value)))
			return 0;
		if (key && value && read_str(types, key, text, sizeof(text)) &&
		    strcmp(text, name) == 0)
			return value;
	}
	return 0;
}

/* --- names --- */

static void join(char *name, size_t size, const char *module, const char *qualname)
{
	char whole[512];

	if (*module && strcmp(module, "builtins") != 0)
		snprintf(whole, sizeof(whole), "%s.%s", module, qualname);
	else
		snprintf(whole, sizeof(whole), "%s", qualname);
	if (strlen(whole) < size) {
		memcpy(name, whole, strlen(whole) + 1);
		return;
	}
	memcpy(name, whole, size - 4);
	memcpy(name + size - 4, "...", 4);
}

void type_name(struct heap_types *types, const unsigned char *head, struct heap_type *type)
{
	const struct py_heap_layout *l = types->heap_layout;
	char own[sizeof(type->name)], qualname[200] = "", module[200] = "";
	uint64_t text = 0;

	if (!type_read_name(types, type_word(head, l->type_name), own, sizeof(own)))
		own[0] = '\0';
	memcpy(type->name, own, sizeof(own));
	if (!(type->flags & TPFLAG_HEAP_TYPE) || strchr(own, '.'))
		return;
	if (!snapshot_read_any(types->snapshot, type->addr + l->heap_type_qualname, &text,
			       sizeof(text)) ||
	    !read_str(types, text, qualname, sizeof(qualname)))
		snprintf(qualname, sizeof(qualname), "%s", own);
	text = look_up(types, type_word(head, l->type_dict), "__module__");
	if (text)
		read_str(types, text, module, sizeof(module));
	join(type->name, sizeof(type->name), module, qualname);
}

/* --- kinds --- */

static const struct {
	uint64_t flag;
	enum type_kind kind;
	const char *name;
} by_flag[] = {
	{TPFLAG_LONG_SUBCLASS, TYPE_INT, "int"},      {TPFLAG_LIST_SUBCLASS, TYPE_LIST, "list"},
	{TPFLAG_TUPLE_SUBCLASS, TYPE_TUPLE, "tuple"}, {TPFLAG_BYTES_SUBCLASS, TYPE_BYTES, "bytes"},
	{TPFLAG_UNICODE_SUBCLASS, TYPE_STR, "str"},   {TPFLAG_DICT_SUBCLASS, TYPE_DICT, "dict"},
	{TPFLAG_TYPE_SUBCLASS, TYPE_TYPE, "type"},
};

/* tp_name of types that have no flag, in all versions. */
static const struct {
	const char *name;
	enum type_kind kind;
} by_name[] = {
	{"float", TYPE_LEAF},
	{"complex", TYPE_LEAF},
	{"bytearray", TYPE_BYTEARRAY},
	{"set", TYPE_SET},
	{"frozenset", TYPE_SET},
	{"weakref", TYPE_WEAKREF},
	{"weakref.ReferenceType", TYPE_WEAKREF},
	{"weakproxy", TYPE_WEAKREF},
	{"weakref.ProxyType", TYPE_WEAKREF},
	{"weakcallableproxy", TYPE_WEAKREF},
	{"weakref.CallableProxyType", TYPE_WEAKREF},
	{"module", TYPE_MODULE},
	{"function", TYPE_FUNCTION},
	{"method", TYPE_METHOD},
	{"cell", TYPE_CELL},
	{"code", TYPE_CODE},
	{"frame", TYPE_FRAME},
	{"generator", TYPE_GENERATOR},
	{"coroutine", TYPE_GENERATOR},
	{"async_generator", TYPE_GENERATOR},
	{"collections.deque", TYPE_DEQUE},
	{"numpy.ndarray", TYPE_NDARRAY},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The kind of a type by its name. A class made by Python code has none of these kinds, whatever its
 * name. */
static enum type_kind kind_by_name(const char *name, bool heap_type)
{
	if (heap_type && !strchr(name, '.'))
		return TYPE_OTHER;
	for (size_t i = 0; i < COUNT(by_name); i++) {
		if (strcmp(name, by_name[i].name) == 0)
			return by_name[i].kind;
	}
	return TYPE_OTHER;
}

static enum type_kind kind_of_base(struct heap_types *types, uint64_t base)
{
	const struct py_heap_layout *l = types->heap_layout;
	unsigned char head[TYPE_HEAD_MAX];
	enum type_kind kind = TYPE_OTHER;
	char name[64];

	for (unsigned i = 0; base && i < BASES_MAX && kind == TYPE_OTHER; i++) {
		if (!type_read_head(types, base, head))
			break;
		if (type_read_name(types, type_word(head, l->type_name), name, sizeof(name)))
			kind = kind_by_name(name,
					    type_word(head, l->type_flags) & TPFLAG_HEAP_TYPE);
		base = type_word(head, l->type_base);
	}
	return kind;
}

void type_kind(struct heap_types *types, const unsigned char *head, struct heap_type *type)
{
	bool heap_type = type->flags & TPFLAG_HEAP_TYPE;
	char own[sizeof(type->name)];

	if (!type_read_name(types, type_word(head, types->heap_layout->type_name), own,
			    sizeof(own)))
		own[0] = '\0';
	for (size_t i = 0; i < COUNT(by_flag); i++) {
		if (type->flags & by_flag[i].flag) {
			type->kind = by_flag[i].kind;
			type->exact = !heap_type && strcmp(own, by_flag[i].name) == 0;
			return;
		}
	}
	type->kind = kind_by_name(own, heap_type);
	type->exact = type->kind != TYPE_OTHER;
	if (!type->exact)
		type->kind = kind_of_base(types, type->base);
}
