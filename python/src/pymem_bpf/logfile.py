# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes tables to a log: @profile(stream=LogFile("memory")), or sys.stdout = LogFile("memory")."""
import logging
import re

__all__ = ["LogFile"]

ROW = re.compile(r" *\d+ +-?[\d.]+ MiB +(-?[\d.]+) MiB ")


class LogFile:
    """A file object: lines that are written to it become records of a logger.

    name: the logger's; None: the root logger. reportIncrementFlag: only rows whose line made memory grow, and
    the heads of tables, become records. Empty lines never do."""

    def __init__(self, name: "str | None" = None, reportIncrementFlag: bool = False) -> None:
        self.logger, self.reportIncrementFlag = logging.getLogger(name), reportIncrementFlag

    def _wanted(self, line: str) -> bool:
        row = ROW.match(line)
        if row:
            return float(row.group(1)) > 0
        return line.startswith("Filename:") or "Line Contents" in line

    def write(self, msg: str, level: int = logging.INFO) -> int:
        """Makes a record of each line of a text. level: of logging. Returns the length of the text. A line
        without its end is a record, too. From any thread, as logging's own. Raises what handlers raise."""
        for line in msg.splitlines():
            if line.strip() and (not self.reportIncrementFlag or self._wanted(line)):
                self.logger.log(level, "%s", line)
        return len(msg)

    def flush(self) -> None:
        """Flushes the logger's own handlers, not those of its parents."""
        for handler in self.logger.handlers:
            handler.flush()
