# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Chromium without a window, and what drives it (viewers/, from npm). For tests, bench/html.py and
tools/web-pictures."""
import hashlib
import json
import os
import shutil
import subprocess

VIEWERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "viewers")


class Missing(Exception):
    """What is not there on this machine, and how to get it."""


def viewers(patience):
    """As packages(), of what opens pages and shows reports."""
    return packages(VIEWERS, patience)


def packages(described, patience):
    """The folder in whose node_modules/ there is what the lock file in the folder `described` has. It is in the cache."""
    if not shutil.which("npm"):
        raise Missing("npm is not installed: tools/install-deps test")
    lock = os.path.join(described, "package-lock.json")
    with open(lock, "rb") as f:
        name = "%s-%s" % (os.path.basename(described), hashlib.sha256(f.read()).hexdigest()[:16])
    cache = os.environ.get("PYMEM_CACHE", os.path.expanduser("~/.cache/pymem-bpf"))
    folder = os.path.join(cache, name)
    if not os.path.exists(os.path.join(folder, "complete")):
        os.makedirs(folder, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(described, file), folder)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience)
        if done.returncode:
            raise Missing("npm ci: " + done.stdout.decode("utf-8", "replace")[-300:])
        with open(os.path.join(folder, "complete"), "w"):
            pass
    return folder


def chromium():
    """Its path."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return shutil.which(name)
    raise Missing("there is no Chromium: tools/install-deps test")


def open_page(path, *steps, patience=300):
    """Opens a page and does the steps of viewers/open_page.mjs. Returns what the steps `evaluate` and `tree` return.
    Nothing may be written to the console, nothing loaded."""
    first = ["open", ""]
    done = subprocess.run(["node", os.path.join(VIEWERS, "open_page.mjs"), viewers(patience), chromium(), str(path)],
                          input=json.dumps([first, *steps]).encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=2 * patience, env={**os.environ, "PYMEM_E2E_PATIENCE": str(patience)})
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout.decode())
    assert not said["errors"] and not said["requests"], said
    return [result for (name, *_), result in zip([first, *steps], said["results"]) if name in ("evaluate", "tree")]
