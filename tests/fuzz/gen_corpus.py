#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes the seed corpus: small real inputs for each fuzz target.

  tests/fuzz/gen_corpus.py [FOLDER]        default: tests/fuzz/corpus

Line tables come from tests/unit/data/py_code_cases.txt, which real interpreters wrote. ELF files are built
by the C compiler, with the symbols, strings and SDT notes that interpreters have. /proc files are those of
this process and this interpreter. A file's name says what is in it, so a new run replaces what an earlier
one wrote.
"""
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(os.path.dirname(HERE), "unit", "data", "py_code_cases.txt")
KINDS = ["lnotab", "linetable", "locations"]
PER_VERSION = 4
LONGEST = 400

NOTE = '''
__asm__(".pushsection .note.stapsdt,\\"\\",\\"note\\"\\n"
        ".balign 4\\n.4byte 7, 1f-0f, 3\\n.asciz \\"stapsdt\\"\\n"
        "0: .8byte 0x1000, 0x2000, 0x3000\\n"
        ".asciz \\"python\\"\\n.asciz \\"%s\\"\\n.asciz \\"8@%%rax 8@%%rdx -4@%%ecx\\"\\n"
        "1: .balign 4\\n.popsection\\n");
'''
RUNTIME = "char _PyRuntime[64] = \"xdebugpy\";\n"
TEXTS = 'const char text[] = "%s", tag[] = "cpython-%s", lib[] = "lib/python%s";\n'
# name: (source, flags)
IMAGES = {
    "shared-hex": (RUNTIME + "const unsigned long Py_Version = 0x030c01f0;\n", ["-shared"]),
    "shared-probes": (RUNTIME + TEXTS % ("3.9.2", "39", "3.9") + NOTE % "line"
                      + NOTE % "function__entry", ["-shared"]),
    "executable-3.6": ("void *_PyThreadState_Current, *interp_head;\nvoid _start(void) {}\n"
                       + TEXTS % ("3.6.15", "36", "3.6"), ["-no-pie"]),
    "debug": (RUNTIME + "void _Py_NegativeRefcount(void) {}\n"
              + TEXTS % ("3.10.13+", "310", "3.10"), ["-shared"]),
    "python2": ("void *_PyThreadState_Current;\nvoid PyString_FromString(void) {}\n"
                + TEXTS % ("2.7.18", "27", "2.7"), ["-shared"]),
    "no-python": ("int other;\n" + NOTE % "other", ["-shared"]),
}


def line_tables():
    """(name, input of fuzz_lines) of a few tables of each version."""
    taken = {}
    with open(CASES, encoding="ascii") as file:
        for line in file:
            version, kind, first, table = line.split()[:4]
            table = b"" if table == "." else bytes.fromhex(table)
            count = taken.setdefault(version, 0)
            # Short and long ones, not the first few of one module.
            if len(table) > LONGEST or count == PER_VERSION or len(table) < 16 * count:
                continue
            taken[version] += 1
            # The input's first byte also says how much of the table the cut one has.
            yield "%s-%d" % (version, count), struct.pack(
                "<Bii", KINDS.index(kind) + 126, int(first), 2 * count) + table


def images():
    """(name, ELF file), as small as the linker makes them."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = os.path.join(folder, "image.c"), os.path.join(folder, "image")
        for name, (text, flags) in IMAGES.items():
            with open(source, "w", encoding="ascii") as file:
                file.write(text)
            subprocess.run(["cc", "-Os", "-nostdlib", "-fPIC", "-fno-asynchronous-unwind-tables",
                            "-Wl,--build-id=none,-z,noseparate-code,-z,max-page-size=256",
                            "-Wl,-z,norelro", *flags, source, "-o", out], check=True)
            with open(out, "rb") as file:
                yield name, file.read()
            subprocess.run(["strip", out], check=True)
            with open(out, "rb") as file:
                yield name + "-stripped", file.read()


def proc_files():
    """(name, text): the system's interpreter, which runs nothing of its user's."""
    for name in "maps", "stat":
        text = subprocess.run(["/usr/bin/python3", "-I", "-S", "-c",
                               "print(open('/proc/self/%s').read(), end='')" % name],
                              stdout=subprocess.PIPE, check=True, cwd="/").stdout
        yield name, text
    yield "maps-deleted", (b"7f0000000000-7f0000001000 r-xp 00000000 fd:01 42"
                           b"                         /usr/lib/a b\\012c.so (deleted)\n"
                           b"7f0000001000-7f0000002000 rw-p 00000000 00:00 0\n")
    yield "stat-name", b"7 (a) b) (c\n) S 1 7 7 0 -1 4194304 " + b"1 " * 30 + b"\n"


def requests():
    with open("/proc/self/status", "rb") as file:
        status = b"".join(line for line in file if line.split(b":")[0] in
                          (b"Name", b"Umask", b"State", b"Tgid", b"Uid", b"Gid", b"Groups",
                           b"NStgid", b"CapInh", b"CapPrm", b"CapEff"))
    yield "status", status
    for name, op in ("hello", 1), ("track", 2), ("reset", 3), ("untrack", 4), ("no-op", 9):
        yield name, struct.pack("<IHHiIQQ", 0x53424d50, 1, op, 0, 0, 0, 0)
    yield "version", struct.pack("<IHHiIQQ", 0x53424d50, 2, 1, 0, 0, 0, 0)


def message(body, size):
    """A record of fuzz_store: 255 bytes at most, zero-filled to `size`."""
    return struct.pack("<BH", len(body), size - len(body)) + body


def messages():
    stack = struct.pack("<IIQII", 1, 1, 77, 2, 0) + struct.pack("<QQiI", 0x1000, 5, 4, 0) * 2
    yield "stack", b"\x00" + message(stack, len(stack))
    table = bytes([6, 1, 8, 2, 10, 255])
    head = struct.pack("<IIQQQiIII", 2, 1, 0x1000, 5, 0x2000, 10, len(table), 0, 0)
    names = struct.pack("<IHBBIHBB", 8, 8, 1, 0, 4, 8, 2, 0) + b"/srv/a.py"
    code = head + names
    yield "code", b"\x00" + message(code, 1700) + message(stack, len(stack))


def strings():
    """Shapes of the strings of an image: each kind, ASCII or not, compact or not."""
    for version in range(16):
        yield "version-%d" % version, bytes([version, 1, 0]) + bytes([0x84, 0x81, 0x72, 0x60] * 2)
    for shape in range(16):
        yield "shape-%d" % shape, bytes([5 + shape % 11, 0, 0]) + bytes([0xf0 | shape] * 8)
    yield "cycle", bytes([6, 0, 0]) + bytes([0x84] * 8) + struct.pack("<HBi", 0x9000, 2, 0)
    yield "failing", bytes([8, 1, 9]) + bytes([0x84] * 8)


def texts():
    for name, text in (("ascii", "/srv/app/main.py"), ("wide", "\u76ee\u6a19/\U0001f40d.py"),
                       ("marks", "e\u0301\u0327\u0301\u0301\u0301"), ("bidi", "a\u202eb\u2066c"),
                       ("control", "\x1b]0;x\x07\x1b[31m\r\n\t\x7f\x9b")):
        yield name, bytes([100, 4, 8, 1]) + text.encode("utf-8")
    yield "invalid", bytes([20, 4, 8, 0]) + b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80x"


def codes():
    """Of fuzz_py_code: a header, then a table that is also taken for characters."""
    for name, body in line_tables():
        yield name, body[:1] + b"\x80" + body[1:]


def offsets():
    yield "each", bytes([0])
    for build in range(6):
        yield "build-%d" % build, bytes([build, 8]) + struct.pack("<Q", 16)


def faults():
    """Of fuzz_heap: a heap as it is, words of it replaced, records of its file changed; for each version."""
    for version in range(8):
        yield "version-%d" % version, bytes([version << 1])
        for kind in range(9):
            body = b"".join(bytes([page, page * 37 & 255, kind | (page << 4 & 0xf0)]) + struct.pack("<Q", 0x7f0000000030 + page)
                            for page in range(0, 40, 3))
            yield "faults-%d-%d" % (version, kind), bytes([version << 1]) + body
    for at in range(0, 256, 8):
        yield "file-%d" % at, bytes([7, at >> 8, at & 255, at >> 3 & 1, 0x41])


def name_hash(name):
    """births_name_hash()."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & 0xffffffff
    return value


def births(error=0, watched=1, lines=(("/srv/a.py", "f", 7),), samples=((0, 0, 3, 0),), magic=0x7368747269624871,
           names=1):
    """The file of the births' child (user/heap/births_results.h): stacks of these lines, and samples of (object,
    type, change, stack)."""
    head = struct.pack("<QiIII", magic, error, 2, len(samples), 0) + struct.pack(
        "<BxxxiQd7Q3d", watched, 0, 0, 1.0 if watched else 0.0, 3, 0, 9, 0, 0, 0, 1, 2.5, 1.5, 30.0)
    stack = struct.pack("<I", len(lines)) + b"".join(
        struct.pack("<iHHHH", line, len(file), len(name), names, 0) + file.encode() + name.encode() +
        struct.pack("<I", name_hash("kept")) * names for file, name, line in lines)
    return head + stack + struct.pack("<I", 0) + b"".join(
        struct.pack("<QQqII", *sample, 0) for sample in samples)


def births_files():
    """Of fuzz_births: objects 0 and 1 are containers, the others are in them."""
    yield "writes", births(samples=[(0, 0, 3, 0), (1, 0, 90, 0), (1, 0, 1, 1)])
    yield "objects", births(watched=0, samples=[(i, 1, 1, 0) for i in range(2, 16)])
    yield "deep", births(lines=[("/srv/a.py", "f%d" % i, i) for i in range(12)])
    yield "named", births(watched=0, samples=[(i, 1, 1, 0) for i in range(2, 16)], names=3)
    yield "too-many-names", births(names=257)
    yield "refused", births(error=-95, samples=())
    yield "too-deep", births(lines=[("a", "b", 1)] * 13)
    yield "shrinks", births(samples=[(0, 0, -1, 0)])
    yield "wrong-stack", births(samples=[(0, 0, 1, 2)])
    yield "other-magic", births(magic=1)


def packed(*numbers):
    """Numbers as a recording has them (user/record/amounts.c)."""
    out = bytearray()
    for number in numbers:
        while number >= 128:
            out.append(number & 127 | 128)
            number >>= 7
        out.append(number)
    return bytes(out)


def row(node, flags, **fields):
    """A row of figures, all of them positive."""
    places = sorted((int(name[1:]), value) for name, value in fields.items())
    return packed(node, flags, sum(1 << at for at, _ in places), *[2 * value for _, value in places])


def facts_bytes(note=b"a kernel without"):
    numbers = packed(12, *range(12)) + packed(2, 1, 2) + packed(4, 0, 0, 0, 1)
    skip = packed(1, 7, 4) + b"java" + packed(3) + b"why" + packed(0)
    unwatched = packed(1, 5, 3, 1, 2, 8, 9, 0)
    return numbers + packed(2) + b"py" + packed(0, 0, 0) + skip + unwatched + packed(1, len(note)) + note + packed(0, 0, 0)


def amounts():
    """Of fuzz_amounts: rows, or facts."""
    yield "rows", b"\0" + row(1, 0, f0=25, f1=25, f3=25) + row(0, 2, f0=3) + row(3, 1, f9=1 << 40, f39=1)
    yield "facts", b"\1" + facts_bytes()


def changed(what, first=0, second=0, data=b""):
    return struct.pack("<BqqB", what, first, second, len(data)) + data


def recordings():
    """Of fuzz_recording: changes of a good recording."""
    yield "none", b""
    yield "figures", changed(0, 0, 0, row(1, 0, f0=25, f1=25, f4=99) + row(0, 2, f0=3))
    yield "more-figures", changed(1, 2, 1, row(2, 0, f0=1 << 30)) + changed(1, 3, 2, row(3, 1, f10=4, f15=4096))
    yield "facts", changed(2, 0, 0, facts_bytes())
    yield "touched", changed(3, 1, 0, packed(0, 200, 90, 100, 5, 0, 0, 1, 30)) + changed(4, 1, 0, packed(1, 0, 2, 1))
    yield "away", changed(30, 1, 0, packed(1, 40, 2, 3, 0, 9))
    yield "texts", changed(5, 1, 0, b"/srv/a.py") + changed(19, 0, 0, b"host\x1b[2J")
    yield "frames", changed(7, 1, 2) + changed(8, -1, 1 << 40) + changed(9, 4, 2)
    yield "images", changed(10, 1 << 40, -1, b"a\0b\0\xff") + changed(12, 1700000001, 1700000002)
    yield "amounts", changed(13, 1 << 40, -5) + changed(14, 1, 2) + changed(15, 5, 6)
    yield "times", changed(16, 3, 5) + changed(17, 1 << 40, 1 << 41) + changed(18, 1700000000, 1)
    yield "looks", changed(21, 1700000002, 1, b"x\x9c\x03\0\0\0\0\x01") + changed(22, 0, 1)
    yield "file", bytes([100, 0, 255, 0, 16, 13])


def alarms():
    """Of fuzz_alarms: alarms, one a line, and then sizes over time."""
    def sizes(size_at, step=8, count=200):
        return b"\0" + b"".join(struct.pack("<HH", step, size_at(i)) for i in range(count))
    yield "growth", b"growth>50MiB/h\ncontainer:growth>1.5 GiB/d over 2 d\nprogram:growth>4KiB/s"
    yield "sizes", b"process:rss>2GiB\nlimit > 90 %\ncontainer:limit>99.5%"
    yield "wrong", b"rss>2GB\ngrowth>5MiB/m\nhost:rss>1GiB\nlimit>101%\n\nrss>\xff\x1b[2J"
    yield "leak", b"growth>1MiB/s over 60s" + sizes(lambda i: 100 + 20 * i)
    yield "sawtooth", b"growth>1MiB/min over 2min" + sizes(lambda i: 100 + i % 25)
    yield "gaps", b"growth>1KiB/h" + sizes(lambda i: i * i, step=2000, count=90)


def config_files():
    """Of fuzz_toml: what the agent takes, and one line each of what it does not."""
    yield "agent", b"# all\n\nsize = 1_024\nrotate = '1h'\r\nno-sources = true # yes\nquiet=false\nalarm = [\n  \"growth>50MiB/h\",\n]\n"
    yield "strings", b'a = "\\b\\t\\n\\f\\r\\"\\\\\\u00e4\\U0001F40D \xc3\xa4"\nb = \'C:\\x "y"\'\nc = ""'
    yield "numbers", b"a=+99\nb=-17\nc=-0\nd=1_0e-1_0\ne=6.626e+34\nf=-0.01\ng=9223372036854775807"
    yield "arrays", b"a = [ # one\n 1, 2.5,'x' # two\n , true,]\nb = []"
    for name, line in (("table", "[a.b]"), ("tables", "[[a]]"), ("inline", "a = {b = 1}"), ("dotted", "a.b = 1"), ("quoted", "'a' = 1"),
                       ("date", "a = 1979-05-27T07:32:00Z"), ("lines", 'a = """\nx"""'), ("hex", "a = 0xff_ff"), ("inf", "a = -inf"),
                       ("nested", "a = [[1], 2]"), ("twice", "a = 1\na = 2"), ("before", "size = 16 MiB\nquiet"), ("text", "a = 1h # x"),
                       ("escape", 'a = "\\x41"'), ("surrogate", 'a = "\\ud800"'), ("control", "a = '\x1b[2J'")):
        yield name, line.encode()
    yield "invalid", b"# \xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"


def web_requests():
    """Of fuzz_http: what a client sends, and a number of seconds."""
    def get(path, *headers, method="GET", body=b""):
        return b"\r\n".join([b"%s %s HTTP/1.1" % (method.encode(), path), b"Host: 127.0.0.1:9746", *headers, b"", body])
    yield "metrics", get(b"/metrics", b"Accept: text/plain;version=0.0.4", b"Authorization: Bearer x")
    yield "rss", get(b"/debug/pprof/rss?seconds=30")
    yield "many", get(b"/debug/pprof/rss?a&seconds=%31%00&seconds=1&=&%", b"Connection: keep-alive")
    yield "kept", get(b"/debug/pprof/kept?debug=1") + get(b"/metrics")
    yield "body", get(b"/debug/pprof/rss?seconds=1", b"Content-Length: 9", body=b"123456789")
    yield "chunks", get(b"/debug/pprof/", b"Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n0\r\n\r\n")
    yield "other_host", get(b"/").replace(b"127.0.0.1", b"evil.example")
    yield "number", b"0060"
    yield "wrong", b"61\0"


def replies():
    """Of fuzz_reply: the size of pieces, and an answer of a server, a URL, or an /etc/hosts."""
    for name, text in (("taken", b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n"),
                       ("busy", b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nslow"),
                       ("date", b"HTTP/1.1 503 x\r\nretry-after: Sun, 06 Nov 2094 08:49:37 GMT\r\n\r\n"),
                       ("refused", b'HTTP/1.1 400 x\r\n\r\n{"code":"invalid_argument","message":"a \\"b\\" \\\\"}'),
                       ("chunks", b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
                       ("interim", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204\n\n"),
                       ("redirect", b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n\x1b[2J"),
                       ("other", b"220 mail.example.org ESMTP\r\n"),
                       ("https", b"https://profiles.example.org:4040/a/b/"), ("v6", b"http://[2001:db8::7]:80"),
                       ("hosts", b"127.0.0.1 localhost\n192.0.2.7\tx profiles # y\n2001:db8::7 profiles\n")):
        yield name, b"\x06" + text


CORPUS = {"fuzz_reply": replies, "fuzz_alarms": alarms, "fuzz_toml": config_files, "fuzz_http": web_requests, "fuzz_amounts": amounts, "fuzz_recording": recordings, "fuzz_births": births_files, "fuzz_heap": faults, "fuzz_lines": line_tables, "fuzz_elf_image": images, "fuzz_maps": proc_files,
          "fuzz_serve": requests, "fuzz_store": messages, "fuzz_walk": strings, "fuzz_text": texts,
          "fuzz_py_code": codes, "fuzz_debug_offsets": offsets}


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus")
    for target, inputs in CORPUS.items():
        folder = os.path.join(top, target)
        os.makedirs(folder, exist_ok=True)
        for name, data in inputs():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main()
