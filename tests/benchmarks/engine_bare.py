"""A plain PyTorch loop over the phases of a game, with no engine around it: what the trainer's overhead is measured by.

It does what the algorithm asks for and nothing else: the same networks, losses, optimisers, rates and averages on the
same batches. Left out is all that makes a run out of a loop: the drawing of requests, seeds for every draw, the check
of losses, the record, processes, checkpoints. With `exact` it draws its random numbers as the trainer does and ends
with the same weights, bit for bit; without, it draws from one generator, as a plain loop would.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from audiogan.adversarial.ema import Averages, decay
from audiogan.adversarial.game import Game, Moment, Phase
from audiogan.adversarial.trainer import TrainConfig


@dataclass(frozen=True)
class FreeMoment(Moment):
    """A moment whose draws come from one generator, one after the other."""

    source: torch.Generator = field(default_factory=torch.Generator)

    def generator(self, stream: str) -> torch.Generator:
        return self.source


class BareLoop:
    """The loop.

    Args:
        modules: All that moves, on the device.
        game: Its phases are called as they are.
        config: Batch size, averages, seed.
        n_steps: Steps of the budget that schedules go by.
        device: Where the modules are.
        exact: Whether to draw as the trainer does.
        bf16: Whether loss terms are computed under autocast.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        game: Game,
        config: TrainConfig,
        n_steps: int,
        device: torch.device,
        *,
        exact: bool = False,
        bf16: bool = False,
    ) -> None:
        self.modules = {name: module.to(device).train() for name, module in modules.items()}
        self.game, self.config, self.n_steps, self.device = game, config, n_steps, device
        self.exact, self.bf16 = exact, bf16
        self.movers = {phase.name: self._movers_of(phase) for phase in game.phases}
        self.optimizers = {phase.name: self._optimizer(phase) for phase in game.phases}
        self.averages = Averages(self.modules, game.averaged, config.averages)
        self._pairs = {
            name: ([p.detach() for p in copied.parameters()], [p.detach() for p in self.modules[name].parameters()])
            for name, copied in self.averages.copies.items()
        }
        self._source = torch.Generator().manual_seed(config.seed)

    def _movers_of(self, phase: Phase) -> list[nn.Parameter]:
        own = [p for name in phase.modules for p in self.modules[name].parameters() if p.requires_grad]
        return list(dict.fromkeys(own))

    def _optimizer(self, phase: Phase) -> torch.optim.AdamW:
        given = phase.optimizer
        return torch.optim.AdamW(
            self.movers[phase.name],
            lr=0.0,
            betas=given.betas,
            eps=given.eps,
            weight_decay=given.weight_decay,
            fused=True,
        )

    def step(self, step: int, batches: Iterator[Mapping[str, Tensor]]) -> None:
        """Let every due phase move, then update the averages.

        Args:
            step: Number of the step, from 0.
            batches: One batch per move, on CPU.
        """
        share = step / self.n_steps
        for phase in self.game.phases:
            for repeat in range(phase.moves(step, share)):
                self.move(phase, self.moment(step, phase, repeat), next(batches))
        n_batch = self.config.batch_size
        n_seen = (step + 1) * n_batch
        with torch.no_grad():
            for name, (old, live) in self._pairs.items():
                kept = decay(n_seen - self.game.averaged[name] * self.n_steps * n_batch, n_batch, self.config.averages)
                get_ema_multi_avg_fn(kept)(old, live, 0)
                buffers = zip(self.averages.copies[name].buffers(), self.modules[name].buffers(), strict=True)
                for copied, buffer in buffers:
                    copied.copy_(buffer)

    def move(self, phase: Phase, moment: Moment, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Make one move of one player and return its terms.

        Args:
            phase: Who moves.
            moment: When.
            batch: On CPU.
        """
        if self.device.type != "cpu":
            batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        for parameter in self._everyone():
            parameter.requires_grad = False
        optimizer, given = self.optimizers[phase.name], phase.optimizer
        for parameter in self.movers[phase.name]:
            parameter.requires_grad = True
        for group in optimizer.param_groups:
            group["lr"] = given.lr.at(moment.span_share)
            if given.beta2 is not None:
                group["betas"] = (given.betas[0], given.beta2.at(moment.span_share))
        optimizer.zero_grad()
        with self._autocast():
            terms = phase.terms(batch, moment)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        if phase.after_move is not None:
            phase.after_move()
        return terms

    def moment(self, step: int, phase: Phase, repeat: int) -> Moment:
        """Return where in the run a move happens.

        Args:
            step: Number of the step, from 0.
            phase: Who moves.
            repeat: Which move of the step.
        """
        share = step / self.n_steps
        facts = {
            "step": step,
            "share": share,
            "n_seen": step * self.config.batch_size,
            "span_share": phase.span_share(share),
            "seed": self.config.seed,
            "phase": phase.name,
            "repeat": repeat,
        }
        return Moment(**facts) if self.exact else FreeMoment(**facts, source=self._source)

    def _everyone(self) -> Iterator[nn.Parameter]:
        for movers in self.movers.values():
            yield from movers

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()
