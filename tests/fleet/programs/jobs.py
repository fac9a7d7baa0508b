# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tasks for celery: they need memory and give it back."""
import os

import celery

app = celery.Celery("jobs", broker=os.environ["JOBS_BROKER"])


@app.task(name="resize", ignore_result=True)
def resize(number):
    pixels = bytearray(200000)
    pixels[number % len(pixels)] = 1
    return sum(pixels[:100])
