# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""JSON both ways and regular expressions over the text."""
import json
import re

from timing import measure, scaled

PAIR = re.compile(r'"(\w+)": (\d+)')


def record(i):
    return {"serial": i, "owner": "customer %d" % (i % 97), "values": [i, i * 0.25, None, i % 2 == 0],
            "note": "shipped %02d/%02d in box %d" % (i % 12 + 1, i % 28 + 1, i * 7)}


def work():
    for _ in range(3):
        text = json.dumps([record(i) for i in range(scaled(14000))])
        parsed = json.loads(text)
        swapped = PAIR.sub(r'"\2": "\1"', text)
        counts = {}
        for word in re.findall(r"[a-z]+", swapped):
            counts[word] = counts.get(word, 0) + 1
        assert len(parsed) == scaled(14000) and counts


measure(work)
