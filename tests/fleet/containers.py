# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Containers, made with crun. Their root file systems are made of Debian's packages by mmdebstrap (tests/pythons.sh)."""
import contextlib
import json
import os
import signal
import subprocess
import uuid

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
# crun refuses to run where control groups of version 1 and of version 2 with controllers are both mounted.
ENTER = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"', "enter"]


def root(name):
    """(folder of the root file system, its interpreter) of an interpreter of tests/pythons.sh that is a Debian release's."""
    for known, command in harness.list_pythons():
        if known == name:
            return command[-2:]
    raise RuntimeError("%s: tests/pythons.sh has no such interpreter: %s" % (name, harness.list_pythons("missing")))


class Container:
    """One that runs programs/inside.py with an interpreter of its own. `id`: 64 digits, as a runtime gives them; `name`: as
    pymem-bpf names it; `limit`: bytes."""

    def __init__(self, folder, python, limit):
        tree, python = root(python)
        self.id = uuid.uuid4().hex + uuid.uuid4().hex
        self.bundle = os.path.join(folder, self.id[:12])
        self.control = os.path.join(self.bundle, "control")
        self.limit = limit
        os.makedirs(self.control)
        spec = json.loads(subprocess.run(["crun", "spec", "-f", "/dev/stdout"], check=True, stdout=subprocess.PIPE,
                                         cwd=self.bundle).stdout)
        spec["root"] = {"path": tree, "readonly": True}
        spec["process"].update(terminal=False, args=[python, "/srv/inside.py"])
        for source, place in (os.path.join(HERE, "programs"), "/srv"), (self.control, "/control"):
            spec["mounts"].append({"destination": place, "source": source, "type": "bind", "options": ["rbind", "rw"]})
        # Where podman's own cgroupfs driver puts its containers.
        spec["linux"]["cgroupsPath"] = "/libpod_parent/libpod-" + self.id
        spec["linux"]["resources"] = {"memory": {"limit": limit}}
        with open(os.path.join(self.bundle, "config.json"), "w", encoding="ascii") as f:
            json.dump(spec, f)
        self.log = open(os.path.join(self.bundle, "log"), "wb")
        self.process = subprocess.Popen(ENTER + ["crun", "run", "--bundle", self.bundle, self.id], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        try:
            harness.until(self.is_ready, "container: " + self.said())
        except BaseException:
            self.close()
            raise
        self.name = "podman:" + self.id[:12]
        state = json.loads(subprocess.run(ENTER + ["crun", "state", self.id], check=True, stdout=subprocess.PIPE).stdout)
        self.pid = state["pid"]

    def is_ready(self):
        assert self.process.poll() is None, self.said()
        return os.path.exists(os.path.join(self.control, "ready"))

    def said(self):
        with open(os.path.join(self.bundle, "log"), errors="replace", encoding="utf-8") as f:
            return f.read()[-2000:]

    def fill(self):
        """Lets it fill memory until it is killed; returns when that has happened."""
        with open(os.path.join(self.control, "fill"), "w", encoding="ascii") as f:
            f.write("now")
        self.process.wait(harness.PATIENCE)

    def close(self):
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(ENTER + ["crun", "delete", "--force", self.id], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=60)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.log.close()
