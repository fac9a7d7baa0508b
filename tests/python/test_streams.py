# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tables of real processes whose stdout can't take them. The program behaves and ends as without us; one line
on stderr says what is missing."""
import os
import subprocess
import sys

import pytest
import sessions
from conftest import PACKAGE

SECONDS = 600
FUNCTION = '''# -*- coding: utf-8 -*-
import sys
@profile
def f(n):
    s = "größe 日本"
    return n
'''
DECORATED = "from pymem_bpf import profile\n" + FUNCTION.split("\n", 1)[1] + '''
assert f(3) == 3 and f(4) == 4
sys.stderr.write("fine\\n")
'''

pytestmark = pytest.mark.skipif(not os.access(sessions.PROGRAM, os.X_OK) or os.geteuid() != 0,
                                reason="needs root and build/pymem-bpf (make)")


@pytest.fixture
def run(server, tmp_path):
    """run(words, source, stdout's redirection, **environment) -> (status, stdout, stderr)"""
    def runs(words, source, redirection="", **more):
        (tmp_path / "prog.py").write_text(source, encoding="utf-8")
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("PYTHON", "PYMEM", "LC_", "LANG"))}
        env.update(PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1", PYMEM_BPF_SOCKET=server, **more)
        done = subprocess.run(["/bin/bash", "-c", '"$@" ' + redirection, "bash", sys.executable] + words,
                              env=env, cwd=str(tmp_path), timeout=SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode()
    return runs


@pytest.mark.parametrize("words, source", [
    (["prog.py"], DECORATED),
    (["-m", "pymem_bpf", "prog.py"], FUNCTION + 'f(3)\nsys.stderr.write("fine\\n")\n')],
    ids=["decorator", "program"])
def test_encodings(run, words, source):
    for encoding in "latin-1", "ascii", "utf-8":
        status, out, err = run(words, source, PYTHONIOENCODING=encoding)
        text = out.encode("latin-1").decode(encoding)
        assert (status, err) == (0, "fine\n"), (encoding, err)
        assert {"utf-8": '"größe 日本"', "latin-1": '"größe \\u65e5\\u672c"'}.get(
            encoding, '"gr\\xf6\\xdfe \\u65e5\\u672c"') in text, text
    status, out, err = run(words, source, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (status, err) == (0, "fine\n") and '"gr\\xf6\\xdfe \\u65e5\\u672c"' in out, (out, err)


def test_file_in_the_c_locale(run, tmp_path):
    """-o: UTF-8 whatever the locale is."""
    for number, locale in enumerate([{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]):
        for option in [], ["--timestamp"]:
            name = "table%d%d" % (number, len(option))
            status, out, err = run(["-m", "pymem_bpf", "-o", name] + option + ["prog.py"],
                                   FUNCTION + "@profile\ndef größe(): return 1\nf(3)\ngröße()\n", **locale)
            assert (status, out, err) == (0, "", "")
            text = (tmp_path / name).read_text(encoding="utf-8")
            assert "größe" in text and (option or "日本" in text), text


CLOSED = {"closed": ">&-", "broken pipe": "> >(exec true)", "full": ">/dev/full"}


@pytest.mark.parametrize("how", sorted(CLOSED))
def test_nowhere_to_print(run, how):
    """The program, which prints nothing itself, does not see it, and ends as it would."""
    source = DECORATED
    if how == "broken pipe":  # its reader has gone when the table comes
        source = source.replace("import sys\n", '''import sys, select
poll = select.poll()
poll.register(1, 0)
poll.poll()
''')
    status, out, err = run(["prog.py"], source, CLOSED[how])
    lines = err.splitlines()
    assert status == 0 and lines[-1] == "fine" and len(lines) == 2, err
    assert lines[0].startswith("pymem_bpf: @profile: a table can't be written ("), err
    source = source.replace('sys.stderr.write("fine\\n")', "")
    assert run(["prog.py"], source, CLOSED[how] + " 2>&-") == (0, "", "")


def test_program_without_a_place_for_its_table(run, tmp_path):
    """The program's status goes first; where it has none to report, ours says that the table is lost."""
    for end, want in ("", 1), ("sys.exit(5)", 5), ("raise SystemExit(0)", 1):
        status, out, err = run(["-m", "pymem_bpf", "prog.py"], FUNCTION + "f(3)\n" + end + "\n", ">/dev/full")
        assert status == want and err.count("\n") == 1, (end, status, err)
        assert "the result can't be written to stdout (OSError: [Errno 28]" in err
    source = FUNCTION + "f(3)\nprint('mine')\n"
    status, out, err = run(["-m", "pymem_bpf", "-o", "/dev/full", "prog.py"], source)
    assert (status, out) == (1, "mine\n") and "can't be written to /dev/full" in err
    assert "Traceback" not in err
