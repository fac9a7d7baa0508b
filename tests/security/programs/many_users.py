# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What set-user-ID files can lead to: children that are users of their own. many_users.py STACKS USER…:
for each USER a child that makes so many stacks. Its real user number is the launcher's until it execs."""
import os
import subprocess
import sys

MANY_STACKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "many_stacks.py")
STACKS, USERS = sys.argv[1], [int(user) for user in sys.argv[2:]]

print("ready", flush=True)
sys.stdin.readline()
children = []
for user in USERS:
    children.append(subprocess.Popen(
        [sys.executable, MANY_STACKS, STACKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=lambda: os.setresuid(user, user, user)))
for child in children:
    assert child.stdout.readline() == b"ready\n"
    child.stdin.write(b"\n")
    child.stdin.flush()
for child in children:
    assert child.stdout.readline() == b"done\n"
print("done", flush=True)
sys.stdin.readline()
for child in children:
    child.communicate(b"\n")
print("ended", flush=True)
sys.stdin.readline()
