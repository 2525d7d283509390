"""Look at the networks between two steps: hooks, scores, what the discriminator remembers; training is not touched.

One process looks, and all learn what follows. Modules are in evaluation mode meanwhile.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from audiogan.adversarial.monitor import Hook, Monitor, Snapshot
from audiogan.adversarial.players import Players
from audiogan.adversarial.runtime import Runtime
from audiogan.adversarial.scoring import (
    DISTANCE,
    FIGURES,
    OVERFITTING,
    VARIETY,
    Scoring,
    Standing,
    Verdict,
    overfitting,
)

logger = logging.getLogger(__name__)

MISSING = float("-inf")


class Watcher:
    """Runs what is due.

    Args:
        players: Whom to look at.
        runtime: Which process looks.
        monitor: Where it is recorded.
        folder: The run folder.
        standing: What the scores say so far; also tells when they are due.
        hooks: Things to do now and then.
        scoring: How to tell good from bad, if anybody knows.
        batch_size: Examples per step.
        seed: Of the scores: the same every time.
    """

    def __init__(
        self,
        players: Players,
        runtime: Runtime,
        monitor: Monitor,
        folder: Path,
        standing: Standing,
        *,
        hooks: Sequence[Hook],
        scoring: Scoring | None,
        batch_size: int,
        seed: int,
    ) -> None:
        self.players = players
        self.runtime = runtime
        self.monitor = monitor
        self.folder = folder
        self.standing = standing
        self.hooks = hooks
        self.scoring = scoring
        self.batch_size = batch_size
        self.seed = seed

    def look(self, done: int) -> Verdict:
        """Run what is due after so many steps and return, on every process alike, what follows from the scores.

        Args:
            done: Steps done.
        """
        due = [hook for hook in self.hooks if hook.due(done, self.standing.n_steps)]
        scores = self.scoring is not None and self.standing.due(done)
        if not due and not scores:
            return Verdict()
        figures = self._seen(done, due, scores) if self.runtime.is_main else {}
        self.monitor.charge("pause")
        return self._judged(done, figures) if scores else Verdict()

    def _seen(self, done: int, due: Sequence[Hook], scores: bool) -> dict[str, float]:
        """Run hooks, then return the figures of a scoring; a part that fails is missing."""
        live = {name: module.eval() for name, module in self.players.modules.items()}
        share, shown = done / self.standing.n_steps, live | self.players.averages.copies
        snapshot = Snapshot(done, share, done * self.batch_size, shown, self.folder, self.runtime.device)
        for hook in due:
            self.monitor.observe(hook.name, done, lambda hook=hook: hook.run(snapshot))
        figures: dict[str, float] = {}
        if scores and self.scoring is not None:
            score, probe = self.scoring.score, self.scoring.probe
            figures |= self.monitor.observe("score", done, lambda: score(shown, self.seed))
            if probe is not None:
                figures |= self.monitor.observe("probe", done, lambda: overfitting(probe(live, self.seed)))
        for module in live.values():
            module.train()
        return figures

    def _judged(self, done: int, found: dict[str, float]) -> Verdict:
        """Share the figures between the processes, take them and tell about them."""
        shared = self.runtime.largest([found.get(name, MISSING) for name in FIGURES])
        figures = {name: value for name, value in zip(FIGURES, shared, strict=True) if value != MISSING}
        verdict = self.standing.take(done, figures)
        told = [f"{name} {figures[name]:.3g}" for name in (DISTANCE, VARIETY, OVERFITTING) if name in figures]
        told += ["kept as the best"] if verdict.improved else []
        self.monitor.say(f"step {done}: {', '.join(told) or 'no score'}")
        if self.runtime.is_main:
            for sentence in verdict.news:
                logger.warning("step %d: %s", done, sentence)
        return verdict
