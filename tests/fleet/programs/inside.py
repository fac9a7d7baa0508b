# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What runs in the containers: a process and three children that sleep. Once the file /control/fill is there, the main
process fills memory until the limit of its container ends it."""
import os
import time

KEPT = []


def fill():
    while True:
        KEPT.append("a line of a large file " * 5000)
        time.sleep(0.0005)


def main():
    for _ in range(3):
        if not os.fork():
            while True:
                time.sleep(5)
    with open("/control/ready", "w") as f:
        f.write("ready")
    while not os.path.exists("/control/fill"):
        time.sleep(0.2)
    fill()


main()
