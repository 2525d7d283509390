"""Keep some past fakes, and show them to the discriminator again.

A buffer of the generator's history (arXiv 1612.07828, section 2.3), used as in arXiv 1703.10593: once it is full, each
new fake is with probability 1/2 exchanged for a stored one, so that D does not forget what G used to do. With several
processes each has a buffer of its own; a resumed run continues with the one of the main process in all of them.
"""

from typing import Any

import torch
from torch import Tensor

from audiogan.adversarial.game import Moment
from audiogan.errors import CheckpointError


class Replay:
    """The buffer.

    Args:
        size: Fakes to keep, 1 or more.
    """

    def __init__(self, size: int) -> None:
        assert size >= 1, size
        self.size = size
        self.stored: Tensor | None = None

    def exchange(self, fakes: Tensor, moment: Moment) -> Tensor:
        """Return as many fakes, some of them past ones, and remember new ones in their place.

        Args:
            fakes: `(batch, ...)`; while the buffer has room they are stored and come back as they are.
            moment: Gives the draws.
        """
        fakes = fakes.detach()
        stored = fakes[:0] if self.stored is None else self.stored.to(fakes)
        room = self.size - len(stored)
        self.stored = stored = torch.cat([stored, fakes[:room]])
        if room >= len(fakes):
            return fakes
        # Different places, so that no stored fake is shown twice.
        places = moment.uniform("replay-places", self.size).argsort()[: len(fakes)]
        swapped = moment.uniform("replay", len(fakes))[: len(places)] < 0.5
        swapped[:room] = False
        rows, places = swapped.nonzero().squeeze(1).to(fakes.device), places[swapped].to(fakes.device)
        shown = fakes.clone()
        shown[rows] = stored[places]
        stored[places] = fakes[rows]
        return shown

    def state(self) -> dict[str, Any]:
        """Return the stored fakes, and the size of the buffer."""
        return {"size": self.size} | ({} if self.stored is None else {"stored": self.stored})

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Args:
            state: Fakes in any number up to the size; they stay where they are until the next fakes come.

        Raises:
            CheckpointError: The buffer had another size.
        """
        if state.get("size") != self.size:
            raise CheckpointError(f"buffer of past fakes of size {state.get('size')}; expected {self.size}")
        stored = state.get("stored")
        self.stored = None if stored is None else stored.clone()
