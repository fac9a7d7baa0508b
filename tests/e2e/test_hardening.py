# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `check` says of a host's settings, as far as a mount namespace can have other ones. The real ones are those of guests
(tests/vm/hardened.py)."""
import os
import subprocess

import harness
import pytest

SECURITY = "/sys/kernel/security"


def check(mounts, *before):
    """(status, output) of `check` where a shell has made these mounts."""
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", mounts + '; exec "$@"', "sh",
                           *before, harness.TOOL, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=harness.PATIENCE)
    return done.returncode, done.stdout.decode()


def test_no_type_information():
    status, said = check("mount -t tmpfs none /sys/kernel/btf")
    assert status == 3 and "MISSING kernel type information (BTF): " in said, said
    assert "CONFIG_DEBUG_INFO_BTF" in said.partition("(BTF)")[2], said


def test_hidepid():
    """CAP_SYS_PTRACE sees what it hides, and is named where it is missing."""
    mount = "mount -t proc -o hidepid=2 proc /proc"
    status, said = check(mount)
    assert status == 0 and "ok      other users' processes: /proc has hidepid=" in said, said
    status, said = check(mount, "setpriv", "--bounding-set", "-sys_ptrace")
    assert status == 3 and "MISSING other users' processes: /proc has hidepid=" in said, said
    assert "add CAP_SYS_PTRACE" in said
    assert "hidepid" not in check("mount -t proc proc /proc")[1]


@pytest.mark.skipif(not os.path.isdir(SECURITY), reason="this kernel has no securityfs")
@pytest.mark.parametrize("text,status,line", [
    ("none integrity [confidentiality]", 3, "MISSING kernel lockdown: confidentiality\n"),
    ("none [integrity] confidentiality", 0, "ok      kernel lockdown: integrity\n"),
    ("[none] integrity confidentiality", 0, "ok      kernel lockdown: none\n")])
def test_lockdown(text, status, line):
    found, said = check("mount -t tmpfs none %s; echo '%s' > %s/lockdown" % (SECURITY, text, SECURITY))
    assert (found, line in said) == (status, True), said
