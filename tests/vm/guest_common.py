# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What checks of a guest share."""
import sys

PYTHON = [sys.executable]
# A profiler with what it needs of root's rights.
CAPABILITIES = "+bpf,+perfmon,+sys_ptrace,+checkpoint_restore,+dac_read_search,+sys_resource"
# What a guest says that is starved by the host's other work: it is looked at again, for longer.
STARVED = ("can't be examined", "the process held it up", "nothing was made in a burst", "no insertion was seen",
           "nothing grew that could be watched")


def unstarved(check, *arguments):
    """Does it again where the host's other work left the guest no time."""
    try:
        check(*arguments)
    except AssertionError as e:
        if not any(words in str(e) for words in STARVED):
            raise
        comment("%s: starved" % check.__name__)
        check(*arguments)


def comment(text):
    """A TAP comment: what is in it is no point."""
    print("# " + text.rstrip().replace("\n", "\n# "), flush=True)


def with_memory():
    """The memory controller, for groups below the root."""
    with open("/sys/fs/cgroup/cgroup.subtree_control", "w") as f:
        f.write("+memory")
