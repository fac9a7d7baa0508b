# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Scores items, and keeps all scores: scorer.py --shard N."""
import time

SCORES = []


def work(number):
    return [number * n for n in range(2000)]


def main():
    number = 0
    while True:
        SCORES.append(work(number))
        number += 1
        time.sleep(0.02)


if __name__ == "__main__":
    main()
