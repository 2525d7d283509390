"""Scores of a model that trains: what the distance, the variety and the probe see, and what they leave alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audiogan.adversarial.scoring import Scoring, overfitting
from audiogan.corpus import midi
from audiogan.pipelines.multitrack import score as module
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.score import scoring
from tests.pipelines.multitrack import small

COUNT = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusConfig]:
    """A prepared corpus of ten songs, about half of them held out."""
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(10):
        midi.write(small.song(n_bars=8, seed=seed), folder / f"{seed}.mid")
    corpus = CorpusConfig(folder=str(folder), licence="CC0-1.0", valid_fraction=0.5, min_tracks=1)
    cache = tmp_path_factory.mktemp("cache")
    prepare(corpus, small.CONFIG, cache, jobs=1)
    return cache, corpus


def judge_of(place: tuple[Path, CorpusConfig], config: Config = small.CONFIG) -> Scoring:
    found = scoring(place[0], config, place[1], count=COUNT)
    assert found is not None
    return found


def copied(modules: Any) -> dict[str, torch.Tensor]:
    return {f"{n}.{key}": value.clone() for n, m in modules.items() for key, value in m.state_dict().items()}


def test_a_score_depends_on_weights_and_seed_alone_and_changes_nothing(place: tuple[Path, CorpusConfig]) -> None:
    model = small.model_of()
    before, judge = copied(model.modules), judge_of(place)
    with torch.no_grad():
        first = judge.score(model.modules, 1)
        torch.rand(3)
        assert judge.score(model.modules, 1) == first == judge_of(place).score(model.modules, 1)
        assert judge.score(model.modules, 2) != first
        assert judge.score(small.model_of(seed=5).modules, 1) != first
    assert set(first) == {"distance", "error", "variety"}
    assert all(np.isfinite(value) for value in first.values())
    after = copied(model.modules)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_real_clips_score_better_than_those_of_an_untrained_model(
    place: tuple[Path, CorpusConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small.model_of()
    poor = judge_of(place).score(model.modules, 0)
    clips = open_dataset(place[0], small.CONFIG, place[1], "train")
    real = module._scores(clips, small.CONFIG, COUNT)
    monkeypatch.setattr(module._Judge, "made", lambda *_: real)
    good = judge_of(place).score(model.modules, 0)
    assert good["distance"] < poor["distance"] / 2
    assert 0.7 < good["variety"] < 1.4
    monkeypatch.setattr(module._Judge, "made", lambda *_: real[:1] * COUNT)
    assert judge_of(place).score(model.modules, 0)["variety"] < 0.05, "one clip again and again"


def test_the_probe_has_one_value_for_each_song(place: tuple[Path, CorpusConfig]) -> None:
    judge = judge_of(place)
    assert judge.probe is not None
    found = judge.probe(small.model_of().modules, 0)
    train, valid = (open_dataset(place[0], small.CONFIG, place[1], split) for split in ("train", "valid"))
    assert len(found["train"]) == len(train.stretches)
    assert len(found["valid"]) == len(valid.stretches)
    assert len(found["fake"]) == COUNT
    assert "train" in overfitting(found)


def test_a_discriminator_that_knows_its_songs_is_found_out(place: tuple[Path, CorpusConfig]) -> None:
    """The probe shows D the codes of training clips, of held-out clips and of fakes, under those names."""
    model, judge = small.model_of(), judge_of(place)
    clips = open_dataset(place[0], small.CONFIG, place[1], "train")
    chosen = module._evenly(clips, COUNT)
    known = module.encode_clips(model.modules, clips.fetch(chosen, chosen)["roll"])

    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, codes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            assert not mask.any()
            return (torch.cdist(codes.flatten(1), known.flatten(1)).amin(dim=1) < 1e-3).float()

    assert judge.probe is not None
    found = overfitting(judge.probe({**model.modules, "discriminator": Memory()}, 0))
    assert (found["train"], found["fake"]) == (1.0, 0.0)
    assert found["overfitting"] > 0.9


def test_nothing_held_out_is_no_score(place: tuple[Path, CorpusConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_CLIPS", 10_000)
    assert scoring(place[0], small.CONFIG, place[1], count=COUNT) is None
