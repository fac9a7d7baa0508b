# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""gunicorn's configuration of the shop: its first worker leaks. Without FLEET_LEAK none does."""
import os

worker_tmp_dir = os.getcwd()
timeout = 0


def post_worker_init(worker):
    if worker.age == 1 and os.environ.get("FLEET_LEAK"):
        import shop
        shop.LEAKS.append(True)
