"""The way between two recordings: its ends, how far it may wander, and timbres that say what is heard."""

import numpy as np
import pytest
import torch

from audiogan.corpus.notes import hz_of
from audiogan.pipelines.waveform.encoding import timbre_of
from audiogan.pipelines.waveform.ladder import WANDERING, ladder
from audiogan.pipelines.waveform.timbre import Timbre, between, random_timbre
from audiogan.pipelines.waveform.voice import Played, make_planes
from tests.pipelines.waveform.small_sounds import model_of, recording, tone

MODEL = model_of()
PITCH, SHARES = 60.0, (0.0, 0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def ends() -> tuple[Timbre, Timbre]:
    dull, bright = (recording(tone(hz_of(PITCH), brightness=b, decay=d)) for b, d in ((0.1, 0.0), (0.9, 12.0)))
    first, second = (timbre_of(MODEL, sound, pitch=PITCH) for sound in (dull, bright))
    assert first.h is not None and second.h is not None
    # far apart in the space, so that the way of the model itself bends
    return Timbre(-np.abs(first.h), first.z, "a", "", first.details), Timbre(
        np.abs(second.h), -second.z, "b", "", second.details
    )


def planes(*timbres: Timbre) -> torch.Tensor:
    return make_planes(MODEL, [Played(timbre, PITCH, 0.8) for timbre in timbres])


def test_the_ends_are_the_ends(ends: tuple[Timbre, Timbre]) -> None:
    way = ladder(MODEL, *ends, SHARES, PITCH, 0.8)
    assert way[0] is ends[0] and way[-1] is ends[1]


def test_a_step_lies_a_tenth_of_the_models_own_way_from_the_straight_one(ends: tuple[Timbre, Timbre]) -> None:
    straight = planes(*ends).mean(dim=0)
    own, kept = planes(between(MODEL, *ends, 0.5), ladder(MODEL, *ends, SHARES, PITCH, 0.8)[2])
    seen = [0, 2]
    far, near = ((one - straight)[seen, :, 1:].abs().mean() for one in (own, kept))
    assert far > 0.01
    assert float(near / far) == pytest.approx(WANDERING, abs=0.06)


def test_between_timbres_without_recordings_the_model_goes_its_own_way() -> None:
    first, second = random_timbre(MODEL, 0), random_timbre(MODEL, 1)
    for share, timbre in zip(SHARES, ladder(MODEL, first, second, SHARES, PITCH, 0.8), strict=True):
        expected = between(MODEL, first, second, share)
        assert np.array_equal(timbre.z, expected.z) and not timbre.details
