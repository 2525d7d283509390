"""Small plans, networks and batches that need neither a corpus nor a representation."""

import torch
from torch import Tensor

from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.plan import Plan, hertz

LOWEST, HIGHEST = 48, 72
LINE = (3, 8, 18)
PICTURE = (2, 16, 12)
RESIDUAL = ResidualConfig(
    z_dim=6, timbre_dim=5, width=8, max_width=16, encoder_width=8, encoder_max_width=16, mapping_width=16
)
STYLE = StyleConfig(
    z_dim=6, timbre_dim=5, width=8, max_width=16, encoder_width=8, encoder_max_width=16, mapping_width=16
)
LEARNER = ResidualConfig(
    z_dim=6, timbre_dim=5, width=16, max_width=32, encoder_width=16, encoder_max_width=32, mapping_width=32
)
STYLE_LEARNER = StyleConfig(
    z_dim=6, timbre_dim=5, width=16, max_width=32, encoder_width=16, encoder_max_width=32, mapping_width=32
)
CLASSIC = ClassicConfig(z_dim=6, n_blocks=3, filters_base=32, filters_max=8)


def line_mask(f0: Tensor) -> Tensor:
    """Partials below 2000 Hz in the first two planes, all of the third."""
    n_partials = (2000.0 / f0).floor().clamp(max=LINE[1])
    partials = (torch.arange(LINE[1]) < n_partials.unsqueeze(-1)).float()
    return torch.stack([partials, partials, torch.ones_like(partials)], dim=-2).unsqueeze(-1)


def line() -> Plan:
    empty = torch.zeros(LINE)
    empty[0] = empty[2] = -1.0
    return Plan(LINE, True, (LOWEST, HIGHEST), line_mask, empty)


def picture(shape: tuple[int, int, int] = PICTURE) -> Plan:
    return Plan(shape, False, (LOWEST, HIGHEST), lambda f0: torch.ones(*f0.shape, *shape[:2], 1), torch.zeros(shape))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(plan: Plan, n: int = 6, seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    pitch = LOWEST + (HIGHEST - LOWEST) * torch.rand(n, generator=rng)
    return {
        "planes": 0.3 * drawn(n, *plan.shape, seed=seed + 1),
        "partner_planes": 0.3 * drawn(n, *plan.shape, seed=seed + 2),
        "pitch": pitch,
        "f0": hertz(pitch),
        "partner_pitch": pitch.flip(0),
        "velocity": torch.rand(n, generator=rng),
        "instrument": torch.arange(n) % 4,
    }


def stir(module: torch.nn.Module, std: float = 0.3) -> None:
    """Wake the branches that begin silent."""
    for index, parameter in enumerate(module.parameters()):
        parameter.data = std * drawn(*parameter.shape, seed=index)
