# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mprof's .dat files: CMDLINE text; MEM mib time; CHLD pid mib time; FUNC name mib time mib time level.

Lines with other words are skipped, as mprof skips them. Lines that begin with one of these and don't
fit are an error with file and line: a file that is cut off says so.
"""
TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple


class Data:
    """What a .dat file holds. Memory is in MiB (float), times are seconds since the epoch (float).

    samples: [(MiB, time)] of the process. functions: {name: [(start, end, MiB before, MiB after, level)]}, level:
    how many recorded calls are around it. children: {PID as text: [(MiB, time)]}."""

    def __init__(self) -> None:
        self.command = ""
        self.samples: "List[Tuple[float, float]]" = []
        self.functions: "Dict[str, List[Tuple[float, float, float, float, int]]]" = {}
        self.children: "Dict[str, List[Tuple[float, float]]]" = {}

    def amounts_of(self, function: "str | None" = None) -> "List[float]":
        """The amounts in MiB of all samples; with a function's name, of those taken while it ran, and at its
        begin and end. Empty: it never ran."""
        if function is None:
            return [amount for amount, _ in self.samples]
        calls = self.functions.get(function, [])
        amounts = [amount for amount, when in self.samples
                   if any(call[0] <= when <= call[1] for call in calls)]
        return amounts + [amount for call in calls for amount in call[2:4]]


def _take(data: "Data", words: "List[str]") -> None:
    kind, fields = words[0], words[1:]
    if kind == "MEM":
        data.samples.append((float(fields[0]), float(fields[1])))
    elif kind == "CHLD":
        data.children.setdefault(fields[0], []).append((float(fields[1]), float(fields[2])))
    elif kind == "FUNC":
        before, start, after, end = (float(field) for field in fields[1:5])
        level = int(fields[5]) if len(fields) > 5 else 0
        data.functions.setdefault(fields[0], []).append((start, end, before, after, level))


def read(name: str) -> "Data":
    """The Data of a .dat file. name: its path. ValueError: it is no such file; the text has its name and the
    line. OSError: it can't be read."""
    data = Data()
    with open(name, encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("CMDLINE "):
                data.command = line[8:].rstrip("\n")
                continue
            words = line.split()
            if not words:
                continue
            try:
                _take(data, words)
            except (ValueError, IndexError):
                raise ValueError("%s:%d: not a line of a .dat file" % (name, number)) from None
    return data


def read_mprofile_file(filename: str) -> "Dict[str, Any]":
    """A file as memory_profiler's mprof gives it: a dictionary of mem_usage and timestamp (lists),
    func_timestamp ({name: [[start, end, MiB before, MiB after, level]]}), children, filename, cmd_line.
    Memory is in MiB, times are seconds since the epoch. ValueError, OSError: as read()."""
    data = read(filename)
    return {"mem_usage": [amount for amount, _ in data.samples],
            "timestamp": [when for _, when in data.samples],
            "func_timestamp": {name: [list(call) for call in calls]
                               for name, calls in data.functions.items()},
            "filename": filename, "cmd_line": data.command, "children": data.children}
