"""Turn the share of the budget spent into a number: learning rate, penalty weight, strength, slope.

Every schedule is a pure function of the share in [0, 1], so a resumed run needs no scheduler state and a longer
budget stretches every curve alike. Left out on purpose: restarts, plateaus, and anything that looks at a loss.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def constant(share: float, start: float) -> float:
    """Return `start` at every share.

    Args:
        share: Share of the budget spent, in [0, 1].
        start: The value.

    Example:
        >>> constant(0.7, 2.0)
        2.0
    """
    del share
    return start


def linear(share: float, start: float, end: float) -> float:
    """Return the point on the straight line from `start` at share 0 to `end` at share 1.

    Args:
        share: Share of the way gone, in [0, 1].
        start: Value at share 0.
        end: Value at share 1.

    Example:
        >>> linear(0.25, 0.0, 2.0)
        0.5
    """
    return start + (end - start) * share


def cosine(share: float, start: float, end: float) -> float:
    """Return the point on half a cosine wave from `start` at share 0 to `end` at share 1 (arXiv 1608.03983).

    Args:
        share: Share of the way gone, in [0, 1].
        start: Value at share 0.
        end: Value at share 1.

    Example:
        >>> round(cosine(0.5, 1.0, 0.0), 12)
        0.5
    """
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))


def warm_up(share: float, length: float) -> float:
    """Return the factor that rises linearly from 0 to 1 over the first `length` of the budget.

    Args:
        share: Share of the budget spent, in [0, 1].
        length: Share that the rise takes; 0 gives 1 everywhere.

    Example:
        >>> warm_up(0.01, 0.02)
        0.5
    """
    return 1.0 if share >= length else share / length


class Schedule(BaseModel):
    """A number that may change while the budget is spent; a recipe may give a bare number for a constant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float = Field(description="Value at the beginning, after any warm-up.")
    end: float | None = Field(
        default=None, description="Value reached at share `until`; equal to `start` when left out."
    )
    shape: Literal["constant", "linear", "cosine"] = Field(
        default="constant", description="Curve from `start` to `end`."
    )
    warm_up: Share = Field(default=0.0, description="Share of the budget over which the value first rises from 0.")
    until: Share = Field(default=1.0, description="Share at which `end` is reached; the value stays there.")

    @model_validator(mode="before")
    @classmethod
    def _accept_number(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {"start": value}
        return value

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        if not math.isfinite(self.start) or not math.isfinite(self.end if self.end is not None else 0.0):
            raise ValueError(f"start {self.start} and end {self.end} of a schedule must be finite numbers")
        if self.shape == "constant" and self.end not in (None, self.start):
            raise ValueError(f"shape 'constant' with end {self.end}; expected shape 'linear' or 'cosine'")
        if self.shape != "constant" and (self.end is None or self.until <= 0.0):
            raise ValueError(f"shape '{self.shape}' needs an `end` and an `until` above 0")
        return self

    def at(self, share: float) -> float:
        """Return the value at a share of the budget.

        Args:
            share: Share spent, in [0, 1].

        Example:
            >>> Schedule(start=2.0, end=0.0, shape="linear").at(0.75)
            0.5
        """
        return self._curve(share) * warm_up(share, self.warm_up)

    def _curve(self, share: float) -> float:
        if self.shape == "constant" or self.end is None:
            return constant(share, self.start)
        gone = min(1.0, share / self.until)
        return (linear if self.shape == "linear" else cosine)(gone, self.start, self.end)
