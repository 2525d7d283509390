"""Weights that are known by a hash: what comes back, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from audiogan.errors import CheckpointError, CorpusError
from audiogan.evaluation.pinned import WEIGHTS, load, save


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_weights_come_back_at_half_precision_and_frozen(tmp_path: Path) -> None:
    trained, again = network(), network()
    sha256 = save("small", trained, {"licence": "Apache-2.0"}, tmp_path)
    load("small", again, sha256, tmp_path)
    for key, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor, trained.state_dict()[key], atol=1e-3, rtol=1e-3)
        assert tensor.dtype in (torch.float32, torch.int64)
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert json.loads((tmp_path / "small.json").read_text()) == {
        "name": "small",
        "sha256": sha256,
        "licence": "Apache-2.0",
    }


def test_other_weights_are_refused(tmp_path: Path) -> None:
    sha256 = save("small", network(), {}, tmp_path)
    path = tmp_path / "small.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="not the weights of small"):
        load("small", network(), sha256, tmp_path)
    with pytest.raises(CorpusError):
        load("none", network(), sha256, tmp_path)
    fits_not = save("other", nn.Linear(2, 2), {}, tmp_path)
    with pytest.raises(CheckpointError, match="expected the weights of other"):
        load("other", network(), fits_not, tmp_path)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="NaN"):
        save("broken", broken, {}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["note_net", "roll_net"])
def test_the_cards_of_the_shipped_networks_are_complete(name: str) -> None:
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    assert card["name"] == name
    assert card["licence"] == "Apache-2.0"
    assert set(card["accuracy"]) == {"valid", "test"}
    assert (WEIGHTS / f"{name}.safetensors").stat().st_size < 2 * card["n_parameters"] + 20_000
