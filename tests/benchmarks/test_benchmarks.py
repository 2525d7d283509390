"""The benchmarks run; what they measure is for quiet machines."""

from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.pipelines.multitrack.config import Config
from tests.benchmarks.clips_per_second import compare, untrained
from tests.pipelines.multitrack.small import model_of


def test_clips_per_second_counts_both() -> None:
    small = ClassicConfig(n_bars=1, n_timesteps=16, beat_resolution=4, n_pitches=24)
    classic = untrained(Config(n_bars=1, lowest_pitch=36, n_pitches=24, network=small))
    found = compare(model_of(), classic, n_clips=2, n_turns=1)
    assert found["ours"] > 0
    assert found["classic"] > 0
    assert found["ratio"] > 0
