# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Increments compared with the truth, on each Python, with the real helper and a second thread that allocates
all the time: each line must be within 64 KiB of what it is known to have changed."""
import functools
import json
import os
import subprocess
import warnings

import pytest
from conftest import HERE, PACKAGE, PROGRAM, SLACK, swapped_batches

MIB = 1 << 20
SECONDS = 600

# {function: {line of it: (occurrences, MiB)}}
TRUTH = {
    "straight": {0: (1, 0), 1: (1, 4), 2: (1, 2), 3: (1, -4), 4: (1, 1), 5: (1, -2), 6: (1, 0)},
    "loop": {0: (1, 0), 1: (1, 0), 2: (11, 0), 3: (10, 10), 4: (10, 20), 5: (10, -20), 6: (11, 0),
             7: (10, -10)},
    "recursive": {0: (6, 0), 1: (6, 6), 2: (6, 0), 3: (5, 0), 4: (6, -6)},
    "raises": {0: (1, 0), 1: (1, 1), 2: (1, 0), 3: (1, 0), 4: (1, 0), 5: (1, -1)},
    "fails": {0: (1, 0), 1: (1, 3), 2: (1, -3), 3: (1, 0)},
    "generator": {0: (1, 0), 1: (6, 0), 2: (5, 5), 3: (5, 0), 4: (5, -5)},
    "consumer": {0: (1, 0), 1: (6, 0), 2: (5, 10), 3: (5, -10)},
}

pytestmark = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK) or os.geteuid() != 0,
                                reason="needs root and build/pymem-bpf (make)")


@functools.lru_cache(maxsize=None)
def said_by(command, server):
    """What the program says: of an attempt in which no batches were swapped, or a wrong one."""
    for attempt in range(3):
        said = run_truth(command, server)
        if not swapped_batches(said["functions"][function][str(line)][1] - mib * MIB
                               for function, lines in TRUTH.items()
                               for line, (_, mib) in lines.items()):
            break
        warnings.warn("%s: batches were swapped, attempt %d" % (command[0], attempt + 1))
    return said


def run_truth(command, server):
    done = subprocess.run(list(command) + [os.path.join(HERE, "lines_truth.py"), server],
                          env=dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.decode())


def test_helper_stayed(python, server):
    said = said_by(tuple(python.command), server)
    assert said["alive"] and not said["cut"]


@pytest.mark.parametrize("function", sorted(TRUTH))
def test_lines(python, server, function):
    found = said_by(tuple(python.command), server)["functions"][function]
    assert {int(line): row[0] for line, row in found.items()} == {
        line: row[0] for line, row in TRUTH[function].items()}
    wrong = {line: (found[str(line)][1], mib * MIB) for line, (_, mib) in TRUTH[function].items()
             if abs(found[str(line)][1] - mib * MIB) > SLACK}
    assert not wrong
