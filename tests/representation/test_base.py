"""Recipes choose a representation by name, and normalisers go into checkpoints and back."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from audiogan.representation.base import (
    HarmonicConfig,
    Normalizer,
    RepresentationConfig,
    SpectrogramConfig,
    representation_of,
)

SPECTROGRAMS = ("mel_if", "lin_if", "mag_pghi", "complex_stft")


@pytest.mark.parametrize("kind", ["harmonic", *SPECTROGRAMS])
def test_a_recipe_names_its_representation(kind: str) -> None:
    config = TypeAdapter(RepresentationConfig).validate_python({"kind": kind})
    found = representation_of(config, sample_rate=16_000, seconds=1.0)
    assert found.name == kind
    assert found.n_samples == 16_000
    assert found.mask(torch.tensor([440.0, 110.0])).shape == (2, *found.shape[:2], 1)


def test_a_recipe_cannot_ask_for_what_does_not_exist() -> None:
    with pytest.raises(ValidationError, match="kind"):
        TypeAdapter(RepresentationConfig).validate_python({"kind": "cqt"})
    with pytest.raises(ValidationError, match="expected an even n_fft"):
        SpectrogramConfig(n_fft=1024, hop_length=300)
    with pytest.raises(ValidationError, match="expected fewer than n_frames"):
        HarmonicConfig(n_frames=32, grow_frames=32)


@pytest.mark.parametrize("per_row", [False, True])
def test_a_normaliser_gives_every_plane_one_size(per_row: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    planes = torch.randn(6, 2, 4, 32, generator=generator) * torch.tensor([0.1, 0.4])[:, None, None] + 0.3
    mask = torch.ones(6, 2, 4, 1)
    mask[:, :, 3] = 0
    planes[:, :, 3] = 9.0  # masked: must not count
    fitted = Normalizer.fit([(planes[:2], mask[:2]), (planes[2:], mask[2:])], per_row=per_row)
    seen = fitted.normalize(planes)[:, :, :3]
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std((0, 2, 3), correction=0), torch.full((2,), 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(fitted.denormalize(fitted.normalize(planes)), planes)


def test_a_normaliser_survives_a_checkpoint_and_a_plane_that_never_changes() -> None:
    planes = torch.stack((torch.zeros(3, 2, 5), torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(1))), 1)
    fitted = Normalizer.fit([(planes, torch.ones(3, 2, 2, 1))])
    again = Normalizer.from_state_dict(fitted.state_dict())
    assert torch.equal(again.normalize(planes), fitted.normalize(planes))
    assert torch.isfinite(fitted.normalize(planes)).all()
    assert torch.equal(Normalizer.identity(2).normalize(planes), planes)
