"""Hold the first blocks of a discriminator fixed, for fine-tuning.

Freeze-D (arXiv 2002.10964): on a small corpus the layers of D near its input, learnt on a large one, are better kept.
Call before the game is made: parameters that need no gradient then never move.
"""

from torch import nn

from audiogan.errors import RecipeError


def freeze_first(module: nn.Module, n_blocks: int) -> None:
    """Let the first blocks of a module stand still from now on.

    Args:
        module: Its blocks are its children that hold parameters, in their order.
        n_blocks: How many, from the side of the input; 0 for none.

    Raises:
        RecipeError: That would be all of them, or more than there are.
    """
    blocks = [child for child in module.children() if next(child.parameters(), None) is not None]
    if n_blocks and n_blocks >= len(blocks):
        raise RecipeError(f"freeze {n_blocks} blocks of {len(blocks)}; expected fewer, since the last has to learn")
    for block in blocks[:n_blocks]:
        block.requires_grad_(requires_grad=False)
