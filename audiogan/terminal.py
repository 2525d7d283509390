"""How the command line speaks: one result on standard output, everything else on standard error.

A command runs inside a `Terminal` block. Whatever ends the block becomes an exit code: a refusal is one line with its
reason code, an interrupt is 130, anything unforeseen is a bug and says so. rich is imported only to draw a progress
bar.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NoReturn, Self

from audiogan.errors import AudioganError

PLAIN_SECONDS = 10.0
BUG = 1
INTERRUPTED, TERMINATED = 130, 143


class Terminal:
    """One command's voice.

    Args:
        as_json: Print the result as one JSON object.
        quiet: Show no progress and no messages; errors and refused inputs are still told.
        debug: Show the traceback of an error.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.as_json, self.quiet, self.debug = as_json, quiet, debug
        self._exit_code = 0
        self._bars: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn what happened into an exit code."""
        for close in self._bars:
            close()
        if error is None:
            self._leave(self._exit_code)
        if self.debug and not isinstance(error, SystemExit):
            traceback.print_exception(error)
        if isinstance(error, AudioganError):
            self._fail(error.exit_code, error.reason, str(error))
        if isinstance(error, KeyboardInterrupt):
            self._fail(INTERRUPTED, "interrupted", "stopped")
        if isinstance(error, SystemExit) and error.code == TERMINATED:
            self._fail(TERMINATED, "terminated", "stopped")
        if isinstance(error, BrokenPipeError):
            # The reader went away, as `| head` does; nobody is left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._leave(0)
        if isinstance(error, Exception):
            self._fail(
                BUG, "bug", f"a bug in audiogan: {type(error).__name__}: {error}; --debug shows where, please report it"
            )

    def show(self, values: Mapping[str, Any], lines: Iterable[str], exit_code: int = 0) -> None:
        """Print the result: the values as JSON, or the lines for people.

        Args:
            values: JSON-able.
            lines: The same for reading.
            exit_code: Of the command if nothing else happens.
        """
        text = json.dumps(values, ensure_ascii=False) if self.as_json else "\n".join(lines)
        if text:
            _write(sys.stdout, text)
        self._exit_code = exit_code

    def say(self, text: str) -> None:
        """Tell something on standard error."""
        if not self.quiet:
            _write(sys.stderr, text)

    def warn(self, text: str) -> None:
        """Tell on standard error what must not go unheard, also when quiet."""
        _write(sys.stderr, text)

    def progress(self, label: str) -> Callable[[int, int], None] | None:
        """Return a function to call with items done and their number, or None when quiet."""
        if self.quiet:
            return None
        return self._bar(label) if sys.stderr.isatty() else _plain(label)

    def _bar(self, label: str) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        task = bar.add_task(label, total=None)
        bar.start()
        self._bars.append(bar.stop)
        return lambda done, total: bar.update(task, completed=done, total=total)

    def _fail(self, code: int, reason: str, message: str) -> NoReturn:
        line = " ".join(message.split())
        if self.as_json:
            _write(sys.stdout, json.dumps({"error": reason, "message": line}, ensure_ascii=False))
        _write(sys.stderr, f"audiogan: {reason}: {line}")
        self._leave(code)

    def _leave(self, code: int) -> NoReturn:
        raise SystemExit(code)


def _plain(label: str) -> Callable[[int, int], None]:
    """Tell the progress in a line now and then."""
    began = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS and done < total:
            last = now
            left = (now - began) / max(done, 1) * (total - done)
            _write(sys.stderr, f"{label}: {done} of {total}, about {left:.0f} s left")

    return tell


def _write(stream: Any, text: str) -> None:
    # A name may hold letters the terminal's encoding lacks; showing them escaped beats failing.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
