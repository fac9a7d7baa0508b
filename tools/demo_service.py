# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A service with a leak, for `make demo`: it parses requests, answers them, and keeps all of them
for ever. Runs for five minutes."""
import json
import time

sessions = {}
cache = []


def request(number):
    items = [{"id": i, "name": "item %d" % i, "tags": ["a", "b", i]} for i in range(2000)]
    return json.dumps({"session": number % 50, "items": items})


def handle(body):
    data = json.loads(body)
    report = bytearray(8 << 20)
    total = sum(item["id"] for item in data["items"])
    sessions[data["session"]] = report[:65536]
    cache.append(body * 3)
    del report
    return total


def main():
    end = time.monotonic() + 300
    number = 0
    while time.monotonic() < end:
        handle(request(number))
        number += 1
        time.sleep(0.05)


if __name__ == "__main__":
    main()
