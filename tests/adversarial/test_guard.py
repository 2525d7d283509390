"""What is left out, what counts as an explosion, and what the guard costs; whole runs are tested in faults/test_f05."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.guard import LEAST_USUAL, MOST_SKIPPED, MOST_STEPS, SPAN, WINDOW, Guard
from audiogan.adversarial.heartbeat import is_loss
from audiogan.adversarial.runtime import ProcessLostError, Runtime, RuntimeConfig
from audiogan.errors import TrainingError
from tests.adversarial import toys


def guard(folder: Path) -> Guard:
    return toys.plain_trainer(folder).guard


def test_the_count_goes_by_the_last_steps(tmp_path: Path) -> None:
    found = guard(tmp_path)
    assert not any(found.skip(step) for step in range(MOST_SKIPPED))
    assert found.skip(SPAN - 1), "the sixth among fifty"
    found.load_state({"recent": list(range(MOST_SKIPPED))})
    assert not found.skip(SPAN), "one of the six is longer ago"


def feed(found: Guard, value: float, count: int) -> str:
    told = ""
    for _ in range(count):
        told = told or found.exploded({"d": value})
    return told


def test_an_explosion_is_measured_against_the_median_and_must_last(tmp_path: Path) -> None:
    found = guard(tmp_path)
    assert feed(found, 2.0, WINDOW) == ""
    assert feed(found, 2.0e4, MOST_STEPS) == "", "not above"
    assert feed(found, 2.1e4, MOST_STEPS - 1) == ""
    assert feed(found, 2.0, 1) == "", "one usual loss and the count begins anew"
    assert feed(found, 2.1e4, MOST_STEPS - 1) == ""
    assert feed(found, 2.1e4, 1) == "phase d: loss 2.1e+04, above 2e+04 for 50 steps"


def test_a_new_level_is_learnt_and_losses_near_zero_are_no_measure(tmp_path: Path) -> None:
    found = guard(tmp_path)
    feed(found, 1e-12, WINDOW)
    assert feed(found, 1e4 * LEAST_USUAL, 300) == ""
    found = guard(tmp_path)
    feed(found, 1.0, WINDOW)
    feed(found, 5e3, WINDOW)
    assert feed(found, 1e7, 300) == "", "usual is 5000 by now"


def test_the_state_is_plain_and_comes_back(tmp_path: Path) -> None:
    one, other = guard(tmp_path), guard(tmp_path)
    feed(one, 1.0 / 3.0, 120)
    feed(one, 1e6, 30)
    for step in (3, 9):
        one.skip(step)
    other.load_state(json.loads(json.dumps(one.state())))
    assert other.state() == one.state()
    assert feed(other, 1e6, 19) == ""
    assert feed(other, 1e6, 1) != ""


def test_a_checkpoint_of_an_earlier_version_knows_nothing_of_it(tmp_path: Path) -> None:
    toys.trainer(tmp_path, "8 steps").run()
    path = Store(tmp_path).path(8)
    trained = toys.trainer(tmp_path, "8 steps")
    found = trained.store.load_newest()
    assert found is not None
    del found.state["guard"]
    assert path.is_dir()
    trained.n_steps = 8
    trained.run()
    trained.guard.n_skipped = 7
    trained.saver._restore(found)
    assert trained.guard.n_skipped == 0


def test_memory_that_runs_out_in_the_optimiser_is_a_clear_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = toys.plain_trainer(tmp_path)
    optimizer = trained.players.optimizers["generator"]

    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(optimizer, "step", full)
    words = (
        r"out of memory in the optimiser's step of phase generator: CUDA .* 2\.00 GiB\.; .* expected smaller networks"
    )
    with pytest.raises(TrainingError, match=words) as caught:
        trained.run()
    assert (caught.value.reason, caught.value.exit_code) == ("out_of_memory", 4)
    assert trained.runtime.portions.count == 1, "smaller portions would not help"


def test_a_term_that_is_only_recorded_counts_too(tmp_path: Path) -> None:
    trained = toys.plain_trainer(tmp_path)
    trained.n_steps, weight = 8, trained.modules["generator"].get_parameter("0.weight")
    phase = trained.game.phases[-1]
    trained.players.let_move(phase, 0.0)
    weight.grad, before = torch.ones_like(weight), weight.detach().clone()
    trained.guard.move(phase, torch.tensor([1.0, torch.nan]))
    assert torch.equal(weight, before)
    assert [float(flag) for flag in trained.guard.flags] == [1.0]


class Scalars(TorchDispatchMode):
    """Counts the numbers that are asked of the device one by one."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_the_device_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = toys.plain_trainer(tmp_path)
    trained.n_steps = 8
    trained.monitor = trained._monitor()
    batches = trained._loader(8).batches(0)
    lists, usual = [0], Tensor.tolist

    def counting(tensor: Tensor) -> Any:
        lists[0] += 1
        return usual(tensor)

    trained.step(0, batches)
    trained.monitor.end_step(1)
    monkeypatch.setattr(Tensor, "tolist", counting)
    with Scalars() as scalars:
        trained.step(1, batches)
        trained.guard.judge(2, trained.monitor, trained.guard.sizes(trained.monitor), failed=False)
        trained.monitor.end_step(2)
    assert (scalars.count, lists) == (0, [1])


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4711", True),
        ("Timed out waiting 1000ms for recv operation to complete", True),
        ("Socket Timeout", True),
        ("Tensors must be contiguous", False),
        ("expected scalar type Float but found Double", False),
    ],
)
def test_only_what_speaks_of_the_others_is_a_lost_process(words: str, lost: bool) -> None:
    assert is_loss(RuntimeError(words)) == lost
    runtime = Runtime(RuntimeConfig(device="cpu"))
    with pytest.raises(ProcessLostError if lost else RuntimeError) as caught, runtime._together():
        raise RuntimeError(words)
    assert isinstance(caught.value, ProcessLostError) == lost
    assert words in str(caught.value)


def test_an_error_of_the_communication_itself_is_a_lost_process() -> None:
    from torch.distributed import DistNetworkError

    assert is_loss(DistNetworkError("whatever"))
