# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A shop under Flask, for gunicorn. Two of its views keep what they were not meant to keep; of each there is one that was
mended. /in_use has what the allocators handed out, before and after the view named by `drop` lets go of all."""
import collections
import functools
import gc
import os

from flask import Flask, jsonify, request
from flask.globals import request_ctx

from allocated import in_use

app = Flask(__name__)
SLOW = []
SLOW_BOUNDED = collections.deque(maxlen=20)


@app.get("/contexts")
def contexts():
    """To look at slow requests later, their contexts are kept: with all that a request has."""
    SLOW.append(request_ctx._get_current_object())  # L:contexts
    return basket()


@app.get("/contexts_fixed")
def contexts_fixed():
    SLOW_BOUNDED.append(request_ctx._get_current_object())
    return basket()


def basket():
    """A page that touches more memory than the view keeps."""
    rows = ["<tr><td>%d</td><td>%s</td></tr>" % (n, request.args.get("n", "")) for n in range(2000)]
    return "<table>%s</table>" % "".join(rows)


@functools.lru_cache(maxsize=None)
def price(article, customer):
    return {"article": article, "customer": "customer %d" % customer, "net": article * 1.07 + customer}  # L:price


@functools.lru_cache(maxsize=200)
def price_bounded(article, customer):
    return {"article": article, "customer": "customer %d" % customer, "net": article * 1.07 + customer}


@app.get("/prices")
def prices():
    """Each customer has prices of his own: the cache never hits."""
    customer = int(request.args["n"])
    return jsonify(total=sum(price(article, customer)["net"] for article in range(40)))  # L:prices


@app.get("/prices_fixed")
def prices_fixed():
    customer = int(request.args["n"])
    return jsonify(total=sum(price_bounded(article, customer)["net"] for article in range(40)))


# Functions, so that nothing more refers to what they empty.
DROPS = {"contexts": lambda: SLOW.clear(), "prices": lambda: price.cache_clear()}


@app.get("/in_use")
def told():
    gc.collect()
    before = in_use()
    if "drop" in request.args:
        DROPS[request.args["drop"]]()
        gc.collect()
    return jsonify(pid=os.getpid(), before=before, after=in_use())
