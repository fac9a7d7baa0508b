# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Renders rows for each request and lets them go; its sessions stay, in memory that the rows had touched."""
import time

SESSIONS = {}


def session_for(user):
    SESSIONS[user] = [{"user": user, "item": n} for n in range(40)]


def render(number):
    rows = ["row %d of request %d" % (n, number) for n in range(4000)]
    return len("".join(rows))


def handle(number):
    render(number)
    session_for(number)


def main():
    number = 0
    while True:
        handle(number)
        number += 1
        time.sleep(0.01)


if __name__ == "__main__":
    main()
