"""What a report shows of a model of notes: new notes, real notes beside the model's, and the way between two timbres.

Nothing is chosen by ear: the new notes are the first ones of the seed, and the real ones come first in the order in
which held-out notes are kept, in which every instrument comes before any comes twice.
"""

from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus.names import escape
from audiogan.corpus.notes import PEAK
from audiogan.evaluation.exhibit import Exhibit, Shelf, flac
from audiogan.evaluation.stages import Tell
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.encoding import Example, detailed
from audiogan.pipelines.waveform.held_out import HeldOut
from audiogan.pipelines.waveform.ladder import ladder
from audiogan.pipelines.waveform.listening import Judged, codes_of
from audiogan.pipelines.waveform.measuring import sound
from audiogan.pipelines.waveform.synthesis import generate
from audiogan.pipelines.waveform.timbre import Timbre, dims_of, random_timbre, z_for
from audiogan.pipelines.waveform.voice import Played, make_planes
from audiogan.rainbowgram import rainbowgram

N_NEW, N_PAIRS, N_RUNGS = 8, 6, 7
PICTURE_WIDTH, PICTURE_HEIGHT = 420, 140
VELOCITY = 0.8


def exhibits_of(asked: Judged, tell: Tell) -> list[Shelf]:
    """Return what there is to hear and see of a model.

    Args:
        asked: Model and held-out notes.
        tell: Called with shelves done and their number.
    """
    shelves = []
    for number, fill in enumerate((_new_notes, _beside_real, _way)):
        shelves.append(fill(asked))
        tell(number + 1, 3)
    return shelves


def _new_notes(asked: Judged) -> Shelf:
    exhibits = []
    for number, made in enumerate(generate(asked.model, count=N_NEW, seed=asked.seed), 1):
        pitch, rate = made.facts.get("pitch"), made.sample_rate
        about = f"pitch {pitch:g}" if isinstance(pitch, int | float) and isfinite(pitch) else ""
        exhibits.append(_exhibit(f"Note {number}", about, made.waveform, rate))
    return Shelf(
        "New notes",
        f"The first {N_NEW} notes of seed {asked.seed}, as audiogan generate notes makes them; none was chosen. The "
        "pictures show pitch upwards and time to the right; brighter is louder, and the colour tells how the frequency "
        "lies there: green on the row's own, towards blue below it, towards red above it.",
        tuple(exhibits),
    )


def _beside_real(asked: Judged) -> Shelf:
    """Held-out notes, each beside what the model makes of it: from its timbre where there is an encoder."""
    held, model = asked.held, asked.model
    n = min(N_PAIRS, len(held.planes))
    codes = codes_of(model, held)
    made = make_planes(model, [_answer(asked, codes, place) for place in range(n)]).numpy()
    own = "Made again by the model" if codes is not None else "The model's, of another timbre"
    exhibits = []
    for place in range(n):
        facts = f"{_instrument(held, place)}, pitch {held.pitch[place]:.1f}, velocity {held.velocity[place]:.2f}"
        pitch = float(held.pitch[place])
        exhibits.append(_judged(model, f"Real note {place + 1}", facts, held.planes[place], pitch))
        exhibits.append(_judged(model, own, facts, made[place], asked.into_range(pitch)))
    how = "made again from nothing but its timbre, pitch and velocity" if codes is not None else "of equal pitch"
    return Shelf(
        "Real notes and the model's",
        f"The first {n} held-out notes, of instruments it never heard, and beside each a note of the model, {how}.",
        tuple(exhibits),
        in_pairs=True,
    )


def _answer(asked: Judged, codes: NDArray[np.float64] | None, place: int) -> Played:
    held, model = asked.held, asked.model
    timbre = random_timbre(model, asked.seed, place)
    if codes is not None:
        timbre = Timbre(codes[place].astype(np.float32), z_for(dims_of(model)[0], asked.seed, "exhibit", place))
    velocity = float(np.clip(held.velocity[place], 0, 1))
    return Played(timbre, asked.into_range(float(held.pitch[place])), velocity)


def _way(asked: Judged) -> Shelf:
    """From the first held-out note to the nearest in pitch of another instrument, or between two random timbres."""
    held, model = asked.held, asked.model
    codes = codes_of(model, held)
    others = np.flatnonzero(held.instrument[: len(held.planes)] != held.instrument[0]) if len(held) else []
    if codes is None or not len(others):
        first, second = (random_timbre(model, asked.seed, number) for number in range(2))
        ends, pitch = ("one random timbre", "another"), asked.into_range(60.0)
    else:
        other = int(others[np.abs(held.pitch[others] - held.pitch[0]).argmin()])
        first, second = (_end(model, held, codes, place, asked.seed) for place in (0, other))
        ends = tuple(_instrument(held, place) for place in (0, other))
        pitch = asked.into_range(float(round(held.pitch[[0, other]].mean())))
    shares = np.linspace(0, 1, N_RUNGS).tolist()
    way = ladder(model, first, second, shares, pitch, VELOCITY)
    made = make_planes(model, [Played(timbre, pitch, VELOCITY) for timbre in way]).numpy()
    exhibits = [
        _judged(model, f"Step {number} of {N_RUNGS}", f"{100 * share:.0f} % of the way", planes, pitch)
        for number, (share, planes) in enumerate(zip(shares, made, strict=True), 1)
    ]
    about = f"From {ends[0]} to {ends[1]} in {N_RUNGS} notes of pitch {pitch:g}, ends included."
    return Shelf("The way between two timbres", about, tuple(exhibits))


def _end(model: Model, held: HeldOut, codes: NDArray[np.float64], place: int, seed: int) -> Timbre:
    timbre = Timbre(codes[place].astype(np.float32), z_for(dims_of(model)[0], seed, "exhibit", 0))
    planes = torch.from_numpy(held.planes[place].astype(np.float32))[None]
    return detailed(model, timbre, [Example(planes, torch.tensor([float(held.pitch[place])]), 1.0)])


def _instrument(held: HeldOut, place: int) -> str:
    return escape(held.instruments[int(held.instrument[place])])


def _judged(model: Model, title: str, about: str, planes: NDArray[np.floating], pitch: float) -> Exhibit:
    """A note as it is measured: as its planes sound, brought to one peak."""
    waveform = np.nan_to_num(sound(model.config, planes, pitch), posinf=0.0, neginf=0.0)
    peak = float(np.abs(waveform).max(initial=0.0))
    return _exhibit(title, about, waveform * (PEAK / peak if peak else 0.0), model.config.sample_rate)


def _exhibit(title: str, about: str, waveform: NDArray[np.floating], sample_rate: int) -> Exhibit:
    told = ", ".join(part for part in (about, f"{len(waveform) / sample_rate:.1f} s") if part)
    picture = rainbowgram(waveform, sample_rate, width=PICTURE_WIDTH, height=PICTURE_HEIGHT)
    return Exhibit(
        title=title,
        caption=told,
        sound=flac(waveform, sample_rate),
        picture=picture,
        picture_text=f"Rainbowgram of {title}: {told}",
    )
