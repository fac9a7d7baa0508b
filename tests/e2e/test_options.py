# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The manual page and the shells know all options that the program has, and no others.

The options are taken from the help of each command, which the program prints from the same rows that it
parses by. The shells are real ones, with the scripts as they are installed.
"""
import os
import re
import shutil
import subprocess
import sys

import pexpect
import pytest

import harness

MANUAL = os.path.join(harness.PROJECT, "docs", "pymem-bpf.8")
# An argument that may be left out is in brackets.
OPTION = re.compile(r"  (?:-(\w), |    )--([\w-]+)(?: (\[\w+\]|[^ ]+))? +\S")
MAIN = "main"


def run(*words, **how):
    return subprocess.run([harness.TOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=True, timeout=harness.PATIENCE, **how).stdout.decode()


def command_names():
    """Those of the help, in its order."""
    lines = re.findall(r"^ +pymem-bpf (\w+) ", run("--help"), re.MULTILINE)
    return [MAIN] + list(dict.fromkeys(lines))


COMMANDS = command_names()


def options_of(command):
    """{name: (letter or None, argument or None)}, as its help has them."""
    found = {}
    for line in run(*(["help", "options"] if command == MAIN else [command, "--help"])).splitlines():
        option = OPTION.match(line)
        if option:
            letter, name, argument = option.groups()
            found[name] = letter, argument and re.sub(r"^\[(\w+)\]$", r"\1", argument)
    return found


def test_commands_are_found():
    """What follows is about all commands, so they have to be found."""
    assert {"memit", "serve", "ps", "check", "help", "completion"} <= set(COMMANDS)
    assert options_of(MAIN)["pid"] == ("p", "PID[,PID…]")
    assert options_of("check") == {"help": ("h", None)}


# --- the manual page ---

ITEM = re.compile(r"\.It Fl (?:(\w) , )?-([a-z][\w-]*)(?: (?:Op )?Ar (\w+))?")


def manual():
    """{command: {name: (letter, argument)}}: items of lists in the sections of options, and of the lists
    inside of COMMANDS."""
    found, section, command, depth = {}, "", MAIN, 0
    with open(MANUAL, encoding="utf-8") as f:
        for line in f:
            if line.startswith((".Sh ", ".Ss ")):
                section, command, depth = line[4:].strip(), MAIN, 0
            depth += line.startswith(".Bl ") - line.startswith(".El")
            if section == "COMMANDS" and depth == 1 and line.startswith(".It Cm "):
                command = line.split()[2]
                found.setdefault(command, {})
            item = ITEM.match(line)
            if item and section in ("What to profile", "Options", "COMMANDS"):
                letter, name, argument = item.groups()
                options = found.setdefault(command, {})
                assert name not in options, "%s --%s is there twice" % (command, name)
                options[name] = letter, argument
    return found


def test_manual_has_each_command():
    assert set(manual()) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_manual_has_each_option(command):
    """The same letter and argument, that in small letters. --help is told of once for all commands."""
    expected = {name: (letter, argument and re.match(r"\w+", argument).group().lower())
                for name, (letter, argument) in options_of(command).items()}
    if command != MAIN:
        assert expected.pop("help") == ("h", None)
    assert manual()[command] == expected


def test_manual_has_each_format():
    """Its item names each word that --format takes."""
    # What is too long for a line goes on in the next one.
    words = re.search(r"--format NAME +(.*(?:\n {10,}\S.*)*)", run("help", "options")).group(1)
    formats = [word for word in re.findall(r"[a-z]+", words.split("(")[0]) if word != "or"]
    with open(MANUAL, encoding="utf-8") as f:
        item = re.search(r"^\.It Fl -format Ar name\n(.*?)^\.It ", f.read(), re.MULTILINE | re.DOTALL).group(1)
    assert {"table", "json", "html"} <= set(formats)
    assert [name for name in formats if not re.search(r"^\.Cm %s\b|[ ,] %s\b" % (name, name), item,
                                                       re.MULTILINE)] == []


def test_manual_has_each_format_of_diff():
    """diff has formats of its own."""
    words = re.search(r"--format NAME +(.*)", run("diff", "--help")).group(1)
    with open(MANUAL, encoding="utf-8") as f:
        item = re.search(r"^\.It Cm diff .*?^\.It Fl -format Ar name\n(.*?)^\.It ", f.read(), re.MULTILINE | re.DOTALL).group(1)
    formats = re.findall(r"[a-z]+", words.replace(" or ", " "))
    assert formats == ["table", "json", "flamegraph", "html"]
    assert re.findall(r"^\.Cm (\w+)", item, re.MULTILINE) == formats


# --- the shells ---

@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A folder into which `make install` installed: the program is in its sbin/."""
    folder = str(tmp_path_factory.mktemp("installed"))
    subprocess.run(["make", "-s", "-C", harness.PROJECT, "install", "PREFIX=" + folder], check=True,
                   timeout=300, stdout=subprocess.DEVNULL)
    return folder


def test_uninstall(tmp_path):
    """Leaves nothing of what `make install` did, also where Python has compiled the package; another's file stays."""
    def make(goal):
        subprocess.run(["make", "-s", "-C", harness.PROJECT, goal, "PREFIX=/usr", "DESTDIR=" + str(tmp_path)], check=True,
                       timeout=300, stdout=subprocess.DEVNULL)

    def files():
        return [os.path.join(path, name) for path, _, names in os.walk(str(tmp_path)) for name in names]

    make("install")
    package, = (os.path.dirname(path) for path in files() if path.endswith("/pymem_bpf/_lines.pyi"))
    subprocess.run([sys.executable, "-c", "import pymem_bpf"], cwd=os.path.dirname(package), check=True,
                   env={"PYTHONPATH": os.path.dirname(package)})
    assert os.path.isdir(os.path.join(package, "__pycache__"))
    # What the manual and messages name is there.
    assert os.path.getsize(str(tmp_path / "usr/share/doc/pymem-bpf/docs/SERVE.md"))
    manual = (tmp_path / "usr/share/man/man8/pymem-bpf.8").read_text()
    version = subprocess.check_output([harness.TOOL, "--version"]).decode().strip()
    assert re.search(r"^\.Os %s$" % re.escape(version), manual, re.MULTILINE)
    other = tmp_path / "usr/share/doc/pymem-bpf/mine"
    other.write_text("")
    make("uninstall")
    assert files() == [str(other)]
    make("uninstall")


def shell_environment(prefix):
    """Shells look for completions in the folders of XDG_DATA_DIRS, as in /usr/local/share and /usr/share."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "USER") if name in os.environ}
    return dict(env, PATH=os.path.join(prefix, "sbin") + ":" + env["PATH"], LANG="C.UTF-8", TERM="dumb",
                XDG_DATA_DIRS=os.path.join(prefix, "share") + ":/usr/share", XDG_CONFIG_HOME=prefix)


class Completed:
    """What a shell did: `listed`, all that it showed, and `line`, what the line is now."""

    def __init__(self, listed, line):
        self.listed, self.line = listed, line

    def options(self):
        return set(re.findall(r"(?<![\w-])--?\w[\w-]*", self.listed))

    def words(self):
        return set(re.findall(r"(?<![\w-])\w[\w-]*", self.listed + " " + self.line))


class Typed:
    """A shell on a terminal, into which a line is typed, then Tab. To see what the line is then, `echo GOT`
    is put in front of it, and Return pressed."""

    def __init__(self, prefix, shell, arguments, *setup):
        self.shell = pexpect.spawn(shell, arguments, env=shell_environment(prefix), encoding="utf-8",
                                   timeout=harness.PATIENCE, dimensions=(2000, 300))
        for line in setup + ("PS1='REA''DY> '",):
            self.shell.sendline(line)
        self.shell.expect_exact("READY> ")

    def complete(self, line):
        self.shell.send(line + "\t\x01echo GOT \r")
        self.shell.expect(r"\nGOT ([^\r\n]*)\r\n")
        completed = Completed(self.shell.before.split(line, 1)[1], self.shell.match.group(1))
        self.shell.expect_exact("READY> ")
        return completed

    def close(self):
        self.shell.close(force=True)


BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
BASH = ["set -o emacs", "bind 'set show-all-if-ambiguous on'", "bind 'set completion-query-items 0'",
        "bind 'set page-completions off'", "bind 'set enable-bracketed-paste off'"]


class Bash(Typed):
    """With the package bash-completion, which finds the script by itself."""

    def __init__(self, prefix):
        Typed.__init__(self, prefix, "bash", ["--norc", "--noprofile", "-i"],
                       "source " + BASH_COMPLETION, *BASH)


class BashAlone(Typed):
    def __init__(self, prefix):
        Typed.__init__(self, prefix, "bash", ["--norc", "--noprofile", "-i"],
                       'eval "$(pymem-bpf completion bash)"', *BASH)


ZSH = ["bindkey -e", "unsetopt beep prompt_sp prompt_cr list_ambiguous", "LISTMAX=0",
       "autoload -Uz compinit && compinit -u -D", "zstyle ':completion:*' verbose no"]


class Zsh(Typed):
    """Whose compinit finds the script in a folder of its path."""

    def __init__(self, prefix):
        Typed.__init__(self, prefix, "zsh", ["-f", "-i"],
                       "fpath=('%s/share/zsh/site-functions' $fpath)" % prefix, *ZSH)


class ZshAlone(Typed):
    def __init__(self, prefix):
        Typed.__init__(self, prefix, "zsh", ["-f", "-i"], *ZSH, 'eval "$(pymem-bpf completion zsh)"')


class Fish:
    """fish tells what it would complete."""

    def __init__(self, prefix):
        self.env = shell_environment(prefix)

    def complete(self, line):
        done = subprocess.run(["fish", "-c", "complete -C \"$argv\"", line], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=harness.PATIENCE)
        assert done.stderr == b"", done.stderr
        found = [row.split("\t")[0] for row in done.stdout.decode().splitlines()]
        if len(found) == 1:
            line = line.rpartition(" ")[0] + " " + found[0]
        return Completed("\n".join(found), line)

    def close(self):
        pass


def started(kind, name, prefix):
    if not shutil.which(name) or (kind is Bash and not os.path.exists(BASH_COMPLETION)):
        pytest.skip("completion of %s was not tried: it is not installed; tools/install-deps test" % name)
    return kind(prefix)


@pytest.fixture(scope="module", params=[Bash, Zsh, Fish], ids=["bash", "zsh", "fish"])
def shell(request, prefix):
    shell = started(request.param, request.param.__name__.lower(), prefix)
    yield shell
    shell.close()


@pytest.mark.parametrize("kind, name", [(BashAlone, "bash"), (ZshAlone, "zsh")])
def test_script_that_is_evaluated(kind, name, prefix):
    """In a running shell, where nothing is installed; without bash-completion."""
    shell = started(kind, name, prefix)
    try:
        assert set(COMMANDS) - {MAIN} <= shell.complete("pymem-bpf ").words()
        assert {"--" + option for option in options_of("ps")} == shell.complete("pymem-bpf ps --").options()
        assert shell.complete("pymem-bpf --format=js").line.strip() == "pymem-bpf --format=json"
        path = os.path.join(prefix, "share", "fish")
        assert shell.complete("pymem-bpf -- cat " + path[:-2]).line.rstrip("/ ") == "pymem-bpf -- cat " + path
    finally:
        shell.close()


def typed(command):
    return "pymem-bpf " + ("" if command == MAIN else command + " ")


def test_commands_are_completed(shell):
    assert set(COMMANDS) - {MAIN} <= shell.complete("pymem-bpf ").words()


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_completed(shell, command):
    expected = set()
    for name, (letter, _) in options_of(command).items():
        expected |= {"--" + name} | ({"-" + letter} if letter else set())
    found = shell.complete(typed(command) + "-").options() | shell.complete(typed(command) + "--").options()
    assert found == expected


def expected_words(*line):
    """What the program wants there, as it says when it is given something else."""
    said = subprocess.run([harness.TOOL, *line, "-"], stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE).stderr
    return set(re.split(", | or ", said.decode().rpartition("expected ")[2].strip()))


@pytest.mark.parametrize("line", ["--format", "--sort", "-s", "--engine", "ps --format", "diff --format", "completion", "help"])
def test_values_are_completed(shell, line):
    words = expected_words(*line.split())
    assert len(words) > 1
    assert words <= shell.complete("pymem-bpf %s " % line).words()
    if line.startswith("--"):
        assert words <= shell.complete("pymem-bpf %s=" % line).words()


@pytest.mark.parametrize("line, whole", [
    ("pymem-bpf comp", "pymem-bpf completion"), ("pymem-bpf ps --for", "pymem-bpf ps --format"),
    ("pymem-bpf --format js", "pymem-bpf --format json"),
    ("pymem-bpf -q --format=js", "pymem-bpf -q --format=json"),
    ("pymem-bpf -q ser", "pymem-bpf -q ser"), ("pymem-bpf -n ", "pymem-bpf -n"),
    ("pymem-bpf memit -C --dur", "pymem-bpf memit -C --duration")])
def test_what_is_clear_is_written(shell, line, whole):
    assert shell.complete(line).line.strip().rstrip("=") == whole


@pytest.mark.parametrize("line", ["pymem-bpf -o", "pymem-bpf serve --socket", "pymem-bpf -q -- cat",
                                  "pymem-bpf memit -- cat"])
def test_files_are_completed(shell, line, prefix):
    path = os.path.join(prefix, "share", "fish")
    assert os.path.isdir(path)
    assert shell.complete("%s %s" % (line, path[:-2])).line.rstrip("/ ") == "%s %s" % (line, path)


def test_programs_are_completed(shell):
    assert shell.complete("pymem-bpf -- setpri").line.strip() == "pymem-bpf -- setpriv"


@pytest.mark.parametrize("line", ["-p ", "--pid ", "-p 1,", "memit -p "])
def test_processes_are_completed(shell, line):
    with subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(1000)"],
                          stdout=subprocess.PIPE) as python:
        try:
            python.stdout.read(1)
            assert str(python.pid) in shell.complete("pymem-bpf " + line).words()
        finally:
            python.kill()
