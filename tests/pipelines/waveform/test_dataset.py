import json
import os
import shutil
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiogan import recipe
from audiogan.corpus import audio
from audiogan.corpus.notes import hz_of
from audiogan.errors import CorpusError
from audiogan.pipelines.waveform import preparing, sources
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.dataset import PARTS, Notes, Summary, open_dataset, prepare
from audiogan.representation.base import SpectrogramConfig
from tests.corpus.tiny_font import make_font

RATE = 8000
CONFIG = Config(
    sample_rate=RATE,
    seconds=0.5,
    lowest_pitch=48,
    highest_pitch=84,
    representation=SpectrogramConfig(kind="lin_if", n_fft=256, hop_length=64),
)
INSTRUMENTS = ("bell", "bow", "flute", "pluck")
KEYS = (52, 57, 60, 64)


def put_note(path: Path, key: float, *, level: float = 0.5, tilt: float = 1.0) -> None:
    time = np.arange(RATE // 2) / RATE
    ranks = np.arange(1, 6)[:, None]
    sound = (np.sin(2 * np.pi * ranks * hz_of(key) * time) / ranks**tilt).sum(axis=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(level * sound[None] / np.abs(sound).max(), RATE, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, instrument in enumerate(INSTRUMENTS):
        for key in KEYS:
            put_note(tmp_path / "notes" / instrument / f"{key:03d}.wav", key, tilt=0.5 + number)
    return tmp_path / "notes"


def corpus(folder: Path | None, **values: Any) -> CorpusConfig:
    place = {"folder": str(folder), "licence": "CC0-1.0"} if folder else {}
    return CorpusConfig.model_validate(place | {"check_pitch": False} | values)


def prepared(chosen: CorpusConfig, cache: Path, config: Config = CONFIG, jobs: int = 1) -> Summary:
    cache.mkdir(exist_ok=True)
    return prepare(chosen, config, cache, jobs=jobs)


def arrays(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cache.iterdir()) if path.is_file()}


def test_notes_become_planes_with_their_labels(folder: Path, tmp_path: Path) -> None:
    chosen = corpus(folder, valid_fraction=0.0)
    summary = prepared(chosen, tmp_path / "cache")
    assert (summary.n_found, summary.n_notes, summary.n_clips) == (16, 16, {"train": 16, "valid": 0, "test": 0})
    assert (summary.refused, summary.licences, summary.families) == ({}, {"CC0-1.0": 16}, {"notes": 16})
    dataset = open_dataset(tmp_path / "cache", CONFIG, chosen, "train")
    batch = dataset.fetch([3, 0, 15], [1, 2, 3])
    assert {name: tensor.dtype for name, tensor in batch.items() if name != "instrument"} == dict.fromkeys(
        ("planes", "f0", "pitch", "velocity", "partner_planes", "partner_pitch", "has_partner"), torch.float32
    )
    assert batch["instrument"].tolist() == [0, 0, 3]
    assert batch["instrument"].dtype == torch.int64
    assert dataset.instruments == [f"notes/{name}" for name in INSTRUMENTS]
    assert dataset.n_training_instruments == 4
    torch.testing.assert_close(batch["pitch"], torch.tensor([64.0, 52.0, 64.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(batch["f0"], 440 * torch.exp2((batch["pitch"] - 69) / 12))
    assert batch["planes"].shape == (3, *CONFIG.represent().shape)


def test_planes_are_those_of_the_file(folder: Path, tmp_path: Path) -> None:
    prepared(corpus(folder, valid_fraction=0.0, tune=False), tmp_path / "cache")
    read = audio.read(folder / "bell" / "052.wav", RATE).waveform
    level = (read - read.mean()) * 0.8 / np.abs(read - read.mean()).max()
    expected = CONFIG.represent().encode(torch.from_numpy(level), torch.tensor(hz_of(52)))
    found = Notes(tmp_path / "cache", "train").fetch([0], [0])["planes"][0]
    difference = (found[0] - expected[0]).abs()
    assert float(difference.max()) < 0.05, "logarithms of almost nothing differ"
    assert float(difference.mean()) < 2e-4


def test_a_partner_is_another_note_of_the_instrument(folder: Path, tmp_path: Path) -> None:
    put_note(folder / "lonely" / "C4.wav", 60, tilt=9)
    prepared(corpus(folder, valid_fraction=0.0), tmp_path / "cache")
    dataset = Notes(tmp_path / "cache", "train")
    for index in range(len(dataset)):
        partners = {dataset.partner_of(index, seed) for seed in range(60)}
        same = set(np.flatnonzero(dataset.instrument == dataset.instrument[index]).tolist())
        assert partners == (same - {index} or {index})
        assert dataset.fetch([index], [0])["has_partner"].tolist() == [float(len(same) > 1)]
    first, again = (dataset.fetch([0, 5], [11, 12]) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("split_by", ["instrument", "family"])
def test_no_instrument_or_family_is_on_two_sides(folder: Path, tmp_path: Path, split_by: str) -> None:
    places = []
    for number in range(6):
        shutil.copytree(folder, tmp_path / f"set{number}")
        for path in (tmp_path / f"set{number}").rglob("*.wav"):
            put_note(path, int(path.stem), tilt=0.3 + 0.1 * number + len(path.parent.name) / 50)
        places.append({"folder": str(tmp_path / f"set{number}")})
    chosen = corpus(None, sources=places, split_by=split_by, valid_fraction=0.3, test_fraction=0.3)
    summary = prepared(chosen, tmp_path / "cache")
    assert all(summary.n_clips.values())
    lines = [json.loads(line) for line in (tmp_path / "cache" / "index.jsonl").read_text().splitlines()]
    notes = [line["note"] for line in lines if "note" in line]
    for key in {"instrument", split_by}:
        sides = {(note[key], note["split"]) for note in notes}
        assert len({name for name, _ in sides}) == len(sides), key
    train = open_dataset(tmp_path / "cache", CONFIG, chosen, "train")
    valid = open_dataset(tmp_path / "cache", CONFIG, chosen, "valid")
    assert train.instrument.max() == train.n_training_instruments - 1
    assert valid.instrument.min() >= train.n_training_instruments
    assert len(train) + len(valid) < summary.n_notes


def test_what_is_not_enough_to_train_on_keeps_its_finished_work(folder: Path, tmp_path: Path) -> None:
    place = {"folder": str(folder), "split": "test"}
    with pytest.raises(CorpusError, match="16 notes, none of them to train on"):
        prepared(corpus(None, sources=[place]), tmp_path / "cache")
    place["split"] = "train"
    assert prepared(corpus(None, sources=[place]), tmp_path / "cache").n_resumed == 16


def test_notes_outside_the_range_are_told_of(tmp_path: Path) -> None:
    put_note(tmp_path / "notes" / "020.wav", 40)
    with pytest.raises(CorpusError, match=r"0 sounds; 1 more are outside the pitches 48 \(lowest_pitch\) to 84"):
        prepared(corpus(tmp_path / "notes"), tmp_path / "cache")


def test_a_source_can_be_held_out_as_a_whole(folder: Path, tmp_path: Path) -> None:
    put_note(tmp_path / "other" / "oboe" / "C4.wav", 60, tilt=3)
    chosen = CorpusConfig.model_validate(
        {
            "sources": [{"folder": str(folder)}, {"folder": str(tmp_path / "other"), "split": "test"}],
            "valid_fraction": 0.0,
            "check_pitch": False,
        }
    )
    assert prepared(chosen, tmp_path / "cache").n_clips == {"train": 16, "valid": 0, "test": 1}


def test_some_instrument_is_always_held_out_to_choose_by(folder: Path, tmp_path: Path) -> None:
    summary = prepared(corpus(folder, valid_fraction=0.001), tmp_path / "cache")
    assert summary.n_clips == {"train": 12, "valid": 4, "test": 0}


def test_hostile_files_are_named_and_change_nothing_else(folder: Path, tmp_path: Path) -> None:
    prepared(corpus(folder), tmp_path / "clean")
    whole = (folder / "bell" / "052.wav").read_bytes()
    bad = {
        "bad_C4.wav": b"no sound",
        "cut_D4.wav": whole[:20],
        "one_E4.wav": whole[:46],
        "empty_F4.wav": b"",
        "zero_G4.wav": whole[:44] + bytes(4000),
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    summary = prepared(corpus(folder), tmp_path / "mixed")
    assert {code: len(messages) for code, messages in summary.refused.items()} == {
        "not_audio": 1,
        "truncated": 1,
        "too_short": 1,
        "empty_file": 1,
        "silent": 1,
    }
    assert all("\n" not in text for texts in summary.refused.values() for text in texts)
    clean, mixed = arrays(tmp_path / "clean"), arrays(tmp_path / "mixed")
    assert {name: clean[name] == mixed[name] for name in clean if name != "index.jsonl"} == dict.fromkeys(
        [name for name in clean if name != "index.jsonl"], True
    )
    with pytest.raises(CorpusError, match="5 of 21 notes refused, more than max_refused 0.2"):
        prepared(corpus(folder, max_refused=0.2), tmp_path / "strict")


def test_the_same_sound_twice_is_one_note_and_others_keys_are_counted(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "bow" / "060.wav", folder / "bow" / "C4_again.wav")
    put_note(folder / "bow" / "020.wav", 40)
    summary = prepared(corpus(folder), tmp_path / "cache")
    assert (summary.n_notes, summary.n_duplicates, summary.n_outside, summary.n_found) == (16, 1, 1, 18)


def test_an_unknown_velocity_follows_the_level(folder: Path, tmp_path: Path) -> None:
    put_note(folder / "bow" / "C5.wav", 72, level=0.125, tilt=1.5)
    prepared(corpus(folder, valid_fraction=0.0), tmp_path / "cache")
    dataset = Notes(tmp_path / "cache", "train")
    quiet = int(np.argmin(dataset.gain))
    assert dataset.velocity[quiet] == pytest.approx(0.4, abs=0.01), "a quarter of the level is half the velocity"
    assert dataset.velocity.max() == pytest.approx(0.8)
    assert dataset.gain[quiet] == pytest.approx(0.125 / 0.8, rel=0.01)


def test_a_stopped_preparation_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiogan.pipelines.waveform.sources.SOUNDS_PER_UNIT", 4)
    prepared(corpus(folder), tmp_path / "straight")

    def stop(done: int, total: int) -> None:
        assert total == 16
        if done == 8:
            raise KeyboardInterrupt

    cache = tmp_path / "stopped"
    cache.mkdir()
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus(folder), CONFIG, cache, jobs=1, progress=stop)
    assert len(list((cache / PARTS).glob("*.json"))) == 2
    next((cache / PARTS).glob("*.json")).unlink()  # as if the power had gone between the two files of a part
    summary = prepared(corpus(folder), cache)
    assert summary.n_resumed == 4
    assert arrays(cache) == arrays(tmp_path / "straight")
    assert not (cache / PARTS).exists()


def test_a_changed_file_or_setting_is_not_taken_from_old_parts(folder: Path, tmp_path: Path) -> None:
    def begin(chosen: CorpusConfig, config: Config = CONFIG) -> int:
        (tmp_path / "cache" / PARTS).mkdir(parents=True, exist_ok=True)
        from audiogan.pipelines.waveform.sources import list_units

        units, _ = list_units(chosen, config)
        return preparing.encode_units(units, chosen, config, tmp_path / "cache" / PARTS, jobs=1)

    assert [begin(corpus(folder)), begin(corpus(folder))] == [0, 16]
    assert begin(corpus(folder), CONFIG.model_copy(update={"seconds": 0.25})) == 0
    os.utime(folder / "bow" / "060.wav", ns=(1, 1))
    assert begin(corpus(folder)) == 0


def test_workers_find_what_one_process_finds(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad_C4.wav").write_bytes(b"no sound")
    monkeypatch.setattr("audiogan.pipelines.waveform.sources.SOUNDS_PER_UNIT", 5)
    alone = prepared(corpus(folder), tmp_path / "alone")
    together = prepared(corpus(folder), tmp_path / "together", jobs=2)
    assert together == alone
    assert arrays(tmp_path / "together") == arrays(tmp_path / "alone")


def test_a_file_that_kills_its_worker_is_refused_and_no_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def survives(unit: Any, *given: Any) -> bool:
        if any("pluck/060" in sound.path for sound in unit.sounds):
            return False
        preparing.encode_unit(unit, *given)
        return True

    def breaks(units: Any, *given: Any) -> Any:
        for unit in units:
            preparing._one_by_one(unit, *given)
            yield unit

    monkeypatch.setattr(preparing, "_survives", survives)
    monkeypatch.setattr(preparing, "_in_turn", breaks)
    summary = prepared(corpus(folder), tmp_path / "cache")
    assert summary.n_notes == 15
    assert summary.refused == {"corrupt": ["060.wav: the reading process died on it"]}


class Workers(Executor):
    """Workers in this process; they die of one file, or do not start."""

    n_pools = 0

    def __init__(self, deadly: str, *, starts: bool = True) -> None:
        self.deadly, self.is_broken = deadly, not starts
        Workers.n_pools += 1

    def submit(self, fn: Any, /, *given: Any, **named: Any) -> Future[Any]:
        task: Future[Any] = Future()
        sounds = getattr(given[0], "sounds", ()) if given else ()
        self.is_broken |= any(self.deadly in sound.path for sound in sounds)
        if self.is_broken:
            task.set_exception(BrokenProcessPool("died"))
        else:
            task.set_result(fn(*given, **(named | {"is_worker": False} if named else {})))
        return task


def test_where_no_worker_starts_this_process_reads(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_pool", lambda n: Workers("", starts=False))
    summary = prepared(corpus(folder), tmp_path / "cache", jobs=2)
    assert (summary.n_notes, summary.refused) == (16, {})


def test_what_a_dead_worker_left_is_done_by_new_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiogan.pipelines.waveform.sources.SOUNDS_PER_UNIT", 1)
    monkeypatch.setattr(preparing, "_pool", lambda n: Workers("bow/052"))
    monkeypatch.setattr(Workers, "n_pools", 0)
    summary = prepared(corpus(folder), tmp_path / "cache", jobs=2)
    assert summary.refused == {"corrupt": ["052.wav: the reading process died on it"]}
    assert summary.n_notes == 15
    assert Workers.n_pools < 2 + 2 * 12, "not a process for each of the 12 files that were left"


def test_nothing_to_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(CorpusError, match="no note could be read of 0 sounds"):
        prepared(corpus(tmp_path / "notes"), tmp_path / "cache")
    with pytest.raises(CorpusError, match="no such folder"):
        prepared(corpus(tmp_path / "none"), tmp_path / "cache")


def test_a_soundfont_is_rendered(tmp_path: Path) -> None:
    pytest.importorskip("midirenderer")
    (tmp_path / "FluidR3_tiny.sf2").write_bytes(make_font())
    chosen = corpus(
        tmp_path / "FluidR3_tiny.sf2", kind="soundfont", programs=[0, 73], velocities=[30, 110], pitch_step=6
    )
    summary = prepared(chosen, tmp_path / "cache")
    assert summary.families == {"FluidR3": summary.n_notes}
    assert [one["name"] for one in summary.instruments] == ["FluidR3/piano", "FluidR3/flute"]
    assert summary.sources[0]["sha256"]
    dataset = Notes(tmp_path / "cache", "train")
    assert sources._font.cache_info().currsize == 0, "the font is not kept"
    np.testing.assert_allclose(dataset.pitch, 6 * np.round(dataset.pitch / 6), atol=0.02)
    assert sorted({round(float(value) * 127) for value in dataset.velocity}) == [30, 110]
    assert dataset.gain[dataset.velocity > 0.5].min() > 2 * dataset.gain[dataset.velocity < 0.5].max()


def test_a_changed_font_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.soundfont, "read_font", lambda path: Path(path).read_bytes())
    path = tmp_path / "x.sf2"
    for data in (b"one", b"other"):
        path.write_bytes(data)
        assert sources._font(str(path), tuple(sources._stamp(str(path)))) == data
    sources.forget_fonts()


def test_an_nsynth_folder_is_read(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "nsynth"
    entries = {}
    for number, instrument in enumerate(INSTRUMENTS):
        for key in KEYS:
            name = f"{instrument}_acoustic_{number:03d}-{key:03d}-100"
            (root / "audio").mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / instrument / f"{key:03d}.wav", root / "audio" / f"{name}.wav")
            entries[name] = {"pitch": key, "velocity": 100, "instrument_str": f"{instrument}_acoustic_{number:03d}"}
    entries["gone-060-100"] = {"pitch": 60, "velocity": 100, "instrument_str": "gone"}
    (root / "examples.json").write_text(json.dumps(entries))
    summary = prepared(corpus(root, kind="nsynth"), tmp_path / "cache")
    assert summary.n_notes == 16
    assert list(summary.refused) == ["missing"]
    assert np.unique(Notes(tmp_path / "cache", "train").velocity) == pytest.approx([100 / 127])


def test_the_smoke_recipe_needs_nothing_but_the_samples(tmp_path: Path) -> None:
    tree = recipe.read("waveform/smoke")
    chosen = CorpusConfig.model_validate(
        tree["corpus"] | {"folder": str(recipe.shipped_root() / tree["corpus"]["folder"])}
    )
    config = Config.model_validate(tree["model"])
    summary = prepared(chosen, tmp_path / "cache", config)
    assert (summary.n_notes, summary.refused, len(summary.instruments)) == (45, {}, 5)
    planes = Notes(tmp_path / "cache", "train").fetch(range(8), range(8))["planes"]
    assert float(planes.abs().max()) <= 1.0
