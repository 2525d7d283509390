"""The comparison of speed counts what it says, and the untrained network writes no more than music has."""

import torch

from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.synthesis import generate
from tests.benchmarks.clips_per_second import compare, quietened, untrained
from tests.pipelines.multitrack.small import model_of


def small_classic() -> Model:
    network = ClassicConfig(n_bars=1, n_timesteps=16, beat_resolution=4, n_pitches=24)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return untrained(Config(n_bars=1, lowest_pitch=36, n_pitches=24, network=network))


def test_networks_and_scores_are_counted_apart() -> None:
    found = compare(model_of(), small_classic(), n_clips=2, n_turns=1)
    for what in ("ours_networks", "classic_networks", "ratio_networks", "ours", "classic", "ratio"):
        assert found[what] > 0


def test_the_classic_network_is_made_to_write_as_much_as_music() -> None:
    classic = small_classic()
    loud = sum(score.n_notes for score in generate(classic, count=16, seed=0))
    quiet = sum(score.n_notes for score in generate(quietened(classic), count=16, seed=0))
    assert 0 < quiet < 0.05 * loud
