# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pages for uWSGI."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"page of %d bytes" % len("x" * 100000)]
