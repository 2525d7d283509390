"""How the network that hears clips learns: riddles with right answers, and a toy that can be learnt."""

import numpy as np
import torch

from audiogan.corpus.score import Notes, Score, Track
from audiogan.pipelines.multitrack.grid import ClipGrid
from audiogan.pipelines.multitrack.roll_net import RollNet, drum_tracks, rolls_of
from audiogan.pipelines.multitrack.roll_net_training import (
    NO_KEY,
    Lesson,
    accuracy,
    card_of,
    lesson,
    loss_of,
    riddle,
    train,
    transposed,
)

GRID = ClipGrid(n_bars=2, beats_per_bar=2, roles=("drums", "bass", "piano"))
MAJOR = np.array([0, 2, 4, 5, 7, 9, 11, 12])


def scale(root: int, length: int = 2) -> Score:
    """A clip that goes up the scale of a root, bass and piano an octave apart, with drums."""
    onset = np.arange(8) * 2
    columns = [(onset, onset + length, root + MAJOR + up, np.full(8, 90)) for up in (0, 24)]
    tracks = [Track(Notes(*one), name=name) for one, name in zip(columns, ("bass", "piano"), strict=True)]
    drums = Track(Notes(onset, onset + 1, np.full(8, 36), np.full(8, 90)), is_drum=True, name="drums")
    return Score(4, (drums, *tracks))


def taught(n: int = 64) -> Lesson:
    return lesson([scale(36 + i % 12) for i in range(n)], [i % 12 for i in range(n)], GRID)


def test_keys_are_found() -> None:
    assert lesson([scale(36), scale(43), Score(4, ())], [0, 1, 2], GRID).keys.tolist() == [0, 7, NO_KEY]


def test_riddles_have_right_answers() -> None:
    asked = taught()
    chosen = np.arange(64)
    found = riddle(asked, chosen, np.random.default_rng(0))
    assert set(found.belongs.tolist()) == set(found.in_order.tolist()) == {0.0, 1.0}
    assert (found.key[found.belongs == 0] == NO_KEY).all()
    roll = found.roll.reshape(64, 3, 48, 2, 128).numpy().astype(np.int8)
    own = rolls_of(asked.table, chosen)
    for place in np.flatnonzero((found.belongs * found.in_order).numpy()):
        by = next(by for by in range(-5, 7) if (transposed(own[place], by, GRID) == roll[place]).all())
        assert int(found.key[place]) == (asked.keys[place] + by) % 12
    for place in np.flatnonzero(((found.belongs == 1) & (found.in_order == 0)).numpy()):
        moved = np.roll(own[place], 24, axis=1)  # the other order of two bars
        assert any((transposed(moved, by, GRID) == roll[place]).all() for by in range(-5, 7))


def test_what_cannot_be_told_is_no_riddle() -> None:
    onset = np.arange(4) * 4
    still = Score(4, (Track(Notes(onset, onset + 1, np.full(4, 40), np.full(4, 90)), name="bass"),))
    found = riddle(lesson([still] * 16, range(16), GRID), np.arange(16), np.random.default_rng(0))
    assert found.in_order.all()  # all beats are the same
    assert found.belongs.all()  # there is no other track
    assert torch.isfinite(found.roll).all()


def test_drums_are_not_transposed() -> None:
    roll = rolls_of(taught(1).table, [0])[0]
    moved = transposed(roll, 3, GRID)
    np.testing.assert_array_equal(moved[0], roll[0])
    np.testing.assert_array_equal(moved[1:, ..., 3:], roll[1:, ..., :-3])


def test_it_learns_a_toy_and_the_card_says_so() -> None:
    asked = taught(64)
    network = train(asked, epochs=30, seed=0)
    question = riddle(asked, np.arange(64), np.random.default_rng(9))
    drums = drum_tracks(GRID)
    with torch.no_grad():
        trained, untrained = (loss_of(one(question.roll, drums, 2), question) for one in (network, RollNet().eval()))
    assert float(trained) < float(untrained) - 0.2
    assert set(accuracy(network, asked)) == {"belongs", "in_order", "key"}
    card = card_of(network, {"train": asked, "valid": asked, "test": asked}, seed=0)
    assert card["n_songs"] == {"train": 12, "valid": 12, "test": 12}
