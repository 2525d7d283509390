"""A note as examples are made of: one pitched sound of fixed length with what is known about it.

Readers (`soundfont`, `nsynth`, `soundfolder`) find sounds and their labels; `make_note` cuts, levels and checks one.
The level is taken out of the waveform and kept beside it, so that velocity stays a condition for level and timbre.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus.audio import Waveform, is_silent
from audiogan.corpus.limits import refuse

PEAK = 0.8
_LEAD_SECONDS = 0.005
_ONSET_SHARE = 10 ** (-50 / 20)
A4_HZ, A4 = 440.0, 69


@dataclass(frozen=True)
class Note:
    """One pitched sound.

    Args:
        waveform: `(time,)` float32, its peak at `PEAK`.
        pitch: MIDI pitch as it sounds; between two keys where the tuning was measured.
        velocity: 0 to 1; NaN where nobody knows.
        gain: What the waveform has to be multiplied by to sound as loud as it was; above 0.
        instrument: Name, unique in a corpus.
        family: Family of its source.
        name: Where it comes from, for people.
        warnings: Reason codes of what was tolerated.
    """

    waveform: Waveform = field(repr=False)
    pitch: float
    velocity: float
    gain: float
    instrument: str
    family: str
    name: str
    warnings: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of the sound, without its level."""
        return hashlib.sha256(np.round(self.waveform * 32767).astype("<i2").tobytes()).hexdigest()


@dataclass(frozen=True)
class NoteRefusal:
    """A sound that became no note, the reason code and one sentence."""

    name: str
    reason: str
    message: str


def hz_of(pitch: float) -> float:
    """Return the frequency of a MIDI pitch.

    Example:
        >>> hz_of(57)
        220.0
    """
    return A4_HZ * 2.0 ** ((pitch - A4) / 12)


def pitch_of(hz: float) -> float:
    """Return the MIDI pitch of a frequency, between keys where it lies between them.

    Example:
        >>> pitch_of(220.0)
        57.0
    """
    return A4 + 12 * float(np.log2(hz / A4_HZ))


def without_lead(waveform: Waveform, sample_rate: int) -> Waveform:
    """Cut the silence before a sound, but for its last 5 ms.

    Args:
        waveform: `(time,)`; what stays 50 dB below its peak counts as silence.
        sample_rate: In Hz.
    """
    level = np.abs(waveform)
    loud = np.flatnonzero(level > _ONSET_SHARE * level.max(initial=0))
    first = int(loud[0]) - round(_LEAD_SECONDS * sample_rate) if len(loud) else 0
    return waveform[max(0, first) :]


def level(waveform: NDArray[np.floating], n_samples: int, source: str, *, silence: float) -> tuple[Waveform, float]:
    """Cut or pad a sound to its length and bring its peak to `PEAK`.

    Args:
        waveform: `(time,)`, finite.
        n_samples: Length wanted.
        source: What to call it in a refusal.
        silence: Peak below which it counts as silent.

    Returns:
        `(n_samples,)` float32, and the gain that undoes the levelling.

    Raises:
        CorpusError: `silent`.
    """
    kept = np.zeros(n_samples, dtype=np.float32)
    part = np.asarray(waveform[:n_samples], dtype=np.float32)
    if is_silent(part, silence):
        refuse("silent", f"{source}: nothing above {20 * np.log10(silence):.0f} dBFS; expected sound")
    kept[: len(part)] = part - np.float32(part.mean(dtype=np.float64))
    gain = float(np.abs(kept).max()) / PEAK
    return (kept / np.float32(gain)).astype(np.float32), gain
