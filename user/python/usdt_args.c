/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An argument is SIZE@OPERAND. The operand is written as in assembler: a register, a constant, or
 * memory at a constant distance from a register. A negative size means that the value is signed.
 *
 * Left out: memory with an index register or a symbol, and registers that are not general ones.
 * Python's probes have none of these. A build that has them is refused. */
#include "python/usdt_args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pymem_line.h"

#if defined(__x86_64__)

/* In the order of struct pt_regs: names for 64, 32, 16 and 8 bits. */
static const char *const registers[][4] = {
	{"r15", "r15d", "r15w", "r15b"},
	{"r14", "r14d", "r14w", "r14b"},
	{"r13", "r13d", "r13w", "r13b"},
	{"r12", "r12d", "r12w", "r12b"},
	{"rbp", "ebp", "bp", "bpl"},
	{"rbx", "ebx", "bx", "bl"},
	{"r11", "r11d", "r11w", "r11b"},
	{"r10", "r10d", "r10w", "r10b"},
	{"r9", "r9d", "r9w", "r9b"},
	{"r8", "r8d", "r8w", "r8b"},
	{"rax", "eax", "ax", "al"},
	{"rcx", "ecx", "cx", "cl"},
	{"rdx", "edx", "dx", "dl"},
	{"rsi", "esi", "si", "sil"},
	{"rdi", "edi", "di", "dil"},
	{},
	{},
	{},
	{},
	{"rsp", "esp", "sp", "spl"},
};

static int register_number(const char *name)
{
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		for (size_t j = 0; j < 4; j++)
			if (registers[i][j] && !strcmp(registers[i][j], name))
				return (int)i;
	return -1;
}

/* Takes apart "%rbx", "$-5", "-8(%rbp)", "(%rax)". */
static bool parse_operand(const char *operand, enum pymem_arg_kind *kind, char name[8], long *disp)
{
	char end, *rest;

	*disp = 0;
	if (sscanf(operand, "%%%7[a-z0-9]%c", name, &end) == 1) {
		*kind = PYMEM_ARG_REGISTER;
		return true;
	}
	if (*operand == '$') {
		*kind = PYMEM_ARG_CONSTANT;
		*disp = strtol(operand + 1, &rest, 0);
		return rest != operand + 1 && !*rest;
	}
	*kind = PYMEM_ARG_MEMORY;
	*disp = strtol(operand, &rest, 0);
	return sscanf(rest, "(%%%7[a-z0-9]%c%c", name, &end, &end) == 2 && end == ')';
}

#elif defined(__aarch64__)

#define SP 31 /* in user_pt_regs, behind the 31 general ones */

static int register_number(const char *name)
{
	unsigned number;
	char end;

	if (!strcmp(name, "sp"))
		return SP;
	if (sscanf(name, "%*1[xw]%u%c", &number, &end) == 1 && number < SP)
		return (int)number;
	return -1;
}

/* Takes apart "x1", "5", "[sp, 12]", "[x19]". */
static bool parse_operand(const char *operand, enum pymem_arg_kind *kind, char name[8], long *disp)
{
	char end, *rest;

	*disp = strtol(operand, &rest, 0);
	if (rest != operand && !*rest) {
		*kind = PYMEM_ARG_CONSTANT;
		return true;
	}
	*disp = 0;
	*kind = PYMEM_ARG_REGISTER;
	if (sscanf(operand, "%7[a-z0-9]%c", name, &end) == 1)
		return true;
	*kind = PYMEM_ARG_MEMORY;
	if (sscanf(operand, "[%7[a-z0-9], %ld%c", name, disp, &end) == 3)
		return end == ']';
	*disp = 0;
	return sscanf(operand, "[%7[a-z0-9]%c", name, &end) == 2 && end == ']';
}

#endif

/* Copies the next argument to `word`. An operand in brackets contains a blank. Returns what follows
 * it; NULL: the end. */
static const char *next_word(const char *args, char *word, size_t size)
{
	bool inside = false;
	size_t n = 0;

	args += strspn(args, " ");
	if (!*args)
		return NULL;
	for (; *args && (inside || *args != ' '); args++) {
		inside = *args == '[' || (inside && *args != ']');
		if (n + 1 < size)
			word[n++] = *args;
	}
	word[n] = '\0';
	return args;
}

static int log2_of(long bytes)
{
	for (int log2 = 0; log2 < 4; log2++)
		if (bytes == 1 << log2 || bytes == -(1 << log2))
			return log2;
	return -1;
}

int usdt_arg_parse(const char *args, unsigned number, uint32_t *arg)
{
	enum pymem_arg_kind kind;
	char word[64], name[8] = "", *operand;
	long size, disp;
	int log2, reg = 0;

	do {
		args = next_word(args, word, sizeof(word));
		if (!args)
			return -ENOENT;
	} while (number--);
	size = strtol(word, &operand, 10);
	log2 = log2_of(size);
	if (log2 < 0 || *operand != '@' || !parse_operand(operand + 1, &kind, name, &disp))
		return -EOPNOTSUPP;
	if (kind != PYMEM_ARG_CONSTANT)
		reg = register_number(name);
	if (reg < 0 || disp < -PYMEM_ARG_DISP_MAX || disp >= PYMEM_ARG_DISP_MAX)
		return -EOPNOTSUPP;
	*arg = PYMEM_ARG(kind, log2, size < 0, reg, disp);
	return 0;
}
