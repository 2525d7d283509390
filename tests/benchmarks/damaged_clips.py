"""Clips that are damaged in known ways, and the rows of the evaluation of clips before and after (see `damaged`).

Clips are first put on the grid of comparison, so that a tick is a timestep.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import audiogan
from audiogan.corpus.score import Notes, Score, Track
from audiogan.evaluation.audit import Material
from audiogan.evaluation.distances import fit_scaler
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.auditing import disguise, views_of
from audiogan.pipelines.multitrack.comparison import compare
from audiogan.pipelines.multitrack.config import CellsConfig, CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset
from audiogan.pipelines.multitrack.description import describe
from audiogan.pipelines.multitrack.embedded import LARGER_IS_BETTER
from audiogan.pipelines.multitrack.evaluation import _untrained
from audiogan.pipelines.multitrack.exhibits import given_roles
from audiogan.pipelines.multitrack.grid import ClipGrid, quantised
from audiogan.pipelines.multitrack.held_out import HeldOut, clip_grid, clips_of, find, fine
from audiogan.pipelines.multitrack.listening import listening
from audiogan.pipelines.multitrack.synthesis import accompany, generate
from tests.benchmarks.damaged import CHANCE, Damage, Outcome, Reading, copies_read, judge, limits_of, planted

N_POOR = 256
N_LISTEN = 96
N_LEARNT, N_HELD_OUT = 800, 256
FORMS = ("correct", "spread")
EMBEDDINGS = ("score_desc", "roll_net")
Rng = np.random.Generator
Change = Callable[[Sequence[Score], ClipGrid, Rng], list[Score]]


def mapped(clip: Score, change: Callable[[Track, Notes], Notes], roles: Sequence[str] | None = None) -> Score:
    """Return a clip with the notes of some tracks (all by default) changed."""
    tracks = [
        replace(track, notes=change(track, track.notes)) if roles is None or track.name in roles else track
        for track in clip.tracks
    ]
    return replace(clip, tracks=tuple(tracks))


def with_random_notes(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Add a tenth as many notes as each track has, at random steps and pitches."""

    def more(track: Track, notes: Notes) -> Notes:
        n = int(rng.binomial(len(notes), 0.1))
        start = rng.integers(0, grid.n_steps - 1, n)
        low, high = (35, 60) if track.is_drum else (36, 84)
        new = (start, start + rng.integers(1, grid.beat_resolution, n), rng.integers(low, high, n), np.full(n, 80))
        old = (notes.onset, notes.offset, notes.pitch, notes.velocity)
        return Notes(*(np.concatenate(pair) for pair in zip(old, new, strict=True)))

    return [mapped(clip, more) for clip in clips]


def without_bass(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Silence the bass, or the first pitched track where there is none."""
    role = "bass" if "bass" in grid.roles else grid.roles[grid.pitched[0]]
    return [mapped(clip, lambda _, notes: notes.where(np.zeros(len(notes), dtype=bool)), [role]) for clip in clips]


def half_the_modes(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Keep the half of the clips that lies on one side of the first principal component, each twice."""
    values = describe(clips, grid)[1]
    values = fit_scaler(values).transform(values)
    values = values - values.mean(axis=0)
    along = values @ np.linalg.svd(values, full_matrices=False)[2][0]
    kept = np.argsort(along, kind="stable")[: -(-len(clips) // 2)]
    return [clips[place] for place in np.tile(kept, 2)[: len(clips)].tolist()]


def a_semitone_apart(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Move every other pitched track up a semitone."""
    roles = grid.names(grid.pitched)[::2]

    def higher(_: Track, notes: Notes) -> Notes:
        return Notes(notes.onset, notes.offset, np.minimum(notes.pitch + 1, 127), notes.velocity)

    return [mapped(clip, higher, roles) for clip in clips]


def in_bars(clip: Score, grid: ClipGrid, order: NDArray[np.int64]) -> Score:
    """Return a clip whose bar i stands at `order[i]`; notes go with the bar they begin in and end with the clip."""

    def moved(_: Track, notes: Notes) -> Notes:
        bar = notes.onset // grid.n_timesteps
        shift = (order[bar] - bar) * grid.n_timesteps
        return Notes(notes.onset + shift, np.minimum(notes.offset + shift, grid.n_steps), notes.pitch, notes.velocity)

    return mapped(clip, moved)


def bars_out_of_order(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Put the bars of every clip into a random order, of all tracks together."""
    return [in_bars(clip, grid, rng.permutation(grid.n_bars)) for clip in clips]


def bars_of_other_clips(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Take every bar from another clip."""
    donors = np.stack([rng.permutation(len(clips)) for _ in range(grid.n_bars)])

    def bar_of(notes: Notes, bar: int) -> Notes:
        return notes.where(notes.onset // grid.n_timesteps == bar)

    made = []
    for place, clip in enumerate(clips):
        tracks = []
        for number, track in enumerate(clip.tracks):
            parts = [bar_of(clips[donors[bar, place]].tracks[number].notes, bar) for bar in range(grid.n_bars)]
            columns = ([getattr(part, name) for part in parts] for name in ("onset", "offset", "pitch", "velocity"))
            tracks.append(replace(track, notes=Notes(*(np.concatenate(column) for column in columns))))
        made.append(replace(clip, tracks=tuple(tracks)))
    return made


def tracks_of_other_clips(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Take every track from another clip."""
    donors = [rng.permutation(len(clips)).tolist() for _ in grid.roles]
    return [
        replace(clip, tracks=tuple(clips[donors[number][place]].tracks[number] for number in range(len(clip.tracks))))
        for place, clip in enumerate(clips)
    ]


def of_one_step(clips: Sequence[Score], grid: ClipGrid, rng: Rng) -> list[Score]:
    """Cut every note to one timestep."""

    def cut(_: Track, notes: Notes) -> Notes:
        return Notes(notes.onset, notes.onset + 1, notes.pitch, notes.velocity)

    return [mapped(clip, cut) for clip in clips]


DAMAGES: dict[Damage, Change] = {
    Damage("a tenth more notes, at random", ("in_scale · *", "scale_consistency · clip")): with_random_notes,
    Damage("the bass is missing", ("eb · bass",)): without_bass,
    Damage("half of the modes, twice", ("recall · *", "coverage · *")): half_the_modes,
    Damage("every other track a semitone up", ("td · *", "scale_consistency · clip")): a_semitone_apart,
    Damage("bars in random order", ("bar_order · *",)): bars_out_of_order,
    Damage("bars of other clips", ("repeat · *", "groove · *")): bars_of_other_clips,
    Damage("tracks of other clips", ("td · *", "kad · roll_net")): tracks_of_other_clips,
    Damage("notes of one step", ("frag · *", "length · *")): of_one_step,
}
"""The rows that ought to notice were named before anything was measured; `bar_order` was built because none did."""
PLAIN = Damage("1 % copies, note for note", ("hard copies · audit",))
DISGUISED = Damage("1 % copies, in disguise", ("hard copies · audit",))
DEAF = Damage("accompaniments of other songs", ("listening · *",))


@dataclass(frozen=True, eq=False)
class Bench:
    """What clips are compared with: real ones, those of an untrained model, and the shape of all."""

    held: HeldOut
    poor: Sequence[Score]
    grid: ClipGrid
    with_expression: bool
    seed: int = 0

    def read(self, clips: Sequence[Score]) -> list[Reading]:
        """Return the rows of the evaluation but those of the papers and of muspy, which are other forms of them."""
        held = self.held
        rows = compare(
            clips, held.clips, held.songs, self.grid,
            poor=self.poor, with_expression=self.with_expression, seed=self.seed,
        )  # fmt: skip
        return [
            Reading(
                f"{row.metric} · {row.column}",
                row.value,
                row.low,
                row.high,
                row.reference,
                row.passes,
                row.column in EMBEDDINGS and row.metric in LARGER_IS_BETTER,
            )
            for row in rows
            if row.form in FORMS
        ]


def judged(bench: Bench, clips: Sequence[Score], others: Sequence[Score], only: Sequence[str]) -> Iterator[Outcome]:
    """Damage clips in every way of `DAMAGES`.

    Args:
        bench: What they are compared with.
        clips: Of a good model, on the grid, every track there.
        others: Clips of the same model with other random numbers; none for no such line.
        only: What the names of the damages begin with.
    """
    before = bench.read(clips)
    if others and CHANCE.startswith(tuple(only)):
        yield judge(Damage(CHANCE, ()), before, bench.read(others))
    for damage, change in DAMAGES.items():
        if damage.name.startswith(tuple(only)):
            damaged = change(clips, bench.grid, np.random.default_rng(bench.seed))
            yield judge(damage, before, bench.read(damaged))


def of_other_songs(songs: Sequence[object]) -> list[int]:
    """Return for each place another one, half of the list away or the next after that, of another song."""
    n = len(songs)
    ways = [[(place + n // 2 + step) % n for step in range(n)] for place in range(n)]
    return [next(other for other in way if songs[other] != songs[place]) for place, way in enumerate(ways)]


def deaf(
    bench: Bench, conditions: Sequence[Score], outputs: Sequence[Score], songs: Sequence[object], given: Sequence[str]
) -> Outcome:
    """Pair accompaniments with the conditions of other songs: a model that listens must not be taken for one then."""
    held = bench.held

    def read(made: Sequence[Score]) -> list[Reading]:
        rows = listening(
            conditions, made, bench.grid,
            given=given, songs=songs, real=held.clips, real_songs=held.songs, seed=bench.seed,
        )  # fmt: skip
        return [
            Reading(f"listening · {row.name}", row.drop, row.low, row.high, row.real_drop, row.passes) for row in rows
        ]

    turned = [outputs[place] for place in of_other_songs(songs)]
    return judge(DEAF, read(outputs), read(turned))


def copied(bench: Bench, clips: Sequence[Score], learnt: Sequence[Score], only: Sequence[str]) -> Iterator[Outcome]:
    """Plant copies of training clips, one in a hundred.

    Args:
        bench: With held-out clips; one half sets the limits, the other must pass.
        clips: Of a good model, on the grid.
        learnt: Training clips, on the grid.
        only: What the names of the damages begin with.
    """
    wanted = [damage for damage in (PLAIN, DISGUISED) if damage.name.startswith(tuple(only))]
    if not wanted:
        return
    grid, seed = bench.grid, bench.seed
    held = quantised(bench.held.clips[:: max(1, len(bench.held.clips) // N_HELD_OUT)], grid)
    views = views_of(grid)
    limits = limits_of(held[::2], learnt, views)

    def read(made: Sequence[Score]) -> list[Reading]:
        return copies_read(Material(learnt, held[1::2], made), views, disguise, limits, seed)[0]

    before = read(clips)
    for damage in wanted:
        rng = np.random.default_rng(seed)
        chosen = [learnt[place] for place in rng.choice(len(learnt), max(1, len(clips) // 100), replace=False).tolist()]
        copies = chosen if damage is PLAIN else [disguise(clip, rng) for clip in chosen]
        yield judge(damage, before, read(planted(clips, copies, rng)))


def outcomes(name: str, count: int, corpus: Path | None, seed: int, only: Sequence[str]) -> Iterator[Outcome]:
    """Damage the clips of a model in every way."""
    model = audiogan.load(name, device="cpu")
    grid = clip_grid(model.config)
    held = find(model, None, count=count)
    poor = generate(_untrained(model, seed), count=min(count, N_POOR), seed=seed)
    bench = Bench(held, poor, grid, isinstance(model.config.network, CellsConfig), seed)
    clips, others = (quantised(generate(model, count=count, seed=seed + turn), grid) for turn in (0, 1))
    yield from judged(bench, clips, others, only)
    if DEAF.name.startswith(tuple(only)):
        yield _deaf_model(model, bench)
    if corpus is not None:
        trained = open_dataset(corpus, fine(model.config), CorpusConfig.model_validate({"folder": "x"}), "train")
        yield from copied(bench, clips, quantised(clips_of(trained, N_LEARNT)[0], grid), only)


def _deaf_model(model: Model, bench: Bench) -> Outcome:
    """Let the model accompany held-out clips as its evaluation does."""
    held, given = bench.held, given_roles(bench.grid)
    rest = [role for role in bench.grid.roles if role not in given]
    chosen = np.unique(np.linspace(0, len(held.clips) - 1, min(N_LISTEN, len(held.clips))).astype(int)).tolist()
    conditions = [
        held.clips[place].with_tracks(tuple(track for track in held.clips[place].tracks if track.name in given))
        for place in chosen
    ]
    outputs = [accompany(model, clip, tracks=rest, count=1, seed=bench.seed)[0] for clip in conditions]
    return deaf(bench, conditions, outputs, [held.songs[place] for place in chosen], given)
