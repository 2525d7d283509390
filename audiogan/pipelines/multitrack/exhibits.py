"""What a report shows of a model of clips: new clips, real ones beside the model's, the way between two, closest pairs.

Nothing is chosen by ear: the new clips are the first ones of the seed, and the real ones lie evenly among the held-out
clips. Clips are played by the plain sketch of `preview`, which is the same for real and generated music.
"""

from collections.abc import Callable, Sequence

import numpy as np

from audiogan.corpus.midi import encode
from audiogan.corpus.score import Score
from audiogan.errors import AudioganError
from audiogan.evaluation.audit import Audit
from audiogan.evaluation.exhibit import Exhibit, Shelf, flac
from audiogan.evaluation.stages import Tell
from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.config import CellsConfig
from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.pipelines.multitrack.held_out import HeldOut
from audiogan.pipelines.multitrack.synthesis import accompany, interpolate
from audiogan.preview import COLOURS, SAMPLE_RATE, picture, sound

N_NEW, N_BESIDE, N_RUNGS, N_CLOSEST = 8, 5, 5, 5
PICTURE_WIDTH, LANE_HEIGHT = 480, 44


def exhibits_of(
    model: Model, made: Sequence[Score], held: HeldOut, audit: Audit | None, grid: ClipGrid, seed: int, tell: Tell
) -> list[Shelf]:
    """Return what there is to hear and see of a model.

    Args:
        model: Trained networks.
        made: Generated clips.
        held: Real clips.
        audit: Of copies; None where there was none.
        grid: Shape of the clips.
        seed: Of the generated clips.
        tell: Called with shelves done and their number.
    """
    fill: list[Callable[[], Shelf]] = [
        lambda: _new_clips(made, seed),
        lambda: _beside_real(model, made, held, grid, seed),
        lambda: _way(model, held),
        lambda: _closest(made, held, audit),
    ]
    shelves = []
    for number, one in enumerate(fill, 1):
        shelves.append(one())
        tell(number, len(fill))
    return shelves


def given_roles(grid: ClipGrid) -> list[str]:
    """Return the roles that a model is given, to write the others: drums and bass, or the first one."""
    given = [role for role in grid.roles if role in grid.drums or role.lower() == "bass"]
    return given if 0 < len(given) < len(grid.roles) else [grid.roles[0]]


def _new_clips(made: Sequence[Score], seed: int) -> Shelf:
    exhibits = tuple(_exhibit(f"Clip {number}", clip) for number, clip in enumerate(made[:N_NEW], 1))
    about = (
        f"The first {len(exhibits)} clips of seed {seed}, as audiogan generate midi makes them; none was chosen. The "
        "players hold a plain sketch of the notes; the MIDI files sound better in a program with good instruments."
    )
    return Shelf("New clips", about, exhibits)


def _beside_real(model: Model, made: Sequence[Score], held: HeldOut, grid: ClipGrid, seed: int) -> Shelf:
    """Held-out clips, each beside what the model writes to some of its tracks; or, where it cannot, beside any clip."""
    places = np.unique(np.linspace(0, len(held.clips) - 1, min(N_BESIDE, len(held.clips))).astype(int)).tolist()
    given = given_roles(grid)
    rest = [role for role in grid.roles if role not in given]
    listens = isinstance(model.config.network, CellsConfig) and bool(rest)
    exhibits = []
    for number, place in enumerate(places, 1):
        real = held.clips[place]
        exhibits.append(_exhibit(f"Real clip {number}", real))
        if listens:
            condition = real.with_tracks(tuple(track for track in real.tracks if track.name in given))
            answer = accompany(model, condition, tracks=rest, count=1, seed=seed)[0]
            exhibits.append(_exhibit(f"The model's, to {' and '.join(given)} of real clip {number}", answer))
        else:
            exhibits.append(_exhibit(f"The model's clip {number}", made[number - 1]))
    how = f"what the model writes to its {' and '.join(given)}" if listens else "a clip of the model"
    about = f"{len(places)} clips of songs that the model never saw, spread evenly over them, each beside {how}."
    return Shelf("Real clips and the model's", about, tuple(exhibits), in_pairs=True)


def _way(model: Model, held: HeldOut) -> Shelf:
    """From the first held-out clip to the last, which is of another song; nothing where the model cannot."""
    exhibits: list[Exhibit] = []
    if isinstance(model.config.network, CellsConfig) and len(set(held.songs)) > 1:
        try:
            way = interpolate(model, held.clips[0], held.clips[-1], steps=N_RUNGS)
        except AudioganError:  # no bar in which both sound
            way = []
        for number, clip in enumerate(way):
            share = f"{100 * number / (N_RUNGS - 1):.0f} % of the way"
            exhibits.append(_exhibit(f"Step {number + 1} of {N_RUNGS}", clip, share))
    about = f"From the first held-out clip to the last in {N_RUNGS} clips, ends included."
    return Shelf("The way between two clips", about, tuple(exhibits))


def _closest(made: Sequence[Score], held: HeldOut, audit: Audit | None) -> Shelf:
    exhibits = []
    for number, pair in enumerate(audit.pairs[:N_CLOSEST] if audit is not None else (), 1):
        about = f"{pair.view}: {abs(pair.distance):.3g}"
        exhibits.append(_exhibit(f"Pair {number}, generated", made[pair.made], about))
        exhibits.append(_exhibit(f"Pair {number}, training clip", held.learnt[pair.learnt], about))
    about = "The generated clips that come nearest to training clips, whatever the verdict."
    return Shelf("The closest pairs", about, tuple(exhibits), in_pairs=True)


def _exhibit(title: str, clip: Score, about: str = "") -> Exhibit:
    played = [track for track in clip.tracks if len(track.notes)]
    names = [track.name or f"program {track.program}" for track in played]
    counts = f"{clip.n_notes} notes"
    return Exhibit(
        title=title,
        caption=f"{about}; {counts}" if about else counts,
        sound=flac(sound(clip)[0], SAMPLE_RATE),
        picture=picture(clip, width=PICTURE_WIDTH, lane_height=LANE_HEIGHT),
        picture_text=f"Pianoroll of {title}: {', '.join(names) or 'no notes'}, from top to bottom",
        midi=encode(clip, []),
        legend=tuple((name, COLOURS[lane % len(COLOURS)]) for lane, name in enumerate(names)),
    )
