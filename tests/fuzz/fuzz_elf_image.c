/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: any file as an ELF file. elf_image_read() must return 0 or -ENOEXEC, and a
 * version that ends with a NUL. The same bytes also go through the version scanner, in two
 * pieces. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "python/elf_image.h"
#include "python/elf_version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_version_scan scan = {.major = 3};
	struct elf_version version;
	struct elf_image image;
	static int fd = -1;
	int err;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	err = elf_image_read(fd, &image);
	if (err != 0 && err != -ENOEXEC)
		abort();
	if (!memchr(image.version, '\0', sizeof(image.version)))
		abort();
	if (err && image.is_python)
		abort();
	elf_version_scan_bytes(&scan, data, size / 3);
	elf_version_scan_bytes(&scan, data + size / 3, size - size / 3);
	elf_version_scan_result(&scan, &version);
	return 0;
}
