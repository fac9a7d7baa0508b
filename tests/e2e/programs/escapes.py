# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""File and function names with terminal control bytes in them."""
from truth import MIB, begin, end

keep = []
NAME = "evil\x1b[2J\x07name"
code = compile("def f():\n keep.append(bytearray(%d))\n" % (16 * MIB), "<\x1b]0;owned\x07\x1b[31m\u202eevil>", "exec")
exec(code)
try:
    f.__code__ = f.__code__.replace(co_name=NAME)  # 3.8
    f.__code__ = f.__code__.replace(co_qualname=NAME)  # 3.11
except (AttributeError, TypeError):
    pass
begin()
f()
end({})
