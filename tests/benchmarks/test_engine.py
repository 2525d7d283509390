"""The benchmark of the engine: the plain loop is the same algorithm, time goes to whom it belongs, counts are right."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan import workflow
from audiogan.adversarial.game import Game
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.loader import Loader
from audiogan.adversarial.monitor import Monitor
from audiogan.adversarial.runtime import seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.trainer import TrainConfig, Trainer
from audiogan.pipelines import multitrack, waveform
from audiogan.pipelines.multitrack.dataset import Clips
from audiogan.pipelines.waveform.config import Config as WaveformConfig
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.network_config import ResidualConfig
from audiogan.representation.base import HarmonicConfig
from tests.adversarial.toys import Ring, mlp
from tests.benchmarks import engine, engine_runs
from tests.benchmarks.engine_bare import BareLoop
from tests.benchmarks.engine_cases import SIZES, Case, changes, made_up
from tests.benchmarks.engine_meters import FlopCount, forget_peak, matmul_peak, median_interval, peak_mib
from tests.benchmarks.engine_options import OPTIONS, TOO_SLOW, difference, measure_options
from tests.benchmarks.engine_runs import Turnstile, beside_bare, count_flops, requests_of, train_alone
from tests.pipelines.multitrack.small import CONFIG as SMALL_CLIPS

CPU = torch.device("cpu")
SMALL_NOTES = WaveformConfig(
    sample_rate=8000,
    seconds=0.25,
    lowest_pitch=60,
    highest_pitch=64,
    representation=HarmonicConfig(n_rows=8, n_frames=16, grow_frames=8),
    network=ResidualConfig(width=8, max_width=8, encoder_width=8, encoder_max_width=8, mapping_width=8),
)


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ring_game() -> tuple[dict[str, nn.Module], Game]:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": mlp(2, 2), "discriminator": mlp(2, 1)}
    config = LatentGameConfig(r1=Schedule(start=0.2), r2=Schedule(start=0.2), discriminator_repeats=2)
    return modules, latent_game(modules, z_dim=2, config=config)


def toy(n_steps: int = 12, pair: int = 1, device: str = "cpu") -> Case:
    config = TrainConfig.model_validate({"budget": f"{n_steps} steps", "batch_size": 8, "runtime": {"device": device}})
    return Case("toy", ring_game, Ring(), config, n_steps, pair, made_up=True)


# ---- the plain loop


def test_the_plain_loop_ends_with_the_weights_and_averages_of_the_engine(tmp_path: Path) -> None:
    case = toy()
    (modules, game), (own_modules, own_game) = case.build(), case.build()
    bare = BareLoop(modules, game, case.config, case.n_steps, CPU, exact=True)
    loader = Loader(case.dataset, game, batch_size=8, n_steps=case.n_steps, seed=0)
    batches = loader.batches(0)
    for step in range(case.n_steps):
        bare.step(step, batches)
    trainer = Trainer(own_modules, own_game, case.dataset, case.config, tmp_path, quiet=True)
    trainer.run()
    assert not torch.equal(next(modules["generator"].parameters()), next(ring_game()[0]["generator"].parameters()))
    for mine, theirs in (
        *((modules[name], own_modules[name]) for name in modules),
        (bare.averages["generator"], trainer.averages["generator"]),
    ):
        for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_without_exact_the_plain_loop_draws_from_one_generator() -> None:
    _, game = ring_game()
    bare = BareLoop(*ring_game(), toy().config, 12, CPU)
    moment = bare.moment(3, game.phases[0], 0)
    assert moment.generator("z") is moment.generator("other")
    assert not torch.equal(moment.normal("z", 4, 2), moment.normal("z", 4, 2))


# ---- whose time is whose


def test_time_between_two_pairs_is_the_engines_but_for_the_others_turn() -> None:
    now, turns = [0.0], []

    def other(step: int) -> None:
        turns.append(step)
        now[0] += 100.0

    gate = Turnstile(Ring(), [2, 1, 1, 1], 2, other, lambda: now[0])
    for spent in (1.0, 2.0, 3.0, 4.0, 5.0):  # moves 0 and 1 are step 0, move 2 is step 1, the second pair begins at 3
        gate.fetch([0], [0])
        now[0] += spent
    assert turns == [0, 2]
    assert gate.others == [100.0, 100.0]
    assert gate.own == [1.0 + 2.0 + 3.0]


def test_an_engine_that_dawdles_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = beside_bare(toy(40, pair=4), CPU)

    def dawdle(self: Monitor, flags: Sequence[Tensor] = ()) -> bool:
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass
        return True

    monkeypatch.setattr(Monitor, "finite", dawdle)
    slow = beside_bare(toy(40, pair=4), CPU)
    assert slow["pairs"] == usual["pairs"] == 8  # of ten the first warms up and the last has no end
    assert slow["low"] <= slow["ratio"] <= slow["high"]
    assert slow["ratio"] > usual["ratio"] + 1.0


def test_the_record_of_a_run_is_read_by_the_clock_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    now, case = [0.0], toy(20)

    class Slow(Ring):
        def fetch(self, indices: list[int], seeds: list[int]) -> dict[str, Tensor]:
            now[0] += 0.5
            return super().fetch(indices, seeds)

    monkeypatch.setattr(engine_runs, "clock_of", lambda device: lambda: now[0])
    found = train_alone(replace(case, dataset=Slow()))
    assert found["ms_per_step"] == pytest.approx(1500.0)  # three moves
    assert found["examples_per_second"] == pytest.approx(8 / 1.5)
    assert found["wait_share"] == pytest.approx(1.0)
    assert found["ms_per_phase"] == {"discriminator": 0.0, "generator": 0.0, "engine": 0.0}


def test_what_is_recorded_adds_up_to_a_step() -> None:
    found = train_alone(toy(20))
    parts = sum(found["ms_per_phase"].values()) + found["wait_share"] * found["ms_per_step"]
    assert parts == pytest.approx(found["ms_per_step"], rel=0.2)
    assert found["peak_mib"] > 10.0


# ---- meters


def test_operations_of_both_passes_are_counted_where_double_backward_is() -> None:
    layer, x = nn.Linear(6, 5, bias=False), torch.randn(4, 6, requires_grad=True)
    product = 2 * 4 * 6 * 5
    with FlopCount() as forward:
        y = layer(x)
    assert forward.total == product
    with FlopCount() as slope:
        (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    assert slope.total == product
    with FlopCount() as back:
        gradient.square().sum().backward()
    assert back.total == 4 * product  # through the slope to weight and output, through the output to weight and input


def test_operations_of_a_step_are_those_of_its_moves() -> None:
    found = count_flops(toy(), CPU)
    assert found["step"] == 2 * found["discriminator"] + found["generator"]
    assert min(found.values()) > 0.0


def test_the_peak_of_memory_begins_anew() -> None:
    forget_peak(CPU)
    before = peak_mib(CPU)
    kept = torch.ones(16, 2**20)  # 64 MiB
    assert peak_mib(CPU) > before + 60.0
    del kept
    forget_peak(CPU)
    assert peak_mib(CPU) < before + 30.0


def test_a_matmul_peak_is_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.matmul_peak.__globals__["SIZES"], "cpu", 128)
    assert 1e8 < matmul_peak(CPU, torch.float32, 3) < 1e14


def test_the_median_has_its_interval() -> None:
    assert median_interval([2.0, 1.0, 3.0]) == (2.0, 1.0, 3.0)
    assert median_interval([1.0] * 50 + [9.0]) == (1.0, 1.0, 1.0)


# ---- options for speed


def test_options_are_measured_or_named_as_not_offered() -> None:
    found = measure_options(toy(5), CPU, {"bf16": OPTIONS["bf16"], "wishes": {"wishes": True}})
    assert found["wishes"] == "not offered"
    assert found["bf16"]["speed_up"] > 0.0
    assert 0.0 < found["bf16"]["loss_difference"] < 0.05
    assert found["bf16"]["equal"]


def test_losses_differ_by_length() -> None:
    assert difference({"a": 3.0, "b": 4.0}, {"a": 3.0, "b": 4.5}) == pytest.approx(0.1)


# ---- made-up data


@pytest.mark.parametrize("name", SIZES)
def test_the_recipes_still_take_what_is_changed_about_them(name: str) -> None:
    for device in ("cpu", "cuda"):
        recipe, _ = workflow.resolve(name, changes(name, torch.device(device))[1])
        assert recipe.section("train").runtime.device == device
    assert recipe.section("train").batch_size == workflow.resolve(name)[0].section("train").batch_size


def shapes(batch: dict[str, Tensor]) -> dict[str, Any]:
    return {name: (tuple(column.shape[1:]), column.dtype) for name, column in batch.items()}


def test_made_up_clips_have_the_shapes_of_real_ones() -> None:
    found = made_up(SMALL_CLIPS, 4).fetch([0, 3], [0, 0])
    empty = Clips.__new__(Clips)
    empty.config = SMALL_CLIPS
    assert shapes(found) == shapes(empty.fetch([], []))
    modules = multitrack.build(SMALL_CLIPS)
    game = multitrack.phases(modules, SMALL_CLIPS, multitrack.GameConfig(), multitrack.OptimizerConfig())
    moves_all(modules, game, found)


def test_made_up_notes_are_what_the_game_asks_for() -> None:
    found = made_up(SMALL_NOTES, 4).fetch([0, 3], [0, 0])
    told = Notes.fetch.__doc__ or ""
    assert all(f"`{name}`" in told for name in found)
    assert found["planes"].shape == (2, *SMALL_NOTES.represent().shape)
    assert found["pitch"].min() >= 60
    assert found["pitch"].max() <= 64
    modules = waveform.build(SMALL_NOTES)
    game = waveform.phases(modules, SMALL_NOTES, waveform.GameConfig(), waveform.OptimizerConfig())
    moves_all(modules, game, found)


def moves_all(modules: dict[str, nn.Module], game: Game, batch: dict[str, Tensor]) -> None:
    bare = BareLoop(modules, game, TrainConfig(batch_size=2), 10, CPU)
    for phase in game.phases:
        terms = bare.move(phase, bare.moment(9, phase, 0), batch)
        assert all(torch.isfinite(value) for value in terms.values())


# ---- the command


def result(recipe: str, ratio: float) -> dict[str, Any]:
    figures = {key: 1.0 for _, key, _ in engine.SHOWN}
    return figures | {
        "recipe": recipe,
        "batch_size": 8,
        "engine_over_bare": {"ratio": ratio, "low": ratio, "high": ratio},
    }


@pytest.mark.parametrize(("ratio", "code"), [(1.02, 0), (1.13, 0), (1.15, 1)])
def test_a_loss_of_more_than_a_tenth_fails(
    ratio: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIOGAN_CACHE", str(tmp_path))
    earlier = tmp_path / "earlier.json"
    given = ["--recipe", "waveform/smoke", "--device", "cpu"]
    monkeypatch.setattr(engine, "measure_apart", lambda name, *_: result(name, 1.02))
    assert engine.main([*given, "--out", str(earlier)]) == 0
    assert json.loads(earlier.read_text())["machine"]["device"] == "cpu"
    assert "| waveform/smoke | 8 | 1.0 |" in capsys.readouterr().out
    monkeypatch.setattr(engine, "measure_apart", lambda name, *_: result(name, ratio))
    assert engine.main([*given, "--compare", str(earlier)]) == code
    said = capsys.readouterr()
    assert json.loads(said.out)["recipes"][0]["recipe"] == "waveform/smoke"
    assert ("engine takes 1.150 times the plain loop, 1.020 before" in said.err) == (code == 1)


def test_results_of_another_device_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text('{"machine": {"device": "cuda"}, "recipes": []}')
    with pytest.raises(SystemExit):
        engine.main(["--recipe", "--device", "cpu", "--compare", str(earlier)])
    assert "measured on cuda; expected cpu" in capsys.readouterr().err


def test_a_case_is_measured_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engine.matmul_peak.__globals__["SIZES"], "cpu", 256)
    found = engine.measure(toy(10), CPU, options=True)
    assert json.loads(json.dumps(found)) == found
    assert 0.0 < found["peak_share"] < 1.0
    assert found["options"]["bf16"]["equal"]
    assert found["options"]["compile"] == TOO_SLOW
    assert found["options"]["channels_last"]["equal"]
    assert len(requests_of(toy(10))) == 30
    assert len(engine.table([found]).splitlines()) == 3


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_case_is_measured_on_cuda() -> None:
    found = engine.measure(toy(10, device="cuda:0"), torch.device("cuda:0"), options=True)
    assert found["dtype"] == "bfloat16"
    assert found["engine_over_bare"]["ratio"] > 0.0
    assert found["options"]["bf16"]["equal"]
