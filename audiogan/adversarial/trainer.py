"""Train any set of modules that play a game, exactly resumable, within one budget.

`Trainer.step` is the algorithm; the rest of this file starts, saves, stops and resumes it. The trainer sees named
modules, phases and batches of tensors and knows nothing of what they mean. A run that was killed at any moment
continues from its newest complete checkpoint and ends with the same weights as one that was left alone.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audiogan.adversarial.budget import REHEARSAL_STEPS, steps_of
from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.config import Finished, Stopped, TrainConfig
from audiogan.adversarial.disk import locked
from audiogan.adversarial.ema import Averages
from audiogan.adversarial.game import Game, Moment, Phase
from audiogan.adversarial.guard import Guard
from audiogan.adversarial.loader import Examples, Loader
from audiogan.adversarial.monitor import Hook, Monitor
from audiogan.adversarial.players import Players
from audiogan.adversarial.recovery import Recovery
from audiogan.adversarial.rehearsal import rehearse
from audiogan.adversarial.runtime import Runtime, StopRequest
from audiogan.adversarial.saving import NOT_FINITE, SAVED, Saver, facts_of
from audiogan.adversarial.scoring import Scoring, Standing
from audiogan.adversarial.watching import Watcher
from audiogan.errors import OutputError, TrainingError, UsageError

logger = logging.getLogger(__name__)

COMPARE_EVERY = 500


class Trainer:
    """Spend a budget on a game.

    Args:
        modules: Everything that moves or stands still, by name; moved to the device.
        game: The phases, and which modules are averaged.
        dataset: Source of examples.
        config: Budget, batch size, seed, saving.
        run_folder: Where checkpoints and the record go.
        resolved_recipe: Written into every checkpoint.
        hooks: What to do now and then.
        scoring: How to tell good from bad, if anybody knows.
        runtime: Machine to use instead of the one `config.runtime` describes.
        quiet: Whether to show no progress.

    Raises:
        UsageError: The batch does not divide over the processes, or the device is missing.
        CorpusError: The dataset is empty.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        game: Game,
        dataset: Examples,
        config: TrainConfig,
        run_folder: Path,
        resolved_recipe: Mapping[str, Any] | None = None,
        hooks: Sequence[Hook] = (),
        scoring: Scoring | None = None,
        *,
        runtime: Runtime | None = None,
        quiet: bool = False,
    ) -> None:
        self.runtime = runtime or Runtime(config.runtime)
        if config.batch_size % self.runtime.world:
            raise UsageError(f"batch_size {config.batch_size} does not divide over {self.runtime.world} processes")
        self.players = Players(self.runtime.place(modules, game), game, config.averages)
        self.game = game
        self.dataset = dataset
        self.config = config
        self.folder = Path(run_folder)
        self.recipe = dict(resolved_recipe or {})
        self.hooks = list(hooks)
        self.scoring = scoring
        self.quiet = quiet
        self.store = Store(self.folder, config.keep)
        self.recovery = Recovery(config.seed, config.rollbacks)
        self.guard = Guard(self.players, self.runtime)
        own = (self.store, self.runtime, self.players, self.recovery, self.guard)
        self.saver = Saver(*own, self._facts, self.recipe)
        self.n_steps = 0

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The live modules, by name."""
        return self.players.modules

    @property
    def averages(self) -> Averages:
        """The averaged copies."""
        return self.players.averages

    # ---- the algorithm

    def step(self, step: int, batches: Iterator[dict[str, Tensor]]) -> None:
        """Let every due phase move, in order, then update the averages; what is not finite is left out.

        Args:
            step: Number of the step, from 0.
            batches: One batch per move.
        """
        self.guard.begin()
        for phase, repeat in self.game.moves(step, step / self.n_steps):
            batch = self.runtime.to_device(next(batches))
            self.monitor.charge("wait")
            moment = self.moment(step, phase, repeat)
            self.players.let_move(phase, moment.span_share)
            self.recovery.slow(self.players.optimizers[phase.name])
            self.runtime.seed_layers(moment)
            names, losses = self.runtime.backward(phase.terms, batch, moment)
            self.guard.move(phase, losses)
            if phase.after_move is not None:
                phase.after_move()
            self._note(phase, names, losses)
        n_batch = self.config.batch_size
        if self.monitor.finite(self.guard.flags):
            self.averages.update((step + 1) * n_batch, n_batch, self.n_steps * n_batch)
        else:
            self.guard.undo()

    def moment(self, step: int, phase: Phase, repeat: int) -> Moment:
        """Return where in the run a move happens.

        Args:
            step: Number of the step, from 0.
            phase: The phase that moves.
            repeat: Which move of it.
        """
        share = step / self.n_steps
        return Moment(
            step=step,
            share=share,
            n_seen=step * self.config.batch_size,
            span_share=phase.span_share(share),
            seed=self.recovery.seed,
            phase=phase.name,
            repeat=repeat,
            rank=self.runtime.rank,
            world=self.runtime.world,
        )

    def _note(self, phase: Phase, names: list[str], losses: Tensor) -> None:
        self.monitor.add(phase.name, names, losses)
        self.monitor.charge(phase.name)

    # ---- a run

    def run(self, resume: bool = True) -> Finished | Stopped:
        """Train until the budget is spent, nothing gets better, or a signal comes, and return where it ended.

        Args:
            resume: Whether to continue from the newest complete checkpoint; otherwise the folder must hold none.

        Raises:
            TrainingError: A loss term is not finite again and again; the last good checkpoint stays.
            CheckpointError: There are checkpoints, and none can be used.
            FolderInUseError: Another process trains in this folder.
            OutputError: The folder holds a run already and `resume` is False, or saving failed three times running.
        """
        with locked(self.folder) if self.runtime.is_main else nullcontext(), StopRequest() as stop:
            done = self._start(resume=resume)
            if self._is_over(done):
                return self._finished(done, done)
            self._log_start(done)
            try:
                while True:
                    with self.monitor.opened(done):
                        ended = self._run_from(done, stop)
                    if not isinstance(ended, TrainingError):
                        return ended
                    done = self.saver.roll_back(ended)
            finally:
                self.players.release()

    def _run_from(self, done: int, stop: StopRequest) -> Finished | Stopped | TrainingError:
        """Train until the end, or until something is not finite; the error says what."""
        batches = self._loader(self.n_steps).batches(done)
        saved, saved_at = done, time.monotonic()
        while done < self.n_steps:
            self.step(done, batches)
            done += 1
            code, save, trouble = self._agree(done, stop, time.monotonic() - saved_at)
            if trouble:
                return TrainingError(f"{trouble}; {self.saver.advice()}")
            if self.monitor.end_step(done):
                self._record(done)
            verdict = self.watcher.look(done)
            if save or code or verdict.improved or verdict.end or done == self.n_steps:
                outcome = self.saver.save(done, must=done == self.n_steps)
                self.monitor.charge("pause")
                if outcome == NOT_FINITE:
                    return TrainingError(f"weights are not finite at step {done - 1}; {self.saver.advice()}")
                saved, saved_at = done if outcome == SAVED else saved, time.monotonic()
            if self._is_over(done):
                break
            if code or verdict.end:
                ended = Stopped(done, self.store.path(saved), code or TrainingError.exit_code)
                return replace(ended, reason="signal" if code else verdict.end, warnings=self.standing.warnings)
        return self._finished(done, saved)

    def _is_over(self, done: int) -> bool:
        return done == self.n_steps or self.standing.has_settled

    def _finished(self, done: int, saved: int) -> Finished:
        reason = "budget" if done == self.n_steps else "plateau"
        return Finished(done, self.store.path(saved), reason=reason, warnings=self.standing.warnings)

    def _start(self, *, resume: bool) -> int:
        """Restore or begin, settle the number of steps, and return the steps already done."""
        if not resume and self.store.steps():
            raise OutputError(f"{self.folder}: holds a run already; resume it or choose another folder", "exists")
        checkpoint = self.saver.load_newest()
        self.runtime.broadcast([t for module in self.modules.values() for t in module.state_dict().values()])
        state, config, main = {} if checkpoint is None else checkpoint.state, self.config, self.runtime.is_main
        self.runtime.settle(self.players, self.dataset, config.batch_size, state.get("pins", {}))
        self.n_steps = steps_of(config.budget, config.batch_size, self.folder, state, self._rehearse, is_main=main)
        self.monitor = self._monitor()
        self.standing = Standing(config.score, max(self.game.averaged.values(), default=0.0), self.n_steps)
        look = {"hooks": self.hooks, "scoring": self.scoring, "batch_size": config.batch_size, "seed": config.seed}
        self.watcher = Watcher(self.players, self.runtime, self.monitor, self.folder, self.standing, **look)
        return self.saver.begin(checkpoint, self.standing)

    def _monitor(self) -> Monitor:
        return Monitor(
            self.folder,
            n_steps=self.n_steps,
            batch_size=self.config.batch_size,
            window=self.config.window,
            tensorboard=self.config.tensorboard,
            quiet=self.quiet,
            active=self.runtime.is_main,
            gather=self.runtime.gather,
        )

    def _loader(self, n_steps: int) -> Loader:
        return Loader(
            self.dataset,
            self.game,
            batch_size=self.config.batch_size,
            n_steps=n_steps,
            seed=self.recovery.seed,
            workers=self.config.workers,
            rank=self.runtime.rank,
            world=self.runtime.world,
            pin=self.runtime.device.type == "cuda",
        )

    def _log_start(self, done: int) -> None:
        logger.info("recipe %s", self.recipe)
        logger.info("step %d of %d, seed %d, %s", done, self.n_steps, self.config.seed, self.runtime.pins())
        logger.info("%s; %d examples", self.players.describe(), len(self.dataset))

    def _agree(self, done: int, stop: StopRequest, seconds: float) -> tuple[int, bool, str]:
        """Return exit code, whether to save, and why to go back or nothing; every process comes to the same."""
        config = self.config
        minutes = config.checkpoint_minutes
        save = minutes is not None and self.runtime.is_main and seconds >= 60.0 * minutes
        save = save or (config.checkpoint_steps is not None and done % config.checkpoint_steps == 0)
        sizes = self.guard.sizes(self.monitor)
        failed = bool(self.runtime.portions.failed)
        code, save, failed, *found = self.runtime.largest([stop.exit_code, save, failed, *sizes])
        trouble = self.guard.judge(done, self.monitor, found, failed=bool(failed))
        if done % COMPARE_EVERY == 0 and not self.runtime.all_equal(self.players.everyone):
            told = f"processes hold different weights at step {done}; {self.saver.advice()}"
            raise TrainingError(told, "out_of_step")
        return int(code), bool(save) and self.guard.is_calm, trouble

    # ---- the record

    def _record(self, done: int) -> None:
        extra = {f"{name}/grad_norm": float(norm) for name, norm in self.guard.norms.items()}
        extra["skipped"] = self.guard.n_skipped
        for name, optimizer in self.players.optimizers.items():
            extra[f"{name}/lr"] = optimizer.param_groups[0]["lr"]
        if self.game.watch is not None:
            moment = self.moment(done - 1, self.game.phases[0], 0)
            extra |= {name: float(value) for name, value in self.game.watch(moment).items()}
        self.monitor.record(done, extra)

    def _facts(self, done: int) -> dict[str, Any]:
        return facts_of(self.config, self.dataset, self.runtime, done, self.n_steps)

    # ---- the budget

    def _rehearse(self, seconds: float) -> int:
        self.n_steps = REHEARSAL_STEPS
        self.monitor = self._monitor()
        batches = self._loader(REHEARSAL_STEPS).batches
        return rehearse(seconds, self.players, self.runtime, self.monitor, step=self.step, batches=batches)
