# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Firefox without a window, driven by its own protocol (Marionette): Debian has no geckodriver, and what drives
Chromium wants a Firefox of its own."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# A free port is found by Firefox, which writes it into its profile; nothing is asked of the network.
PREFERENCES = """user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
"""


def find():
    """Its path, or None."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A browser, in a `with`. Methods raise RuntimeError with what Firefox says."""

    def __init__(self, patience=60):
        self.patience, self.last = patience, 0

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="pymem-firefox-")
        try:
            with open(os.path.join(self.profile, "user.js"), "w") as f:
                f.write(PREFERENCES)
            self.process = subprocess.Popen(
                [find(), "--headless", "--marionette", "--no-remote", "--profile", self.profile],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "HOME": self.profile, "MOZ_CRASHREPORTER_DISABLE": "1"})
            self.socket = self.connect()
            self.receive()
            self.say("WebDriver:NewSession", {})
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        process = getattr(self, "process", None)
        if process:
            # All of its processes, which are a session of their own.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def connect(self):
        port, deadline = os.path.join(self.profile, "MarionetteActivePort"), time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("Firefox ended with status %d" % self.process.returncode)
            try:
                with open(port) as f:
                    return socket.create_connection(("127.0.0.1", int(f.read())), self.patience)
            except (FileNotFoundError, ValueError, ConnectionError):
                time.sleep(0.1)
        raise RuntimeError("Firefox does not listen")

    def receive(self):
        """A message: its length in digits, a colon, JSON."""
        head = b""
        while not head.endswith(b":"):
            head += self.receive_bytes(1)
        return json.loads(self.receive_bytes(int(head[:-1])))

    def receive_bytes(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise RuntimeError("Firefox has closed the connection")
            data += piece
        return data

    def say(self, name, parameters):
        self.last += 1
        text = json.dumps([0, self.last, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, number, error, result = self.receive()
        assert number == self.last
        if error:
            raise RuntimeError("%s: %s" % (name, error["message"]))
        return result

    def open(self, url):
        # The same address with another hash would not be loaded again.
        self.say("WebDriver:Navigate", {"url": "about:blank"})
        self.say("WebDriver:Navigate", {"url": url})

    def evaluate(self, text):
        return self.say("WebDriver:ExecuteScript", {"script": "return (%s)" % text, "args": []})["value"]

    def wait_for(self, text):
        """Waits until the expression is true, and returns its value."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            value = self.evaluate(text)
            if value:
                return value
            time.sleep(0.05)
        raise RuntimeError("not in time: " + text)

    def press(self, key):
        self.say("WebDriver:PerformActions", {"actions": [{"type": "key", "id": "k", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})
