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
        self.rows: list[Tensor] = []

    @property
    def stored(self) -> Tensor | None:
        """The stored fakes, `(fake, ...)`; None before the first."""
        return self.rows[0] if self.rows else None

    def exchange(self, fakes: Tensor, moment: Moment, *conditions: Tensor) -> list[Tensor]:
        """Return as many fakes, some of them past ones, with their conditions, and remember new ones in their place.

        Args:
            fakes: `(batch, ...)`; while the buffer has room they are stored and come back as they are.
            moment: Gives the draws.
            conditions: What D is told of each, `(batch, ...)`; kept with the fake.
        """
        new = [part.detach() for part in (fakes, *conditions)]
        kept = self.rows or [part[:0] for part in new]
        room = self.size - len(kept[0])
        self.rows = kept = [torch.cat([old.to(part), part[:room]]) for old, part in zip(kept, new, strict=True)]
        if room >= len(fakes):
            return new
        # Different places, so that no stored fake is shown twice.
        places = moment.uniform("replay-places", self.size).argsort()[: len(fakes)]
        swapped = moment.uniform("replay", len(fakes))[: len(places)] < 0.5
        swapped[:room] = False
        rows, places = swapped.nonzero().squeeze(1).to(fakes.device), places[swapped].to(fakes.device)
        shown = [part.clone() for part in new]
        for part, old, back in zip(new, kept, shown, strict=True):
            back[rows] = old[places]
            old[places] = part[rows]
        return shown

    def state(self) -> dict[str, Any]:
        """Return the stored fakes with their conditions, and the size of the buffer."""
        names = ["stored", *(f"condition-{number}" for number in range(len(self.rows) - 1))]
        return {"size": self.size} | dict(zip(names, self.rows, strict=False))

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Args:
            state: Fakes in any number up to the size; they stay where they are until the next fakes come.

        Raises:
            CheckpointError: The buffer had another size.
        """
        if state.get("size") != self.size:
            raise CheckpointError(f"buffer of past fakes of size {state.get('size')}; expected {self.size}")
        rest = sorted(name for name in state if name.startswith("condition-"))
        self.rows = [state[name].clone() for name in ("stored", *rest) if name in state]
