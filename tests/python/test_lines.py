# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The line profiler on every Python: amounts and occurrences against the truth, the table against
memory_profiler's, bad input, the helper's end."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings

import pytest
from conftest import HERE, PACKAGE, PROGRAM, PROJECT, SLACK, swapped_batches

MIB = 1 << 20
PATIENCE = 600
# label: (runs, MiB)
TRUTH = {
    "loop_def": (1, 0), "loop_for": (51, 0), "loop_grow": (50, 50), "loop_nothing": (50, 0),
    "loop_free": (50, -50), "loop_keep": (1, 3), "one_line": (1, 2),
    # The outermost call has all that is below it, once.
    "recurse_grow": (4, 4), "recurse_call": (3, 3),
    "generate_for": (5, 0), "generate_grow": (4, 4), "generate_yield": (4, 0),
    "generate_free": (4, -4), "thrown_yield": (1, 0), "thrown_grow": (1, 2),
    "drive_body": (4, 4), "drive_throw": (1, 2),
    "fail_grow": (3, 6), "fail_raise": (3, 0), "catch_call": (3, 6), "catch_pass": (3, 0),
    "method": (1, 2), "static": (1, 3), "of_class": (1, 4), "property": (1, 5),
    "decorated": (1, 2), "inner": (1, 2), "outer_call": (1, 2), "lambda": (2, 3),
    "lambda_call": (1, 3), "comprehension": (None, 4),
    "await_before": (2, 4), "await": (2, 0), "await_after": (2, 6), "ticks_grow": (3, 3),
    "gather_body": (3, 3), "typed": (1, 2),
}
CALLS = {"loop": 1, "recurse": 4, "generate": 1, "fail": 3, "Thing.method": 1, "coroutine": 2}


def environment(**more):
    env = dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1", PYMEM_BPF=PROGRAM,
               MIMALLOC_PURGE_DELAY="0")  # free-threaded builds: memory is given back at once
    env.update(more)
    return env


def run(command, status=0, **how):
    """stdout and stderr of a command that ends with that status."""
    env = how.pop("env", None) or environment()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                          timeout=PATIENCE, **how)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == status, (done.returncode, out[-2000:], err[-2000:])
    return out, err


def run_code(code, *arguments, python=sys.executable, **how):
    return run([python, "-c", textwrap.dedent(code)] + list(arguments), **how)


def check_shapes(text, version, slack=SLACK):
    said = json.loads(text)
    assert not said["cut"] and not said["missed"]
    for label, (runs, mib) in TRUTH.items():
        got = said["lines"][label]
        assert got, label + " did not run"
        assert abs(got[1] - mib * MIB) <= slack, (label, got, mib)
        if label == "comprehension":
            # Up to 3.11 a function of its own, whose iterations are line events.
            assert got[0] == (1 if version >= (3, 12) else 6), (label, got)
        elif label == "gather_body" and version == (3, 9):
            # 3.9 tells of the end of an `async for` on the last line of its body.
            assert got[0] in (runs, runs + 1), (label, got)
        else:
            assert got[0] == runs, (label, got)
    for name, calls in CALLS.items():
        assert said["calls"][name] == calls


def run_shapes(command, name, server):
    """stdout and stderr of programs/shapes.py, run once more where the kernel's batches were swapped."""
    for attempt in range(3):
        out, err = run(command + [os.path.join(HERE, "programs", "shapes.py"), server])
        lines = json.loads(out)["lines"]
        if not swapped_batches(lines[label][1] - mib * MIB for label, (_, mib) in TRUTH.items()
                               if lines[label]):
            break
        warnings.warn("%s: batches were swapped, attempt %d" % (name, attempt + 1))
    return out, err


def test_amounts_and_occurrences(python, server):
    """Functions of all kinds, beside a thread that allocates and frees without a pause."""
    out, _ = run_shapes(python.command, python.name, server)
    check_shapes(out, python.version)


def test_development_mode(server):
    """-X dev: what the interpreter checks of extensions, it finds right."""
    out, err = run_shapes([sys.executable, "-X", "dev"], "development mode", server)
    # In this mode asyncio keeps the stack that each handle was made on, with the sources' lines: 72 to 84 KiB
    # on the line that awaits.
    check_shapes(out, sys.version_info[:2], 2 * SLACK)
    assert "Error" not in err, err


def test_address_sanitizer(server, sanitized, tmp_path):
    """The same extension under ASan: no access out of bounds, none after free."""
    command = sanitized[0].command
    copy = tmp_path / "pymem_bpf"
    subprocess.run(["cp", "-r", os.path.join(PACKAGE, "pymem_bpf"), str(copy)], check=True)
    subprocess.run("rm -f %s/*.so" % copy, shell=True, check=True)
    (tmp_path / "tools").mkdir()
    project = tmp_path / "project"
    for folder in ("python/src", "include", "tools"):
        (project / folder).mkdir(parents=True)
    subprocess.run(["cp", "-r", str(copy), str(project / "python" / "src")], check=True)
    for name in ("include/pymem_block.h", "tools/build-extension", "python/extension.py"):
        subprocess.run(["cp", os.path.join(PROJECT, name), str(project / name)], check=True)
    run(command + [str(project / "tools" / "build-extension")],
        env=environment(EXTENSION_CFLAGS="-O1 -g -fsanitize=address,undefined "
                        "-fno-sanitize-recover=undefined"))
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], stdout=subprocess.PIPE,
                             check=True).stdout.decode().strip()
    env = environment(LD_PRELOAD=library, PYTHONPATH=str(project / "python" / "src"), PYTHONMALLOC="malloc",
                      ASAN_OPTIONS="detect_leaks=0")
    out, err = run(command + [os.path.join(HERE, "programs", "churn.py"), server], env=env)
    assert "AddressSanitizer" not in err and "runtime error" not in err, err
    assert json.loads(out)["rounds"] == 40


SAMPLE = '''
def fill(n):
    blocks = []
    for i in range(n):
        blocks.append(bytearray(1 << 20))

    # nothing happens here
    total = len(blocks)
    del blocks
    return total
'''


def rows(text):
    """{line number: (mem usage, increment, occurrences, contents)} of the first table."""
    found = {}
    for line in text[text.index("====\n") + 5:].splitlines():
        row = re.match(r" {0,5}(\d+) (.{12}) (.{12})  (.{10})   (.*)$", line)
        if not row:
            break
        found[int(row.group(1))] = tuple(part.strip() for part in row.groups()[1:4]) + (row.group(5),)
    return found


def test_table_is_that_of_memory_profiler(server, tmp_path):
    """Ours and the real one's, of the same function: the same layout to the column."""
    (tmp_path / "sample.py").write_text(SAMPLE)
    code = """
        import sys
        sys.path.insert(0, %r)
        from sample import fill
        from %s import LineProfiler, show_results
        profiler = LineProfiler(%s)
        profiler(fill)(8)
        show_results(profiler)
    """
    env = environment(PYMEM_BPF_SOCKET=server)
    ours, _ = run_code(code % (str(tmp_path), "pymem_bpf", ""), env=env)
    theirs, _ = run_code(code % (str(tmp_path), "memory_profiler", "backend='psutil'"), env=env)
    head = ours[:ours.index("     2 ")]
    assert head == theirs[:theirs.index("     2 ")]
    assert ours.endswith("\n\n\n") and theirs.endswith("\n\n\n")
    mine, other = rows(ours), rows(theirs)
    assert list(mine) == list(other) == list(range(2, 11))
    for number in mine:
        assert mine[number][2] == other[number][2], "occurrences of line %d" % number
        assert mine[number][3] == other[number][3], "contents of line %d" % number
        assert re.fullmatch(r"(-?\d+\.\d MiB)?", mine[number][0])
        assert bool(mine[number][0]) == bool(other[number][0])
    assert mine[5][1] == "8.0 MiB" and mine[9][1] == "-8.0 MiB" and mine[4][1] == "0.0 MiB"


def test_seed_function(server):
    """The function that memory_profiler takes minutes for, and gets wrong."""
    code = """
        import json, sys
        from pymem_bpf import LineProfiler
        def sum_of_lists(N):
            total = 0
            for i in range(5):
                L = [j ^ (j >> i) for j in range(N)]
                total += sum(L)
                del L # remove reference to L
            return total
        profiler = LineProfiler(sum_of_lists)
        profiler.runcall(sum_of_lists, 1000000)
        result = profiler.results()[0]
        print(json.dumps([[n - result.first_line, *line] for n, line in sorted(result.lines.items())]))
    """
    out, _ = run_code(code, env=environment(PYMEM_BPF_SOCKET=server))
    lines = {row[0]: row[1:] for row in json.loads(out)}
    assert lines[3][0] >= 5 and lines[5][0] == 5 and lines[2][0] == 6
    assert 100 * MIB < lines[3][1] < 250 * MIB, "five lists of a million numbers"
    assert -250 * MIB < lines[5][1] < -100 * MIB
    whole = sum(increment for _, increment, _ in lines.values())
    assert 0 <= whole < 40 * MIB, "increments add up to what the call kept"


@pytest.mark.parametrize("expression,said", [
    ("len", "built in"), ("''.join", "built in"), ("42", "no function"), ("dict.get", "built in"),
    ("type('Empty', (), {})", "no methods")])
def test_not_python(expression, said):
    code = "from pymem_bpf.line_profiler import LineProfiler\nLineProfiler(%s)" % expression
    _, err = run_code(code, status=1)
    assert "TypeError" in err and said in err


def test_never_called_and_raised(server):
    code = """
        from pymem_bpf import LineProfiler, show_results
        def never():
            return 1
        def fails():
            block = bytearray(5 << 20)
            raise KeyError("as it was")
        profiler = LineProfiler(never, fails)
        try:
            profiler.runcall(fails)
        finally:
            show_results(profiler)
    """
    out, err = run_code(code, status=1, env=environment(PYMEM_BPF_SOCKET=server))
    assert "never was never called" in out
    assert "KeyError: 'as it was'" in err
    assert "The source of fails is not available: <string>" in out
    assert re.search(r"5\.0 MiB +1 ", out)


def test_no_helper_says_what_to_run():
    """As an ordinary user where no server is, who insists on exact figures: one sentence, with the command."""
    code = "from pymem_bpf import LineProfiler\ndef f(): pass\nLineProfiler(f).runcall(f)"
    with tempfile.TemporaryDirectory(prefix="pymem-bpf-test-") as folder:
        copy = os.path.join(folder, "python")
        shutil.copytree(PACKAGE, copy)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        _, err = run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                      "/usr/bin/python3", "-c", code], status=1, cwd="/",
                     env=environment(PYMEM_BPF_SOCKET="/nonexistent/socket", PYTHONPATH=copy,
                                     PYMEM_BPF_EXACT="1"))
    assert "NoServer" in err and "serve" in err and "sudo" in err


def test_helper_killed(tmp_path):
    """What was counted until then is kept; occurrences go on; it is said."""
    path = str(tmp_path / "socket")
    server = subprocess.Popen([PROGRAM, "serve", "-q", "--socket", path])
    while not os.path.exists(path):
        time.sleep(0.02)
    code = """
        import os, signal, sys
        from pymem_bpf import LineProfiler, show_results
        kept = []
        def grow(n):
            for i in range(n):
                kept.append(bytearray(1 << 20))
                if i == 9:
                    os.kill(int(sys.argv[1]), signal.SIGKILL)
                    print(sys.stdin.readline())
            return n
        profiler = LineProfiler(grow)
        profiler.runcall(grow, 20)
        show_results(profiler)
        result = profiler.results()[0]
        print("CUT", result.cut, [line.occurrences for line in result.lines.values()][2])
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(server.pid)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env=environment(PYMEM_BPF_SOCKET=path))
    assert server.wait(PATIENCE) == -signal.SIGKILL
    out = child.communicate(b"on\n", timeout=PATIENCE)[0].decode()
    assert child.returncode == 0
    assert "the helper ended while this ran" in out
    assert "CUT True 20" in out
    assert re.search(r" 10\.0 MiB +20 ", out), out


def test_decorator(python, server):
    """@profile prints at each return, of functions, generators and coroutines."""
    code = textwrap.dedent("""
        import asyncio
        from pymem_bpf import profile
        @profile
        def plain(n):
            return bytearray(n)
        @profile(precision=3)
        def generator(n):
            for i in range(n):
                yield i
        @profile
        async def coroutine():
            await asyncio.sleep(0)
            return 7
        plain(3 << 20)
        print("SUM", sum(generator(4)))
        print("GOT", asyncio.run(coroutine()))
    """)
    out, _ = run(python.command + ["-c", code], env=environment(PYMEM_BPF_SOCKET=server))
    assert out.count("Filename: <string>") == 3
    assert "SUM 6" in out and "GOT 7" in out
    assert re.search(r"\.\d{3} MiB +4 ", out), "precision"
    assert re.search(r" 3\.0 MiB +1 ", out)


def test_run_a_script(server, tmp_path):
    """python -m pymem_bpf, with memory_profiler's options; a script that imports nothing of ours."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent("""
        import sys
        @profile
        def work(n):
            block = bytearray(n << 20)
            return len(block)
        if __name__ == "__main__":
            work(int(sys.argv[1]))
            work(1)
            sys.exit(3)
    """))
    env = environment(PYMEM_BPF_SOCKET=server)
    command = [sys.executable, "-m", "pymem_bpf"]
    out, _ = run(command + [str(script), "4"], status=3, env=env)
    assert "Filename: " + str(script) in out
    assert re.search(r" [45]\.\d{3} MiB +2 +block = ", out), out
    target = tmp_path / "out.txt"
    run(command + ["--precision", "1", "-o", str(target), str(script), "4"], status=3, env=env)
    assert re.search(r" +\d+\.\d MiB +[45]\.\d MiB +2 ", target.read_text())
    out, _ = run(command + ["-m", "script", "4"], status=3, env=dict(
        env, PYTHONPATH=PACKAGE + ":" + str(tmp_path)))
    assert re.search(r" [45]\.\d{3} MiB +2 +block = ", out), out
    out, _ = run(command + ["--timestamp", str(script), "4"], status=3, env=env)
    assert re.search(r"^FUNC \S*work \d+\.\d{4} \d+\.\d{4} \d+\.\d{4} \d+\.\d{4} 0$", out, re.M), out
    _, err = run(command, status=2, env=env)
    assert "program" in err


def test_debugger_at_a_limit(server, tmp_path):
    """--pdb-mmem: into the debugger at the line that is too much."""
    script = tmp_path / "script.py"
    script.write_text("@profile\ndef work():\n    block = bytearray(300 << 20)\n    return 1\nwork()\n")
    out, _ = run([sys.executable, "-m", "pymem_bpf", "--pdb-mmem", "200", str(script)],
                 env=environment(PYMEM_BPF_SOCKET=server), input=b"p 'at', len(block) >> 20\nc\n")
    assert "exceeded the maximum of 200.00 MiB" in out and "('at', 300)" in out


def test_wheel(tmp_path):
    """Builds offline with setuptools alone, and holds the package and its extension."""
    copy = tmp_path / "project"
    for folder in ("python", "include", "packaging", "tools"):
        subprocess.run(["mkdir", "-p", str(copy)], check=True)
        subprocess.run(["cp", "-r", os.path.join(PROJECT, folder), str(copy)], check=True)
    for name in ("VERSION", "LICENSE", "LICENSES"):  # where links of python/ lead
        subprocess.run(["cp", "-r", os.path.join(PROJECT, name), str(copy)], check=True)
    run([sys.executable, "setup.py", "-q", "bdist_wheel", "-d", str(tmp_path / "wheel")],
        cwd=str(copy / "python"), env=environment(PYTHONPATH=""))
    name, = os.listdir(str(tmp_path / "wheel"))
    out, _ = run([sys.executable, "-m", "zipfile", "-l", str(tmp_path / "wheel" / name)])
    for member in ("__init__.py", "line_profiler.py", "magics.py", "counter.py", "_lines.", "_lines.pyi", "py.typed"):
        assert "pymem_bpf/" + member in out, member
    assert ".dist-info/entry_points.txt" in out and "pymem_bpf/VERSION" in out
    for text in ("LICENSE", "GPL-2.0-only.txt", "BSD-2-Clause.txt"):
        assert "/" + text in out, text
    assert "native/" not in out  # sources are for source distributions


def test_versions_agree():
    """The package, the program and VERSION are of one version."""
    with open(os.path.join(PROJECT, "VERSION")) as f:
        version = f.read().strip()
    out, _ = run_code("import pymem_bpf; print(pymem_bpf.__version__)")
    assert out.strip() == version
