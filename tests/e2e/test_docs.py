# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The documents that users read: each command in them that can run here runs, and prints what they show, but for figures.

Each command is in one of the lists below, and each list has only what is in a document: a new command that nobody
runs fails. Durations are cut short; the rest of a command is as it is written."""
import ast
import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml

import documents
import harness
import scenes

pytestmark = pytest.mark.host

# Sessions, in the order of the document: what they are about.
SESSIONS = {
    "README.md": [
        ("pymem-bpf -p PID -d 6 -n 2 -q", scenes.shop),
        ("pymem-bpf heap -p PID -d 10 -n 2", scenes.shop),
        ("pymem-bpf heap -p PID -d 10 -n 2", scenes.shop_bounded)],
    "docs/EXAMPLES.md": [
        ("pymem-bpf -p PID -d 5 -q", scenes.service),
        ("pymem-bpf -p PID -d 5 -n 1 -q -v", scenes.service),
        ("pymem-bpf -p PID -d 3 -q -f render", scenes.service),
        ("pymem-bpf --lines --peak -q -f sum_of_lists -- /usr/bin/python3 -c "
         "'from mprun_demo import sum_of_lists; sum_of_lists(1000000)'", scenes.launched),
        ("pymem-bpf --functions -p PID -d 5 -n 3 -q", scenes.service),
        ("pymem-bpf -q -n 3 -s cow -- /usr/bin/python3 prefork.py", scenes.launched),
        ("pymem-bpf -a -d 10s", scenes.host),
        ("pymem-bpf ps", scenes.host),
        ("pymem-bpf check", scenes.launched)],
    "docs/FAQ.md": [
        ("pymem-bpf -p PID -d 5 -n 1 -q", scenes.sessions),
        ("pymem-bpf heap -p PID -d 5 -n 1", scenes.sessions),
        ("pymem-bpf heap -p PID -n 1", scenes.freed),
        ("pymem-bpf -q -n 2 -- /usr/bin/python3 -c 'import json, sqlite3'", scenes.launched),
        ("pymem-bpf -q -n 1 -- /usr/bin/python3 -c 'kept = [str(n) for n in range(300000)]'", scenes.launched),
        ("pymem-bpf heap -p PID -d 10 -n 1", scenes.shop_bounded)],
    "docs/HEAP.md": [
        ("pymem-bpf -p PID -d 6 -n 2 -q", scenes.shop),
        ("pymem-bpf heap -p PID -d 10 -n 4", scenes.shop),
        ("pymem-bpf heap -p PID -d 10 -n 2", scenes.shop_bounded),
        ("pymem-bpf heap -p PID -d 60 --until-input -n 4", scenes.sessions),
        ("pymem-bpf heap -p PID --types-only -n 3", scenes.freed),
        ("pymem-bpf heap -p PID -d 5 -n 12", scenes.flask)],
    "docs/RECIPES.md": [
        ("pymem-bpf -p gunicorn -d 30 -n 1 -q", scenes.gunicorn),
        ("pymem-bpf heap -p gunicorn -d 30 -n 1", scenes.gunicorn),
        ("pymem-bpf -p celery -d 30 -n 1 -q", scenes.celery),
        ("pymem-bpf heap -p celery -d 30 -n 1", scenes.celery),
        ("pymem-bpf memit -- /usr/bin/python3 -c "
         "'from mprun_demo import sum_of_lists; sum_of_lists(1000000)'", scenes.launched),
        ("pymem-bpf heap -p ipykernel_launcher -d 30 -n 1", scenes.notebook)],
    "docs/TROUBLESHOOTING.md": [
        ("pymem-bpf check", scenes.launched)],
}

DOCKER, KUBERNETES, SYSTEMD = "needs Docker's server", "needs a cluster", "needs systemd as process 1"
INSTALLS, BY_OTHERS = "installs into the system: test_options installs elsewhere", "run by the scene of that server"
# Commands that are not run here, and why.
NOT_RUN = {
    "sudo sh -c 'tools/install-deps build && make demo'": "installs packages",
    "sudo sh -c 'tools/install-deps test && make check'": "is what runs this",
    "sudo make install": INSTALLS,
    "make install PYTHON=/path/of/venv/bin/python PREFIX=/path/of/venv": INSTALLS,
    "gunicorn -w 3 --bind 127.0.0.1:8000 web:application": BY_OTHERS,
    "celery -A jobs worker --concurrency 2": BY_OTHERS,
    "pymem-bpf -p \"$(docker inspect --format '{{.State.Pid}}' web)\" -d 30": DOCKER,
    "docker build -t pymem-bpf .": DOCKER,
    "docker run --rm -it --pid=host --privileged pymem-bpf pymem-bpf -a -d 10": DOCKER,
    "docker run --rm -it --pid=host --cap-add SYS_ADMIN --cap-add SYS_PTRACE --security-opt apparmor=unconfined "
    "pymem-bpf pymem-bpf -a -d 10": DOCKER + "; its rights are those of test_rights_of_the_docker_recipe",
    "kubectl debug node/NODE -it --image=REGISTRY/pymem-bpf --profile=sysadmin -- pymem-bpf -a -d 10": KUBERNETES,
    "kubectl apply -f pymem-bpf.yaml": KUBERNETES,
    "kubectl logs -f pymem-bpf": KUBERNETES,
    "kubectl delete pod pymem-bpf": KUBERNETES,
    "pymem-bpf -p \"$(systemctl show --property MainPID --value web.service)\" -d 30": SYSTEMD,
    "systemctl enable --now pymem-bpf.socket": SYSTEMD,
    "systemctl enable --now pymem-bpf-report.timer": SYSTEMD,
}
# Uses of the program, with names in place of values: they are those of its help.
SYNOPSES = {"docs/EXAMPLES.md": "pymem-bpf -p PID[,PID…] [options]", "docs/HEAP.md": "pymem-bpf heap -p PID"}
# Outputs without a command, by their first words, and what tests them.
EXCERPTS = {
    "pymem-bpf ps: not examined": "test_refused_by_a_sandbox",
    "Line # Mem usage Increment": "memory_profiler's own table, to compare",
    "Note: /srv/app/sessions.py": "test_touched",
    "Grows by": "answers about services: test_heap_real",
    "Killed by the kernel's OOM killer": "test_last_words",
}
# Of what keeps pools in use, the third is near the fourth.
THIRD_PIN = r"(?<=code and)\s+(?:buffers|bytes)(?=\.)"
# Parts of an output that are not always there, or the same.
LOOSE = {
    "pymem-bpf -p PID -d 5 -n 1 -q -v": r"^Lost .*\n",
    "pymem-bpf -p PID -d 3 -q -f render": r"(?<=^    15)[ \d.KMiB]+(?=lines)",
    **dict.fromkeys(("pymem-bpf heap -p PID -n 1", "pymem-bpf heap -p PID --types-only -n 3"), THIRD_PIN),
}


# --- the lists and the documents ---

def commands_of(name):
    """[(command, its output)] of sessions that run."""
    return [(documents.masked_command(command), output) for block in documents.blocks(name)
            if block.kind == "session" for command, output in block.session() if command not in NOT_RUN]


@pytest.mark.parametrize("name", documents.NAMES)
def test_lists_have_each_command(name):
    """Sessions run, in this order; other commands are known; so is each block."""
    assert [command for command, _ in commands_of(name)] == [command for command, _ in SESSIONS[name]]
    for block in documents.blocks(name):
        where = "%s:%d: " % (name, block.number)
        if block.kind == "commands" and SYNOPSES.get(name) != block.commands()[0]:
            assert set(block.commands()) <= set(NOT_RUN), where
        elif block.kind == "excerpt":
            words = " ".join(" ".join(block.lines[:2]).split())
            assert [first for first in EXCERPTS if words.startswith(first)], where + words
        else:
            assert block.kind in ("commands", "session", "ipython", *LANGUAGES), where + block.kind


def test_lists_have_nothing_else():
    text = [line for name in documents.NAMES for block in documents.blocks(name)
            for line in (block.commands() if block.kind == "commands" else [c for c, _ in block.session()])]
    assert [command for command in NOT_RUN if command not in text] == []


def test_links():
    """Each leads to a file of the project, and to a heading in it."""
    broken = []
    names = ["README.md"] + ["docs/" + n for n in os.listdir(os.path.join(harness.PROJECT, "docs")) if n.endswith(".md")]
    for name in names:
        for target, path, part in documents.links(name):
            there = os.path.exists(os.path.join(harness.PROJECT, path))
            if not there or part and path.endswith(".md") and part not in documents.anchors(path):
                broken.append("%s: %s" % (name, target))
    assert not broken


def test_cost_of_a_line():
    """The manual and the examples say the same of --lines, and it is what the last measurement has."""
    costs = [re.findall(r"(\d+\.\d) to (\d+\.\d)\s+microseconds", documents.read(name))
             for name in ("docs/pymem-bpf.8", "docs/EXAMPLES.md")]
    assert len(costs[0]) == 1 and costs[0] == costs[1], costs
    least, most = map(float, costs[0][0])
    table = documents.read("docs/BENCHMARKS.md").split("<!-- bench: probe_cost -->")[1].split("<!--")[0]
    measured = [int(row.split("|")[4].split()[0]) / 1000 for row in table.splitlines() if "(" in row and row[0] == "|"]
    assert measured and least <= min(measured) and max(measured) <= most, measured


def test_readme_is_short():
    assert len(documents.read("README.md").splitlines()) <= 170


def test_first_commands():
    """One shows what it does, one runs all tests. They begin with what installs make, which a fresh machine has not got."""
    block = documents.blocks("README.md")[0]
    assert all(command.startswith("sudo sh -c 'tools/install-deps ") for command in block.commands())
    assert [command.split()[-1] for command in block.commands()] == ["demo'", "check'"]
    with open(os.path.join(harness.PROJECT, "tools", "install-deps")) as f:
        assert re.search(r"^build='[^']*\bmake\b", f.read(), re.MULTILINE)


# --- sessions ---

GROWTH = 4 * harness.MIB
# A short run of a program is not always the one that is documented: a pool that changed meanwhile has a note.
ATTEMPTS = 3


def shortened(command):
    """Two seconds in place of more. Two looks have to be further apart, so that lines are found between them, and what
    does not grow is told from noise only after the time that is documented."""
    if "--until-input" in command or "heap -p PID -d 10" in command:
        return command
    return re.sub(r"(?<=-d )\d+s?\b", "8" if " heap " in command else "2", command)


def words_of(stage, command):
    words = [stage.names.get(word, str(stage.pid) if word == "PID" else word) for word in shlex.split(shortened(command))]
    return [harness.TOOL if word == "pymem-bpf" else word for word in words]


def run_on(stage, command):
    """What is printed of it, with the folder's name in the documents. Where it waits for input, that comes when the
    program has grown."""
    with subprocess.Popen(words_of(stage, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, cwd=stage.folder, env=scenes.environment(COLUMNS="100")) as tool:
        try:
            if "--until-input" in command:
                goal = harness.rss(stage.pid) + GROWTH
                harness.until(lambda: harness.rss(stage.pid) > goal, "grown")
            text = tool.communicate(b"\n", timeout=harness.PATIENCE)[0].decode()
        finally:
            tool.kill()
    assert tool.returncode == 0, "%s: status %d\n%s" % (command, tool.returncode, text)
    return stage.as_documented(text)


def cases():
    return [pytest.param(name, i, id="%s-%d" % (os.path.basename(name), i))
            for name, found in SESSIONS.items() for i in range(len(found))]


@pytest.mark.parametrize("name, number", cases())
def test_session(name, number):
    """It prints what the document shows: the same words in the same order."""
    command, scene = SESSIONS[name][number]
    loose = LOOSE.get(command, "(?!)")
    wanted = re.sub(loose, "", commands_of(name)[number][1], flags=re.MULTILINE)
    with scene() as stage:
        known = documents.sources(stage.folder)
        for _ in range(ATTEMPTS):
            got = re.sub(loose, "", run_on(stage, command), flags=re.MULTILINE)
            if os.environ.get("PYMEM_DOCS_SHOW"):
                print("# %s\n%s" % (command, got))
            wrong = documents.differs(wanted, got, known)
            if not wrong:
                break
    assert not wrong, "%s: # %s\n%s" % (name, command, wrong)


def test_a_changed_report_is_noticed():
    """Other words, another order, a line too much or too little, another line number; but not other figures."""
    wanted = "PID 12  shop.py 200\nRetained  Grown\n 1.5 MiB  +2 KiB  a.B  list\n   ← /srv/app/shop.py:19 audit\n[…]\nend"
    same = "PID 7  shop.py 200\nRetained   Grown\n12.5 MiB  +1.2 MiB  a.B\n  list\n  ← /srv/app/shop.py:19 audit\nmore\nend"
    assert not documents.differs(wanted, same, set())
    for old, new in (("Retained", "Kept"), ("Retained   Grown", "Grown Retained"), ("audit\n", ""), (":19", ":18"),
                     ("end", "end\nmore"), ("a.B", "a.C"), ("PID 7", "PID"), ("+1.2 MiB ", "")):
        assert documents.differs(wanted, same.replace(old, new, 1), set()), (old, new)


@pytest.mark.parametrize("name, scene", [("gunicorn", scenes.gunicorn), ("celery", scenes.celery),
                                         ("ipykernel_launcher", scenes.notebook)])
def test_names_of_recipes(name, scene):
    """-p NAME finds the processes, master and workers. Where others run that are called so, it lists ours as one."""
    with scene() as stage:
        ours = set(stage.names[name].split(","))
        done = subprocess.run([harness.TOOL, "heap", "-p", name, "--types-only", "--format", "json", "-q"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    said = done.stderr.decode()
    if "different programs are called that" in said:
        found = [set(pids.split(",")) for pids in re.findall(r"^  -p ([\d,]+)  ", said, re.MULTILINE)]
        assert ours in found, said
    else:
        assert done.returncode == 0, said
        assert ours <= set(re.findall(r'"pid": ?(\d+)', done.stdout.decode()))


# --- commands of tables ---

def table_commands():
    return sorted({c for name in ("README.md", "docs/RECIPES.md") for c in documents.table_commands(name)})


# Of tables, what is no whole command, or has a test of its own.
ELSEWHERE = {"pymem-bpf top": "test_top", "pymem-bpf oom": "test_last_words", "pymem-bpf serve": "test_serve", "pymem-bpf -p PID": "test_terminal"}


@pytest.fixture(scope="module")
def shop():
    with scenes.shop() as stage:
        yield stage


def prepare_recording(path, wanted):
    """There is one, or there is none, as the command needs it."""
    if os.path.exists(path) and not wanted:
        os.unlink(path)
    if wanted and not os.path.exists(path):
        subprocess.run([harness.TOOL, "record", "-q", "-o", path, "--", "/usr/bin/python3", "-c", "pass"], check=True,
                       timeout=harness.PATIENCE)


@pytest.mark.parametrize("command", [c for c in table_commands() if c not in ELSEWHERE])
def test_command_of_a_table(shop, command):
    """Which mode when: each command is one."""
    program = "/usr/bin/python3 -c pass"
    for name, value in (("CMD", program), ("python3 app.py", program), ("python3 server.py", program), ("NAME", "request")):
        command = re.sub(r"(?<= )%s$" % re.escape(name), value, command)
    for name in re.findall(r"\b\w+\.pymem\b", command):
        prepare_recording(os.path.join(shop.folder, name), " -o " + name not in command)
    said = run_on(shop, command)
    assert said or " -o " in command


# --- other languages ---

def ini(block):
    return "\n".join(block.lines) + "\n"


LANGUAGES = ("yaml", "ini", "cron", "sh", "python", "dockerfile")


def block_of(language, number=0):
    return [b for b in documents.blocks("docs/RECIPES.md") if b.kind == language][number]


def test_pod():
    """The manifest has what profiling needs: the host's PIDs, and the capabilities that the README names."""
    pod = yaml.safe_load("\n".join(block_of("yaml").lines))
    assert (pod["apiVersion"], pod["kind"], pod["metadata"]["name"]) == ("v1", "Pod", "pymem-bpf")
    spec = pod["spec"]
    container, = spec["containers"]
    assert spec["hostPID"] is True and spec["restartPolicy"] == "Never"
    rights = container["securityContext"]
    assert rights["runAsUser"] == 0 and set(rights["capabilities"]["add"]) == {"SYS_ADMIN", "SYS_PTRACE"}
    assert rights["appArmorProfile"] == {"type": "Unconfined"}
    assert container["command"][0] == "pymem-bpf"
    assert subprocess.run([harness.TOOL, *shortened(" ".join(container["command"][1:])).split()],
                          stdout=subprocess.PIPE, timeout=harness.PATIENCE).returncode == 0


# What Docker gives a container without being asked.
DOCKERS = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod," \
          "audit_write,setfcap"


@pytest.mark.parametrize("added", [None, "bpf,perfmon,checkpoint_restore,sys_ptrace"])
def test_rights_of_the_docker_recipe(shop, added):
    """No more capabilities than its flags add, no tracefs, no bpffs, /sys read-only: it works all the same. So it does
    with those that take SYS_ADMIN's place."""
    command, = [c for c in NOT_RUN if "--cap-add" in c]
    added = added or ",".join(re.findall(r"--cap-add (\S+)", command)).lower()
    hide = "mount --make-rprivate / && umount -lR /sys && mount -t sysfs -o ro sysfs /sys && exec \"$@\""
    rights = ["setpriv", "--bounding-set", "-all," + ",".join("+" + c for c in (DOCKERS + "," + added).split(","))]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", hide, "sh", *rights, harness.TOOL, "-p", str(shop.pid),
                           "-d", "1", "-n", "1", "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "shop.py" in done.stdout.decode() and "not examined" not in done.stdout.decode()


@pytest.mark.parametrize("program, words, command", [
    ("docker", ["run", "--help"], "docker run"), ("docker", ["build", "--help"], "docker build"),
    ("kubectl", ["debug", "--help"], "kubectl debug"), ("kubectl", ["logs", "--help"], "kubectl logs"),
    ("kubectl", ["apply", "--help"], "kubectl apply")])
def test_options_of_what_is_not_run(program, words, command):
    """Where that program is installed, it knows the options that the recipes give it."""
    if not shutil.which(program):
        pytest.skip("%s is not installed" % program)
    known = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=harness.PATIENCE).stdout.decode()
    for line in [c for c in NOT_RUN if c.startswith(command)]:
        own = line.split(" -- ")[0].split(" pymem-bpf pymem-bpf")[0]
        for option in re.findall(r"(?<= )--[\w-]+", own):
            assert option in known, "%s: %s" % (line, option)
    if command == "kubectl debug":
        assert "sysadmin" in known


def unit_files(folder):
    """The units of the recipe for each day, under their names."""
    service, timer = ini(block_of("ini")), ini(block_of("ini", 1))
    for name, text in (("service", service.replace("/usr/local/sbin/pymem-bpf", harness.TOOL)), ("timer", timer)):
        (folder / ("pymem-bpf-report." + name)).write_text(text)
    return [str(folder / ("pymem-bpf-report." + name)) for name in ("service", "timer")]


def test_units(tmp_path):
    """systemd has nothing to say against them."""
    done = subprocess.run(["systemd-analyze", "verify", *unit_files(tmp_path)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    said = [line for line in done.stdout.decode().splitlines() if "pymem-bpf-report" in line]
    assert done.returncode == 0 and not said, done.stdout.decode()


def run_daily(line, folder):
    """Its shell's words, with a folder of ours and one second. The reports that it leaves, with their modes."""
    line = line.replace("/usr/local/sbin/pymem-bpf", harness.TOOL).replace("/var/log/pymem-bpf", str(folder))
    subprocess.run(["sh", "-c", line.replace("-d 5m", "-d 1s")], check=True, timeout=harness.PATIENCE)
    return {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()}


def test_each_day(tmp_path):
    """The shell's words of the service, as systemd gives them on, and those of cron, as it does: each leaves a report
    of the day for its owner alone."""
    words = shlex.split(re.search(r"^ExecStart=(.*)$", ini(block_of("ini")), re.MULTILINE).group(1))
    assert words[:2] == ["/bin/sh", "-c"]
    cron = re.fullmatch(r"(\S+ ){5} *root  (.*)", "\n".join(block_of("cron").lines)).group(2)
    for number, line in enumerate((words[2].replace("$$", "$").replace("%%", "%"), cron.replace("\\%", "%"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (name, mode), = run_daily(line, folder).items()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d\.txt", name) and mode == 0o600
        assert "Pythons" in (folder / name).read_text()


@pytest.mark.parametrize("size, passes", [(20, True), (150, False)])
def test_limit_in_ci(tmp_path, size, passes):
    """The script's status is that of the limit."""
    (tmp_path / "bin").mkdir()
    os.symlink(harness.TOOL, str(tmp_path / "bin" / "pymem-bpf"))
    build = tmp_path / "build.sh"
    build.write_text("#!/bin/sh\n/usr/bin/python3 -c 'b = bytearray(%d << 20)'\n" % size)
    build.chmod(0o755)
    script = "\n".join(block_of("sh").lines)
    done = subprocess.run(["sh", "-c", script], cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, PATH="%s/bin:%s" % (tmp_path, os.environ["PATH"])),
                          timeout=harness.PATIENCE)
    assert (done.returncode == 0) == passes and not done.stderr, done


# --- the Python package ---

@pytest.fixture(scope="module")
def package():
    """The folder of the package, with its extension for the system's Python."""
    subprocess.run([scenes.PYTHON, os.path.join(harness.PROJECT, "tools", "build-extension")], check=True,
                   stdout=subprocess.PIPE)
    return os.path.join(harness.PROJECT, "python", "src")


def in_python(package, source, folder, *words, **more):
    return subprocess.run([scenes.PYTHON, *words, "-c", source], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=harness.PATIENCE,
                          env=dict(scenes.environment(PYMEM_BPF=harness.TOOL, HOME=folder, IPYTHONDIR=folder, **more),
                                   PYTHONPATH=package))


def test_test_of_a_limit(package):
    """The Python test of the recipe passes."""
    with scenes.examples() as folder:
        done = in_python(package, "\n".join(block_of("python").lines) + "\ntest_sums_need_little_memory()\n", folder)
    assert done.returncode == 0, done.stdout.decode()


NOTEBOOK = """import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
for code in %r:
    print("CELL", flush=True)
    result = shell.run_cell(code, store_history=True)
    sys.stdout.flush()
    assert result.success, code
"""


def notebook_cases():
    return [pytest.param(name, i, id="%s-%d" % (os.path.basename(name), i)) for name in documents.NAMES
            for i in range(sum(b.kind == "ipython" for b in documents.blocks(name)))]


@pytest.mark.parametrize("name, number", notebook_cases())
def test_notebook(package, tmp_path, name, number):
    """Cells, one after the other, print what the document shows."""
    block = [b for b in documents.blocks(name) if b.kind == "ipython"][number]
    cells = [(CELLS.get(code, code), output) for code, output in block.cells()]
    socket = str(tmp_path / "socket")
    with scenes.examples() as folder, harness.Tool("serve", "--socket", socket, output=False) as server:
        harness.until(lambda: os.path.exists(socket) or server.process.poll() is not None, "listening")
        done = in_python(package, NOTEBOOK % [code for code, _ in cells], folder, PYMEM_BPF_SOCKET=socket)
        text, known = done.stdout.decode().replace(folder, scenes.SHOWN), documents.sources(folder)
    assert done.returncode == 0, text
    printed = text.split("CELL\n")[1:]
    for (code, output), got in zip(cells, printed):
        if code.startswith("%") and output:
            wrong = documents.differs(output, got, known)
            assert not wrong, "%s: %s\n%s" % (name, code, wrong)


# Cells about things that only the reader has.
CELLS = {"%memheap model.fit(x, y)": "%memheap kept = [str(n) for n in range(1000)]"}


def test_package_in_a_virtual_environment(package, tmp_path):
    """It is not found there until PYTHONPATH says where it is, as the recipe has it."""
    venv = str(tmp_path / "venv")
    subprocess.run([scenes.PYTHON, "-m", "venv", "--without-pip", venv], check=True, timeout=harness.PATIENCE)
    python = os.path.join(venv, "bin", "python")
    without = subprocess.run([python, "-c", "import pymem_bpf"], stderr=subprocess.PIPE, env=scenes.environment())
    assert b"No module named 'pymem_bpf'" in without.stderr
    subprocess.run([python, "-c", "import pymem_bpf"], check=True, env=dict(scenes.environment(), PYTHONPATH=package))
    assert "`PYTHONPATH=…/python/src`" in documents.read("docs/RECIPES.md")


# --- messages ---

C_TOKEN = re.compile(r"""/\*.*?\*/|//[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*")|'(?:[^'\\\n]|\\.)*'|(?P<join>\s+|\\\n|\bNBSP\b)|.""",
                     re.DOTALL)


def literals_of_c(source):
    """Its texts, without comments; those that the compiler joins are one."""
    found, joined = [], False
    for match in C_TOKEN.finditer(source):
        if match.group("text"):
            text = match.group("text")[1:-1].replace('\\"', '"')
            found[len(found) - joined:] = [(found[-1] if joined else "") + text]
        elif match.group("join") == "NBSP" and joined:
            found[-1] += " "
        joined = bool(match.group("text") or (joined and (match.group("join") or match.group().startswith("/"))))
    return found


def literals_of_python(source):
    """Its texts, without comments and documentation."""
    tree = ast.parse(source)
    told = {id(node.body[0].value) for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and isinstance(node.body[0], ast.Expr)}
    return [node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told]


def literals():
    """Texts of the program and of the package; … for what is filled in. What users write and see has plain blanks."""
    found = []
    for folder, ends, texts in (("user", (".c", ".h"), literals_of_c), ("include", (".h",), literals_of_c),
                                ("python/src/pymem_bpf", (".py",), literals_of_python)):
        for path, _, names in os.walk(os.path.join(harness.PROJECT, folder)):
            for name in names:
                if name.endswith(ends):
                    with open(os.path.join(path, name), encoding="utf-8") as f:
                        found += texts(f.read())
    return [re.sub(r"%[-+#0-9.*]*(?:ll|z|l)?[a-zA-Z]", "…", text).replace("%%", "%") for text in found]


def test_literals():
    """Comments, documentation and character constants are none; what is joined is one."""
    assert literals_of_c('/* "a" */ say("b" NBSP\n  "c" /* , */ "d \\"e", \'"\', "f"); // "g"\n#define X \\\n "h" \\\n "i"') == [
        'b cd "e', "f", "hi"]
    assert literals_of_python('"""A."""\ndef f():\n    """B."""\n    return "c" "d"  # "e"\n') == ["cd"]


def test_messages_are_the_programs():
    """Each message that TROUBLESHOOTING.md explains is one that the program has, word for word."""
    text, missing = "\n".join(literals()), []
    for message in documents.messages():
        parts = [part.strip(" :;,()'") for part in message.split("…")]
        missing += [message for part in parts if len(part) > 3 and not says(text, part)]
    assert not missing


def says(text, part):
    """Words that the program has in one text; figures and PIDs are filled in."""
    pattern = re.sub(r"(?<!\w)\d+(?:\\\.\d+)*(?!\w)", r"(?:\\g<0>|…)", re.escape(part))
    pattern = pattern.replace(r"\g<0>", "…")
    return part in text or re.search(pattern, text)


def test_messages_are_explained():
    """Each line that begins with the program's name, and has more than an error's own text in it, is explained."""
    page = " ".join(documents.read("docs/TROUBLESHOOTING.md").split())
    found = {re.sub(r"\A[^:]*: |\\n.*|\n.*", "", text, flags=re.DOTALL).strip() for text in literals()
             if re.match(r'pymem-bpf[^:"]*: ', text)}
    unknown = []
    for text in found:
        longest = max((part.strip(" :;,()") for part in text.split("…")), key=len)
        if len(longest) > 8 and longest[:40] not in page and not text.startswith(tuple(UNEXPLAINED)):
            unknown.append(text)
    assert not unknown


# Errors of the system, which say all there is, and what is no error.
UNEXPLAINED = {
    "a helper process can't be started": "the system's error follows",
    "the examiner, a helper process that reads what targets can hold up, can't be started": "the same",
    "the helper process that copies targets' memory can't be started": "the same",
    "the helper process that … can't be started": "the same",
    "cannot list processes": "the same", "cannot write to stdout": "the same",
    "the BPF programs have no variable payers": "a program that was not built by its Makefile",
    "interrupted: the result of": "a result", "client pid": "the server's log",
    "--fd …: no connected SOCK_SEQPACKET": "for programs that start the server",
    "privileges can't be given up": "explained",
}

