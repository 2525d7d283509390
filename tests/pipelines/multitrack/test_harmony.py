"""The discriminator of harmony: chroma of what codes stand for, in every key alike, deaf to what it is not shown."""

import numpy as np
import pytest
import torch

from audiogan.adversarial.game import Moment
from audiogan.pipelines.multitrack import metrics
from audiogan.pipelines.multitrack.filling import rolls_of
from audiogan.pipelines.multitrack.game import GameConfig, OptimizersConfig, _Terms, phases
from audiogan.pipelines.multitrack.harmony import (
    HarmonyDiscriminator,
    chroma_of,
    pitched_tracks,
    tonal_centroids,
    tonal_distances,
    turned,
)
from audiogan.pipelines.multitrack.networks import Decoder, build
from audiogan.representation.rollnotes import RollNotes
from tests.pipelines.multitrack.small import CONFIG, model_of

MODEL = model_of()
N_BEATS = 4 * CONFIG.n_bars


class _Certain(torch.nn.Module):
    """Stands for a decoder that writes one given roll, with certainty."""

    def __init__(self, roll: torch.Tensor) -> None:
        super().__init__()
        self.roll = roll

    def forward(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 40.0 * (self.roll - 0.5), codes


def test_chroma_is_what_sounds_in_each_beat() -> None:
    decoder = build(CONFIG)["decoder"]
    assert isinstance(decoder, Decoder)
    tracks, rows = decoder.layout.kinds["pitched"]
    roll = torch.zeros(1, 2, len(tracks), CONFIG.n_bars, 16, len(rows))
    roll[0, 0, 1, 0, 4, 60 - CONFIG.lowest_pitch] = 1  # a C on the second beat, held for half of it
    roll[0, 1, 1, 0, 5, 60 - CONFIG.lowest_pitch] = 1
    roll[0, 0, 1, 1, 12, [64 - CONFIG.lowest_pitch, 76 - CONFIG.lowest_pitch]] = 1  # two Es on the last beat of all
    decoder.kinds["pitched"] = _Certain(roll)
    codes = torch.zeros(1, len(CONFIG.roles), CONFIG.n_bars, 8)
    chroma = chroma_of(decoder, codes, CONFIG.lowest_pitch)
    assert chroma.shape == (1, len(tracks), N_BEATS, 12)
    expected = torch.zeros_like(chroma)
    expected[0, 1, 1, 0] = np.log1p(0.5)
    expected[0, 1, 7, 4] = np.log1p(0.5)
    torch.testing.assert_close(chroma, expected, atol=1e-4, rtol=0)


def test_turning_moves_pitch_classes_up_and_twelve_semitones_change_nothing() -> None:
    chroma = torch.rand(2, 3, 8, 12)
    moved = turned(chroma, torch.tensor([1, 12]))
    torch.testing.assert_close(moved[0, ..., 1:], chroma[0, ..., :-1])
    torch.testing.assert_close(moved[0, ..., 0], chroma[0, ..., -1])
    torch.testing.assert_close(moved[1], chroma[1])


def test_it_tells_every_beat_and_hears_its_neighbours() -> None:
    judge = build(CONFIG)["harmony"]
    assert isinstance(judge, HarmonyDiscriminator)
    n_tracks = len(pitched_tracks(CONFIG))
    chroma = torch.rand(1, n_tracks, N_BEATS, 12, requires_grad=True)
    logits = judge(chroma, torch.zeros(1, n_tracks, CONFIG.n_bars))
    assert logits.shape == (1, N_BEATS)
    (gradient,) = torch.autograd.grad(logits[0, 0], chroma)
    heard = gradient.abs().sum(dim=(0, 1, 3)) > 0
    assert heard.tolist() == [True] * 4 + [False] * 4


def batch() -> dict[str, torch.Tensor]:
    notes = RollNotes.from_columns(
        tuple(np.array(column) for column in ([1, 2, 2], [0, 0, 8], [4, 8, 16], [12, 36, 40], [90] * 3, [0] * 3))
    )
    return {"roll": rolls_of([notes] * 4, CONFIG)}


def test_harmony_reaches_the_generator() -> None:
    modules = dict(MODEL.modules)
    for name in ("generator", "harmony", "discriminator"):
        modules[name].requires_grad_(True)
    game = phases(modules, CONFIG, GameConfig(autoencoder_share=0.0, harmony=2.0), OptimizersConfig())
    by_name = {phase.name: phase for phase in game.phases}
    assert list(by_name) == ["discriminator", "harmony", "generator"]
    moment = Moment(step=3, share=0.5, n_seen=0, phase="generator")
    terms = by_name["generator"].terms(batch(), moment)
    gradients = torch.autograd.grad(terms["harmony"], list(modules["generator"].parameters()), allow_unused=True)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_it_learns_to_hear_a_clash_in_any_key() -> None:
    torch.manual_seed(0)
    judge = build(CONFIG)["harmony"]
    n_tracks = len(pitched_tracks(CONFIG))
    mask = torch.zeros(16, n_tracks, CONFIG.n_bars)
    triad = torch.zeros(16, n_tracks, N_BEATS, 12)
    triad[..., [0, 4, 7]] = 0.5
    clash = triad.clone()
    clash[:, 1] = turned(clash, torch.ones(16, dtype=torch.long))[:, 1]
    optimizer = torch.optim.Adam(judge.parameters(), 0.003)
    for step in range(150):
        by = torch.randint(12, (16,), generator=torch.Generator().manual_seed(step))
        gap = judge(turned(triad, by), mask) - judge(turned(clash, by), mask)
        optimizer.zero_grad()
        torch.nn.functional.softplus(-gap).mean().backward()
        optimizer.step()
    by = torch.arange(16) % 12
    gap = judge(turned(triad, by), mask) - judge(turned(clash, by), mask)
    assert (gap > 0).float().mean() > 0.95


def test_without_weight_or_without_a_second_pitched_track_nobody_listens() -> None:
    quiet = phases(MODEL.modules, CONFIG, GameConfig(autoencoder_share=0.0, harmony=0.0), OptimizersConfig())
    assert [phase.name for phase in quiet.phases] == ["discriminator", "generator"]
    assert "harmony" not in quiet.averaged
    two = CONFIG.model_copy(update={"tracks": CONFIG.tracks[:2]})
    assert "harmony" not in build(two)


def test_tracks_out_of_sight_do_not_matter() -> None:
    """With one track in sight, what the others play changes no logit; with all in sight it does."""

    def logits(sight: dict[str, float], changed: int) -> torch.Tensor:
        game = GameConfig.model_validate({"autoencoder_share": 0.0, "sight": sight})
        terms = _Terms(MODEL.modules, CONFIG, game)
        mask = torch.zeros(1, len(CONFIG.roles), CONFIG.n_bars)
        chroma = torch.rand(1, 4, N_BEATS, 12, generator=torch.Generator().manual_seed(0))
        chroma[0, changed] += 1.0
        return terms.heard(mask, Moment(step=0, share=0.0, n_seen=0, phase="harmony"))(chroma).detach()

    narrow, wide = {"whole": 0.0, "track": 1e-9, "bar": 1.0}, {"whole": 1.0, "track": 1.0, "bar": 1.0}
    assert len({tuple(logits(narrow, track)[0].tolist()) for track in range(4)}) == 2  # the one in sight, or none
    assert len({tuple(logits(wide, track)[0].tolist()) for track in range(4)}) == 4


def test_tonal_centroids_are_those_of_the_metric() -> None:
    chroma = np.random.default_rng(0).random((5, 12))
    found = tonal_centroids(torch.from_numpy(chroma)).numpy()
    np.testing.assert_allclose(found, metrics.tonal_centroids(chroma), atol=1e-6)


def test_tracks_are_far_apart_where_both_sound_and_disagree() -> None:
    chroma = torch.zeros(1, 2, 2, 12)
    chroma[0, :, 0, 0] = 1.0  # both play C on the first beat
    chroma[0, 0, 1, 0] = 1.0  # on the second the first track plays C alone
    assert tonal_distances(chroma).tolist() == pytest.approx([0.0], abs=1e-3)
    chroma[0, 1, 1, 6] = 1.0  # now against it F sharp, half-way round the circle of fifths
    expected = float(np.linalg.norm(np.subtract(*metrics.tonal_centroids(np.eye(12)[[0, 6]])))) / 2
    assert tonal_distances(chroma).tolist() == pytest.approx([expected], rel=1e-3)
    assert tonal_distances(torch.zeros(1, 2, 2, 12)).tolist() == [0.0]


def test_matching_tonal_distances_moves_the_generator_and_is_nothing_for_the_real_itself() -> None:
    modules = dict(MODEL.modules)
    modules["generator"].requires_grad_(True)
    terms = _Terms(modules, CONFIG, GameConfig(autoencoder_share=0.0, tonal=5.0))
    moment = Moment(step=1, share=0.5, n_seen=0, phase="generator")
    real, fake, mask = terms.pair(batch(), moment)
    assert float(terms.agreement(real, real, mask, moment)["tonal"]) == 0.0
    apart = terms.agreement(real, fake, mask, moment)["tonal"]
    difference = tonal_distances(terms.chroma(fake)) - tonal_distances(terms.chroma(real))
    torch.testing.assert_close(apart, 5.0 * difference.square().sum())
    gradients = torch.autograd.grad(apart, list(modules["generator"].parameters()), allow_unused=True)
    assert sum(float(one.abs().sum()) for one in gradients if one is not None) > 0
    without = _Terms(modules, CONFIG, GameConfig(autoencoder_share=0.0))
    assert set(without.agreement(real, fake, mask, moment)) == {"harmony"}
