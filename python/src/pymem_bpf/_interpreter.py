# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a command line of the interpreter runs: python3 -X dev -m pkg.mod arguments."""
import os
import re

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import List, Tuple

# No python2, and nothing that only begins so: python3-config, python-argcomplete.
_NAME = re.compile(r"python(3(\.\d+)?)?t?(-?d|-dbg)?")
_WITH_VALUE = "WX"  # in the next word, or in the rest of this one


def is_python(word: str) -> bool:
    """Whether a word names an interpreter."""
    return _NAME.fullmatch(os.path.basename(word)) is not None


def split_command(words: "List[str]") -> "Tuple[List[str], str | None, List[str]]":
    """(options of the interpreter, "script" or "module" or None, the program and its arguments) of the words
    behind the interpreter's name. None: code (-c), standard input, or what ends at once (-V, --help)."""
    at = 0
    while at < len(words):
        word = words[at]
        if word == "-" or word[:1] != "-":
            return words[:at], None if word == "-" else "script", words[at:]
        if word[:2] == "--":
            if word == "--":
                return words[:at], "script" if words[at + 1:] else None, words[at + 1:]
            if word != "--check-hash-based-pycs":
                return words, None, []
            at += 2
            continue
        taken = _letters(word, words, at)
        if isinstance(taken, tuple):
            return taken
        at = taken
    return words, None, []


def _letters(word: str, words: "List[str]", at: int) -> "int | Tuple[List[str], str | None, List[str]]":
    """Index of the word behind `-abc`; or the result of split_command(), if this word ends the options."""
    for place, letter in enumerate(word[1:], 1):
        if letter in _WITH_VALUE:
            return at + (1 if word[place + 1:] else 2)
        if letter == "m":
            before = words[:at] + ([word[:place]] if place > 1 else [])
            program = ([word[place + 1:]] if word[place + 1:] else []) + words[at + 1:]
            return before, "module" if program else None, program
        if letter in "chV?":
            return words, None, []
    return at + 1
