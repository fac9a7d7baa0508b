# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A server to which profiles are pushed: it takes them, or does what it is told instead, and reads them by the numbers of
their fields, without the description that the program is made from."""
import gzip
import socket
import ssl
import threading

PATH = "/push.v1.PusherService/Push"


# --- messages ---

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """[(number, value)] of a message: values are numbers, or bytes."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2, key
            size, at = varint(data, at)
            assert at + size <= len(data)
            value, at = data[at:at + size], at + size
        found.append((key >> 3, value))
    return found


def numbers(value):
    """Those that are packed, with signs."""
    at, found = 0, []
    while at < len(value):
        number, at = varint(value, at)
        found.append(number - (1 << 64) if number >> 63 else number)
    return found


class Profile:
    """What pprof reads: sums by type, and by function of the innermost line."""

    def __init__(self, packed):
        data = gzip.decompress(packed)
        self.size = len(data)
        texts, types, functions, locations, samples = [], [], {}, {}, []
        self.seconds = 0
        for number, value in fields(data):
            if number == 1:
                types.append(dict(fields(value))[1])
            elif number == 2:
                samples.append(fields(value))
            elif number == 4:
                location = fields(value)
                line = dict(fields(next(v for n, v in location if n == 4)))
                locations[dict(location)[1]] = line[1]
            elif number == 5:
                function = dict(fields(value))
                functions[function[1]] = function[2]
            elif number == 6:
                texts.append(value.decode())
            elif number == 10:
                self.seconds = value / 1e9
        self.types = [texts[number] for number in types]
        self.labels = [field for sample in samples for field in sample if field[0] == 3]
        self.sums = dict.fromkeys(self.types, 0)
        self.flat = {}
        self.least = 0
        for sample in samples:
            values = numbers(next(v for n, v in sample if n == 2))
            leaf = numbers(next(v for n, v in sample if n == 1))[0]
            name = texts[functions[locations[leaf]]]
            self.least = min([self.least] + values)
            for kind, amount in zip(self.types, values):
                self.sums[kind] += amount
                self.flat[name, kind] = self.flat.get((name, kind), 0) + amount


class Request:
    """One push: `headers` with small letters, `series`: [(labels, Profile)]."""

    def __init__(self, head, body):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, self.version = first.split(" ")
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self.size = len(body)
        self.series = []
        for number, value in fields(body):
            assert number == 1
            parts = fields(value)
            labels = [tuple(text.decode() for _, text in sorted(fields(v))) for n, v in parts if n == 1]
            assert len(dict(labels)) == len(labels), labels
            sample, = (v for n, v in parts if n == 2)
            self.series.append((dict(labels), Profile(dict(fields(sample))[1])))


# --- the server ---

class Pyroscope:
    """`modes`: what is done with the next connections, one after the other; the last one for all others.

    ok: 200. A number, or (number, headers, body): that status. hang: it is read and not answered. deaf: it is not even read.
    half: some of it is read, and the connection closed. head: headers without an end."""

    def __init__(self, *modes, context=None, port=0):
        self.modes, self.context = list(modes) or ["ok"], context
        self.requests, self.connections, self.trouble = [], 0, []
        self.ended = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.socket.close()

    def url(self, host="127.0.0.1", path=""):
        return "http%s://%s:%d%s" % ("s" if self.context else "", host, self.port, path)

    def serve(self):
        while not self.ended.is_set():
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            mode = self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]
            self.connections += 1
            threading.Thread(target=self.talk, args=(client, mode), daemon=True).start()

    def talk(self, client, mode):
        try:
            with client:
                client.settimeout(120)
                if self.context:
                    client = self.context.wrap_socket(client, server_side=True)
                with client:
                    self.answer(client, mode)
        except (OSError, ssl.SSLError):
            pass
        except Exception as why:  # pylint: disable=broad-except
            self.trouble.append(why)

    def read(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.more(client)
        head, body = data.split(b"\r\n\r\n", 1)
        size = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")).split()[1])
        while len(body) < size:
            body += self.more(client)
        assert len(body) == size
        return Request(head, body)

    @staticmethod
    def more(client):
        data = client.recv(65536)
        if not data:
            raise ConnectionResetError
        return data

    def answer(self, client, mode):
        if mode == "deaf":
            self.ended.wait(120)
            return
        if mode == "half":
            client.recv(10)
            return
        request = self.read(client)
        self.requests.append(request)
        if mode == "hang":
            self.ended.wait(120)
        elif mode == "head":
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            while not self.ended.wait(0.01):
                client.sendall(b"X-More: " + b"x" * 500 + b"\r\n")
        else:
            status, headers, body = (200, ("Content-Type: application/proto",), b"") if mode == "ok" else mode if isinstance(mode, tuple) else (mode, (), b"")
            lines = ["HTTP/1.1 %d x" % status, "Content-Length: %d" % len(body), *headers, "", ""]
            client.sendall("\r\n".join(lines).encode() + body)
