"""Offsets of partials: small ones stay, large ones go, and nothing else of a note changes."""

import torch

from audiogan.pipelines.waveform.harmonicity import REACH, bring_back
from audiogan.representation.tracks import MAX_OFFSET, OFFSET_POWER, signed_power


def planes_with(offsets: list[float]) -> torch.Tensor:
    """One note whose partials 2 and up have these offsets, as shares of the pitch."""
    planes = torch.rand(1, 3, 1 + len(offsets), 9, generator=torch.Generator().manual_seed(0)) - 0.5
    planes[0, 0, 1:, 0] = signed_power(torch.tensor(offsets) / MAX_OFFSET, 1 / OFFSET_POWER)
    return planes


def offsets_of(planes: torch.Tensor) -> list[float]:
    return (signed_power(planes[0, 0, 1:, 0], OFFSET_POWER) * MAX_OFFSET).tolist()


def test_stiff_strings_keep_their_offsets_and_strays_come_home() -> None:
    found = offsets_of(bring_back(planes_with([0.004, -0.004, 0.4, -0.4, 0.012])))
    assert abs(found[0] - 0.004) < 1e-4 and abs(found[1] + 0.004) < 1e-4
    assert abs(found[2]) < 1e-3 and abs(found[3]) < 1e-3
    assert 0.011 < found[4] < 0.012


def test_no_offset_is_larger_than_its_partial_may_have() -> None:
    many = torch.linspace(-0.45, 0.45, 63).tolist()
    found = offsets_of(bring_back(planes_with(many)))
    assert all(abs(offset) <= 0.43 * REACH * (number + 2) + 1e-6 for number, offset in enumerate(found))
    assert all(offset * before >= 0 for offset, before in zip(found, many, strict=True))


def test_only_offsets_change_and_the_input_stays() -> None:
    planes = planes_with([0.3, 0.2])
    before = planes.clone()
    found = bring_back(planes)
    assert torch.equal(planes, before)
    changed = (found != planes).nonzero()
    assert changed.tolist() == [[0, 0, 1, 0], [0, 0, 2, 0]]
