# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compile and run a probe against one set of CPython's headers (gen-layouts, gen-heap-layouts)."""

import os
import subprocess
import sys
import tempfile

SPDX = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"


def include_flags(directory, scratch):
    """-I flags for one set of headers. Debian's pyconfig.h includes
    <TRIPLET/pythonX.Y/pyconfig.h>, which lies beside the folder: make that resolve
    there, not to the host's."""
    flags = []
    directory = os.path.abspath(directory)
    parent, name = os.path.split(directory)
    for triplet in sorted(os.listdir(parent)):
        real = os.path.join(parent, triplet, name)
        if os.path.isfile(os.path.join(real, "pyconfig.h")):
            os.makedirs(os.path.join(scratch, triplet))
            os.symlink(real, os.path.join(scratch, triplet, name))
            flags = ["-I" + scratch]
    for sub in ("", "internal", "internal/mimalloc"):
        flags.append("-I" + os.path.join(directory, sub))
    return flags


def run_probe(source, directory, defines=()):
    """What the program `source` prints when it is compiled with the headers of `directory`.
    The initialiser of _PyRuntime names functions of the interpreter: they may stay
    unresolved, since nothing calls them."""
    with tempfile.TemporaryDirectory() as scratch:
        program = os.path.join(scratch, "probe")
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-w", "-fno-pie", "-no-pie",
                   "-Wl,--unresolved-symbols=ignore-all", "-o", program, source]
        command += include_flags(directory, os.path.join(scratch, "include"))
        command += [f"-D{name}=1" for name in defines]
        name = os.path.basename(sys.argv[0])
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"{name}: {directory}: the probe does not compile")
        done = subprocess.run([program], check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}: {directory}: the probe failed ({done.returncode})")
        return done.stdout
