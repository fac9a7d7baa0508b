/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of its C stack a thread has left, for the frame evaluation function (_lines_eval.c).
 *
 * Only the thread library knows where a stack ends. The mapping that it is in may be larger: glibc
 * has guard pages inside of it since 2.42 (MADV_GUARD_INSTALL), and a program may give a thread a
 * part of any memory. The kernel extends the main thread's stack down to RLIMIT_STACK, which may
 * change at any time. Stacks grow downwards.
 */
#include "_lines.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHALLOW_BYTES 12288 /* the smallest stack of a Python thread is 32 KiB */
#define LOOK_BYTES    65536 /* of the main thread's stack, between two looks at its limit */

#ifdef __GLIBC__
/* Asks for the first versions of these functions. 2.32 and 2.34 gave them others that do the same,
 * and objects built there would not load on older systems. */
#ifdef __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#else
#define FIRST_VERSION "GLIBC_2.17"
#endif
__asm__(".symver pthread_getattr_np, pthread_getattr_np@" FIRST_VERSION);
__asm__(".symver pthread_attr_getstack, pthread_attr_getstack@" FIRST_VERSION);
#endif

/* Of this thread. */
static __thread struct {
	uintptr_t begin;    /* the highest address in it that was seen */
	uintptr_t low, end; /* the stack's first byte, and the one behind it; 0: not known */
	bool is_known, is_main;
	rlim_t limit;	/* RLIMIT_STACK when `low` was found; of the main thread */
	uintptr_t look; /* below this address the limit is to be looked at again */
} stack;

/* The thread library asks the kernel and reads files for the main thread: not to be done often. */
static void find_stack(void)
{
	pthread_attr_t attributes;
	size_t bytes = 0;
	void *low = NULL;

	stack.low = stack.end = 0;
	if (pthread_getattr_np(pthread_self(), &attributes))
		return;
	if (!pthread_attr_getstack(&attributes, &low, &bytes)) {
		stack.low = (uintptr_t)low;
		stack.end = stack.low + bytes;
	}
	pthread_attr_destroy(&attributes);
}

static rlim_t limit_now(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_STACK, &limit) ? stack.limit : limit.rlim_cur;
}

static void find_first(void)
{
	stack.is_known = true;
	stack.is_main = syscall(SYS_gettid) == getpid();
	if (stack.is_main)
		stack.limit = limit_now();
	find_stack();
}

/* The main thread's limit is looked at each time that the thread gets so much deeper. */
static void follow_limit(uintptr_t here)
{
	rlim_t limit;

	if (here < stack.look || !stack.look) {
		limit = limit_now();
		if (limit != stack.limit) {
			stack.limit = limit;
			find_stack();
		}
	} else if (here < stack.look + 2 * LOOK_BYTES) {
		return;
	}
	stack.look = here - LOOK_BYTES;
}

bool lines_stack_is_low(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (here > stack.begin)
		stack.begin = here;
	if (stack.begin - here < SHALLOW_BYTES)
		return false;
	if (!stack.is_known)
		find_first();
	if (stack.is_main)
		follow_limit(here);
	/* On another stack, as of a library's coroutines, nothing is known. A limit that was
	 * lowered may put the end above this place. */
	if (!stack.end || here >= stack.end)
		return false;
	if (here < stack.low)
		return stack.is_main;
	return here - stack.low < (stack.begin - stack.low) / 2;
}
