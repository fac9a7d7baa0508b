# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A magic's statement: what a user would type, with IPython's own syntax, `await` where autoawait takes
it, and the names of the function that the magic is called from, if it is called from one.

At the prompt it runs in the user's namespace and names that it binds stay. In a function it runs as if it
stood there: it is made the body of a function with those locals that it uses as parameters, so that inner
functions and comprehensions see them too; what it binds is its own and ends with it (as with %timeit).
"""
import __future__
import ast
import functools
import inspect
import operator
import sys

from ._await import run_coroutine

NAME = "__pymem_bpf_statement__"
# Of what the shell's compiler was told, `from __future__ import …` is the user's; the rest is for
# incomplete input.
FUTURE = functools.reduce(operator.or_, (getattr(__future__, name).compiler_flag
                                         for name in __future__.all_feature_names))


def caller_scope(shell, local_ns):
    """The locals of the function that a magic is called from; None at the prompt. local_ns: what IPython
    gives a magic that needs it: of a cell magic always the user's namespace, so its caller is looked for."""
    if local_ns is None or local_ns is not shell.user_ns:
        return None if local_ns is None else dict(local_ns)
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "run_cell_magic":
        frame = frame.f_back
    caller = frame.f_back if frame is not None else None
    if caller is None or caller.f_code.co_name == "<module>" or caller.f_locals is shell.user_ns:
        return None
    return dict(caller.f_locals)


class Statement:
    """Compiled when it is made (what is no Python is a SyntaxError then), run as often as wished.

    scope: the locals that it sees, None: the user's namespace only; they are looked at by bind(), once all
    are there. keep: after run() `scope` has the names that it bound, too (set-up)."""

    def __init__(self, shell, source, scope=None, keep=False):
        self.shell, self.scope, self.keep, self.names = shell, scope, keep, []
        transform = getattr(shell, "transform_cell", None)
        source = transform(source) if transform else source
        # Its source is known to tracebacks, and to the tables of functions that it defines.
        filename = shell.compile.cache(source)
        flags = getattr(shell.compile, "flags", 0) & FUTURE
        if getattr(shell, "autoawait", False):
            flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = compile(source, filename, "exec", flags | ast.PyCF_ONLY_AST, True)
        self.code = compile(tree, filename, "exec", flags, True)
        self.is_async = bool(self.code.co_flags & inspect.CO_COROUTINE)
        self._parsed = tree, filename, flags

    def bind(self):
        """What is to be done before run(). Returns self."""
        if self.scope is not None:
            self._enclose(*self._parsed)
        return self

    def _enclose(self, tree, filename, flags):
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        stated = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
        self.names = sorted(name for name in self.scope if name in used - stated)
        function = ast.parse("%sdef %s(%s): pass" % ("async " if self.is_async else "", NAME,
                                                     ", ".join(self.names)))
        body = list(tree.body)
        if self.keep:
            body += ast.parse("return locals()").body
        if body:
            function.body[0].body = body
        self.code = compile(function, filename, "exec", flags, True)

    def run(self):
        """Runs it. Raises what it raises."""
        if self.scope is None:
            if self.is_async:
                run_coroutine(self.shell, eval(self.code, self.shell.user_ns))
            else:
                exec(self.code, self.shell.user_ns)
            return
        made = {}
        exec(self.code, self.shell.user_ns, made)
        bound = made[NAME](**{name: self.scope[name] for name in self.names})
        if self.is_async:
            bound = run_coroutine(self.shell, bound)
        if self.keep:
            self.scope.update(bound)
