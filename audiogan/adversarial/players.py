"""Hold all that moves (modules, optimisers, averages, other memory) and put it in and out of checkpoints.

Optimiser state is stored under the names of the parameters, one set per phase, because a module that moves in two
phases has two optimisers. Rates and betas are functions of the step and are not stored.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from audiogan.adversarial.checkpoint import is_module, restore
from audiogan.adversarial.ema import Averages, AveragesConfig
from audiogan.adversarial.game import Game, Phase
from audiogan.errors import CheckpointError

Numbers = dict[str, dict[str, Any]]


class Players:
    """The state of a game.

    Args:
        modules: On their device; parameters that need no gradient now never move.
        game: The phases, what is averaged and what else has memory.
        averages: How long averages remember.
    """

    def __init__(self, modules: Mapping[str, nn.Module], game: Game, averages: AveragesConfig) -> None:
        assert all(is_module(name) and "." not in name for name in modules), f"module names {list(modules)}"
        self.modules = {name: module.train() for name, module in modules.items()}
        self.game = game
        self.everyone = list({p: None for m in self.modules.values() for p in m.parameters() if p.requires_grad})
        self.movers = {phase.name: self._movers_of(phase) for phase in game.phases}
        self.optimizers = {phase.name: _optimizer(phase, self.movers[phase.name]) for phase in game.phases}
        self.averages = Averages(self.modules, game.averaged, averages)
        self._names: dict[Tensor, str] = {
            p: f"{name}.{key}" for name, m in self.modules.items() for key, p in m.named_parameters()
        }

    def _movers_of(self, phase: Phase) -> list[nn.Parameter]:
        unknown = set(phase.modules) - self.modules.keys()
        assert not unknown, f"phase {phase.name} moves unknown modules {unknown}; known are {list(self.modules)}"
        own = {p for name in phase.modules for p in self.modules[name].parameters()}
        return [parameter for parameter in self.everyone if parameter in own]

    def let_move(self, phase: Phase, span_share: float) -> None:
        """Let only the phase's modules move, from zero gradients and at the present rate.

        Args:
            phase: Whose turn it is.
            span_share: Share of the phase's span spent, in [0, 1].
        """
        for parameter in self.everyone:
            parameter.requires_grad = False
        for parameter in self.movers[phase.name]:
            parameter.requires_grad = True
            parameter.grad = None
        config = phase.optimizer
        beta2 = config.betas[1] if config.beta2 is None else config.beta2.at(span_share)
        for group in self.optimizers[phase.name].param_groups:
            group["lr"] = config.lr.at(span_share)
            group["betas"] = (config.betas[0], beta2)

    def release(self) -> None:
        """Let every parameter require gradients again, as before the first move."""
        for parameter in self.everyone:
            parameter.requires_grad = True

    def describe(self) -> str:
        """Return a sentence of how many parameters each module has."""
        sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in self.modules.items()}
        return ", ".join(f"{name}: {size} parameters" for name, size in sizes.items())

    def gradient_norm(self, phase: Phase) -> Tensor:
        """Return the norm of all gradients of the phase's modules, zero-dimensional.

        Args:
            phase: The phase that just moved.
        """
        return nn.utils.get_total_norm([p.grad for p in self.movers[phase.name] if p.grad is not None])

    def capture(self) -> tuple[dict[str, dict[str, Tensor]], Numbers]:
        """Return every tensor by file and name, and every plain number of the extras."""
        tensors: dict[str, dict[str, Tensor]] = {name: module.state_dict() for name, module in self.modules.items()}
        copies = self.averages.copies.items()
        tensors["ema"] = {
            f"{name}.{key}": value for name, copied in copies for key, value in copied.state_dict().items()
        }
        for phase, optimizer in self.optimizers.items():
            states = optimizer.state.items()
            tensors[f"optimizer-{phase}"] = {
                f"{self._names[parameter]}.{key}": value for parameter, state in states for key, value in state.items()
            }
        numbers: Numbers = {}
        tensors["extra"] = {}
        for name, extra in self.game.extras.items():
            state = extra.state()
            tensors["extra"] |= {f"{name}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
            numbers[name] = {key: value for key, value in state.items() if not isinstance(value, Tensor)}
        return tensors, numbers

    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]], numbers: Numbers, where: str) -> None:
        """Take back what `capture` returned.

        Args:
            tensors: By file and name, on CPU.
            numbers: By extra and name.
            where: The checkpoint, for messages.

        Raises:
            CheckpointError: A file, name or shape is not what this game has.
        """
        wanted = {*self.modules, "ema", "extra", *(f"optimizer-{phase}" for phase in self.optimizers)}
        if wanted != tensors.keys():
            raise CheckpointError(f"{where}: holds {sorted(tensors)}; expected {sorted(wanted)}")
        for name, module in self.modules.items():
            restore(module, tensors[name], f"{where}: {name}")
        for name, copied in self.averages.copies.items():
            restore(copied, _under(tensors["ema"], name), f"{where}: average of {name}")
        for phase in self.optimizers:
            self._restore_optimizer(phase, tensors[f"optimizer-{phase}"], where)
        for name, extra in self.game.extras.items():
            extra.load_state(_under(tensors["extra"], name) | numbers.get(name, {}))

    def _restore_optimizer(self, phase: str, tensors: Mapping[str, Tensor], where: str) -> None:
        state = self.optimizers[phase].state
        state.clear()
        left = dict(tensors)
        for parameter in self.movers[phase]:
            name = self._names[parameter]
            found = {
                key: left.pop(f"{name}.{key}") for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}.{key}" in left
            }
            shapes = [tuple(value.shape) for value in found.values()]
            if found and shapes != [(), tuple(parameter.shape), tuple(parameter.shape)]:
                raise CheckpointError(
                    f"{where}: optimizer of {phase} has shapes {shapes} for {name} {tuple(parameter.shape)}"
                )
            if found:
                state[parameter] = {key: _like(value, parameter) for key, value in found.items()}
        if left:
            raise CheckpointError(f"{where}: optimizer of {phase} has unknown tensors {sorted(left)[:3]}")


def _optimizer(phase: Phase, movers: list[nn.Parameter]) -> torch.optim.AdamW:
    config = phase.optimizer
    assert movers, f"phase {phase.name} has nothing that can move"
    return torch.optim.AdamW(
        movers, lr=0.0, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay, fused=True
    )


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a copy where the parameter is, and in its memory format where the shapes are the same."""
    if value.shape != parameter.shape:
        return value.clone().to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    """Return the tensors whose names begin with `name.`, without that beginning."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
