"""Bound how steep a discriminator can be, layer by layer.

Spectral normalisation (arXiv 1802.05957): every weight is divided by its largest singular value, followed by one power
iteration per forward pass in training, so that D is about 1-Lipschitz before its activations. Layers may say what is
special about their `weight`: `scale` it is multiplied by when used, `inputs_first` where the outputs are its last axis,
`n_tracks` where the first axis numbers separate weights. A layer that begins silent has no largest singular value and
is drawn anew. `bake` makes plain weights of it.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from audiogan.adversarial.game import seed_of

WARM_UP = 15


class Spectral(nn.Module):
    """A weight → the weight over its largest singular value.

    Args:
        weight: To begin with, not zero.
        inputs_first: Whether the last axis is that of the outputs, as in a `GridConv`, and not the first.
        n_lead: Leading axes that number separate weights.
        scale: What the layer multiplies the weight by.
        name: Decides the draws to begin with.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, *, inputs_first: bool, n_lead: int, scale: float, name: str) -> None:
        super().__init__()
        self.inputs_first, self.n_lead, self.scale = inputs_first, n_lead, scale
        matrix = self._matrix(weight.detach())
        generator = torch.Generator().manual_seed(seed_of("spectral", name))
        u = torch.randn(matrix.shape[:-1], generator=generator).to(matrix)
        self.register_buffer("_u", nn.functional.normalize(u, dim=-1))
        self.register_buffer("_v", torch.zeros_like(matrix[..., 0, :]))
        self._iterate(matrix, WARM_UP)

    def _matrix(self, weight: Tensor) -> Tensor:
        """Return the weight as `(..., n_out, n_in)`."""
        if self.inputs_first:
            return weight.flatten(self.n_lead, -2).transpose(-1, -2)
        return weight.flatten(self.n_lead + 1)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> None:
        for _ in range(times):
            self._v.copy_(nn.functional.normalize((self._u.unsqueeze(-2) @ matrix).squeeze(-2), dim=-1))
            self._u.copy_(nn.functional.normalize((matrix @ self._v.unsqueeze(-1)).squeeze(-1), dim=-1))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight such that the layer's largest singular value is about 1."""
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), 1)
        u, v = self._u.clone(), self._v.clone()  # double backward meets them as they were
        largest = (u.unsqueeze(-2) @ matrix @ v.unsqueeze(-1)).squeeze(-1)  # (..., 1)
        return weight / (self.scale * largest.reshape(*largest.shape[:-1], *[1] * (weight.dim() - self.n_lead)))


def normalise_spectrally(module: nn.Module) -> None:
    """Put spectral normalisation on every dense layer and convolution of a module; call before the game is made.

    Args:
        module: The discriminator; at least one layer has a `weight` of two axes or more.
    """
    weights = {name: getattr(layer, "weight", None) for name, layer in module.named_modules()}
    found = {name: weight for name, weight in weights.items() if isinstance(weight, nn.Parameter) and weight.dim() > 1}
    assert found, "no layer with a weight of two axes in the module"
    for name, weight in found.items():
        layer = module.get_submodule(name)
        if not bool(weight.detach().any()):
            generator = torch.Generator().manual_seed(seed_of("silent", name))
            weight.data.copy_(torch.randn(weight.shape, generator=generator))
        bound = Spectral(
            weight,
            inputs_first=getattr(layer, "inputs_first", False),
            n_lead=int(getattr(layer, "n_tracks", None) is not None),
            scale=getattr(layer, "scale", 1.0),
            name=name,
        )
        parametrize.register_parametrization(layer, "weight", bound)


def bake(module: nn.Module) -> None:
    """Make plain weights of normalised ones, under their plain names, so that a model without the tool takes them."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
