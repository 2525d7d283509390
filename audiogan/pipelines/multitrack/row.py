"""One row of the table of clips: a number, what real clips score, and what a poor generator scores."""

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One number and its company. NaN stands for what does not exist.

    Args:
        metric, form, column: As in `Measure`; column `"mean"` is the plain mean over the columns.
        value, low, high: On generated clips, 95 % interval.
        reference, reference_low, reference_high: On the reference clips; the interval resamples songs.
        floor: Median distance between two random halves of the reference's songs.
        ceiling: Distance of the poor generator from the reference.
        gap: (|value - reference| - floor) / (ceiling - floor): 0 like real, 1 like the poor generator.
        n, n_reference: Clips.
        passes: Within 15 % of the reference or inside its interval; None if the metric does not apply.
        note: Why it does not apply, or empty.
    """

    metric: str
    form: str
    column: str
    value: float
    low: float
    high: float
    reference: float
    reference_low: float
    reference_high: float
    floor: float
    ceiling: float
    gap: float
    n: int
    n_reference: int
    passes: bool | None
    note: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the row for JSON: None instead of NaN."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }
