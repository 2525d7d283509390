"""New clips, drawn until they are worth keeping.

A generator now and then leaves most tracks silent or says the same twice. Such a clip is drawn again with another z,
a fixed number of times, so that the result still depends on seed and number alone.
"""

from audiogan.pipeline import Model
from audiogan.pipelines.multitrack.config import Config
from audiogan.pipelines.multitrack.filling import Sketch, fill
from audiogan.pipelines.multitrack.home import is_in_key
from audiogan.representation.rollnotes import RollNotes
from audiogan.representation.tonality import move_home

MAX_REDRAWS = 15


def draw_clips(
    model: Model,
    sketches: list[Sketch],
    *,
    seed: int,
    temperature: float,
    n_tracks: int,
    key: tuple[int, bool] | None = None,
) -> list[RollNotes]:
    """Fill sketches, again and again where too little sounds, an earlier clip is the same or the key is another.

    Args:
        model: Trained networks.
        sketches: Of one length.
        seed: Seed of the call.
        temperature: As in `filling.fill`; at 0 there is nothing to draw, and each is filled once.
        n_tracks: Fewest tracks with a note.
        key: Tonic and whether minor, as `tonality.key_of` tells; None for any.
    """

    def fill_some(some: list[Sketch], seeds: list[tuple[object, ...]]) -> list[RollNotes]:
        move = None if key is None else move_home(key)
        return fill(model.modules, model.config, some, seeds=seeds, seed=seed, temperature=temperature, move=move)

    clips = fill_some(sketches, [(number, 0) for number in range(len(sketches))])
    for attempt in range(1, MAX_REDRAWS + 1 if temperature > 0 else 1):
        bad = _bad(clips, n_tracks, key, model.config)
        if not bad:
            break
        again = fill_some([sketches[number] for number in bad], [(number, attempt) for number in bad])
        for number, clip in zip(bad, again, strict=True):
            clips[number] = clip
    return clips


def _bad(clips: list[RollNotes], n_tracks: int, key: tuple[int, bool] | None, config: Config) -> list[int]:
    """Numbers of the clips to draw again: each is judged by itself and the clips before it."""
    seen: set[bytes] = set()
    bad = []
    for number, notes in enumerate(clips):
        if not _good(notes, seen, n_tracks) or not (key is None or is_in_key(notes, key, config)):
            bad.append(number)
        seen.add(_fingerprint(notes))
    return bad


def _fingerprint(notes: RollNotes) -> bytes:
    return b"".join(column.tobytes() for column in (notes.role, notes.start, notes.row))


def _good(notes: RollNotes, seen: set[bytes], n_tracks: int) -> bool:
    """Whether enough tracks sound and no earlier clip is the same."""
    return len(set(notes.role.tolist())) >= n_tracks and _fingerprint(notes) not in seen
