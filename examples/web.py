# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A WSGI application whose audit leaks: gunicorn -w 3 web:application."""
import time

AUDIT = []


def audit(path):
    AUDIT.append({"path": path, "at": time.time(), "tags": [path[:3], path[3:]]})


def page(path):
    rows = ["<tr><td>%d</td><td>%s</td></tr>" % (n, path) for n in range(20000)]
    return "".join(rows).encode()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    for _ in range(200):
        audit(path)
    body = page(path)
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
    return [body]
