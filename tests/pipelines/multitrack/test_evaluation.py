"""A whole model measured beside a folder of songs: what is told, what is written, what is refused."""

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audiogan.corpus import midi
from audiogan.corpus.score import Key, Metre, Notes, Score, Tempo, Track
from audiogan.errors import CorpusError, OutputError, UsageError
from audiogan.evaluation.rows import ReportRow
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack import evaluation
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.evaluation import Measured, evaluate, packed, unpacked
from audiogan.pipelines.multitrack.held_out import clip_grid, hold_out
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
N_SONGS, COUNT = 5, 16


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
    found = evaluate(model, reference=songs, report=report, count=COUNT, progress=lambda n, of: told.append((n, of)))
    return found, report, told


def test_clip_grid_follows_the_model() -> None:
    grid = clip_grid(CONFIG)
    assert (grid.n_bars, grid.beats_per_bar, grid.beat_resolution) == (2, 4, 12)
    assert grid.roles == ("drums", "bass", "piano", "guitar", "strings")
    assert grid.drums == ("drums",)
    assert clip_grid(CONFIG.model_copy(update={"metre": "6/8"})).beats_per_bar == 3


def test_an_untrained_model_is_told_from_music(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    found = measured[0]
    assert found.n_generated == COUNT
    assert found.n_real == 15
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
    assert [done for done, of in told if of == 100] == sorted({done for done, _ in told})
    assert told[-1] == (100, 100)


def test_the_page_lets_hear_and_see(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    found, report, _ = measured
    assert [len(shelf.exhibits) for shelf in found.shelves] == [8, 10, 5, 0]  # no audit, so no closest pairs
    page = (report / "report.html").read_text()
    assert page.count("<audio") == page.count("<img") == page.count(".mid") == 23
    clip = found.shelves[1].exhibits[0]
    assert midi.parse(clip.midi)[0].n_notes == int(clip.caption.split()[0])
    assert [name for name, _ in clip.legend]


def test_rows_come_in_the_shape_of_every_pipeline(measured: tuple[Measured, Path, list[tuple[int, int]]]) -> None:
    stored = json.loads((measured[1] / "report.json").read_text())
    rows = {(one["metric"], one["form"], one["column"]): one for one in stored["rows"]}
    kad = rows["kad", "correct", "score_desc"]
    assert list(kad) == [one.name for one in fields(ReportRow)]
    assert kad["embedding"] == "score_desc"
    assert len(kad["embedding_sha256"]) == len(rows["kad", "correct", "roll_net"]["embedding_sha256"]) == 64
    assert kad["split"] == "reference folder"
    assert rows["eb", "correct", "bass"]["counted"]
    assert not rows["eb", "correct", "mean"]["counted"]
    assert stored["judged"] == sum(one["counted"] and one["passes"] is not None for one in stored["rows"])
    assert stored["listening"][0]["name"] == "pitch_classes"


def test_a_clip_comes_back_as_it_was() -> None:
    clip = song(0)
    assert unpacked(json.loads(json.dumps(packed(clip)))) == clip
    keyed = replace(clip, keys=(Key(0, 2, True),), tracks=(*clip.tracks, Track(Notes.from_list([]), 5, False, "none")))
    assert unpacked(json.loads(json.dumps(packed(keyed)))) == keyed


def test_a_killed_evaluation_goes_on_and_tells_the_same(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(songs)

    def run(folder: str) -> None:
        evaluate(model, reference=songs, report=tmp_path / folder, count=8)

    run("straight")
    made: list[int] = []
    generate, exhibit = evaluation.generate, evaluation.exhibits_of

    def count(*given: Any, **options: Any) -> list[Score]:
        made.append(options["count"])
        return generate(*given, **options)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "generate", count)
    monkeypatch.setattr(evaluation, "exhibits_of", stop)
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    assert made == [8, 8]
    assert not list((tmp_path / "stopped").glob("report.*"))
    monkeypatch.setattr(evaluation, "exhibits_of", exhibit)
    run("stopped")
    assert made == [8, 8]  # the clips were kept
    for name in ("report.html", "report.json", "report.md"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name
    assert not (tmp_path / "stopped" / ".evaluation").exists()


def test_a_corpus_that_is_parted_otherwise_now_is_refused(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"pipeline: multitrack\ncorpus: {{folder: {json.dumps(str(songs))}, valid_fraction: 0.8}}\n"
    )
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(songs.iterdir())]
    listed = [{"name": "a", "sha256": digest, "split": "train"} for digest in digests]
    (tmp_path / "corpus.json").write_text(json.dumps({"songs": listed}))
    with pytest.raises(CorpusError, match="the corpus has changed since; 4 of the songs now held out were trained on"):
        evaluate(untrained(tmp_path), count=8)
    (tmp_path / "corpus.json").write_text("{}")
    with pytest.raises(CorpusError, match="no list of songs"):
        evaluate(untrained(tmp_path), count=8)


def test_songs_it_was_trained_on_are_left_out(songs: Path) -> None:
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(songs.iterdir())]
    card = {"summary": {"songs": [{"sha256": digest, "split": "train"} for digest in digests]}}
    with pytest.raises(UsageError, match="trained on all these songs; expected songs new to it"):
        evaluate(untrained(songs, **card), reference=songs, count=4)
    card["summary"]["songs"][0]["split"] = "valid"
    with pytest.raises(UsageError, match="1 held-out songs; expected 4 songs or more, .*--reference"):
        evaluate(untrained(songs, **card), reference=songs, count=4)


def test_the_run_that_made_the_model_gives_the_songs(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"pipeline: multitrack\ncorpus: {{folder: {json.dumps(str(songs))}, valid_fraction: 0.8}}\n"
    )
    lines = [json.dumps({"step": step, "score/distance": 1 / (1 + step)}) for step in range(5)]
    (tmp_path / "stats.jsonl").write_text("\n".join(lines))
    found = evaluate(untrained(tmp_path), count=8)
    assert [curve.name for curve in found.curves] == ["score/distance"]
    assert found.audit is not None
    assert found.shelves[3].heading == "The closest pairs"
    assert len(found.shelves[3].exhibits) == 2 * min(5, len(found.audit.pairs)) > 0
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


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"listen": 0.6, "listen_low": 0.3, "listen_high": 0.9}, "0.60 of real music"),
        ({"listen": float("nan"), "listen_low": float("nan"), "listen_high": float("nan")}, "cannot be said"),
        ({"listen": -1.3, "listen_low": -9.0, "listen_high": 5.0}, "cannot be said"),
        ({"n": 0}, "no notes"),
    ],
)
def test_a_share_of_real_agreement_is_only_told_where_there_is_enough(told: dict[str, Any], words: str) -> None:
    facts = {"n": 9, "listen": 0.0, "listen_low": 0.0, "listen_high": 0.0, "name": "key"}
    row = SimpleNamespace(**(facts | told))
    measured = Measured.__new__(Measured)
    for name, value in {"rows": (), "n_generated": 12, "n_real": 9, "listening": (row,)}.items():
        object.__setattr__(measured, name, value)
    for name in ("copying", "audit"):
        object.__setattr__(measured, name, None)
    text = measured.as_text()
    assert words in text
    assert "12 clips are few" in text
