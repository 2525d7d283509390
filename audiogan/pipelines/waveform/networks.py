"""The networks behind every verb: generator, discriminator and timbre encoder, by the recipe's `model.network`.

`residual` is the default, in `audiogan.pipelines.waveform.residual`; `style` and `classic` lie beside it. All three
have one signature: the generator takes z, timbre h (None for free timbres), pitch (MIDI, not only whole) and velocity
in [0, 1]; the discriminator takes planes and the same conditions and returns `Judged`; the encoder turns planes and
pitch into h. `classic` has no encoder, since it knows no timbre.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from audiogan.pipelines.waveform.classic import ClassicDiscriminator, ClassicGenerator
from audiogan.pipelines.waveform.config import Config
from audiogan.pipelines.waveform.encoder import TimbreEncoder
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig, StyleConfig
from audiogan.pipelines.waveform.plan import Plan, plan_of
from audiogan.pipelines.waveform.residual import Discriminator, Generator
from audiogan.pipelines.waveform.style import StyleGenerator


def build_networks(plan: Plan, network: ResidualConfig | StyleConfig | ClassicConfig) -> dict[str, nn.Module]:
    """Build the networks for a plan.

    Args:
        plan: The tensor they draw and judge.
        network: Which kind, which sizes.

    Raises:
        RecipeError: `classic` cannot reach the plan's size by doubling.
    """
    if isinstance(network, ClassicConfig):
        return {"generator": ClassicGenerator(plan, network), "discriminator": ClassicDiscriminator(plan, network)}
    equalised = isinstance(network, StyleConfig)
    generator = StyleGenerator(plan, network) if isinstance(network, StyleConfig) else Generator(plan, network)
    return {
        "generator": generator,
        "discriminator": Discriminator(plan, network, equalised=equalised),
        "encoder": TimbreEncoder(plan, network),
    }


def build(config: Config) -> dict[str, nn.Module]:
    """Build the networks of a recipe: generator, discriminator and, where timbre is known, encoder.

    Raises:
        RecipeError: The network does not fit the representation.
    """
    return build_networks(plan_of(config.represent(), config.lowest_pitch, config.highest_pitch), config.network)


def load_modules(tensors: Mapping[str, Mapping[str, Tensor]], config: Config) -> dict[str, nn.Module]:
    """Build the networks that `tensors` holds weights for, in evaluation mode.

    Args:
        tensors: Weights by module name.
        config: What they were trained as.
    """
    modules = build(config)
    loaded = {}
    for name, weights in tensors.items():
        modules[name].load_state_dict(dict(weights))
        loaded[name] = modules[name].eval().requires_grad_(False)
    return loaded
