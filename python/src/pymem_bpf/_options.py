# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Options at the start of a magic's line, in front of Python code.

IPython's own parser splits the whole line at blanks and joins it again, which changes the code behind
the options (two blanks in a string become one) and cuts a value at its first blank. Here the code
is left as it was typed, and the value of an option may be any expression: it ends at a blank that
is outside of brackets and quotes.
"""

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple

OPEN, CLOSE, QUOTES = "([{", ")]}", "\"'"


class OptionError(ValueError):
    """The text is for the user."""


def scan_value(text: str, start: int) -> int:
    """Index of the first blank from `start` on that is outside of brackets and quotes."""
    quote: "str | None" = None
    depth, at = 0, start
    while at < len(text):
        c = text[at]
        if quote:
            if c == "\\":
                at += 1
            elif c == quote:
                quote = None
        elif c in QUOTES:
            quote = c
        elif c in OPEN:
            depth += 1
        elif c in CLOSE:
            depth -= 1
        elif c.isspace() and depth <= 0:
            break
        at += 1
    if quote or depth > 0:
        raise OptionError("no end of %s in: %s" % ("the string" if quote else "a bracket",
                                                  text[start:].rstrip()))
    return min(at, len(text))


def unquote(value: str) -> str:
    """The value without quotes around all of it: they belong to the line, as in a shell, not to the expression."""
    if len(value) > 1 and value[0] in QUOTES and value[0] == value[-1] and value[0] not in value[1:-1]:
        return value[1:-1]
    return value


def split_options(line: str, spec: str) -> "Tuple[Dict[str, List[Any]], str]":
    """({letter: list of values}, the rest of the line). spec: as getopt's, "f:T:rc". An option
    that takes no value has True for each time it was given. OptionError."""
    takes = {letter: spec[at + 1:at + 2] == ":" for at, letter in enumerate(spec) if letter != ":"}
    found: "Dict[str, List[Any]]" = {}
    at = 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        if line[at:at + 1] != "-" or line[at + 1:at + 2].isspace() or at + 1 >= len(line):
            return found, line[at:]
        if line[at + 1] == "-":
            if line[at + 2:at + 3] and not line[at + 2].isspace():
                raise OptionError("no option %s; there are -%s" % (line[at:].split()[0],
                                                                  ", -".join(takes)))
            return found, line[at + 2:].lstrip()
        at = _letters(line, at + 1, takes, found)


def _letters(line: str, at: int, takes: "Dict[str, bool]", found: "Dict[str, List[Any]]") -> int:
    """The options of one word: `-coq`, `-r3`, `-r 3`. Index behind them."""
    while at < len(line) and not line[at].isspace():
        letter = line[at]
        if letter not in takes:
            raise OptionError("no option -%s; there are -%s. If this is code: put -- in front of it"
                              % (letter, ", -".join(takes)))
        at += 1
        if not takes[letter]:
            found.setdefault(letter, []).append(True)
            continue
        while at < len(line) and line[at].isspace():
            at += 1
        end = scan_value(line, at)
        if end == at:
            raise OptionError("option -%s takes a value" % letter)
        found.setdefault(letter, []).append(unquote(line[at:end]))
        return end
    return at
