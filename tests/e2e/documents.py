# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What users read: blocks of commands and outputs in the documents, and what is the same in two outputs of one command.

A block is indented by four blanks, or fenced. It is one of

- a session: a prompt (`# `, `$ `) with a command, and what that printed;
- IPython's: `In [1]: …`, and what that printed;
- commands, one a line, perhaps with an explanation behind three blanks;
- an excerpt of an output;
- another language, which the fence names."""
import os
import re

import harness

NAMES = ["README.md", "docs/EXAMPLES.md", "docs/FAQ.md", "docs/HEAP.md", "docs/RECIPES.md", "docs/TROUBLESHOOTING.md"]
PROMPT = re.compile(r"[#$] (?=\S)")
CUT = "[…]"
PROGRAMS = {"pymem-bpf", "sudo", "make", "gunicorn", "celery", "docker", "kubectl"}


def read(name):
    with open(os.path.join(harness.PROJECT, name), encoding="utf-8") as f:
        return f.read()


class Block:
    """Lines without their indentation. `number` is that of the first in the document; `language` "" if none is named."""

    def __init__(self, number, language, lines):
        self.number, self.language, self.lines = number, language, lines

    @property
    def kind(self):
        if self.language:
            return self.language
        if any(PROMPT.match(line) for line in self.lines):
            return "session"
        if self.lines[0].startswith("In ["):
            return "ipython"
        first, *more = self.lines[0].split()
        # What the program says begins with its name, too.
        is_said = first == "pymem-bpf" and any(word.endswith(":") for word in more[:1])
        return "commands" if first in PROGRAMS and not is_said else "excerpt"

    def session(self):
        """[(command, output)]"""
        found = []
        for line in self.lines:
            if PROMPT.match(line):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return [(command, "\n".join(output).strip("\n")) for command, output in found]

    def commands(self):
        """Without explanations and comments."""
        stripped = [re.split(r" {3,}| {2,}#", line)[0].strip() for line in self.lines]
        return [line for line in stripped if line and not line.startswith("#")]

    def cells(self):
        """[(code, output)] of IPython's."""
        found = []
        for line in self.lines:
            match = re.match(r"In \[\d+\]: (.*)", line)
            if match:
                found.append((re.split(r" {3,}#", match.group(1))[0].rstrip(), []))
            else:
                found[-1][1].append(line)
        return [(code, "\n".join(output).strip("\n")) for code, output in found]


def blocks(name):
    """The blocks of a document."""
    found, fence, last_blank = [], None, True
    for number, line in enumerate(read(name).splitlines(), 1):
        opening = re.match(r"```(\w*)$", line)
        if fence:
            if line == "```":
                found.append(fence)
                fence = None
            else:
                fence.lines.append(line)
        elif opening:
            fence = Block(number + 1, opening.group(1), [])
        elif line.startswith("    ") and (last_blank or found and found[-1].open):
            if not (found and found[-1].open):
                found.append(Block(number, "", []))
                found[-1].open = True
            found[-1].lines.append(line[4:])
        elif not line and found and found[-1].open:
            found[-1].lines.append("")
        elif line and found:
            found[-1].open = False
        last_blank = not line
    for block in found:
        while block.lines and not block.lines[-1]:
            block.lines.pop()
    return found


Block.open = False


def masked_command(command):
    """PIDs differ."""
    return re.sub(r"(?<=-p )\d+\b", "PID", command)


# --- what is the same in two outputs ---

PLURALS = re.compile(r"\b(line|holder|type|entr|insertion|collection|process|pool|other|run|object|container|program|Python)"
                     r"(?:s|es|y|ies)?\b")


def sources(folder):
    """All lines of source of the programs there."""
    found = set()
    for name in os.listdir(folder):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                found |= {line.strip() for line in f if line.strip()}
    return found


def whole_source(line, known):
    """A line of a report ends with source text that is cut where the columns end: the whole one takes its place."""
    for match in re.finditer(r"(?<= )\S", line if line.endswith("…") else ""):
        shown = line[match.start():-1].rstrip()
        starts = sorted(s for s in known if len(shown) > 3 and s.startswith(shown))
        if starts:
            return line[:match.start()] + starts[0]
    return line


def first_caller(line):
    """Of callers in one line as many are shown as there is room for."""
    return re.sub(r"(← \S+ \S+)(?: ← [^←]+)*$", r"\1", line)


# What need not be there, or differs from run to run; each as a report has it today, masked.
VARIES = [
    # What comes between the attach and the first look, and after the last one.
    (r"Nothing unattributed\.|# (?:# %\) )?unattributed: [^.]*\.", "UNATTRIBUTED."),
    (r"\b(?:All|# %) of it by", "# % of it by"),
    (r", # % of what live memory grew by", ""),
    (r" # are free in Python's own pool, for object to come\.", ""),
    (r" \(#\)", ""),  # what a part grew by, if it did
    (r"(?: #(?: # %)?)? and # more (?:line|holder|type) \(-n # shows all\)", ""),
    (r", # container\b| \(shared once\)", ""),
    (r"PROGRAM WHERE TOP", "PROGRAM TOP"),
    (r"MiB /min [PR]SS N", "MiB /min PSS N"),
    (r", # of it what functions work on \(most in .*?\), which may pass", ""),
    (r" \(child(?:ren)? of #\)", ""),
]


def shape(text, known):
    """The words of an output in their order, without figures, PIDs and how lines are broken. `known`: sources."""
    lines = [first_caller(whole_source(line.rstrip(), known)) for line in text.splitlines()]
    text = re.sub(r"(\.py):(\d+)", lambda m: "%s:line%s" % (m.group(1), m.group(2).translate(DIGITS)), "\n".join(lines))
    # Where debug registers work, insertions are seen; else bursts see where objects are made.
    text = re.sub(r"\b(put there by|made in)\b", "put there by", text)
    text = re.sub(r"(% of [\d,]+ )(insertion|object)(s?\b)", r"\1insertion\3", text)
    text = re.sub(r"\n +made at [^\n]+", "", text)
    text = re.sub(r"\b\d+\.\d+\.\d+-[\w.+-]*\w", "#", text)  # a kernel's release
    text = re.sub(r"[+-]?(?<![\w.])\d[\d,]*(\.\d+)*( ?[KMG]?i?B\b)?(?![\w])", "#", text)
    text = re.sub(r"[<(]?#,? %", "# %", text)
    text = re.sub(r"={5,}|-{5,}", "====", text)
    text = re.sub(r"\s+", " ", PLURALS.sub(r"\1", text)).strip()
    for pattern, stands_for in VARIES:
        text = re.sub(pattern, stands_for, text)
    return text


# Numbers of lines are not masked: letters stand for their digits.
DIGITS = str.maketrans("0123456789", "abcdefghij")


def differs(wanted, got, known):
    """"" if the output has the shape of the wanted one, in which […] stands for anything; else both."""
    wanted, got = shape(wanted, known), shape(got, known)
    parts = [re.escape(part.strip()) for part in wanted.split(CUT)]
    pattern = parts[0] + "".join(r"(?:.*?)\s*" + part for part in parts[1:])
    if re.fullmatch(pattern, got, re.DOTALL):
        return ""
    return "the document has\n%s\nbut this was printed\n%s" % (wanted, got)


# --- what is in tables, and links ---

def table_commands(name):
    """Commands of tables: code that begins with the program's name."""
    rows = [line for line in read(name).splitlines() if line.startswith("|")]
    return [code for row in rows for code in re.findall(r"`(pymem-bpf [^`]+)`", row)]


def messages():
    """First columns of the tables of messages."""
    found = []
    for line in read("docs/TROUBLESHOOTING.md").splitlines():
        if line.startswith("| `"):
            found += re.findall(r"`([^`]+)`", line.split(" | ")[0])
    return found


def anchor(heading):
    """As GitHub makes them."""
    text = re.sub(r"[^\w\- ]", "", re.sub(r"`", "", heading).lower())
    return text.replace(" ", "-")


def anchors(name):
    text = re.sub(r"^```.*?^```$", "", read(name), flags=re.DOTALL | re.MULTILINE)
    return {anchor(h) for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def links(name):
    """[(text of the link's target, file, anchor or "")] of links inside the project."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if not re.match(r"https?:|mailto:", target):
            path, _, part = target.partition("#")
            found.append((target, os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name, part))
    return found
