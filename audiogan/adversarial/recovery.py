"""Begin again from the last good point when training diverges, more carefully each time.

After losses that are not finite again and again, or one that has exploded, the run goes back to its newest checkpoint,
halves every step size and draws other data and other random numbers from there on. All of it follows from the number of
times, which every checkpoint holds, so a killed run repeats it exactly.
"""

import copy

import torch
from torch import Tensor

from audiogan.adversarial.game import seed_of
from audiogan.adversarial.players import Numbers, Players

CAREFUL = 0.5


class Recovery:
    """How often a run has gone back, and what follows from it.

    Args:
        seed: Seed of the run.
        most: Times to go back before the run gives up.
    """

    def __init__(self, seed: int, most: int) -> None:
        self.first_seed = seed
        self.most = most
        self.times = 0
        self._beginning: tuple[dict[str, dict[str, Tensor]], Numbers] | None = None

    @property
    def seed(self) -> int:
        """Seed of every draw from here on."""
        return self.first_seed if self.times == 0 else seed_of(self.first_seed, "again", self.times)

    @property
    def factor(self) -> float:
        """What step sizes are multiplied by."""
        return CAREFUL**self.times

    @property
    def is_over(self) -> bool:
        """Whether the run has gone back as often as it may."""
        return self.times >= self.most

    def slow(self, optimizer: torch.optim.Optimizer) -> None:
        """Shorten the next step.

        Args:
            optimizer: With the rate of its schedule.
        """
        if self.times:
            for group in optimizer.param_groups:
                group["lr"] *= self.factor

    def remember(self, players: Players) -> None:
        """Keep the beginning of a run, on the CPU, until there is a checkpoint.

        Args:
            players: Before the first step.
        """
        tensors, numbers = players.capture()
        kept = {
            name: {key: value.detach().cpu().clone() for key, value in own.items()} for name, own in tensors.items()
        }
        self._beginning = kept, copy.deepcopy(numbers)

    def forget(self) -> None:
        """Let go of the beginning, now that there is a checkpoint."""
        self._beginning = None

    def begin_again(self, players: Players) -> None:
        """Put the beginning back in place.

        Args:
            players: Changed.
        """
        assert self._beginning is not None, "no beginning was kept"
        players.restore(*self._beginning, "the beginning of the run")
