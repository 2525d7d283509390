"""What is fitted to the corpus: the scale of planes before training, the mixture of timbres after."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.network_config import ClassicConfig
from audiogan.pipelines.waveform.networks import build_networks
from audiogan.pipelines.waveform.plan import Sheet
from audiogan.pipelines.waveform.settling import embed_notes, finish, fit_normalizer, settle
from tests.pipelines.waveform.small_planes import RESIDUAL, drawn, line, picture
from tests.pipelines.waveform.small_sounds import CONFIG, model_of


class SomeNotes:
    """Random planes of a spread that networks should not see."""

    def __init__(self, n: int = 40) -> None:
        self.planes = 0.1 * drawn(n, 3, 32, 65) + 0.4
        self.pitch = torch.linspace(36, 84, n)

    def __len__(self) -> int:
        return len(self.planes)

    def fetch(self, indices: Sequence[int], seeds: Sequence[int]) -> dict[str, Tensor]:
        del seeds
        return {"planes": self.planes[list(indices)], "pitch": self.pitch[list(indices)]}


def sheets(modules: Any) -> list[Sheet]:
    return [part for module in modules.values() for part in module.modules() if isinstance(part, Sheet)]


def test_all_networks_see_planes_of_one_size() -> None:
    modules, notes = dict(model_of().modules), SomeNotes()
    settle(modules, CONFIG, cast("Any", notes))
    scales = [sheet.scale for sheet in sheets(modules)]
    assert all(torch.equal(scale, scales[0]) for scale in scales)
    seen = sheets(modules)[0].enter(notes.planes, notes.pitch)
    kept = seen[sheets(modules)[0].mask(notes.pitch).expand_as(seen) > 0]
    assert abs(float(kept.mean())) < 0.01
    assert abs(float(kept.std()) - 0.5) < 0.01


def test_a_model_begun_with_keeps_its_scale_and_the_others_take_it() -> None:
    modules = build_networks(line(), RESIDUAL)
    sheet = modules["generator"].get_submodule("sheet")
    assert isinstance(sheet, Sheet)
    sheet.scale.fill_(3.0)
    settle(modules, CONFIG, cast("Any", None))
    assert all(bool((one.scale == 3.0).all()) for one in sheets(modules))


def test_classic_networks_have_nothing_to_settle() -> None:
    config = ClassicConfig(z_dim=6, n_blocks=3, filters_base=32, filters_max=8)
    modules = build_networks(picture((2, 16, 16)), config)
    settle(modules, CONFIG, cast("Any", None))
    finish(modules, CONFIG, cast("Any", None), seed=0)


def test_the_fit_does_not_depend_on_the_run() -> None:
    first, second = (fit_normalizer(CONFIG, cast("Any", SomeNotes())) for _ in range(2))
    assert torch.equal(first.scale, second.scale) and torch.equal(first.shift, second.shift)


def test_finishing_fits_the_mixture_to_the_notes() -> None:
    modules, notes = dict(model_of().modules), SomeNotes()
    encoder = modules["encoder"]
    assert isinstance(encoder, TimbreEncoder)
    h = embed_notes(encoder, cast("Any", notes))

    def surprise() -> float:
        mixture = encoder.mixture
        distance = ((h[:, None] - mixture.mean).square() / mixture.variance + mixture.variance.log()).sum(2)
        return -float((mixture.weight.log() - distance / 2).logsumexp(1).mean())

    before = surprise()
    finish(modules, CONFIG, cast("Any", notes), seed=0)
    assert surprise() < before - 1
    fitted = encoder.mixture.mean.clone()
    finish(modules, CONFIG, cast("Any", notes), seed=0)
    assert torch.equal(encoder.mixture.mean, fitted)
