"""Training curves: from a run's record to small pictures of lines."""

import json
import math
from dataclasses import dataclass
from html import escape
from pathlib import Path

MOST_BYTES = 1 << 26
MOST_CURVES, N_POINTS = 12, 160
WIDTH, HEIGHT, MARGIN = 280, 96, 6
_FIRST = ("score/", "probe/", "adversarial")
_LEFT_OUT = ("/lr", "/ms", "/grad_norm", "_error")  # of speed and settings, not of learning


@dataclass(frozen=True)
class Curve:
    """One number over the steps of a training, `(point,)` each, thinned out by means of neighbours."""

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


def read_curves(path: Path) -> tuple[Curve, ...]:
    """Read what a run recorded; lines that are none are passed over.

    Args:
        path: A `stats.jsonl`; may be missing.

    Returns:
        At most twelve curves, scores first, then what the players fought about.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        if path.stat().st_size > MOST_BYTES:
            return ()
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    for text in lines:
        for name, step, value in _numbers_of(text):
            found.setdefault(name, []).append((step, value))
    long_enough = [name for name, points in found.items() if len(points) > 1]
    chosen = sorted(long_enough, key=lambda name: (_rank(name), long_enough.index(name)))[:MOST_CURVES]
    return tuple(_thinned(name, found[name]) for name in chosen)


def _numbers_of(text: str) -> list[tuple[str, float, float]]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return []
    step = line.get("step") if isinstance(line, dict) else None
    if not isinstance(step, int | float) or not math.isfinite(step):
        return []
    return [
        (name, float(step), float(value))
        for name, value in line.items()
        if "/" in name and not name.endswith(_LEFT_OUT) and isinstance(value, int | float) and math.isfinite(value)
    ]


def _rank(name: str) -> int:
    return next((place for place, part in enumerate(_FIRST) if part in name), len(_FIRST))


def _thinned(name: str, points: list[tuple[float, float]]) -> Curve:
    points = sorted(points)
    size = -(-len(points) // N_POINTS)
    groups = [points[first : first + size] for first in range(0, len(points), size)]
    means = [tuple(sum(numbers) / len(group) for numbers in zip(*group, strict=True)) for group in groups]
    return Curve(name, tuple(step for step, _ in means), tuple(value for _, value in means))


def svg(curve: Curve) -> str:
    """Draw a curve as SVG to stand inside a page; least and largest value and the last step are written beside it."""
    low, high = min(curve.values), max(curve.values)
    first, last = curve.steps[0], curve.steps[-1]
    across, up = (WIDTH - 2 * MARGIN) / max(last - first, 1e-12), (HEIGHT - 2 * MARGIN) / max(high - low, 1e-12)
    places = " ".join(
        f"{MARGIN + (step - first) * across:.1f},{HEIGHT - MARGIN - (value - low) * up:.1f}"
        for step, value in zip(curve.steps, curve.values, strict=True)
    )
    name = escape(curve.name, quote=True)
    told = f"{name} over {last:g} steps: from {curve.values[0]:.3g} to {curve.values[-1]:.3g}"
    told += f", least {low:.3g}, largest {high:.3g}"
    return (
        f'<figure class="curve"><figcaption>{name}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">'
        f'<polyline class="line" points="{places}"/></svg>'
        f"<small>{low:.3g} to {high:.3g}, {last:g} steps</small></figure>\n"
    )
