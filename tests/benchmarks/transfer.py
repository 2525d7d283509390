"""What `transfer` keeps of a melody and takes of a timbre: pitch in cents, onsets found again, timbre nearer to which.

    python -m tests.benchmarks.transfer SOURCES REFERENCES [--model notes] [--given 1] [--limit N]

SOURCES holds WAV files of melodies, each with a JSON file of its notes (`tests.benchmarks.phrases` makes both);
REFERENCES a folder per instrument with its notes, named by their pitch. Every source meets references of two other
instruments; those that share a word of their names count as one. Measured is what the public functions make:

- pitch: both pitch tracks by swift-f0, 10 ms apart, where it is 90 % sure of both; the octaves that `transfer` reports
  are taken off, and those that the detector errs in the source by the known notes. Wrong: frames beyond 50 cents.
- onsets: matched one to one within 50 ms, against the known notes and against those heard in the source. Two judges
  hear both sounds: our own segmentation, which finds most in the sources (its score there is the most to be had), and
  one that shares nothing with `transfer` but the tracker: swift-f0's notes joined with librosa's onsets (SuperFlux).
- timbre: spectral descriptors of each note (level, envelope and vibrato left out, since these are the source's), as
  robust z-scores. A note of the result is compared with the source's same note and with that recorded note of the
  reference instrument, of those that were not given, which is nearest in pitch, cut to the same length; a case counts
  as nearer to the reference if the mean over its notes does. The ceiling is another recorded note of that instrument in
  place of the result.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import audiogan
from audiogan.corpus import audio
from audiogan.corpus.audio import Recording, resample
from audiogan.corpus.notes import hz_of
from audiogan.corpus.pitchtrack import TRACK_RATE
from audiogan.errors import AudioganError, CorpusError
from audiogan.evaluation.distances import Scaler, fit_scaler
from audiogan.evaluation.intervals import Interval, bootstrap_weights, group_index, percentiles
from audiogan.pipelines.waveform.pitchcurve import follow_pitch
from audiogan.pipelines.waveform.segmentation import notes_of
from audiogan.pipelines.waveform.timbre_vector import NAMES, describe, scaled
from tests.benchmarks.phrases import RATE, Sample, samples_of

SURE = 0.9
WRONG_CENTS = 50.0
TOLERANCE, MERGED = 0.05, 0.06
SHORTEST = 0.12
REFERENCES_EACH = 2
TIMBRE = tuple(
    place
    for place, name in enumerate(NAMES)
    if (name.startswith("cepstrum") and name.endswith("_sustain") and "spread" not in name)
    or name in {"centroid_mean", "spread_mean", "rolloff_mean", "flatness_mean", "odd_even", "noise_level"}
)
"""Places of the descriptors that tell the spectrum of a held note."""

Array = NDArray[np.float64]


class Known(NamedTuple):
    """A note of a source: seconds, MIDI pitch."""

    onset: float
    seconds: float
    pitch: float


class Source(NamedTuple):
    """A melody with its notes."""

    name: str
    instrument: str
    recording: Recording
    notes: list[Known]


class Case(NamedTuple):
    """What one source in one timbre came to; NaN where it cannot be said."""

    source: str
    instrument: str
    reference: str
    cents: float
    wrong: float
    onsets_known: float
    onsets_source: float
    onsets_most: float
    other_known: float
    other_most: float
    is_nearer: float
    ceiling: float
    refused: str = ""


# ---- files


def read_sources(folder: Path) -> Iterator[Source]:
    """Read melodies that have their notes beside them."""
    for path in sorted(folder.glob("*.wav")):
        told = json.loads(path.with_suffix(".json").read_text())
        notes = [Known(one["onset"], one["seconds"], one["pitch"]) for one in told["notes"]]
        yield Source(path.stem, told["instrument"], audio.read(path), notes)


def chosen(instrument: str, references: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return instruments to play a source in, none of which shares a word of its name."""

    def words(name: str) -> set[str]:
        return set(name.lower().replace("-", "_").split("_"))

    others = [name for name in references if not words(name) & words(instrument)]
    return rng.permutation(others)[:REFERENCES_EACH].tolist()


# ---- pitch


def detected(waveform: NDArray[np.float32], sample_rate: int) -> Any:
    """What swift-f0 hears in a sound at half of full scale."""
    from swift_f0 import SwiftF0

    sound = resample(waveform / np.float32(2 * max(float(np.abs(waveform).max()), 1e-6)), sample_rate, TRACK_RATE)
    return SwiftF0(threads=1, spin=False).detect(sound, TRACK_RATE)


def track(waveform: NDArray[np.float32], sample_rate: int) -> tuple[Array, Array]:
    """Return MIDI pitch and confidence every 10 ms, `(frame,)` each."""
    found = detected(waveform, sample_rate)
    at = np.arange(int(len(waveform) / sample_rate / 0.01)) * 0.01
    pitch = 69 + 12 * np.log2(np.maximum(np.asarray(found.pitch_hz, np.float64), 1.0) / 440)
    nearest = np.abs(np.asarray(found.timestamps)[None] - at[:, None]).argmin(axis=1)
    return pitch[nearest], np.asarray(found.confidence, np.float64)[nearest]


def pitch_error(source: Source, made: NDArray[np.float32], rate: int, octaves: int) -> tuple[float, float]:
    """Return the median error in cents and the share of frames beyond `WRONG_CENTS`."""
    (wanted, sure), (heard, also) = (
        track(one, at) for one, at in ((source.recording.waveform, source.recording.sample_rate), (made, rate))
    )
    n_frames = min(len(wanted), len(heard))
    wanted, heard = wanted[:n_frames], heard[:n_frames] - 12 * octaves
    counted = np.zeros(n_frames, dtype=bool)
    for note in source.notes:
        span = slice(round(note.onset * 100), round((note.onset + note.seconds) * 100))
        wanted[span] -= 12 * np.round((np.median(wanted[span]) - note.pitch) / 12) if len(wanted[span]) else 0
        counted[span] = True
    counted &= (sure[:n_frames] >= SURE) & (also[:n_frames] >= SURE)
    if not counted.any():
        return float("nan"), float("nan")
    cents = 100 * np.abs(heard - wanted)[counted]
    return float(np.median(cents)), float(np.mean(cents > WRONG_CENTS))


# ---- onsets


def onsets_of(waveform: NDArray[np.float32], sample_rate: int) -> Array:
    """Return onsets in seconds as our own segmentation finds them."""
    try:
        curve = follow_pitch(waveform, sample_rate)
        notes = notes_of(curve.hz, curve.voiced, waveform, sample_rate)
    except CorpusError:
        return np.zeros(0)
    return np.array([note.first * 0.01 for note in notes])


def other_onsets_of(waveform: NDArray[np.float32], sample_rate: int) -> Array:
    """Return onsets in seconds of the other judge: SuperFlux (Böck, Widmer 2013), and pitches that begin elsewhere."""
    import librosa
    from swift_f0 import segment_notes

    sound = resample(waveform, sample_rate, 22_050)
    flux = librosa.onset.onset_strength(
        y=sound, sr=22_050, hop_length=256, lag=2, max_size=3, n_mels=138, fmin=27.5, fmax=10_000
    )
    found = librosa.onset.onset_detect(onset_envelope=flux, sr=22_050, hop_length=256, units="time").tolist()
    for note in segment_notes(detected(waveform, sample_rate)):
        if all(abs(note.start - onset) > MERGED for onset in found):
            found.append(note.start)
    return np.sort(np.array(found, dtype=np.float64))


def f1(found: Array, wanted: Array, tolerance: float = TOLERANCE) -> float:
    """Return the F-measure of onsets, each matched at most once, in order, which is optimal for one tolerance.

    Example:
        >>> f1(np.array([0.0, 0.52, 0.9]), np.array([0.0, 0.5]))
        0.8
    """
    i = j = n_matched = 0
    found, wanted = np.sort(found), np.sort(wanted)
    while i < len(found) and j < len(wanted):
        if abs(found[i] - wanted[j]) <= tolerance:
            n_matched, i, j = n_matched + 1, i + 1, j + 1
        elif found[i] < wanted[j]:
            i += 1
        else:
            j += 1
    total = len(found) + len(wanted)
    return 2 * n_matched / total if total else 1.0


# ---- timbre


def vector(waveform: NDArray[np.float32], sample_rate: int, start: float, seconds: float, pitch: float) -> Array:
    """Describe a part of a sound by `TIMBRE`; NaN where it cannot be described."""
    part = waveform[round(start * sample_rate) : round((start + seconds) * sample_rate)]
    if len(part) < SHORTEST / 2 * sample_rate or not np.any(part):
        return np.full(len(TIMBRE), np.nan)
    return describe(part, sample_rate, hz_of(pitch))[list(TIMBRE)]


def scale_of(instruments: dict[str, list[Sample]]) -> Scaler:
    """Fit the scale to half a second of all recorded notes."""
    notes = [note for samples in instruments.values() for note in samples]
    return fit_scaler(np.array([vector(note.waveform, RATE, 0.0, 0.5, note.pitch) for note in notes]))


def nearness(
    source: Source, made: NDArray[np.float32], rate: int, octaves: int, samples: Sequence[Sample], scaler: Scaler
) -> tuple[float, float]:
    """Return whether the result, and whether another note of the reference, is nearer to the reference: 0 or 1 each."""
    rows = []
    own, own_rate = source.recording.waveform, source.recording.sample_rate
    for note in source.notes:
        if note.seconds < SHORTEST:
            continue
        pitch = note.pitch + 12 * octaves
        nearest = sorted(samples, key=lambda one: abs(one.pitch - pitch))[:2]
        recorded = [vector(one.waveform, RATE, 0.0, note.seconds, one.pitch) for one in nearest]
        result = vector(made, rate, note.onset, note.seconds, pitch)
        rows.append([result, vector(own, own_rate, note.onset, note.seconds, note.pitch), *recorded])
    if not rows:
        return float("nan"), float("nan")
    table = np.array(rows)  # (note, sound, descriptor)
    table = scaled(table.reshape(-1, len(TIMBRE)), scaler).reshape(table.shape)

    def apart(a: int, b: int) -> float:
        return float(np.sqrt(((table[:, a] - table[:, b]) ** 2).mean(axis=1)).mean())

    return float(apart(0, 2) < apart(0, 1)), float(apart(3, 2) < apart(3, 1))


# ---- cases


def given_of(samples: Sequence[Sample], n_given: int, seed: int) -> list[int]:
    """Return which notes of an instrument the user gives: one by chance, or some evenly from low to high."""
    if n_given == 1:
        return [seed % len(samples)]
    order = sorted(range(len(samples)), key=lambda place: samples[place].pitch)
    places = np.linspace(0, len(order) - 1, min(n_given, len(order) - 2)).round().astype(int)
    return [order[place] for place in places.tolist()]


def timbre_from(model: Any, samples: Sequence[Sample]) -> Any:
    """Return the timbre of the notes that the user gives."""
    recordings = [Recording(one.waveform, RATE, RATE, 1) for one in samples]
    if len(samples) == 1:
        return model.timbre_of(recordings[0], pitch=samples[0].pitch)
    named = {str(number): recording for number, recording in enumerate(recordings)}
    pitches = {str(number): one.pitch for number, one in enumerate(samples)}
    return model.sounding.timbre_of_several(model, named, pitches=pitches)


def measure(
    model: Any,
    source: Source,
    name: str,
    samples: Sequence[Sample],
    scaler: Scaler,
    *,
    n_given: int = 1,
    seed: int = 0,
) -> Case:
    """Transfer one source to one reference and measure the result, by notes of it that were not given."""
    places = given_of(samples, n_given, seed)
    others = [one for place, one in enumerate(samples) if place not in places]
    nothing = [float("nan")] * 9
    try:
        timbre = timbre_from(model, [samples[place] for place in places])
        sound = model.transfer(source.recording, timbre, seed=seed)
    except AudioganError as error:
        return Case(source.name, source.instrument, name, *nothing, refused=str(error))
    made, rate, octaves = sound.waveform, sound.sample_rate, sound.facts["octaves"]
    known = np.array([note.onset for note in source.notes])
    own, own_rate = source.recording.waveform, source.recording.sample_rate
    before, after = onsets_of(own, own_rate), onsets_of(made, rate)
    return Case(
        source.name,
        source.instrument,
        name,
        *pitch_error(source, made, rate, octaves),
        f1(after, known),
        f1(after, before),
        f1(before, known),
        f1(other_onsets_of(made, rate), known),
        f1(other_onsets_of(own, own_rate), known),
        *nearness(source, made, rate, octaves, others, scaler),
    )


def interval(statistic: Callable[[Array], float], cases: Sequence[Case], name: str) -> Interval:
    """Return a statistic over cases and its percentile interval over resampled source instruments."""
    kept = [case for case in cases if np.isfinite(getattr(case, name))]
    if not kept:
        return Interval(float("nan"), float("nan"), float("nan"))
    values = np.array([getattr(case, name) for case in kept], dtype=np.float64)
    index, n_groups = group_index([case.instrument for case in kept])
    draws = [
        statistic(np.repeat(values, weights[index].astype(int))) for weights in bootstrap_weights(n_groups, 1000, 0)
    ]
    low, high = percentiles(np.array(draws)[:, None])
    return Interval(statistic(values), float(low[0]), float(high[0]))


ROWS: tuple[tuple[str, str, Callable[[Array], Any]], ...] = (
    ("pitch error, cents, median", "cents", np.median),
    ("pitch error, share beyond 50 cents", "wrong", np.mean),
    ("onsets against the known notes, F1", "onsets_known", np.mean),
    ("onsets against those found in the source, F1", "onsets_source", np.mean),
    ("  the source's against the known notes, F1", "onsets_most", np.mean),
    ("  by the other judge, F1", "other_known", np.mean),
    ("  by the other judge, the source's, F1", "other_most", np.mean),
    ("timbre nearer to the reference, share", "is_nearer", np.mean),
    ("  another note of the reference, share", "ceiling", np.mean),
)


def report(cases: Sequence[Case]) -> str:
    """Return the tables: all cases with intervals, then a line per source and per reference instrument."""
    refused = [case for case in cases if case.refused]
    lines = [f"{len(cases)} cases, {len(refused)} refused"]
    for title, name, statistic in ROWS:
        found = interval(statistic, cases, name)
        lines.append(f"{title:<48}{found.value:8.3f}  [{found.low:.3f}, {found.high:.3f}]")
    for kind in ("instrument", "reference"):
        lines.append(f"\n{kind:<24}{'n':>4}" + "".join(f"{name:>15}" for _, name, _ in ROWS))
        for one in sorted({getattr(case, kind) for case in cases}):
            mine = [case for case in cases if getattr(case, kind) == one and not case.refused]
            cells = [_finite(statistic, [getattr(case, name) for case in mine]) for _, name, statistic in ROWS]
            lines.append(f"{one:<24}{len(mine):>4}" + "".join(f"{cell:>15.3f}" for cell in cells))
    lines += [f"refused: {case.source}: {case.refused}" for case in refused]
    return "\n".join(lines)


def _finite(statistic: Callable[[Array], Any], values: Sequence[float]) -> float:
    finite = np.array([value for value in values if np.isfinite(value)])
    return float(statistic(finite)) if len(finite) else float("nan")


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--model", default="notes")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--given", type=int, default=1, help="recordings of the reference that make its timbre")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, rng = audiogan.load(given.model), np.random.default_rng(given.seed)
    folders = sorted(one for one in given.references.iterdir() if one.is_dir())
    instruments = {folder.name: found for folder in folders if len(found := samples_of(folder)) >= 4}
    scaler = scale_of(instruments)
    sources = list(read_sources(given.sources))
    pairs = [(one, name) for one in sources for name in chosen(one.instrument, sorted(instruments), rng)]
    cases = []
    for number in rng.permutation(len(pairs))[: given.limit].tolist():
        source, name = pairs[number]
        cases.append(measure(model, source, name, instruments[name], scaler, n_given=given.given, seed=number))
        if given.out:
            with given.out.open("a") as file:
                file.write(json.dumps(cases[-1]._asdict()) + "\n")
    sys.stdout.write(report(cases) + "\n")


if __name__ == "__main__":
    main()
