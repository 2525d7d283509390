"""The machine behind the trainer: devices, signals, seeds, and two processes that train as one."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from audiogan.adversarial.checkpoint import Store
from audiogan.adversarial.game import Moment
from audiogan.adversarial.runtime import Runtime, RuntimeConfig, StopRequest, choose_device, seeded
from audiogan.errors import UsageError
from tests.adversarial import toys


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(UsageError, match="no CUDA device is usable here") as caught:
        choose_device("cuda:1")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["banana", "cuda:", "cuda:-1", "cuda:0x", "CPU", "mps"])
def test_a_device_of_no_known_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"expected auto, cpu, cuda or cuda:N"):
        choose_device(name)


def test_a_cuda_device_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UsageError, match="cuda:9: there are 2 CUDA devices"):
        choose_device("cuda:9")


def test_modules_are_built_alike_from_a_seed_without_touching_the_global_generator() -> None:
    before = torch.get_rng_state()
    built = []
    for seed in (0, 0, 1):
        with seeded(seed, "modules"):
            built.append(nn.Linear(3, 3).weight)
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])
    assert torch.equal(before, torch.get_rng_state())


def test_layers_draw_the_same_at_the_same_moment() -> None:
    runtime = Runtime(RuntimeConfig(device="cpu"))
    draws = []
    for step in (1, 2, 1):
        runtime.seed_layers(Moment(step=step, share=0.1, n_seen=0))
        draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


def test_bf16_computes_terms_in_half_and_keeps_weights() -> None:
    runtime = Runtime(RuntimeConfig(device="cpu", precision="bf16"))
    module = nn.Linear(2, 2)
    with runtime.autocast():
        assert module(torch.randn(1, 2)).dtype == torch.bfloat16
    assert module.weight.dtype == torch.float32
    assert Runtime(RuntimeConfig(device="cpu")).precision == "fp32"


def test_threads_and_deterministic_mode_are_set() -> None:
    before = torch.get_num_threads()
    try:
        assert Runtime(RuntimeConfig(device="cpu", threads=1, deterministic=True)).pins()["threads"] == 1
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(before)


def test_a_batch_arrives_on_the_device() -> None:
    batch = Runtime(RuntimeConfig(device="cpu")).to_device({"real": torch.zeros(2)})
    assert batch["real"].device.type == "cpu"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_first_signal_is_noted_and_a_second_one_would_end_the_process(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.exit_code == 0
        os.kill(os.getpid(), number)
        assert stop.exit_code == code
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before


def free_port() -> int:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        return given.getsockname()[1]


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    shared = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(toys.__file__).parents[2]),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    command = [sys.executable, toys.__file__, str(tmp_path / "two")]
    ranks = [
        subprocess.Popen(command, env=shared | {"RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    toys.plain_trainer(tmp_path / "one").run()
    for process in ranks:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    one, two = Store(tmp_path / "one").load_newest(), Store(tmp_path / "two").load_newest()
    assert one is not None
    assert two is not None
    assert two.state["pins"]["world"] == 2
    for stem in ("generator", "discriminator", "ema"):
        for name, tensor in one.tensors[stem].items():
            assert torch.allclose(tensor, two.tensors[stem][name], atol=2e-6), f"{stem} {name}"
    lines = [
        [json.loads(text) for text in (tmp_path / name / "stats.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(lines[0]) == len(lines[1]) == 3 + 4
    assert Store(tmp_path / "two").best() == {"step": 6, "metric": "score/distance", "value": 2.0}
    for alone, together in zip(*lines, strict=True):
        if "hook" in alone:
            continue
        assert alone["discriminator/adversarial"] == pytest.approx(together["discriminator/adversarial"], abs=1e-5)
