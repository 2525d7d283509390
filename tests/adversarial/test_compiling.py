"""Compiled networks: equal to plain ones or left alone, invisible in checkpoints, and resumed as they were."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiogan.adversarial import compiling
from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.compiling import MOST_KINDS, Compilable
from audiogan.adversarial.game import OptimizerConfig
from audiogan.adversarial.latent import LatentGameConfig, latent_game
from audiogan.adversarial.runtime import Runtime, RuntimeConfig, seeded
from audiogan.adversarial.schedule import Schedule
from audiogan.adversarial.slopes import Side, TestedSlope, exact_slope
from audiogan.adversarial.trainer import TrainConfig, Trainer
from tests.adversarial.toys import NO_SCORE, Ring, mlp

Compile = Callable[..., Any]


@pytest.fixture(autouse=True)
def _traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace and differentiate ahead of time, but compile nothing: what an inductor would be given."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch.compiler.reset()


def network(seed: int = 0) -> nn.Sequential:
    with seeded(seed, "modules"):
        return mlp(2, 1, width=8)


def points(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def compilable(module: nn.Module, function: Compile | None = None) -> Compilable:
    found = Compilable("net", function or module, module)
    found.switch_on(compiling.BACKEND)
    return found


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Callable[[Compile], None]:
    """Take a function from functions to functions for the compiler."""

    def take(made: Compile) -> None:
        monkeypatch.setattr(torch, "compile", lambda function, **_: made(function))

    return take


# ---- one function


def test_a_compiled_function_gives_the_values_and_gradients_of_the_plain_one() -> None:
    module, traced = network(), []

    def told(x: Tensor) -> Tensor:
        traced.append(torch.compiler.is_compiling())
        return module(x)

    compiled, x = compilable(module, told), points(4, 2).requires_grad_()
    found = [torch.autograd.grad(call(x).square().sum(), [x, *module.parameters()]) for call in (compiled, module)]
    assert traced[0] is False, "the plain function is asked first"
    assert len(traced) > 1
    assert all(traced[1:])
    assert not compiled.is_refused
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)


def test_compiled_slopes_move_the_weights_as_exact_ones_do() -> None:
    module = network()
    found = []
    for tested in (None, TestedSlope(module)):
        if tested is not None:
            tested.steep.switch_on(compiling.BACKEND)
        side = Side(module, lambda x: 2.0 * x.roll(1, dims=1) + 0.5)
        _, squared = (tested or exact_slope)(side, points(6, 2))
        found.append(torch.autograd.grad(squared.mean(), list(module.parameters())[:1])[0])
        assert tested is None or (tested.steep.is_on and len(tested.steep._passed) == 1)
    assert found[0].norm() > 0.01
    assert torch.allclose(*found, rtol=1e-4, atol=1e-6)


def doubled_slope(function: Compile) -> Compile:
    """A compiler whose values are right and whose gradients are not."""
    return lambda x: 2.0 * function(x) - function(x).detach()


def broken(function: Compile) -> Compile:
    def call(x: Tensor) -> Tensor:
        raise RuntimeError("no compiler here\nlong story")

    return call


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda function: lambda x: 1.01 * function(x), "other values or gradients"),
        (lambda function: lambda x: function(x) * torch.nan, "other values or gradients"),
        (doubled_slope, "other values or gradients"),
        (broken, r"impossible here (RuntimeError: no compiler here)"),
    ],
)
def test_a_compiler_that_errs_is_left_alone_with_one_warning(
    made: Compile, reason: str, compiler: Callable[[Compile], None], caplog: pytest.LogCaptureFixture
) -> None:
    compiler(made)
    module = network()
    compiled = compilable(module)
    with caplog.at_level(logging.WARNING):
        for seed in (1, 2):
            assert torch.equal(compiled(points(4, 2, seed=seed)), module(points(4, 2, seed=seed)))
    assert compiled.is_refused
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("compiled calls of net ")
    assert reason in caplog.messages[0]


def test_memory_that_runs_out_in_the_test_leaves_a_function_plain(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def starve(*_: object) -> str:
        raise torch.OutOfMemoryError("no room for two")

    monkeypatch.setattr(Compilable, "_fault", starve)
    module, x = network(), points(4, 2)
    compiled = compilable(module)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(compiled(x), module(x))
    assert compiled.is_refused
    assert "leave no memory for their test" in caplog.text


def test_a_torch_that_cannot_compile_at_all_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("half of torch is missing")

    monkeypatch.setattr(torch, "compile", refuse)
    module = network()
    assert torch.equal(compilable(module)(points(4, 2)), module(points(4, 2)))
    assert "impossible here (ImportError: half of torch is missing)" in caplog.messages[0]


def test_every_kind_of_call_is_tested_once(compiler: Callable[[Compile], None]) -> None:
    class WithoutLength:
        """Compiled modules ask the module for their length."""

        def __init__(self, function: Compile) -> None:
            self.function = function

        def __len__(self) -> int:
            raise TypeError("no length")

        def __call__(self, x: Tensor) -> Tensor:
            return self.function(x) if x.requires_grad else 2.0 * self.function(x)

    compiler(WithoutLength)
    module = network()
    compiled = compilable(module)
    for length in (4, 5):
        compiled(points(length, 2).requires_grad_())
    assert not compiled.is_refused
    assert torch.equal(compiled(points(4, 2)), module(points(4, 2)))
    assert compiled.is_refused


def test_another_layout_of_weights_is_another_kind(compiler: Callable[[Compile], None]) -> None:
    module = nn.Conv2d(3, 4, 3)
    compiler(lambda function: lambda x: function(x) * (1.0 if module.weight.is_contiguous() else 1.01))
    compiled, x = compilable(module), points(2, 3, 5, 5)
    compiled(x)
    assert not compiled.is_refused
    module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    assert torch.equal(compiled(x), module(x))
    assert compiled.is_refused


def test_in_half_precision_both_are_measured_by_float32(compiler: Callable[[Compile], None]) -> None:
    full = lambda function: lambda x: _in_float32(function, x)  # noqa: E731 - a compiler that rounds less
    found = []
    for made in (full, lambda function: lambda x: 1.2 * function(x)):
        compiler(made)
        compiled = compilable(network())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            compiled(points(4, 2))
        found.append(compiled.is_refused)
    assert found == [False, True]


def _in_float32(function: Compile, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return function(x)


def test_the_test_leaves_draws_and_buffers_alone(compiler: Callable[[Compile], None]) -> None:
    compiler(lambda function: function)
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    again = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    torch.manual_seed(0)
    found = compilable(module)(points(4, 2))
    torch.manual_seed(0)
    assert torch.equal(found, again(points(4, 2)))
    for ours, plain in zip(module.buffers(), again.buffers(), strict=True):
        assert torch.equal(ours, plain)


def test_plain_numbers_are_never_compiled_and_shapes_without_end_no_longer(
    compiler: Callable[[Compile], None], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    compiler(lambda function: lambda x: (calls.append(len(x)), function(x))[1])
    compiled = compilable(network(), lambda x, scale=1.0: scale * x)
    assert torch.equal(compiled(points(3, 2), 2.0), 2.0 * points(3, 2))
    assert not calls
    for length in range(1, MOST_KINDS + 2):
        assert len(compiled(points(length, 2))) == length
    assert set(calls) == set(range(1, MOST_KINDS + 1))
    assert "too many shapes" in caplog.messages[0]


# ---- a run


def game_trainer(folder: Path, n_steps: int = 6, *, compiles: bool = True, impl: str = "exact") -> Trainer:
    with seeded(0, "modules"):
        modules: dict[str, nn.Module] = {"generator": mlp(2, 2, width=8), "discriminator": mlp(2, 1, width=8)}
    gamma, rate = Schedule(start=0.2, end=0.1, shape="linear"), OptimizerConfig(lr=Schedule(start=0.01))
    options = {"r1": gamma, "r2": gamma, "penalty_interval": 2, "penalty_impl": impl}
    config = LatentGameConfig.model_validate(options)
    game = latent_game(modules, z_dim=2, config=config, generator_optimizer=rate, discriminator_optimizer=rate)
    runtime = Runtime(RuntimeConfig(device="cpu", compile="on" if compiles else "off"))
    settings = TrainConfig(
        budget=f"{n_steps} steps", batch_size=4, checkpoint_steps=3, tensorboard=False, score=NO_SCORE
    )
    return Trainer(modules, game, Ring(), settings, folder, runtime=runtime, quiet=True)


def newest(folder: Path) -> dict[str, dict[str, Tensor]]:
    found = Store(folder).load_newest()
    assert found is not None
    return {stem: dict(tensors) for stem, tensors in found.tensors.items()}


@pytest.mark.parametrize("impl", ["exact", "func"])
def test_a_compiled_run_is_the_plain_run_and_resumes_bit_for_bit(tmp_path: Path, impl: str) -> None:
    game_trainer(tmp_path / "plain", compiles=False, impl=impl).run()
    whole = game_trainer(tmp_path / "whole", impl=impl)
    whole.run()
    own = {each.name: (each.is_on, len(each._passed)) for each in whole.game.compilable}
    slopes = 1 if impl == "func" else 0  # exact penalties are differentiated twice, which no compiled D bears
    assert own == {"generator": (True, 2), "discriminator": (True, 3), "slope": (True, slopes)}
    torch.compiler.reset()
    (tmp_path / "resumed" / "checkpoints").mkdir(parents=True)
    Store(tmp_path / "resumed").path(3).symlink_to(Store(tmp_path / "whole").path(3))
    game_trainer(tmp_path / "resumed", impl=impl).run()
    plain, one, two = (newest(tmp_path / name) for name in ("plain", "whole", "resumed"))
    names = [{f"{stem} {name}" for stem in each for name in each[stem]} for each in (one, two, plain)]
    assert names[0] == names[1] == names[2]
    for stem, tensors in one.items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, two[stem][name]), f"{stem} {name}"
            assert torch.allclose(tensor, plain[stem][name], atol=1e-4), f"{stem} {name}"


def test_what_was_left_plain_stays_plain_when_a_run_goes_on(
    tmp_path: Path, compiler: Callable[[Compile], None], caplog: pytest.LogCaptureFixture
) -> None:
    compiler(lambda function: lambda *x: 1.01 * function(*x))
    game_trainer(tmp_path, 3).run()
    found = Store(tmp_path).load_newest()
    assert found is not None
    assert found.state["pins"]["compile"] == "aot_eager"
    assert found.state["pins"]["plain"] == "generator discriminator"
    compiler(lambda function: function)
    caplog.clear()
    again = game_trainer(tmp_path, 6)
    again.run()
    assert [each.is_refused for each in again.game.compilable] == [True, True, False]
    assert not [text for text in caplog.messages if "compiled" in text]


def test_words_of_yaml_are_understood_and_nothing_is_compiled_on_a_cpu_unasked(tmp_path: Path) -> None:
    assert RuntimeConfig.model_validate({"compile": True}).compile == "on"
    assert RuntimeConfig.model_validate({"compile": False}).compile == "off"
    with pytest.raises(ValueError, match="'auto', 'on' or 'off'"):
        RuntimeConfig.model_validate({"compile": "perhaps"})
    usual = Runtime(RuntimeConfig(device="cpu"))
    assert not usual.tuning.compiles
    assert "compile" not in usual.pins()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
@pytest.mark.skipif("AUDIOGAN_SLOW" not in os.environ, reason="the first call of inductor takes minutes on a CPU")
def test_inductor_passes_its_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "inductor")
    trainer = game_trainer(tmp_path, impl="func")
    trainer.run()
    assert [each.is_on for each in trainer.game.compilable] == [True, True, True]
