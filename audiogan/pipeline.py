"""What a pipeline must offer, and the one place where a pipeline is imported by its name.

A pipeline is a package of functions under `audiogan.pipelines`: it turns a corpus into tensors, builds the networks,
states the training game, and turns what the networks make into files. The rest of the program meets pipelines only
through the `Pipeline` protocol and `Model`, a trained set of networks with its facts. A pipeline makes scores, or
it makes sounds and then offers the verbs of `SoundPipeline` too. Nothing here imports torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel

from audiogan.errors import RecipeError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from audiogan.corpus.score import Score

PIPELINES = Path(__file__).parent / "pipelines"
MUSIC, SOUNDS = "multitrack", "waveform"
"""What a model makes, named after the pipeline whose shipped model serves those verbs unless another is asked for."""

Progress = Callable[[int, int], None]
"""Called with how many items are done and how many there are."""


class Sound(Protocol):
    """A sound that a model made."""

    @property
    def waveform(self) -> "NDArray[np.float32]":
        """`(time,)`, one channel, its peak at most 1."""
        ...

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it is, JSON-able: `pitch`, `timbre`, `warnings` and more."""
        ...


@dataclass(frozen=True)
class Model:
    """Trained networks and what is known about them.

    Args:
        modules: Networks by name, in evaluation mode, already on their device.
        config: The pipeline's `Config` they were built from.
        card: Where they come from: recipe, corpus, licence, version; empty if the folder holds no card.
        folder: Where they were loaded from.
        name: Folder name, for manifests.
        sha256: Hash of `model.safetensors`.
        pipeline: Name of the pipeline that understands them.
        device: Where the modules are: `cpu` or `cuda:0`.
    """

    modules: "Mapping[str, nn.Module]"
    config: Any
    card: Mapping[str, Any]
    folder: Path
    name: str = ""
    sha256: str = ""
    pipeline: str = "multitrack"
    device: str = "cpu"
    _verbs: "Pipeline | None" = field(default=None, repr=False, compare=False)

    @property
    def verbs(self) -> "Pipeline":
        """The pipeline's functions."""
        return self._verbs or load_pipeline(self.pipeline)

    @property
    def makes(self) -> str:
        """`SOUNDS` for a pipeline with the verbs of `SoundPipeline`, else `MUSIC`."""
        return SOUNDS if hasattr(self.verbs, "timbre_of") else MUSIC

    @property
    def sounding(self) -> "SoundPipeline":
        """The pipeline's functions, of a pipeline that makes sounds.

        Raises:
            UnsupportedError: It makes scores.
        """
        if self.makes != SOUNDS:
            raise UnsupportedError(f"{self.name or self.pipeline} makes no sounds; expected a model of notes")
        return cast("SoundPipeline", self.verbs)

    def generate(self, *, count: int = 1, seed: int = 0, **options: Any) -> list[Any]:
        """Make `count` new clips, or new notes."""
        return self.verbs.generate(self, count=count, seed=seed, device=self.device, **options)

    def interpolate(self, first: Any, second: Any, *, steps: int = 5, seed: int = 0, **options: Any) -> list[Any]:
        """Go from one clip or timbre to another in `steps` clips or notes, ends included."""
        return self.verbs.interpolate(self, first, second, steps=steps, seed=seed, **options)

    def continue_clip(self, score: "Score", *, bars: int = 4, count: int = 1, seed: int = 0) -> "list[Score]":
        """Add `bars` bars after a clip."""
        return self.verbs.continue_clip(self, score, bars=bars, count=count, seed=seed)

    def accompany(self, score: "Score", *, tracks: Sequence[str], count: int = 1, seed: int = 0) -> "list[Score]":
        """Add the named tracks to a clip."""
        return self.verbs.accompany(self, score, tracks=tracks, count=count, seed=seed)

    def infill(
        self,
        score: "Score",
        *,
        bars: tuple[int, int],
        tracks: Sequence[str] | None = None,
        count: int = 1,
        seed: int = 0,
    ) -> "list[Score]":
        """Write bars `first` to `last` (counted from 1) of a clip anew."""
        return self.verbs.infill(self, score, bars=bars, tracks=tracks, count=count, seed=seed)

    def vary(self, score: "Score", *, strength: float = 0.3, count: int = 1, seed: int = 0) -> "list[Score]":
        """Make clips like this one; `strength` 0 is a copy, 1 a free sample."""
        return self.verbs.vary(self, score, strength=strength, count=count, seed=seed)

    def timbre_of(self, recording: Any, *, pitch: float | None = None, seed: int = 0) -> Any:
        """Find the timbre of a recording; `pitch` (MIDI) is estimated if left out."""
        return self.sounding.timbre_of(self, recording, pitch=pitch, seed=seed)

    def timbre_of_several(self, recordings: Mapping[str, Any], *, seed: int = 0) -> Any:
        """Find the timbre of several recordings of one instrument, by file name."""
        return self.sounding.timbre_of_several(self, recordings, seed=seed)

    def random_timbre(self, seed: int = 0, number: int = 0) -> Any:
        """Draw a timbre; each number of a seed gives another."""
        return self.sounding.random_timbre(self, seed, number)

    def transfer(self, source: Any, timbre: Any, *, voices: str = "auto", seed: int = 0) -> Sound:
        """Play a recording with a timbre: a melody (`voices="one"`), several voices (`many`), or whichever it is."""
        return self.sounding.transfer(self, source, timbre, voices=voices, seed=seed)

    def render(self, score: "Score", timbres: Sequence[Any], *, seed: int = 0, **options: Any) -> Sound:
        """Play a score with one timbre or several."""
        return self.sounding.render(self, score, timbres, seed=seed, **options)


class Pipeline(Protocol):
    """The names a pipeline package exports. A verb it cannot offer raises `UnsupportedError`.

    Some more may be there. `RESUMES_PREPARE = True` says that `prepare` goes on where it was stopped, in the same
    folder.
    `settle(modules, config, dataset)` is called once, before a new run trains: after `build`, with the weights of the
    model begun with, if any.
    `scoring(cache, config, corpus, *, count)` returns `adversarial.scoring.Scoring`, how to tell while a model trains
    whether it gets better, or None where nothing is held out.
    `take_fingerprints(cache, config, corpus)` and `compare_fingerprints(config, items, marks)` make and use
    `evaluation.fingerprints`; `audit_folder(model, folder, *, count, seed)` answers the owner of files.
    """

    @property
    def Config(self) -> type[BaseModel]:
        """The recipe's `model:` section."""
        ...

    @property
    def CorpusConfig(self) -> type[BaseModel]:
        """The recipe's `corpus:` section."""
        ...

    @property
    def GameConfig(self) -> type[BaseModel]:
        """The recipe's `game:` section."""
        ...

    @property
    def OptimizerConfig(self) -> type[BaseModel]:
        """The recipe's `optimizer:` section."""
        ...

    @property
    def prepare(self) -> Callable[..., Any]:
        """`(corpus, config, cache, *, jobs, progress)` → JSON-able summary; fills the cache folder."""
        ...

    @property
    def open_dataset(self) -> Callable[..., Any]:
        """`(cache, config, corpus, split)` → dataset with `fetch(indices, seeds)` and a length."""
        ...

    @property
    def build(self) -> Callable[..., Any]:
        """`(config)` → networks by name."""
        ...

    @property
    def phases(self) -> Callable[..., Any]:
        """`(modules, config, game, optimizers)` → the training game."""
        ...

    @property
    def finish(self) -> Callable[..., None]:
        """`(modules, config, dataset, *, seed)`: what remains to be done to the shared modules after training."""
        ...

    @property
    def load_modules(self) -> Callable[..., Any]:
        """`(tensors, config)` → networks by name, ready to use."""
        ...

    @property
    def generate(self) -> Callable[..., list[Any]]:
        """`(model, *, count, seed, device, ...)` → clips or notes, with the options that suit them."""
        ...

    @property
    def interpolate(self) -> Callable[..., list[Any]]:
        """`(model, first, second, *, steps, seed)` → clips, or notes from one timbre to another."""
        ...

    @property
    def continue_clip(self) -> "Callable[..., list[Score]]":
        """`(model, score, *, bars, count, seed)` → clips."""
        ...

    @property
    def accompany(self) -> "Callable[..., list[Score]]":
        """`(model, score, *, tracks, count, seed)` → clips."""
        ...

    @property
    def infill(self) -> "Callable[..., list[Score]]":
        """`(model, score, *, bars, tracks, count, seed)` → clips."""
        ...

    @property
    def vary(self) -> "Callable[..., list[Score]]":
        """`(model, score, *, strength, count, seed)` → clips."""
        ...

    @property
    def transfer(self) -> Callable[..., Any]:
        """`(model, source, timbre, *, seed)` → the source with another timbre."""
        ...

    @property
    def evaluate(self) -> Callable[..., Any]:
        """`(model, ...)` → result rows."""
        ...

    @property
    def write(self) -> Callable[..., None]:
        """`(item, path)` → a file."""
        ...


class SoundPipeline(Pipeline, Protocol):
    """What a pipeline that makes sounds exports besides."""

    @property
    def timbre_of(self) -> Callable[..., Any]:
        """`(model, recording, *, pitch, seed)` → timbre."""
        ...

    @property
    def timbre_of_several(self) -> Callable[..., Any]:
        """`(model, recordings, *, pitches, name, seed, on_refusal)` → timbre of one instrument."""
        ...

    @property
    def random_timbre(self) -> Callable[..., Any]:
        """`(model, seed, number)` → timbre."""
        ...

    @property
    def load_timbre(self) -> Callable[..., Any]:
        """`(path, model)` → timbre, from the JSON that a manifest or a saved timbre holds."""
        ...

    @property
    def render(self) -> Callable[..., Sound]:
        """`(model, score, timbres, *, glide, seed, sample_rate)` → sound."""
        ...

    @property
    def write_instrument(self) -> Callable[..., Any]:
        """`(model, timbre, folder, *, seed)` → JSON-able facts; fills an empty folder with a sampler instrument."""
        ...


def pipeline_names() -> list[str]:
    """Return the pipelines found on disk."""
    return sorted(path.parent.name for path in PIPELINES.glob("*/__init__.py"))


def load_pipeline(name: str) -> Pipeline:
    """Import a pipeline by its name.

    Raises:
        RecipeError: No pipeline of that name.
    """
    known = pipeline_names()
    if name not in known:
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise RecipeError(f"pipeline: {name!r}{hint}; expected one of {', '.join(known)}")
    return cast("Pipeline", import_module(f"audiogan.pipelines.{name}"))
