"""A few synthetic instruments as a prepared corpus, as recordings, and a model that has learnt nothing of them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from audiogan.corpus import audio
from audiogan.corpus.notes import hz_of
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.network_config import ResidualConfig
from audiogan.pipelines.waveform.networks import build
from audiogan.representation.base import HarmonicConfig
from tests.pipelines.waveform.tones import tone

RATE, SECONDS = 8000, 0.75
CONFIG = Config(
    sample_rate=RATE,
    seconds=SECONDS,
    lowest_pitch=55,
    highest_pitch=67,
    representation=HarmonicConfig(n_rows=8, n_frames=24, grow_frames=12),
    network=ResidualConfig(
        z_dim=6, timbre_dim=8, width=8, max_width=16, encoder_width=8, encoder_max_width=16, mapping_width=16
    ),
)
HELD = ("soft", "hollow", "bright", "plucked")
PITCHES = (55.0, 58.0, 60.0, 63.0, 67.0)
VELOCITIES = (0.3, 0.6, 0.9)


def play(instrument: str, pitch: float, velocity: float) -> NDArray[np.float32]:
    """Return a note `(time,)`; brighter with velocity."""
    tilt = np.arange(1, 9) ** (-2.0 + velocity)
    facts = {
        "soft": {"levels": tuple(tilt**2), "attack": 0.15},
        "hollow": {"levels": tuple(tilt * (np.arange(8) % 2 == 0)), "attack": 0.03},
        "bright": {"levels": tuple(tilt**0.3), "attack": 0.02, "vibrato_cents": 15.0},
        "plucked": {"levels": tuple(tilt), "attack": 0.003, "decay_db": 30.0},
        "learnt": {"levels": tuple(tilt**1.2), "attack": 0.08, "decay_db": 10.0},
        "known": {"levels": tuple(tilt**0.7), "attack": 0.05, "noise": 0.01},
    }[instrument]
    return tone(hz_of(pitch), seconds=SECONDS, sample_rate=RATE, **facts)  # pyright: ignore[reportArgumentType]


def write_cache(folder: Path, held: Sequence[str] = HELD, pitches: Sequence[float] = PITCHES) -> Path:
    """Write a prepared corpus: two instruments to train on, others held out."""
    names = ["learnt", "known", *held]
    notes = [(number, pitch, velocity) for number in range(len(names)) for pitch in pitches for velocity in VELOCITIES]
    sounds = np.stack([play(names[number], pitch, velocity) for number, pitch, velocity in notes])
    pitch = np.array([one[1] for one in notes])
    f0 = torch.tensor([hz_of(value) for value in pitch], dtype=torch.float32)
    planes = CONFIG.represent().encode(torch.from_numpy(sounds), f0).numpy().astype(np.float16)
    instrument = np.array([one[0] for one in notes])
    velocity = np.array([one[2] for one in notes])
    columns = {
        "planes": planes,
        "pitch": pitch.astype("<f4"),
        "velocity": velocity.astype("<f4"),
        "gain": (velocity**2).astype("<f4"),
        "instrument": instrument.astype("<i4"),
        "split": np.where(instrument < 2, 0, 2).astype("|u1"),
    }
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "instruments.json").write_text(json.dumps(names))
    return folder


def write_recordings(folder: Path) -> Path:
    """Write the held-out instruments as WAV files, a folder for each."""
    for name in HELD:
        (folder / name).mkdir(parents=True)
        for pitch in PITCHES:
            audio.write(play(name, pitch, 0.6)[None], RATE, folder / name / f"{name}_{pitch:03.0f}.wav")
    return folder


def model_of(folder: Path, config: Config = CONFIG) -> Model:
    """Return a model that has learnt nothing, but makes sounds that differ."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = {name: module.eval().requires_grad_(False) for name, module in build(config).items()}
    return Model(modules, config, {}, folder, name="none", sha256="0", pipeline="waveform")
