"""A generator that writes as much as its corpus holds: what counts as held, and that the counts meet."""

import pytest
import torch

from audiogan.corpus import midi
from audiogan.pipelines.multitrack.calibration import calibrate, counts, finish, held
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import Clips, open_dataset, prepare
from audiogan.pipelines.multitrack.filling import decode_clips, generate_codes, z_for
from audiogan.pipelines.multitrack.networks import Generator, build
from tests.pipelines.multitrack.small import CONFIG, model_of, song


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    folder = tmp_path_factory.mktemp("songs")
    cache = tmp_path_factory.mktemp("cache")
    for number in range(4):
        midi.write(song(8, number), folder / f"{number}.mid")
    corpus = CorpusConfig(folder=str(folder))
    prepare(corpus, CONFIG, cache)
    return open_dataset(cache, CONFIG, corpus, "train")


def test_only_what_follows_a_sound_is_held() -> None:
    onset = torch.tensor([[0, 1, 0, 0, 0, 1, 1, 0]]).bool().T
    sustain = torch.tensor([[1, 0, 1, 1, 0, 0, 1, 1]]).bool().T
    assert held(onset, sustain).int().flatten().tolist() == [0, 0, 1, 1, 0, 0, 0, 1]


def test_counts_are_per_clip_and_track() -> None:
    onset = torch.zeros(2, 3, 4, 5).bool()
    onset[0, 1, 0, 2] = onset[1, 1, 1, 2] = onset[1, 2, 0, 0] = True
    sustain = torch.zeros_like(onset)
    sustain[0, 1, 1:3, 2] = True
    struck, going = counts(onset, sustain)
    assert struck.tolist() == [0.0, 1.0, 0.5]
    assert going.tolist() == [0.0, 1.0, 0.0]


def test_new_clips_hold_as_much_as_the_corpus(clips: Clips) -> None:
    model = model_of(seed=1)
    generator = model.modules["generator"]
    assert isinstance(generator, Generator)
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a decoder whose logits are spread out, so that a threshold can be met
        for name, parameter in model.modules["decoder"].named_parameters():
            if name.endswith(("step.weight", "rhythm.weight")):
                parameter.normal_(0.0, 1.0, generator=draws)
    calibrate(model.modules, CONFIG, clips, n_clips=64)
    chosen = torch.linspace(0, len(clips) - 1, min(64, len(clips))).long().tolist()
    roll = clips.fetch(chosen, chosen)["roll"].flatten(3, 4) > 0
    wanted = counts(roll[:, 0], roll[:, 1])
    z = torch.stack([z_for(generator.z_dim, 0, "calibrate", number) for number in range(64)])
    codes = generate_codes(model.modules, z, torch.zeros(64, 5, 2, 8), torch.zeros(64, 5, 2))
    logits = decode_clips(model.modules, codes)[0].flatten(3, 4) + generator.calibration[None, :, :, None, None]
    found = counts(logits[:, 0] > 0, logits[:, 1] > 0)
    for number in (0, 1, 2):  # drums, bass, piano: the songs have no more
        assert float(found[0][number]) == pytest.approx(float(wanted[0][number]), rel=0.1)
    assert 0.5 < float(found[1][1] / wanted[1][1]) < 1.5
    assert generator.calibration[0, 3] < 0  # no guitar in the corpus


def test_classic_networks_stay_as_they_are(clips: Clips) -> None:
    config = Config(network=ClassicConfig(n_timesteps=16, beat_resolution=4, n_pitches=72))
    modules = build(config)
    before = {key: value.clone() for key, value in modules["generator"].state_dict().items()}
    finish(modules, config, clips, seed=0)
    assert all(torch.equal(before[key], value) for key, value in modules["generator"].state_dict().items())
