"""MIDI files per processor second of one process: through the gate, and through gate and reader.

    python -m tests.benchmarks.files_per_second FOLDER [--turns 5]

Both begin at the path; the gate ends with the checked bytes, the reader with a score. Files that are refused count for
nothing and are left out. A first pass warms up; what counts is the median of the turns. Processor time hardly suffers
from other programs that wait their turn, but a busy second thread of the same core still slows every figure down.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from audiogan.corpus import midi
from audiogan.corpus.gate import check_midi, open_checked
from audiogan.errors import CorpusError


def pass_gate(path: Path) -> object:
    """Open and walk one file."""
    return check_midi(open_checked(path))


def readable(folder: Path) -> list[Path]:
    """Every file below a folder that loads."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            midi.read(path)
        except CorpusError:
            continue
        found.append(path)
    return found


def files_per_second(work: Callable[[Path], object], paths: Sequence[Path]) -> float:
    """Files per processor second of all threads."""
    begin = time.process_time()
    for path in paths:
        work(path)
    return len(paths) / (time.process_time() - begin)


def measure(folder: Path, *, n_turns: int) -> dict[str, float]:
    """Return the median rates, the two kinds of work taking turns."""
    paths = readable(folder)  # the first pass
    if not paths:
        raise SystemExit(f"{folder}: no MIDI file that loads")
    turns = np.array([[files_per_second(work, paths) for work in (pass_gate, midi.read)] for _ in range(n_turns)])
    gate, reader = np.median(turns, axis=0)
    mean_bytes = float(np.mean([path.stat().st_size for path in paths]))
    return {"files": len(paths), "mean_bytes": mean_bytes, "gate": float(gate), "gate_and_reader": float(reader)}


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.folder, n_turns=given.turns), indent=1) + "\n")


if __name__ == "__main__":
    main()
