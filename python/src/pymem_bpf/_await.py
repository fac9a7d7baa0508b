# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs a coroutine to its end for a magic, which is no coroutine itself and may be called from one.

A Jupyter kernel runs cells inside its event loop, and what earlier cells awaited belongs to that loop. So the
coroutine has to run in that loop, too. asyncio's loops can't be entered twice by their own methods. This uses
the functions that asyncio documents for authors of tasks (_enter_task, _leave_task), and one private method of
the loop, _run_once(). Another loop (uvloop) has no such method: there the coroutine gets a loop of its own in
the same thread.
"""
import asyncio
import contextlib

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Iterator, List

try:
    from IPython.core.async_helpers import _asyncio_runner
except ImportError:  # pragma: no cover -- an IPython that has moved it: its runner decides
    _asyncio_runner = None


def run_coroutine(shell: "Any", coroutine: "Coroutine[Any, Any, Any]") -> "Any":
    """Runs the coroutine as the shell's autoawait would. Returns what it returns, raises what it raises."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _run_by_shell(shell.loop_runner, coroutine)
    if _asyncio_runner is not None and shell.loop_runner is not _asyncio_runner:
        return shell.loop_runner(coroutine)  # %autoawait trio
    if hasattr(loop, "_run_once") and hasattr(loop, "_ready"):
        return _run_inside(loop, coroutine)
    with _suspended(loop), contextlib.closing(asyncio.new_event_loop()) as own:
        return own.run_until_complete(coroutine)


def _run_by_shell(runner: "Callable[..., Any]", coroutine: "Coroutine[Any, Any, Any]") -> "Any":
    if runner is not _asyncio_runner:
        return runner(coroutine)
    tasks: "List[asyncio.Task[Any]]" = []

    async def announced() -> "Any":
        task = asyncio.current_task()
        if task is not None:  # a runner that is not asyncio's knows none
            tasks.append(task)
        return await coroutine

    try:
        return runner(announced())
    except BaseException:
        # The loop is the shell's and stays: what Ctrl-C or a time limit stopped must not go on in it.
        if tasks and not tasks[0].done():
            tasks[0].cancel()
            runner(asyncio.wait(tasks))
        raise


@contextlib.contextmanager
def _without_task(loop: "Any") -> "Iterator[None]":
    """A context in which the task that called us is not the loop's current one, so that others may run."""
    outer = asyncio.current_task(loop)
    if outer is not None:
        asyncio.tasks._leave_task(loop, outer)
    try:
        yield
    finally:
        if outer is not None:
            asyncio.tasks._enter_task(loop, outer)


@contextlib.contextmanager
def _suspended(loop: "Any") -> "Iterator[None]":
    """A context in which the running loop doesn't count as running, so that another can run in this thread."""
    with _without_task(loop):
        asyncio._set_running_loop(None)
        try:
            yield
        finally:
            asyncio._set_running_loop(loop)


def _run_inside(loop: "Any", coroutine: "Coroutine[Any, Any, Any]") -> "Any":
    # The loop's present turn has counted the handles that are ready, and will take that many when it goes on.
    # Cancelled ones make up for those that are gone by then.
    counted = len(loop._ready)
    with _without_task(loop):
        task = loop.create_task(coroutine)
        try:
            while not task.done():
                loop._run_once()
        except BaseException:  # Ctrl-C, or a time limit, wherever it arrived
            task.cancel()
            while not task.done():
                loop._run_once()
            with contextlib.suppress(BaseException):
                task.result()  # else the loop reports an exception that nobody has looked at
            raise
        finally:
            while len(loop._ready) < counted:
                handle = asyncio.Handle(_nothing, (), loop)
                handle.cancel()
                loop._ready.append(handle)
    return task.result()


def _nothing() -> None:
    pass
