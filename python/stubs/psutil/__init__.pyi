# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
class NoSuchProcess(Exception):
    pid: int
    name: "str | None"
    msg: "str | None"
    def __init__(self, pid: int, name: "str | None" = ..., msg: "str | None" = ...) -> None: ...
