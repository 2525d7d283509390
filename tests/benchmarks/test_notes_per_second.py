"""The comparison of speed counts what it says, and its classic network has GANSynth's size."""

import pytest

from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig
from audiogan.representation.base import HarmonicConfig, SpectrogramConfig
from tests.benchmarks.notes_per_second import CLASSIC, compare

SMALL = {"sample_rate": 8000, "seconds": 0.25, "lowest_pitch": 60, "highest_pitch": 64}
OURS = Config.model_validate(
    SMALL
    | {
        "representation": HarmonicConfig(n_rows=8, n_frames=16, grow_frames=8),
        "network": ResidualConfig(width=8, max_width=8, encoder_width=8, encoder_max_width=8, mapping_width=8),
    }
)
SMALL_CLASSIC = Config.model_validate(
    SMALL
    | {
        "representation": SpectrogramConfig(kind="mel_if", n_fft=256, hop_length=64),
        "network": ClassicConfig(n_blocks=3, filters_base=32, filters_max=8),
    }
)


def test_networks_and_waveforms_are_counted_apart() -> None:
    found = compare({"ours": OURS, "classic": SMALL_CLASSIC}, n_notes=2, n_turns=1)
    for name in ("ours", "classic"):
        assert found[f"{name}_networks"] > 0
        assert found[name] > 0
        assert found[f"{name}_parameters"] > 0
    assert found["ratio_classic"] == 1
    assert found["ratio_ours"] == pytest.approx(found["ours"] / found["classic"])


def test_the_classic_network_draws_what_gansynth_draws() -> None:
    assert CLASSIC.represent().shape == (2, 1024, 128)
    assert CLASSIC.network == ClassicConfig(z_dim=256, n_blocks=7, filters_base=4096, filters_max=256)
