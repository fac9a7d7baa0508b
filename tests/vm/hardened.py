# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A host whose settings forbid more than capabilities say: `check` names each, with what helps where it matters, and is right about
whether the main job runs. For a guest only, and last: lockdown and Yama's mode 3 can't be left again."""
import re
import subprocess
import sys
import tempfile

import harness

# All that AppArmor knows is allowed: what is tested is that it is named.
PROFILE = "profile pymem-confined flags=(attach_disconnected) {\n  file,\n  capability,\n  network,\n  ptrace,\n  signal,\n  mount,\n" \
    "  umount,\n  unix,\n}\n"
# An emulator that has to wait for its CPU may be too slow for the bounds within which a process is examined.
LOOKS = 5
SECURITY = "/sys/kernel/security"


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == status, "%s: status %d\n%s" % (command, done.returncode, said)
    return said


def confined():
    """A command that runs another one confined by a profile of AppArmor."""
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(PROFILE)
        f.flush()
        run("apparmor_parser", "--replace", "--skip-cache", f.name)
    return "aa-exec", "-p", "pymem-confined", "--"


def enough(before):
    """Nothing of this keeps the main job from running: `check` says so, and lines have their known amounts."""
    for name, value in (("kernel/yama/ptrace_scope", "2"), ("kernel/unprivileged_bpf_disabled", "2")):
        write("/proc/sys/" + name, value)
    run("mount", "-o", "remount,hidepid=2", "/proc")
    write(SECURITY + "/lockdown", "integrity")
    said = run(*before, harness.TOOL, "check")
    for line in (r"ok +kernel lockdown: integrity", r"ok .*: kernel\.yama\.ptrace_scope is 2; CAP_SYS_PTRACE is enough",
                 r"ok .*: kernel\.unprivileged_bpf_disabled is 2; CAP_BPF is enough",
                 r"ok +other users' processes: /proc has hidepid=(2|invisible); CAP_SYS_PTRACE sees them all",
                 r"limited AppArmor: pymem-confined \(enforce\)\n +.*--security-opt apparmor=unconfined",
                 r"ok +BPF programs attach"):
        assert re.search("^%s" % line, said, re.MULTILINE), (line, said)
    with harness.Target([sys.executable], "grow") as target, harness.Tool("-p", target.pid, before=list(before)) as tool:
        tool.attached()
        truth = target.go()
        report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])
    without = ("setpriv", "--bounding-set", "-sys_ptrace", harness.TOOL, "check")
    assert re.search(r"^MISSING other users' processes: /proc has hidepid=", run(*without, status=3), re.MULTILINE)


def hardened():
    run("mount", "-t", "securityfs", "none", SECURITY)
    enough(confined())
    write("/proc/sys/kernel/yama/ptrace_scope", "3")
    write(SECURITY + "/lockdown", "confidentiality")
    said = run(harness.TOOL, "check", status=3)
    for line in (r"MISSING kernel lockdown: confidentiality\n +.*lockdown=integrity",
                 r"limited copies of processes' memory \(for heap\): kernel\.yama\.ptrace_scope is 3, which forbids it to all"):
        assert re.search("^%s" % line, said, re.MULTILINE), (line, said)
    # And so it is.
    with harness.Target([sys.executable], "idle") as target:
        for _ in range(LOOKS):
            said = run(harness.TOOL, "heap", "-p", str(target.pid), status=1)
            if "can't be examined" not in said:
                break
        assert "kernel.yama.ptrace_scope is 3, which forbids it to all, root too" in said, said
        said = run(harness.TOOL, "-p", str(target.pid), "-d", "1", status=3)
        assert "the kernel refused the BPF programs" in said, said
