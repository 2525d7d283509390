"""Show a training run on standard error: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

PLAIN_SECONDS = 10.0
BAR_SECONDS = 0.5


class View:
    """Progress of one run.

    Args:
        n_steps: Steps in the budget.
        first_step: Steps already done.
    """

    def __init__(self, n_steps: int, first_step: int) -> None:
        self.n_steps = n_steps
        self.first_step = first_step
        self.began = self.shown = time.monotonic()
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.completed}/{task.total} steps"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.description}"),
            )
            # Drawn when told to, not ten times a second from a thread: that took more than 1 % of a core from training.
            self.bar = Progress(*columns, console=self.console, auto_refresh=False)
            self.task = self.bar.add_task("", total=n_steps, completed=first_step)
            self.bar.start()

    def show(self, done: int) -> None:
        """Move the bar.

        Args:
            done: Steps done.
        """
        if self.bar is not None and time.monotonic() - self.shown > BAR_SECONDS:
            self.shown = time.monotonic()
            self.bar.update(self.task, completed=done, refresh=True)

    def line(self, done: int, line: Mapping[str, float]) -> None:
        """Show the figures of a window.

        Args:
            done: Steps done.
            line: As in the record.
        """
        text = f"{line['items_per_second']:.0f} items/s, {self.time_left(done)} left"
        if self.bar is not None:
            self.bar.update(self.task, completed=done, description=text, refresh=done == self.n_steps)
        elif time.monotonic() - self.shown > PLAIN_SECONDS or done == self.n_steps:
            self.shown = time.monotonic()
            losses = ", ".join(f"{name} {value:.3f}" for name, value in line.items() if name.endswith("/adversarial"))
            self.console.print(
                f"step {done}/{self.n_steps} ({done / self.n_steps:.0%}), {text}, {losses}", highlight=False
            )

    def say(self, text: str) -> None:
        """Show a sentence above the bar.

        Args:
            text: One line.
        """
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def time_left(self, done: int) -> str:
        """Return the time to the end of the budget at the present speed.

        Args:
            done: Steps done.
        """
        per_step = (time.monotonic() - self.began) / max(1, done - self.first_step)
        minutes, seconds = divmod(round(per_step * (self.n_steps - done)), 60)
        return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()
