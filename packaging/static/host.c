/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a static program that loads libraries of the host, or asks the C library for accounts,
 * gets code of another C library into its memory, which crashes. So it loads none. The linker
 * directs all calls to here (--wrap). Only extensions of SQLite and GnuTLS would make them, for
 * what this program does not ask of them. */
#include <pwd.h>
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);
void *__wrap_dlsym(void *handle, const char *name);
int __wrap_dlclose(void *handle);
char *__wrap_dlerror(void);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size,
		      struct passwd **result);

/* NULL: nothing is ever loaded. */
void *__wrap_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}

void *__wrap_dlsym(void *handle, const char *name)
{
	(void)handle;
	(void)name;
	return NULL;
}

int __wrap_dlclose(void *handle)
{
	(void)handle;
	return -1;
}

/* Why; the text is constant. */
char *__wrap_dlerror(void)
{
	static char why[] = "this program is static and loads no libraries";

	return why;
}

/* 0 with no entry: this user has no account that is known, and so no home. */
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size,
		      struct passwd **result)
{
	(void)uid;
	(void)entry;
	(void)buffer;
	(void)size;
	*result = NULL;
	return 0;
}
