"""Scores of a model that trains: what the distance, the variety and the probe see, and what they leave alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.scoring import Scoring, overfitting
from audiogan.pipelines.waveform import score as module
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.dataset import SPLITS
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig
from audiogan.pipelines.waveform.networks import build
from audiogan.pipelines.waveform.residual import Discriminator, Generator
from audiogan.pipelines.waveform.score import scoring
from audiogan.representation.base import HarmonicConfig

NETWORK = ResidualConfig(
    z_dim=6, timbre_dim=5, width=8, max_width=16, encoder_width=8, encoder_max_width=16, mapping_width=16
)
CONFIG = Config(
    sample_rate=16000, seconds=0.5, lowest_pitch=48, highest_pitch=72,
    representation=HarmonicConfig(n_rows=16, n_frames=32, grow_frames=16), network=NETWORK,
)  # fmt: skip
CORPUS = CorpusConfig(folder="nowhere")
COUNT = 12
N_NOTES, N_INSTRUMENTS = 48, 6


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Planes of six instruments, each a slope of its own over the rows; the last two are held out."""
    folder, rng = tmp_path_factory.mktemp("cache"), np.random.default_rng(0)
    shape = CONFIG.represent().shape
    instrument = np.arange(N_NOTES) % N_INSTRUMENTS
    slope = np.linspace(-0.6, 0.6, shape[1])[None, None, :, None] * (instrument % 3 - 1)[:, None, None, None]
    planes = np.clip(slope + 0.1 * rng.standard_normal((N_NOTES, *shape)), -1, 1)
    np.save(folder / "planes.npy", planes.astype(np.float16))
    columns: dict[str, Any] = {
        "pitch": rng.uniform(48, 72, N_NOTES).astype("<f4"),
        "velocity": rng.uniform(0, 1, N_NOTES).astype("<f4"),
        "gain": np.ones(N_NOTES, dtype="<f4"),
        "instrument": instrument.astype("<i4"),
        "split": np.where(instrument < 4, SPLITS.index("train"), SPLITS.index("valid")).astype("|u1"),
    }
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "instruments.json").write_text('["a", "b", "c", "d", "e", "f"]')
    return folder


def judge_of(cache: Path, config: Config = CONFIG) -> Scoring:
    found = scoring(cache, config, CORPUS, count=COUNT)
    assert found is not None
    return found


def modules_of(config: Config = CONFIG, seed: int = 0) -> dict[str, nn.Module]:
    with seeded(seed, "modules"):
        return {name: part.eval() for name, part in build(config).items()}


def test_a_score_depends_on_weights_and_seed_alone(cache: Path) -> None:
    modules, judge = modules_of(), judge_of(cache)
    first = judge.score(modules, 1)
    torch.rand(3)
    assert judge.score(modules, 1) == first == judge_of(cache).score(modules, 1)
    assert judge.score(modules, 2) != first
    assert set(first) == {"distance", "error", "variety"}
    assert all(np.isfinite(value) for value in first.values())


def test_real_notes_score_better_than_those_of_an_untrained_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = modules_of()
    poor = judge_of(cache).score(modules, 0)

    def real(judge: Any, *_: Any) -> np.ndarray:
        return judge.reference[0]

    monkeypatch.setattr(module._Judge, "made", real)
    good = judge_of(cache).score(modules, 0)
    assert good["distance"] < poor["distance"] / 2
    assert 0.6 < good["variety"] < 1.5
    monkeypatch.setattr(module._Judge, "made", lambda judge, *_: np.repeat(judge.reference[0][:1], COUNT, axis=0))
    assert judge_of(cache).score(modules, 0)["variety"] < 0.05, "one note again and again"


def test_the_probe_has_one_value_for_each_instrument(cache: Path) -> None:
    judge = judge_of(cache)
    assert judge.probe is not None
    found = judge.probe(modules_of(), 0)
    assert {name: len(value) for name, value in found.items()} == {"train": 4, "valid": 2, "fake": COUNT}
    assert "train" in overfitting(found)


def test_the_probe_takes_the_mean_where_d_says_several_things(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules, judge = modules_of(), judge_of(cache)
    judging: Any = modules["discriminator"]
    own = judging.judge
    assert judge.probe is not None
    expected = judge.probe(modules, 0)

    def twice(normal: Tensor, *told: Any) -> Any:
        said = own(normal, *told)
        return said._replace(logits=torch.stack([said.logits - 1.0, said.logits + 3.0], dim=1))

    monkeypatch.setattr(judging, "judge", twice)
    for name, found in judge.probe(modules, 0).items():
        torch.testing.assert_close(found, expected[name] + 1.0)


def test_the_probe_shows_each_set_under_its_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules, judge = modules_of(), judge_of(cache)
    seen: list[Tensor] = []
    judging, generator = modules["discriminator"], modules["generator"]
    assert isinstance(judging, Discriminator)
    assert isinstance(generator, Generator)
    own = judging.judge

    def note(normal: Tensor, *told: Any) -> Any:
        seen.append(normal)
        return own(normal, *told)

    monkeypatch.setattr(judging, "judge", note)
    assert judge.probe is not None
    judge.probe(modules, 0)
    real = {name: module._evenly(notes, COUNT) for name, notes in
            (("valid", module.open_dataset(cache, CONFIG, CORPUS, "valid")),
             ("train", module.open_dataset(cache, CONFIG, CORPUS, "train")))}  # fmt: skip
    for shown, name in zip(seen, ("valid", "train"), strict=False):
        assert torch.equal(shown, generator.sheet.enter(real[name]["planes"], real[name]["pitch"])), name
    assert len(seen) == 3
    assert not torch.equal(seen[2], seen[1])


def test_a_classic_network_is_scored_without_a_probe(cache: Path) -> None:
    assert judge_of(cache, CONFIG.model_copy(update={"network": ClassicConfig()})).probe is None


def test_nothing_held_out_is_no_score(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_NOTES", 10_000)
    assert scoring(cache, CONFIG, CORPUS, count=COUNT) is None
