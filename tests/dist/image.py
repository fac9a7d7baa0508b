# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The image of a release: its OCI archive is read here, and crun runs it as the DaemonSet does, with the host's PIDs."""
import contextlib
import glob
import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import uuid

import yaml

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYS_RESOURCE = 24  # <linux/capability.h>
# crun refuses to run where control groups of version 1 and of version 2 with controllers are both mounted.
ENTER = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"', "enter"]


def version():
    with open(os.path.join(PROJECT, "VERSION"), encoding="ascii") as f:
        return f.read().strip()


def path():
    """Of the image: $PYMEM_IMAGE, else that of build/image."""
    named = os.environ.get("PYMEM_IMAGE")
    found = [named] if named else glob.glob(os.path.join(PROJECT, "build", "image", "*-%s-oci.tar" % version()))
    assert len(found) == 1, "one image is tested, and there are %d: run make image first" % len(found)
    return os.path.abspath(found[0])


class Image:
    """What an OCI archive has: `images`, {architecture: (config, layer as an unpacked tar)}."""

    def __init__(self, archive):
        with tarfile.open(archive) as self.tar:
            index, = json.load(self.tar.extractfile("index.json"))["manifests"]
            self.images = {one["platform"]["architecture"]: self.parts(one) for one in json.loads(self.blob(index))["manifests"]}

    def blob(self, descriptor):
        data = self.tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()
        assert len(data) == descriptor["size"]
        return data

    def parts(self, descriptor):
        manifest = json.loads(self.blob(descriptor))
        layer, = manifest["layers"]
        return json.loads(self.blob(manifest["config"])), gzip.decompress(self.blob(layer))

    def unpack(self, arch, folder):
        """Its root, into a folder that there is."""
        with tarfile.open(fileobj=io.BytesIO(self.images[arch][1])) as tar:
            tar.extractall(folder)


def manifest_rights():
    """The capabilities of packaging/pymem-bpf-agent.yaml."""
    with open(os.path.join(PROJECT, "packaging", "pymem-bpf-agent.yaml"), encoding="utf-8") as f:
        pod = yaml.safe_load(f)["spec"]["template"]["spec"]
    rights = ["CAP_" + name for name in pod["containers"][0]["securityContext"]["capabilities"]["add"]]
    # Who runs this may be without it, and then can't give it. It is for kernels before 5.11.
    with open("/proc/self/status", encoding="ascii") as f:
        permitted, = (int(line.split()[1], 16) for line in f if line.startswith("CapPrm:"))
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if not permitted >> SYS_RESOURCE & 1 and release >= (5, 11):
        rights.remove("CAP_SYS_RESOURCE")
    return rights


class Container:
    """A command of the image's entry point. Its root is read-only; it has the host's PIDs, no network, the capabilities of the
    DaemonSet and, at /var/lib/pymem-bpf, the folder `store`, which all containers of a `folder` have."""

    def __init__(self, folder, root, config, words):
        self.id = "pymem-" + uuid.uuid4().hex
        self.bundle = os.path.join(str(folder), self.id)
        self.store = os.path.join(str(folder), "store")
        for place in self.bundle, self.store:
            os.makedirs(place, exist_ok=True)
        spec = json.loads(subprocess.run(["crun", "spec", "-f", "/dev/stdout"], check=True, stdout=subprocess.PIPE,
                                         cwd=self.bundle).stdout)
        spec["root"] = {"path": str(root), "readonly": True}
        rights = manifest_rights()
        spec["process"].update(terminal=False, args=config["config"]["Entrypoint"] + list(words), env=config["config"]["Env"],
                               cwd="/", capabilities={kind: rights for kind in ("bounding", "effective", "permitted")})
        spec["mounts"].append({"destination": "/var/lib/pymem-bpf", "source": self.store, "type": "bind",
                               "options": ["rbind", "rw"]})
        spec["linux"]["namespaces"] = [one for one in spec["linux"]["namespaces"] if one["type"] != "pid"]
        spec["linux"]["cgroupsPath"] = "/" + self.id
        with open(os.path.join(self.bundle, "config.json"), "w", encoding="ascii") as f:
            json.dump(spec, f)

    def run(self, seconds):
        """(status, output, errors)"""
        try:
            done = subprocess.run(ENTER + ["crun", "run", "--bundle", self.bundle, self.id], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds)
            return done.returncode, done.stdout.decode(), done.stderr.decode()
        finally:
            with contextlib.suppress(subprocess.SubprocessError):
                subprocess.run(ENTER + ["crun", "delete", "--force", self.id], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=60)


def can_run():
    """Why containers can't be run here, or nothing."""
    if os.geteuid() != 0:
        return "only root can run a container that sees the host's processes"
    return "" if shutil.which("crun") else "crun is missing: tools/install-deps image"
