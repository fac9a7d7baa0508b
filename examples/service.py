# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A service that renders a page for each request, and keeps all pages."""
import time

CACHE = {}


def parse(body):
    return [(word, len(word)) for word in body.split()]


def render(rows):
    lines = []
    for row in rows:
        lines.append("<td>%s</td><td>%d</td>" % row)
    return "\n".join(lines)


def handle(number, body):
    rows = parse(body)
    page = render(rows)
    CACHE[number] = page


def main():
    body = " ".join("word%d" % i for i in range(6000))
    number = 0
    while True:
        handle(number, body)
        number += 1
        time.sleep(0.02)


if __name__ == "__main__":
    main()
