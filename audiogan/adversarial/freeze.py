"""Hold the first blocks of a discriminator fixed, for fine-tuning.

Freeze-D (arXiv 2002.10964): on a small corpus the layers of D near its input, learnt on a large one, are better kept.
Call before the game is made: parameters that need no gradient then never move.
"""

from collections.abc import Sequence

from torch import nn

from audiogan.errors import RecipeError


def freeze_first(blocks: Sequence[Sequence[nn.Module]], n_blocks: int) -> None:
    """Let the first blocks of a discriminator stand still from now on.

    Args:
        blocks: The modules of each block, from the side of the input.
        n_blocks: How many; 0 for none.

    Raises:
        RecipeError: That would be all of them, or more than there are.
    """
    if n_blocks and n_blocks >= len(blocks):
        raise RecipeError(f"freeze {n_blocks} blocks of {len(blocks)}; expected fewer, since the last has to learn")
    for block in blocks[:n_blocks]:
        for module in block:
            module.requires_grad_(requires_grad=False)


def children_of(module: nn.Module) -> list[list[nn.Module]]:
    """Return the children of a module that hold parameters, one block each, in their order."""
    return [[child] for child in module.children() if next(child.parameters(), None) is not None]
