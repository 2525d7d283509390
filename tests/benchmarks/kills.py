"""Kill -9 trainings at seeded random moments, let them finish, and count those that end exactly as one left alone.

`python -m tests.benchmarks.kills --count 100` kills each of 100 runs three times, every second run on a disk so slow
that the kills meet saves. A run is exact when its last checkpoint equals that of a run left alone, bit for bit. The
tests run a few, see `tests/adversarial/faults`.
"""

import argparse
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.adversarial import toys
from tests.adversarial.faults import killing


@dataclass(frozen=True)
class Row:
    """Figures of some killed runs.

    Args:
        name: What they have in common.
        runs: How many.
        exact: How many ended as the run left alone.
        kills: Processes that were killed before they were done.
        in_saves: Kills that left a half-written file or folder.
        lost_steps: Mean of the steps that a kill cost: those begun since the last checkpoint.
    """

    name: str
    runs: int
    exact: int
    kills: int
    in_saves: int
    lost_steps: float


def row_of(name: str, found: Sequence[dict[str, Any]], exact: Sequence[bool]) -> Row:
    """Return the figures of runs.

    Args:
        name: What they have in common.
        found: What `killing.kill_at_random` says of each.
        exact: Whether each ended as the run left alone.
    """
    kills = sum(one["ends"].count(-signal.SIGKILL) for one in found)
    in_saves = sum(one["in_save"] for one in found)
    lost = [cost for one in found for cost in one["lost"]]
    return Row(name, len(found), sum(exact), kills, in_saves, sum(lost) / max(1, len(lost)))


def measure(folder: Path, count: int, seed: int = 0) -> list[Row]:
    """Kill so many runs and return a row for each kind of disk, and one for all.

    Args:
        folder: Where the runs go; empty.
        count: How many runs.
        seed: Of the first run; the others follow.
    """
    killing.warm_up()
    code = killing.end(killing.start(folder / "alone"))
    assert code == 0, code
    alone = toys.digest(folder / "alone")
    found, exact = [], []
    for number in range(seed, seed + count):
        run = folder / f"kill {number}"
        found.append(killing.kill_at_random(run, number))
        exact.append(found[-1]["ends"][-1] == 0 and toys.digest(run) == alone)
    rows = []
    for name, slow in (("fast disk", False), ("slow disk", True)):
        own = [place for place, one in enumerate(found) if one["slow"] == slow]
        rows.append(row_of(name, [found[place] for place in own], [exact[place] for place in own]))
    return [*rows, row_of("all", found, exact)]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| Runs on a | Runs | Exact | Kills | In saves | Steps lost per kill |", "|---|---|---|---|---|---|"]
    for row in rows:
        numbers = f"{row.runs} | {row.exact} | {row.kills} | {row.in_saves} | {row.lost_steps:.1f}"
        lines.append(f"| {row.name} | {numbers} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 when a run was not exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8, help="runs")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # the toy collapses now and then, which is none of our business here
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), given.count, given.seed)
    sys.stdout.write(f"{table(rows)}\nin {time.monotonic() - began:.0f} s\n")
    return int(rows[-1].exact < rows[-1].runs)


if __name__ == "__main__":
    raise SystemExit(main())
