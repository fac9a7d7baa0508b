# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A shop behind gunicorn. One of its workers, the first, keeps each basket it is asked for: a leak."""
import os

import flask

application = flask.Flask(__name__)
leaking = application  # by another name, so that it is a program of its own
BASKETS = []
LEAKS = []  # true in the worker that leaks: gunicorn.conf.py


@application.route("/basket")
def basket():
    data = ["item %d" % number for number in range(200)]
    if LEAKS:
        keep(data)
    return "%d" % os.getpid()


def keep(data):
    BASKETS.append(" ".join(data) * 130)  # some 200 KB
