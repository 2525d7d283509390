"""How the network that hears notes was trained: on the training notes of a prepared corpus, sounded one by one.

`python -m audiogan.pipelines.waveform.note_net_training CACHE MODEL OUT` takes the cache of a prepared corpus of
SoundFonts, the folder of a model with the same representation, and a folder for the weights. Spectra are shifted in
time, coloured, cut off and drowned in noise, anew each time. Test notes are counted once, at the end, and decide
nothing.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from audiogan.adversarial.model import load_model
from audiogan.adversarial.runtime import seeded
from audiogan.corpus.programs import PITCHED
from audiogan.evaluation import pinned
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.measuring import sound
from audiogan.pipelines.waveform.note_net import FLOOR_DB, N_FRAMES, N_MELS, NAME, SAMPLE_RATE, NoteNet, log_mel
from audiogan.version import __version__

PROGRAMS = {instrument.name: program for program, instrument in PITCHED.items()}
BATCH = 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 1e-2
LARGEST_SHIFT = 3
EVERY_BATCHES = 20

_log = logging.getLogger(__name__)


class Lesson(NamedTuple):
    """Spectra `(note, band, frame)` in steps of a third of a dB above -80, and key, family and program of each note."""

    spectra: Tensor
    labels: Tensor


def lesson(
    notes: Notes, config: Config, *, rates: Sequence[int] = (), n_notes: int | None = None, seed: int = 0
) -> Lesson:
    """Sound notes of a prepared corpus whose instruments are named `FONT/PROGRAM`.

    Args:
        notes: One split.
        config: Of the planes.
        rates: Sample rates to sound them at, in turn; none for the rate of `config`.
        n_notes: Most notes, drawn at random; None for all.
        seed: Of the draw.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(notes))[:n_notes])
    voices = [config.model_copy(update={"sample_rate": rate}) for rate in rates] or [config]
    spectra = np.zeros((len(chosen), N_MELS, N_FRAMES), dtype=np.uint8)
    labels = np.zeros((len(chosen), 3), dtype=np.int64)
    for place, number in enumerate(chosen.tolist()):
        pitch = float(notes.pitch[number])
        voice = voices[place % len(voices)]
        waveform = np.nan_to_num(sound(voice, np.asarray(notes.planes[notes.rows[number]]), pitch))
        spectra[place] = np.round(3 * (log_mel(waveform, voice.sample_rate) - FLOOR_DB))
        program = PROGRAMS[notes.instruments[notes.instrument[number]].rpartition("/")[2]]
        labels[place] = round(pitch), program // 8, program
        if place % 500 == 0:
            _log.info("sounded %d of %d notes", place, len(chosen))
    return Lesson(torch.from_numpy(spectra), torch.from_numpy(labels))


# ---- augmentation


def varied(mel_db: Tensor, rng: np.random.Generator) -> Tensor:
    """Return spectra `(batch, band, frame)` in dB, shifted in time, coloured, cut off, and with noise.

    The loudest stays at 0 dB and nothing lies below -80, as for any other sound.
    """
    n, n_bands, n_frames = mel_db.shape
    shifts = rng.integers(0, 1 + LARGEST_SHIFT, n).tolist()
    result = torch.stack([_shifted(one, by) for one, by in zip(mel_db, shifts, strict=True)])
    place = torch.linspace(-1, 1, n_bands)
    tilt, bend = (torch.from_numpy(rng.normal(0, scale, (n, 1))).float() for scale in (4.0, 3.0))
    result = result + (tilt * place + bend * torch.cos(torch.pi * place))[:, :, None]
    last = np.where(rng.random(n) < 0.3, rng.uniform(0.15, 1, n), 1) * n_frames
    result = torch.where(torch.arange(n_frames) < torch.from_numpy(last)[:, None, None], result, FLOOR_DB)
    floor = np.where(rng.random(n) < 0.5, rng.uniform(-80, -35, n), -120.0)
    slope = rng.normal(0, 8, n)
    noise = torch.from_numpy(floor)[:, None, None] + torch.from_numpy(slope)[:, None, None] * place[:, None]
    wobble = torch.from_numpy(2 * rng.standard_normal(tuple(mel_db.shape), dtype=np.float32))
    result = 10 * torch.log10(10 ** (result / 10) + 10 ** ((noise.float() + wobble) / 10))
    return (result - result.amax(dim=(1, 2), keepdim=True)).clamp(min=FLOOR_DB)


def _shifted(one: Tensor, by: int) -> Tensor:
    if not by:
        return one
    return torch.cat([torch.full_like(one[:, :by], FLOOR_DB), one[:, :-by]], dim=1)


# ---- training


def mel_of(spectra: Tensor) -> Tensor:
    """Return stored spectra in dB."""
    return spectra.float() / 3 + FLOOR_DB


def train(taught: Lesson, *, epochs: int, seed: int = 0) -> NoteNet:
    """Train a network.

    Args:
        taught: Training notes.
        epochs: Times that each note is heard.
        seed: Of first weights, order and augmentation.
    """
    rng = np.random.default_rng(seed)
    with seeded(seed, NAME):
        network = NoteNet()
        n_batches = max(1, len(taught.labels) // BATCH)
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=epochs * n_batches)
        for epoch in range(epochs):
            order = torch.from_numpy(rng.permutation(len(taught.labels)))
            for number in range(n_batches):
                some = order[number * BATCH : (number + 1) * BATCH]
                loss = _loss(network(varied(mel_of(taught.spectra[some]), rng)), taught.labels[some])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                if number % EVERY_BATCHES == 0:
                    _log.info("epoch %d batch %d of %d: %.3f", epoch, number, n_batches, float(loss.detach()))
    return network.eval()


def _loss(answers: Sequence[Tensor], labels: Tensor) -> Tensor:
    pitch, family, program = (nn.functional.cross_entropy(answer, labels[:, i]) for i, answer in enumerate(answers))
    return pitch + family + 0.5 * program


@torch.no_grad()
def accuracy(network: NoteNet, asked: Lesson) -> dict[str, float]:
    """Return shares of right answers: `pitch` (this key), `pitch_near` (within a semitone), `family`, `program`."""
    network.eval()
    answers = [network(mel_of(some)) for some in asked.spectra.split(BATCH)]
    key, family, program = (torch.cat(part).argmax(dim=1) for part in zip(*answers, strict=True))
    apart = (key - asked.labels[:, 0]).abs()
    right = {
        "pitch": apart == 0,
        "pitch_near": apart <= 1,
        "family": family == asked.labels[:, 1],
        "program": program == asked.labels[:, 2],
    }
    return {name: round(float(share.double().mean()), 4) for name, share in right.items()}


def card_of(network: NoteNet, lessons: Mapping[str, Lesson], **facts: object) -> dict[str, object]:
    """Return what is told of a trained network.

    Args:
        network: Trained on the first of the lessons.
        lessons: By split: `train`, `valid`, `test`.
        facts: What else is to be told.
    """
    return {
        "what": "classifier of notes: MIDI key, General MIDI family and program; 128 features",
        "licence": "Apache-2.0",
        "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "n_notes": {split: len(taught.labels) for split, taught in lessons.items()},
        "accuracy": {split: accuracy(network, lessons[split]) for split in ("valid", "test")},
        "accuracy_means": "pitch: this key; pitch_near: within a semitone; valid and test instruments are new to it",
        "version": __version__,
        **facts,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on the command line and write the weights with their card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cache", type=Path, help="prepared corpus")
    parser.add_argument("model", type=Path, help="folder of a model with the same representation")
    parser.add_argument("out", type=Path, help="folder for the weights")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--notes", type=int, default=4500, help="most training notes to hear")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = _config_of(chosen.model)
    begin = time.process_time()
    parts = {split: Notes(chosen.cache, split) for split in ("train", "valid", "test")}
    rates = (
        config.sample_rate,
        SAMPLE_RATE,
        SAMPLE_RATE,
    )  # as a model of that rate would sound it, and three times as fast
    lessons = {
        "train": lesson(parts["train"], config, rates=rates, n_notes=chosen.notes, seed=chosen.seed),
        "valid": lesson(parts["valid"], config),
        "test": lesson(parts["test"], config),
    }
    sounded = time.process_time()
    network = train(lessons["train"], epochs=chosen.epochs, seed=chosen.seed)
    facts = {
        "epochs": chosen.epochs,
        "seed": chosen.seed,
        "cpu_seconds": {"sounding": round(sounded - begin), "training": round(time.process_time() - sounded)},
        "learnt_from": learnt_from(chosen.cache),
    }
    _log.info("%s", pinned.save(NAME, network, card_of(network, lessons, **facts), chosen.out))


def learnt_from(cache: Path) -> dict[str, object]:
    """Return the sources of a prepared corpus with their licences, and the instruments to train on."""
    first = (cache / "index.jsonl").read_text(encoding="ascii").partition("\n")[0]
    sources = json.loads(first)["sources"]
    notes = Notes(cache, "train")
    names = ("name", "kind", "sha256", "licence", "origin")
    return {
        "sources": [{name: source[name] for name in names} for source in sources],
        "instruments": sorted({notes.instruments[i] for i in np.unique(notes.instrument)}),
    }


def _config_of(folder: Path) -> Config:
    return Config.model_validate(load_model(folder)[1]["model"])


if __name__ == "__main__":
    main()
