/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where CPython keeps what the walker needs: one record per kind of build.
 *
 * A version's quirks are data in here, so that neither the BPF walker nor the
 * decoders ever ask for a version number. Before 3.13 the records come from a
 * table generated from each version's headers (tools/gen-layouts); from 3.13 on
 * they are read from the target's own _Py_DebugOffsets.
 *
 * All offsets are in bytes. PY_NONE marks a field that the version lacks.
 */
#ifndef PY_LAYOUT_H
#define PY_LAYOUT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define PY_NONE 0xffffu

/* Quirks, in py_layout.flags. */
enum py_layout_flags {
	PY_TSTATE_CFRAME = 1 << 0,     /* 3.11, 3.12: tstate->cframe->current_frame */
	PY_FRAME_OBJECT = 1 << 1,      /* 3.6-3.10: frames are PyFrameObjects on the heap */
	PY_LASTI_CODEUNIT = 1 << 2,    /* 3.10: f_lasti counts 2-byte units; before: bytes */
	PY_INSTR_POINTER = 1 << 3,     /* 3.11+: instruction is a pointer into the code object */
	PY_EXECUTABLE_TAGGED = 1 << 4, /* 3.14+: low bits of f_executable are tags */
	PY_FREE_THREADED = 1 << 5,     /* Py_GIL_DISABLED build */
	PY_TLBC = 1 << 6,	       /* 3.14t+: per-thread bytecode copies */
	PY_LINES_LNOTAB = 1 << 7,      /* < 3.10: co_lnotab */
	PY_LINES_LINETABLE = 1 << 8,   /* 3.10: co_linetable, line deltas only */
	PY_LINES_LOCATIONS = 1 << 9,   /* 3.11+: location table */
	PY_TSTATE_CURRENT = 1 << 10, /* 3.6: no _PyRuntime; root symbol is _PyThreadState_Current */
	PY_ENTRY_AT_RESUME = 1 << 11, /* 3.11: function__entry is told at the instruction RESUME */
};

/* With PY_ENTRY_AT_RESUME: that instruction, and what it becomes once it has run often. */
#define PY_RESUME	151
#define PY_RESUME_QUICK 150

#define PY_OWNED_BY_GENERATOR 1 /* value of FRAME_OWNED_BY_GENERATOR: 3.11 and later */

struct py_layout {
	__u32 version; /* major << 8 | minor, e.g. 0x30b for 3.11 */
	__u32 flags;

	/* From _PyRuntime to the interpreters, from these to their threads. 3.6 has no
	 * _PyRuntime. */
	__u16 runtime_interp_head; /* in _PyRuntimeState: first PyInterpreterState * */
	__u16 interp_next;
	__u16 interp_thread_head; /* in PyInterpreterState: first PyThreadState * */

	__u16 tstate_next;
	__u16 tstate_interp;
	__u16 tstate_thread_id; /* unsigned long: pthread_self() */
	__u16 tstate_frame;	/* current frame, or the _PyCFrame * with PY_TSTATE_CFRAME */
	__u16 cframe_frame;	/* in _PyCFrame: current frame */

	/* PyFrameObject or _PyInterpreterFrame */
	__u16 frame_back;	/* f_back / previous */
	__u16 frame_code;	/* f_code / f_executable */
	__u16 frame_instr;	/* f_lasti (int) / prev_instr / instr_ptr (pointer) */
	__u16 frame_owner;	/* char, enum _frameowner; PY_NONE where absent */
	__u16 frame_tlbc_index; /* int32 */
	__u16 frame_size;	/* bytes to read of a frame to have all of the above */
	__u8 owner_cstack;	/* value of FRAME_OWNED_BY_CSTACK; 0xff if none */
	__u8 owner_interpreter; /* value of FRAME_OWNED_BY_INTERPRETER (3.14+); 0xff if none */

	/* PyCodeObject */
	__u16 code_firstlineno; /* int */
	__u16 code_version;	/* int (3.12+), unique; its offset counts from code_firstlineno */
	__u16 code_filename;	/* PyObject * (str) */
	__u16 code_name;	/* PyObject * (str) */
	__u16 code_qualname;	/* PyObject * (str), 3.11+ */
	__u16 code_linetable;	/* PyObject * (bytes): co_lnotab or co_linetable */
	__u16 code_bytecode;	/* first instruction, inside the object (3.11+) */
	__u16 code_tlbc;	/* _PyCodeArray * (3.14t+) */
	__u16 tlbc_entries;	/* in _PyCodeArray: char *entries[] */

	/* str and bytes */
	__u16 unicode_length; /* Py_ssize_t */
	__u16 unicode_state;  /* 32-bit bit field: interned, kind, compact, ascii */
	__u8 unicode_kind_shift;
	__u8 unicode_compact_shift;
	__u8 unicode_ascii_shift;
	__u8 pad;
	__u16 unicode_ascii_size;   /* sizeof(PyASCIIObject): where ASCII data start */
	__u16 unicode_compact_size; /* sizeof(PyCompactUnicodeObject): where others' start */
	__u16 bytes_size;	    /* Py_ssize_t ob_size */
	__u16 bytes_data;	    /* ob_sval */
};

#endif
