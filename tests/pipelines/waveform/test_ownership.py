"""An owner of sounds learns whether a model gives them back, by limits that came with the model."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audiogan.errors import CheckpointError, CorpusError, UnsupportedError
from audiogan.evaluation.fingerprints import FILE, Fingerprints, save
from audiogan.pipelines.waveform import ownership
from audiogan.pipelines.waveform.auditing import MEL, Heard, hear, hear_notes
from audiogan.pipelines.waveform.config import CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes, prepare
from audiogan.pipelines.waveform.fingerprinting import BITS, arrays_of
from audiogan.pipelines.waveform.ownership import audit_folder
from tests.pipelines.waveform.instruments import CONFIG, PITCHES, model_of, play, write_recordings

LIMITS = {MEL: 1.0}


def heard(name: str, pitch: float, velocity: float) -> Heard:
    waveform = play(name, pitch, velocity)

    def sound(rate: int) -> np.ndarray:
        time = np.arange(round(len(waveform) * rate / CONFIG.sample_rate)) * CONFIG.sample_rate / rate
        return np.interp(time, np.arange(len(waveform)), waveform).astype(np.float32)

    return hear(CONFIG, sound, pitch, name, with_vector=False)


def test_copies_are_named_and_the_power_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, mine = tmp_path / "model", write_recordings(tmp_path / "mine")
    folder.mkdir()
    copies = [heard("hollow", pitch, 0.6) for pitch in PITCHES[:2]]
    corpus = CorpusConfig.model_validate({"folder": str(mine / "hollow"), "valid_fraction": 0.0})
    prepare(corpus, CONFIG, tmp_path, jobs=1)
    learnt = hear_notes(CONFIG, Notes(tmp_path, "train"), with_vector=False)
    save(Fingerprints("notes", arrays_of(learnt), {BITS: 30.0}, {"audit_limits": LIMITS}), folder / FILE)
    new = [heard("learnt", pitch, 0.9) for pitch in PITCHES[2:]]
    monkeypatch.setattr(ownership, "hear_made", lambda *given, **options: [*new, *copies])
    planes = CONFIG.represent().encode(*_batch("known")).numpy()
    held = SimpleNamespace(planes=planes, pitch=np.array(PITCHES))
    monkeypatch.setattr(ownership, "find", lambda model, reference, *, count: held)
    found = audit_folder(model_of(folder), mine, count=5)
    assert set(found.found.copies) == {3, 4}
    assert found.n_files == 20
    assert {found.names[pair.learnt].split("/")[-1][:6] for pair, _, _ in found.pairs[:2]} == {"hollow"}
    assert [control.name for control in found.found.controls] == ["planted copies found", "held-out items passed"]
    assert found.found.controls[1].n_held == found.found.controls[1].n_draws == len(PITCHES)
    assert {name.split("/")[-1][:6] for name in found.members} == {"hollow"}
    assert found.pairs[0][1].sample_rate == CONFIG.sample_rate


def _batch(name: str) -> Any:
    import torch

    from audiogan.corpus.notes import hz_of

    sounds = np.stack([play(name, pitch, 0.6) for pitch in PITCHES])
    return torch.from_numpy(sounds), torch.tensor([hz_of(pitch) for pitch in PITCHES], dtype=torch.float32)


def test_a_model_without_limits_is_told_in_one_line(tmp_path: Path) -> None:
    ask = partial(audit_folder, model_of(tmp_path), tmp_path, count=8)
    with pytest.raises(UnsupportedError, match=r"no limits for an audit, which fingerprints\.safetensors tells"):
        ask()
    save(Fingerprints("clips", {}, {}, {}), tmp_path / FILE)
    with pytest.raises(CheckpointError, match="fingerprints of clips; expected those of notes"):
        ask()
    marks = {"keys": np.zeros(1, np.uint8), "bits": np.zeros((1, 24), np.uint8), "middle": np.zeros(192, np.float32)}
    save(Fingerprints("notes", marks, {}, {}), tmp_path / FILE)
    with pytest.raises(UnsupportedError, match="expected a model trained with fingerprints"):
        ask()


def test_a_folder_without_sounds_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, mine = tmp_path / "model", tmp_path / "mine"
    model.mkdir()
    mine.mkdir()
    (mine / "song.mid").write_bytes(b"MThd")
    marks = {"keys": np.zeros(1, np.uint8), "bits": np.zeros((1, 24), np.uint8), "middle": np.zeros(192, np.float32)}
    save(Fingerprints("notes", marks, {}, {"audit_limits": LIMITS}), model / FILE)
    held = SimpleNamespace(planes=[], pitch=[])
    monkeypatch.setattr(ownership, "find", lambda model, reference, *, count: held)
    with pytest.raises(CorpusError, match="mine: no note could be read of 0 sounds; expected a folder with recordings"):
        audit_folder(model_of(model), mine, count=8)
