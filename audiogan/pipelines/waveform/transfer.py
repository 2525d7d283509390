"""A melody in another timbre: the notes, the pitch curve and the loudness of a recording, played by the model.

The recording is cut into notes; each is made at its pitch, held for its length and bent along the recording's own
curve, vibrato and slides included. Then the whole follows the loudness of the recording, every 10 ms. The recording's
own sound, breath and consonants are left out. A melody outside the trained range moves by octaves as a whole. What is
no melody is transcribed where a transcriber is installed (`polyphony`), and refused where none is.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiogan.adversarial.game import seed_of
from audiogan.corpus.audio import Recording
from audiogan.corpus.limits import refuse
from audiogan.corpus.notes import A4, A4_HZ
from audiogan.corpus.transcription import INSTALL, TRANSCRIBER, TranscribedNote, has_transcriber, transcribe
from audiogan.errors import CorpusError, UnsupportedError, UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.following import follow_levels
from audiogan.pipelines.waveform.lengthening import frame_levels_db
from audiogan.pipelines.waveform.loudness import FLOOR_DB, loudness_curve
from audiogan.pipelines.waveform.pitchcurve import Curve, check_octaves, check_one_voice, follow_pitch
from audiogan.pipelines.waveform.polyphony import play_transcribed, several_share, sounding_share
from audiogan.pipelines.waveform.segmentation import HOP_SECONDS, Heard, notes_of
from audiogan.pipelines.waveform.sound import Sound, Waveform, check_rate, levelled, rise, soften
from audiogan.pipelines.waveform.synthesis import rate_warnings
from audiogan.pipelines.waveform.timbre import Timbre, check_timbre
from audiogan.pipelines.waveform.voice import Played, Voice, into_range, make_planes, represent
from audiogan.representation.base import HarmonicConfig
from audiogan.representation.harmonic import Harmonic

LONGEST_SOURCE = 600.0
RELEASE_SECONDS = 0.06
LOUD_VELOCITY, LEAST_VELOCITY = 0.9, 0.2
BEGINS_BELOW_TOP_DB, JOINED_BELOW_TOP_DB = 20.0, 6.0
TOP_SECONDS, MOST_SKIPPED = 0.5, 0.2
JOINED_SECONDS, CUT_SECONDS = 0.015, 0.003
PLANES_AT_ONCE = 64  # notes; those of ten minutes, all at once, would take hundreds of megabytes
AUDIBLE_DB, LEAST_VOICED = 45.0, 0.6
LEAST_TRANSCRIBED = 0.25  # of what sounds: of music it was 0.9 and more, of drum loops 0.2 at most
SEVERAL_SHARE = 0.42  # of the time with notes: of 100 melodies one had 0.40, no other above 0.13; others 0.45 and more
AUTO, ONE, MANY = VOICES = ("auto", "one", "many")


class _Melody(NamedTuple):
    """What is carried over of a melody: its pitch curve and its notes."""

    curve: Curve
    heard: list[Heard]


def transfer(
    model: Model,
    source: Recording,
    timbre: Timbre,
    *,
    voices: str = AUTO,
    seed: int = 0,
    sample_rate: int | None = None,
) -> Sound:
    """Play a recording in a timbre.

    Args:
        model: Trained networks.
        source: Up to 600 s; one channel, as `corpus.audio` reads it.
        timbre: To play it in.
        voices: `one`: a melody, with its pitch curve. `many`: transcribed into notes of fixed pitch. `auto`: a melody
            where it is one, else transcribed.
        seed: Of the noise.
        sample_rate: Hz, 16,000 to 48,000; None for the model's own.

    Raises:
        UsageError: Other `voices`.
        CorpusError: `polyphonic`, where there is no transcriber or one voice was asked for; `no_pitch`, `too_long`; a
            timbre of another model.
        UnsupportedError: A melody for a model whose representation cannot bend pitches; `many` without a transcriber.
    """
    config: Config = model.config
    if voices not in VOICES:
        raise UsageError(f"voices {voices!r}; expected auto, one or many")
    if voices != MANY and not isinstance(config.representation, HarmonicConfig):
        kind = config.representation.kind
        told = f"transfer bends pitches, which needs a model of kind harmonic; this one is {kind}"
        raise UnsupportedError(f"{told}, which plays notes of fixed pitch only: --voices many")
    check_timbre(timbre, model)
    if source.seconds > LONGEST_SOURCE:
        refuse("too_long", f"transfer: a recording of {source.seconds:.0f} s; expected at most {LONGEST_SOURCE:.0f} s")
    rate = check_rate(sample_rate, config.sample_rate)
    found = _found_in(source, voices)
    if isinstance(found, _Melody):
        return _play(model, source, timbre, found, seed, rate)
    return play_transcribed(model, source, timbre, found, seed=seed, sample_rate=rate)


def _found_in(source: Recording, voices: str) -> _Melody | list[TranscribedNote]:
    """What is to be played: a melody, or the notes of a transcription."""
    if voices == MANY:
        return transcribe(source.waveform, source.sample_rate)
    try:
        melody = _melody_of(source)
    except CorpusError as refusal:
        if voices == ONE or refusal.reason not in ("polyphonic", "no_pitch"):
            raise
        return _notes_instead(source, refusal)
    if voices == AUTO and has_transcriber():  # which hears voices that lie at partials of the melody
        notes = transcribe(source.waveform, source.sample_rate)
        if several_share(notes) >= SEVERAL_SHARE:
            return notes
    return melody


def _melody_of(source: Recording) -> _Melody:
    """What is to be carried over, or a refusal."""
    curve = follow_pitch(source.waveform, source.sample_rate)
    heard = notes_of(curve.hz, curve.voiced, source.waveform, source.sample_rate)
    curve, heard = check_octaves(curve, heard, source.waveform, source.sample_rate)
    check_one_voice(curve, source.waveform, source.sample_rate)
    return _Melody(curve, heard)


def _notes_instead(source: Recording, refusal: CorpusError) -> list[TranscribedNote]:
    """The notes of what is no melody; refused as before where nothing can or is to be transcribed."""
    if not has_transcriber():
        told = f"several notes at once are transcribed where basic-pitch is installed: {INSTALL}"
        raise CorpusError(f"{refusal}; {told}", refusal.reason) from refusal
    notes = transcribe(source.waveform, source.sample_rate)
    share = sounding_share(notes, loudness_curve(source.waveform, source.sample_rate))
    if share < LEAST_TRANSCRIBED:
        told = f"{TRANSCRIBER} heard notes in {100 * share:.0f} % of what sounds, which is too little to play"
        raise CorpusError(f"{refusal}; {told}", refusal.reason) from refusal
    return notes


def _play(model: Model, source: Recording, timbre: Timbre, melody: _Melody, seed: int, sample_rate: int) -> Sound:
    """A melody in a timbre."""
    config, (curve, heard) = model.config, melody
    voice = Voice(config, sample_rate, RELEASE_SECONDS)
    levels = loudness_curve(source.waveform, source.sample_rate)
    octaves = _octaves(heard, config)
    played = _played(heard, levels, timbre, octaves, config)
    n_samples = math.ceil(source.seconds * sample_rate)
    mix = _mixed(model, voice, curve, heard, played, n_samples, seed)
    shaped = soften(follow_levels(mix, sample_rate, levels), sample_rate)
    facts = _facts(heard, played, octaves, _voiced_share(curve, levels), config, sample_rate)
    facts |= {"timbre": timbre.as_json(), "seed": seed, "seconds": round(n_samples / sample_rate, 4)}
    return Sound(levelled(shaped), sample_rate, facts)


def _octaves(notes: Sequence[Heard], config: Config) -> int:
    """The octaves that bring most of the melody into range: one number for all, 0 if that is as good."""
    low, high = config.lowest_pitch - 0.5, config.highest_pitch + 0.5

    def outside(octaves: int) -> float:
        return sum(note.stop - note.first for note in notes if not low <= note.pitch + 12 * octaves <= high)

    return min(sorted(range(-8, 9), key=abs), key=outside)


def _played(
    notes: Sequence[Heard], levels: NDArray[np.float64], timbre: Timbre, octaves: int, config: Config
) -> list[Played]:
    """The notes as the model is asked for them: in range, with the velocity that their loudness stands for."""
    loudest = [float(levels[note.first : note.stop].max(initial=FLOOR_DB)) for note in notes]
    most = max(loudest)
    played = []
    for note, level in zip(notes, loudest, strict=True):
        pitch = note.pitch + 12 * octaves
        velocity = max(LEAST_VELOCITY, LOUD_VELOCITY * 10 ** ((level - most) / 40))
        played.append(Played(timbre, pitch + 12 * into_range(pitch, config), velocity))
    return played


def _mixed(
    model: Model,
    voice: Voice,
    curve: Curve,
    heard: Sequence[Heard],
    played: Sequence[Played],
    n_samples: int,
    seed: int,
) -> Waveform:
    """All notes, bent as the curve says, in their places: `(n_samples,)`."""
    mix = np.zeros(n_samples, dtype=np.float32)
    for number, planes in enumerate(_planes(model, played)):
        note, is_joined = heard[number], number > 0 and not heard[number].has_attack
        sound = _sounded(voice, planes, note, played[number].pitch, bend_of(curve, note), is_joined, seed, number)
        place = round(note.first * HOP_SECONDS * voice.sample_rate)
        part = mix[place : place + len(sound)]
        part += sound[: len(part)]
    return mix


def _sounded(
    voice: Voice,
    planes: Tensor,
    note: Heard,
    pitch: float,
    bend: NDArray[np.float64],
    is_joined: bool,
    seed: int,
    number: int,
) -> Waveform:
    """One note with its release, `(time,)`: from where it can be heard, or from where it is full if it is joined on."""
    n_skipped = _n_skipped(voice, planes, JOINED_BELOW_TOP_DB if is_joined else BEGINS_BELOW_TOP_DB)
    n_more = math.ceil(voice.release / HOP_SECONDS) + 1  # n + 1 points span n hops
    bent = torch.from_numpy(np.pad(bend, (n_skipped, n_more), mode="edge")).float()  # one point every 10 ms
    seconds, skipped = (note.stop - note.first) * HOP_SECONDS, n_skipped * HOP_SECONDS
    total = skipped + seconds + voice.release
    dry = voice.dry(planes, pitch, total, cents=bent, seed=seed_of(seed, "noise", number))
    dry = dry[round(skipped * voice.sample_rate) :].copy()
    n_rise = min(len(dry), round((JOINED_SECONDS if is_joined else CUT_SECONDS) * voice.sample_rate))
    if n_skipped:
        dry[:n_rise] *= rise(n_rise)
    return voice.let_go(dry, seconds)


def _n_skipped(voice: Voice, planes: Tensor, below_top_db: float) -> int:
    """Hops until the model's own note comes within `below_top_db` of its top: its attack would delay the onset."""
    representation = represent(voice.config)
    assert isinstance(representation, Harmonic), "checked by transfer"
    times, levels = representation.times, frame_levels_db(planes)
    early = times <= TOP_SECONDS
    above = (levels[early] >= levels[early].max() - below_top_db).nonzero()
    return min(round(float(times[early][above[0, 0]]) / HOP_SECONDS), round(MOST_SKIPPED / HOP_SECONDS))


def bend_of(curve: Curve, note: Heard) -> NDArray[np.float64]:
    """Return cents against the pitch of a note, `(frame,)`, level before its first sure frame and after the last.

    Args:
        curve: Of the melody.
        note: Of it.
    """
    frames = np.arange(note.first, note.stop)
    sure = frames[curve.voiced[frames]]
    if len(sure):  # joined over a gap, the curve would slide in from the note before
        frames = np.clip(frames, sure[0], sure[-1])
    return 100 * (A4 + 12 * np.log2(curve.hz[frames] / A4_HZ) - note.pitch)


def _planes(model: Model, played: Sequence[Played]) -> Iterator[Tensor]:
    for first in range(0, len(played), PLANES_AT_ONCE):
        yield from make_planes(model, played[first : first + PLANES_AT_ONCE])


def _voiced_share(curve: Curve, levels: NDArray[np.float64]) -> float:
    """Share of the frames with a pitch, of those that can be heard."""
    n_frames = min(len(curve.voiced), len(levels))
    audible = levels[:n_frames] > levels.max() - AUDIBLE_DB
    return float(np.mean(curve.voiced[:n_frames][audible]))


def _facts(
    heard: Sequence[Heard],
    played: Sequence[Played],
    octaves: int,
    voiced_share: float,
    config: Config,
    sample_rate: int,
) -> dict[str, Any]:
    low, high = config.lowest_pitch, config.highest_pitch
    warnings = []
    if octaves:
        warnings.append(f"moved by {octaves:+d} octaves into the trained range {low}-{high}")
    folded = [
        number for number, note in enumerate(heard) if abs(played[number].pitch - note.pitch - 12 * octaves) > 0.5
    ]
    if folded:
        warnings.append(f"{len(folded)} of {len(heard)} notes outside the trained range {low}-{high} moved by octaves")
    if voiced_share < LEAST_VOICED:
        warnings.append(f"a pitch was heard in {100 * voiced_share:.0f} % of what sounds; the rest is left out")
    return {
        "voices": "one",
        "n_notes": len(heard),
        "octaves": octaves,
        "voiced_share": round(voiced_share, 4),
        "notes": [
            {
                "onset": round(note.first * HOP_SECONDS, 2),
                "seconds": round((note.stop - note.first) * HOP_SECONDS, 2),
                "pitch": round(one.pitch, 2),
                "source_pitch": round(note.pitch, 2),
                "velocity": round(one.velocity, 3),
            }
            for note, one in zip(heard, played, strict=True)
        ],
        "warnings": warnings + rate_warnings(config, sample_rate),
    }
