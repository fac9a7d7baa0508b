# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A celery worker's task, which keeps all reports: celery -A jobs worker. The broker is $BROKER."""
import os

from celery import Celery

app = Celery("jobs", broker=os.environ.get("BROKER", "redis://localhost"))
app.conf.update(broker_connection_retry_on_startup=True)
REPORTS = {}


@app.task
def report(number):
    REPORTS[number] = ["row %d of report %d" % (n, number) for n in range(2000)]
