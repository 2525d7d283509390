"""Copies of clips are found in any key, and honest clips are not."""

import numpy as np
import pytest

from audiogan.corpus.score import Score
from audiogan.evaluation.audit import Material
from audiogan.pipelines.multitrack.auditing import audit_clips, disguise, nearest_in_any_key, views_of
from audiogan.pipelines.multitrack.copies import hamming, nn_hamming, telling_runs
from audiogan.pipelines.multitrack.grid import ClipGrid
from tests.pipelines.multitrack.test_copies import clip, melody

GRID = ClipGrid()


def songs(first: int, n: int) -> list[Score]:
    return [melody(seed, 20) for seed in range(first, first + n)]


def test_the_nearest_is_that_of_all_keys() -> None:
    clips, references = songs(0, 6), songs(3, 30)
    found = nearest_in_any_key(clips, references, GRID)
    exact = nn_hamming(clips, references, GRID, transpositions=range(-6, 7))
    np.testing.assert_allclose(found.distance[3:], exact.distance[3:])
    assert (found.distance >= exact.distance - 1e-12).all(), "never nearer than it is"
    assert found.reference[3:].tolist() == [0, 1, 2]


def test_a_disguised_clip_is_still_near_and_not_the_same() -> None:
    rng, one = np.random.default_rng(0), melody(0, 40)
    others = [disguise(one, rng) for _ in range(40)]
    found = nearest_in_any_key(others, [melody(1, 40), one], GRID)
    assert set(found.reference.tolist()) == {1}
    assert found.distance.max() < 0.3
    assert 0.1 < (found.distance > 0).mean() < 0.6, "one in three has other notes"
    assert (hamming(others, [one] * 40, GRID) > 0.5).mean() > 0.7, "in its own key it looks new"


def test_thick_chords_hide_no_copy() -> None:
    """Rhythm is compared once per step, however many notes start there."""

    def chords(seed: int, n_voices: int) -> Score:
        rng = np.random.default_rng(seed)
        steps = np.sort(rng.choice(64, 24, replace=False)).tolist()
        return clip(piano=[(step, step + 1, 40 + 3 * voice) for step in steps for voice in range(n_voices)])

    learnt = [*(chords(seed, 10) for seed in range(60)), *(chords(seed, 2) for seed in range(60, 90))]
    copies = [disguise(one, np.random.default_rng(number)) for number, one in enumerate(learnt[60:])]
    assert nearest_in_any_key(copies, learnt, GRID).reference.tolist() == list(range(60, 90))


def test_drums_stay_and_no_pitch_leaves_the_keyboard() -> None:
    edge = clip(piano=[(0, 4, 0), (4, 8, 127)], drums=[(0, 1, 36)])
    for seed in range(20):
        changed = disguise(edge, np.random.default_rng(seed))
        drums, piano = sorted(changed.tracks, key=lambda track: not track.is_drum)
        assert drums.notes.pitch.tolist() == [36]
        assert 0 <= piano.notes.pitch.min() <= piano.notes.pitch.max() <= 127


def test_an_ostinato_tells_little_and_a_melody_tells_its_notes() -> None:
    drone = clip(bass=[(step, step + 1, 40) for step in range(64)])
    turns = clip(bass=[(step, step + 1, 40 + 7 * (step % 2)) for step in range(64)])
    line = melody(0)
    for one, notes in ((drone, 6), (turns, 7), (line, 24)):
        assert telling_runs([one], [melody(5), one], beat_resolution=4).n_notes.tolist() == [notes]
    assert telling_runs([line], [melody(5), line], beat_resolution=4).reference.tolist() == [1]
    assert telling_runs([clip()], [line], beat_resolution=4).n_notes.tolist() == [0]


def test_planted_copies_are_found_by_number() -> None:
    rng, learnt = np.random.default_rng(1), songs(0, 300)
    made = [*songs(1000, 190), *[disguise(learnt[place], rng) for place in range(10)]]
    found = audit_clips(Material(learnt, songs(2000, 240), made), GRID)
    assert set(found.copies) == set(range(190, 200))
    assert found.verdict == "fail"
    assert {(pair.made, pair.learnt) for pair in found.pairs} >= {(190 + place, place) for place in range(10)}
    assert {control.holds for control in found.controls} == {True}


def test_both_views_bring_their_own_limit() -> None:
    cells, melodies = views_of(GRID)
    assert cells.limit(np.array([0.4, 0.9])) == pytest.approx(0.2)
    assert melodies.limit(np.array([-10.0])) == -16
    assert (cells.for_sets, melodies.for_sets) == (True, False)
