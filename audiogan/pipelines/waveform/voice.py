"""The player of single notes: timbre, pitch and velocity to planes, and planes to sound of any length and rate.

Planes are made in batches of one fixed size and sounded one by one, so that a note does not depend on how many are made
with it. `harmonic` planes are held and released by the representation itself; notes of the spectrograms, which have a
length, are held by going round in their stable part (`looping`). Pitches outside the trained range are transposed by
octaves into it, never dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiogan.corpus.audio import resample
from audiogan.corpus.notes import hz_of
from audiogan.errors import UnsupportedError, UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.detail import with_details
from audiogan.pipelines.waveform.harmonicity import bring_back
from audiogan.pipelines.waveform.lengthening import lengthened
from audiogan.pipelines.waveform.looping import held
from audiogan.pipelines.waveform.sound import Waveform, capped, soften
from audiogan.pipelines.waveform.timbre import Timbre
from audiogan.representation.base import HarmonicConfig, Representation
from audiogan.representation.harmonic import Harmonic
from audiogan.representation.sustain import fade

CHUNK = 8
RELEASE_SECONDS = 0.3
SHORTEST, LONGEST = 0.01, 600.0
LOWEST_PITCH, HIGHEST_PITCH = 0.0, 127.0


class Played(NamedTuple):
    """One note to make: its timbre, MIDI pitch inside the trained range, velocity in [0, 1]."""

    timbre: Timbre
    pitch: float
    velocity: float


def represent(config: Config) -> Representation:
    """Return the representation of a model; what was built last is kept."""
    return _built(config.model_dump_json())


@lru_cache(maxsize=4)
def _built(config: str) -> Representation:
    return Config.model_validate_json(config).represent()


def into_range(pitch: float, config: Config) -> int:
    """Return the octaves that bring a pitch nearest into the trained range; less than an octave wide, nearest to it.

    Example:
        >>> into_range(20.0, Config(lowest_pitch=36, highest_pitch=84))
        2
    """
    low, high = float(config.lowest_pitch), float(config.highest_pitch)
    if low - 0.5 <= pitch <= high + 0.5:  # a quarter-tone beside the last key is still that key's
        return 0
    up = math.ceil((low - pitch) / 12) if pitch < low else -math.ceil((pitch - high) / 12)
    if low <= pitch + 12 * up <= high:
        return up
    back = up - 1 if up > 0 else up + 1
    return min((up, back), key=lambda n: abs(pitch + 12 * n - (low + high) / 2))


@torch.no_grad()
def make_planes(model: Model, notes: Sequence[Played]) -> Tensor:
    """Return planes `(note, plane, row, frame)` on the CPU.

    Args:
        model: Trained networks.
        notes: One or more.
    """
    generator = model.modules["generator"]
    made = []
    for first in range(0, len(notes), CHUNK):
        chunk = list(notes[first : first + CHUNK])
        full = chunk + [chunk[-1]] * (CHUNK - len(chunk))
        planes = _chunk(generator, full, model.device)[: len(chunk)]
        if isinstance(model.config.representation, HarmonicConfig):
            planes = _detailed(model.config, chunk, bring_back(planes))
        made.append(planes)
    return torch.cat(made)


def _chunk(generator: torch.nn.Module, notes: Sequence[Played], device: str) -> Tensor:
    """Planes of one batch; notes without h get the null by `keep`, beside notes with it."""

    def batch(rows: Sequence[object]) -> Tensor:
        return torch.from_numpy(np.array(rows, dtype=np.float32)).to(device)

    known = [note.timbre.h for note in notes]
    h = keep = None
    if any(one is not None for one in known):
        some = next(one for one in known if one is not None)
        h = batch([np.zeros_like(some) if one is None else one for one in known])
        keep = batch([float(one is not None) for one in known])
    z, pitch = batch([note.timbre.z for note in notes]), batch([note.pitch for note in notes])
    planes: Tensor = generator(z, h, pitch, batch([note.velocity for note in notes]), keep)
    return torch.nan_to_num(planes.float(), nan=0.0, posinf=1.0, neginf=-1.0).cpu()


def _detailed(config: Config, notes: Sequence[Played], planes: Tensor) -> Tensor:
    """The planes with what their timbres carry from recordings."""
    if not any(note.timbre.details for note in notes):
        return planes
    mask = represent(config).mask(torch.tensor([hz_of(note.pitch) for note in notes]))
    return torch.stack(
        [
            with_details(one, note.timbre.details, note.pitch, cells)
            for one, note, cells in zip(planes, notes, mask, strict=True)
        ]
    )


@dataclass(frozen=True, eq=False)
class Voice:
    """Sounds planes at one rate.

    Args:
        config: Of the model.
        sample_rate: Hz, of what is made.
        release: Seconds from the end of a note to silence.
    """

    config: Config
    sample_rate: int
    release: float = RELEASE_SECONDS

    @torch.no_grad()
    def whole(self, planes: Tensor, pitch: float, *, seed: int = 0) -> Waveform:
        """Return the note as it was made, `(time,)`, with soft edges.

        Args:
            planes: `(plane, row, frame)`.
            pitch: MIDI.
            seed: Of the noise.
        """
        return soften(capped(self._natural(planes, pitch, seed)), self.sample_rate)

    def _natural(self, planes: Tensor, pitch: float, seed: int) -> Waveform:
        representation, f0 = represent(self.config), torch.tensor([hz_of(pitch)])
        if isinstance(representation, Harmonic):
            return representation.decode(planes[None], f0, sample_rate=self.sample_rate, seed=seed)[0].numpy()
        own = representation.decode(planes[None], f0, seed=seed)[0].numpy()
        return resample(np.nan_to_num(own), self.config.sample_rate, self.sample_rate)

    @torch.no_grad()
    def dry(
        self, planes: Tensor, pitch: float, seconds: float, *, cents: Tensor | None = None, seed: int = 0
    ) -> Waveform:
        """Return a note held for a time and not released, `(time,)`; `let_go` ends it.

        Args:
            planes: `(plane, row, frame)`.
            pitch: MIDI.
            seconds: Above 0.
            cents: `(point,)` deviation from the pitch, points spread evenly over the time.
            seed: Of the noise.

        Raises:
            UnsupportedError: `cents` where the representation has no such freedom.
        """
        representation, f0 = represent(self.config), torch.tensor([hz_of(pitch)])
        n_samples = max(1, math.ceil(seconds * self.sample_rate))
        if isinstance(representation, Harmonic):
            curve = None if cents is None else cents[None]
            sound = representation.extend(
                lengthened(planes, representation)[None],
                f0,
                seconds,
                release=0.0,
                cents=curve,
                sample_rate=self.sample_rate,
                seed=seed,
            )
            return capped(sound[0].numpy())
        if cents is not None:
            kind = self.config.representation.kind
            raise UnsupportedError(f"a pitch curve; expected a model of kind harmonic, this one is {kind}")
        return held(capped(self._natural(planes, pitch, seed)), self.sample_rate, hz_of(pitch), n_samples)

    def let_go(self, dry: Waveform, seconds: float) -> Waveform:
        """Return the first `seconds` of a note and its release, `(time,)`, with soft edges.

        Args:
            dry: `(time,)`, as long as both together or longer.
            seconds: From the onset to the release.
        """
        n_samples = max(1, math.ceil((seconds + self.release) * self.sample_rate))
        gain = fade(n_samples, self.sample_rate, held=seconds, release=self.release).numpy()
        part = dry[:n_samples]
        return soften(part * gain[: len(part)], self.sample_rate, out_seconds=0.005)

    def note(self, planes: Tensor, pitch: float, seconds: float | None, *, seed: int = 0) -> Waveform:
        """Return a note of any length, `(time,)`; None for its own, with the release inside it.

        Args:
            planes: `(plane, row, frame)`.
            pitch: MIDI.
            seconds: From the onset to the release.
            seed: Of the noise.
        """
        if seconds is None:
            own = self.config.seconds
            return self.let_go(self.whole(planes, pitch, seed=seed), max(own - self.release, own / 2))
        return self.let_go(self.dry(planes, pitch, seconds + self.release, seed=seed), seconds)


# ---- checks


def check_pitch(pitch: float) -> float:
    """Return a MIDI pitch that may be asked for.

    Raises:
        UsageError: Not a number from 0 to 127.
    """
    if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:  # also refuses NaN
        raise UsageError(f"pitch {pitch:g}; expected MIDI {LOWEST_PITCH:g} to {HIGHEST_PITCH:g}, such as 60 or 60.5")
    return float(pitch)


def check_duration(duration: float | None) -> float | None:
    """Return a duration that may be asked for.

    Raises:
        UsageError: Not a number of seconds from 0.01 to 600.
    """
    if duration is not None and not SHORTEST <= duration <= LONGEST:
        raise UsageError(f"duration {duration:g} s; expected {SHORTEST:g} to {LONGEST:g}")
    return duration


def check_velocity(velocity: float) -> float:
    """Return a velocity that may be asked for.

    Raises:
        UsageError: Not a number from 0 to 1.
    """
    if not 0 <= velocity <= 1:
        raise UsageError(f"velocity {velocity:g}; expected 0 to 1")
    return float(velocity)
