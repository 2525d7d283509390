"""Batches fetched ahead: the same ones, in order, early, with the errors of their source."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from audiogan.adversarial.ahead import ahead
from audiogan.adversarial.loader import Loader
from audiogan.errors import CorpusError
from tests.adversarial.toys import Ring, three_phase_game


def numbers(asked: list[str], count: int = 5) -> Iterator[dict[str, Tensor]]:
    for number in range(count):
        asked.append(threading.current_thread().name)
        yield {"number": torch.tensor(number)}


def as_it_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return batch


def test_batches_come_in_order_out_of_one_thread_and_some_are_ready() -> None:
    asked: list[str] = []
    begun: list[str] = []
    own = ahead(numbers(asked), 2, prepare=as_it_is, begin=lambda: begun.append(threading.current_thread().name))
    first = next(own)
    found = [first, *own]
    assert [int(batch["number"]) for batch in found] == [0, 1, 2, 3, 4]
    assert len(set(asked)) == 1
    assert begun == asked[:1]
    assert threading.current_thread().name not in asked


def test_the_next_batch_is_fetched_while_nobody_asks() -> None:
    fetched = threading.Event()

    def source() -> Iterator[dict[str, Tensor]]:
        yield {"number": torch.tensor(0)}
        fetched.set()
        yield {"number": torch.tensor(1)}

    own = ahead(source(), 2, prepare=as_it_is)
    next(own)
    assert fetched.wait(10.0)
    own.close()  # type: ignore[attr-defined]


def test_what_the_source_raises_is_raised_at_its_batch() -> None:
    def source() -> Iterator[dict[str, Tensor]]:
        yield {"number": torch.tensor(0)}
        raise CorpusError("a file is damaged", "damaged")

    own = ahead(source(), 2, prepare=as_it_is)
    assert int(next(own)["number"]) == 0
    with pytest.raises(CorpusError, match="a file is damaged"):
        next(own)


def test_a_loader_for_cuda_gives_the_batches_of_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor.clone())
    _, game = three_phase_game()
    found = []
    for pin in (False, True):
        own = Loader(Ring(), game, batch_size=4, n_steps=10, seed=0, pin=pin)
        found.append(torch.cat([batch["real"] for batch in own.batches(3)]))
    assert len(found[0]) > 0
    assert torch.equal(*found)
    assert devices == [3]
