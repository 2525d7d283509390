"""What a multitrack recipe may say: the corpus it reads, the roll it draws, the network it trains.

The sections `corpus:` and `model:` of a recipe, checked before anything is read. The roll's tracks are data: any set of
roles works with the same code. Defaults are the five roles of MuseGAN (arXiv 1709.06298) on a grid of sixteenths, whose
timing plane keeps what the grid loses.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from audiogan.pipelines.multitrack.classic_config import ClassicConfig
from audiogan.representation.pianoroll import DRUM_MAPS, Grid, Role

Span = tuple[int, int]


def _pairs(value: object) -> object:
    """YAML gives lists; strict tuples want tuples."""
    return (
        tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value) if isinstance(value, list) else value
    )


class TrackConfig(BaseModel):
    """One track of the roll."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=40, description="Name of the written track.")
    program: int = Field(default=0, ge=0, le=127, description="General MIDI program written; the kit for drums.")
    is_drum: bool = Field(default=False, description="Percussion, on channel 10.")
    sources: Annotated[tuple[Span, ...], BeforeValidator(_pairs)] = Field(
        default=(), description="Ranges [first, last] of programs that feed this track when files are read."
    )

    @model_validator(mode="after")
    def _check(self) -> "TrackConfig":
        for first, last in self.sources:
            if not 0 <= first <= last <= 127:
                raise ValueError(f"sources [{first}, {last}]; expected two programs from 0 to 127, the first not above")
        return self

    @property
    def role(self) -> Role:
        """The same as the representation knows it."""
        programs = frozenset(program for first, last in self.sources for program in range(first, last + 1))
        return Role(self.name, self.program, self.is_drum, programs)


# Programs 96–103 (effects) and 112–127 (percussive and sound effects) feed no track.
GM5 = (
    TrackConfig(name="drums", is_drum=True),
    TrackConfig(name="bass", program=33, sources=((32, 39),)),
    TrackConfig(name="piano", program=0, sources=((0, 7), (16, 23))),
    TrackConfig(name="guitar", program=25, sources=((24, 31),)),
    TrackConfig(name="strings", program=48, sources=((8, 15), (40, 95), (104, 111))),
)


class CellsConfig(BaseModel):
    """The default network: one code per cell (a bar of a track), a generator over codes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Literal["cells"] = "cells"
    code_dim: int = Field(default=48, ge=2, description="Values in the code of one cell.")
    n_voices: int = Field(
        default=24, ge=1, description="Voices (rhythm times pitch profile) that the decoder adds up per cell."
    )
    beat_width: int = Field(default=128, ge=8, description="Features of a beat in encoder and decoder.")
    step_width: int = Field(default=48, ge=8, description="Features of a timestep in encoder and decoder.")
    cell_depth: int = Field(default=2, ge=0, description="Residual blocks of encoder and decoder, each.")
    width: int = Field(default=512, ge=8, description="Features of a bar in generator and discriminator.")
    depth: int = Field(default=3, ge=1, description="Residual blocks of generator and discriminator, each.")
    harmony_width: int = Field(
        default=96, ge=0, description="Features of a beat in the discriminator that hears harmony; 0 for none."
    )
    spread: bool = Field(
        default=False, description="Tell the discriminator how far its batch spreads, with losses other than rpgan."
    )
    z_clip_dim: int = Field(default=64, ge=1, description="Values of z shared by all bars.")
    z_bar_dim: int = Field(default=16, ge=0, description="Values of z of each bar's own.")


class Config(BaseModel):
    """The recipe's `model:` section: grid, tracks and network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    beat_resolution: int = Field(default=4, ge=1, le=48, description="Timesteps per beat; divides 480.")
    n_bars: int = Field(default=4, ge=1, le=16, description="Bars of a clip.")
    metre: Literal["4/4", "3/4", "6/8"] = Field(default="4/4", description="Metre; spans of other metres are not read.")
    lowest_pitch: int = Field(default=24, ge=0, le=127, description="MIDI pitch of the lowest row.")
    n_pitches: int = Field(default=72, ge=12, le=128, description="Rows.")
    drum_map: Literal["gm9", "gm47"] = Field(default="gm9", description="Nine drum classes, or every key for itself.")
    home_key: bool = Field(
        default=False, description="Learn and write in C major or A minor; music is moved there and back."
    )
    tracks: tuple[TrackConfig, ...] = Field(
        default=GM5, min_length=1, max_length=16, description="Tracks of the roll, in order."
    )
    network: CellsConfig | ClassicConfig = Field(
        default=CellsConfig(), discriminator="variant", description="`variant: cells`, or one of the classic models."
    )

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if 480 % self.beat_resolution:
            raise ValueError(f"beat_resolution {self.beat_resolution}; expected a divisor of 480")
        if self.lowest_pitch + self.n_pitches > 128:
            top = self.lowest_pitch + self.n_pitches - 1
            raise ValueError(f"rows reach MIDI pitch {top}; expected 127 at most")
        names = [track.name.lower() for track in self.tracks]
        if len(set(names)) < len(names):
            raise ValueError(f"track names {names}; expected each once")
        if any(track.is_drum for track in self.tracks) and not self.grid.drum_pitches:
            raise ValueError(f"rows {self.lowest_pitch} and up hold none of the drums of {self.drum_map}")
        if isinstance(self.network, ClassicConfig):
            self._check_classic(self.network)
            if self.home_key:
                raise ValueError("home_key with a classic network; expected variant cells, which knows the way back")
        return self

    def _check_classic(self, network: ClassicConfig) -> None:
        mine = (len(self.tracks), self.n_bars, self.grid.n_timesteps, self.n_pitches, self.beat_resolution)
        theirs = (network.n_tracks, network.n_bars, network.n_timesteps, network.n_pitches, network.beat_resolution)
        if mine != theirs:
            names = "tracks, bars, timesteps, pitches, beat_resolution"
            raise ValueError(f"network is built for {names} {theirs}; the roll has {mine}")

    @property
    def grid(self) -> Grid:
        """Where cells lie."""
        numerator, denominator = map(int, self.metre.split("/"))
        return Grid(
            self.beat_resolution, self.n_bars, numerator, denominator, self.lowest_pitch, self.n_pitches, self.drum_map
        )

    @property
    def roles(self) -> tuple[Role, ...]:
        """Tracks as the representation knows them."""
        return tuple(track.role for track in self.tracks)


class SourceConfig(BaseModel):
    """One place that songs come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field(description="Folder (or .wad file) of MIDI files or LPD rolls, searched with its subfolders.")
    licence: str = Field(default="unknown", description="Licence of the music, for the provenance card.")
    origin: str = Field(default="", description="Where the files come from, for the provenance card.")


class CorpusConfig(BaseModel):
    """The recipe's `corpus:` section: which songs, which clips of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Annotated[tuple[SourceConfig, ...], BeforeValidator(_pairs)] = Field(
        default=(), description="Places that songs come from, each with its licence."
    )
    folder: str | None = Field(default=None, description="Short form for one source.")
    licence: str = Field(default="unknown", description="Licence of the music in `folder`.")
    origin: str = Field(default="", description="Where the files of `folder` come from.")
    valid_fraction: float = Field(default=0.1, ge=0, lt=1, description="Share of songs held out to choose by.")
    test_fraction: float = Field(default=0.0, ge=0, lt=1, description="Share of songs held out to report figures.")
    stride_bars: int = Field(default=1, ge=1, description="A clip starts every so many bars.")
    min_drum_onsets: int = Field(default=4, ge=0, description="Fewest drum hits in a clip, if the roll has drums.")
    min_bass_onsets: int = Field(default=2, ge=0, description="Fewest notes in a track called bass, if there is one.")
    min_tracks: int = Field(default=3, ge=1, description="Fewest tracks with a note in a clip.")
    transpose: bool = Field(
        default=True, description="Move pitched tracks by -5 to 6 semitones while training, but with model.home_key."
    )
    max_refused: float = Field(default=0.5, gt=0, le=1, description="Stop when a larger share of the files is refused.")
    shard_megabytes: int = Field(
        default=0, ge=0, le=100_000, description="Keep prepared songs in tar files of this size; 0 for plain arrays."
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
        return self

    @property
    def places(self) -> tuple[SourceConfig, ...]:
        """All sources, also the short form."""
        if self.folder is None:
            return self.sources
        return (SourceConfig(folder=self.folder, licence=self.licence, origin=self.origin),)


assert set(DRUM_MAPS) == {"gm9", "gm47"}
