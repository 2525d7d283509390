"""The description of clips: shape, scale, and what it can tell apart."""

import numpy as np

from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.evaluation.distances import fit_scaler, kad
from audiogan.pipelines.multitrack.description import describe
from audiogan.pipelines.multitrack.grid import ROLES, ClipGrid


def random_clips(n: int, seed: int, *, n_notes: int = 20, highest: int = 72) -> list[Score]:
    """Return clips of random notes on all roles."""
    generator = np.random.default_rng(seed)
    clips = []
    for _ in range(n):
        tracks = []
        for role in ROLES:
            onset = generator.integers(0, 60, n_notes)
            offset = onset + generator.integers(1, 5, n_notes)
            pitch = generator.integers(48, highest, n_notes)
            notes = Notes(onset, offset, pitch, generator.integers(60, 100, n_notes))
            tracks.append(Track(notes, is_drum=role == "drums", name=role))
        clips.append(Score(4, tuple(tracks)))
    return clips


def test_about_sixty_finite_numbers() -> None:
    names, values = describe(random_clips(5, 0), ClipGrid())
    assert len(names) == len(set(names)) == values.shape[1] == 64
    assert len(values) == 5
    assert np.isfinite(values).all()


def test_known_values() -> None:
    notes = [Note(0, 4, 60, 70), Note(2, 6, 64, 90), Note(8, 12, 62, 80)]
    drums = [Note(0, 1, 36, 80), Note(4, 5, 36, 80), Note(5, 6, 38, 80)]
    tracks = (Track(Notes.from_list(notes), name="piano"), Track(Notes.from_list(drums), is_drum=True, name="drums"))
    names, values = describe([Score(4, tracks)], ClipGrid())
    row = dict(zip(names, values[0], strict=True))
    assert row["pitch:piano"] == 62
    assert np.isclose(row["pitch_spread:piano"], np.sqrt(8 / 3))
    assert np.isclose(row["pitch_class_entropy:clip"], np.log2(3))
    assert row["kit:drums"] == 2
    assert (row["on_beat:pitched"], row["on_beat:drums"]) == (2 / 3, 2 / 3)
    assert row["onsets_with_drums:pitched"] == 1 / 3
    assert row["velocity:clip"] == 80
    assert row["density:piano"] == np.log2(3 / 4 + 1 / 16)
    assert np.isnan(row["pitch:bass"])


def test_a_silent_clip_is_described_as_silent() -> None:
    silent = Score(4, ())
    names, values = describe([*random_clips(20, 1), silent], ClipGrid())
    scaled = fit_scaler(values[:20]).transform(values)
    assert np.isfinite(scaled).all()
    assert scaled[-1, names.index("pitch:bass")] == 0
    assert values[-1, names.index("eb:bass")] == 1


def test_without_expression_velocities_do_not_matter() -> None:
    clips = random_clips(3, 2)
    soft = [
        clip.with_tracks(
            tuple(
                Track(Notes(t.notes.onset, t.notes.offset, t.notes.pitch, t.notes.velocity // 2), 0, t.is_drum, t.name)
                for t in clip.tracks
            )
        )
        for clip in clips
    ]
    plain, played = (describe(x, ClipGrid(), with_expression=False)[1] for x in (clips, soft))
    np.testing.assert_array_equal(plain, played)
    assert plain.shape[1] == 61
    assert not np.array_equal(describe(clips, ClipGrid())[1], describe(soft, ClipGrid())[1])


def test_tells_sets_apart() -> None:
    sets = (
        random_clips(100, 3),
        random_clips(100, 4),
        random_clips(100, 5, highest=60),
        random_clips(100, 6, n_notes=14),
    )
    values = [describe(clips, ClipGrid())[1] for clips in sets]
    real, same, narrow, sparse = (fit_scaler(values[0]).transform(x) for x in values)
    assert abs(kad(real, same)) < 0.5
    assert kad(real, narrow) > 5
    assert kad(real, sparse) > 5
