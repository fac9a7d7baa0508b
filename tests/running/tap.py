# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The outcomes of a program that prints TAP: cmocka binaries, and checks in a guest."""
import re

from running.commands import describe
from running.outcomes import FAILED, PASSED, SKIPPED, Outcome

POINT = re.compile(r"\s*(not )?ok\b\s*\d*\s*-?\s*(.*)")
PLAN = re.compile(r"\s*1\.\.(\d+)")


def read_point(match, remark):
    """(title, status, a skip's reason)"""
    title, _, rest = match.group(2).partition("# ")
    title, rest = title.strip(), rest.strip()
    if rest.lower().startswith("skip"):
        # cmocka puts the test's name after SKIP; the reason is what the test printed before.
        return title or rest[4:].strip(), SKIPPED, remark or "no reason given"
    return title, FAILED if match.group(1) else PASSED, ""


def read_points(lines):
    """(planned, [(title, status, reason, seconds)])"""
    planned, remark, since, points = 0, "", 0.0, []
    for at, line in lines:
        if line.startswith("# "):
            remark = line[2:]
        plan, point = PLAN.match(line), POINT.match(line)
        if plan:
            planned += int(plan.group(1))
        elif point:
            points.append(read_point(point, remark) + (at - since,))
            remark, since = "", at
    return planned, points


def outcomes(name, ended, again=None, times=3):
    """Those of one program. A test that dies, or ends before its plan, has failed. `again(title)` runs it
    again and returns (passed, output): the test of that title, or all of it if that is None."""
    planned, points = read_points(ended.lines)
    output, found = ended.output(), []

    def add(text, status, reason, seconds, title):
        def retry():
            return again(title)
        found.append(Outcome("%s: %s" % (name, text), status, reason, seconds,
                             retry if again and status == FAILED else None, times))

    for title, status, reason, seconds in points:
        add(title, status, reason or (output if status == FAILED else ""), seconds, title)
    if len(points) < planned or not points:
        add("%d of %d tests ran, %s" % (len(points), planned, describe(ended.status)), FAILED, output,
            0.0, None)
    elif ended.status != 0 and not any(o.status == FAILED for o in found):
        add("all is well, it says, but its end: " + describe(ended.status), FAILED, output, 0.0, None)
    return found


def passed(ended, title):
    """Did the test of that title pass, or if that is None all of them?"""
    planned, points = read_points(ended.lines)
    if title is None:
        return ended.status == 0 and len(points) >= planned > 0 and all(p[1] != FAILED for p in points)
    return [p[1] for p in points if p[0] == title] == [PASSED]
