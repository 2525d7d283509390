"""How the network that hears notes learns: what it is shown, and that it learns a corpus of six notes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.note_net import FLOOR_DB, N_FRAMES, N_MELS, NAME
from audiogan.pipelines.waveform.note_net_training import Lesson, accuracy, card_of, lesson, mel_of, train, varied
from tests.pipelines.waveform.instruments import CONFIG, write_cache


def toy(n_each: int = 32) -> Lesson:
    """Two keys of two programs: where a line lies, and whether there is a second one."""
    rng = np.random.default_rng(0)
    spectra = np.zeros((4 * n_each, N_MELS, N_FRAMES), dtype=np.uint8)
    labels = np.zeros((4 * n_each, 3), dtype=np.int64)
    for place in range(4 * n_each):
        key, kind = place % 2, place // 2 % 2
        last = rng.integers(40, N_FRAMES)
        spectra[place, 20 + 40 * key, :last] = 240
        if kind:
            spectra[place, 24 + 40 * key, :last] = 225
        labels[place] = 60 + 12 * key, kind, 8 * kind
    return Lesson(torch.from_numpy(spectra), torch.from_numpy(labels))


def test_a_lesson_holds_what_was_sounded(tmp_path: Path) -> None:
    cache = write_cache(tmp_path)
    names = ["A/piano", "A/violin", "B/piano", "B/flute", "B/horn", "B/harp"]
    (cache / "instruments.json").write_text(str(names).replace("'", '"'))
    taught = lesson(Notes(cache, "train"), CONFIG, rates=(8000, 16_000), n_notes=6)
    assert taught.spectra.shape == (6, N_MELS, N_FRAMES)
    assert set(taught.labels[:, 2].tolist()) <= {0, 40}
    assert set(taught.labels[:, 1].tolist()) <= {0, 5}
    assert set(taught.labels[:, 0].tolist()) <= {55, 58, 60, 63, 67}
    mel = mel_of(taught.spectra)
    assert mel.amax(dim=(1, 2)).tolist() == [0.0] * 6
    assert mel.min() >= FLOOR_DB


def test_variation_keeps_the_range_and_changes_the_rest() -> None:
    mel = mel_of(toy(2).spectra)
    changed = varied(mel, np.random.default_rng(0))
    assert changed.shape == mel.shape
    assert changed.amax(dim=(1, 2)).abs().max() == 0
    assert changed.min() >= FLOOR_DB
    assert (changed != mel).float().mean() > 0.05
    torch.testing.assert_close(changed, varied(mel, np.random.default_rng(0)))


def test_it_learns_a_toy_and_the_card_says_so() -> None:
    taught = toy(8)
    network = train(taught, epochs=15, seed=0)
    right = accuracy(network, taught)
    assert right["pitch"] > 0.9
    assert right["family"] > 0.8
    card = card_of(network, {"train": taught, "valid": taught, "test": taught}, seed=0)
    assert card["n_notes"] == {"train": 32, "valid": 32, "test": 32}
    assert card["seed"] == 0


def test_unknown_programs_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        lesson(Notes(write_cache(tmp_path), "train"), CONFIG, n_notes=1)
    assert NAME == "note_net"
