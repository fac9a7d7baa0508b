# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Prints what a memray recording says of a program's lines, as JSON: bytes that were live at the
recording's high watermark and had been allocated by the line or by what it called.
memray_lines.py RECORDING PROGRAM, under the interpreter that has memray."""
import json
import sys

import memray


def main(recording, program):
    lines = {}
    with memray.FileReader(recording) as reader:
        peak = reader.metadata.peak_memory
        for record in reader.get_high_watermark_allocation_records(merge_threads=True):
            for line in {row for _, name, row in record.stack_trace() if name == program}:
                lines[line] = lines.get(line, 0) + record.size
    print(json.dumps({"peak": peak, "lines": lines}))


if __name__ == "__main__":
    main(*sys.argv[1:])
