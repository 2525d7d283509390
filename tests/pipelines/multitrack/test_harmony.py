"""The critic that hears harmony: chroma of what codes stand for, in every key alike, deaf to what it is not shown."""

import numpy as np
import torch

from audiogan.adversarial.game import Moment
from audiogan.pipelines.multitrack.filling import encode_clips, rolls_of
from audiogan.pipelines.multitrack.game import GameConfig, OptimizersConfig, phases
from audiogan.pipelines.multitrack.harmony import HarmonyCritic, chroma_of, pitched_tracks, turned
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


def test_the_critic_tells_every_beat_and_hears_its_neighbours() -> None:
    critic = build(CONFIG)["harmony"]
    assert isinstance(critic, HarmonyCritic)
    n_tracks = len(pitched_tracks(CONFIG))
    chroma = torch.rand(1, n_tracks, N_BEATS, 12, requires_grad=True)
    logits = critic(chroma, torch.zeros(1, n_tracks, CONFIG.n_bars))
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


def test_the_critic_learns_to_hear_a_clash_in_any_key() -> None:
    torch.manual_seed(0)
    critic = build(CONFIG)["harmony"]
    n_tracks = len(pitched_tracks(CONFIG))
    mask = torch.zeros(16, n_tracks, CONFIG.n_bars)
    triad = torch.zeros(16, n_tracks, N_BEATS, 12)
    triad[..., [0, 4, 7]] = 0.5
    clash = triad.clone()
    clash[:, 1] = turned(clash, torch.ones(16, dtype=torch.long))[:, 1]
    optimizer = torch.optim.Adam(critic.parameters(), 0.003)
    for step in range(150):
        by = torch.randint(12, (16,), generator=torch.Generator().manual_seed(step))
        gap = critic(turned(triad, by), mask) - critic(turned(clash, by), mask)
        optimizer.zero_grad()
        torch.nn.functional.softplus(-gap).mean().backward()
        optimizer.step()
    by = torch.arange(16) % 12
    gap = critic(turned(triad, by), mask) - critic(turned(clash, by), mask)
    assert (gap > 0).float().mean() > 0.95


def test_without_weight_or_without_a_second_pitched_track_nobody_listens() -> None:
    quiet = phases(MODEL.modules, CONFIG, GameConfig(autoencoder_share=0.0, harmony=0.0), OptimizersConfig())
    assert [phase.name for phase in quiet.phases] == ["discriminator", "generator"]
    assert "harmony" not in quiet.averaged
    two = CONFIG.model_copy(update={"tracks": CONFIG.tracks[:2]})
    assert "harmony" not in build(two)


def test_tracks_out_of_the_critics_sight_do_not_matter() -> None:
    modules = dict(MODEL.modules)
    game = GameConfig.model_validate({"autoencoder_share": 0.0, "sight": {"whole": 0.0, "track": 1e-9, "bar": 1.0}})
    found = phases(modules, CONFIG, game, OptimizersConfig())
    by_name = {phase.name: phase for phase in found.phases}
    moment = Moment(step=0, share=0.0, n_seen=0, phase="harmony")
    codes = encode_clips(modules, batch()["roll"])
    assert codes.shape[1] == len(CONFIG.roles)
    terms = by_name["harmony"].terms(batch(), moment)
    assert all(torch.isfinite(value).all() for value in terms.values())
