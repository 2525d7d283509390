"""A whole model measured beside a folder of songs: what is told, what is written, what is refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import midi
from audiogan.corpus.score import Metre, Notes, Score, Tempo, Track
from audiogan.errors import OutputError, UsageError
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.evaluation import Measured, clip_grid, evaluate, hold_out
from audiogan.pipelines.multitrack.networks import build

CONFIG = Config.model_validate(
    {
        "n_bars": 2,
        "lowest_pitch": 36,
        "n_pitches": 48,
        "network": {
            "variant": "cells", "code_dim": 8, "n_voices": 4, "beat_width": 16, "step_width": 8, "width": 32,
            "cell_depth": 1, "depth": 1, "z_clip_dim": 8, "z_bar_dim": 4,
        },
    }
)  # fmt: skip
N_SONGS = 5


def song(seed: int) -> Score:
    """Return four bars of random drums, bass and piano."""
    generator = np.random.default_rng(seed)
    tracks = []
    for name, program, low in (("drums", 0, 36), ("bass", 33, 40), ("piano", 0, 60)):
        onset = np.sort(generator.choice(64, 30, replace=False)) * 120
        pitch = low + generator.choice([0, 2, 4, 5, 7], 30) + (0 if name == "drums" else seed % 5)
        tracks.append(Track(Notes(onset, onset + 120, pitch, np.full(30, 90)), program, name == "drums", name))
    return Score(480, tuple(tracks), (Tempo(0, 120.0),), (Metre(0, 4, 4),))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs."""
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(N_SONGS):
        midi.write(song(seed), folder / f"{seed}.mid")
    return folder


def untrained(folder: Path, **card: object) -> Model:
    """Return a model that has learnt nothing."""
    modules = {name: module.eval() for name, module in build(CONFIG).items()}
    return Model(modules, CONFIG, card, folder / "model", name="none", sha256="0")


@pytest.fixture(scope="module")
def measured(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Path, list[tuple[int, int]]]:
    """What evaluating gives, where the report lies, and how progress was told."""
    told: list[tuple[int, int]] = []
    report = tmp_path_factory.mktemp("report") / "new"
    model = untrained(songs)
    found = evaluate(model, reference=songs, report=report, count=12, progress=lambda n, of: told.append((n, of)))
    return found, report, told


def test_clip_grid_follows_the_model() -> None:
    grid = clip_grid(CONFIG)
    assert (grid.n_bars, grid.beats_per_bar, grid.beat_resolution) == (2, 4, 12)
    assert grid.roles == ("drums", "bass", "piano", "guitar", "strings")
    assert grid.drums == ("drums",)
    assert clip_grid(CONFIG.model_copy(update={"metre": "6/8"})).beats_per_bar == 3


def test_an_untrained_model_is_told_from_music(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    found = measured[0]
    assert found.n_generated == 12
    assert found.n_real == 12
    kad = found.rows[0]
    assert kad.metric == "kad"
    assert not kad.passes
    assert kad.value > kad.reference_high
    assert "onsets" in {row.name for row in found.listening}
    assert not any(row.passes for row in found.listening)
    assert found.copying is None  # the songs it learnt are not at hand


def test_report_and_progress(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    found, report, told = measured
    stored = json.loads((report / "report.json").read_text())
    assert stored == json.loads(json.dumps(found.as_json()))
    assert stored["judged"] >= stored["passed"]
    assert "| metric |" in (report / "report.md").read_text()
    assert found.as_text().splitlines()[0] in (report / "report.md").read_text()
    assert told == [(n, 5) for n in range(1, 6)]


def test_songs_it_was_trained_on_are_left_out(songs: Path) -> None:
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(songs.iterdir())]
    card = {"summary": {"songs": [{"sha256": digest, "split": "train"} for digest in digests]}}
    with pytest.raises(UsageError, match="trained on all these songs; expected songs new to it"):
        evaluate(untrained(songs, **card), reference=songs, count=4)
    card["summary"]["songs"][0]["split"] = "valid"
    with pytest.raises(UsageError, match="1 held-out songs; expected 4 or more"):
        evaluate(untrained(songs, **card), reference=songs, count=4)


def test_the_run_that_made_the_model_gives_the_songs(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"pipeline: multitrack\ncorpus: {{folder: {json.dumps(str(songs))}, valid_fraction: 0.8}}\n"
    )
    found = evaluate(untrained(tmp_path), count=8)
    assert found.copying is not None
    assert found.copying.n_distinct <= 8
    assert len(found.copying.longest_run) == 3


def test_without_songs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none: its training songs are not at hand; expected a reference folder"):
        evaluate(untrained(tmp_path))


def test_report_cannot_be_written(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"taken: .*; expected a folder that can be written to"):
        evaluate(untrained(songs), reference=songs, count=4, report=tmp_path / "taken")


def test_a_model_can_carry_its_held_out_songs(songs: Path, tmp_path: Path) -> None:
    model = untrained(tmp_path)
    model.folder.mkdir()
    corpus = CorpusConfig(folder=str(songs), valid_fraction=0.0, test_fraction=0.8)
    taken = hold_out(corpus, CONFIG, model.folder)
    n_held_out = sum(song["split"] == "test" for song in taken.songs)
    assert 0 < n_held_out < N_SONGS
    assert str(songs) not in (model.folder / "reference" / "corpus.json").read_text()
    result = evaluate(model, count=16)
    assert result.n_real == min(16, taken.n_clips["test"])


def test_clips_are_compared_on_twelve_timesteps_a_beat() -> None:
    assert clip_grid(CONFIG).beat_resolution == 12
    assert clip_grid(Config(beat_resolution=24, network=CONFIG.network)).beat_resolution == 24
