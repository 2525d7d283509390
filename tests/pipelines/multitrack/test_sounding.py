"""What sounds, found the short way, is what the logits say; and the decoder is still the sum of its voices."""

import pytest
import torch

from audiogan.pipelines.multitrack.config import Config, TrackConfig
from audiogan.pipelines.multitrack.filling import decode_clips, notes_of, sounding
from audiogan.pipelines.multitrack.networks import CellDecoder, activate
from tests.pipelines.multitrack.small import CONFIG, NETWORK, model_of

LEAD = TrackConfig(name="lead", program=80, sources=((80, 87),))
KIT = TrackConfig(name="drums", is_drum=True)
BASS = TrackConfig(name="bass", program=33, sources=((32, 39),))


@pytest.mark.parametrize("n_clips", [1, 8, 11])
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        Config(n_bars=2, tracks=(LEAD, KIT, BASS), network=NETWORK),
        Config(n_bars=2, tracks=(KIT,), network=NETWORK),
        Config(n_bars=2, tracks=(LEAD,), network=NETWORK),
        Config(n_bars=2, tracks=(LEAD, KIT), drum_map="gm47", lowest_pitch=35, n_pitches=47, network=NETWORK),
    ],
    ids=str,
)
def test_what_sounds_is_where_logits_are_above_0(config: Config, n_clips: int) -> None:
    modules, n_tracks = model_of(config).modules, len(config.tracks)
    random = torch.Generator().manual_seed(n_clips)
    codes = torch.randn(n_clips, n_tracks, 2, NETWORK.code_dim, generator=random)
    offset = torch.randn(2, n_tracks, generator=random)
    logits, velocity, timing = decode_clips(modules, codes)
    shifted = logits + offset[None, :, :, None, None, None]
    cells, *expression = sounding(modules, codes, offset)
    assert torch.equal(cells, shifted > 0)
    assert torch.equal(expression[0], velocity)
    assert torch.equal(expression[1], timing)
    assert sum(map(len, notes_of(shifted, velocity, timing))) == int(cells[:, 0].sum()) > 0


def sum_of_voices(decoder: CellDecoder, codes: torch.Tensor) -> torch.Tensor:
    """Logits `(batch, 2, track, bar, timestep, row)` as the decoder is described."""
    x = decoder.enter(codes) + decoder.track
    for block in decoder.blocks:
        x = block(x)
    x = activate(x)
    profiles = decoder.profile(x).unflatten(-1, (decoder.n_voices, -1))
    beats = decoder.beat(x.unflatten(-1, (decoder.n_beats, -1)))
    steps = beats.reshape(*beats.shape[:3], -1, decoder.steps.first.in_channels)
    steps = activate(decoder.steps(steps.flatten(0, 2))).view(steps.shape)
    rhythms = decoder.rhythm(steps).unflatten(-1, (2, decoder.n_voices))
    voices = torch.einsum("bnmtpv,bnmvr->bpnmtr", rhythms, profiles)
    by_step = decoder.step(steps).unflatten(-1, (2, -1)).permute(0, 4, 1, 2, 3, 5)
    return voices + by_step + decoder.bias[None, :, None, None]


def test_the_decoder_is_the_sum_of_its_voices_and_so_is_its_gradient() -> None:
    decoder = CellDecoder(NETWORK, n_tracks=3, n_beats=4, n_rows=10, beat_resolution=4, bias=-1.0).double()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    codes = torch.randn(2, 3, 2, NETWORK.code_dim, dtype=torch.float64, requires_grad=True)
    inputs = [codes, *(p for name, p in decoder.named_parameters() if not name.startswith("expression"))]
    made, expected = decoder(codes)[0], sum_of_voices(decoder, codes)
    torch.testing.assert_close(made, expected)
    weight = torch.randn_like(made)
    for gradient, wanted in zip(
        torch.autograd.grad((made * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(gradient, wanted)
