"""Make a move in portions where a whole batch does not fit into memory.

Gradients of the portions add up to those of the batch (gradient accumulation). A portion draws its random numbers as a
process of its own would, so a move in two portions has the gradient of two processes with half the batch each, and
that of the whole batch up to rounding. What looks across a batch (batch norm, minibatch deviation, contrast) sees a
portion only, and what adapts by itself counts every portion as a move.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from audiogan.adversarial.game import Batch, Moment, Terms

OUT_OF_MEMORY = "out_of_memory"


class Portions:
    """Into how many portions a batch is cut.

    Args:
        at_once: Examples of this process to compute at once, at most; None for the whole batch.
    """

    def __init__(self, at_once: int | None = None) -> None:
        self.at_once = at_once
        self.count = 1
        self.n_examples = 1
        self.failed = ""

    def backward(
        self,
        terms_of: Callable[[Batch, Moment], Terms],
        batch: Batch,
        moment: Moment,
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> tuple[list[str], Tensor]:
        """Add the gradients of one move and return the names of its terms and their values, `(n_terms,)`, detached.

        Where memory runs out, `failed` says why and the only term is not finite: the run has to go back.

        Args:
            terms_of: The phase's.
            batch: Of this process; every tensor has as many rows.
            moment: When.
            autocast: Context in which terms are computed.
        """
        try:
            return self._backward(terms_of, batch, moment, autocast)
        except torch.OutOfMemoryError as error:
            self.failed = str(error).split("\n")[0] or "no reason given"
        # Out of the handler, where the error no longer holds the tensors that filled the memory.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return [OUT_OF_MEMORY], torch.tensor([torch.nan], device=next(iter(batch.values())).device)

    def _backward(
        self,
        terms_of: Callable[[Batch, Moment], Terms],
        batch: Batch,
        moment: Moment,
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> tuple[list[str], Tensor]:
        self._fit(len(next(iter(batch.values()))))
        names: list[str] = []
        values = torch.zeros(())
        for number in range(self.count):
            with autocast():
                terms = terms_of(*self._portion(batch, moment, number))
            losses = torch.stack(list(terms.values())) / self.count
            losses.sum().backward()
            values = losses.detach() if number == 0 else values + losses.detach()
            names = list(terms)
        return names, values

    def _fit(self, n_examples: int) -> None:
        """Cut a batch of so many examples into portions of a size that is allowed."""
        self.n_examples = n_examples
        most = self.at_once or n_examples
        while n_examples % self.count or (n_examples // self.count > most and self.count < n_examples):
            self.count += 1

    def _portion(self, batch: Batch, moment: Moment, number: int) -> tuple[Batch, Moment]:
        if self.count == 1:
            return batch, moment
        rows = {name: tensor[number :: self.count] for name, tensor in batch.items()}
        # Row m of process r is example r + m · world of the whole batch; so is row m // count of this one of more.
        place = {
            "rank": moment.rank + number * moment.world,
            "world": moment.world * self.count,
            "portions": self.count,
        }
        return rows, replace(moment, **place)

    def shrink(self) -> bool:
        """Cut into portions of half the size or less, and return whether that was possible."""
        self.failed = ""
        if self.count >= self.n_examples:
            return False
        self.count = min(2 * self.count, self.n_examples)
        self._fit(self.n_examples)
        return True
