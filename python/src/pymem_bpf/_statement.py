# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A magic's statement: what a user would type, with IPython's own syntax, `await` where autoawait takes
it, and the names of the function that the magic is called from, if it is called from one.

At the prompt it runs in the user's namespace, and names that it binds stay. In a function it runs as if it
stood there: it becomes the body of a function whose parameters are the locals, so that inner functions and
comprehensions see them, too. Names that it binds end with it (as with %timeit).
"""
import __future__
import ast
import functools
import inspect
import keyword
import operator
import sys
import types

from ._await import run_coroutine

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List

NAME = "__pymem_bpf_statement__"
# Of the flags of the shell's compiler, those of `from __future__ import …` are the user's. The others are for
# incomplete input.
FUTURE = functools.reduce(operator.or_, (getattr(__future__, name).compiler_flag
                                         for name in __future__.all_feature_names))


def caller_scope(shell: "Any", local_ns: "Dict[str, Any] | None") -> "Dict[str, Any] | None":
    """The locals of the function that a magic is called from; None at the prompt. local_ns: what IPython
    gives the magic. To a cell magic it always gives the user's namespace, so the caller's frame is looked for."""
    if local_ns is None or local_ns is not shell.user_ns:
        return None if local_ns is None else dict(local_ns)
    frame: "types.FrameType | None" = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "run_cell_magic":
        frame = frame.f_back
    caller = frame.f_back if frame is not None else None
    if caller is None or caller.f_code.co_name == "<module>" or caller.f_locals is shell.user_ns:
        return None
    return dict(caller.f_locals)


def _globals_stated(node: ast.AST) -> "Iterator[str]":
    """The names in `global` statements, without those of inner functions and classes, which are their own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Global):
            yield from child.names
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _globals_stated(child)


def _imports_all(node: ast.AST) -> bool:
    """Is there a `from … import *` outside of functions and classes, where it would be an error?"""
    if isinstance(node, ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    return not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and any(
        _imports_all(child) for child in ast.iter_child_nodes(node))


class Statement:
    """A statement that is compiled when it is made (SyntaxError), and can be run many times.

    scope: the locals that it sees; None: the user's namespace only. bind() takes them, once all are there.
    keep: run() adds the names that it bound to `scope` (set-up)."""

    def __init__(self, shell: "Any", source: str, scope: "Dict[str, Any] | None" = None,
                 keep: bool = False) -> None:
        self.shell, self.scope, self.keep = shell, scope, keep
        self.names: "List[str]" = []
        self._merged = False
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

    def bind(self) -> "Statement":
        """Gives it its locals; to be called before run(). Returns self."""
        if self.scope is not None:
            self._enclose(self.scope, *self._parsed)
        return self

    def _enclose(self, scope: "Dict[str, Any]", tree: ast.Module, filename: str, flags: int) -> None:
        # All locals, since eval() may use them, too.
        stated = self._stated = set(_globals_stated(tree))
        self._merged = _imports_all(tree)
        if self._merged:
            return  # no function can have that
        self.names = sorted(name for name in scope
                            if name.isidentifier() and not keyword.iskeyword(name) and name not in stated)
        module = ast.parse("%sdef %s(%s): pass" % ("async " if self.is_async else "", NAME,
                                                   ", ".join(self.names)))
        function = module.body[0]
        assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        body = list(tree.body)
        if self.keep:
            body += ast.parse("return locals()").body
        if body:
            function.body = body
        self.code = compile(module, filename, "exec", flags, True)

    def _globals(self) -> "Dict[str, Any]":
        """The global names; for a shell embedded in a function, those of its module."""
        found: "Dict[str, Any]" = getattr(self.shell, "user_global_ns", self.shell.user_ns)
        return found

    def run(self) -> None:
        """Runs it. Raises what it raises."""
        if self.scope is None:
            space = self.shell.user_ns
            globals = self._globals()
            if self.is_async:
                run_coroutine(self.shell, eval(self.code, globals, space))
            else:
                exec(self.code, globals, space)
            return
        if self._merged:
            self._run_merged(self.scope)
            return
        made: "Dict[str, Any]" = {}
        exec(self.code, self._globals(), made)
        bound = made[NAME](**{name: self.scope[name] for name in self.names})
        if self.is_async:
            bound = run_coroutine(self.shell, bound)
        if self.keep:
            self.scope.update(bound)

    def _run_merged(self, scope: "Dict[str, Any]") -> None:
        """Runs it with `import *`: in one namespace of globals and locals. Names that it states as global stay."""
        space = dict(self._globals(), **{name: value for name, value in scope.items()
                                         if name.isidentifier()})
        before = dict(space)
        try:
            bound = eval(self.code, space)
            if self.is_async:
                run_coroutine(self.shell, bound)
        finally:
            self._globals().update((name, space[name]) for name in self._stated if name in space)
        if self.keep:
            scope.update((name, value) for name, value in space.items()
                              if name not in before or before[name] is not value)
