"""The order of batches is a pure function of the step."""

from typing import Any

import numpy as np
import pytest
import torch

from audiogan.adversarial.game import Game, Phase, Repeats
from audiogan.adversarial.loader import Loader, item_seeds, request
from audiogan.errors import CorpusError
from tests.adversarial import toys


class Numbers:
    """Gives back what it is asked for."""

    def __init__(self, n_items: int = 10) -> None:
        self.n_items = n_items

    def __len__(self) -> int:
        return self.n_items

    def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, torch.Tensor]:
        return {"index": torch.tensor(indices), "seed": torch.tensor(seeds)}


def phase(name: str = "d", **options: Any) -> Phase:
    return Phase(name, ("m",), lambda batch, moment: {}, **options)


def loader(game: Game, **options: Any) -> Loader:
    settings: dict[str, Any] = {"batch_size": 4, "n_steps": 12, "seed": 0} | options
    return Loader(Numbers(), game, **settings)


def drawn(given: Loader, first_step: int = 0) -> list[tuple[list[int], list[int]]]:
    return [(batch["index"].tolist(), batch["seed"].tolist()) for batch in given.batches(first_step)]


def test_every_epoch_holds_every_item_once() -> None:
    indices = [index for own, _ in drawn(loader(Game([phase()]), n_steps=15)) for index in own]
    assert len(indices) == 60
    for epoch in range(6):
        assert sorted(indices[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert indices[:10] != indices[10:20]


def test_batches_from_a_step_on_are_the_rest_of_all_batches() -> None:
    game = Game([phase("d", repeats=2), phase("g", interval=3)])
    full = drawn(loader(game))
    assert drawn(loader(game), 6) == full[len(full) // 2 :]


def test_worker_processes_change_nothing() -> None:
    game = Game([phase("d", repeats=2), phase("g", span=(0.5, 1.0))])
    assert drawn(loader(game, workers=2)) == drawn(loader(game))


def test_phases_walk_through_their_own_epochs() -> None:
    batches = drawn(loader(Game([phase("d"), phase("g")]), n_steps=5, batch_size=2))
    for own in (batches[::2], batches[1::2]):
        assert sorted(index for indices, _ in own for index in indices) == list(range(10))
    assert batches[::2] != batches[1::2]


def test_a_lazy_phase_still_sees_every_item() -> None:
    batches = drawn(loader(Game([phase(interval=4)]), n_steps=20, batch_size=2))
    assert sorted(index for indices, _ in batches for index in indices) == list(range(10))


def test_processes_share_the_global_batch() -> None:
    game = Game([phase()])
    whole = drawn(loader(game))
    halves = [drawn(loader(game, rank=rank, world=2)) for rank in range(2)]
    for (indices, seeds), (even, even_seeds), (odd, odd_seeds) in zip(whole, *halves, strict=True):
        assert (indices[::2], indices[1::2]) == (even, odd)
        assert (seeds[::2], seeds[1::2]) == (even_seeds, odd_seeds)


def test_item_seeds_are_distinct_63_bit_numbers_that_do_not_depend_on_the_batch() -> None:
    seeds = item_seeds(12345, np.arange(100_000))
    assert len(np.unique(seeds)) == 100_000
    assert seeds.min() >= 0
    assert abs(np.log2(seeds.astype(float)).max() - 63.0) < 0.01
    assert item_seeds(12345, np.array([777]))[0] == seeds[777]
    assert item_seeds(12346, np.array([777]))[0] != seeds[777]


def test_the_seed_of_the_run_changes_order_and_item_seeds() -> None:
    game = Game([phase()])
    (indices, seeds), (other_indices, other_seeds) = drawn(loader(game))[0], drawn(loader(game, seed=1))[0]
    assert indices != other_indices
    assert seeds != other_seeds


def test_bursts_leave_no_two_moves_with_the_same_items() -> None:
    burst = phase(repeats=Repeats(usual=1, burst=3, burst_steps=2))
    asked = [
        request(burst, repeat, step, seed=0, n_items=1000, batch_size=4, rank=0, world=1)
        for step in range(4)
        for repeat in range(burst.moves(step, 0.0))
    ]
    assert len(asked) == 8
    assert len({index for indices, _ in asked for index in indices}) == 32


def test_a_batch_may_be_larger_than_the_dataset() -> None:
    indices, _ = request(phase(), 0, 0, seed=0, n_items=3, batch_size=8, rank=0, world=1)
    assert sorted(indices[:3]) == sorted(indices[3:6]) == [0, 1, 2]


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(CorpusError, match="0 examples"):
        Loader(toys.Ring(0), Game([phase()]), batch_size=1, n_steps=1, seed=0)
