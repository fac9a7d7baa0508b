#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What must hold where pymem-bpf is installed: run by deb.sh in a fresh system with its packages, as root, and some of it by
check_install.py where other files of a release are.

  installed.py VERSION [DOCUMENTS TEST…]     DOCUMENTS: where the documents are; TEST: only these

Prints `ok WHAT` or `not ok WHAT`, what went wrong before it, and `end` behind the last. Environment: PYMEM_SETTLE, the seconds
that a program is given to start; PYMEM_PATIENCE, those that a command may take."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

DOCUMENTS = sys.argv[2] if len(sys.argv) > 2 else "/usr/share/doc/pymem-bpf"
PATIENCE = float(os.environ.get("PYMEM_PATIENCE", 300))
SETTLE = float(os.environ.get("PYMEM_SETTLE", 1))
UNITS = ("pymem-bpf.socket", "pymem-bpf.service", "pymem-bpf-agent.service")


def run(*command, status=0):
    """stdout and stderr of a command that ends with this status."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    said = done.stdout.decode()
    assert done.returncode == status, "%s: status %d\n%s" % (" ".join(command), done.returncode, said)
    return said


def shop():
    """README's first example, which grows for as long as a command may take."""
    process = subprocess.Popen(["/usr/bin/python3", os.path.join(DOCUMENTS, "examples/shop.py"), str(int(PATIENCE))],
                               stdout=subprocess.DEVNULL)
    time.sleep(SETTLE)
    assert process.poll() is None, "shop.py ended"
    return process


def test_versions():
    assert run("pymem-bpf", "--version") == "pymem-bpf %s\n" % sys.argv[1]
    assert run("pymem-mprof", "--version") == sys.argv[1] + "\n"


def test_files_are_as_packaged():
    assert run("dpkg", "--verify", "pymem-bpf", "python3-pymem-bpf") == ""


def test_machine_is_able():
    assert "pymem-bpf can do its main job here" in run("pymem-bpf", "check")


def test_main_job():
    process = shop()
    try:
        said = run("pymem-bpf", "-p", str(process.pid), "-d", "6", "-n", "2", "-q")
    finally:
        process.kill()
        process.wait()
    print("\n".join("    " + line for line in said.splitlines()))
    # Up to Python 3.10 a comprehension has no more of a name; from 3.12 on it is part of its function.
    assert re.search(r"^shop\.py:23 (report(\.<locals>\.<listcomp>)?|<listcomp>) grew it by \d+\.\d MiB", said, re.MULTILINE), said


def test_who_keeps_it():
    process = shop()
    try:
        said = run("pymem-bpf", "heap", "-p", str(process.pid), "-n", "2")
    finally:
        process.kill()
        process.wait()
    assert "__main__.AUDIT" in said, said


def test_recording_and_page():
    process = shop()
    with tempfile.TemporaryDirectory() as folder:
        recording, page = (os.path.join(folder, name) for name in ("shop.pymem", "shop.html"))
        try:
            run("pymem-bpf", "record", "-p", str(process.pid), "-d", "3", "-o", recording)
        finally:
            process.kill()
            process.wait()
        run("pymem-bpf", "report", recording, "--format", "html", "-o", page)
        with open(page, encoding="utf-8") as f:
            text = f.read()
        assert "shop.py" in text and "<script" in text
        assert json.loads(run("pymem-bpf", "report", recording, "--format", "json"))["schema"]


def test_units_are_installed_and_disabled():
    for unit in UNITS:
        done = subprocess.run(["systemctl", "--root=/", "is-enabled", unit], stdout=subprocess.PIPE)
        # The service of the socket has no [Install]: it is what the socket starts.
        expected = "static" if unit == "pymem-bpf.service" else "disabled"
        assert done.stdout.decode().strip() == expected, "%s: %s" % (unit, done.stdout.decode())
    links = [os.path.join(path, name) for path, _, names in os.walk("/etc/systemd") for name in names if "pymem" in name]
    assert links == []


def test_units_can_be_enabled():
    for unit in (UNITS[0], UNITS[2]):
        run("systemctl", "--root=/", "enable", unit)
        assert run("systemctl", "--root=/", "is-enabled", unit).endswith("enabled\n")
    for unit in (UNITS[0], UNITS[2]):
        run("systemctl", "--root=/", "disable", unit)


def test_units_name_the_program():
    for unit in UNITS[1:]:
        path, = (line for line in run("dpkg", "-L", "pymem-bpf").splitlines() if line.endswith("/" + unit))
        with open(path, encoding="utf-8") as f:
            text = f.read()
        assert "\nExecStart=/usr/sbin/pymem-bpf " in text, text


def test_documents():
    for name in ("README.md", "changelog.gz", "docs/SERVE.md", "docs/json-schema.json", "examples/shop.py",
                 "packaging/prometheus/prometheus.yml", "packaging/grafana/pymem-bpf.json", "packaging/profiles/config.alloy",
                 "copyright"):
        assert os.path.getsize(os.path.join(DOCUMENTS, name)), name
    assert "pymem-bpf %s" % sys.argv[1] in run("man", "8", "pymem-bpf")
    assert "pymem-mprof" in run("man", "1", "pymem-mprof")


def test_completions():
    for path in ("bash-completion/completions/pymem-bpf", "zsh/vendor-completions/_pymem-bpf",
                 "fish/vendor_completions.d/pymem-bpf.fish"):
        with open(os.path.join("/usr/share", path), encoding="utf-8") as f:
            assert "--format" in f.read() or "format" in f.read(), path


def test_python_package():
    code = ("import pymem_bpf, pymem_bpf._lines\n"
            "def grow():\n    return [str(n) for n in range(300000)]\n"
            "print(max(pymem_bpf.memory_usage((grow, ()))))")
    assert float(run("/usr/bin/python3", "-c", code)) > 20
    # Compiled by the package, not when it is used.
    assert os.path.isdir("/usr/lib/python3/dist-packages/pymem_bpf/__pycache__")
    assert run("/usr/bin/python3", "-c", "from importlib.metadata import version; print(version('pymem-bpf'))"
               ).strip() == sys.argv[1]


def test_hardening():
    """What a loader and the kernel can be asked to defend: read from the file itself, without binutils."""
    with open("/usr/sbin/pymem-bpf", "rb") as f:
        image = f.read()
    assert image[16] == 3, "no position-independent executable"
    assert b"__stack_chk_fail" in image and b"__memcpy_chk" in image, "no stack protector, or nothing fortified"
    assert b".debug_info" not in image, "not stripped"


def test_agent_takes_the_config_file():
    """The agent, with the configuration of the package, where it keeps recordings by default."""
    os.makedirs("/var/lib/pymem-bpf", mode=0o700)
    process = subprocess.Popen(["pymem-bpf", "agent"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    first = process.stdout.readline().decode()
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=PATIENCE)[0].decode()
    assert process.returncode == 0 and "records" in first, first + rest
    assert [name for name in os.listdir("/var/lib/pymem-bpf") if name.endswith(".pymem")], first + rest


def main():
    tests = [(name, test) for name, test in globals().items() if name in sys.argv[3:] or not sys.argv[3:] and
             name.startswith("test_")]
    for name, test in tests:
        what = name[len("test_"):].replace("_", " ")
        try:
            test()
            print("ok " + what, flush=True)
        except Exception as e:  # whatever it is, the others are of interest
            print("%s: %s" % (type(e).__name__, e))
            print("not ok " + what, flush=True)
    print("end")


if __name__ == "__main__":
    main()
