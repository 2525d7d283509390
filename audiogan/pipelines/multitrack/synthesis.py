"""What a trained model does: new clips, more bars, missing tracks, other versions, the way from one clip to another.

Every verb but the last two is one task, filling hidden cells (`filling`), in a piece that stays the user's own
(`editing`). `vary` and `interpolate` move between codes (`between`). Draws depend on the seed and the number of the
clip alone, never on how many are made.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus import midi
from audiogan.corpus.score import Key, Score
from audiogan.corpus.smf import rescale
from audiogan.errors import UnsupportedError, UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.between import Way, bars_of_both, between, decoded, fuller, traced
from audiogan.pipelines.multitrack.classic_synthesis import generate_classic
from audiogan.pipelines.multitrack.config import CellsConfig, Config
from audiogan.pipelines.multitrack.drawing import draw_clips
from audiogan.pipelines.multitrack.editing import (
    count_bars,
    on_grid,
    others,
    programs_of,
    sounding_tracks,
    with_new,
    without,
)
from audiogan.pipelines.multitrack.filling import (
    Sketch,
    fill,
    generate_codes,
    z_for,
)
from audiogan.pipelines.multitrack.home import moved
from audiogan.pipelines.multitrack.networks import Generator, on_sphere
from audiogan.representation.pianoroll import to_score
from audiogan.representation.rollnotes import RollNotes
from audiogan.representation.tonality import key_named, sharps_of

DEFAULT_QPM = 120.0


def generate(
    model: Model,
    *,
    count: int,
    seed: int,
    bars: int | None = None,
    tempo: float | None = None,
    tracks: Sequence[str] | None = None,
    temperature: float = 1.0,
    key: str | None = None,
    device: str | None = None,
) -> list[Score]:
    """Make new clips.

    A clip in which fewer than three tracks sound (or than were asked for), that equals an earlier one or is not in the
    key asked for is drawn again, up to 15 times; at temperature 0 there is nothing to draw, and all clips are the same.
    A classic network draws each clip once, as it was trained.

    Args:
        model: Trained networks.
        count: Clips.
        seed: The same seed makes the same clips, whatever `count`.
        bars: Bars of each clip; None for the model's own.
        tempo: Quarter notes per minute; None for 120.
        tracks: Names of the tracks to use; the others stay silent. None for all.
        temperature: 0 to 2; 1 as trained, less for the typical, more for the odd.
        key: Such as `C`, `F# minor` or `Bb`; None for the keys of the songs that the model learnt from.
        device: Where the networks are; they are not moved.

    Raises:
        UsageError: A number out of range, no key, or a track the model does not have.
        UnsupportedError: A key, and the model was not trained to write in one.
    """
    del device  # the model is already where it should be
    config: Config = model.config
    _check_numbers(count=count, bars=bars, tempo=tempo, temperature=temperature)
    qpm = DEFAULT_QPM if tempo is None else tempo
    if not isinstance(config.network, CellsConfig):
        if temperature != 1:
            raise UnsupportedError(f"temperature {temperature:g}; expected 1, since a classic network knows no other")
        _check_key(key, config)
        return generate_classic(model, count=count, seed=seed, bars=bars, qpm=qpm, tracks=tracks)
    wanted = _numbers_of(tracks, config)
    n_bars = bars or config.n_bars
    hidden = np.zeros((len(config.roles), n_bars), dtype=bool)
    hidden[wanted] = True
    sketch = Sketch(RollNotes.none(), hidden)
    asked = _check_key(key, config)
    clips = draw_clips(
        model, [sketch] * count, seed=seed, temperature=temperature, n_tracks=min(3, len(wanted)), key=asked
    )
    scores = [to_score(clip, config.grid, config.roles, qpm=qpm) for clip in clips]
    return scores if asked is None else [replace(score, keys=(Key(0, sharps_of(asked), asked[1]),)) for score in scores]


def _check_key(key: str | None, config: Config) -> tuple[int, bool] | None:
    """The key asked for."""
    if key is None:
        return None
    asked = key_named(key)
    if not config.home_key:
        raise UnsupportedError(f"key {key!r}; this model was not trained to write in a key (model.home_key)")
    return asked


def continue_clip(model: Model, score: Score, *, bars: int = 4, count: int = 1, seed: int = 0) -> list[Score]:
    """Add bars after a piece; its own notes stay as they are.

    Args:
        model: Trained networks.
        score: The piece.
        bars: Bars to add.
        count: How many different continuations.
        seed: The same seed makes the same music.

    Raises:
        UnsupportedError: A model or a metre that cannot do it.
        UsageError: A number out of range.
    """
    config = _cells(model)
    _check_numbers(count=count, bars=bars)
    n_before = count_bars(score, config)
    hidden = np.zeros((len(config.roles), n_before + bars), dtype=bool)
    hidden[:, n_before:] = True
    return _filled(model, score, hidden, count, seed)


def accompany(model: Model, score: Score, *, tracks: Sequence[str], count: int = 1, seed: int = 0) -> list[Score]:
    """Write tracks that a piece lacks; all its notes stay as they are.

    Args:
        model: Trained networks.
        score: The piece.
        tracks: Names of the tracks to write.
        count: How many different accompaniments.
        seed: The same seed makes the same music.

    Raises:
        UnsupportedError: A model or a metre that cannot do it, or a piece that has notes for the track already.
        UsageError: A track the model does not have, or a number out of range.
    """
    config = _cells(model)
    _check_numbers(count=count)
    wanted = _numbers_of(tracks, config)
    taken = set(on_grid(score, config, count_bars(score, config)).role.tolist())
    free = [role.name for number, role in enumerate(config.roles) if number not in taken]
    there = ", ".join(config.roles[number].name for number in wanted if number in taken)
    if there:
        lacks = ", ".join(free) or "none"
        raise UnsupportedError(
            f"the clip has notes for {there} already; expected tracks that it lacks: {lacks} "
            f"(`infill --tracks` writes a track anew)"
        )
    hidden = np.zeros((len(config.roles), count_bars(score, config)), dtype=bool)
    hidden[wanted] = True
    return _filled(model, score, hidden, count, seed)


def infill(
    model: Model,
    score: Score,
    *,
    bars: tuple[int, int],
    tracks: Sequence[str] | None = None,
    count: int = 1,
    seed: int = 0,
) -> list[Score]:
    """Write some bars of a piece anew; all other notes stay as they are.

    Args:
        model: Trained networks.
        score: The piece.
        bars: First and last bar, counted from 1.
        tracks: Only in these tracks; None for all.
        count: How many different fillings.
        seed: The same seed makes the same music.

    Raises:
        UnsupportedError: A model or a metre that cannot do it.
        UsageError: Bars outside the piece, or a track the model does not have.
    """
    config = _cells(model)
    _check_numbers(count=count)
    n_bars = count_bars(score, config)
    first, last = bars
    if not 1 <= first <= last <= n_bars:
        raise UsageError(f"bars {first}-{last}; expected two bars from 1 to {n_bars}, the first not after the last")
    hidden = np.zeros((len(config.roles), n_bars), dtype=bool)
    hidden[_numbers_of(tracks, config), first - 1 : last] = True
    return _filled(model, without(score, hidden, config), hidden, count, seed)


def _filled(model: Model, known: Score, hidden: NDArray[np.bool_], count: int, seed: int) -> list[Score]:
    """Fill the hidden cells `(track, bar)` of a piece that holds known notes only, `count` times."""
    config: Config = model.config
    sketch = Sketch(on_grid(known, config, hidden.shape[1]), hidden)
    made = fill(model.modules, config, [sketch] * count, seeds=[(number,) for number in range(count)], seed=seed)
    return [with_new(known, notes, config) for notes in made]


# ---- between codes


@torch.no_grad()
def interpolate(model: Model, first: Score, second: Score, *, steps: int, seed: int = 0) -> list[Score]:
    """Go from one clip to another, ends included; both are cut to the last bar up to which both have notes.

    Tracks that have no role in the model are left out. Every bar in which both clips sound has notes in every step.
    The first half is written with the programs of the first clip, the second half with those of the second; the tempo
    moves from one to the other.

    Args:
        model: Trained networks.
        first, second: The clips, as they are on the model's grid and tracks.
        steps: Clips to make, 2 or more.
        seed: Not used; the way is the same each time.

    Raises:
        UnsupportedError: A model or a metre that cannot do it, or clips without a bar in which both sound.
        UsageError: Fewer than two steps.
    """
    del seed
    config = _cells(model)
    if not 2 <= steps <= 1000:
        raise UsageError(f"{steps} steps; expected 2 to 1000, since both ends are among them")
    n_bars = bars_of_both(first, second, config)
    a, b = Way(model, first, n_bars), Way(model, second, n_bars)
    programs = [programs_of(score, config) for score in (first, second)]
    tempo_a, tempo_b = (score.tempos[0].qpm if score.tempos else DEFAULT_QPM for score in (first, second))
    made = []
    for step in range(steps):
        t = step / (steps - 1)
        qpm = (1 - t) * tempo_a + t * tempo_b
        made.append(to_score(between(model, a, b, t), config.grid, config.roles, qpm=qpm, programs=programs[t > 0.5]))
    return made


@torch.no_grad()
def vary(model: Model, score: Score, *, strength: float, count: int = 1, seed: int = 0) -> list[Score]:
    """Make clips like this one, with its programs, tempos and keys; tracks that have no role in the model stay.

    Args:
        model: Trained networks.
        score: The clip, as it is on the model's grid and tracks.
        strength: 0 gives the clip again, 1 a free sample.
        count: How many.
        seed: The same seed makes the same clips.

    Raises:
        UnsupportedError: A model or a metre that cannot do it.
        UsageError: A number out of range.
    """
    config = _cells(model)
    _check_numbers(count=count)
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength:g}; expected 0 to 1")
    n_bars = count_bars(score, config)
    way = Way(model, score, n_bars, to_home=True)
    nothing = torch.zeros(way.codes.shape[:3])
    generator = model.modules["generator"]
    assert isinstance(generator, Generator)
    frame = rescale(score)
    made = []
    for number in range(count):
        z = torch.stack([z_for(generator.z_dim, seed, "vary", number, window) for window in range(len(way.codes))])
        free = generate_codes(model.modules, z, way.codes, nothing)
        codes = on_sphere((1 - strength) * way.codes + strength * free)
        logits, velocity, timing = decoded(model, codes, [(way, 1 - strength)])
        notes = traced(logits, velocity, timing, n_bars, config)
        if not len(notes):
            notes = traced(fuller(logits, way, way), velocity, timing, n_bars, config)
        notes = moved(notes, -way.moved_by, config)
        written = to_score(notes, config.grid, config.roles, programs=programs_of(score, config))
        made.append(
            replace(frame, tracks=(*written.tracks, *others(frame, config)), metres=frame.metres or written.metres)
        )
    return made


# ---- the rest


def transfer(*_: object) -> list[Score]:
    """Refuse: a pianoroll has no timbre.

    Raises:
        UnsupportedError: Always.
    """
    raise UnsupportedError("transfer changes the timbre of a recording; a multitrack model writes notes, use `vary`")


def write(score: Score, path: Path, *, text: str | None = None) -> None:
    """Write a clip as a MIDI file; tracks without notes are left out."""
    midi.write(replace(score, tracks=tuple(sounding_tracks(score))), path, text=text)


def _cells(model: Model) -> Config:
    if not isinstance(model.config.network, CellsConfig):
        name, variant = model.name or "the model", model.config.network.variant
        raise UnsupportedError(f"{name} is a classic {variant} network, which makes new clips only; expected cells")
    return model.config


def _numbers_of(names: Sequence[str] | None, config: Config) -> list[int]:
    """Numbers of the named tracks, each once."""
    known = {role.name.lower(): number for number, role in enumerate(config.roles)}
    if names is None:
        return list(known.values())
    if not names:
        raise UsageError(f"no track named; expected some of: {', '.join(known)}")
    for name in names:
        if name.strip().lower() not in known:
            raise UsageError(f"track {name!r}; expected some of: {', '.join(known)}")
    return sorted({known[name.strip().lower()] for name in names})


def _check_numbers(
    *, count: int, bars: int | None = None, tempo: float | None = None, temperature: float = 1.0
) -> None:
    if not 1 <= count <= 100_000:
        raise UsageError(f"count {count}; expected 1 to 100000")
    if bars is not None and not 1 <= bars <= 1000:
        raise UsageError(f"bars {bars}; expected 1 to 1000")
    if tempo is not None and not 10 <= tempo <= 1000:
        raise UsageError(f"tempo {tempo:g}; expected 10 to 1000 quarter notes per minute")
    if not 0 <= temperature <= 2:
        raise UsageError(f"temperature {temperature:g}; expected 0 to 2")
