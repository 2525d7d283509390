"""F9: memory runs out. The batch is computed in portions, with the gradient of the whole, from the last good point."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.config import TrainConfig
from audiogan.adversarial.game import Moment
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.portions import Portions
from audiogan.adversarial.runtime import RuntimeConfig, seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import Trainer
from audiogan.errors import TrainingError
from tests.adversarial import toys

N_BATCH = 8


class Hungry(nn.Module):
    """A network with room for so many examples; `full_from` says from which call on memory is scarce."""

    def __init__(self, network: nn.Module, room: int, full_from: int = 0) -> None:
        super().__init__()
        self.network, self.room, self.full_from = network, room, full_from
        self.seen: list[int] = []

    def forward(self, examples: Tensor) -> Tensor:
        self.seen.append(len(examples))
        if len(self.seen) > self.full_from and len(examples) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.network(examples)


def hungry(folder: Path, room: int = N_BATCH, full_from: int = 0, **options: Any) -> tuple[Trainer, Hungry]:
    """Return a trainer whose discriminator has room for so many examples, and the discriminator."""
    with seeded(0, "modules"):
        judge = Hungry(toys.mlp(2, 1), room, full_from)
        modules: dict[str, nn.Module] = {"generator": toys.mlp(2, 2), "discriminator": judge}
    game = latent_game(modules, z_dim=2, config=LatentGameConfig(r1=Schedule(start=0.2), r2=Schedule(start=0.2)))
    settings = {"budget": "8 steps", "checkpoint_steps": 3, "score": toys.NO_SCORE} | options
    config = TrainConfig(**settings, batch_size=N_BATCH, tensorboard=False)
    return Trainer(modules, game, toys.Ring(), config, folder, quiet=True), judge


def weights(folder: Path) -> Mapping[str, Tensor]:
    newest = Store(folder).load_newest()
    assert newest is not None
    return {
        f"{stem}.{name}": tensor
        for stem in ("generator", "discriminator", "ema")
        for name, tensor in newest.tensors[stem].items()
    }


def test_the_batch_is_halved_until_it_fits_and_the_gradient_is_that_of_the_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hungry(tmp_path / "roomy")[0].run()
    tight, judge = hungry(tmp_path / "tight", room=3)
    ended = tight.run()
    assert (ended.step, ended.exit_code) == (8, 0)
    assert tight.recovery.times == 0, "no rollback: step sizes stay"
    assert set(judge.seen[-12:]) == {2}
    assert caplog.text.count("out of memory: CUDA out of memory") == 2
    assert "back to step 0, every batch in 4 portions from there" in caplog.text
    roomy, found = weights(tmp_path / "roomy"), weights(tmp_path / "tight")
    assert all(torch.allclose(value, found[name], atol=1e-6) for name, value in roomy.items())


def test_late_it_goes_on_from_the_last_checkpoint_and_a_killed_run_repeats_it(tmp_path: Path) -> None:
    late, judge = hungry(tmp_path / "late", room=4, full_from=20)
    late.run()
    assert judge.seen.count(N_BATCH) > 20
    newest = Store(tmp_path / "late").load_newest()
    assert newest is not None
    assert newest.state["pins"]["portions"] == 2
    # The same from the same checkpoint by hand: three whole steps, then portions of four.
    hungry(tmp_path / "by hand")[0].run()
    for step in (6, 8):
        Store(tmp_path / "by hand").path(step).rename(tmp_path / f"gone-{step}")
    again, judge = hungry(tmp_path / "by hand", runtime=RuntimeConfig(at_once=4))
    again.run()
    assert set(judge.seen) == {4}
    by_hand, found = weights(tmp_path / "by hand"), weights(tmp_path / "late")
    assert all(torch.equal(value, found[name]) for name, value in by_hand.items())
    for step in (6, 8):
        Store(tmp_path / "late").path(step).rename(tmp_path / f"late-{step}")
    resumed, judge = hungry(tmp_path / "late", room=4)
    resumed.run()
    assert all(torch.equal(value, by_hand[name]) for name, value in weights(tmp_path / "late").items())


def test_a_resumed_run_keeps_its_portions(tmp_path: Path) -> None:
    hungry(tmp_path, room=4, budget="4 steps")[0].run()
    resumed, judge = hungry(tmp_path, budget="8 steps")
    resumed.run()
    assert set(judge.seen) == {4}


def test_while_the_speed_is_measured_it_is_forgiven_too(tmp_path: Path) -> None:
    timed, judge = hungry(tmp_path, room=4, budget="0.001 minutes")
    assert timed.run().exit_code == 0
    assert judge.seen[0] == 8
    assert judge.seen[-1] == 4


def test_a_single_example_that_does_not_fit_is_a_clear_end(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not suffice for one example at a time") as caught:
        hungry(tmp_path, room=0)[0].run()
    assert (caught.value.reason, caught.value.exit_code) == ("out_of_memory", 4)
    assert "Tried to allocate 2.00 GiB" in str(caught.value)


def test_two_processes_cut_their_batches_together_when_one_has_no_memory(together: tuple[Path, dict[str, Any]]) -> None:
    folder, outcome = together
    assert (outcome["hungry"]["code"], outcome["hungry"]["failures"]) == (0, [])
    newest = Store(folder / "hungry").load_newest()
    assert newest is not None
    assert (newest.state["pins"]["portions"], newest.state["rollbacks"]) == (2, 0)
    calm, found = weights(folder / "alone"), weights(folder / "hungry")
    assert all(torch.allclose(value, found[name], atol=2e-6) for name, value in calm.items())
    sums = [(folder / "hungry" / f"weights-{rank}").read_text() for rank in (0, 1)]
    assert sums[0] == sums[1]


def test_examples_of_portions_count_once_for_what_adapts() -> None:
    """A portion draws as a process of its own, which it is not."""
    seen: list[int] = []

    def terms(batch: Mapping[str, Tensor], moment: Moment) -> dict[str, Tensor]:
        seen.append(len(batch["x"]) * (moment.world // moment.portions))
        return {"loss": batch["x"].sum() * torch.ones((), requires_grad=True)}

    moment = Moment(step=0, share=0.0, n_seen=0, span_share=0.0, seed=0, rank=1, world=2)
    Portions(at_once=2).backward(terms, {"x": torch.ones(8)}, moment, nullcontext)
    assert sum(seen) == 8 * 2
