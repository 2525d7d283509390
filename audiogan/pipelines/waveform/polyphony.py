"""Several notes at once in another timbre: a recording transcribed, played as a piece, and made as loud over time.

Notes are those that the transcriber hears (`corpus.transcription`), with the velocity that their level stands for;
`render` plays them. Then the whole follows the loudness of the recording, one gain for all that sounds at a time. Left
out are slides and vibrato, which a transcription does not tell, drums, and everything that is no note.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import Recording
from audiogan.corpus.limits import refuse
from audiogan.corpus.posteriorgram import LOWEST_PITCH, N_KEYS, PARTIALS
from audiogan.corpus.transcription import TRANSCRIBER, TranscribedNote, score_of
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.following import follow_levels
from audiogan.pipelines.waveform.loudness import HOP_SECONDS, loudness_curve
from audiogan.pipelines.waveform.render import render
from audiogan.pipelines.waveform.sound import Sound, levelled, soften
from audiogan.pipelines.waveform.timbre import Timbre
from audiogan.pipelines.waveform.voice import into_range

AUDIBLE_DB, LEAST_SHARE = 45.0, 0.6
LOUD_VELOCITY, LEAST_VELOCITY = 0.9, 0.2
VELOCITY_STEP = 1 / 16  # finer, nearly every note would be another sound to make: 1,681 in ten minutes, not 415
RINGS_SECONDS = 0.1
_LEAST_FRAMES = 5


def play_transcribed(
    model: Model,
    source: Recording,
    timbre: Timbre,
    notes: Sequence[TranscribedNote],
    *,
    seed: int = 0,
    sample_rate: int | None = None,
) -> Sound:
    """Play the notes of a recording in a timbre.

    Args:
        model: Trained networks.
        source: Of any number of voices.
        timbre: To play it in.
        notes: Of the recording, as `corpus.transcription.transcribe` finds them.
        seed: Of the noise.
        sample_rate: Hz, 16,000 to 48,000; None for the model's own.

    Raises:
        CorpusError: `no_pitch`: there is no note.
    """
    levels = loudness_curve(source.waveform, source.sample_rate)
    if not notes:
        refuse("no_pitch", f"{TRANSCRIBER} heard no note; expected music with notes")
    velocities = velocities_of(notes)
    rows = [(note.onset, note.offset, note.pitch, loud) for note, loud in zip(notes, velocities, strict=True)]
    played = render(model, score_of(rows), [timbre], seed=seed, sample_rate=sample_rate)
    n_samples = math.ceil(source.seconds * played.sample_rate)
    mix = _of_length(played.waveform, n_samples)
    shaped = soften(follow_levels(mix, played.sample_rate, levels), played.sample_rate)
    facts = _facts(notes, velocities, sounding_share(notes, levels), played, model.config)
    facts |= {"timbre": timbre.as_json(), "seed": seed, "seconds": round(n_samples / played.sample_rate, 4)}
    return Sound(levelled(shaped), played.sample_rate, facts)


def _of_length(waveform: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    part = waveform[:n_samples]
    return np.pad(part, (0, n_samples - len(part)))


def velocities_of(notes: Sequence[TranscribedNote]) -> list[float]:
    """Return the velocities that levels stand for, 0.1875 to 0.875 in steps of 1/16: 40 dB a decade.

    Args:
        notes: The loudest gets the highest.
    """
    most = max((note.level_db for note in notes), default=0.0)
    exact = (max(LEAST_VELOCITY, LOUD_VELOCITY * 10 ** ((note.level_db - most) / 40)) for note in notes)
    return [round(velocity / VELOCITY_STEP) * VELOCITY_STEP for velocity in exact]


def several_share(notes: Sequence[TranscribedNote]) -> float:
    """Return the share of the time with notes in which several sound, 0 to 1.

    Octaves and other partials of the lowest do not count, since they may be ghosts; nor do the ends of notes, which
    ring on into the next.

    Args:
        notes: Of a recording.
    """
    n_frames = max((math.ceil(note.offset / HOP_SECONDS) for note in notes), default=0)
    sounds = np.zeros((n_frames, N_KEYS), dtype=bool)
    for note in notes:
        first = round(note.onset / HOP_SECONDS)
        stop = max(first + _LEAST_FRAMES, round((note.offset - RINGS_SECONDS) / HOP_SECONDS))
        sounds[first:stop, note.pitch - LOWEST_PITCH] = True
    lowest = sounds.argmax(axis=1)[:, None]
    steps = np.arange(N_KEYS)[None] - lowest  # semitones above the lowest note
    is_several = (sounds & ~np.isin(steps, (0, *PARTIALS))).any(axis=1)
    return float(is_several.sum() / max(1, sounds.any(axis=1).sum()))


def sounding_share(notes: Sequence[TranscribedNote], levels: NDArray[np.float64]) -> float:
    """Return the share of the frames in which a note sounds, of those that can be heard.

    Args:
        notes: Of the recording.
        levels: `(frame,)` dB every 10 ms.
    """
    sounds = np.zeros(len(levels), dtype=bool)
    for note in notes:
        sounds[round(note.onset / HOP_SECONDS) : round(note.offset / HOP_SECONDS)] = True
    return float(np.mean(sounds[levels > levels.max() - AUDIBLE_DB]))


def _facts(
    notes: Sequence[TranscribedNote], velocities: Sequence[float], share: float, played: Sound, config: Config
) -> dict[str, Any]:
    told = f"several notes at once: transcribed by {TRANSCRIBER} into {len(notes)} notes; "
    warnings = [told + "slides and vibrato inside notes are not carried over"]
    if share < LEAST_SHARE:
        warnings.append(f"notes were heard in {100 * share:.0f} % of what sounds; the rest is left out")
    return {
        "voices": "many",
        "transcription": {"by": TRANSCRIBER, "n_notes": len(notes), "pitch_curve": False, "loudness_curve": True},
        "n_notes": len(notes),
        "sounding_share": round(share, 4),
        "transposed": played.facts["transposed"],
        "notes": [
            {
                "onset": round(note.onset, 3),
                "seconds": round(note.offset - note.onset, 3),
                "pitch": note.pitch + 12 * into_range(float(note.pitch), config),
                "source_pitch": note.pitch,
                "velocity": round(loud, 3),
            }
            for note, loud in zip(notes, velocities, strict=True)
        ],
        "warnings": warnings + list(played.facts["warnings"]),
    }
