"""Pieces: when notes sound, what is left out, and that nothing is levelled note by note."""

from dataclasses import replace

import numpy as np
import pytest

from audiogan.corpus.score import Note, Notes, Score, Tempo, Track
from audiogan.errors import CorpusError, UsageError
from audiogan.pipelines.waveform.render import render, seconds_of
from audiogan.pipelines.waveform.timbre import Timbre, random_timbre
from tests.pipelines.waveform.small_sounds import RATE, Echo, Silence, is_click_free, measured_hz, model_of

PLAIN = Timbre(None, np.zeros(6, np.float32), "plain")


def piece(*notes: tuple[int, int, int, int], tempos: tuple[Tempo, ...] = ()) -> Score:
    """One track; notes as (onset, offset, pitch, velocity) in ticks of 1/100 beat, so 1/200 s at 120 qpm."""
    return Score(100, (Track(Notes.from_list([Note(*note) for note in notes])),), tempos)


def level(waveform: np.ndarray, first: float, last: float) -> float:
    return float(np.sqrt(np.mean(waveform[round(first * RATE) : round(last * RATE)].astype(np.float64) ** 2)))


def test_ticks_become_seconds_under_the_tempo_map() -> None:
    score = piece((0, 1, 60, 1), tempos=(Tempo(100, 60.0), Tempo(300, 240.0)))
    assert seconds_of(score, np.array([0, 50, 100, 300, 500])).tolist() == pytest.approx([0, 0.25, 0.5, 2.5, 3.0])
    late = replace(score, tempos=(Tempo(0, 60.0),))
    assert seconds_of(late, np.array([100])).tolist() == [1.0]


def test_notes_sound_when_and_as_long_as_the_piece_says() -> None:
    sound = render(model_of(Echo()), piece((100, 140, 60, 100), (500, 560, 67, 100)), [PLAIN])
    wave = sound.waveform
    assert sound.seconds == pytest.approx(2.8 + 0.3, abs=0.01)
    assert level(wave, 0.0, 0.49) == 0
    assert level(wave, 0.51, 0.69) > 0.1
    assert level(wave, 0.75, 0.8) > 1e-4  # the release
    assert level(wave, 1.1, 2.49) < 1e-6
    assert measured_hz(wave[round(2.52 * RATE) : round(2.78 * RATE)], RATE, 392.0) == pytest.approx(392.0, rel=0.002)
    assert is_click_free(wave, RATE)
    assert np.abs(wave).max() == pytest.approx(0.8, abs=1e-3)


def test_long_notes_are_held_and_not_cut() -> None:
    wave = render(model_of(Echo()), piece((0, 1000, 60, 100)), [PLAIN]).waveform
    assert level(wave, 4.5, 4.95) > 0.5 * level(wave, 0.2, 0.6)


def test_dynamics_stay_and_chords_add_up() -> None:
    score = piece((0, 60, 60, 30), (100, 160, 60, 60), (200, 260, 60, 120), (300, 360, 60, 120), (300, 360, 65, 120))
    wave = render(model_of(Echo()), score, [PLAIN]).waveform
    soft, middle, loud = (np.abs(wave[round(start * RATE) :][: RATE // 4]).max() for start in (0, 0.5, 1.0))
    assert middle / soft == pytest.approx(4, rel=0.15)
    assert loud / middle == pytest.approx(4, rel=0.15)
    one, chord = level(wave, 1.02, 1.28), level(wave, 1.52, 1.78)
    assert chord / one == pytest.approx(np.sqrt(2), rel=0.15)


def test_equal_notes_are_made_once_and_are_equal() -> None:
    sound = render(model_of(Echo()), piece(*((200 * n, 200 * n + 60, 60, 90) for n in range(6))), [PLAIN])
    assert (sound.facts["n_notes"], sound.facts["n_sounds"]) == (6, 1)
    first, last = sound.waveform[: RATE // 2], sound.waveform[5 * RATE : 5 * RATE + RATE // 2]
    assert first == pytest.approx(last, abs=1e-6)


def test_a_note_does_not_depend_on_the_others() -> None:
    model = model_of()
    alone = render(model, piece((0, 60, 60, 90)), [PLAIN]).waveform
    more = render(
        model, piece((0, 60, 60, 90), *((400 + 10 * n, 500, 40 + n, 90) for n in range(12))), [PLAIN]
    ).waveform
    n = RATE // 2
    assert alone[:n] / np.abs(alone[:n]).max() == pytest.approx(more[:n] / np.abs(more[:n]).max(), abs=1e-5)


def test_pitches_outside_the_range_move_by_octaves_and_are_told() -> None:
    sound = render(model_of(Echo()), piece((0, 100, 24, 90), (200, 300, 24, 90), (400, 500, 96, 90)), [PLAIN])
    assert sound.facts["transposed"] == {"24": 2, "96": 1}
    assert "3 notes outside the trained range 36-84" in sound.facts["warnings"][0]
    assert measured_hz(sound.waveform[: RATE // 2], RATE, 65.4) == pytest.approx(65.4, rel=0.003)


def test_drums_are_left_out_and_told() -> None:
    score = piece((0, 100, 60, 90))
    drums = Track(Notes.from_list([Note(0, 10, 36, 90), Note(900, 990, 36, 90)]), is_drum=True)
    sound = render(model_of(Echo()), score.with_tracks((*score.tracks, drums)), [PLAIN])
    assert sound.facts["n_drums"] == 2
    assert "2 notes of drums left out" in sound.facts["warnings"][0]
    assert sound.seconds < 1
    with pytest.raises(CorpusError, match="2 notes of drums and none of a pitch; expected") as refusal:
        render(model_of(Echo()), score.with_tracks((drums,)), [PLAIN])
    assert refusal.value.reason == "no_notes"


def brightness(wave: np.ndarray, start: float) -> float:
    spectrum = np.abs(np.fft.rfft(wave[round(start * RATE) : round((start + 0.3) * RATE)]))
    return float((spectrum * np.arange(len(spectrum))).sum() / spectrum.sum())


def two_timbres() -> list[Timbre]:
    z = np.ones(6, np.float32)
    return [Timbre(np.array([x, 0, 0, 0, 0], np.float32), z, str(x)) for x in (-1, 1)]


def test_one_track_goes_from_the_first_timbre_to_the_last() -> None:
    score = piece(*((200 * n, 200 * n + 80, 60, 90) for n in range(5)))
    wave = render(model_of(Echo()), score, two_timbres()).waveform
    found = [brightness(wave, float(n)) for n in range(5)]
    assert found == sorted(found)
    assert found[-1] > 1.2 * found[0]


def test_a_glide_goes_round_at_its_own_pace() -> None:
    score = piece(*((200 * n, 200 * n + 80, 60, 90) for n in range(5)))
    wave = render(model_of(Echo()), score, two_timbres(), glide=2.0).waveform
    found = [brightness(wave, float(n)) for n in range(5)]
    assert found[0] < found[1] < found[2] > found[3] > found[4]
    assert found[0] == pytest.approx(found[4], rel=0.02)


def test_several_tracks_get_a_timbre_each() -> None:
    one = Track(Notes.from_list([Note(0, 80, 60, 90)]))
    two = Track(Notes.from_list([Note(200, 280, 60, 90)]))
    wave = render(model_of(Echo()), Score(100, (one, two)), two_timbres()).waveform
    assert brightness(wave, 1.0) > 1.2 * brightness(wave, 0.0)


def test_a_silent_model_gives_silence() -> None:
    sound = render(model_of(Silence(-1.0)), piece((0, 1, 60, 1)), [PLAIN])
    assert np.isfinite(sound.waveform).all()
    assert np.abs(sound.waveform).max() <= 1


def test_what_cannot_be_rendered_is_refused() -> None:
    model = model_of()
    with pytest.raises(UsageError, match="no timbre"):
        render(model, piece((0, 1, 60, 1)), [])
    with pytest.raises(UsageError, match="glide 0"):
        render(model, piece((0, 1, 60, 1)), [random_timbre(model, 0)], glide=0.0)
    with pytest.raises(CorpusError, match="at most 3600 s"):
        render(model, piece((0, 1_000_000, 60, 1)), [PLAIN])


ODD = {
    "one note": piece((0, 100, 60, 90)),
    "the ends of the keyboard": piece((0, 50, 0, 90), (60, 110, 127, 90)),
    "one tick": piece((0, 1, 60, 90), (100, 101, 64, 1)),
    "two of one pitch at once": piece((0, 50, 60, 90), (0, 100, 60, 90)),
    "sixteen tracks": Score(
        100, tuple(Track(Notes.from_list([Note(10 * n, 50 + 10 * n, 40 + n, 90)]), 8 * n) for n in range(16))
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pieces_sound(name: str) -> None:
    sound = render(model_of(Echo()), ODD[name], [PLAIN])
    assert sound.facts["n_notes"] == ODD[name].n_notes
    assert np.isfinite(sound.waveform).all()
    assert np.abs(sound.waveform).max() == pytest.approx(0.8, abs=1e-3)
    assert is_click_free(sound.waveform, RATE) or name == "one tick"
