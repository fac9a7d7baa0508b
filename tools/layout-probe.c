/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asks one CPython's headers where its structures keep what the walker needs.
 *
 * tools/gen-layouts compiles and runs this once per set of headers; the output, one
 * `word value...` per line, is its only input. The field names are those of struct
 * py_layout. Leaves out how values are used: that is gen-layouts' and py_layouts.c's.
 * Every number comes from offsetof, sizeof or an enumerator of the headers.
 */
#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if PY_VERSION_HEX >= 0x03090000
#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#elif PY_VERSION_HEX >= 0x03080000
#include "internal/pycore_pystate.h"
#elif PY_VERSION_HEX >= 0x03070000
#include "internal/pystate.h"
#endif
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe.h"
#include "internal/pycore_stackref.h"
#elif PY_VERSION_HEX >= 0x030b0000
#include "internal/pycore_frame.h"
#endif
#if PY_VERSION_HEX >= 0x030d0000
#include "internal/pycore_ceval.h"
#include "internal/pycore_runtime_init.h"
#endif

#define WIDTH(type, member)	  sizeof(((type *)0)->member)
#define FIELD(name, type, member) printf("field " #name " %zu\n", offsetof(type, member))
#define VALUE(name, value)	  printf("field " #name " %zu\n", (size_t)(value))
#define FLAG(name)		  printf("flag " #name "\n")

static size_t frame_end;

/* A field of a frame: the largest end of them is what has to be read of one. */
#define FRAME_FIELD(name, type, member)                                           \
	do {                                                                      \
		FIELD(name, type, member);                                        \
		if (frame_end < offsetof(type, member) + WIDTH(type, member))     \
			frame_end = offsetof(type, member) + WIDTH(type, member); \
	} while (0)

/* Where in PyASCIIObject.state a bit field begins: set it to 1 and look. */
#define STATE_SHIFT(name, member)                          \
	do {                                               \
		PyASCIIObject probe;                       \
		uint32_t word;                             \
		memset(&probe, 0, sizeof(probe));          \
		probe.state.member = 1;                    \
		memcpy(&word, &probe.state, sizeof(word)); \
		VALUE(name, __builtin_ctz(word));          \
	} while (0)

static void print_interpreters(void)
{
#if PY_VERSION_HEX >= 0x03070000
	FIELD(runtime_interp_head, _PyRuntimeState, interpreters.head);
#else
	FLAG(PY_TSTATE_CURRENT);
#endif
	FIELD(interp_next, PyInterpreterState, next);
#if PY_VERSION_HEX >= 0x030b0000
	FIELD(interp_thread_head, PyInterpreterState, threads.head);
#else
	FIELD(interp_thread_head, PyInterpreterState, tstate_head);
#endif
	FIELD(tstate_next, PyThreadState, next);
	FIELD(tstate_interp, PyThreadState, interp);
	FIELD(tstate_thread_id, PyThreadState, thread_id);
#if PY_VERSION_HEX >= 0x030d0000
	FIELD(tstate_frame, PyThreadState, current_frame);
#elif PY_VERSION_HEX >= 0x030b0000
	FLAG(PY_TSTATE_CFRAME);
	FIELD(tstate_frame, PyThreadState, cframe);
	FIELD(cframe_frame, _PyCFrame, current_frame);
#else
	FIELD(tstate_frame, PyThreadState, frame);
#endif
}

static void print_frame(void)
{
#if PY_VERSION_HEX >= 0x030b0000
	FLAG(PY_INSTR_POINTER);
	FRAME_FIELD(frame_back, _PyInterpreterFrame, previous);
	FRAME_FIELD(frame_owner, _PyInterpreterFrame, owner);
#else
	FLAG(PY_FRAME_OBJECT);
	FRAME_FIELD(frame_back, PyFrameObject, f_back);
	FRAME_FIELD(frame_code, PyFrameObject, f_code);
	FRAME_FIELD(frame_instr, PyFrameObject, f_lasti);
#endif
#if PY_VERSION_HEX >= 0x030d0000
	FRAME_FIELD(frame_code, _PyInterpreterFrame, f_executable);
	FRAME_FIELD(frame_instr, _PyInterpreterFrame, instr_ptr);
#elif PY_VERSION_HEX >= 0x030b0000
	FRAME_FIELD(frame_code, _PyInterpreterFrame, f_code);
	FRAME_FIELD(frame_instr, _PyInterpreterFrame, prev_instr);
#elif PY_VERSION_HEX >= 0x030a0000
	FLAG(PY_LASTI_CODEUNIT);
#endif
#if PY_VERSION_HEX >= 0x030f0000
	/* The C stack owns no frames any more. */
	VALUE(owner_interpreter, FRAME_OWNED_BY_INTERPRETER);
#elif PY_VERSION_HEX >= 0x030e0000
	VALUE(owner_interpreter, FRAME_OWNED_BY_INTERPRETER);
	VALUE(owner_cstack, FRAME_OWNED_BY_CSTACK);
#elif PY_VERSION_HEX >= 0x030c0000
	VALUE(owner_cstack, FRAME_OWNED_BY_CSTACK);
#endif
#if PY_VERSION_HEX >= 0x030e0000
	_Static_assert(sizeof(_PyStackRef) == 8, "f_executable is one word");
	_Static_assert(Py_TAG_BITS <= 3 && Py_INT_TAG <= 3, "tags are in the low two bits");
	FLAG(PY_EXECUTABLE_TAGGED);
#ifdef Py_GIL_DISABLED
	FLAG(PY_TLBC);
	FRAME_FIELD(frame_tlbc_index, _PyInterpreterFrame, tlbc_index);
#endif
#endif
	VALUE(frame_size, frame_end);
}

static void print_code(void)
{
	FIELD(code_firstlineno, PyCodeObject, co_firstlineno);
#if PY_VERSION_HEX >= 0x030c0000
	/* Both lie among ints, which no kind of build moves apart. Only the first is published. */
	_Static_assert(WIDTH(PyCodeObject, co_version) == 4, "co_version is 32 bits");
	VALUE(code_version,
	      offsetof(PyCodeObject, co_version) - offsetof(PyCodeObject, co_firstlineno));
#endif
	FIELD(code_filename, PyCodeObject, co_filename);
	FIELD(code_name, PyCodeObject, co_name);
#if PY_VERSION_HEX >= 0x030b0000
	FLAG(PY_LINES_LOCATIONS);
#if PY_VERSION_HEX < 0x030c0000
	FLAG(PY_ENTRY_AT_RESUME);
#endif
	FIELD(code_qualname, PyCodeObject, co_qualname);
	FIELD(code_linetable, PyCodeObject, co_linetable);
	FIELD(code_bytecode, PyCodeObject, co_code_adaptive);
#elif PY_VERSION_HEX >= 0x030a0000
	FLAG(PY_LINES_LINETABLE);
	FIELD(code_linetable, PyCodeObject, co_linetable);
#else
	FLAG(PY_LINES_LNOTAB);
	FIELD(code_linetable, PyCodeObject, co_lnotab);
#endif
#if PY_VERSION_HEX >= 0x030e0000 && defined(Py_GIL_DISABLED)
	FIELD(code_tlbc, PyCodeObject, co_tlbc);
	FIELD(tlbc_entries, _PyCodeArray, entries);
#endif
}

static void print_objects(void)
{
	FIELD(unicode_length, PyASCIIObject, length);
	FIELD(unicode_state, PyASCIIObject, state);
	STATE_SHIFT(unicode_kind_shift, kind);
	STATE_SHIFT(unicode_compact_shift, compact);
	STATE_SHIFT(unicode_ascii_shift, ascii);
	VALUE(unicode_ascii_size, sizeof(PyASCIIObject));
	VALUE(unicode_compact_size, sizeof(PyCompactUnicodeObject));
	FIELD(bytes_size, PyBytesObject, ob_base.ob_size);
	FIELD(bytes_data, PyBytesObject, ob_sval);
}

#if PY_VERSION_HEX >= 0x030d0000
/* `published FIELD AT SIZE_AT WIDTH`: py_layout.FIELD stands at byte AT of
 * _Py_DebugOffsets, is an offset into a structure whose size stands at SIZE_AT, and
 * the thing there is WIDTH bytes wide. */
#define PUBLISHED(name, group, member, width)                                                 \
	printf("published " #name " %zu %zu %zu\n", offsetof(_Py_DebugOffsets, group.member), \
	       offsetof(_Py_DebugOffsets, group.size), (size_t)(width))

static _PyRuntimeState runtime = _PyRuntimeState_INIT(runtime, _Py_Debug_Cookie);

static void print_debug_offsets(void)
{
	const unsigned char *bytes = (const unsigned char *)&runtime.debug_offsets;

	PUBLISHED(runtime_interp_head, runtime_state, interpreters_head, 8);
	PUBLISHED(interp_next, interpreter_state, next, 8);
	PUBLISHED(interp_thread_head, interpreter_state, threads_head, 8);
	PUBLISHED(tstate_next, thread_state, next, 8);
	PUBLISHED(tstate_interp, thread_state, interp, 8);
	PUBLISHED(tstate_thread_id, thread_state, thread_id, 8);
	PUBLISHED(tstate_frame, thread_state, current_frame, 8);
	PUBLISHED(frame_back, interpreter_frame, previous, 8);
	PUBLISHED(frame_code, interpreter_frame, executable, 8);
	PUBLISHED(frame_instr, interpreter_frame, instr_ptr, 8);
	PUBLISHED(frame_owner, interpreter_frame, owner, 1);
	PUBLISHED(code_firstlineno, code_object, firstlineno, 4);
	PUBLISHED(code_filename, code_object, filename, 8);
	PUBLISHED(code_name, code_object, name, 8);
	PUBLISHED(code_qualname, code_object, qualname, 8);
	PUBLISHED(code_linetable, code_object, linetable, 8);
	PUBLISHED(code_bytecode, code_object, co_code_adaptive, 1);
#if PY_VERSION_HEX >= 0x030e0000 && defined(Py_GIL_DISABLED)
	PUBLISHED(frame_tlbc_index, interpreter_frame, tlbc_index, 4);
	PUBLISHED(code_tlbc, code_object, co_tlbc, 8);
#endif
	PUBLISHED(unicode_length, unicode_object, length, 8);
	PUBLISHED(unicode_state, unicode_object, state, 4);
	PUBLISHED(unicode_ascii_size, unicode_object, asciiobject_size, 0);
#if PY_VERSION_HEX >= 0x030f0000
	PUBLISHED(unicode_compact_size, unicode_object, compactunicodeobject_size, 0);
#endif
	PUBLISHED(bytes_size, bytes_object, ob_size, 8);
	PUBLISHED(bytes_data, bytes_object, ob_sval, 1);

	printf("blob");
	for (size_t at = 0; at < sizeof(_Py_DebugOffsets); at += 8) {
		uint64_t word;

		memcpy(&word, bytes + at, sizeof(word));
		printf(" %#llx", (unsigned long long)word);
	}
	printf("\n");
}
#endif

int main(void)
{
	printf("version %u %u %s\n", PY_MAJOR_VERSION, PY_MINOR_VERSION, PY_VERSION);
#ifdef Py_GIL_DISABLED
	FLAG(PY_FREE_THREADED);
#endif
	print_interpreters();
	print_frame();
	print_code();
	print_objects();
#if PY_VERSION_HEX >= 0x030d0000
	print_debug_offsets();
#endif
	return 0;
}
