/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* usdt_args.c: arguments as notes describe them, and malformed ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include "pymem_line.h"
#include "python/usdt_args.h"

struct expected {
	const char *args;
	unsigned number;
	enum pymem_arg_kind kind;
	unsigned bytes, is_signed, reg;
	int disp;
};

static const struct expected good[] = {
#if defined(__x86_64__)
	/* Registers by their place in struct pt_regs: r14 1, rbp 4, rbx 5, rax 10, rsp 19. */
	{"8@%r14 8@%rax -4@%ebp", 0, PYMEM_ARG_REGISTER, 8, 0, 1, 0},
	{"8@%r14 8@%rax -4@%ebp", 1, PYMEM_ARG_REGISTER, 8, 0, 10, 0},
	{"8@%r14 8@%rax -4@%ebp", 2, PYMEM_ARG_REGISTER, 4, 1, 4, 0},
	{"-4@112(%rsp)", 0, PYMEM_ARG_MEMORY, 4, 1, 19, 112},
	{"8@-1048576(%rbx)", 0, PYMEM_ARG_MEMORY, 8, 0, 5, -1048576},
	{"2@(%rax)", 0, PYMEM_ARG_MEMORY, 2, 0, 10, 0},
	{"1@%al", 0, PYMEM_ARG_REGISTER, 1, 0, 10, 0},
	{"-4@$-7", 0, PYMEM_ARG_CONSTANT, 4, 1, 0, -7},
	{"  8@%rdi", 0, PYMEM_ARG_REGISTER, 8, 0, 14, 0},
#elif defined(__aarch64__)
	{"8@x19 8@x0 -4@w21", 2, PYMEM_ARG_REGISTER, 4, 1, 21, 0},
	{"8@x19 8@[sp, 12] -4@w21", 1, PYMEM_ARG_MEMORY, 8, 0, 31, 12},
	{"8@x19 8@[sp, 12] -4@w21", 2, PYMEM_ARG_REGISTER, 4, 1, 21, 0},
	{"8@[x30]", 0, PYMEM_ARG_MEMORY, 8, 0, 30, 0},
	{"-4@7", 0, PYMEM_ARG_CONSTANT, 4, 1, 0, 7},
#endif
};

static const char *const bad[] = {
	"8",
	"8@",
	"@",
	"3@%rax",
	"16@%xmm0",
	"8@%xmm0",
	"8@%rip",
	"8@8(%rax,%rbx,8)",
	"8@8(%rax",
	"8@8(%rax)x",
	"8@name(%rip)",
	"8@%rax%rbx",
	"8@$",
	"8@$1048576",
	"8@1048576(%rax)",
	"8@-1048577(%rax)",
	"8@99999999999999999999(%rax)",
	"99999999999999999999@%rax",
	"-9223372036854775808@%rax",
	"8@x31",
	"8@[x0, x1]",
	"8@[sp, 12",
};

static void test_good(void **state)
{
	uint32_t arg;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct expected *e = &good[i];

		assert_int_equal(usdt_arg_parse(e->args, e->number, &arg), 0);
		assert_int_equal(PYMEM_ARG_KIND(arg), e->kind);
		assert_int_equal(PYMEM_ARG_BYTES(arg), e->bytes);
		assert_int_equal(PYMEM_ARG_SIGNED(arg), e->is_signed);
		assert_int_equal(PYMEM_ARG_REG(arg), e->reg);
		assert_int_equal(PYMEM_ARG_DISP(arg), e->disp);
	}
}

static void test_bad(void **state)
{
	uint32_t arg;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(usdt_arg_parse(bad[i], 0, &arg), -EOPNOTSUPP);
	assert_int_equal(usdt_arg_parse("", 0, &arg), -ENOENT);
	assert_int_equal(usdt_arg_parse("  ", 0, &arg), -ENOENT);
	assert_int_equal(usdt_arg_parse(good[0].args, 3, &arg), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
