#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The TOML reader (user/base/toml.c, by build/toml-dump) against Python's own, on thousands of documents made by dice.

  tests/unit/toml_compare.py [COUNT [SEED]]     documents of each kind (4000), and the seed of the dice (1)

- What it should take, it takes, and reads as Python does: names, order, types, values; each value is where it says.
- What else TOML has, in an otherwise good document, it refuses by its name and line.
- Of documents that were spoilt, and of soup: what it takes, Python takes, and reads the same; what Python takes and it does not, it
  calls "not taken", or too much.

Needs Python 3.11 or newer (tomllib).
"""
import json
import os
import random
import re
import struct
import subprocess
import sys
import tomllib

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DUMP = os.path.join(PROJECT, "build", "toml-dump")
BARE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
LARGEST = 2 ** 63
CONVERT = {"string": str, "integer": int, "float": lambda text: repr(float(text)), "boolean": lambda text: text == "true"}

# Lines of what TOML has, and the reader has not, and how it names them. NAME: one that is not there yet.
OTHERS = [
    ("[NAME]", "a table, [ ],"), ("[ NAME . 'x' ]", "a table, [ ],"), ("[[NAME]]", "an array of tables, [[ ]],"),
    ("NAME = {}", "an inline table, { },"), ("NAME = { a = 1, b = 'x' }", "an inline table, { },"),
    ("NAME = [ 1, { a = 1 } ]", "an inline table, { },"), ("NAME = [ [], 1 ]", "an array within an array"),
    ("NAME = [ 1, [ 'x', [ 2 ] ] ]", "an array within an array"),
    ("NAME.b = 1", "a dotted name"), ("NAME . \"c\" = 1", "a dotted name"), ("'NAME' = 1", "a name in quotes"),
    ("\"NAME\\t\" = 1", "a name in quotes"), ("NAME = 1979-05-27", "a date or time"), ("NAME = 07:32:00", "a date or time"),
    ("NAME = 1979-05-27T07:32:00Z", "a date or time"), ("NAME = [ 1979-05-27 00:32:00.999-07:00 ]", "a date or time"),
    ("NAME = \"\"\"x\"\"\"", "a text of several lines, \"\"\","), ("NAME = '''\n'''", "a text of several lines, ''',"),
    ("NAME = 0xdead_BEEF", "a hexadecimal, octal or binary number"), ("NAME = 0o17", "a hexadecimal, octal or binary number"),
    ("NAME = [ 0b1_0 ]", "a hexadecimal, octal or binary number"), ("NAME = -inf", "inf"), ("NAME = [+nan]", "nan"),
    ("NAME = 9223372036854775808", "a whole number of more than 64 bits"), ("NAME = '' # x\nNAME2 = \"\\u0000\"", "a NUL character"),
]
# What documents are spoilt with.
PIECES = ["[", "]", "[[", "{", "}", "=", ".", ",", "#", "'", '"', "'''", '"""', "\\", "\\u", "\\U0001F40D", "\\u0041", "\\ud800",
          "\\e", "_", "-", "+", "0", "1", "e", "E", "x", "0x1", "0o7", "0b1", "inf", "nan", "true", "false", "1979-05-27", ":",
          "07:32:00", "\n", "\r", "\r\n", "\t", " ", "a", "a = 1\n", "\0", "\x01", "\x7f", "\x80", "\u2028", "\ufeff", "\u00e4",
          "\U0001f40d", "9223372036854775808", "\n[t]\n", "\n[[t]]\n", "a.b = 1\n", " b = 1", "\xa0", "\uff11"]
BYTES = [b"\xff", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xc3",
         b"\x80"]


# --- documents ---

class Writer:
    """One document that the reader should take."""

    def __init__(self, dice):
        self.dice = dice
        self.newline = dice.choice(["\n", "\n", "\r\n"])

    def blanks(self):
        return self.dice.choice(["", "", " ", " ", "\t", " \t  "])

    def character(self):
        code = self.dice.choice([self.dice.randrange(0x20, 0x7f), self.dice.randrange(0x20, 0x7f), self.dice.randrange(0x80, 0xd800),
                                 self.dice.randrange(0xe000, 0x110000), 9])
        return chr(code)

    def comment(self):
        if self.dice.random() < 0.7:
            return self.blanks()
        return self.blanks() + "#" + "".join(self.character() for _ in range(self.dice.randrange(12)))

    def name(self):
        return "".join(self.dice.choice(BARE) for _ in range(self.dice.choice([1, 2, 5, 12, 60])))

    def digits(self, first=None):
        text = str(self.dice.choice([0, 1, 7, 10, 99, 1024, 123456789, 2 ** 63 - 1, 2 ** 62])) if first is None else first
        if len(text) > 1 and self.dice.random() < 0.4:
            at = self.dice.randrange(1, len(text))
            text = text[:at] + "_" + text[at:]
        return text

    def integer(self):
        text = self.dice.choice(["", "", "+", "-"]) + self.digits()
        return "-9_223_372_036_854_775_808" if self.dice.random() < 0.05 else text

    def float(self):
        text = self.dice.choice(["", "", "+", "-"]) + self.digits()
        tail = "".join(self.dice.choice("0123456789") for _ in range(self.dice.randrange(1, 19)))
        fraction = "." + self.digits(tail)
        exponent = self.dice.choice("eE") + self.dice.choice(["", "+", "-"]) + self.digits(tail[:3])
        return text + self.dice.choice([fraction, exponent, fraction + exponent])

    def escape(self):
        code = self.dice.choice([self.dice.randrange(1, 0x80), self.dice.randrange(1, 0xd800), self.dice.randrange(0xe000, 0x10000)])
        return self.dice.choice(["\\b", "\\t", "\\n", "\\f", "\\r", '\\"', "\\\\", "\\u%04x" % code, "\\u%04X" % code,
                                 "\\U%08X" % code, "\\U%08x" % self.dice.randrange(0x10000, 0x110000)])

    def basic(self):
        parts = [self.escape() if self.dice.random() < 0.3 else self.character() for _ in range(self.dice.randrange(10))]
        return '"%s"' % "".join("x" if part in '"\\' else part for part in parts)

    def literal(self):
        return "'%s'" % "".join(self.character() for _ in range(self.dice.randrange(10))).replace("'", "x")

    def boolean(self):
        return self.dice.choice(["true", "false"])

    def scalar(self):
        return self.dice.choice([self.integer, self.float, self.basic, self.literal, self.boolean])()

    def gap(self):
        """What may be between the parts of an array."""
        return "".join(self.comment() + self.newline for _ in range(self.dice.choice([0, 0, 0, 1, 2]))) + self.blanks()

    def array(self):
        values = [self.gap() + self.scalar() + self.gap() for _ in range(self.dice.randrange(5))]
        text = ",".join(values) + ("," if values and self.dice.random() < 0.3 else "")
        return "[" + text + self.gap() + "]"

    def lines(self):
        """Its lines, an entry's as one."""
        names = {self.name() for _ in range(self.dice.choice([0, 1, 3, 8, 30]))}
        lines = [self.blanks() + name + self.blanks() + "=" + self.blanks() + (
            self.array() if self.dice.random() < 0.3 else self.scalar()) + self.comment() for name in sorted(names)]
        lines += [self.comment() for _ in range(self.dice.randrange(3))]
        self.dice.shuffle(lines)
        return lines

    def document(self):
        return self.newline.join(self.lines()) + self.dice.choice(["", self.newline])


def good(dice):
    return Writer(dice).document().encode()


def other(dice):
    """(document, how the reader names what it has not, its line)."""
    writer = Writer(dice)
    lines = writer.lines()
    at = dice.randrange(len(lines) + 1)
    line, words = dice.choice(OTHERS)
    text = line.replace("NAME", "other-one")
    number = "".join(line + "\n" for line in lines[:at]).count("\n") + (2 if "other-one2" in text else 1)
    return writer.newline.join(lines[:at] + [text] + lines[at:]).encode(), words, number


def soup(dice):
    """What looks like a number, or a string of pieces that mean something."""
    if dice.random() < 0.5:
        return "".join(dice.choice("001279_+-.eE") for _ in range(dice.randrange(1, 7)))
    quote = dice.choice("'\"\"")
    return quote + "".join(dice.choice(PIECES) for _ in range(dice.randrange(4))) + quote


def spoilt(dice):
    writer = Writer(dice)
    kind = dice.randrange(4)
    if kind == 0:
        return ("a = %s\nb = [%s]" % (soup(dice), soup(dice)) if dice.random() < 0.1 else "a = " + soup(dice)).encode()
    document = bytearray(good(dice) if kind == 1 else b"a = " + writer.scalar().encode() if kind == 2 else
                         b"a = " + writer.array().encode())
    if dice.random() < 0.2:
        document += b"\n" + dice.choice(OTHERS)[0].encode()
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        at = dice.randrange(len(document) + 1)
        piece = dice.choice(BYTES) if dice.random() < 0.1 else dice.choice(PIECES).encode()
        how = dice.randrange(4)
        if how == 0:
            document[at:at] = piece
        elif how == 1:
            document[at:at + len(piece)] = piece
        elif how == 2:
            del document[at:at + dice.choice([1, 1, 1, 2, 5, 20])]
        else:
            end = at + dice.randrange(1, 30)
            document[at:at] = document[at:end]
    return bytes(document)


# --- readers ---

def read_here(documents):
    """What toml-dump says of each."""
    done = subprocess.run([DUMP], input=b"".join(struct.pack("<I", len(d)) + d for d in documents), stdout=subprocess.PIPE)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(said) == len(documents), "toml-dump: status %d after %r" % (
        done.returncode, documents[min(len(said), len(documents) - 1)])
    return said


def plain(value):
    """A value with its type; floats by their digits, since 0.0 is -0.0."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    return type(value).__name__, repr(value) if isinstance(value, float) else value


def read_by_python(document):
    """[(name, value)]; None: it is no TOML."""
    try:
        return [(name, plain(value)) for name, value in tomllib.loads(document.decode()).items()]
    except ValueError:  # of UTF-8, of TOML, of a number with thousands of digits
        return None


def plain_here(value):
    kind = {"string": "str", "integer": "int", "float": "float", "boolean": "bool"}[value[0]]
    return kind, CONVERT[value[0]](value[1])


def is_array(value):
    return not value or isinstance(value[0], list)


def same(said, wanted):
    return wanted == [(name, [plain_here(v) for v in value] if is_array(value) else plain_here(value))
                      for name, value in said["entries"]]


def places_are_right(said, document):
    """A value begins where it is said to be."""
    lines = document.decode().split("\n")
    begins = {"string": "'\"", "integer": "+-0123456789", "float": "+-0123456789", "boolean": "tf"}
    return all(lines[v[2] - 1][v[3] - 1] in begins[v[0]] for _, value in said["entries"]
               for v in (value if is_array(value) else [value]))


# --- comparisons ---

def check_good(documents):
    for document, said in zip(documents, read_here(documents)):
        wanted = read_by_python(document)
        assert wanted is not None, "made wrong: %r" % document
        assert "entries" in said, "%r\n%s" % (document, said)
        assert same(said, wanted), "%r\nhere %s\nPython %s" % (document, said, wanted)
        assert places_are_right(said, document), "%r\n%s" % (document, said)


def check_others(documents):
    for (document, words, line), said in zip(documents, read_here([document for document, _, _ in documents])):
        assert read_by_python(document) is not None, "made wrong: %r" % document
        assert said.get("what", "").startswith(words + " is not taken: ") and said["line"] == line, \
            "%r\n%s, wanted %s in line %d" % (document, said, words, line)


def check_spoilt(documents):
    """(taken, refused by Python too, refused here only)."""
    taken = wrong = others = 0
    for document, said in zip(documents, read_here(documents)):
        wanted = read_by_python(document)
        if "entries" in said:
            assert wanted is not None and same(said, wanted), "%r\nhere %s\nPython %s" % (document, said, wanted)
            assert places_are_right(said, document), "%r\n%s" % (document, said)
            taken += 1
            continue
        assert 1 <= said["line"] <= document.count(b"\n") + 1 and said["column"] >= 1, "%r\n%s" % (document, said)
        assert not re.search("[\0-\x1f\x7f-\x9f]", said["what"]) and len(said["what"]) < 300, "%r\n%s" % (document, said)
        if wanted is None:
            wrong += 1
            continue
        assert " is not taken: " in said["what"] or said["what"].startswith("more than "), "%r\n%s\nPython %s" % (
            document, said, wanted)
        others += 1
    return taken, wrong, others


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    dice = random.Random(seed)
    check_good([good(dice) for _ in range(count)])
    check_others([other(dice) for _ in range(count)])
    taken, wrong, others = check_spoilt([spoilt(dice) for _ in range(count)])
    print("seed %d: %d good documents, %d with what is not taken; of %d that were spoilt %d taken, %d no TOML, %d refused by name"
          % (seed, count, count, count, taken, wrong, others))
    # A comparison in which nothing is taken, or nothing refused, says nothing.
    assert count < 100 or min(taken, wrong, others) > count // 50


if __name__ == "__main__":
    main()
