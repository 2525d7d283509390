"""What a waveform recipe may say: the notes it reads, how a note becomes numbers, the network it trains.

The sections `corpus:` and `model:` of a recipe, checked before anything is read. A note is one pitched sound of fixed
length; the representation turns it into planes and back, and the network learns the planes. Defaults of `classic` are
GANSynth's (arXiv 1902.08710); those of `residual` follow R3GAN (arXiv 2501.05441).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from audiogan.corpus.programs import ACOUSTIC, PITCHED
from audiogan.corpus.soundfont import VELOCITIES, family_of
from audiogan.pipelines.waveform.network_config import ClassicConfig, ResidualConfig, StyleConfig
from audiogan.representation.base import HarmonicConfig, Representation, SpectrogramConfig, representation_of

PartName = Literal["train", "valid", "test"]
SourceKind = Literal["soundfont", "nsynth", "folder"]


def _tuple(value: object) -> object:
    """YAML gives lists; strict tuples want tuples."""
    return tuple(value) if isinstance(value, list) else value


def _programs(value: object) -> object:
    """The two sets of programs have names."""
    named = {"acoustic": tuple(ACOUSTIC), "pitched": tuple(PITCHED)}
    return named.get(value, value) if isinstance(value, str) else _tuple(value)


# ---- model


class Config(BaseModel):
    """The recipe's `model:` section: what a note is, how it becomes planes, and the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: int = Field(default=44100, ge=8000, le=192_000, description="Of every note, in Hz.")
    seconds: float = Field(default=4.0, ge=0.25, le=60.0, description="Length of a note; shorter ones end in silence.")
    lowest_pitch: int = Field(default=24, ge=12, le=127, description="MIDI pitch of the lowest note.")
    highest_pitch: int = Field(default=96, ge=12, le=127, description="MIDI pitch of the highest note.")
    representation: HarmonicConfig | SpectrogramConfig = Field(
        default=HarmonicConfig(), discriminator="kind", description="How a note becomes planes."
    )
    network: ResidualConfig | StyleConfig | ClassicConfig = Field(
        default=ResidualConfig(), discriminator="variant", description="`variant: residual`, `style` or `classic`."
    )

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if self.lowest_pitch > self.highest_pitch:
            raise ValueError(f"lowest_pitch {self.lowest_pitch} above highest_pitch {self.highest_pitch}")
        return self

    def represent(self) -> Representation:
        """Build the representation, at this rate and length."""
        return representation_of(self.representation, sample_rate=self.sample_rate, seconds=self.seconds)

    @property
    def n_samples(self) -> int:
        """Samples of a note."""
        return round(self.seconds * self.sample_rate)

    @property
    def n_pitches(self) -> int:
        """Keys from the lowest to the highest pitch."""
        return self.highest_pitch - self.lowest_pitch + 1


# ---- corpus


class SourceConfig(BaseModel):
    """One place that notes come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SourceKind = Field(
        default="folder",
        description="`soundfont` renders an .sf2 file, `nsynth` reads examples.json and audio/, `folder` any sounds.",
    )
    folder: str = Field(description="The .sf2 file, or the folder.")
    licence: str = Field(default="unknown", description="Licence of the sounds, for the provenance card.")
    origin: str = Field(default="", description="Where they come from, for the provenance card.")
    family: str = Field(
        default="", description="Sources that share recordings share a family; left out: the known font's, or the name."
    )
    split: PartName | None = Field(default=None, description="Put all of it into one part; left out: as `split_by`.")

    @property
    def family_name(self) -> str:
        """The family, derived from the name of the source where none is given."""
        return family_of(self.family or self.folder)


class CorpusConfig(BaseModel):
    """The recipe's `corpus:` section: which notes, and which of them are held out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Annotated[tuple[SourceConfig, ...], BeforeValidator(_tuple)] = Field(
        default=(), description="Places that notes come from, each with its licence."
    )
    kind: SourceKind = Field(default="folder", description="What `folder` is, as in a source.")
    folder: str | None = Field(default=None, description="Short form for one source.")
    licence: str = Field(default="unknown", description="Licence of the sounds in `folder`.")
    origin: str = Field(default="", description="Where the sounds of `folder` come from.")
    family: str = Field(default="", description="Family of `folder`.")
    split_by: Literal["instrument", "family"] = Field(
        default="instrument", description="What is held out as a whole: instruments, or families of sources."
    )
    valid_fraction: float = Field(default=0.1, ge=0, lt=1, description="Share of instruments held out to choose by.")
    test_fraction: float = Field(default=0.0, ge=0, lt=1, description="Share held out to report figures.")
    max_refused: float = Field(default=0.5, gt=0, le=1, description="Stop when a larger share of notes is refused.")
    programs: Annotated[tuple[int, ...], BeforeValidator(_programs)] = Field(
        default=tuple(ACOUSTIC),
        description="soundfont: General MIDI programs to render; `acoustic` for 23 instruments, `pitched` for 99.",
    )
    velocities: Annotated[tuple[int, ...], BeforeValidator(_tuple)] = Field(
        default=VELOCITIES, min_length=1, max_length=16, description="soundfont: MIDI velocities to render."
    )
    pitch_step: int = Field(default=1, ge=1, le=12, description="soundfont: semitones between rendered keys.")
    nsynth_sources: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = Field(
        default=(), description="nsynth: names such as acoustic; left out: all."
    )
    nsynth_families: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = Field(
        default=(), description="nsynth: names such as brass, string; left out: all."
    )
    middle_c: int = Field(default=4, ge=3, le=5, description="folder: octave that file names give to MIDI pitch 60.")
    table: str = Field(
        default="",
        description="folder: name of a CSV or JSON file in it with the columns file, pitch, velocity, "
        "instrument; left out: notes.csv or notes.json where there is one.",
    )
    min_seconds: float = Field(default=0.05, ge=0.01, le=60, description="Shortest sound that counts as a note.")
    min_confidence: float = Field(default=0.7, ge=0, le=1, description="folder: least confidence in an estimate.")
    check_pitch: bool = Field(
        default=True, description="folder: compare named pitches with an estimate, where swift-f0 is installed."
    )
    tune: bool = Field(default=True, description="Take a note's measured tuning within 50 cents of its key as its f0.")
    shard_megabytes: int = Field(
        default=0, ge=0, le=100_000, description="Keep prepared notes in tar files of this size; 0 for plain arrays."
    )
    spread_by: Literal["processes", "ray"] = Field(
        default="processes", description="Who prepares: processes of this machine, or a cluster by Ray (extra `ray`)."
    )

    @model_validator(mode="after")
    def _check(self) -> "CorpusConfig":
        if (self.folder is None) == (not self.sources):
            raise ValueError("expected `folder` or `sources`, one of them")
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction and test_fraction leave nothing to train on")
        for name, values, low in (("programs", self.programs, 0), ("velocities", self.velocities, 1)):
            if not all(low <= value <= 127 for value in values) or len(set(values)) < len(values):
                raise ValueError(f"{name} {list(values)}; expected numbers from {low} to 127, each once")
        unknown = [program for program in self.programs if program not in PITCHED]
        if unknown:
            raise ValueError(f"programs {unknown}; expected some of {', '.join(map(str, PITCHED))}, or `pitched`")
        self._check_families()
        return self

    def _check_families(self) -> None:
        """A family in two parts would let the same recordings be learnt and tested on."""
        parts: dict[str, set[PartName | None]] = {}
        for place in self.places:
            parts.setdefault(place.family_name, set()).add(place.split)
        torn = sorted(family for family, found in parts.items() if len(found) > 1)
        if torn:
            raise ValueError(f"family {torn[0]} has sources with different `split`; expected one part for all of it")

    @property
    def places(self) -> tuple[SourceConfig, ...]:
        """All sources, also the short form."""
        if self.folder is None:
            return self.sources
        one = SourceConfig(
            kind=self.kind, folder=self.folder, licence=self.licence, origin=self.origin, family=self.family
        )
        return (one,)
