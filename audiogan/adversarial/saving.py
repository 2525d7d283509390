"""Put a run into checkpoints and take it out again: one process writes, and all agree on how it went.

A disk that refuses is forgiven twice; weights that are not finite are never written.
"""

import logging
import platform
from collections.abc import Callable, Mapping
from typing import Any

import torch

from audiogan.adversarial.checkpoint import Checkpoint, Store, check_same_run, read_checkpoint
from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.disk import output_error
from audiogan.adversarial.guard import Guard
from audiogan.adversarial.loader import Examples
from audiogan.adversarial.players import Players
from audiogan.adversarial.portions import OUT_OF_MEMORY
from audiogan.adversarial.recovery import Recovery
from audiogan.adversarial.runtime import Runtime
from audiogan.adversarial.scoring import DISTANCE, Standing
from audiogan.errors import CheckpointError, TrainingError

logger = logging.getLogger(__name__)

REFUSED_SAVES = 3
SAVED, REFUSED, NOT_FINITE = 0, 1, 2


def facts_of(config: TrainConfig, dataset: Examples, runtime: Runtime, done: int, n_steps: int) -> dict[str, Any]:
    """Return the plain facts by which a checkpoint is known as that of a run.

    Args:
        config: Of the run.
        dataset: Source of examples.
        runtime: The machine.
        done: Steps done.
        n_steps: Steps in the budget.
    """
    return {
        "n_seen": done * config.batch_size,
        "n_steps": n_steps,
        "budget": config.budget,
        "seed": config.seed,
        "batch_size": config.batch_size,
        "examples": {"count": len(dataset), "fingerprint": str(getattr(dataset, "fingerprint", ""))},
        "pins": runtime.pins(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


class Saver:
    """Keeps one run.

    Args:
        store: Where checkpoints go.
        runtime: Which process writes.
        players: What is saved.
        recovery: How often the run has gone back.
        guard: What it knows of moves that were left out and of usual losses.
        describe: From the steps done to plain facts of the run, by which a checkpoint is known as its own.
        recipe: Written into every checkpoint.
    """

    standing: Standing

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        players: Players,
        recovery: Recovery,
        guard: Guard,
        describe: Callable[[int], Mapping[str, Any]],
        recipe: Mapping[str, Any],
    ) -> None:
        self.store = store
        self.runtime = runtime
        self.players = players
        self.recovery = recovery
        self.guard = guard
        self.describe = describe
        self.recipe = recipe
        self.accepts_other_corpus = False
        self._refused = 0
        self._error = OSError("another process says why")

    # ---- out of checkpoints

    def load_newest(self) -> Checkpoint | None:
        """Load on the main process first, which sets damaged checkpoints aside, then the same one on the others.

        Raises:
            CheckpointError: There are checkpoints, and none holds; on every process.
        """
        found, refusal = None, None
        if self.runtime.is_main:
            try:
                found = self.store.load_newest()
            except CheckpointError as error:
                refusal = error
        step, refused = self.runtime.largest([-1 if found is None else found.step, refusal is not None])
        if refused:
            raise refusal or CheckpointError(f"{self.store.folder}: the main process found no usable checkpoint")
        return found if self.runtime.is_main or step < 0 else read_checkpoint(self.store.path(int(step)))

    def begin(self, checkpoint: Checkpoint | None, standing: Standing) -> int:
        """Go on from a checkpoint, or begin, and return the steps already done.

        Args:
            checkpoint: None for a new run.
            standing: Of a run without scores; filled.
        """
        self.standing = standing
        if self.runtime.is_main:
            self.store.prune()  # whatever a killed process left
        if checkpoint is None:
            self.recovery.remember(self.players)
            return 0
        self.recovery.times = int(checkpoint.state["rollbacks"])
        # Where memory has run out once it would again: an exact run goes on in as many portions.
        portions = self.runtime.portions
        portions.count = max(portions.count, int(checkpoint.state["pins"]["portions"]))
        return self._restore(checkpoint)

    def roll_back(self, error: TrainingError) -> int:
        """Go back to the last good checkpoint, or to the beginning, and return the steps done there.

        Args:
            error: Why; raised when the run has gone back as often as it may.
        """
        out_of_memory = self._shrink()
        if self.recovery.is_over and not out_of_memory:
            raise error
        self.recovery.times += not out_of_memory
        checkpoint = self.load_newest()
        if checkpoint is None:
            self.recovery.begin_again(self.players)
            self.standing.load_state({})
            self.guard.load_state({})
        done = 0 if checkpoint is None else self._restore(checkpoint)
        self.guard.forget()
        n, most, factor = self.recovery.times, self.recovery.most, self.recovery.factor
        if self.runtime.is_main and out_of_memory:
            count = self.runtime.portions.count
            logger.warning("%s; back to step %d, every batch in %d portions from there", out_of_memory, done, count)
        elif self.runtime.is_main:
            logger.warning("%s; back to step %d, step sizes times %g (%d of %d times)", error, done, factor, n, most)
        return done

    def _shrink(self) -> str:
        """Cut batches into smaller portions if memory ran out on any process; return why, or nothing if it did not.

        Raises:
            TrainingError: It ran out with a single example.
        """
        portions = self.runtime.portions
        why = portions.failed
        (failed,) = self.runtime.largest([bool(why)])
        if not failed:
            return ""
        why = f"out of memory: {why or 'on another process'}"
        if not portions.shrink():
            least = f"{why}; it does not suffice for one example at a time; expected smaller networks or examples"
            raise TrainingError(f"{least}; {self.advice()}", OUT_OF_MEMORY)
        return why

    def take_best(self) -> int | None:
        """Put the weights of the best checkpoint in place and return its step; None, and nothing, where there is none.

        To be called when training is over.
        """
        step = self.standing.best_step
        if step is None:
            return None
        try:
            best = read_checkpoint(self.store.path(step))
            self.players.restore(best.tensors, best.state["extras"], str(self.store.path(step)))
        except CheckpointError as error:
            logger.warning("%s; the last checkpoint is used instead of the best", error)
            return None
        return step

    def _restore(self, checkpoint: Checkpoint) -> int:
        where = str(self.store.path(checkpoint.step))
        own, accepts = self.describe(checkpoint.step), self.accepts_other_corpus
        check_same_run(checkpoint.state, own, where, accepts_other_corpus=accepts)
        self.players.restore(checkpoint.tensors, checkpoint.state["extras"], where)
        self.standing.load_state(checkpoint.state["standing"])
        self.guard.load_state(checkpoint.state.get("guard", {}))
        self._mark_best()
        logger.info("resuming from %s", where)
        return checkpoint.step

    # ---- into checkpoints

    def save(self, done: int, *, must: bool = False) -> int:
        """Save, and return `SAVED`, `REFUSED` or `NOT_FINITE`, the same on every process.

        Args:
            done: Steps done.
            must: Whether a refusal ends the run at once.

        Raises:
            OutputError: The disk refused three times running; `DiskError` where it takes no more.
        """
        (outcome,) = self.runtime.largest([self._write(done) if self.runtime.is_main else SAVED])
        self._refused = self._refused + 1 if outcome == REFUSED else 0
        if outcome == REFUSED and (must or self._refused >= REFUSED_SAVES):
            what = f"{self.store.folder.parent}: checkpoint cannot be saved"
            raise output_error(what, self._error, self.advice())
        if outcome == REFUSED:
            self.standing.revoke(done)
        if outcome == SAVED:
            self._mark_best()
            self.recovery.forget()
        return int(outcome)

    def _write(self, done: int) -> int:
        try:
            self.store.save(self.capture(done))
        except OSError as error:
            logger.warning("checkpoint at step %d not saved: %s", done, error)
            self._error = error
            return REFUSED
        except CheckpointError as error:
            if error.reason != "not_finite":
                raise
            logger.warning("checkpoint at step %d not saved: %s", done, error)
            return NOT_FINITE
        return SAVED

    def capture(self, done: int) -> Checkpoint:
        """Return everything that the next step depends on.

        Args:
            done: Steps done.
        """
        tensors, numbers = self.players.capture()
        memory = {"extras": numbers, "standing": self.standing.state(), "guard": self.guard.state()}
        past = {"rollbacks": self.recovery.times}
        return Checkpoint(done, {**self.describe(done), **memory, **past}, tensors, self.recipe)

    def _mark_best(self) -> None:
        """Name the best checkpoint, so that it stays, unless it is named already."""
        step, value = self.standing.best_step, self.standing.best_distance
        best = {"step": step, "metric": f"score/{DISTANCE}", "value": value}
        if not self.runtime.is_main or step is None or self.store.best() == best:
            return
        try:
            self.store.mark_best(step, best["metric"], value)
        except OSError as error:
            logger.warning("best checkpoint at step %d not marked: %s", step, error)

    def advice(self) -> str:
        """Return what is left to the user: the last good checkpoint."""
        steps = self.store.steps()
        return f"last good checkpoint {self.store.path(steps[-1])}" if steps else "no checkpoint was saved yet"
