# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many different lines and functions: each must be named."""
import ctypes

from truth import begin, end, region

SIZE, COUNT = 132 * 1024, 300
exec(compile("".join("def f%d(): ctypes.memset(region(%d), 1, %d)\n" % (i, SIZE, SIZE)
                     for i in range(COUNT)),
             "<wide>", "exec"))
functions = [globals()["f%d" % i] for i in range(COUNT)]
begin()
for f in functions:
    f()
end({"<wide>:%d" % (i + 1): {"increment": SIZE, "function": "f%d" % i, "tolerance": 40 * 1024}
     for i in range(COUNT)})
