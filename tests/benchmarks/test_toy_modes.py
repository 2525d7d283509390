"""The toy benchmark counts modes rightly, and one short case of it learns the ring."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from audiogan.adversarial.latent import LatentGameConfig
from tests.benchmarks.toy_features import taught
from tests.benchmarks.toy_modes import (
    BLOCKS,
    FEW,
    N_ITEMS,
    SETTINGS,
    SIGMA,
    Judge,
    Mixture,
    Past,
    answer_of,
    energy_distance,
    grid,
    judge_samples,
    line_of,
    measure,
    moved,
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


def test_the_energy_distance_worked_out() -> None:
    """Between 0 and {0, 2}: 2 * 1 - 0 - 1; between a set and itself nothing."""
    first, second = torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    assert energy_distance(first, second) == pytest.approx(1.0)
    assert energy_distance(second, second) == pytest.approx(0.0)


def test_the_change_of_a_point_keeps_what_lies_beside_it_as_long_as_it_was() -> None:
    x, draws = torch.randn(50, 6), torch.rand(50, 4)
    made = moved(x, draws)
    assert (made[:, :2] - x[:, :2]).abs().max() <= 0.1 + 1e-6
    torch.testing.assert_close(made[:, 2:].norm(dim=1), x[:, 2:].norm(dim=1))
    assert not torch.allclose(made[:, 2:], x[:, 2:])


def test_what_d_is_asked_is_worked_out() -> None:
    """D says the first value: of points it learnt from 1, of unseen ones about 0, of fakes -1."""
    judge, data = Judge(18), Mixture(ring(), 32, 0.0, 16)
    judge.forward = lambda x: x[:, :1]  # type: ignore[method-assign]
    data.points[:, 0] = 1.0
    fake = torch.full((8, 18), -1.0)
    assert answer_of(FEW, judge, data, fake, Past(), ring()) == pytest.approx(0.5, abs=0.05)
    past = Past()
    past.fakes = [torch.tensor([[-2.0, 0.0], [1.0, 0.0]])] * 5 + [torch.full((2, 2), 9.0)]
    # A fake on a centre is no bad one, and the last fifth is not long ago.
    assert past.known(judge, data.points[:, :2], ring()) == 1.0


def test_frozen_features_know_the_modes() -> None:
    """Of points that the network was not taught with, far from the unit circle."""
    unseen = Mixture(16.0 * ring(), 1024, 16.0 * SIGMA, 4, seed=9).points
    network = taught(lambda seed: Mixture(16.0 * ring(), N_ITEMS, 16.0 * SIGMA, 4, seed).points, 8)
    assert (network.modes(unseen).argmax(dim=1) == torch.arange(1024) % 8).float().mean() > 0.98
    assert [found.shape for found in network(unseen)] == [(1024, 64), (1024, 64)]


def test_every_tool_has_a_failure_to_mend() -> None:
    for block in list(BLOCKS.values())[1:]:
        base, *rows = block.values()
        assert rows
        assert all(row != base for row in rows)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_row_is_a_game_and_goes_its_first_steps(name: str, tmp_path: Path) -> None:
    LatentGameConfig.model_validate(SETTINGS[name].game)
    found = train(SETTINGS[name], ring(), 2, 0, tmp_path)
    assert 0 <= found.modes <= 8
    assert found.distance > 0.0


def test_a_row_repeats_itself_bit_for_bit() -> None:
    one, other = (next(measure(["minimax"], [3], 3)) for _ in range(2))
    assert (one.modes, one.good, one.distance) == (other.modes, other.good, other.distance)
    assert line_of(one).startswith("minimax                     ring  ")


def test_a_short_case_collapses_without_help_and_not_with_it(tmp_path: Path) -> None:
    alone = train(SETTINGS["minimax"], ring(), 300, 0, tmp_path / "alone")
    helped = train(SETTINGS["minimax + 3 steps of D"], ring(), 300, 0, tmp_path / "helped")
    assert alone.modes <= 2
    assert helped.modes >= 4
    assert helped.good > alone.good + 0.1
