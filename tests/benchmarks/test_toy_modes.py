"""The toy benchmark counts modes rightly, and one short case of it learns the ring."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from audiogan.adversarial.latent import LatentGameConfig
from tests.benchmarks.toy_modes import (
    N_ITEMS,
    SETTINGS,
    SIGMA,
    Mixture,
    grid,
    judge_samples,
    line_of,
    measure,
    ring,
    train,
)


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_targets_are_where_they_should_be() -> None:
    assert torch.allclose(ring().norm(dim=1), torch.ones(8))
    assert len({tuple(point) for point in grid().tolist()}) == 25
    assert grid().abs().max() == 1.0
    points = Mixture(ring()).fetch(list(range(N_ITEMS)), [])["real"]
    found = judge_samples(points, ring())
    # 1 - exp(-9/2): what a normal law in two dimensions holds within three deviations.
    assert found.modes == 8
    assert found.good == pytest.approx(0.989, abs=0.004)


def test_modes_and_good_samples_are_counted() -> None:
    centres = ring()
    far = torch.full((50, 2), 5.0)
    edge = centres[2] + torch.tensor([0.0, 2.9 * SIGMA])
    outside = centres[2] + torch.tensor([0.0, 3.1 * SIGMA])
    # 100 samples, fair share 12.5: a quarter of it is 3.125, so 4 samples cover a mode and 3 do not.
    samples = torch.cat(
        [far, centres[0].repeat(30, 1), edge.repeat(4, 1), centres[4].repeat(3, 1), outside.repeat(13, 1)]
    )
    found = judge_samples(samples, centres)
    assert found.modes == 2
    assert found.good == pytest.approx(0.37)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_row_is_a_game_and_goes_its_first_steps(name: str, tmp_path: Path) -> None:
    LatentGameConfig.model_validate(SETTINGS[name].game)
    found = train(SETTINGS[name], ring(), 2, 0, tmp_path)
    assert 0 <= found.modes <= 8


def test_a_row_repeats_itself_bit_for_bit() -> None:
    one, other = (next(measure(["minimax"], ["ring"], [3], 3)) for _ in range(2))
    assert (one.modes, one.good) == (other.modes, other.good)
    assert line_of(one).startswith("minimax                     ring  ")


def test_a_short_case_collapses_without_help_and_not_with_it(tmp_path: Path) -> None:
    alone = train(SETTINGS["minimax"], ring(), 300, 0, tmp_path / "alone")
    helped = train(SETTINGS["minimax + 3 steps of D"], ring(), 300, 0, tmp_path / "helped")
    assert alone.modes <= 2
    assert helped.modes >= 4
    assert helped.good > alone.good + 0.1
