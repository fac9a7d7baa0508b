/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asks one CPython's headers where its structures keep what a census of the heap needs.
 *
 * tools/gen-heap-layouts compiles and runs this once for each set of headers and each kind of
 * build; the output, one `word value...` per line, is its only input. The field names are those of
 * struct py_heap_layout.
 *
 * Every number comes from offsetof, sizeof, an enumerator, a macro or an inline function of the
 * headers, but for structures that CPython declares in .c files only. Those are declared here under
 * SOURCE ONLY, each with the file that has it; tests/unit/check_heap_layouts.py holds them, as all
 * others, against live interpreters.
 */
#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#define NDEBUG	      1 /* inline functions are called with memory that holds no object */
#include <Python.h>
#include <frameobject.h>
#include <structmember.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if PY_VERSION_HEX >= 0x03090000
#include "internal/pycore_gc.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_object.h"
#include "internal/pycore_runtime.h"
#else
#include "internal/pycore_object.h"
#include "internal/pycore_pymem.h"
#include "internal/pycore_pystate.h"
#endif
#if PY_VERSION_HEX >= 0x030b0000
#include "internal/pycore_dict.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_moduleobject.h"
#endif
#if PY_VERSION_HEX >= 0x030c0000
#include "internal/pycore_obmalloc.h"
#endif
#if PY_VERSION_HEX >= 0x030d0000
#include "internal/pycore_genobject.h"
#endif
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe.h"
#include "internal/pycore_stackref.h"
#include "internal/pycore_weakref.h"
#endif

#define FIELD(name, type, member) printf("field " #name " %zu\n", offsetof(type, member))
#define VALUE(name, value)	  printf("field " #name " %zu\n", (size_t)(value))
#define FLAG(name)		  printf("flag PY_HEAP_" #name "\n")

/* SOURCE ONLY */

#if PY_VERSION_HEX < 0x030c0000
/* Objects/obmalloc.c of 3.8 to 3.11; from 3.12 on internal/pycore_obmalloc.h. */
struct pool_header {
	union {
		void *padding;
		unsigned count;
	} ref;
	void *freeblock;
	void *nextpool, *prevpool;
	unsigned arenaindex, szidx, nextoffset, maxnextoffset;
};
#define POOL_OVERHEAD sizeof(struct pool_header) /* 48: a multiple of ALIGNMENT */
#if PY_VERSION_HEX >= 0x030a0000
#define POOL_SIZE  (1 << 14) /* POOL_BITS where USE_LARGE_POOLS: 64 bits */
#define ARENA_SIZE (1 << 20) /* ARENA_BITS where USE_LARGE_ARENAS: 64 bits */
#else
#define POOL_SIZE  4096	       /* SYSTEM_PAGE_SIZE */
#define ARENA_SIZE (256 << 10) /* ARENA_SIZE */
#endif
#endif

#if PY_VERSION_HEX < 0x030b0000
/* Objects/dict-common.h of 3.8 to 3.10. */
typedef struct {
	Py_hash_t me_hash;
	PyObject *me_key;
	PyObject *me_value;
} PyDictKeyEntry;
struct _dictkeysobject {
	Py_ssize_t dk_refcnt;
	Py_ssize_t dk_size;
	void *dk_lookup;
	Py_ssize_t dk_usable;
	Py_ssize_t dk_nentries;
	char dk_indices[];
};
/* Objects/moduleobject.c of 3.8 to 3.10. */
typedef struct {
	PyObject_HEAD PyObject *md_dict;
	struct PyModuleDef *md_def;
	void *md_state;
	PyObject *md_weaklist;
	PyObject *md_name;
} PyModuleObject;
#endif

/* Modules/_collectionsmodule.c of 3.8 to 3.15: the beginning of a deque, and its blocks. */
#define BLOCKLEN 64
struct deque_block {
	struct deque_block *leftlink;
	PyObject *data[BLOCKLEN];
	struct deque_block *rightlink;
};
struct deque_object {
	PyObject_VAR_HEAD struct deque_block *leftblock, *rightblock;
	Py_ssize_t leftindex, rightindex;
};

/* All that follows is from the headers. */

static void print_pools(void)
{
	VALUE(pool_size, POOL_SIZE);
	VALUE(arena_size, ARENA_SIZE);
	VALUE(pool_overhead, POOL_OVERHEAD);
	FIELD(pool_ref, struct pool_header, ref);
	FIELD(pool_freeblock, struct pool_header, freeblock);
	FIELD(pool_arena, struct pool_header, arenaindex);
	FIELD(pool_szidx, struct pool_header, szidx);
	FIELD(pool_next_offset, struct pool_header, nextoffset);
	FIELD(pool_max_next_offset, struct pool_header, maxnextoffset);
}

/* What lies before an object: _PyType_PreHeaderSize() of a type that has only these flags. */
static void print_before(void)
{
	VALUE(gc_head, sizeof(PyGC_Head));
#if PY_VERSION_HEX >= 0x030b0000
	PyTypeObject type;
	static char memory[256];
	PyObject *object = (PyObject *)(memory + 128);

	memset(&type, 0, sizeof(type));
#if PY_VERSION_HEX >= 0x030c0000
	type.tp_flags = Py_TPFLAGS_PREHEADER;
	VALUE(pre_weakrefs_back, -MANAGED_WEAKREF_OFFSET);
#else
	type.tp_flags = Py_TPFLAGS_MANAGED_DICT;
#endif
	VALUE(pre_flags, type.tp_flags);
	VALUE(pre_bytes, _PyType_PreHeaderSize(&type));
	object->ob_type = &type;
#if PY_VERSION_HEX >= 0x030d0000
	VALUE(pre_dict_back, -MANAGED_DICT_OFFSET);
	FLAG(VALUES_INLINE);
#elif PY_VERSION_HEX >= 0x030c0000
	char *pointer = (char *)_PyObject_DictOrValuesPointer(object);

	VALUE(pre_dict_back, (char *)object - pointer);
	VALUE(pre_values_back, (char *)object - pointer);
	FLAG(VALUES_TAGGED);
#else
	VALUE(pre_dict_back, (char *)object - (char *)_PyObject_ManagedDictPointer(object));
	VALUE(pre_values_back, (char *)object - (char *)_PyObject_ValuesPointer(object));
#endif
#else
	VALUE(pre_flags, 0);
	VALUE(pre_bytes, 0);
#endif
}

static void print_types(void)
{
	FIELD(object_type, PyObject, ob_type);
	FIELD(object_size, PyVarObject, ob_size);
	VALUE(object_head, sizeof(PyObject));
#if PY_VERSION_HEX >= 0x030c0000
	FLAG(REFCNT_32);
#endif
	FIELD(type_name, PyTypeObject, tp_name);
	FIELD(type_basicsize, PyTypeObject, tp_basicsize);
	FIELD(type_itemsize, PyTypeObject, tp_itemsize);
	FIELD(type_dealloc, PyTypeObject, tp_dealloc);
	FIELD(type_flags, PyTypeObject, tp_flags);
	FIELD(type_members, PyTypeObject, tp_members);
	FIELD(type_base, PyTypeObject, tp_base);
	FIELD(type_dict, PyTypeObject, tp_dict);
	FIELD(type_dictoffset, PyTypeObject, tp_dictoffset);
	FIELD(type_weaklistoffset, PyTypeObject, tp_weaklistoffset);
	VALUE(type_size, sizeof(PyTypeObject));
	FIELD(heap_type_name, PyHeapTypeObject, ht_name);
	FIELD(heap_type_qualname, PyHeapTypeObject, ht_qualname);
	FIELD(heap_type_cached_keys, PyHeapTypeObject, ht_cached_keys);
#if PY_VERSION_HEX >= 0x03090000
	FIELD(heap_type_module, PyHeapTypeObject, ht_module);
#endif
	VALUE(member_size, sizeof(PyMemberDef));
	FIELD(member_name, PyMemberDef, name);
	FIELD(member_offset, PyMemberDef, offset);
}

static void print_dict(void)
{
	FIELD(dict_used, PyDictObject, ma_used);
	FIELD(dict_keys, PyDictObject, ma_keys);
	FIELD(dict_values, PyDictObject, ma_values);
	FIELD(keys_usable, struct _dictkeysobject, dk_usable);
	FIELD(keys_nentries, struct _dictkeysobject, dk_nentries);
	FIELD(keys_indices, struct _dictkeysobject, dk_indices);
	VALUE(entry_size, sizeof(PyDictKeyEntry));
	FIELD(entry_key, PyDictKeyEntry, me_key);
	FIELD(entry_value, PyDictKeyEntry, me_value);
#if PY_VERSION_HEX >= 0x030b0000
	FIELD(keys_log2_size, struct _dictkeysobject, dk_log2_size);
	FIELD(keys_log2_index_bytes, struct _dictkeysobject, dk_log2_index_bytes);
	FIELD(keys_kind, struct _dictkeysobject, dk_kind);
	VALUE(keys_kind_general, DICT_KEYS_GENERAL);
	VALUE(unicode_entry_size, sizeof(PyDictUnicodeEntry));
	FIELD(unicode_entry_key, PyDictUnicodeEntry, me_key);
	FIELD(unicode_entry_value, PyDictUnicodeEntry, me_value);
	FIELD(values_first, struct _dictvalues, values);
#else
	FLAG(OLD_KEYS);
	FIELD(keys_size, struct _dictkeysobject, dk_size);
	VALUE(values_first, 0); /* ma_values is PyObject ** */
#endif
#if PY_VERSION_HEX >= 0x030d0000
	FIELD(inline_valid, struct _dictvalues, valid);
#endif
}

static void print_containers(void)
{
	FIELD(list_items, PyListObject, ob_item);
	FIELD(tuple_items, PyTupleObject, ob_item);
	FIELD(set_used, PySetObject, used);
	FIELD(set_mask, PySetObject, mask);
	FIELD(set_table, PySetObject, table);
	FIELD(set_small_table, PySetObject, smalltable);
	VALUE(set_entry_size, sizeof(setentry));
	FIELD(set_entry_key, setentry, key);
	FIELD(bytearray_bytes, PyByteArrayObject, ob_bytes);
	FIELD(bytearray_alloc, PyByteArrayObject, ob_alloc);
#if PY_VERSION_HEX >= 0x030f0000
	FIELD(bytearray_object, PyByteArrayObject, ob_bytes_object);
#endif
	FIELD(deque_left_block, struct deque_object, leftblock);
	FIELD(deque_right_block, struct deque_object, rightblock);
	FIELD(deque_left_index, struct deque_object, leftindex);
	FIELD(deque_right_index, struct deque_object, rightindex);
	FIELD(deque_block_items, struct deque_block, data);
	FIELD(deque_block_right, struct deque_block, rightlink);
	VALUE(deque_block_length, BLOCKLEN);
}

static void print_leaves(void)
{
	FIELD(unicode_utf8, PyCompactUnicodeObject, utf8);
	FIELD(unicode_utf8_length, PyCompactUnicodeObject, utf8_length);
	FIELD(unicode_data, PyUnicodeObject, data);
#if PY_VERSION_HEX >= 0x030c0000
	FLAG(LONG_TAG);
	FIELD(long_tag, PyLongObject, long_value.lv_tag);
	FIELD(long_digits, PyLongObject, long_value.ob_digit);
#else
	FIELD(long_tag, PyLongObject, ob_base.ob_size);
	FIELD(long_digits, PyLongObject, ob_digit);
#endif
	FIELD(weakref_callback, PyWeakReference, wr_callback);
	_Static_assert(PyLong_SHIFT == 30, "digits of 30 bits");
}

static void print_names(void)
{
	FIELD(module_dict, PyModuleObject, md_dict);
	FIELD(module_name, PyModuleObject, md_name);
	FIELD(function_globals, PyFunctionObject, func_globals);
	FIELD(function_name, PyFunctionObject, func_name);
	FIELD(function_qualname, PyFunctionObject, func_qualname);
	FIELD(function_code, PyFunctionObject, func_code);
	FIELD(function_closure, PyFunctionObject, func_closure);
	FIELD(function_defaults, PyFunctionObject, func_defaults);
	FIELD(function_kwdefaults, PyFunctionObject, func_kwdefaults);
	FIELD(function_dict, PyFunctionObject, func_dict);
	FIELD(function_module, PyFunctionObject, func_module);
	FIELD(cell_content, PyCellObject, ob_ref);
	FIELD(method_function, PyMethodObject, im_func);
	FIELD(method_self, PyMethodObject, im_self);
}

static void print_code(void)
{
	FIELD(code_nlocals, PyCodeObject, co_nlocals);
	FIELD(code_stacksize, PyCodeObject, co_stacksize);
	FIELD(code_names, PyCodeObject, co_names);
#if PY_VERSION_HEX >= 0x030b0000
	FIELD(code_nlocalsplus, PyCodeObject, co_nlocalsplus);
	FIELD(code_localsplusnames, PyCodeObject, co_localsplusnames);
#else
	FIELD(code_varnames, PyCodeObject, co_varnames);
	FIELD(code_cellvars, PyCodeObject, co_cellvars);
	FIELD(code_freevars, PyCodeObject, co_freevars);
#endif
}

static void print_frames(void)
{
#if PY_VERSION_HEX >= 0x030b0000
	FIELD(frame_globals, _PyInterpreterFrame, f_globals);
	FIELD(frame_locals, _PyInterpreterFrame, f_locals);
	FIELD(frame_localsplus, _PyInterpreterFrame, localsplus);
	FIELD(frame_object_frame, PyFrameObject, f_frame);
	FIELD(generator_frame, PyGenObject, gi_iframe);
	FIELD(generator_frame_state, PyGenObject, gi_frame_state);
	FIELD(tstate_datastack_chunk, PyThreadState, datastack_chunk);
	FIELD(chunk_previous, _PyStackChunk, previous);
	FIELD(chunk_size, _PyStackChunk, size);
	FIELD(chunk_top, _PyStackChunk, top);
#else
	FLAG(FRAME_OBJECTS);
	FIELD(frame_globals, PyFrameObject, f_globals);
	FIELD(frame_locals, PyFrameObject, f_locals);
	FIELD(frame_localsplus, PyFrameObject, f_localsplus);
	FIELD(frame_value_stack, PyFrameObject, f_valuestack);
	FIELD(generator_frame, PyGenObject, gi_frame);
#endif
#if PY_VERSION_HEX >= 0x030f0000
	VALUE(generator_finished, FRAME_CLEARED);
#elif PY_VERSION_HEX >= 0x030b0000
	VALUE(generator_finished, FRAME_COMPLETED);
#endif
	FIELD(generator_name, PyGenObject, gi_name);
	FIELD(generator_qualname, PyGenObject, gi_qualname);
#if PY_VERSION_HEX >= 0x030e0000
	FLAG(LOCALS_TAGGED);
	FIELD(frame_stack_top, _PyInterpreterFrame, stackpointer);
#elif PY_VERSION_HEX >= 0x030b0000
	FLAG(STACK_TOP_INT);
	FIELD(frame_stack_top, _PyInterpreterFrame, stacktop);
#elif PY_VERSION_HEX >= 0x030a0000
	FLAG(STACK_TOP_INT);
	FIELD(frame_stack_top, PyFrameObject, f_stackdepth);
#else
	FIELD(frame_stack_top, PyFrameObject, f_stacktop);
#endif
}

static void print_interpreter(void)
{
	FIELD(runtime_interp_head, _PyRuntimeState, interpreters.head);
#if PY_VERSION_HEX >= 0x030c0000
	FIELD(interp_modules, PyInterpreterState, imports.modules);
	FIELD(interp_interned, PyInterpreterState, cached_objects.interned_strings);
#else
	FIELD(interp_modules, PyInterpreterState, modules);
#endif
#if PY_VERSION_HEX >= 0x03090000
	FIELD(interp_gc, PyInterpreterState, gc);
#else
	FIELD(runtime_gc, _PyRuntimeState, gc);
#endif
}

static void print_collector(void)
{
	FIELD(gc_enabled, struct _gc_runtime_state, enabled);
	FIELD(gc_generations, struct _gc_runtime_state, generations);
	FIELD(gc_permanent, struct _gc_runtime_state, permanent_generation);
	FIELD(gc_stats, struct _gc_runtime_state, generation_stats);
	FIELD(gc_garbage, struct _gc_runtime_state, garbage);
	FIELD(gc_collecting, struct _gc_runtime_state, collecting);
	VALUE(gc_generation_size, sizeof(struct gc_generation));
	FIELD(gc_generation_head, struct gc_generation, head);
	FIELD(gc_generation_threshold, struct gc_generation, threshold);
	FIELD(gc_generation_count, struct gc_generation, count);
	VALUE(gc_generation_number, NUM_GENERATIONS);
	VALUE(gc_stat_size, sizeof(struct gc_generation_stats));
	FIELD(gc_stat_collections, struct gc_generation_stats, collections);
	FIELD(gc_stat_collected, struct gc_generation_stats, collected);
	FIELD(gc_stat_uncollectable, struct gc_generation_stats, uncollectable);
#if PY_VERSION_HEX >= 0x030f0000
	FLAG(GC_RING);
	FIELD(gc_stat_start, struct gc_generation_stats, ts_start);
	FIELD(gc_stat_stop, struct gc_generation_stats, ts_stop);
	FIELD(gc_stat_candidates, struct gc_generation_stats, candidates);
	FIELD(gc_stat_duration, struct gc_generation_stats, duration);
	FIELD(gc_ring_young, struct gc_stats, young);
	VALUE(gc_ring_young_items, GC_YOUNG_STATS_SIZE);
	FIELD(gc_ring_young_index, struct gc_young_stats_buffer, index);
	FIELD(gc_ring_old, struct gc_stats, old);
	VALUE(gc_ring_old_items, GC_OLD_STATS_SIZE);
	FIELD(gc_ring_old_index, struct gc_old_stats_buffer, index);
	VALUE(gc_ring_old_size, sizeof(struct gc_old_stats_buffer));
#elif PY_VERSION_HEX >= 0x030e0000
	/* Up to 3.14.4 the same word was visited_space; its place is kept. */
	FIELD(gc_visited_space, struct _gc_runtime_state, dummy2);
#endif
}

int main(void)
{
	printf("version %u %u %s\n", PY_MAJOR_VERSION, PY_MINOR_VERSION, PY_VERSION);
#ifdef Py_DEBUG
	FLAG(DEBUG_BUILD);
#endif
	print_pools();
	print_before();
	print_types();
	print_dict();
	print_containers();
	print_leaves();
	print_names();
	print_code();
	print_frames();
	print_interpreter();
	print_collector();
	return 0;
}
