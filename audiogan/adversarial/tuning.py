"""Hold what is chosen for speed alone, compiled functions and the memory format, and keep a resumed run to it.

Neither changes what is computed but for its last digits. Both are off on a CPU unless asked for: there the first
compilation takes minutes, and a layout chosen by a clock would make two runs of one seed differ.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from audiogan.adversarial import compiling
from audiogan.adversarial.compiling import Compilable
from audiogan.adversarial.game import Phase
from audiogan.adversarial.memory_format import MemoryFormat, fastest, has_images, lay_out
from audiogan.adversarial.players import Players


def _word(value: object) -> object:
    """Return `on` and `off` for what YAML makes of them."""
    return ("on" if value else "off") if isinstance(value, bool) else value


Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_word)]
FormatWish = Literal["auto", "contiguous", "channels_last"]


class Tuning:
    """The choices of one run.

    Args:
        compiles: Whether to compile; auto where free.
        memory_format: Of the weights of image convolutions; auto takes the faster one where free, else contiguous.
        free: Whether the machine gains by it and exact repeats are not promised: CUDA, not deterministic.
    """

    def __init__(self, compiles: Switch, memory_format: FormatWish, *, free: bool) -> None:
        self.compiles = compiles == "on" or (compiles == "auto" and free)
        self.times_formats = memory_format == "auto" and free
        self.memory_format: MemoryFormat = "contiguous" if memory_format == "auto" else memory_format
        self.compilable: Sequence[Compilable] = ()

    def pins(self) -> dict[str, str]:
        """Return what must be equal for a resumed run to be exact, only what a plain run has not."""
        found = {}
        if self.compiles and self.compilable:
            found["compile"] = compiling.BACKEND
            found["plain"] = " ".join(each.name for each in self.compilable if each.is_refused)
        if self.memory_format != "contiguous":
            found["memory_format"] = self.memory_format
        return found

    def compile(self, compilable: Sequence[Compilable]) -> None:
        """Switch on what may be compiled, if that is wanted.

        Args:
            compilable: Of the game.
        """
        self.compilable = compilable
        if self.compiles:
            for each in compilable:
                each.switch_on(compiling.BACKEND)

    def settle(
        self,
        players: Players,
        move: Callable[[Phase], bool],
        agree: Callable[[list[float]], list[float]],
        pins: Mapping[str, Any],
    ) -> None:
        """Choose the memory format, or take the one that the run began with; leave plain what it had to leave plain.

        Args:
            players: Their weights take the format.
            move: Computes the gradients of a phase once, waits for the device, and returns whether memory sufficed.
            agree: From numbers of this process to numbers that are the same in all of them.
            pins: Of the checkpoint that the run goes on from, or nothing.
        """
        for each in self.compilable:
            if each.name in str(pins.get("plain", "")).split():
                each.refuse()
        if not has_images(players):
            self.memory_format = "contiguous"
            return
        if self.times_formats:
            begun: MemoryFormat = "channels_last" if pins.get("memory_format") == "channels_last" else "contiguous"
            self.memory_format = begun if pins else fastest(players, move, agree)
        lay_out(players, self.memory_format)
