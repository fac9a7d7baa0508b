# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs what failed again, alone, to tell unsteady tests from broken ones.

A failure that repeats is one. A test that then passes each time is unsteady: a defect of the test, or of
what it tests. It is named and counted, and a run may have a few of them.
"""
import traceback

from running.outcomes import FAILED, MOST_UNSTEADY, UNSTEADY, Outcome

# If more than so many fail, it isn't that they are unsteady.
MOST_AGAIN = 12
TAIL_LINES = 30


def tail(text):
    lines = text.rstrip().splitlines()
    return ["    " + line for line in lines[-TAIL_LINES:]]


def repeat(outcome):
    """(how often it passed, what it said when it failed or None)"""
    for passed in range(outcome.times):
        try:
            good, said = outcome.again()
        except Exception:
            good, said = False, traceback.format_exc()
        if not good:
            return passed, said
    return outcome.times, None


def settle(outcomes, printer):
    """Runs what failed again, as far as that can tell anything; changes their status."""
    failed = [o for o in outcomes if o.status == FAILED and o.again]
    if not failed:
        return
    printer.block(["== again, alone: %d that failed" % len(failed)])
    if len(failed) > MOST_AGAIN:
        printer.block(["%d are too many to be unsteady: none is run again" % len(failed)])
        return
    unsteady = 0
    for outcome in failed:
        if unsteady > MOST_UNSTEADY:
            printer.block(["FAIL %s: not run again, there are too many unsteady ones" % outcome.name])
            continue
        passed, said = repeat(outcome)
        if said is not None:
            printer.block(["FAIL %s: again, after it passed %d times; it said:" % (outcome.name, passed)] +
                          tail(said))
        else:
            outcome.status, unsteady = UNSTEADY, unsteady + 1
            printer.block(["UNSTEADY %s: passed %d times of %d alone; the first failure:" % (
                outcome.name, passed, passed)] + tail(outcome.text))


def limit(unsteady):
    """Outcomes of there being too many."""
    if len(unsteady) <= MOST_UNSTEADY:
        return []
    return [Outcome("%d tests are unsteady, at most %d may be" % (len(unsteady), MOST_UNSTEADY), FAILED)]
