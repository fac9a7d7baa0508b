/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: before 3.11 an interpreter exports no version. It only contains strings, next to those
 * of everything else that is linked in. SQLite's version looks like one of Python's.
 *
 * The minor version is that of sys.implementation.cache_tag ("cpython-39") or of the library folder
 * ("lib/python2.7"). The full version is the string "3.9.2" that agrees with it. Linkers may store
 * a string as the tail of a longer one ("/opt/python/3.9.2"), so tails are looked at too; a string
 * of its own counts more. If two full versions differ, only the minor version is reported. It alone
 * decides the layout. */
#include <stdio.h>
#include <string.h>

#include "python/elf_version.h"

bool elf_version_from_hex(uint64_t hex, struct elf_version *version)
{
	unsigned level = hex >> 4 & 0xf, serial = hex & 0xf;
	const char *name = level == 0xa ? "a" : level == 0xb ? "b" : "rc";

	memset(version, 0, sizeof(*version));
	if (hex >> 32 != 0 || hex >> 24 != 3 || level < 0xa || (level > 0xc && level != 0xf))
		return false;
	version->major = hex >> 24 & 0xff;
	version->minor = hex >> 16 & 0xff;
	version->micro = hex >> 8 & 0xff;
	if (level == 0xf)
		snprintf(version->text, sizeof(version->text), "%u.%u.%u", version->major,
			 version->minor, version->micro);
	else
		snprintf(version->text, sizeof(version->text), "%u.%u.%u%s%u", version->major,
			 version->minor, version->micro, name, serial);
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads a number of one to three digits and moves *at behind it. False: there is none. */
static bool take_number(const char **at, unsigned *value)
{
	unsigned digits = 0;

	*value = 0;
	while (is_digit(**at) && digits < 3) {
		*value = *value * 10 + (unsigned)(*(*at)++ - '0');
		digits++;
	}
	return digits > 0 && !is_digit(**at);
}

/* True if all of `text` is a version: "3.9.2", "3.15.0a3", "3.10.13+". */
static bool parse_version(const char *text, struct elf_version *version)
{
	const char *at = text;
	unsigned serial;

	memset(version, 0, sizeof(*version));
	if (strlen(text) >= sizeof(version->text))
		return false;
	if (!take_number(&at, &version->major) || *at++ != '.' ||
	    !take_number(&at, &version->minor) || *at++ != '.' ||
	    !take_number(&at, &version->micro))
		return false;
	if (*at == 'a' || *at == 'b' || strncmp(at, "rc", 2) == 0) {
		at += *at == 'r' ? 2 : 1;
		if (!take_number(&at, &serial))
			return false;
	}
	if (*at == '+')
		at++;
	if (*at != '\0')
		return false;
	memcpy(version->text, text, strlen(text));
	return true;
}

static void take_tag(struct elf_version_scan *scan, unsigned major, unsigned minor, unsigned rank)
{
	if (major != scan->major || rank < scan->tag_rank)
		return;
	if (rank > scan->tag_rank)
		scan->tag_conflict = false;
	else if (minor != scan->tag_minor)
		scan->tag_conflict = true;
	scan->tag_rank = rank;
	scan->tag_minor = minor;
}

static void look_for_tag(struct elf_version_scan *scan)
{
	const char *tag = strstr(scan->tail, "cpython-");
	const char *folder = strstr(scan->tail, "lib/python");
	const char *at;
	unsigned major, minor;

	if (tag) {
		/* The major version has one digit; the others are the minor one: "cpython-310". */
		at = tag + sizeof("cpython-");
		major = (unsigned)(at[-1] - '0');
		if (at[-1] != '\0' && take_number(&at, &minor) && *at == '\0')
			take_tag(scan, major, minor, 2);
	}
	if (folder) {
		at = folder + sizeof("lib/python") - 1;
		if (take_number(&at, &major) && *at++ == '.' && take_number(&at, &minor) &&
		    *at == '\0')
			take_tag(scan, major, minor, 1);
	}
}

static void take_candidate(struct elf_version_scan *scan, const struct elf_version *version,
			   bool whole)
{
	for (unsigned i = 0; i < scan->candidate_count; i++) {
		if (strcmp(scan->candidates[i].version.text, version->text) == 0) {
			scan->candidates[i].whole |= whole;
			return;
		}
	}
	if (scan->candidate_count == ELF_VERSION_CANDIDATES)
		return;
	scan->candidates[scan->candidate_count].version = *version;
	scan->candidates[scan->candidate_count++].whole = whole;
}

/* Looks for the longest tail of the string that is a version. */
static void look_for_version(struct elf_version_scan *scan)
{
	struct elf_version version;

	for (size_t i = 0; i < scan->tail_len; i++) {
		if (!is_digit(scan->tail[i]) || (i > 0 && is_digit(scan->tail[i - 1])))
			continue;
		if (!parse_version(scan->tail + i, &version))
			continue;
		if (version.major == scan->major && (i == 0 || scan->tail[i - 1] != '.'))
			take_candidate(scan, &version, i == 0 && !scan->cut);
		return;
	}
}

static void end_string(struct elf_version_scan *scan)
{
	scan->tail[scan->tail_len] = '\0';
	if (scan->tail_len >= sizeof("3.9.2") - 1) {
		char last = scan->tail[scan->tail_len - 1];

		if (is_digit(last))
			look_for_tag(scan);
		if (is_digit(last) || last == '+')
			look_for_version(scan);
	}
	scan->tail_len = 0;
	scan->cut = false;
}

void elf_version_scan_bytes(struct elf_version_scan *scan, const unsigned char *bytes, size_t len)
{
	while (len > 0) {
		const unsigned char *nul = memchr(bytes, '\0', len);
		size_t piece = nul ? (size_t)(nul - bytes) : len;
		size_t keep = piece < ELF_VERSION_TAIL ? piece : ELF_VERSION_TAIL;
		size_t old = scan->tail_len;

		if (old + piece > ELF_VERSION_TAIL)
			scan->cut = true;
		if (old + keep > ELF_VERSION_TAIL) {
			size_t drop = old + keep - ELF_VERSION_TAIL;

			memmove(scan->tail, scan->tail + drop, old - drop);
			old -= drop;
		}
		memcpy(scan->tail + old, bytes + piece - keep, keep);
		scan->tail_len = old + keep;
		if (!nul)
			return;
		end_string(scan);
		bytes += piece + 1;
		len -= piece + 1;
	}
}

int elf_version_scan_result(const struct elf_version_scan *scan, struct elf_version *version)
{
	const struct elf_version *best = NULL;
	bool best_whole = false, ambiguous = false;

	memset(version, 0, sizeof(*version));
	if (scan->tag_rank == 0 || scan->tag_conflict)
		return 0;
	for (unsigned i = 0; i < scan->candidate_count; i++) {
		const struct elf_version *candidate = &scan->candidates[i].version;
		bool whole = scan->candidates[i].whole;

		if (candidate->minor != scan->tag_minor || (best_whole && !whole))
			continue;
		ambiguous = best && best_whole == whole;
		best = candidate;
		best_whole = whole;
	}
	if (best && !ambiguous) {
		*version = *best;
		return 1;
	}
	version->major = scan->major;
	version->minor = scan->tag_minor;
	snprintf(version->text, sizeof(version->text), "%u.%u", scan->major, scan->tag_minor);
	return 1;
}
