"""What each representation loses on notes: spectral convergence and log-spectral distance by pitch range, and its cost.

    python -m tests.benchmarks.round_trip FOLDER [--sample-rate 16000] [--seconds 4] [--kinds harmonic lin_if]
        [--perturb 0.05] [--limit 60]

FOLDER holds WAV files whose names end in their MIDI pitch: `piano_m060.wav`. Every note is brought to a peak of 0.8.
Spectral convergence (SC) and log-spectral distance (LSD) are means over transforms of 2048, 1024, 512 and 256 points;
LSD counts what lies within 60 dB of the loudest cell. `--perturb` adds normal errors to the planes before they are
decoded, as a generator makes them. Processor seconds are for one note; on a busy machine only their ratios count.
"""

import argparse
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


def read_notes(folder: Path, *, sample_rate: int, seconds: float, limit: int) -> list[tuple[int, Tensor]]:
    """Return pitches and waveforms `(time,)`, spread over the folder if there are more than `limit`."""
    paths = [path for path in sorted(folder.glob("*.wav")) if re.search(r"(\d+)$", path.stem)]
    paths = paths[:: max(1, len(paths) // limit)]
    notes = []
    for path in paths:
        found = re.search(r"(\d+)$", path.stem)
        assert found is not None
        waveform, rate = soundfile.read(path, dtype="float64", always_2d=True)
        mono = soxr.resample(waveform.mean(axis=1), rate, sample_rate, quality="HQ")[: round(seconds * sample_rate)]
        mono = np.pad(mono, (0, round(seconds * sample_rate) - len(mono)))
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


def line(kind: str, form: Representation, results: list[Result]) -> str:
    """One line of the table."""
    sc, lsd = (np.array([getattr(one, name) for one in results]) for name in ("sc", "lsd"))
    pitch = np.array([one.pitch for one in results])
    cells = [f"{kind:<13}{np.prod(form.shape):>8}", f"{np.median(sc):.3f} {np.median(lsd):5.2f}"]
    cells.append(f"{sc.mean():.3f} {lsd.mean():5.2f}")
    for low, high in RANGES:
        inside = (pitch >= low) & (pitch < high)
        cells.append(f"{np.median(sc[inside]):.3f} {np.median(lsd[inside]):5.2f}" if inside.any() else " " * 11)
    cost = (np.mean([getattr(one, name) for one in results]) for name in ("encode_seconds", "decode_seconds"))
    return " | ".join([*cells, " ".join(f"{one:.3f}" for one in cost)])


def header(notes: list[tuple[int, Tensor]]) -> str:
    """The head of the table, with the number of notes in each range."""
    pitches = [pitch for pitch, _ in notes]
    ranges = [f"{low}-{high} ({sum(low <= pitch < high for pitch in pitches)})" for low, high in RANGES]
    columns = [f"{'SC LSD (dB)':<21}", f"{'median':<11}", f"{'mean':<11}", *(f"{one:<11}" for one in ranges)]
    return " | ".join([*columns, "CPU-s encode, decode"])


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample-rate", type=int, default=16_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--perturb", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    notes = read_notes(given.folder, sample_rate=given.sample_rate, seconds=given.seconds, limit=given.limit)
    if not notes:
        parser.error(f"no WAV files named with a pitch in {given.folder}")
    sys.stdout.write(header(notes) + "\n")
    for kind in given.kinds:
        config = HarmonicConfig() if kind == "harmonic" else SpectrogramConfig.model_validate({"kind": kind})
        form = representation_of(config, sample_rate=given.sample_rate, seconds=given.seconds)
        sys.stdout.write(line(kind, form, measure(form, notes, perturb=given.perturb)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
