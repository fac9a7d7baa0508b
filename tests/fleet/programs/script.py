# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A script as a host has many: sleeps, and works a little once in SECONDS.

script.py SECONDS"""
import sys
import time


def work():
    return len([str(number) for number in range(3000)])


def main():
    print("ready", flush=True)
    while True:
        time.sleep(float(sys.argv[1]))
        work()


main()
