"""The buffer of past fakes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from audiogan.adversarial.game import Moment
from audiogan.adversarial.replay import Replay
from audiogan.errors import CheckpointError


def moment(step: int, **options: Any) -> Moment:
    return Moment(**({"step": step, "share": 0.0, "n_seen": 0, "phase": "discriminator"} | options))


def numbered(first: int, count: int) -> Tensor:
    return torch.arange(first, first + count, dtype=torch.float32).unsqueeze(1)


def numbers(fakes: Tensor | None) -> list[int]:
    assert fakes is not None
    return [int(value) for value in fakes.flatten()]


def test_fakes_pass_while_there_is_room() -> None:
    replay = Replay(4)
    assert numbers(replay.exchange(numbered(0, 3), moment(0))[0]) == [0, 1, 2]
    shown = numbers(replay.exchange(numbered(3, 3), moment(1))[0])
    assert shown[0] == 3  # the last that found room
    assert len(numbers(replay.stored)) == 4


def test_what_is_shown_and_what_is_kept_are_all_there_is() -> None:
    """No fake is lost or doubled in an exchange, and about half are exchanged."""
    replay, next_number, n_past = Replay(8), 8, 0
    replay.exchange(numbered(0, 8), moment(0))
    for step in range(1, 101):
        kept, new = numbers(replay.stored), list(range(next_number, next_number + 4))
        shown = numbers(replay.exchange(numbered(next_number, 4), moment(step))[0])
        assert sorted(kept + new) == sorted(shown + numbers(replay.stored))
        past = [number for number in shown if number < next_number]
        assert set(past) <= set(kept)
        # A new fake that is shown stands in its own place.
        assert all(number in (new[place], *past) for place, number in enumerate(shown))
        n_past, next_number = n_past + len(past), next_number + 4
    assert n_past / 400 == pytest.approx(0.5, abs=0.08)
    assert min(numbers(replay.stored)) > 200, "old fakes leave"


def test_a_batch_larger_than_the_buffer() -> None:
    replay = Replay(2)
    replay.exchange(numbered(0, 2), moment(0))
    shown = numbers(replay.exchange(numbered(2, 5), moment(1))[0])
    assert sorted(shown + numbers(replay.stored)) == list(range(7))


def test_stored_fakes_are_copies_without_gradients() -> None:
    replay, fakes = Replay(2), torch.ones(2, 1, requires_grad=True)
    (shown,) = replay.exchange(2.0 * fakes, moment(0))
    shown.zero_()
    assert not shown.requires_grad
    assert numbers(replay.stored) == [2, 2]


def test_the_draws_are_those_of_the_moment() -> None:
    def twice(step: int) -> list[int]:
        replay = Replay(8)
        replay.exchange(numbered(0, 8), moment(0))
        return numbers(replay.exchange(numbered(8, 8), moment(step))[0])

    assert twice(1) == twice(1) != twice(2)


def test_it_continues_where_it_was() -> None:
    straight = Replay(4)
    straight.exchange(numbered(0, 3), moment(0))
    resumed = Replay(4)
    resumed.load_state(straight.state())
    empty = Replay(4)
    empty.load_state(Replay(4).state())
    assert empty.stored is None
    for step in range(1, 4):
        fakes = numbered(10 * step, 3)
        assert torch.equal(straight.exchange(fakes, moment(step))[0], resumed.exchange(fakes, moment(step))[0])
    with pytest.raises(CheckpointError, match="of size 4; expected 5"):
        Replay(5).load_state(straight.state())
