#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""On which systems ELF files run, as wheels say it (PEP 600): manylinux_2_28_x86_64.

  tools/platform_tag.py FILE…          prints the tag for all of them, or says why there is none; status 1 then

The tag names the oldest glibc that has each symbol version that the files need. Nothing else may be needed: no
library but glibc's own, no processor beyond the first of its kind. A static program needs no glibc at all. It asks
readelf (binutils).
"""
import os
import re
import subprocess
import sys

MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}
GLIBC = re.compile(r"lib(c|m|dl|rt|util|pthread)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d")
OLDEST = (2, 17)  # of manylinux2014: nothing older is asked for today


class NoTag(Exception):
    """There is no tag that would be true. The text says why, and of which file."""


def _described(path):
    env = dict(os.environ, LC_ALL="C")
    done = subprocess.run(["readelf", "-W", "-h", "-d", "-n", "-V", path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env)
    text = done.stdout.decode("ascii", "replace")
    if done.returncode or not text.startswith("ELF Header:"):
        raise NoTag("%s: no ELF file: %s" % (path, done.stderr.decode("ascii", "replace").strip()))
    return text


def needs(path):
    """(machine, (major, minor) of the oldest glibc that will do) of an ELF file. NoTag."""
    text = _described(path)
    machine = MACHINES.get(re.search(r"Machine: +(.*)", text).group(1).strip())
    if machine is None or not re.search(r"Class: +ELF64", text):
        raise NoTag("%s: is for another processor" % path)
    others = [name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", text) if not GLIBC.fullmatch(name)]
    if others:
        raise NoTag("%s: needs %s, which not every system has: link it statically" % (path, ", ".join(others)))
    isa = re.search(r"x86 ISA needed: (.*)", text)
    if isa and "x86-64-v" in isa.group(1):
        raise NoTag("%s: needs a processor with %s" % (path, isa.group(1)))
    oldest = OLDEST
    for name in re.findall(r"Name: (\S+) +Flags: \S+ +Version: \d+", text):
        version = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", name)
        if not version:
            raise NoTag("%s: needs %s, which no version of glibc promises" % (path, name))
        oldest = max(oldest, (int(version.group(1)), int(version.group(2))))
    return machine, oldest


def tag(paths):
    """The platform tag for files that are installed together. NoTag."""
    found = [needs(path) for path in paths]
    machines = sorted({machine for machine, _ in found})
    if len(machines) != 1:
        raise NoTag("the files are for %s" % (" and ".join(machines) or "no processor: there are none"))
    return "manylinux_%d_%d_%s" % (max(oldest for _, oldest in found) + (machines[0],))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    try:
        print(tag(sys.argv[1:]))
    except NoTag as e:
        sys.exit("platform_tag: %s" % e)
