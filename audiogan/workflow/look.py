"""The verbs that only look: what a file holds, and what this computer can do.

`inspect` imports no torch, so that a folder can be judged in a moment on any machine.
"""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audiogan import recipe
from audiogan.corpus.limits import LIMITS
from audiogan.pipeline import pipeline_names
from audiogan.version import __version__
from audiogan.workflow.model import models

LIBRARIES = ("torch", "torchaudio", "numpy", "librosa", "soundfile", "soxr", "pretty_midi", "symusic", "accelerate")
LOAD_ERRORS = (ImportError, OSError, RuntimeError, AttributeError)
"""What a library with a compiled part raises when that part is missing or another version's."""


def inspect(path: str | Path, **options: Any) -> dict[str, Any]:
    """Say what the gate makes of a file, or of every file in a folder; nothing is written.

    Args:
        path: A file or a folder.
        options: Passed on to `corpus.index.inspect_file`.

    Returns:
        For a file `status` (`ok` or `skip`), `reason`, `warnings`, `kind`, `notes`, `seconds`.
    """
    from audiogan.corpus import index

    return index.inspect_file(Path(path), **options)


def doctor() -> dict[str, Any]:
    """Say what this computer can do: versions, devices, libraries that load, models, recipes and limits.

    Returns:
        JSON-able facts under `audiogan`, `python`, `system`, `libraries`, `torch`, `torchaudio`, `models`, `recipes`,
        `pipelines` and `limits`.
    """
    return {
        "audiogan": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "torch": _torch_facts(),
        "torchaudio": _torchaudio_facts(),
        "models": [facts["name"] for facts in models()],
        "recipes": recipe.names(),
        "pipelines": pipeline_names(),
        "limits": LIMITS.table(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch_facts() -> dict[str, Any]:
    try:
        import torch
    except LOAD_ERRORS as error:
        return _does_not_load(error)
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(number) for number in range(n_devices)],
        "device": "cuda:0" if n_devices else "cpu",
    }


def _torchaudio_facts() -> dict[str, Any]:
    """Try to load torchaudio: its compiled part must match the installed torch, which pip does not check."""
    if "torchaudio" not in sys.modules and find_spec("torchaudio") is None:
        return {"loads": False, "why": "not installed"}
    try:
        import torchaudio
    except LOAD_ERRORS as error:
        return _does_not_load(error)
    return {"loads": True, "version": str(torchaudio.__version__)}


def _does_not_load(error: Exception) -> dict[str, Any]:
    return {"loads": False, "why": str(error).splitlines()[0] if str(error) else type(error).__name__}
