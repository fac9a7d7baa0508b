# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Begin and end of `pymem-bpf serve`: sockets, signals, systemd, the private helper."""
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import harness
from harness import TOOL
from serve_fixtures import BLOCK, USER, answers, eventually, folder, rss_pages, server  # noqa: F401
from serving import Client, Connection, ENDED, HELLO, LIVE, OK, Page, Server, TRACK, request
from test_ends import assert_nothing_left, bpf_objects


def links(server):
    """Links that the server holds: what is attached."""
    return harness.attached_links(server.process.pid)


def test_attached_only_while_needed(server):
    assert links(server) == 0
    with Client(server.path) as client:
        assert links(server) == 0, "connecting attaches nothing"
        client.track()
        assert links(server) > 0
        client.tell("untrack")
        assert eventually(lambda: links(server) == 0)
        client.track()
        page = client.page()
        client.tell("grow", BLOCK)
        assert rss_pages(client.pid) == page.rss, "and it counts again"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it(server, number):
    before = bpf_objects()
    with Client(server.path) as client:
        client.track()
        page = client.page()
        assert server.stop(number) == 0
        assert client.tell("receive") is None
        assert page.state == ENDED
        client.tell("grow", 10)
    assert not os.path.exists(server.path)
    assert_nothing_left(before)


def test_started_by_nohup(folder):
    """It goes on when its terminal goes."""
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    path = os.path.join(folder, "s")
    with Server(TOOL, path, preexec_fn=ignore) as server:
        server.process.send_signal(signal.SIGHUP)
        assert answers(server) and answers(server)
        assert server.stop(signal.SIGINT) == 0
    assert b"Hangup" not in server.said


def test_server_killed(folder):
    before = bpf_objects()
    path = os.path.join(folder, "s")
    with Server(TOOL, path) as server, Client(path, USER) as client:
        client.track()
        page = client.page()
        server.process.kill()
        server.wait()
        assert client.tell("receive") is None
        client.tell("grow", BLOCK)
        frozen = page.rss
        client.tell("shrink")
        assert page.rss == frozen
        assert_nothing_left(before)
    # The file it left is replaced.
    assert os.path.exists(path)
    with Server(TOOL, path) as server:
        assert answers(server)
        # A live one is not.
        with Server(TOOL, path, wait=False) as second:
            assert second.wait() == 1
            assert b"another server listens there already" in second.said
        assert answers(server)
        assert server.stop() == 0
    assert not os.path.exists(path)


@pytest.mark.attack("another's file removed by root",
                    "a file where the server is to listen")
def test_other_files_are_left_alone(folder):
    path = os.path.join(folder, "s")
    with open(path, "w") as f:
        f.write("precious")
    with Server(TOOL, path, wait=False) as server:
        assert server.wait() == 1
        assert b"no socket" in server.said
    with open(path) as f:
        assert f.read() == "precious"


@pytest.mark.attack("another's file removed by root",
                    "putting another socket in the place of the server's before it ends")
def test_path_taken_over_is_left_to_the_other(folder):
    path = os.path.join(folder, "s")
    with Server(TOOL, path) as server:
        os.unlink(path)
        with Server(TOOL, path) as second:
            assert server.stop() == 0
            assert answers(second)


def test_socket_activation(folder):
    path = os.path.join(folder, "s")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(8)
    command = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve 3<&%d %d<&-" % ((listener.fileno(),) * 2)
    process = subprocess.Popen(["bash", "-c", command, TOOL], stderr=subprocess.PIPE,
                               pass_fds=[listener.fileno()])
    try:
        assert b"passed by systemd" in process.stderr.readline()
        connection = Connection(path)
        assert connection.ask(TRACK)["status"] == OK
        process.terminate()
        assert process.wait(harness.PATIENCE) == 0
        assert os.path.exists(path), "it is systemd's to remove"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        listener.close()


def private_helper(inherited, **popen):
    return subprocess.Popen([TOOL, "serve", "--fd", str(inherited)], stderr=subprocess.PIPE,
                            pass_fds=[inherited], **popen)


def test_private_helper():
    before = bpf_objects()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    helper = private_helper(theirs.fileno())
    try:
        theirs.close()
        connection = Connection(sock=ours)
        assert connection.ask(TRACK)["pid"] == os.getpid()
        page = Page(connection.page_fd)
        assert page.state == LIVE
        # The helper is our child, and not counted as one.
        assert eventually(lambda: page.tree == page.rss)
        # Ctrl-C is the client's own business.
        helper.send_signal(signal.SIGINT)
        assert connection.ask(HELLO)["status"] == OK
        connection.close()
        assert helper.wait(harness.PATIENCE) == 0
        assert page.state == ENDED
    finally:
        helper.kill()
        helper.wait()
        helper.stderr.close()
    assert_nothing_left(before)


PARENT = """
import os, socket, subprocess, sys, time
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
helper = subprocess.Popen([sys.argv[1], "serve", "--fd", str(theirs.fileno())],
                          pass_fds=[theirs.fileno()])
theirs.close()
print(helper.pid, flush=True)
ours.send(bytes.fromhex(sys.argv[2]))
ours.recv(1000)
if not os.fork():
    time.sleep(1000)  # holds the connection
print("answered", flush=True)
time.sleep(1000)
"""


def test_private_helper_ends_with_its_client():
    parent = subprocess.Popen([sys.executable, "-c", PARENT, TOOL, request(HELLO).hex()],
                              stdout=subprocess.PIPE, start_new_session=True)
    try:
        helper = int(parent.stdout.readline())
        assert parent.stdout.readline() == b"answered\n"
        parent.kill()
        parent.wait()
        assert eventually(lambda: harness.state(helper) in "XZ")
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()


@pytest.mark.parametrize("arguments, status, word", [
    (["--fd", "77"], 2, b"--fd 77"), (["--fd", "x"], 2, b"whole number"), (["--fd", "0"], 2, b"--fd 0"),
    (["--max-clients", "0"], 2, b"from 1"), (["--max-per-user", "1e3"], 2, b"whole number"),
    (["--socket", ""], 1, b"--socket"), (["--socket", "/x" * 80], 1, b"--socket"),
    (["--socket", "/nonexistent/s"], 1, b"No such file"), (["extra"], 2, b"unexpected"),
    (["--nonsense"], 2, b"--help"), (["--socket", "/tmp/x", "--fd", "3"], 2, b"exclude")])
def test_wrong_command_lines(arguments, status, word):
    done = subprocess.run([TOOL, "serve"] + arguments, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, timeout=harness.PATIENCE)
    assert done.returncode == status and word in done.stderr, done.stderr


def test_not_root(folder):
    tool = os.path.join(folder, "pymem-bpf")
    shutil.copy(TOOL, tool)
    for command in (["serve", "--socket", os.path.join(folder, "s")], ["memit", "--", "true"]):
        done = subprocess.run([tool] + command, stderr=subprocess.PIPE, timeout=harness.PATIENCE, cwd="/",
                              user=USER, group=USER, extra_groups=[])
        assert done.returncode == 3
        assert "Run it as root: sudo %s %s " % (os.path.realpath(tool), command[0]) in done.stderr.decode()


def test_not_root_in_a_virtual_environment(folder):
    """sudo does not look into the folders of the user's PATH: what is to be typed says where the program is."""
    tool = os.path.join(folder, "pymem-bpf")
    shutil.copy(TOOL, tool)
    env = dict(os.environ, PATH="%s:/usr/bin:/bin" % folder)
    for command, line in ((["-p", "1"], "sudo $(which pymem-bpf) …"),
                          (["serve", "--socket", os.path.join(folder, "s")], "sudo $(which pymem-bpf) serve …")):
        done = subprocess.run(["pymem-bpf"] + command, stderr=subprocess.PIPE, timeout=harness.PATIENCE, cwd="/",
                              env=env, user=USER, group=USER, extra_groups=[])
        assert done.returncode == 3 and "Run it as root: %s " % line in done.stderr.decode(), done.stderr
    done = subprocess.run(["pymem-bpf", "check"], stdout=subprocess.PIPE, timeout=harness.PATIENCE, cwd="/",
                          env=env, user=USER, group=USER, extra_groups=[])
    assert done.returncode == 3 and b"\n        run as root: sudo $(which pymem-bpf) check; " in done.stdout, done.stdout
    # What is printed finds it, with a PATH as sudo makes it.
    found = subprocess.run(["sh", "-c", "env PATH=/usr/sbin:/usr/bin:/sbin:/bin $(which pymem-bpf) --version"], env=env,
                           stdout=subprocess.PIPE, timeout=harness.PATIENCE)
    assert found.returncode == 0 and found.stdout.startswith(b"pymem-bpf ")


def test_help():
    done = subprocess.run([TOOL, "serve", "--help"], stdout=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 0
    for word in (b"--socket", b"--fd", b"--max-clients", b"--max-per-user", b"-v", b"-q"):
        assert word in done.stdout


def test_installed_units(folder):
    """What is installed names the program's place, and allows the server what it needs."""
    subprocess.run(["make", "-s", "-C", harness.PROJECT, "install", "DESTDIR=" + folder,
                    "PREFIX=/usr"], check=True, timeout=300)
    units = os.path.join(folder, "usr/lib/systemd/system")
    with open(os.path.join(units, "pymem-bpf.service")) as f:
        service = dict(line.strip().split("=", 1) for line in f if "=" in line and line[0] != "#")
    assert service["ExecStart"] == "/usr/sbin/pymem-bpf serve"
    assert os.access(folder + service["ExecStart"].split()[0], os.X_OK)
    with open(os.path.join(units, "pymem-bpf.socket")) as f:
        assert "ListenSequentialPacket=/run/pymem-bpf.sock" in f.read()
    capabilities = ",".join("+" + c[4:].lower() for c in service["CapabilityBoundingSet"].split())
    path = os.path.join(folder, "s")
    process = subprocess.Popen(["setpriv", "--no-new-privs", "--bounding-set=-all," + capabilities,
                                TOOL, "serve", "--socket", path], stderr=subprocess.PIPE)
    try:
        assert b"listening" in process.stderr.readline()
        with Client(path, USER) as client:
            assert client.track()["status"] == OK
            page = client.page()
            client.tell("grow", BLOCK)
            assert rss_pages(client.pid) == page.rss
        process.terminate()
        assert process.wait(harness.PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
