// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks like CPython 3.12 and has interpreter state that is slow to walk.
 *
 *   hostile_state FILE MODE FAULTS
 *
 * FILE is a library of fake_library.py, in which _PyRuntime lies RUNTIME_FAR behind the beginning.
 * MODE "lists": interpreters in a ring, with lists of thread states. Some of these are of this
 * thread, but none runs a frame, so none is the right one. MODE "deep": 128 frames that lie apart.
 * Each has its own code object with a long name and line table, and at each fault all of these are
 * other ones. MODE "fresh": the same, and the innermost frame runs another instruction each time,
 * so each stack is new. MODE "forks": as that, and then a child makes CHILD_FAULTS more. MODE
 * "still": as "deep", but they stay what they are.
 *
 * Says "ready", reads a byte, makes FAULTS page faults, says how many nanoseconds the slowest one
 * took, reads another byte. Time is the thread's own: what others do meanwhile does not count. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY_AT  0x10000000ul
#define RUNTIME_FAR 0x10000000ul
#define STATE_BYTES (96ul << 20)
#define PAGE	    4096
#define FRAMES	    128
#define STATES	    16384

#define CHILD_FAULTS 200

/* Offsets of 3.12 (x86-64). */
enum {
	RUNTIME_INTERP = 40,
	INTERP_NEXT = 0,
	INTERP_THREADS = 72,
	TSTATE_NEXT = 8,
	TSTATE_CFRAME = 56,
	TSTATE_THREAD = 136,
	FRAME_CODE = 0,
	FRAME_BACK = 8,
	FRAME_INSTR = 56,
	CODE_LINE = 68,
	CODE_FILE = 112,
	CODE_NAME = 120,
	CODE_QUALNAME = 128,
	CODE_TABLE = 136,
	CODE_BYTES = 192,
	STR_LENGTH = 16,
	STR_STATE = 32,
	STR_DATA = 40,
	BYTES_SIZE = 16,
	BYTES_DATA = 32,
};

static char *state, *next_free;

static uint64_t *word(void *at, long offset)
{
	return (uint64_t *)((char *)at + offset);
}

static char *take(size_t bytes)
{
	char *taken = next_free;

	next_free += (bytes + 63) & ~63ul;
	if (next_free > state + STATE_BYTES)
		abort();
	return taken;
}

static char *take_page(void)
{
	next_free = (char *)(((uintptr_t)next_free + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	return take(PAGE);
}

static uint64_t thread_id(void)
{
	uint64_t self;

	__asm__("mov %%fs:0, %0" : "=r"(self));
	return self;
}

static char *interpreter(char *runtime)
{
	char *interp = take(256);

	*word(runtime, RUNTIME_INTERP) = (uintptr_t)interp;
	*word(interp, INTERP_NEXT) = (uintptr_t)interp;
	return interp;
}

/* Each run of STATES ends with a state of this thread without a frame; the last one leads back to
 * the first. */
static void make_lists(char *runtime)
{
	char *interp = interpreter(runtime), *cframe = take(64), *first = NULL, *before = NULL;
	long i;

	for (i = 0; i < 3 * STATES; i++) {
		char *tstate = take(256);

		*word(tstate, TSTATE_CFRAME) = (uintptr_t)cframe;
		*word(tstate, TSTATE_THREAD) = i % STATES == STATES - 1 ? thread_id() : 1;
		if (before)
			*word(before, TSTATE_NEXT) = (uintptr_t)tstate;
		else
			first = tstate;
		before = tstate;
	}
	*word(before, TSTATE_NEXT) = (uintptr_t)before;
	*word(interp, INTERP_THREADS) = (uintptr_t)first;
}

static char *text(int number, size_t length)
{
	char *str = take(STR_DATA + length + 1);

	*word(str, STR_LENGTH) = length;
	*(uint32_t *)(str + STR_STATE) = 1 << 2 | 1 << 5 | 1 << 6; /* compact ASCII */
	memset(str + STR_DATA, 'a' + number % 26, length);
	return str;
}

static char *codes[FRAMES], *innermost;

static char *code(int number)
{
	char *made = take_page(), *table = take(BYTES_DATA + 65536);

	*word(table, BYTES_SIZE) = 65536;
	memset(table + BYTES_DATA, number, 65536);
	*word(made, CODE_FILE) = (uintptr_t)text(number, 1000);
	*word(made, CODE_NAME) = *word(made, CODE_QUALNAME) = (uintptr_t)text(number, 500);
	*word(made, CODE_TABLE) = (uintptr_t)table;
	return made;
}

static void make_deep(char *runtime)
{
	char *interp = interpreter(runtime), *tstate = take(256), *cframe = take(64), *above = NULL;
	int i;

	*word(interp, INTERP_NEXT) = 0;
	*word(interp, INTERP_THREADS) = (uintptr_t)tstate;
	*word(tstate, TSTATE_THREAD) = thread_id();
	*word(tstate, TSTATE_CFRAME) = (uintptr_t)cframe;
	for (i = 0; i < FRAMES; i++) {
		char *frame = take_page() + 2048;

		take(PAGE);
		codes[i] = code(i);
		*word(frame, FRAME_CODE) = (uintptr_t)codes[i];
		*word(frame, FRAME_INSTR) = (uintptr_t)codes[i] + CODE_BYTES;
		if (above)
			*word(above, FRAME_BACK) = (uintptr_t)frame;
		else
			*word(cframe, 0) = (uintptr_t)(innermost = frame);
		above = frame;
	}
}

enum mode { LISTS, STILL, DEEP, FRESH, FORKS, MODES };

static enum mode mode_of(const char *name)
{
	static const char *const names[MODES] = {"lists", "still", "deep", "fresh", "forks"};
	int mode = 0;

	while (mode < MODES && strcmp(name, names[mode]))
		mode++;
	return mode;
}

/* Puts other code objects at the same addresses. */
static void change(int i, enum mode mode)
{
	int k;

	for (k = 0; k < FRAMES; k++)
		*(int *)(codes[k] + CODE_LINE) = i + 2;
	if (mode >= FRESH)
		*word(innermost, FRAME_INSTR) = (uintptr_t)codes[0] + CODE_BYTES + 2 * i;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t slowest_fault(int faults, enum mode mode)
{
	char *memory = mmap(NULL, (size_t)faults * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t slowest = 0, began;
	int i;

	madvise(memory, (size_t)faults * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < faults; i++) {
		if (mode >= DEEP)
			change(i, mode);
		began = now();
		memory[(size_t)i * PAGE] = 1;
		began = now() - began;
		if (began > slowest)
			slowest = began;
	}
	return slowest;
}

int main(int argc, char **argv)
{
	int library = argc == 4 ? open(argv[1], O_RDONLY) : -1;
	enum mode mode = argc == 4 ? mode_of(argv[2]) : MODES;
	char *runtime, byte;
	pid_t child;

	if (library < 0 || mode == MODES ||
	    mmap((void *)LIBRARY_AT, 8 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED,
		 library, 0) == MAP_FAILED)
		return 2;
	runtime = state =
		mmap((void *)(LIBRARY_AT + RUNTIME_FAR), STATE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	next_free = state + PAGE;
	if (mode == LISTS)
		make_lists(runtime);
	else
		make_deep(runtime);
	if (write(1, "ready\n", 6) != 6 || read(0, &byte, 1) != 1)
		return 1;
	printf("%llu\n", (unsigned long long)slowest_fault(atoi(argv[3]), mode));
	child = mode == FORKS ? fork() : 1;
	if (!child) {
		slowest_fault(CHILD_FAULTS, mode);
		_exit(0);
	}
	if (mode == FORKS && (child < 0 || waitpid(child, NULL, 0) != child))
		return 1;
	fflush(stdout);
	return read(0, &byte, 1) < 0;
}
