"""Results that the papers printed, as data, to stand beside our own paper forms.

MuseGAN, AAAI-18 (arXiv 1709.06298): 20,000 bars per model, five tracks, 24 timesteps a beat. BinaryMuseGAN,
ISMIR-18 (arXiv 1804.09399): 800 clips, eight tracks, means over tracks, tonal distance of piano and guitar. Shares
are fractions, not per cent. They were measured on the Lakh pianorolls, so they tell the size of a gap, not a rank.
"""

from typing import NamedTuple

MUSEGAN = "MuseGAN, arXiv 1709.06298"
BINARY = "BinaryMuseGAN, arXiv 1804.09399"

# bass, drums, guitar, piano, strings; "-" for the track that was given to a conditional model
_EMPTY_BARS = """
training data        | 8.06  8.06  19.4  24.8  10.1
scratch jamming      | 6.59  2.33  18.3  22.6  6.10
scratch composer     | 0.01  28.9  1.34  0.02  0.01
scratch hybrid       | 2.14  29.7  11.7  17.8  6.04
ablated composer     | 92.4  100   12.5  0.68  0.00
conditional jamming  | 4.60  3.47  13.3  -     3.44
conditional composer | 0.65  20.7  1.97  -     1.49
conditional hybrid   | 2.09  4.53  10.3  -     4.05
"""
# bass, guitar, piano, strings
_PITCH_CLASSES = """
training data        | 1.71  3.08  3.28  3.38
scratch jamming      | 1.53  3.69  4.13  4.09
scratch composer     | 2.51  4.20  4.89  5.19
scratch hybrid       | 2.35  4.76  5.45  5.24
ablated composer     | 1.00  2.88  2.32  4.72
conditional jamming  | 2.05  3.79  -     4.23
conditional composer | 2.51  4.57  -     5.10
conditional hybrid   | 2.86  4.43  -     4.32
"""
_QUALIFIED_NOTES = """
training data        | 90.0  81.9  88.4  89.6
scratch jamming      | 71.5  56.6  62.2  63.1
scratch composer     | 49.5  47.4  49.9  52.5
scratch hybrid       | 44.6  43.2  45.5  52.0
ablated composer     | 0.00  22.8  31.1  26.2
conditional jamming  | 73.9  58.8  -     62.3
conditional composer | 53.5  48.4  -     59.0
conditional hybrid   | 43.3  55.6  -     67.1
"""
_DRUM_PATTERNS = """
training data        | 88.6
scratch jamming      | 93.2
scratch composer     | 75.3
scratch hybrid       | 71.3
ablated composer     | 0.0
conditional jamming  | 91.6
conditional composer | 84.5
conditional hybrid   | 71.8
"""
# bass-guitar, bass-strings, bass-piano, guitar-strings, guitar-piano, strings-piano
_TONAL_DISTANCES = """
training data          | 1.57 1.58 1.51 1.10 1.02 1.04
shuffled training data | 1.59 1.59 1.56 1.14 1.12 1.13
scratch jamming        | 1.56 1.60 1.54 1.05 0.99 1.05
scratch composer       | 1.37 1.36 1.30 0.95 0.98 0.91
scratch hybrid         | 1.34 1.35 1.32 0.85 0.85 0.83
conditional jamming    | 1.51 1.53 1.50 1.04 0.95 1.00
conditional composer   | 1.41 1.36 1.40 0.96 1.01 0.95
conditional hybrid     | 1.39 1.36 1.38 0.96 0.94 0.95
"""
# qualified notes, polyphony, tonal distance
_BINARY = """
training data               | .88 .48 .96
pretrained, Bernoulli       | .67 .20 .98
pretrained, hard threshold  | .72 .22 1.00
two-stage, stochastic       | .42 .26 .99
two-stage, deterministic    | .78 .45 .87
joint, stochastic           | .18 .19 .95
joint, deterministic        | .55 .19 1.00
end-to-end, stochastic      | .67 .16 1.40
end-to-end, deterministic   | .28 .29 1.10
ablated-I, Bernoulli        | .61 .19 1.00
ablated-I, hard threshold   | .64 .20 1.00
ablated-II, Bernoulli       | .35 .14 1.30
ablated-II, hard threshold  | .37 .14 1.40
"""


class Published(NamedTuple):
    """One printed number: `metric` and `column` as in `metrics.measure`, `model` as the paper names it."""

    paper: str
    model: str
    metric: str
    column: str
    value: float


def _rows(paper: str, text: str, cells: list[tuple[tuple[str, ...], str]], scale: float = 1.0) -> list[Published]:
    """Read one table; `cells` names the metrics and the column of each number."""
    rows = []
    for line in text.strip().splitlines():
        model, numbers = line.split("|")
        for (metrics, column), number in zip(cells, numbers.split(), strict=True):
            if number != "-":
                value = round(float(number) * scale, 6)
                rows += [Published(paper, model.strip(), metric, column, value) for metric in metrics]
    return rows


_PITCHED = ("bass", "guitar", "piano", "strings")
_PAIRS = ("bass-guitar", "bass-strings", "bass-piano", "guitar-strings", "guitar-piano", "strings-piano")
_QN = ("qn2", "qn3")  # the papers state three timesteps, their code two

TABLES: tuple[Published, ...] = (
    *_rows(MUSEGAN, _EMPTY_BARS, [(("eb",), role) for role in ("bass", "drums", "guitar", "piano", "strings")], 0.01),
    *_rows(MUSEGAN, _PITCH_CLASSES, [(("upc_paper",), role) for role in _PITCHED]),
    *_rows(MUSEGAN, _QUALIFIED_NOTES, [(_QN, role) for role in _PITCHED], 0.01),
    *_rows(MUSEGAN, _DRUM_PATTERNS, [(("dp_paper",), "drums")], 0.01),
    *_rows(MUSEGAN, _TONAL_DISTANCES, [(("td_paper",), pair) for pair in _PAIRS]),
    *_rows(BINARY, _BINARY, [(_QN, "mean"), (("pp", "pp_v1"), "mean"), (("td_paper8",), "guitar-piano")]),
)


def published(metric: str, column: str) -> dict[str, float]:
    """Return the printed values of a metric by model, in the papers' order; empty if none was printed.

    Args:
        metric: For example `"upc_paper"`.
        column: A role, `"mean"`, or a pair in either order.

    Example:
        >>> published("td_paper", "piano-guitar")["training data"]
        1.02
    """
    names = set(column.split("-"))
    return {row.model: row.value for row in TABLES if row.metric == metric and set(row.column.split("-")) == names}
