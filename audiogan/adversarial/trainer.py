"""Train any set of modules that play a game, exactly resumable, within one budget.

`Trainer.step` is the algorithm; the rest of this file starts, saves, stops and resumes it. The trainer sees named
modules, phases and batches of tensors and knows nothing of what they mean. A run that was killed at any moment
continues from its newest complete checkpoint and ends with the same weights as one that was left alone.
"""

import copy
import logging
import math
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiogan.adversarial.budget import REHEARSAL_STEPS, fit_steps, parse_budget
from audiogan.adversarial.checkpoint import Checkpoint, Store, check_same_run
from audiogan.adversarial.config import Finished, Stopped, TrainConfig
from audiogan.adversarial.disk import json_bytes, locked, parse_json, write_atomically
from audiogan.adversarial.ema import Averages
from audiogan.adversarial.game import Game, Moment, Phase
from audiogan.adversarial.loader import Examples, Loader
from audiogan.adversarial.monitor import Hook, Monitor, Snapshot
from audiogan.adversarial.players import Players
from audiogan.adversarial.runtime import Runtime, StopRequest
from audiogan.errors import OutputError, TrainingError, UsageError

logger = logging.getLogger(__name__)

COMPARE_EVERY = 500
REFUSED_SAVES = 3


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
        *,
        runtime: Runtime | None = None,
        quiet: bool = False,
    ) -> None:
        self.runtime = runtime or Runtime(config.runtime)
        if config.batch_size % self.runtime.world:
            raise UsageError(f"batch_size {config.batch_size} does not divide over {self.runtime.world} processes")
        self.players = Players({name: m.to(self.runtime.device) for name, m in modules.items()}, game, config.averages)
        self.game = game
        self.dataset = dataset
        self.config = config
        self.folder = Path(run_folder)
        self.recipe = dict(resolved_recipe or {})
        self.hooks = list(hooks)
        self.quiet = quiet
        self.store = Store(self.folder, config.keep)
        self.n_steps = 0
        self._refused_saves = 0
        self._best: tuple[str, float] | None = None
        self._norms: dict[str, Tensor] = {}

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
        """Let every due phase move, in order, then update the averages.

        Args:
            step: Number of the step, from 0.
            batches: One batch per move.
        """
        for phase, repeat in self.game.moves(step, step / self.n_steps):
            batch = self.runtime.to_device(next(batches))
            self.monitor.charge("wait")
            moment = self.moment(step, phase, repeat)
            self.players.let_move(phase, moment.span_share)
            self.runtime.seed_layers(moment)
            with self.runtime.autocast():
                terms = phase.terms(batch, moment)
            losses = torch.stack(list(terms.values()))
            losses.sum().backward()
            self.runtime.average_gradients(self.players.movers[phase.name])
            self.players.optimizers[phase.name].step()
            if phase.after_move is not None:
                phase.after_move()
            self._note(phase, step, list(terms), losses.detach())
        n_batch = self.config.batch_size
        self.averages.update((step + 1) * n_batch, n_batch, self.n_steps * n_batch)

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
            seed=self.config.seed,
            phase=phase.name,
            repeat=repeat,
            rank=self.runtime.rank,
            world=self.runtime.world,
        )

    def _note(self, phase: Phase, step: int, names: list[str], losses: Tensor) -> None:
        self.monitor.add(phase.name, names, losses)
        self.monitor.charge(phase.name)
        if self.monitor.ends_window(step + 1):
            self._norms[f"{phase.name}/grad_norm"] = self.players.gradient_norm(phase)

    # ---- a run

    def run(self, resume: bool = True) -> Finished | Stopped:
        """Train to the end of the budget, or until a signal, and return where it ended.

        Args:
            resume: Whether to continue from the newest complete checkpoint; otherwise the folder must hold none.

        Raises:
            TrainingError: A loss term is not finite; the last good checkpoint stays.
            CheckpointError: There are checkpoints, and none can be used.
            FolderInUseError: Another process trains in this folder.
            OutputError: The folder holds a run already and `resume` is False, or saving failed three times running.
        """
        with locked(self.folder) if self.runtime.is_main else nullcontext(), StopRequest() as stop:
            done = self._start(resume=resume)
            if done == self.n_steps:
                return Finished(done, self.store.path(done))
            self._log_start(done)
            try:
                with self.monitor.opened(done):
                    return self._run_from(done, stop)
            finally:
                self.players.release()

    def _run_from(self, done: int, stop: StopRequest) -> Finished | Stopped:
        batches = self._loader(self.n_steps).batches(done)
        saved, saved_at = done, time.monotonic()
        while done < self.n_steps:
            self.step(done, batches)
            done += 1
            code, save, bad = self._agree(done, stop, time.monotonic() - saved_at)
            if bad:
                raise self.monitor.blame(done - 1, self._advice())
            if self.monitor.end_step(done):
                self._record(done)
            improved = self._run_hooks(done)
            if save or code or improved or done == self.n_steps:
                self._save(done)
                saved, saved_at = done, time.monotonic()
            if code and done < self.n_steps:
                return Stopped(done, self.store.path(saved), code)
        return Finished(done, self.store.path(saved))

    def _start(self, *, resume: bool) -> int:
        """Restore or begin, settle the number of steps, and return the steps already done."""
        if not resume and self.store.steps():
            raise OutputError(f"{self.folder}: holds a run already; resume it or choose another folder", "exists")
        checkpoint = self._load_newest()
        self.runtime.broadcast([t for module in self.modules.values() for t in module.state_dict().values()])
        self.n_steps = self._budget_steps(checkpoint)
        self.monitor = self._monitor()
        if checkpoint is None:
            return 0
        where = str(self.store.path(checkpoint.step))
        check_same_run(checkpoint.state, self._run_state(checkpoint.step), where)
        self.players.restore(checkpoint.tensors, checkpoint.state["extras"], where)
        logger.info("resuming from %s", where)
        return checkpoint.step

    def _load_newest(self) -> Checkpoint | None:
        """Load on the main process first, which sets damaged checkpoints aside, then on the others."""
        found = self.store.load_newest() if self.runtime.is_main else None
        self.runtime.wait()
        return found if self.runtime.is_main else self.store.load_newest(set_aside=False)

    def _monitor(self) -> Monitor:
        return Monitor(
            self.folder,
            n_steps=self.n_steps,
            batch_size=self.config.batch_size,
            window=self.config.window,
            tensorboard=self.config.tensorboard,
            quiet=self.quiet,
            active=self.runtime.is_main,
            mean=self.runtime.mean,
        )

    def _loader(self, n_steps: int) -> Loader:
        return Loader(
            self.dataset,
            self.game,
            batch_size=self.config.batch_size,
            n_steps=n_steps,
            seed=self.config.seed,
            workers=self.config.workers,
            rank=self.runtime.rank,
            world=self.runtime.world,
            pin=self.runtime.device.type == "cuda",
        )

    def _log_start(self, done: int) -> None:
        logger.info("recipe %s", self.recipe)
        logger.info("step %d of %d, seed %d, %s", done, self.n_steps, self.config.seed, self.runtime.pins())
        for name, module in self.modules.items():
            logger.info("%s: %d parameters", name, sum(p.numel() for p in module.parameters()))
        logger.info("%d examples", len(self.dataset))

    def _agree(self, done: int, stop: StopRequest, seconds: float) -> tuple[int, bool, bool]:
        """Return exit code, whether to save and whether a term is not finite, equal on every process."""
        config = self.config
        save = (
            config.checkpoint_minutes is not None
            and self.runtime.is_main
            and seconds >= 60.0 * config.checkpoint_minutes
        )
        save = save or (config.checkpoint_steps is not None and done % config.checkpoint_steps == 0)
        code, save, bad = self.runtime.largest([stop.exit_code, save, not self.monitor.finite()])
        if done % COMPARE_EVERY == 0 and not self.runtime.all_equal(self.players.everyone):
            raise TrainingError(f"processes hold different weights at step {done}; {self._advice()}", "out_of_step")
        return int(code), bool(save), bool(bad)

    def _advice(self) -> str:
        steps = self.store.steps()
        return f"last good checkpoint {self.store.path(steps[-1])}" if steps else "no checkpoint was saved yet"

    # ---- the record

    def _record(self, done: int) -> None:
        extra = {name: float(norm) for name, norm in self._norms.items()}
        self._norms.clear()
        for name, optimizer in self.players.optimizers.items():
            extra[f"{name}/lr"] = optimizer.param_groups[0]["lr"]
        if self.game.watch is not None:
            moment = self.moment(done - 1, self.game.phases[0], 0)
            extra |= {name: float(value) for name, value in self.game.watch(moment).items()}
        self.monitor.record(done, extra)

    def _run_hooks(self, done: int) -> bool:
        """Run what is due and return, on every process alike, whether a judged hook found its best so far."""
        due = [hook for hook in self.hooks if hook.due(done, self.n_steps)]
        if not due:
            return False
        if self.runtime.is_main:
            for hook in due:
                value = self.monitor.run_hook(hook, self._snapshot(done))
                best = self.store.best()
                if value is not None and (best is None or value < best["value"]):
                    self._best = (f"{hook.name}/{hook.best}", value)
        for module in self.modules.values():
            module.train()
        (improved,) = self.runtime.largest([self._best is not None])
        self.monitor.charge("pause")
        return bool(improved)

    def _snapshot(self, done: int) -> Snapshot:
        modules = {name: module.eval() for name, module in self.modules.items()} | self.averages.copies
        n_seen = done * self.config.batch_size
        return Snapshot(done, done / self.n_steps, n_seen, modules, self.folder, self.runtime.device)

    # ---- saving and restoring

    def _save(self, done: int) -> None:
        """Save on the main process; a refusing disk is forgiven twice running."""
        if self.runtime.is_main:
            try:
                self.store.save(self._capture(done))
                if self._best is not None:
                    self.store.mark_best(done, *self._best)
                self._best = None
                self._refused_saves = 0
            except OSError as error:
                self._refused_saves += 1
                logger.warning("checkpoint at step %d not saved: %s", done, error)
                if self._refused_saves >= REFUSED_SAVES or done == self.n_steps:
                    raise OutputError(
                        f"{self.folder}: checkpoint cannot be saved: {error}; {self._advice()}"
                    ) from error
        self.runtime.wait()
        self.monitor.charge("pause")

    def _capture(self, done: int) -> Checkpoint:
        """Return everything that the next step depends on."""
        tensors, numbers = self.players.capture()
        return Checkpoint(done, self._run_state(done) | {"extras": numbers}, tensors, self.recipe)

    def _run_state(self, done: int) -> dict[str, Any]:
        return {
            "n_seen": done * self.config.batch_size,
            "n_steps": self.n_steps,
            "budget": self.config.budget,
            "seed": self.config.seed,
            "batch_size": self.config.batch_size,
            "examples": self._fingerprint(),
            "pins": self.runtime.pins(),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }

    def _fingerprint(self) -> dict[str, Any]:
        return {"count": len(self.dataset), "fingerprint": str(getattr(self.dataset, "fingerprint", ""))}

    # ---- the budget

    def _budget_steps(self, checkpoint: Checkpoint | None) -> int:
        """Return the number of steps that the budget buys; minutes are measured once and then stand."""
        amount, unit = parse_budget(self.config.budget)
        if unit != "minutes":
            return max(1, math.ceil(amount if unit == "steps" else amount / self.config.batch_size))
        if checkpoint is not None and checkpoint.state.get("budget") == self.config.budget:
            return int(checkpoint.state["n_steps"])
        path = self.folder / "budget.json"
        if path.exists():
            settled = parse_json(path, path.read_bytes())
            if settled.get("budget") == self.config.budget:
                return int(settled["n_steps"])
        n_steps = self._rehearse(60.0 * amount)
        if self.runtime.is_main:
            write_atomically(path, json_bytes({"budget": self.config.budget, "n_steps": n_steps}))
        return n_steps

    def _rehearse(self, seconds: float) -> int:
        """Make some steps, forget them, and return how many fit into a time."""
        before = copy.deepcopy(self.players.capture())
        self.n_steps = REHEARSAL_STEPS
        self.monitor = self._monitor()
        n_steps = fit_steps(
            seconds, self.game.boundaries(), self._rehearsed_steps, lambda own: self.runtime.largest([own])[0]
        )
        self.players.restore(*before, "rehearsal")
        return n_steps

    def _rehearsed_steps(self, first_step: int) -> Iterator[None]:
        batches = self._loader(REHEARSAL_STEPS).batches(first_step)
        for step in range(first_step, REHEARSAL_STEPS):
            self.step(step, batches)
            if self.runtime.largest([not self.monitor.finite()])[0]:
                raise self.monitor.blame(step, "while measuring the speed")
            self.monitor.end_step(step)
            yield
