#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""On which systems ELF files run, as wheels say it (PEP 600, PEP 656): manylinux_2_28_x86_64, musllinux_1_2_x86_64.

  tools/platform_tag.py FILE…          prints the tag for all of them, or says why there is none; status 1 then

With glibc, the tag names the oldest one that has each symbol version that the files need. musl has no symbol versions:
an object that was built with one release runs with each later one, and with earlier ones that have the functions that it
calls. So the tag is musllinux_1_2, of musl 1.2.0 (2020) and newer, and what came after that is refused by name. Nothing
else may be needed: no other library, no processor beyond the first of its kind. A static program needs no C library at
all, and goes with either. It asks readelf (binutils).
"""
import os
import re
import subprocess
import sys

MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}
GLIBC = re.compile(r"lib(c|m|dl|rt|util|pthread)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d")
OLDEST = (2, 17)  # of manylinux2014: nothing older is asked for today
# musl's linker takes names that begin with "libc." for itself; musl-gcc writes the first, Alpine's compiler the second.
MUSL = re.compile(r"libc\.so|libc\.musl-\w+\.so\.1")
MUSL_OLDEST = (1, 2)
# What musl has only since 1.2.2, 1.2.3 and 1.2.5.
MUSL_NEWER = {"_Fork", "reallocarray", "qsort_r", "pthread_getname_np", "statx", "preadv2", "pwritev2"}


class NoTag(Exception):
    """There is no tag that would be true. The text says why, and of which file."""


def _described(path):
    env = dict(os.environ, LC_ALL="C")
    done = subprocess.run(["readelf", "-W", "-h", "-d", "-n", "-V", "--dyn-syms", path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env)
    text = done.stdout.decode("ascii", "replace")
    if done.returncode or not text.startswith("ELF Header:"):
        raise NoTag("%s: no ELF file: %s" % (path, done.stderr.decode("ascii", "replace").strip()))
    return text


def _glibc(path, text):
    """(major, minor) of the oldest glibc that will do. NoTag."""
    oldest = OLDEST
    for name in re.findall(r"Name: (\S+) +Flags: \S+ +Version: \d+", text):
        version = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", name)
        if not version:
            raise NoTag("%s: needs %s, which no version of glibc promises" % (path, name))
        oldest = max(oldest, (int(version.group(1)), int(version.group(2))))
    return oldest


def _musl(path, text):
    """The same of musl."""
    newer = sorted(MUSL_NEWER.intersection(re.findall(r" UND (\S+)", text)))
    if newer:
        raise NoTag("%s: needs %s, which musl %d.%d.0 does not have" % ((path, ", ".join(newer)) + MUSL_OLDEST))
    return MUSL_OLDEST


def needs(path):
    """(machine, C library, (major, minor) of the oldest that will do) of an ELF file; the library is "glibc", "musl", or
    None: it needs none. NoTag."""
    text = _described(path)
    machine = MACHINES.get(re.search(r"Machine: +(.*)", text).group(1).strip())
    if machine is None or not re.search(r"Class: +ELF64", text):
        raise NoTag("%s: is for another processor" % path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    others = [name for name in needed if not GLIBC.fullmatch(name) and not MUSL.fullmatch(name)]
    if others:
        raise NoTag("%s: needs %s, which not every system has: link it statically" % (path, ", ".join(others)))
    isa = re.search(r"x86 ISA needed: (.*)", text)
    if isa and "x86-64-v" in isa.group(1):
        raise NoTag("%s: needs a processor with %s" % (path, isa.group(1)))
    if any(map(MUSL.fullmatch, needed)):
        if any(map(GLIBC.fullmatch, needed)):
            raise NoTag("%s: needs glibc and musl" % path)
        return machine, "musl", _musl(path, text)
    return machine, "glibc" if needed else None, _glibc(path, text)


def tag(paths, wanted=None):
    """The platform tag for files that are installed together; on systems with the wanted C library, if one is named. NoTag."""
    found = [needs(path) for path in paths]
    machines = sorted({machine for machine, _, _ in found})
    if len(machines) != 1:
        raise NoTag("the files are for %s" % (" and ".join(machines) or "no processor: there are none"))
    libraries = {library for _, library, _ in found if library} | ({wanted} if wanted else set())
    if len(libraries) > 1:
        raise NoTag("the files are for glibc and musl")
    if libraries == {"musl"}:
        return "musllinux_%d_%d_%s" % (MUSL_OLDEST + (machines[0],))
    return "manylinux_%d_%d_%s" % (max(oldest for _, _, oldest in found) + (machines[0],))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    try:
        print(tag(sys.argv[1:]))
    except NoTag as e:
        sys.exit("platform_tag: %s" % e)
