# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The archives: what is in them, and that their programs need nothing of a host."""
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from conftest import ARCH, DIST, PROJECT, archives

LIMIT = 8 << 20
DOC = "share/doc/pymem-bpf/"
# Beside the documents.
NAMES = """lib/systemd/system/pymem-bpf-agent.service lib/systemd/system/pymem-bpf.service
lib/systemd/system/pymem-bpf.socket sbin/pymem-bpf share/bash-completion/completions/pymem-bpf
share/fish/vendor_completions.d/pymem-bpf.fish share/man/man8/pymem-bpf.8 share/zsh/site-functions/_pymem-bpf
share/doc/pymem-bpf/LICENSE share/doc/pymem-bpf/LICENSES/GPL-2.0-only.txt
share/doc/pymem-bpf/LICENSES/BSD-2-Clause.txt""".split()
# Of each static library; the C library's package has another name in a cross-build.
LICENSED = """libbpf-dev libelf-dev libjansson-dev libsqlite3-dev libprotobuf-c-dev libmicrohttpd-dev libgnutls28-dev nettle-dev
libgmp-dev libtasn1-6-dev libunistring-dev libncurses-dev zlib1g-dev libc6-dev uthash-dev""".split()
# Functions of the C library that read locales, load code or ask name services, whoever calls them. dlopen() is in each
# static program, by a table of the C library's own; calls go to __wrap_dlopen().
FORBIDDEN = """setlocale newlocale iconv iconv_open getaddrinfo gethostbyname getpwnam getpwnam_r getpwuid getpwuid_r
getgrnam getgrgid getgrouplist initgroups""".split()
# They need the tables that packaging/static/no-unwind.ld leaves out.
FORBIDDEN += "pthread_exit pthread_cancel thrd_exit backtrace".split()


def tool(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout.decode()


@pytest.fixture(params=archives(), ids=os.path.basename)
def archive(request):
    return request.param


@pytest.fixture
def program(archive, tmp_path):
    name = os.path.basename(archive)[:-len(".tar.xz")] + "/sbin/pymem-bpf"
    with tarfile.open(archive) as tar:
        tar.extract(name, tmp_path)
    return str(tmp_path / name)


def test_sums():
    """Of all that is there: `make release` has more than the archives."""
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], check=True, cwd=DIST)
    with open(os.path.join(DIST, "SHA256SUMS")) as f:
        assert sorted([line.split()[1] for line in f] + ["SHA256SUMS"]) == sorted(os.listdir(DIST))


def test_contents(archive):
    """What is installed, and licences; files only, owned by root, of one time, below one folder, not for others to write."""
    top = os.path.basename(archive)[:-len(".tar.xz")]
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        units = [tar.extractfile(m).read().decode() for m in members if m.name.endswith(".service")]
        packages = tar.extractfile(top + "/" + DOC + "libraries/PACKAGES").read().decode()
    assert all(m.name.startswith(top + "/") for m in members)
    found = {m.name[len(top) + 1:] for m in members}
    documents = {DOC + name for name in tool("make", "-s", "--no-print-directory", "-C", PROJECT, "print-documents").split()}
    licences = {name for name in found if name.startswith(DOC + "libraries/")}
    assert found - licences == set(NAMES) | documents
    assert licences == {DOC + "libraries/" + line.split()[0] for line in packages.splitlines()} | {DOC + "libraries/PACKAGES"}
    assert set(LICENSED) <= {line.split()[0] for line in packages.splitlines()}
    assert all(len(line.split()) == 4 for line in packages.splitlines())
    assert {(m.uid, m.gid, m.isfile()) for m in members} == {(0, 0, True)}
    assert len({m.mtime for m in members}) == 1
    assert {m.mode for m in members} <= {0o755, 0o644}
    assert [m.name for m in members] == sorted(m.name for m in members)
    assert len(units) == 2 and all("ExecStart=/usr/local/sbin/pymem-bpf" in unit for unit in units)


def test_static(program):
    kind = tool("file", "-b", program)
    assert "static-pie linked" in kind and ", stripped" in kind and "BuildID[sha1]=" in kind
    assert not re.search(r"NEEDED|INTERP|TEXTREL|RUNPATH|RPATH", tool("readelf", "-ldW", program))
    assert "BIND_NOW" in tool("readelf", "-dW", program)
    assert re.search(r"GNU_STACK.* RW ", tool("readelf", "-lW", program))


def test_size(program):
    """Without the tables that unwind stacks, which nothing in it does (packaging/static/no-unwind.ld)."""
    assert os.path.getsize(program) <= LIMIT
    assert not re.search(r"eh_frame|EH_FRAME", tool("readelf", "-SlW", program))


def test_no_paths(program):
    """Of the machine that built it."""
    with open(program, "rb") as f:
        data = f.read()
    assert os.fsencode(PROJECT) not in data


def test_starts(archive, program):
    """Those of other architectures in an emulator of user programs, which has no BPF."""
    arch = re.search(r"-linux-(\w+)\.tar", archive).group(1)
    emulator = []
    if arch != ARCH:
        emulator = ["qemu-%s-static" % {"arm64": "aarch64"}.get(arch, arch)]
        if not shutil.which(emulator[0]):
            pytest.skip("%s is missing: tools/install-deps dist" % emulator[0])
    with open(os.path.join(PROJECT, "VERSION")) as f:
        assert tool(*emulator, program, "--version") == "pymem-bpf " + f.read()
    assert "_pymem_bpf" in tool(*emulator, program, "completion", "bash")


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_nothing_is_loaded(arch):
    """Code for that is not even in the program."""
    path = os.path.join(PROJECT, "build", "dist", arch, "pymem-bpf")
    if not os.path.exists(path):
        pytest.skip("%s was not built here" % arch)
    present = {line.split()[-1] for line in tool("nm", path).splitlines()}
    assert {"main", "__wrap_dlopen", "__wrap_setlocale"} <= present
    assert not present & set(FORBIDDEN)


def test_this_architecture_is_there():
    assert any(path.endswith("-linux-%s.tar.xz" % ARCH) for path in archives())
