"""Compile what networks compute, where a test at the first call finds it equal to the uncompiled function.

A game names the functions of tensors that may be compiled, and who runs it switches them on; neither modules nor names
in checkpoints change. Every kind of call (shapes, layouts, who needs gradients, precision) is tested once in every
start and resume: outputs and gradients against those of the plain function, on the same draws. One that differs, or
that the compiler refuses, runs plain from then on, with one warning. Under autocast both are compared with float32,
since fused kernels round otherwise than single ones. What is differentiated twice must not be compiled: torch cannot.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

BACKEND = "inductor"
TOLERANCE = 1e-3
"""Allowed relative difference of outputs and of gradients."""
SLACK = 1.5
"""Under autocast: how many times the plain function's distance from float32 the compiled one may have."""
MOST_KINDS = 8
"""Kinds of calls; the compiler itself gives up at as many."""

Kind = tuple[Any, ...]


class Compilable:
    """A function of tensors that may be compiled; plain until it is switched on.

    Args:
        name: For warnings and for the record, unique within a game.
        function: Of tensors (or None), to a tensor or a tuple of them; always of the same shapes in a run.
        module: Whose weights it uses.
    """

    def __init__(self, name: str, function: Callable[..., Any], module: nn.Module) -> None:
        self.name, self.function, self.module = name, function, module
        self.is_refused = False
        self._backend = ""
        self._compiled: Callable[..., Any] | None = None
        self._passed: set[Kind] = set()

    @property
    def is_on(self) -> bool:
        """Whether calls are compiled."""
        return bool(self._backend) and not self.is_refused

    def switch_on(self, backend: str) -> None:
        """Compile from the next call on.

        Args:
            backend: As `torch.compile` knows it.
        """
        self._backend, self._compiled = backend, None

    def refuse(self) -> None:
        """Stay plain."""
        self.is_refused = True

    def __call__(self, *inputs: Any) -> Any:
        """Return what the function returns; calls with plain numbers, which change from step to step, stay plain."""
        if not self.is_on or not all(each is None or isinstance(each, Tensor) for each in inputs):
            return self.function(*inputs)
        kind = self._kind(inputs)
        if kind not in self._passed and not self._passes(kind, inputs):
            return self.function(*inputs)
        assert self._compiled is not None
        return self._compiled(*inputs)

    def _kind(self, inputs: Sequence[Tensor | None]) -> Kind:
        """Return all that decides which code the compiler makes for a call."""
        told = tuple(None if x is None else (x.shape, x.stride(), x.dtype, x.requires_grad) for x in inputs)
        weights = tuple((weight.requires_grad, weight.stride()) for weight in self.module.parameters())
        device = next(x.device.type for x in inputs if x is not None)
        return told, weights, self.module.training, torch.is_grad_enabled(), torch.is_autocast_enabled(device)

    # ---- the test

    def _passes(self, kind: Kind, inputs: Sequence[Tensor | None]) -> bool:
        """Test a kind of call; one that fails leaves the whole function plain."""
        try:
            reason = "meet inputs of too many shapes" if len(self._passed) >= MOST_KINDS else self._fault(inputs)
        except torch.OutOfMemoryError:
            reason = "leave no memory for their test"  # the plain call that follows may still fit
        if reason:
            self.refuse()
            logger.warning("compiled calls of %s %s; plain ones are used", self.name, reason)
        else:
            self._passed.add(kind)
        return not reason

    def _fault(self, inputs: Sequence[Tensor | None]) -> str:
        """Return what is wrong with the compiled function, nothing where it does what the plain one does."""
        device = next(x.device.type for x in inputs if x is not None)
        try:
            plain, allowed = self._outcome(self.function, inputs), TOLERANCE
            if self._compiled is None:
                # Static shapes: sizes found to vary would make a resumed run compile otherwise than a whole one.
                self._compiled = torch.compile(self.function, backend=self._backend, dynamic=False)
            found = self._outcome(self._compiled, inputs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ImportError, OSError, AssertionError, TypeError, ValueError) as error:
            # Whatever a compiler stumbles over, training goes on without it.
            return f"are impossible here ({type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0]})"
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                exact = self._outcome(self.function, [_in_full(x) for x in inputs])
            allowed, plain = max(TOLERANCE, SLACK * _distance(plain, exact)), exact
        difference = _distance(found, plain)
        return "" if difference <= allowed else f"give other values or gradients (relative difference {difference:.1e})"

    def _outcome(self, function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> list[Tensor]:
        """Return outputs, and gradients for weights and inputs, each in one row; draws and buffers are put back."""
        buffers = list(self.module.buffers())
        kept = [buffer.clone() for buffer in buffers]
        given = [None if x is None else x.detach().requires_grad_(x.requires_grad) for x in inputs]
        devices = [x.device for x in inputs if x is not None and x.device.type == "cuda"][:1]
        try:
            with torch.random.fork_rng(devices):  # a compiler that times kernels draws, too
                outputs = [each for each in _leaves(function(*given)) if each.is_floating_point()]
                found = [torch.cat([each.detach().float().flatten() for each in outputs])]
                asked = [x for x in (*self.module.parameters(), *given) if x is not None and x.requires_grad]
                if asked and any(each.requires_grad for each in outputs):
                    slopes = torch.autograd.grad(_sum(outputs), asked, allow_unused=True, materialize_grads=True)
                    found.append(torch.cat([each.float().flatten() for each in slopes]))
        finally:
            with torch.no_grad():
                for buffer, value in zip(buffers, kept, strict=True):
                    buffer.copy_(value)
        return found


def _leaves(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a tensor or of nested tuples."""
    if isinstance(value, Tensor):
        yield value
    elif value is not None:
        for each in value:
            yield from _leaves(each)


def _sum(outputs: Sequence[Tensor]) -> Tensor:
    """Return one number whose gradient every value has a say in: squares, and means for those that begin at 0."""
    parts = [each.float().square().mean() + each.float().mean() for each in outputs if each.requires_grad]
    return torch.stack(parts).sum()


def _in_full(x: Tensor | None) -> Tensor | None:
    """Return the same values in float32 where they are of fewer bits."""
    if x is None or not x.is_floating_point():
        return x
    return x.detach().float().requires_grad_(x.requires_grad)


def _distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Return the largest relative difference of two outcomes, infinite where one of them is no number."""
    pairs = zip(found, wanted, strict=True)
    apart = [float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in pairs]
    return max(math.inf if math.isnan(each) else each for each in apart)
