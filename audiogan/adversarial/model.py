"""A model to share: the weights and what is needed to build the networks again, without anything of the run.

Weights are stored as 16-bit floats, half the size of a checkpoint's; the networks take them back as 32-bit. No pickle.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audiogan.adversarial.checkpoint import check_schema
from audiogan.adversarial.disk import (
    MAX_HEADER_BYTES,
    json_bytes,
    parse_json,
    parse_tensors,
    read_limited,
    tensor_bytes,
    write_atomically,
)
from audiogan.errors import CheckpointError, OutputError

SCHEMA = 1
MAX_MODEL_BYTES = 8 * 2**30


def save_model(folder: Path, modules: Mapping[str, nn.Module], config: Mapping[str, Any]) -> None:
    """Write `model.safetensors` and `config.json`, enough to generate and nothing else; numbers at half precision.

    Args:
        folder: Created when missing; files of those names are replaced.
        modules: Usually the averaged copies; names without dots.
        config: What the pipeline needs to build them again; finite numbers, strings, lists and mappings.

    Raises:
        CheckpointError: A weight is NaN or infinite.
        OutputError: The folder cannot be written.
    """
    assert not any("." in name for name in modules), f"a dot in a module's name: {list(modules)}"
    flat = {
        f"{name}.{key}": tensor.half() if tensor.is_floating_point() else tensor
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    data = tensor_bytes("model", flat)
    described = {
        "schema": SCHEMA,
        "sha256": hashlib.sha256(data).hexdigest(),
        "modules": list(modules),
        "config": config,
    }
    text = json_bytes(described)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "model.safetensors", data)
        write_atomically(folder / "config.json", text)
    except OSError as error:
        raise OutputError(f"{folder}: model cannot be written: {error.strerror or error}") from error


def load_model(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return the weights of each module by name, on CPU, and the config.

    Args:
        folder: What `save_model` wrote.

    Raises:
        CheckpointError: A file is missing or damaged, a weight is not finite or belongs to no module.
    """
    described = parse_json(folder / "config.json", read_limited(folder / "config.json", MAX_HEADER_BYTES))
    check_schema(folder, described.get("schema"), SCHEMA)
    names, config = described.get("modules"), described.get("config")
    if not isinstance(names, list) or not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'}: expected the keys modules (a list) and config (a mapping)")
    path = folder / "model.safetensors"
    data = read_limited(path, MAX_MODEL_BYTES)
    if hashlib.sha256(data).hexdigest() != described.get("sha256"):
        raise CheckpointError(f"{path}: does not match the sum in config.json; the file is damaged or another model's")
    modules: dict[str, dict[str, Tensor]] = {str(name): {} for name in names}
    for key, tensor in parse_tensors(path, data).items():
        name, _, rest = key.partition(".")
        if name not in modules:
            raise CheckpointError(f"{path}: tensor {key} belongs to none of the modules {names}")
        modules[name][rest] = tensor
    return modules, config
