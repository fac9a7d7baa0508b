# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The limits that pytest's marks set on a test: limit_memory and limit_leaks.

Names, units and parameters are pytest-memray's, so that its suites can move here. What its marks can ask for and
resident memory can't tell is refused by name, with what to do. Nothing is ignored. Imports no pytest.

PYTEST_DONT_REWRITE
"""
import re

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Tuple

#: As pytest-memray's: a MB is 1024 * 1024 bytes. KiB, MiB, … are the same.
UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
SIZE = re.compile(r"\s*(\+?\d*\.\d+|\+?\d+)\s*(?:([KMGTP])i?B|B)\s*", re.IGNORECASE)
MOST_BYTES, TEXT_LIMIT = 1 << 63, 40
MARKS = ("limit_memory", "limit_leaks", "limit_leaked_objects")
OTHERS = "or run the test with pytest-memray"
REFUSED = {
    "current_thread_only": "resident memory is the process's, of all threads: leave it out, %s" % OTHERS,
    "filter_fn": "what stays resident is not known by the place that allocated it, so there is nothing to filter: "
                 "leave it out and raise the limit, %s" % OTHERS,
}


class LimitError(Exception):
    """A mark that can't be honoured. The text names it and says what to do."""


class Limit:
    """One limit. said: as the mark has it; bytes: int; warmups: how often the test runs before."""

    def __init__(self, said: str, bytes: int, warmups: int) -> None:
        self.said, self.bytes, self.warmups = said, bytes, warmups


class Limits:
    """The limits of one test. memory: of growth up to the peak; leaks: of growth that stays; None: no such limit."""

    def __init__(self, memory: "Limit | None", leaks: "Limit | None") -> None:
        self.memory, self.leaks = memory, leaks

    def __bool__(self) -> bool:
        return self.memory is not None or self.leaks is not None


NONE = Limits(None, None)


def size_bytes(text: object) -> int:
    """Bytes of "24 MB", "1.5 GiB", "100KB". ValueError: it is no such string."""
    match = SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("%r is no amount of memory: write a number and B, KB, MB, GB, TB or PB, as in \"24 MB\""
                         % (text,))
    amount = float(match.group(1)) * UNITS[(match.group(2) or "B").upper()]
    if amount >= MOST_BYTES:
        raise ValueError("%s is more than any machine has: the most is 8191 PB" % match.group(0).strip()[:TEXT_LIMIT])
    return int(amount)


def _parameters(name: str, mark: "Any", limit_names: "Tuple[str, ...]",
                defaults: "Dict[str, Any]") -> "Tuple[Any, Dict[str, Any]]":
    """(the limit, {parameter: value}). LimitError."""
    given = dict(mark.kwargs)
    limits = list(mark.args) + [given.pop(one) for one in limit_names if one in given]
    if len(limits) != 1:
        raise LimitError("%s takes one limit, as in %s(\"24 MB\"), not %d; all else by name"
                         % (name, name, len(limits)))
    for one in given:
        if one not in defaults:
            raise LimitError("%s has no parameter %r; there are: %s" % (name, one, ", ".join(defaults)))
        if one in REFUSED and given[one]:
            raise LimitError("%s(%s=%r) can't be done by pymem_bpf: %s" % (name, one, given[one], REFUSED[one]))
    return limits[0], dict(defaults, **given)


def _limit(name: str, mark: "Any", limit_names: "Tuple[str, ...]", defaults: "Dict[str, Any]") -> "Limit | None":
    if mark is None:
        return None
    said, parameters = _parameters(name, mark, limit_names, defaults)
    try:
        amount = size_bytes(said)
    except ValueError as e:
        raise LimitError("%s: %s" % (name, e)) from None
    warmups = parameters.get("warmups", 0)
    if isinstance(warmups, bool) or not isinstance(warmups, int) or warmups < 0:
        raise LimitError("%s(warmups=%r): a number of runs, 0 or more" % (name, warmups))
    return Limit('%s("%s")' % (name, said), amount, warmups)


def limits_of(marks: "Iterable[Any]") -> Limits:
    """The limits of a test. marks: all of its marks, the closest first, which wins. LimitError: one can't be
    honoured."""
    found: "Dict[str, Any]" = {}
    for mark in marks:
        if mark.name in MARKS:
            found.setdefault(mark.name, mark)
    if not found:
        return NONE
    if "limit_leaked_objects" in found:
        raise LimitError("limit_leaked_objects can't be done by pymem_bpf, which counts memory, not objects: use "
                         "limit_leaks, %s" % OTHERS)
    return Limits(
        _limit("limit_memory", found.get("limit_memory"), ("limit", "memory_limit"), {"current_thread_only": False}),
        _limit("limit_leaks", found.get("limit_leaks"), ("location_limit",),
               {"filter_fn": None, "current_thread_only": False, "warmups": 0}))
