"""Show a supervisor that a process lives and is not stuck: touch a file every second, but not while waiting for others.

A supervisor names the file in the environment. Processes that train together wait for each other at every step, so a
group in which nobody's file moves any more waits for a process that is dead or stopped. A process whose supervisor has
died sends itself SIGTERM: it saves and ends, instead of training on unseen.
"""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

HEARTBEAT = "AUDIOGAN_HEARTBEAT"
SUPERVISOR = "AUDIOGAN_SUPERVISOR"
BEAT_SECONDS = 1.0


LOSS = re.compile(r"connection|timed? ?out|socket|broken pipe|reset by peer|unreachable|aborted|remote", re.IGNORECASE)


def is_loss(error: RuntimeError) -> bool:
    """Return whether an error of something done together says that another process is gone, not that we are wrong.

    Args:
        error: Of torch.distributed; gloo has no type of its own for a broken connection, only words.
    """
    from torch.distributed import DistError

    return isinstance(error, DistError) or LOSS.search(str(error)) is not None


class Heart:
    """The heartbeat of this process; does nothing without a file.

    Args:
        path: The file; its folder exists.
        seconds: Time between beats.
    """

    def __init__(self, path: Path | None, seconds: float = BEAT_SECONDS) -> None:
        self.path = path
        self.seconds = seconds
        self._waits = 0
        self._stopped = threading.Event()
        if path is not None:
            # Told, since the supervisor may have died while this program was loaded.
            self._parent = int(os.environ.get(SUPERVISOR, os.getppid()))
            threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    @classmethod
    def from_environment(cls) -> "Heart":
        """Return the heart that the environment asks for."""
        text = os.environ.get(HEARTBEAT)
        return cls(Path(text) if text else None)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not beat inside the block, because there this process waits for others."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            if not self._waits and self.path is not None:
                with contextlib.suppress(OSError):  # the supervisor may have cleared up already
                    self.path.touch()
            if os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self._stopped.wait(self.seconds):
                return
