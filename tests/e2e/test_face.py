# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A second face on the core: the one that docs/ADDING.md shows is taken from that page, built, and run."""
import glob
import os
import re
import signal
import subprocess

import harness
from harness import Target

USER = os.path.join(harness.PROJECT, "user")
BUILT = os.path.join(os.path.dirname(harness.TOOL), "user")


def build(folder):
    """The program of the page, linked with the profiler's objects."""
    with open(os.path.join(harness.PROJECT, "docs", "ADDING.md"), encoding="utf-8") as f:
        source, = re.findall(r"^```c\n(#include.*?int main.*?)^```$", f.read(), re.M | re.S)
    (folder / "face.c").write_text(source)
    sources = [os.path.relpath(path, USER) for path in glob.glob(os.path.join(USER, "*", "*.c"))]
    objects = [os.path.join(BUILT, name[:-2] + ".o") for name in sources if name != "cli/main.c"]
    objects += [os.path.join(BUILT, name) for name in ("render/pprof.pb-c.o", "agent/push.pb-c.o")]
    include = ["-I" + USER, "-I" + os.path.join(harness.PROJECT, "include")]
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", *include, "face.c", *objects,
                    "-o", "face", "-lbpf", "-lelf", "-ljansson", "-lsqlite3", "-lprotobuf-c", "-lmicrohttpd",
                    "-lgnutls", "-lresolv", "-lncursesw", "-ltinfo", "-lz", "-lm", "-lpthread"], cwd=folder, check=True,
                   timeout=harness.PATIENCE)
    return str(folder / "face")


def test_a_face_of_its_own(system, tmp_path):
    """It sees a process grow, ends with it, or at Ctrl-C before, and says in words what it can't do."""
    face = build(tmp_path)
    with Target(system.command, "grow") as target:
        with subprocess.Popen([face, str(target.pid)], stdout=subprocess.PIPE, text=True) as process:
            first = int(process.stdout.readline())
            grown = target.go()["lines"]["grow"]["increment"]
            for line in process.stdout:
                if int(line) >= first + grown - harness.TOLERANCE:
                    break
            else:
                raise AssertionError("it ended before it saw %d bytes more than %d" % (grown, first))
            target.end()
            process.stdout.read()
            assert process.wait(harness.PATIENCE) == 0
    with Target(system.command, "idle") as target:
        with subprocess.Popen([face, str(target.pid)], stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(harness.PATIENCE) == 0
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        refused = subprocess.run([face, str(stranger.pid)], capture_output=True, text=True, timeout=harness.PATIENCE)
        stranger.kill()
    assert refused.returncode == 1 and refused.stderr.startswith("face: pid %d (sleep)" % stranger.pid), refused
