"""What is fitted to the corpus besides the weights: the scale of planes before training, the mixture of timbres after.

`settle` lets the networks see every plane with mean 0 and one size; it must come after `build` and before averages are
copied. `finish` fits the mixture of Gaussians, from which timbres are drawn, to what the averaged encoder makes of the
training notes; during training it followed an encoder that was still learning.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from audiogan.adversarial.game import seed_of
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.encoder import Mixture, TimbreEncoder
from audiogan.pipelines.waveform.plan import Sheet, hertz, set_normalizer
from audiogan.representation.base import Normalizer

N_NOTES = 1024
N_TIMBRES = 4096
N_UPDATES = 40
BATCH = 32


def _evenly(notes: Notes, n_most: int) -> Iterator[dict[str, Tensor]]:
    """Yield batches of up to `n_most` notes, spread evenly over all."""
    chosen = torch.linspace(0, len(notes) - 1, min(n_most, len(notes))).long().tolist()
    for first in range(0, len(chosen), BATCH):
        indices = chosen[first : first + BATCH]
        yield notes.fetch(indices, indices)


def settle(modules: Mapping[str, nn.Module], config: Config, dataset: Notes) -> None:
    """Set the scale of planes in all networks; to be called after `build`, before training.

    A generator that comes from another model keeps its scale, and the other networks take it over. The classic networks
    have none: they take planes as they are.

    Args:
        modules: What `build` made, perhaps with weights of a model begun with.
        config: Of the model.
        dataset: The training notes.
    """
    sheets = [part for part in modules["generator"].modules() if isinstance(part, Sheet)]
    if not sheets:
        return
    own = Normalizer(sheets[0].scale.clone(), sheets[0].shift.clone())
    is_set = bool((own.scale != 1).any() or (own.shift != 0).any())
    set_normalizer(modules, own if is_set else fit_normalizer(config, dataset))


def fit_normalizer(config: Config, dataset: Notes) -> Normalizer:
    """Return the map that gives the planes of training notes mean 0 and standard deviation one half.

    Args:
        config: Of the model.
        dataset: The training notes, one or more; about a thousand are looked at.
    """
    mask = config.represent().mask
    batches = ((batch["planes"], mask(hertz(batch["pitch"]))) for batch in _evenly(dataset, N_NOTES))
    return Normalizer.fit(batches)


def finish(modules: Mapping[str, nn.Module], config: Config, dataset: Notes, *, seed: int) -> None:
    """Fit the mixture of timbres to the training notes; a model without an encoder stays as it is.

    Args:
        modules: Averaged networks.
        config: Of the model.
        dataset: The training notes.
        seed: Decides where the fit begins.
    """
    del config
    encoder = modules.get("encoder")
    if not isinstance(encoder, TimbreEncoder) or not len(dataset):
        return
    fit_mixture(encoder.mixture, embed_notes(encoder.eval(), dataset), seed=seed)


@torch.no_grad()
def embed_notes(encoder: TimbreEncoder, dataset: Notes, n_most: int = N_TIMBRES) -> Tensor:
    """Return timbres of notes, `(note, timbre)` on the encoder's device.

    Args:
        encoder: Trained.
        dataset: Notes.
        n_most: Of more notes some are chosen, evenly.
    """
    like = encoder.mixture.mean
    return torch.cat([encoder(batch["planes"].to(like), batch["pitch"].to(like)) for batch in _evenly(dataset, n_most)])


@torch.no_grad()
def fit_mixture(mixture: Mixture, h: Tensor, *, seed: int) -> None:
    """Fit a mixture to timbres by expectation maximisation; it begins at notes far from each other.

    Args:
        mixture: Changed.
        h: `(note, timbre)`, one or more.
        seed: Decides which notes.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "mixture"))
    chosen = [int(torch.randint(len(h), (1,), generator=generator))]
    nearest = torch.full((len(h),), torch.inf, device=h.device)
    while len(chosen) < len(mixture.weight):
        nearest = torch.minimum(nearest, (h - h[chosen[-1]]).square().sum(1))
        draw = torch.rand(1, generator=generator).to(h) * nearest.sum()  # k-means++ (Arthur & Vassilvitskii 2007)
        chosen.append(min(len(h) - 1, int(torch.searchsorted(nearest.cumsum(0), draw))))
    mixture.mean.copy_(h[chosen])
    mixture.variance.copy_(h.var(dim=0, correction=0).clamp(min=1e-3).expand_as(mixture.variance))
    mixture.weight.fill_(1 / len(mixture.weight))
    for _ in range(N_UPDATES):
        mixture.update(h, rate=1.0)
