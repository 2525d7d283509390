"""Generative adversarial networks for music.

`import audiogan` is cheap: nothing heavy is imported before a model is loaded. Everything the command line can do is a
function of `audiogan.workflow`.

Example:
    >>> import audiogan
    >>> model = audiogan.load("path/to/model")  # doctest: +SKIP
    >>> scores = model.generate(count=4, seed=0)  # doctest: +SKIP
    >>> notes = audiogan.load("notes").generate(count=4, seed=0, pitches=[60])  # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING

from audiogan.version import __version__

if TYPE_CHECKING:
    from audiogan.pipeline import Model

__all__ = ["__version__", "load"]


def load(name_or_folder: str | Path | None = None, *, device: str = "auto") -> "Model":
    """Load a trained model by its shipped name or from its folder.

    Args:
        name_or_folder: A name that `audiogan models` lists or a folder with `model.safetensors` and `config.json`;
            None takes the first shipped model.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        A model with `generate`, `interpolate`, `continue_clip`, `accompany`, `infill` and `vary`.

    Raises:
        CheckpointError: No such model, or its files are damaged.
    """
    from audiogan.workflow import load as load_model

    return load_model(name_or_folder, device=device)
