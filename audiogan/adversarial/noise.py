"""Add noise to what a discriminator sees.

Instance noise (arXiv 1610.04490; arXiv 1701.04862, section 3): where reals and fakes lie on thin sets that never meet,
D can be perfect and tells G nothing; noise of falling strength makes them overlap. Reals and fakes get noise of equal
strength. The draws are pure functions of the moment.
"""

from torch import Tensor

from audiogan.adversarial.game import Moment


def add_noise(examples: Tensor, sigma: float, moment: Moment, stream: str) -> Tensor:
    """Return the examples with normal noise added; the same tensor where sigma is 0.

    Args:
        examples: `(batch, ...)`.
        sigma: Standard deviation, in units of the examples, 0 or more.
        moment: Gives the draws.
        stream: Name that keeps the draws for reals and fakes apart.
    """
    if sigma <= 0.0:
        return examples
    draws = moment.normal(f"instance-{stream}", *examples.shape)
    return examples + sigma * draws.to(examples, non_blocking=True)
