# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The image that `make image` made: what is in it, and that crun runs it on programs of the host, with the rights of the
DaemonSet."""
import os
import re
import shutil
import subprocess
import tarfile

import image as images
import pytest
from conftest import ARCH, PATIENCE, PROJECT, Target, archives, steps_during

OCI_ARCH = {"x86_64": "amd64"}.get(ARCH, ARCH)
ARCHIVES = {"amd64": "x86_64", "arm64": "arm64"}
GROWS = """import sys
kept = []
print("ready", flush=True)
for line in sys.stdin:
    kept.append(bytearray(8 << 20))
    print("done", flush=True)
"""
PROGRAM = "usr/local/sbin/pymem-bpf"
STORED = "/var/lib/pymem-bpf/a.pymem"
DOC = "usr/local/share/doc/pymem-bpf/"


@pytest.fixture(scope="session")
def image():
    return images.Image(images.path())


@pytest.fixture(scope="session")
def root(image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    image.unpack(OCI_ARCH, folder)
    return folder


@pytest.fixture
def run(image, root, tmp_path):
    """Runs the image with these words; (status, output, errors)."""
    why = images.can_run()
    if why:
        pytest.skip(why)
    config = image.images[OCI_ARCH][0]
    return lambda *words: images.Container(tmp_path, root, config, words).run(4 * PATIENCE)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "grows.py"
    path.write_text(GROWS)
    with Target(path) as started:
        yield started


def test_files(image):
    """The program and licences, of root, and no more: no shell. They are those of the archives."""
    assert set(image.images) == {arch for arch in ARCHIVES if any(path.endswith("-linux-%s.tar.xz" % ARCHIVES[arch])
                                                                  for path in archives())}
    for arch in image.images:
        path, = [one for one in archives() if one.endswith("-linux-%s.tar.xz" % ARCHIVES[arch])]
        top = os.path.basename(path)[:-len(".tar.xz")]
        with tarfile.open(path) as tar:
            expected = {"usr/local/" + m.name[len(top) + 1:]: tar.extractfile(m).read() for m in tar.getmembers()
                        if re.search(r"/sbin/|/doc/pymem-bpf/(LICENSE|libraries)", m.name)}
        with tarfile.open(fileobj=images.io.BytesIO(image.images[arch][1])) as tar:
            members = tar.getmembers()
            found = {m.name: tar.extractfile(m).read() for m in members if not m.isdir()}
        assert found == expected and PROGRAM in found and DOC + "libraries/PACKAGES" in found
        assert {(m.uid, m.gid, m.isfile() or m.isdir()) for m in members} == {(0, 0, True)}
        assert {m.name for m in members if m.mode & 0o111 and m.isfile()} == {PROGRAM}


def test_labels(image):
    """Of which version and commit it is."""
    with open(os.path.join(PROJECT, "VERSION"), encoding="ascii") as f:
        version = f.read().strip()
    for config, _ in image.images.values():
        labels = config["config"]["Labels"]
        assert labels["org.opencontainers.image.version"] == version
        assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])


def test_version(run):
    status, out, err = run("--version")
    assert (status, err) == (0, "") and out.startswith("pymem-bpf ")


def test_check(run):
    """The rights of the DaemonSet are enough."""
    status, out, err = run("check")
    assert (status, err) == (0, ""), out + err
    assert out.endswith("pymem-bpf can do its main job here\n")


def test_main_job(run, target):
    status, out, err = steps_during(target, lambda: run("-p", target.pid, "-d", "2", "-n", "0", "-q"))
    assert status == 0, err
    assert "grows.py:5" in out and "kept.append(bytearray(8 << 20))" in out, out


def test_heap_record_report(run, target):
    """Its root is read-only, and there is no /tmp."""
    target.step()
    status, out, err = run("heap", "-p", target.pid)
    assert status == 0 and "__main__.kept" in out, out + err
    status, _, err = steps_during(target, lambda: run("record", "-p", target.pid, "-d", "2", "-o", STORED, "-q"))
    assert status == 0, err
    status, out, err = run("report", STORED, "-n", "0")
    assert status == 0 and "grows.py:5" in out, out + err


@pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed")
def test_others_read_it(tmp_path):
    """A tool that is not this test's takes it for what this machine runs."""
    store = ["--root", str(tmp_path / "store"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    subprocess.run(["buildah", *store, "pull", "--quiet", "oci-archive:" + images.path()], check=True,
                   stdout=subprocess.DEVNULL, timeout=8 * PATIENCE)
    said = subprocess.run(["buildah", *store, "images", "--format", "{{.ID}} {{.Name}}:{{.Tag}}"], check=True,
                          stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode().split()
    with open(os.path.join(PROJECT, "VERSION"), encoding="ascii") as f:
        assert said[1:] == ["localhost/pymem-bpf:" + f.read().strip()]
    arch = subprocess.run(["buildah", *store, "inspect", "--type", "image", "--format", "{{.OCIv1.Architecture}}", said[0]],
                          check=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode().strip()
    assert arch == OCI_ARCH
