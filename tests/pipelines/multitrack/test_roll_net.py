"""The network that hears clips: rolls, any shape of clip, and what it can tell apart."""

import numpy as np
import torch

from audiogan.corpus.score import Notes, Score, Track
from audiogan.evaluation.distances import kad_with_floor
from audiogan.pipelines.multitrack.grid import ClipGrid, tabulate
from audiogan.pipelines.multitrack.roll_net import N_FEATURES, SLOTS, embed, rolls_of
from tests.pipelines.multitrack.test_description import random_clips


def one(onset: int, offset: int, pitch: int, name: str = "piano") -> Track:
    return Track(Notes(*(np.array([value]) for value in (onset, offset, pitch, 90))), name=name)


def test_a_roll_marks_onsets_and_what_sounds() -> None:
    grid = ClipGrid(n_bars=1, beat_resolution=4, roles=("drums", "piano"))
    clips = [Score(4, (one(2, 6, 60),)), Score(4, ()), Score(4, (one(15, 16, 40), one(3, 4, 36, "drums")))]
    roll = rolls_of(tabulate(clips, grid), [2, 1, 0])
    assert roll.shape == (3, 2, 4 * SLOTS, 2, 128)
    assert np.flatnonzero(roll[2, 1, :, 0, 60]).tolist() == [6]
    assert np.flatnonzero(roll[2, 1, :, 1, 60]).tolist() == list(range(6, 18))
    assert not roll[1].any()
    assert np.flatnonzero(roll[0, 1, :, 1, 40]).tolist() == [45, 46, 47]
    assert np.argwhere(roll[0, 0, :, 1]).tolist() == [[9, 36]]
    assert roll[2].sum() == 13


def test_repeated_notes_and_grids_finer_than_slots_stay_within_0_and_1() -> None:
    grid = ClipGrid(n_bars=1, beat_resolution=24, roles=("piano",), drums=())
    notes = Notes(*(np.array(values) for values in ([0, 1, 2], [1, 2, 30], [60, 60, 60], [90, 90, 90])))
    roll = rolls_of(tabulate([Score(24, (Track(notes, name="piano"),))], grid), [0])
    assert set(np.unique(roll)) == {0, 1}
    assert roll[0, 0, :15, 1, 60].all()


def test_any_shape_of_clip_is_heard() -> None:
    for grid in (ClipGrid(), ClipGrid(n_bars=1, beats_per_bar=3, beat_resolution=12), ClipGrid(n_bars=8)):
        found = embed([*random_clips(2, 0), Score(4, ())], grid)
        assert found.shape == (3, N_FEATURES)
        assert np.isfinite(found).all()
    assert embed([], ClipGrid()).shape == (0, N_FEATURES)
    no_drums = ClipGrid(roles=("piano",), drums=())
    assert np.isfinite(embed([Score(4, (one(0, 4, 60),))], no_drums)).all()


def test_the_grid_and_the_company_of_a_clip_do_not_matter_but_its_notes_do() -> None:
    clips = random_clips(4, 1)
    alone = np.concatenate([embed([clip], ClipGrid()) for clip in clips])
    np.testing.assert_allclose(embed(clips, ClipGrid()), alone, atol=1e-4)
    np.testing.assert_allclose(embed(clips, ClipGrid(beat_resolution=12)), alone, atol=1e-4)
    assert (np.linalg.norm(alone[1:] - alone[0], axis=1) > 0.1).all()


def test_it_is_frozen() -> None:
    from audiogan.pipelines.multitrack.roll_net import roll_net

    assert not roll_net().training
    assert not any(parameter.requires_grad for parameter in roll_net().parameters())
    assert torch.is_grad_enabled()


def chords(seed: int, *, together: bool) -> tuple[list[Score], list[int]]:
    """Clips of a bass and a piano in one key each, or each in a key of its own, and their numbers."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(64):
        root = int(rng.integers(12))
        other = root if together else int((root + rng.choice([1, 6, 11])) % 12)
        onset = np.arange(16) * 4
        steps = rng.choice([0, 0, 4, 7], 16)
        bass = Notes(onset, onset + 4, 36 + root + steps, np.full(16, 90))
        thirds = [Notes(onset, onset + 4, 60 + other + up + 0 * steps, np.full(16, 90)) for up in (0, 4, 7)]
        columns = [np.concatenate([getattr(one, name) for one in thirds]) for name in ("onset", "offset", "pitch")]
        piano = Notes(columns[0], columns[1], columns[2], np.full(48, 90))
        clips.append(Score(4, (Track(bass, name="bass"), Track(piano, name="piano"))))
    return clips, list(range(64))


def test_tracks_in_keys_that_clash_are_caught_and_others_are_not() -> None:
    real, songs = chords(0, together=True)
    vectors = [embed(clips, ClipGrid()) for clips in (real, chords(1, together=True)[0], chords(2, together=False)[0])]
    same, clashing = (kad_with_floor(made, vectors[0], songs) for made in vectors[1:])
    assert same.value.value < same.floor.high
    assert clashing.value.value > clashing.floor.high
    assert clashing.value.value > 3 * abs(same.value.value)
