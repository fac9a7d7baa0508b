# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""W6: records to JSON and back, regular expressions over the text, words counted. What grows,
grows inside the library; the marked lines are the callers."""
import json
import re

from measured import at_peak, profile, run, scaled

PAIR = re.compile(r'"(\w+)": (\d+)')
WORD = re.compile(r"[a-z]+")


def record(i):
    return {"serial": i, "owner": "customer %d" % (i % 97), "values": [i, i * 0.25, None],
            "note": "shipped %02d/%02d in box %d" % (i % 12 + 1, i % 28 + 1, i * 7)}


@profile
def convert(rounds, n):
    total = 0
    for _ in range(rounds):
        records = [record(i) for i in range(n)]  # truth: records
        text = json.dumps(records)  # truth: dumps
        back = json.loads(text)  # truth: loads
        swapped = PAIR.sub(r'"\2": "\1"', text)  # truth: sub
        words = WORD.findall(swapped)  # truth: findall
        at_peak()
        total += len(back) + len(set(words))
        del records, text, back, swapped, words
    return total


PROFILED = ["convert"]


def work():
    convert(3, scaled(20000))


if __name__ == "__main__":
    run(work)
