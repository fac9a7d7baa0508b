# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory over time in files that mprof reads: python -m pymem_bpf.mprof COMMAND.

  run       start a program and sample its memory into a .dat file
  attach    the same for a process that runs: PID or name
  plot      draw files (matplotlib does it)     peak   the highest of each file
  list      the files of this folder            rm, clean   remove files

Commands, options and file format are those of mprof (memory_profiler 0.61), which reads the files as
they are. plot, peak and list read recordings of `pymem-bpf record`, too.

No peak is missed between samples: where the kernel's high-water mark rose between two
samples, there is one more. With a helper (pymem-bpf serve) that holds for children (-C) and for
the last moment before the end, too.
"""
import argparse
import glob
import os
import shlex
import subprocess
import sys
import time

from . import __version__, _launch, _proc, dat, memory, recording
from ._helper import HelperError, HelperMissing
from ._interpreter import is_python, split_command
from ._streams import printable
from .dat import read_mprofile_file  # noqa: F401 -- a name of memory_profiler's mprof
from .plot import function_labels  # noqa: F401 -- so is this

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Callable, List, Sequence, Tuple

    from .counter import Counter

ATTACH_SECONDS = 3600
PATTERN = "mprofile_" + "?" * 14 + ".dat"
RECORDINGS = "*.pymem"


class Failure(Exception):
    """A command can't be done. The text is for the user: what is wrong."""


def existing() -> "List[str]":
    """Names of the .dat files of the working folder, the oldest first."""
    return sorted(glob.glob(PATTERN))


def chosen(words: "Sequence[str]") -> "List[str]":
    """Names of files that are meant by names, or by their numbers in `mprof list`; -1 is the last. Failure:
    there is none of that name or number."""
    found = []
    for word in words:
        name = word
        if not os.path.exists(word):
            try:
                name = existing()[int(word)]
            except ValueError:
                raise Failure("%s: no such file" % word) from None
            except IndexError:
                raise Failure("%s: there are %d files here" % (word, len(existing()))) from None
        if os.path.isdir(name):
            raise Failure("%s is a folder" % name)
        if name not in found:
            found.append(name)
    return found


def chosen_or_last(words: "Sequence[str]") -> "List[str]":
    """chosen(), or the last file of this folder if no word is given. Failure."""
    if words:
        return chosen(words)
    if not existing():
        raise Failure("there is no %s here; python -m pymem_bpf.mprof run makes one" % PATTERN)
    print("Using last profile data.")
    return existing()[-1:]


def quote(words: "Sequence[str]") -> str:
    """A command line as one line of UTF-8 text, whatever the encoding of its bytes."""
    said = " ".join(shlex.quote(os.fsencode(word).decode("utf-8", "backslashreplace")) for word in words)
    return said.replace("\n", " ")


def find_process(hint: str) -> "Tuple[int, str]":
    """(PID, command line) of a PID, or of the first process whose name (comm) holds `hint`. Failure: there is
    none, or it can't be read."""
    if hint.isdigit():
        pid = int(hint)
        if _proc.ended(pid):
            raise Failure("there is no process %d, or it has ended" % pid)
    else:
        for pid in sorted(_proc.parents()):
            try:
                if pid != os.getpid() and hint in _proc.read_file(pid, "comm"):
                    break
            except OSError:
                continue
        else:
            raise Failure("no process has %r in its name; give its PID" % hint)
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            words = [os.fsdecode(word) for word in f.read().split(b"\0") if word]
    except OSError as e:
        raise Failure("process %d: %s" % (pid, e.strerror)) from None
    return pid, quote(words or [str(pid)])


def launched(options: "argparse.Namespace") -> "Tuple[List[str], List[str] | None]":
    """(words of the command, words that run it with FUNC lines; None: those can't be had for it) for the words
    behind `mprof run`."""
    program = list(options.program)
    kind: "str | None" = None
    flags: "List[str]" = []
    if is_python(program[0]):
        interpreter, words = program[0], program[1:]
        flags, kind, words = split_command(words)
    else:
        interpreter, words = sys.executable, program
        if options.module:
            kind = "module"
        elif options.python or program[0].endswith(".py"):
            kind = "script"  # or a module's name, as timestamps.py takes both
    if options.module and is_python(program[0]):
        raise Failure("-m takes a module, not %s" % program[0])
    if options.python and kind is None:
        raise Failure("--python: a script or module to run is missing")
    if kind is None:
        return program, None
    plain = [interpreter] + flags + (["-m"] if kind == "module" else []) + words
    if options.nopython or options.multiprocess:
        return plain, None
    extra = [_launch.__file__, "-o", os.path.abspath(options.output)]
    extra += ["--include-children"] if options.include_children else []
    extra += ["--backend", options.backend] if options.backend else []
    return plain, [interpreter] + flags + extra + (["-m"] if kind == "module" else ["--"]) + words


def start(options: "argparse.Namespace") -> "Tuple[subprocess.Popen[bytes], str]":
    """Starts what `mprof run` is to sample: (Popen, its command line). A Python program gets its FUNC lines
    through pymem_bpf.timestamps. Failure: it can't be started."""
    plain, stamped = launched(options)
    command = stamped or plain
    try:
        return subprocess.Popen(command), quote(plain)
    except OSError as e:
        raise Failure("%s: %s" % (command[0], e.strerror)) from None


def counter_of(pid: int) -> "Counter | None":
    """A Counter of a process; None: there is no server, or it can't count this one, which stderr then says."""
    from .counter import Counter
    try:
        return Counter(pid, private=False)
    except HelperMissing:
        return None
    except HelperError as e:
        print("mprof: without the helper: %s" % e, file=sys.stderr)
        return None


def run(options: "argparse.Namespace") -> int:
    """`run` and `attach`: samples a process into a .dat file. Exit status; Failure."""
    memory.choose_metric(options.backend)
    if options.interval <= 0:
        raise Failure("--interval takes a positive number of seconds")
    if options.program[:1] == ["--"]:
        del options.program[0]
    if not options.program:
        raise Failure("what is to be watched is missing")
    process: "int | subprocess.Popen[bytes]"
    if options.attach:
        pid, text = find_process(options.program[0])
        process, timeout = pid, options.timeout or ATTACH_SECONDS
    else:
        launched_one, text = start(options)
        process, pid, timeout = launched_one, launched_one.pid, options.timeout
    print("mprof: sampling memory of process %d every %gs into %s"
          % (pid, options.interval, options.output), flush=True)
    counter = counter_of(pid)
    try:
        # By lines: the program appends its FUNC lines to the same file, between these.
        with open(options.output, "a", buffering=1, encoding="utf-8",
                  errors="backslashreplace") as stream:
            stream.write("CMDLINE %s\n" % text)
            stream.flush()
            memory.memory_usage(process, options.interval, timeout, timestamps=True,
                                include_children=options.include_children,
                                multiprocess=options.multiprocess, stream=stream,
                                backend=options.backend, counter=counter)
    except KeyboardInterrupt:
        pass  # enough has been seen; what there is, is in the file
    except OSError as e:
        raise Failure("process %d: %s" % (pid, e.strerror or e)) from None
    finally:
        if counter is not None:
            counter.close()
    if options.exit_code and isinstance(process, subprocess.Popen):
        status = process.wait()
        if status:
            print("mprof: the program's exit status is %d" % status, file=sys.stderr)
        return status if status >= 0 else 128 - status
    return 0


def peak(options: "argparse.Namespace") -> int:
    """`peak`: prints the highest amount of each file, in MiB. Exit status; Failure, ValueError."""
    for name in chosen_or_last(options.profiles):
        if recording.is_recording(name):
            _peaks_of_recording(name, options.func)
            continue
        data = dat.read(name)
        amounts = data.amounts_of(options.func)
        if not amounts:
            print("%s\tNaN MiB" % name)
            continue
        print("%s\t%.3f MiB" % (name, max(amounts)))
        for child, samples in data.children.items():
            print("  Child %s\t\t\t%.3f MiB" % (child, max(amount for amount, _ in samples)))
    return 0


def _peaks_of_recording(name: str, function: "str | None") -> None:
    if function is not None:
        raise Failure("%s is a recording, and has no functions: --func is for .dat files" % name)
    found = recording.read(name)
    print("%s\t%.3f MiB" % (name, found.peak_bytes / memory.MIB) if found.images else "%s\tNaN MiB" % name)
    for image in found.images if len(found.images) > 1 else []:
        print("  Process %d %s\t\t\t%.3f MiB" % (image.pid, image.name, image.peak_bytes / memory.MIB))


def plot(options: "argparse.Namespace") -> int:
    """`plot`: draws files. Exit status; Failure, ValueError."""
    from . import plot as plots
    return plots.draw(chosen_or_last(options.profiles), options)


def list_files(_: "argparse.Namespace") -> int:
    """`list`: prints number, name and time of the files of this folder, and its recordings. Exit status; OSError."""
    for number, name in enumerate(existing()):
        when = time.strptime(name[-18:-4], "%Y%m%d%H%M%S") if name[-18:-4].isdigit() else None
        print("%d %s %s" % (number, name, time.strftime("%H:%M:%S %d/%m/%Y", when) if when else ""))
    for name in sorted(glob.glob(RECORDINGS)):
        # Without a number: those count what `clean` removes, and a recording is not ours to remove.
        if not os.path.isfile(name):
            continue
        try:
            if recording.is_recording(name):
                print("- %s %s" % (printable(name), _about(name)))
        except OSError as e:
            print("- %s (can't be read: %s)" % (printable(name), e.strerror or e))
    return 0


def _about(name: str) -> str:
    """What `list` says of a recording."""
    try:
        found = recording.read(name)
    except ValueError as e:
        return "(%s)" % e
    return "%s recording, %d process%s" % (time.strftime("%H:%M:%S %d/%m/%Y", time.localtime(found.start)),
                                           len(found.images), "" if len(found.images) == 1 else "es")


def remove(options: "argparse.Namespace") -> int:
    """`rm` and `clean`: removes files, or prints them with --dry-run. Exit status; Failure, OSError."""
    names = existing() if options.command == "clean" else chosen(options.profiles)
    if options.dry_run:
        print("Files to be removed:")
    for name in names:
        if options.dry_run:
            print(name)
        else:
            os.remove(name)
    return 0


def _window(text: str) -> "Tuple[float, float]":
    first, last = (float(word) for word in text.split(","))
    return first, last


def _run_options(parser: "argparse.ArgumentParser", attach: bool) -> None:
    parser.set_defaults(attach=attach)
    parser.add_argument("--python", action="store_true", help="it is a Python program: FUNC lines")
    parser.add_argument("--nopython", action="store_true", help="no FUNC lines")
    parser.add_argument("-T", "--interval", type=float, default=0.1, help="seconds between samples")
    parser.add_argument("-C", "--include-children", action="store_true", help="add descendants")
    parser.add_argument("-M", "--multiprocess", action="store_true", help="each descendant apart")
    parser.add_argument("-E", "--exit-code", action="store_true", help="exit with the program's status")
    parser.add_argument("-t", "--timeout", type=float, help="seconds to watch it for")
    parser.add_argument("-o", "--output", default=time.strftime("mprofile_%Y%m%d%H%M%S.dat"))
    parser.add_argument("--backend", default=None, help="rss, pss, uss")
    if not attach:
        parser.add_argument("-a", "--attach", action="store_true", help="the program runs: PID or name")
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a Python module")
    parser.add_argument("program", nargs=argparse.REMAINDER)


def _parser() -> "argparse.ArgumentParser":
    parser = argparse.ArgumentParser(prog="python -m pymem_bpf.mprof", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True

    def command(name: str, act: "Callable[[argparse.Namespace], int]") -> "argparse.ArgumentParser":
        one = commands.add_parser(name)
        one.add_argument("--version", action="version", version=__version__)
        one.set_defaults(act=act)
        return one

    _run_options(command("run", run), False)
    _run_options(command("attach", run), True)
    command("list", list_files)
    one = command("peak", peak)
    one.add_argument("--func", help="while this function ran, as the file names it: module.name")
    one.add_argument("profiles", nargs="*")
    one = command("plot", plot)
    one.add_argument("-t", "--title")
    one.add_argument("-n", "--no-function-ts", action="store_true", help="without functions")
    one.add_argument("-o", "--output", help="file to draw into, instead of a window")
    one.add_argument("-w", "--window", type=_window, help="FROM,TO in seconds")
    one.add_argument("-f", "--flame", action="store_true", help="functions as rectangles")
    one.add_argument("-s", "--slope", action="store_true", help="a trend line")
    one.add_argument("--backend", help="matplotlib's")
    one.add_argument("profiles", nargs="*")
    for name in ("rm", "clean"):
        one = command(name, remove)
        one.add_argument("--dry-run", action="store_true")
        if name == "rm":
            one.add_argument("profiles", nargs="+", metavar="FILE|NUMBER")
    return parser


def main(argv: "Sequence[str] | None" = None) -> int:
    """The command line, without the program's name (None: sys.argv). Exit status; what went wrong is on
    stderr. SystemExit for words that can't be understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    # A negative number is a file's place in the list, no option.
    if words[:1] and words[0] in ("rm", "peak", "plot"):
        for at, word in enumerate(words):
            if word[:1] == "-" and word[1:].isdigit():
                words.insert(at, "--")
                break
    options = _parser().parse_args(words)
    try:
        status: int = options.act(options)
        return status
    except (Failure, ValueError, OSError) as e:
        print("mprof: %s" % e, file=sys.stderr)
        return 1


def _action(command: str) -> "Callable[[], None]":
    """A command as memory_profiler's mprof has it: a function that takes its words from sys.argv and, with a
    status to tell, raises SystemExit."""
    def action() -> None:
        status = main([command] + sys.argv[1:])
        if status or {"-E", "--exit-code"} & set(sys.argv[1:]):
            sys.exit(status)
    action.__name__ = command + "_action"
    action.__doc__ = "mprof %s, with the words behind it from sys.argv." % command
    return action


run_action, attach_action, plot_action, peak_action, list_action, rm_action, clean_action = map(
    _action, ("run", "attach", "plot", "peak", "list", "rm", "clean"))


if __name__ == "__main__":
    sys.exit(main())
