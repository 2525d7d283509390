"""Equal clips, nearest clips, longest shared runs."""

import numpy as np
import pytest

from audiogan.corpus.score import Note, Notes, Score, Track
from audiogan.pipelines.multitrack.copies import distinct, duplicates, hamming, ngram, nn_hamming
from audiogan.pipelines.multitrack.grid import ClipGrid

GRID = ClipGrid()
Cells = list[tuple[int, int, int]]


def clip(resolution: int = 4, **tracks: Cells) -> Score:
    """Return a clip from lists of (onset, offset, pitch) per role."""
    return Score(
        resolution,
        tuple(
            Track(Notes.from_list([Note(*note, 80) for note in notes]), is_drum=role == "drums", name=role)
            for role, notes in tracks.items()
        ),
    )


def melody(seed: int, n_notes: int = 24, *, shift: int = 0, stretch: int = 1, role: str = "piano") -> Score:
    """Return a random line; `shift` semitones and `stretch` times as slow."""
    generator = np.random.default_rng(seed)
    onset = np.cumsum(generator.integers(1, 5, n_notes)) * stretch
    pitch = 60 + generator.integers(-12, 12, n_notes) + shift
    notes = Notes(onset, onset + 1, pitch, np.full(n_notes, 80))
    return Score(4, (Track(notes, is_drum=role == "drums", name=role),))


def test_equal_clips_are_found_by_role_onset_and_pitch() -> None:
    clips = [
        clip(piano=[(0, 4, 60)]),
        clip(guitar=[(0, 4, 60)]),
        clip(piano=[(0, 2, 60)]),  # another length is no other clip
        clip(piano=[(0, 4, 61)]),
        clip(resolution=480, piano=[(10, 480, 60)]),
        clip(piano=[(16, 20, 60)]),
        clip(),
    ]
    assert duplicates(clips, GRID).tolist() == [0, 1, 0, 3, 0, 5, 6]
    assert distinct(clips, GRID) == 5


def test_hamming_counts_onsets_and_cells() -> None:
    held, again = clip(piano=[(0, 4, 60)]), clip(piano=[(0, 2, 60), (2, 4, 60)])
    assert hamming([held, held, clip(), held], [held, clip(bass=[(0, 4, 60)]), clip(), again], GRID) == pytest.approx(
        [0, 1, 0, 1 / 11]
    )


def test_nearest_clip_agrees_with_all_distances() -> None:
    clips, references = [melody(i) for i in range(8)], [melody(i, 20) for i in range(4, 24)]
    nearest = nn_hamming(clips, references, GRID)
    table = np.array([hamming([c] * len(references), references, GRID) for c in clips])
    np.testing.assert_allclose(nearest.distance, table.min(axis=1))
    np.testing.assert_array_equal(nearest.reference, table.argmin(axis=1))


def test_nearest_clip_in_another_key_and_not_oneself() -> None:
    line, moved = melody(0), melody(0, shift=3)
    assert nn_hamming([line], [moved], GRID).distance[0] > 0.5
    found = nn_hamming([line], [melody(1), moved], GRID, transpositions=range(-6, 6))
    assert (found.distance[0], found.reference[0], found.transposition[0]) == (0, 1, 3)
    clips = [melody(i) for i in range(3)]
    assert nn_hamming(clips, clips, GRID, skip=[0, 1, -1]).distance.tolist()[2] == 0
    assert nn_hamming(clips, clips, GRID, skip=[0, 1, -1]).distance.max() > 0.5


def test_transposition_leaves_drums_where_they_are_and_drops_no_cell_unseen() -> None:
    high = clip(piano=[(0, 1, 127), (4, 5, 100)], drums=[(0, 1, 36)])
    moved = clip(piano=[(4, 5, 102)], drums=[(0, 1, 36)])
    # the note pushed off the keyboard still counts as different: 6 cells against 4, 4 shared
    assert nn_hamming([high], [moved], GRID, transpositions=[2]).distance[0] == pytest.approx(1 - 8 / 10)


def test_a_silent_clip_is_near_silence() -> None:
    assert nn_hamming([clip()], [clip(), melody(0)], GRID).distance[0] == 0
    assert nn_hamming([clip()], [melody(0)], GRID).distance[0] == 1


def test_ngram_finds_a_phrase_in_any_key_and_tempo() -> None:
    line = melody(0)
    phrase = Notes(*(getattr(line.tracks[0].notes, c)[5:17] for c in ("onset", "offset", "pitch", "velocity")))
    excerpt = Score(4, (Track(phrase, name="bass"),))
    assert ngram([line], [line], beat_resolution=4).tolist() == [24]
    assert ngram([line], [melody(0, shift=-5, stretch=2)], beat_resolution=4).tolist() == [24]
    assert ngram([excerpt, melody(7)], [melody(1), line], beat_resolution=4).tolist()[0] == 12
    assert ngram([melody(7)], [line], beat_resolution=4)[0] < 8


def test_ngram_reads_the_upper_line() -> None:
    line = melody(0).tracks[0].notes
    columns = [np.concatenate([column, column]) for column in (line.onset, line.offset, line.pitch, line.velocity)]
    columns[2][len(line) :] -= 20
    chords = Score(4, (Track(Notes(*columns), name="piano"),))
    assert ngram([chords], [melody(0)], beat_resolution=4).tolist() == [24]


def test_ngram_stays_inside_one_melody() -> None:
    notes = list(melody(0).tracks[0].notes)
    # the steps of the two excerpts, laid end to end, are those of the whole melody
    excerpts = [Score(4, (Track(Notes.from_list(part), name="piano"),)) for part in (notes[:13], notes[11:])]
    assert ngram([melody(0)], excerpts, beat_resolution=4).tolist() == [13]


def test_ngram_of_nothing() -> None:
    assert ngram([clip(), clip(piano=[(0, 1, 60), (1, 2, 62)])], [melody(0)]).tolist() == [0, 0]
    assert ngram([melody(0)], []).tolist() == [0]
    assert ngram([melody(0, role="drums")], [melody(0, role="drums")]).tolist() == [0]
