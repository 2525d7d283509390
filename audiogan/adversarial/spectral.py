"""Bound how steep a discriminator can be, layer by layer.

Spectral normalisation (arXiv 1802.05957): every weight is divided by its largest singular value, followed by one power
iteration per forward pass in training, so that D is about 1-Lipschitz before its activations.
"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

NORMALISED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def normalise_spectrally(module: nn.Module) -> None:
    """Put spectral normalisation on every dense layer and convolution of a module; call before the game is made.

    Args:
        module: The discriminator, made of torch's own layers; at least one.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, NORMALISED)]
    assert layers, f"no layer of {[kind.__name__ for kind in NORMALISED]} in the module"
    for layer in layers:
        spectral_norm(layer)
