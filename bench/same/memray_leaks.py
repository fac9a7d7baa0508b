# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Prints the line of a program that most of what a memray recording calls leaked was allocated by.
memray_leaks.py RECORDING PROGRAM, under the interpreter that has memray."""
import sys

import memray


def main(recording, program):
    lines = {}
    with memray.FileReader(recording) as reader:
        for record in reader.get_leaked_allocation_records(merge_threads=True):
            rows = [row for _, name, row in record.stack_trace() if name == program]
            if rows:
                lines[rows[0]] = lines.get(rows[0], 0) + record.size
    print(max(lines, key=lines.get) if lines else "none")


if __name__ == "__main__":
    main(*sys.argv[1:])
