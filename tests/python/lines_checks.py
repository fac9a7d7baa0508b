# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the line profiler must count, with a counter block that the checks write themselves. Runs on any
Python, without pytest. Prints a JSON object: {check: null or what went wrong}. test_lines_checks.py reads
it. The checks are in lines_checks_*.py.

  lines_checks.py [CHECK…]
"""
import glob
import importlib
import json
import logging
import os
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))


def checks():
    """{name: function} of all modules of checks."""
    sys.path.insert(0, HERE)
    found = {}
    for path in sorted(glob.glob(os.path.join(HERE, "lines_checks_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        found.update((name, check) for name, check in vars(module).items()
                     if name.startswith("check_"))
    return found


def main():
    # In development mode it warns of callbacks that take 100 ms, which any does on a busy machine.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    known, found = checks(), {}
    for name in sys.argv[1:] or known:
        try:
            known[name]()
            found[name] = None
        except BaseException:
            found[name] = traceback.format_exc()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
