"""Networks that only measure: weights that come with the package, known by a hash in the code.

A measuring network must be the same for everybody, or its figures cannot be compared. So its weights lie in this
package, as 16-bit floats, and the module that uses them names their sha256; beside them a card tells what they learnt
from. None of these networks takes part in any training, and none was trained on what is measured with it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import open_checked
from audiogan.corpus.names import escape
from audiogan.errors import CheckpointError

WEIGHTS = Path(__file__).parent / "weights"
MAX_BYTES = 16 * 2**20


def save(name: str, module: nn.Module, card: Mapping[str, object], folder: Path = WEIGHTS) -> str:
    """Write `name.safetensors` at half precision and `name.json`, and return the sha256 of the weights.

    Args:
        name: Of the network.
        module: Trained.
        card: JSON-able facts: what it learnt from, how well it does, its licence.
        folder: Must exist.

    Raises:
        CheckpointError: A weight is not finite.
        OutputError: The folder cannot be written.
    """
    tensors = {
        key: tensor.detach().cpu().half().contiguous() if tensor.is_floating_point() else tensor.cpu()
        for key, tensor in module.state_dict().items()
    }
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name}: tensor {key} holds NaN or infinity and is not saved", "not_finite")
    data = safetensors.torch.save(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    write_whole(folder / f"{name}.safetensors", data)
    facts = {"name": name, "sha256": sha256, **card}
    write_whole(folder / f"{name}.json", (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode())
    return sha256


def load(name: str, module: nn.Module, sha256: str, folder: Path = WEIGHTS) -> None:
    """Fill a network with its weights, ready to measure.

    Args:
        name: Of the network.
        module: Of the shape that was trained; afterwards frozen, in `eval` mode, as 32-bit floats.
        sha256: Of the weights, as the code knows it.
        folder: Where they lie.

    Raises:
        CorpusError: The file is missing, or too large.
        CheckpointError: It is another one, or does not fit the network.
    """
    path = folder / f"{name}.safetensors"
    data = open_checked(path, max_bytes=MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"{escape(path)}: not the weights of {name} that figures are made with; install again")
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
        module.load_state_dict({key: _whole(tensor) for key, tensor in tensors.items()})
    except (SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{escape(path)}: {reason}; expected the weights of {name}") from None
    module.eval().requires_grad_(False)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
