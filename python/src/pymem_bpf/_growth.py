# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""When lines grew: the figures of a LineProfiler, looked at again and again while code runs.

A profiler knows how much a line changed, but not when. A thread reads its figures some times a second. A run of a line is
counted when it ends, so what one long run brought is seen at its end. While code holds the GIL the thread waits, but
then no run of a line ends either.
"""
import threading
import time

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from types import CodeType
    from typing import Dict, List, Tuple

    from .line_profiler import LineProfiler

    Line = Tuple[CodeType, int]
    Steps = List[Tuple[float, int]]

__all__ = ["Growth"]

LOOK_SECONDS, STEPS_LIMIT, SLOWER = 0.05, 512, 20


class Growth:
    """Looks at a profiler between start() and stop(). steps: {(code of the function, line): [(time, bytes so far)]},
    one step for each look at which it had changed, of long runs not all."""

    def __init__(self, profiler: "LineProfiler") -> None:
        self.steps: "Dict[Line, Steps]" = {}
        self._profiler, self._over = profiler, threading.Event()
        self._thread = threading.Thread(target=self._run, name="pymem-bpf memplot", daemon=True)

    def start(self) -> None:
        """Begins to look. RuntimeError: no thread can be started."""
        self._thread.start()

    def stop(self) -> None:
        """Ends that, with a last look."""
        self._over.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._over.wait(pause):
            began = time.monotonic()
            self._look()
            # With many lines a look takes long: then there are fewer, so that the code is not slowed down.
            pause = max(LOOK_SECONDS, SLOWER * (time.monotonic() - began))

    def _look(self) -> None:
        now = time.time()
        for line, amount in self._profiler.increments().items():
            steps = self.steps.get(line)
            if steps is None and amount:
                self.steps[line] = [(now, amount)]
            elif steps is not None and steps[-1][1] != amount:
                steps.append((now, amount))
                if len(steps) >= STEPS_LIMIT:
                    del steps[::2]
