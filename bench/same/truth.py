# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs a program of this folder and measures what its marked lines do: truth.py PROGRAM.

The program's syntax tree gets a reading of the process's own smaps_rollup before and after each
statement that ends with "# truth: NAME"; all line numbers stay. That count is the kernel's walk of
the page tables, so no profiler has a part in it. Each run of a marked line is said as an
object {"mark", "line", "rss", "most", "top", "copied"}, in bytes: the change of RSS, the highest
it was in between (VmHWM, which is reset before), above RSS at the start and as such, and what was
copied on write: in a fork's child that becomes private without being a new anonymous page.
"""
import ast
import os
import re
import sys

import measured

MARK = re.compile(r"#\s*(truth|known): (\w+)")
_open = {}


def reading():
    fd = os.open("/proc/self/smaps_rollup", os.O_RDONLY)
    text = b""
    part = os.read(fd, 4096)
    while part:
        text += part
        part = os.read(fd, 4096)
    os.close(fd)
    kib = dict(line.split()[:2] for line in text.splitlines()[1:])
    return [1024 * int(kib[key]) for key in (b"Rss:", b"Private_Dirty:", b"Anonymous:")]


def begin(name):
    _open[name] = reading()
    fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
    os.write(fd, b"5")
    os.close(fd)


def end(name, line):
    top = measured.status_bytes("VmHWM")
    now, before = reading(), _open.pop(name)
    rss, private, anonymous = (a - b for a, b in zip(now, before))
    measured.say(mark=name, line=line, rss=rss, most=max(rss, top - before[0]), top=top,
                 copied=private - anonymous)


class Bracket(ast.NodeTransformer):
    """Puts begin() and end() around the marked statements."""

    def __init__(self, named):
        self.named = named

    def call(self, function, arguments, node):
        call = ast.Expr(ast.Call(ast.Name(function, ast.Load()),
                                 [ast.Constant(a) for a in arguments], []))
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit(self, node):
        self.generic_visit(node)
        name = self.named.get(node.lineno) if isinstance(node, ast.stmt) else None
        if name is None or isinstance(node, (ast.For, ast.FunctionDef, ast.If, ast.With)):
            return node
        return [self.call("__pymem_begin", [name], node), node,
                self.call("__pymem_end", [name, node.lineno], node)]


def main(path):
    with open(path) as f:
        text = f.read()
    named = {number: match.group(2) for number, line in enumerate(text.splitlines(), 1)
             for match in [MARK.search(line)] if match and match.group(1) == "truth"}
    tree = Bracket(named).visit(ast.parse(text))
    sys.argv = [path]
    space = {"__name__": "__main__", "__file__": path, "__pymem_begin": begin, "__pymem_end": end}
    exec(compile(tree, path, "exec"), space)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
