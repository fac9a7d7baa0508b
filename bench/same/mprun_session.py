# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program of this folder under IPython's %mprun: mprun_session.py PROGRAM TABLE. Its functions
in PROFILED are profiled; the table is written to the file TABLE."""
import importlib
import os
import sys

from IPython.terminal.interactiveshell import TerminalInteractiveShell

import measured


def main(path, table):
    module = importlib.import_module(os.path.splitext(os.path.basename(path))[0])
    work = getattr(module, "work", None) or module.make
    shell = TerminalInteractiveShell()
    shell.run_line_magic("load_ext", "pymem_bpf")
    shell.user_ns.update(program=module, run=measured.run, work=work)
    functions = " ".join("-f program." + name for name in module.PROFILED)
    shell.run_line_magic("mprun", "%s -T %s run(work)" % (functions, table))


if __name__ == "__main__":
    main(*sys.argv[1:])
