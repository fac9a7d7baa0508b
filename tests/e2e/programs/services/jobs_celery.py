# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A celery worker's tasks. Two of them keep what they were not meant to keep; of each there is one that was mended. in_use
has what the allocators handed out, before and after the task named by its argument lets go of all. The broker's
address is in the environment."""
import collections
import gc
import os

from celery import Celery, Task

from allocated import in_use

BROKER = os.environ["JOBS_BROKER"]
app = Celery("jobs_celery", broker=BROKER, backend=BROKER)
app.conf.update(broker_connection_retry_on_startup=True)


class Reporting(Task):
    """Its results are an attribute of the class: one for all tasks, for as long as the worker lives."""

    results = []
    bounded = collections.deque(maxlen=20)


REQUESTS = {}


def rows(number):
    return [{"row": n, "text": "row %d of report %d" % (n, number)} for n in range(40)]


@app.task(bind=True, base=Reporting)
def results(self, number):
    self.results.append(rows(number))  # L:results


@app.task(bind=True, base=Reporting)
def results_fixed(self, number):
    self.bounded.append(rows(number))


@app.task(bind=True)
def requests(self, number):
    """Who asks for the progress of a task finds it here, for ever."""
    REQUESTS[self.request.id] = self.request  # L:requests
    rows(number)


@app.task(bind=True)
def requests_fixed(self, number):
    REQUESTS[self.request.id] = self.request
    try:
        rows(number)
    finally:
        del REQUESTS[self.request.id]


# Functions, so that nothing more refers to what they empty.
DROPS = {"results": lambda: Reporting.results.clear(), "requests": lambda: REQUESTS.clear()}


@app.task(name="in_use")
def told(drop=None):
    gc.collect()
    before = in_use()
    if drop:
        DROPS[drop]()
        gc.collect()
    return {"pid": os.getpid(), "before": before, "after": in_use()}
