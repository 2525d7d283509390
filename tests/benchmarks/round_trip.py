"""What each representation loses on notes: spectral convergence and log-spectral distance by pitch range, and its cost.

    python -m tests.benchmarks.round_trip RENDERED REAL [--sample-rate 16000] [--seconds 4] [--kinds harmonic mel_if]
        [--perturb 0.05] [--limit 60]

Each folder holds WAV files whose names end in their MIDI pitch (`piano_m060.wav`) and gets a table of its own. Every
note loses its mean and is brought to a peak of 0.8, as a corpus does. Spectral convergence (SC) and log-spectral
distance (LSD) are means over transforms of 2048, 1024, 512 and 256 points; LSD counts what lies within 60 dB of the
loudest cell. Ranges hold medians. If both were measured, a last line says whether `harmonic` is ahead of `mel_if` in
the medians over all notes, and in which range it is furthest behind or least ahead. `--perturb` adds normal errors to
the planes before they are decoded, as a generator makes them. Processor seconds are for one note; on a busy machine
only their ratios count.
"""

import argparse
import math
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from audiogan.representation.base import (
    HarmonicConfig,
    Representation,
    SpectrogramConfig,
    representation_of,
)
from audiogan.representation.harmonic import Harmonic

KINDS = ("harmonic", "lin_if", "mel_if", "mag_pghi", "complex_stft")
RANGES = ((0, 40), (40, 60), (60, 84), (84, 128))
SIZES = (2048, 1024, 512, 256)
PEAK = 0.8
FLOOR_DB = 60.0


@dataclass(frozen=True)
class Result:
    """One note through one representation."""

    pitch: int
    sc: float
    lsd: float
    encode_seconds: float
    decode_seconds: float


def distances(original: Tensor, again: Tensor) -> tuple[float, float]:
    """Return spectral convergence and log-spectral distance in dB, each the mean over four transforms."""
    sc, lsd = [], []
    for n_fft in SIZES:
        window = torch.hann_window(n_fft)
        first, second = (
            torch.stft(one, n_fft, n_fft // 4, window=window, return_complex=True).abs() for one in (original, again)
        )
        sc.append(float((first - second).norm() / first.norm().clamp(min=1e-12)))
        floor = first.max().clamp(min=1e-9) * 10 ** (-FLOOR_DB / 20)
        error = 20 * torch.log10(first.clamp(min=floor) / second.clamp(min=floor))
        lsd.append(float(error.square().mean(0).sqrt().mean()))
    return float(np.mean(sc)), float(np.mean(lsd))


def read_notes(folder: Path, *, sample_rate: int, seconds: float, limit: int | None = None) -> list[tuple[int, Tensor]]:
    """Return pitches and waveforms `(time,)`, at most `limit` of them, spread over the folder."""
    paths = [path for path in sorted(folder.glob("*.wav")) if re.search(r"(\d+)$", path.stem)]
    if limit is not None:
        paths = paths[:: max(1, math.ceil(len(paths) / limit))]
    notes = []
    for path in paths:
        found = re.search(r"(\d+)$", path.stem)
        assert found is not None
        waveform, rate = soundfile.read(path, dtype="float64", always_2d=True)
        mono = soxr.resample(waveform.mean(axis=1), rate, sample_rate, quality="HQ")[: round(seconds * sample_rate)]
        mono = np.pad(mono, (0, round(seconds * sample_rate) - len(mono)))
        mono -= mono.mean()
        mono *= PEAK / max(float(np.abs(mono).max()), 1e-9)
        notes.append((int(found[1]), torch.from_numpy(mono).float()))
    return notes


def measure(form: Representation, notes: list[tuple[int, Tensor]], *, perturb: float = 0.0) -> list[Result]:
    """Send every note through planes and back."""
    results = []
    for pitch, note in notes:
        f0 = torch.tensor(440.0 * 2 ** ((pitch - 69) / 12))
        begin = time.process_time()
        planes = form.encode(note, f0)
        middle = time.process_time()
        if perturb:
            exact = planes[0, 0, 0].clone()
            planes = planes + perturb * torch.randn(planes.shape, generator=torch.Generator().manual_seed(1))
            if isinstance(form, Harmonic):
                planes[0, 0, 0] = exact  # the tuning, which decode leaves out unless it is asked to keep it
        start = time.process_time()
        again = form.decode(planes, f0, keep_tuning=True) if isinstance(form, Harmonic) else form.decode(planes, f0)
        end = time.process_time()
        results.append(Result(pitch, *distances(note, again), middle - begin, end - start))
    return results


def medians(results: list[Result]) -> list[tuple[float, float]]:
    """Return the medians of SC and LSD over all notes, then over those of each range; NaN where there are none."""
    rows = []
    for low, high in ((0, 128), *RANGES):
        inside = [(one.sc, one.lsd) for one in results if low <= one.pitch < high]
        sc, lsd = np.median(inside, axis=0) if inside else (math.nan, math.nan)
        rows.append((float(sc), float(lsd)))
    return rows


def line(kind: str, form: Representation, results: list[Result]) -> str:
    """One line of the table."""
    over_all, *by_range = medians(results)
    mean = tuple(np.mean([(one.sc, one.lsd) for one in results], axis=0))
    cost = np.mean([(one.encode_seconds, one.decode_seconds) for one in results], axis=0)
    cells = [" " * 11 if math.isnan(sc) else f"{sc:.3f} {lsd:5.2f}" for sc, lsd in (over_all, mean, *by_range)]
    return " | ".join([f"{kind:<13}{np.prod(form.shape):>8}", *cells, f"{cost[0]:.3f} {cost[1]:.3f}"])


def verdict(ours: list[Result], theirs: list[Result]) -> str:
    """Say whether the first representation is ahead in both medians, and where it does worst against the second."""
    (sc, lsd), *by_range = medians(ours)
    (other_sc, other_lsd), *other_by_range = medians(theirs)
    behind = [a[1] - b[1] for a, b in zip(by_range, other_by_range, strict=True)]
    worst = int(np.nanargmax(behind))
    is_ahead = sc < other_sc and lsd < other_lsd
    return (
        f"harmonic is {'ahead of' if is_ahead else 'NOT ahead of'} mel_if in both medians: SC {sc:.3f} to "
        f"{other_sc:.3f}, LSD {lsd:.2f} to {other_lsd:.2f} dB; at worst {behind[worst]:+.2f} dB, in the range "
        f"{RANGES[worst][0]}-{RANGES[worst][1]}"
    )


def header(notes: list[tuple[int, Tensor]]) -> str:
    """The head of the table, with the number of notes in each range."""
    pitches = [pitch for pitch, _ in notes]
    ranges = [f"{low}-{high} ({sum(low <= pitch < high for pitch in pitches)})" for low, high in RANGES]
    columns = [f"{'SC LSD (dB)':<21}", f"{'median':<11}", f"{'mean':<11}", *(f"{one:<11}" for one in ranges)]
    return " | ".join([*columns, "CPU-s encode, decode"])


def show_table(
    notes: list[tuple[int, Tensor]], kinds: list[str], sample_rate: int, seconds: float, perturb: float
) -> None:
    """Measure representations on the same notes and show a line for each as soon as it is there."""
    sys.stdout.write(header(notes) + "\n")
    found: dict[str, list[Result]] = {}
    for kind in kinds:
        config = HarmonicConfig() if kind == "harmonic" else SpectrogramConfig.model_validate({"kind": kind})
        form = representation_of(config, sample_rate=sample_rate, seconds=seconds)
        found[kind] = measure(form, notes, perturb=perturb)
        sys.stdout.write(line(kind, form, found[kind]) + "\n")
        sys.stdout.flush()
    if {"harmonic", "mel_if"} <= found.keys():
        sys.stdout.write(verdict(found["harmonic"], found["mel_if"]) + "\n")


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--sample-rate", type=int, default=16_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--perturb", type=float, default=0.0)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for folder in given.folders:
        notes = read_notes(folder, sample_rate=given.sample_rate, seconds=given.seconds, limit=given.limit)
        if not notes:
            parser.error(f"no WAV files named with a pitch in {folder}")
        sys.stdout.write(f"{folder.name}: {len(notes)} notes at {given.sample_rate} Hz\n")
        show_table(notes, given.kinds, given.sample_rate, given.seconds, given.perturb)


if __name__ == "__main__":
    main()
