"""Choose how convolutions over images keep their weights in memory, by timing moves with either layout.

Only modules with weights of four axes are concerned: convolutions over spectrograms and the classic networks. A layout
changes no value, but in which order sums are taken, so a run keeps the one it began with. Where it has to repeat itself
exactly nothing may depend on a clock, and nothing is timed. Which layout is faster depends on shapes and library
(NVIDIA, "Convolutional Layers User's Guide", tensor layouts).
"""

import copy
import math
import time
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from audiogan.adversarial.game import Phase
from audiogan.adversarial.players import Players

MemoryFormat = Literal["contiguous", "channels_last"]
FORMATS: tuple[MemoryFormat, ...] = get_args(MemoryFormat)
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
WARMING_MOVES, TIMED_MOVES = 3, 10
"""Of every phase and layout; the first ones let the library choose its kernels."""


def has_images(players: Players) -> bool:
    """Return whether any module has a weight of four axes."""
    return any(weight.dim() == 4 for module in players.modules.values() for weight in module.parameters())


def lay_out(players: Players, name: MemoryFormat) -> None:
    """Keep all weights of four axes in a layout, with what optimisers and averages hold of them.

    Args:
        players: Changed in place; parameters stay the same objects.
        name: Of the layout.
    """

    def laid(tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=LAYOUTS[name]) if tensor.dim() == 4 else tensor

    def lay(module: nn.Module) -> None:
        for weight in module.parameters():
            weight.data = laid(weight.data)
            weight.grad = None

    for module in (*players.modules.values(), *players.averages.copies.values()):
        lay(module)
    for optimizer in players.optimizers.values():
        for state in optimizer.state.values():
            state.update({key: laid(value) for key, value in state.items() if isinstance(value, Tensor)})
    players.averages.pair()


def fastest(
    players: Players, move: Callable[[Phase], bool], agree: Callable[[list[float]], list[float]]
) -> MemoryFormat:
    """Return the layout with which a move of every phase takes least time; the players are as before but for it.

    Args:
        players: Who moves; the phases are those of their game.
        move: Computes the gradients of a phase once, waits for the device, and returns whether memory sufficed.
        agree: From times of this process to times that are the same in all of them.
    """
    before = copy.deepcopy(players.capture())
    spent = []
    for name in FORMATS:
        lay_out(players, name)
        spent.append(sum(_seconds(phase, move) for phase in players.game.phases))
    players.restore(*before, "timing of memory formats")
    players.release()
    times = dict(zip(FORMATS, agree(spent), strict=True))
    return min(FORMATS, key=times.__getitem__)


def _seconds(phase: Phase, move: Callable[[Phase], bool]) -> float:
    """Return the time of the quickest of some moves, which other programs disturb least; infinite where one fails."""
    times = []
    for _ in range(WARMING_MOVES + TIMED_MOVES):  # as many on every process, since moves may speak with each other
        began = time.perf_counter()
        fits = move(phase)
        times.append(time.perf_counter() - began if fits else math.inf)
    return math.inf if math.inf in times else min(times[WARMING_MOVES:])
