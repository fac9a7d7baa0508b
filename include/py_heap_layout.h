/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where CPython keeps what a census of its heap needs: one record per version and kind of build.
 *
 * As with struct py_layout, a version's quirks are data: what reads a heap never asks for a version
 * number. All records are generated from each version's headers (tools/gen-heap-layouts), because
 * _Py_DebugOffsets publishes no field of the allocator or of a dict.
 *
 * All offsets and sizes are in bytes. PY_NONE marks a field that the version lacks.
 */
#ifndef PY_HEAP_LAYOUT_H
#define PY_HEAP_LAYOUT_H

#include <stdint.h>

#include "py_layout.h"

enum py_heap_flags {
	PY_HEAP_FREE_THREADED = 1 << 0, /* mimalloc, no pools, another object header */
	PY_HEAP_OLD_KEYS = 1 << 1,	/* to 3.10: PyDictKeysObject has dk_size and dk_lookup */
	PY_HEAP_FRAME_OBJECTS = 1 << 2, /* to 3.10: frames are objects of type `frame` */
	PY_HEAP_VALUES_TAGGED = 1 << 3, /* 3.12: the word before the object is a dict's address, or
					   if odd, the values' address less 1 */
	PY_HEAP_VALUES_INLINE = 1 << 4, /* 3.13+: values may follow the object itself */
	PY_HEAP_LOCALS_TAGGED = 1 << 5, /* 3.14+: localsplus are _PyStackRef: low bits are tags */
	PY_HEAP_REFCNT_32 = 1 << 6,	/* 3.12+: the refcount proper is the lower 32 bits */
	PY_HEAP_LONG_TAG = 1 << 7,	/* 3.12+: lv_tag; before: the sign is that of ob_size */
	PY_HEAP_DEBUG_BUILD = 1 << 8, /* Py_DEBUG: each block has PY_HEAP_DEBUG_BEFORE bytes more */
	/* frame_stack_top is an int, a number of objects: in 3.10 from frame_value_stack on,
	 * in 3.11 to 3.13 from frame_localsplus on; -1: the frame runs. Without this flag it is a
	 * pointer, NULL while the frame runs. */
	PY_HEAP_STACK_TOP_INT = 1 << 9,
	PY_HEAP_GC_INCREMENTAL = 1 << 10, /* 3.14.0 to .4: generations are young, old[0], old[1] */
	PY_HEAP_GC_RING = 1 << 11,	  /* 3.15+: gc_stats points to rings of figures */
};

/* Bytes that the hooks of debug builds (and of PYTHONMALLOC=debug in others) put into a block
 * before and after what was asked for; Objects/obmalloc.c, _PyMem_DebugRawAlloc(), 3.8 to 3.15. Of
 * the first 16, 8 are the size asked for (big-endian), one says who asked ('o', 'm', 'r'), 7 are
 * 0xfd. */
#define PY_HEAP_DEBUG_BEFORE 16
#define PY_HEAP_DEBUG_AFTER  8

struct py_heap_layout {
	uint32_t version; /* major << 8 | minor */
	uint32_t flags;

	/* pymalloc: struct pool_header at the start of each pool_size-aligned pool. */
	uint32_t pool_size;  /* 4096 to 3.9, 16384 from 3.10 */
	uint32_t arena_size; /* 256 KiB to 3.9, 1 MiB from 3.10 */
	uint16_t pool_overhead, pool_ref, pool_freeblock, pool_arena, pool_szidx, pool_next_offset,
		pool_max_next_offset;

	/* Objects. gc_head: bytes of PyGC_Head before an object that is collected. */
	uint16_t gc_head;
	uint16_t object_type, object_size; /* ob_type, ob_size */
	uint16_t object_head;		   /* sizeof(PyObject) */
	/* 3.11+: pointers lie before the object and its GC head if its type has one of the flags
	 * pre_flags. They take pre_bytes in all. The others say how far before the object each
	 * pointer is. */
	uint32_t pre_flags; /* 0: the version has no such pointers */
	uint16_t pre_bytes; /* two words, or 0 */
	uint16_t pre_dict_back, pre_weakrefs_back, pre_values_back; /* or PY_NONE */

	/* PyTypeObject and PyHeapTypeObject */
	uint16_t type_name, type_basicsize, type_itemsize, type_dealloc, type_flags, type_members,
		type_base, type_dict, type_dictoffset, type_weaklistoffset,
		type_size; /* type_size: sizeof */
	uint16_t heap_type_name, heap_type_qualname, heap_type_module, heap_type_cached_keys;
	uint16_t member_size, member_name, member_offset; /* PyMemberDef: sizeof, name, offset */

	/* dict: PyDictObject, PyDictKeysObject, PyDictValues */
	uint16_t dict_used, dict_keys, dict_values;
	uint16_t keys_log2_size, keys_log2_index_bytes, keys_kind, keys_nentries,
		keys_size /* old */, keys_usable, keys_indices;
	/* The value of dk_kind (DICT_KEYS_GENERAL) of tables whose entries have a hash. */
	uint16_t keys_kind_general;
	uint16_t entry_size, entry_key, entry_value;			     /* PyDictKeyEntry */
	uint16_t unicode_entry_size, unicode_entry_key, unicode_entry_value; /* 3.11+ */
	uint16_t values_first; /* in PyDictValues: first value (3.13+: after the header) */
	uint16_t inline_valid; /* PyDictValues.valid, PY_NONE */

	/* Containers whose bodies are bounded by a count. */
	uint16_t list_items;  /* ob_item; the count is ob_size */
	uint16_t tuple_items; /* ob_item[] inside the object */
	uint16_t set_used, set_mask, set_table, set_small_table, set_entry_size, set_entry_key;
	uint16_t bytearray_bytes, bytearray_alloc; /* ob_bytes, ob_alloc */
	uint16_t bytearray_object; /* 3.15+: ob_bytes_object, a bytes that ob_bytes points into */
	/* Pointers of PyCompactUnicodeObject and PyUnicodeObject, and a length. */
	uint16_t unicode_utf8, unicode_utf8_length, unicode_data;
	uint16_t long_tag, long_digits; /* lv_tag (or ob_size), ob_digit; digits of 30 bits */
	uint16_t weakref_callback;
	/* deque: blocks of deque_block_length items, doubly linked; the items in use go from
	 * deque_left_index of the leftmost block to deque_right_index of the rightmost. Count:
	 * ob_size. */
	uint16_t deque_left_block, deque_right_block, deque_left_index, deque_right_index,
		deque_block_items, deque_block_right, deque_block_length;

	/* What names are read from. */
	uint16_t module_dict, module_name;
	uint16_t function_globals, function_name, function_qualname, function_code,
		function_closure, function_defaults, function_kwdefaults, function_dict,
		function_module;
	uint16_t cell_content;
	uint16_t method_function, method_self;

	/* Frames and their locals. Old: PyFrameObject (frame_locals, frame_globals,
	 * frame_localsplus, frame_value_stack). 3.11+: _PyInterpreterFrame. */
	uint16_t frame_globals, frame_locals, frame_localsplus, frame_value_stack, frame_stack_top;
	uint16_t frame_object_frame; /* PyFrameObject.f_frame (3.11+) */
	uint16_t code_nlocals, code_nlocalsplus, code_localsplusnames, code_varnames, code_cellvars,
		code_freevars, code_stacksize, code_names;	      /* co_names: a tuple of str */
	uint16_t generator_frame, generator_name, generator_qualname; /* gi_frame or gi_iframe */
	/* 3.11+: an int8; from generator_finished on it has no frame. */
	uint16_t generator_frame_state, generator_finished;

	/* Interpreter state */
	uint16_t runtime_interp_head; /* in _PyRuntime: interpreters.head */
	uint32_t interp_modules;      /* dict of sys.modules */
	uint32_t interp_gc;	      /* struct _gc_runtime_state; PY_NONE: see runtime_gc */
	uint32_t runtime_gc;	      /* 3.8: the same, in _PyRuntime; PY_NONE from 3.9 on */
	uint32_t interp_interned;     /* dict of interned strings (3.12+; before: a static) */
	/* struct _gc_runtime_state */
	uint16_t gc_enabled, gc_generations, gc_generation_size, gc_generation_head,
		gc_generation_threshold, gc_generation_count, gc_permanent, gc_stats, gc_stat_size,
		gc_stat_collections, gc_stat_collected, gc_stat_uncollectable, gc_garbage,
		gc_collecting;
	/* 3.15+, in a statistic: clock of its beginning and end (int64, ns), objects that were
	 * looked at, and the seconds (double) of all collections so far. */
	uint16_t gc_stat_start, gc_stat_stop, gc_stat_candidates, gc_stat_duration;
	/* Where some releases of the same version have gc_generations instead; PY_NONE: they all
	 * agree. Debian's 3.13.5 aligns PyGC_Head to 4 bytes only. The right one of the two offsets
	 * is where list heads form closed lists. */
	uint16_t gc_generations_other;
	uint16_t gc_visited_space; /* int: which old space is the visited one (GC_INCREMENTAL) */
	uint16_t gc_generation_number; /* of gc_generations */
	/* What gc_stats points to (GC_RING): a ring for the youngest generation, then one for each
	 * other generation. A ring has items of gc_stat_size bytes, and the index (int8) of the
	 * last item. */
	uint16_t gc_ring_young, gc_ring_young_items, gc_ring_young_index, gc_ring_old,
		gc_ring_old_items, gc_ring_old_index, gc_ring_old_size;

	/* Chunks of a thread's data stack (3.11+): tstate->datastack_chunk, _PyStackChunk */
	uint16_t tstate_datastack_chunk, chunk_previous, chunk_size, chunk_top;
};

#endif
