# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The outcome of each test, and their sums.

An unsteady test is one that failed once and then passed each time it was run again alone. It counts as
passed in the sums and is named. A run may have MOST_UNSTEADY of them.
"""

PASSED, FAILED, SKIPPED, UNSTEADY = "passed", "failed", "skipped", "unsteady"
MOST_UNSTEADY = 3
SLOWEST = 10


class Outcome:
    """One test's. `text`: a skip's reason, or what a failure said. `again`: runs it once more, alone, and
    returns (did it pass, what it said); None where one failure is one too many. `times`: how often it
    must pass then. `is_said`: its group's output has the text already."""

    def __init__(self, name, status, text="", seconds=0.0, again=None, times=3, is_said=False):
        self.name, self.status, self.text, self.seconds = name, status, text, seconds
        self.again, self.times, self.is_said = again, times, is_said


class Tally:
    """Sums. `failed`: names; `skips`: (name, reason)."""

    def __init__(self, outcomes=()):
        self.passed, self.unsteady, self.failed, self.skips = 0, [], [], []
        for outcome in outcomes:
            self.count(outcome)

    def count(self, outcome):
        if outcome.status == SKIPPED:
            self.skips.append((outcome.name, outcome.text))
        elif outcome.status == FAILED:
            self.failed.append(outcome.name)
        else:
            self.passed += 1
            if outcome.status == UNSTEADY:
                self.unsteady.append(outcome.name)

    def ran(self):
        return self.passed + len(self.failed)

    def __str__(self):
        text = "%d passed, %d failed" % (self.passed, len(self.failed))
        return text + (", %d skipped" % len(self.skips) if self.skips else "")


def slowest(outcomes, count=SLOWEST):
    """Lines on those that took longest."""
    ordered = sorted((o for o in outcomes if o.seconds > 0), key=lambda o: -o.seconds)[:count]
    return ["%8.1f s  %s" % (o.seconds, o.name) for o in ordered]
