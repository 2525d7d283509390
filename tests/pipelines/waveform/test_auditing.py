"""Copies of notes are found in disguise, other instruments are not, and shipped marks do the same without the sound."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus.notes import hz_of
from audiogan.evaluation.audit import Material, audit_by_limits
from audiogan.evaluation.fingerprints import Fingerprints
from audiogan.pipelines.waveform import compare_fingerprints, fingerprinting, take_fingerprints
from audiogan.pipelines.waveform.auditing import (
    PARTIALS,
    TIMBRE,
    Heard,
    audit_notes,
    audit_notes_of,
    closest_pairs,
    disguise,
    hear,
    hear_made,
    hear_notes,
    nearest_by_mel,
    nearest_by_partials,
    only,
    views_of,
    without_twins,
    without_vectors,
)
from audiogan.pipelines.waveform.coarse import RATE, key_of, log_mel
from audiogan.pipelines.waveform.config import CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes
from audiogan.pipelines.waveform.fingerprinting import BITS, N_BITS, are_members, arrays_of, mark, nearest_bits
from audiogan.pipelines.waveform.partials import ear, partials_apart
from audiogan.pipelines.waveform.sound import Sound
from audiogan.representation.base import HarmonicConfig, SpectrogramConfig
from audiogan.representation.harmonic import Harmonic
from audiogan.representation.tracks import AMPLITUDE_POWER
from tests.pipelines.waveform.instruments import CONFIG, model_of, write_cache

SECONDS = 0.8
EAR = CONFIG.model_copy(
    update={"sample_rate": RATE, "representation": HarmonicConfig(n_rows=16, n_frames=48, grow_frames=12)}
)


def note(seed: int, pitch: float = 60.0, *, with_vector: bool = False) -> Heard:
    """A tone whose partials, decay and attack are drawn: an instrument of its own."""
    rng = np.random.default_rng(seed)
    levels, decay = 10 ** rng.uniform(-1.5, 0, 12) * (rng.random(12) < 0.6), rng.uniform(0, 8, 12)
    levels[0], attack = 0.3, rng.uniform(0.01, 0.1)

    def sound(rate: int) -> np.ndarray:
        time = np.arange(round(SECONDS * rate)) / rate
        ranks = np.arange(1, 13)
        waves = np.sin(2 * np.pi * hz_of(pitch) * ranks[:, None] * time) * np.exp(-decay[:, None] * time)
        waveform = (levels[:, None] * waves).sum(0) * np.minimum(1, time / attack)
        return (0.5 * waveform / np.abs(waveform).max()).astype(np.float32)

    times = EAR.represent().times.numpy()  # pyright: ignore[reportAttributeAccessIssue]
    tracks = levels[:, None] * np.exp(-decay[:, None] * times) * np.minimum(1, times / attack)
    planes = np.zeros(EAR.represent().shape, np.float32)
    planes[0] = -1.0
    planes[0, :12, 1:] = 2 * (0.5 * tracks / tracks.max()) ** AMPLITUDE_POWER - 1
    return hear(EAR, sound, pitch, f"instrument {seed}", with_vector=with_vector, planes=lambda: planes)


@pytest.fixture(scope="module")
def learnt() -> list[Heard]:
    return [note(seed) for seed in range(120)]


@pytest.fixture(scope="module")
def held_out() -> list[Heard]:
    return [note(seed) for seed in range(2000, 2204)]


def test_a_disguise_is_near_and_other_instruments_are_far(learnt: list[Heard]) -> None:
    rng = np.random.default_rng(0)
    copies = nearest_by_mel([disguise(EAR, one, rng) for one in learnt[:20]], learnt)
    others = nearest_by_mel([note(seed) for seed in range(1000, 1020)], learnt)
    assert copies.reference.tolist() == list(range(20))
    assert copies.distance.max() < 0.5 * others.distance.min()


def test_by_its_partials_a_disguise_is_nearer_still(learnt: list[Heard]) -> None:
    rng = np.random.default_rng(0)
    copies = nearest_by_partials([disguise(EAR, one, rng) for one in learnt[:10]], learnt)
    others = nearest_by_partials([note(seed) for seed in range(1000, 1040)], learnt)
    assert copies.reference.tolist() == list(range(10))
    assert copies.distance.max() < 0.25 * others.distance.min()
    assert nearest_by_partials([note(3, 61.4)], learnt).distance[0] < 1, "a semitone and a half away"
    assert nearest_by_partials([note(3, 61.6)], learnt).distance.tolist() == [30.0]


def test_partials_of_planes_are_those_of_the_sound() -> None:
    for one in (note(3), note(4)):
        by_sound = hear(EAR, one.sound, one.pitch, with_vector=False)
        apart, other = (partials_apart(by_sound.partials[None], each.partials[None])[0, 0] for each in (one, note(5)))
        assert apart < 0.6 < 3 < other
    spectra = EAR.model_copy(update={"representation": SpectrogramConfig()})
    assert isinstance(ear(spectra), Harmonic)


def test_distances_are_weighted_by_loudness() -> None:
    notes = np.zeros((2, 1, 1, 4), np.uint8)
    notes[0, 0, 0], notes[1, 0, 0] = (100, 50, 0, 0), (100, 0, 0, 0)
    apart = partials_apart(notes, notes)
    # (1² + 1²)·0 + 0.5²·0.5² over (1 + 0.25) + 1, of 25 dB
    assert apart[0, 1] == apart[1, 0] == pytest.approx(25 * math.sqrt(0.0625 / 2.25), rel=1e-4)
    assert apart.diagonal().max() < 0.05


def test_level_does_not_count_and_pitch_is_followed_within_a_key(learnt: list[Heard]) -> None:
    one = note(3)
    loud = hear(EAR, lambda rate: 0.1 * one.sound(rate), 60.0, with_vector=False)
    assert np.abs(loud.mel.astype(int) - one.mel).max() <= 1
    moved = nearest_by_mel([note(3, 61.0)], [note(3), note(4)])
    assert moved.reference.tolist() == [0]
    assert moved.distance[0] < 0.5 * nearest_by_mel([note(4, 61.0)], [note(3)]).distance[0]
    assert nearest_by_mel([note(3, 72.0)], learnt).distance.tolist() == [30.0], "nothing at its pitch"
    assert key_of(61.4) == 60


def test_a_shift_is_made_good(learnt: list[Heard]) -> None:
    one = learnt[0]
    late = hear(EAR, lambda rate: np.pad(one.sound(rate), (rate // 20, 0)), 60.0, with_vector=False)
    assert nearest_by_mel([late], learnt).reference.tolist() == [0]
    assert nearest_by_mel([late], [one]).distance[0] < 1
    unshifted = np.sqrt(np.mean((late.mel[0].astype(float) - one.mel[0]) ** 2)) / 4
    assert unshifted > 2 * nearest_by_mel([late], [one]).distance[0]


def test_silence_and_broken_notes_are_heard() -> None:
    assert not log_mel(np.zeros(RATE), 60.0).any()
    broken = hear(EAR, lambda rate: np.full(rate // 2, np.nan, np.float32), 60.0)
    assert not broken.mel.any()
    assert np.isnan(broken.vector).all()


def test_planted_notes_are_found_by_number(learnt: list[Heard], held_out: list[Heard]) -> None:
    rng = np.random.default_rng(1)
    made = [*(note(seed) for seed in range(3000, 3057)), *(disguise(EAR, learnt[place], rng) for place in range(3))]
    material = Material(learnt, held_out, made, list(range(120)), list(range(204)))
    found = audit_notes(EAR, material)
    assert set(found.copies) == {57, 58, 59}
    assert found.verdict == "fail"
    assert all(control.holds for control in found.controls)
    pair, new, old = closest_pairs(found, material)[0]
    assert (new, old) == (made[pair.made], learnt[pair.learnt])
    limits = {PARTIALS: found.limits[PARTIALS]}
    few = audit_by_limits(only(material, range(5)), views_of(learnt), partial(disguise, EAR), limits)
    assert (few.copies, few.verdict) == ((57, 58, 59), "fail")
    assert [control.n_held for control in few.controls] == [20, 5]
    blind = audit_by_limits(only(material, range(5)), views_of(learnt), partial(disguise, EAR), {PARTIALS: 1e-6})
    assert blind.verdict == "no power"


def test_both_views_where_the_timbre_is_known() -> None:
    notes = [note(seed, with_vector=True) for seed in range(4)]
    assert [view.name for view in views_of(notes)] == [PARTIALS, TIMBRE]
    assert [view.name for view in views_of(without_vectors(notes))] == [PARTIALS]
    (timbre,) = views_of(notes)[1:]
    near = timbre.nearest(notes, notes)
    assert near.reference.tolist() == [0, 1, 2, 3]
    assert near.distance.max() < 1e-3


def test_twins_across_the_split_are_left_out(learnt: list[Heard]) -> None:
    rng = np.random.default_rng(2)
    twins = [disguise(EAR, learnt[place], rng) for place in range(10)]
    held_out = [*(note(seed) for seed in range(2000, 2020)), *twins]
    cleaned = without_twins(EAR, learnt, held_out, n_disguises=20)
    assert set(range(20)) <= set(cleaned.kept)
    assert cleaned.n_twins >= 8


# ---- fingerprints


class Nothing(Notes):
    def __init__(self) -> None:
        self.rows = np.zeros(120, np.int64)


def test_marks_find_disguised_copies_and_pass_other_instruments(
    learnt: list[Heard], held_out: list[Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprinting, "N_PLANTED", 100)
    monkeypatch.setattr(fingerprinting, "without_twins", partial(without_twins, n_disguises=20))
    marks = mark(EAR, learnt, held_out, Nothing())
    assert marks.facts["planted_copies_found"]["value"] >= 0.9
    assert marks.facts["verdict"] == "has power"
    rng = np.random.default_rng(9)
    others = [note(seed) for seed in range(4000, 4030)]
    for notes, low, high in (([disguise(EAR, one, rng) for one in learnt[:40]], 0.8, 1.0), (others, 0.0, 0.1)):
        bits = nearest_bits([one.mel for one in notes], [one.pitch for one in notes], marks.arrays)
        assert low <= marks.too_near({BITS: bits}).mean() <= high
    assert are_members([*learnt[:3], *others[:3], note(0, 72.0)], marks).tolist() == [True] * 3 + [False] * 4


def test_marks_are_a_few_bytes_in_no_order(learnt: list[Heard]) -> None:
    arrays = arrays_of([*learnt, note(0, 72.0)])
    assert arrays["bits"].shape == (121, N_BITS // 8)
    assert arrays["keys"].tolist() == [60] * 120 + [72]
    rows = [tuple(row) for row in arrays["bits"][:120].tolist()]
    assert sorted(rows, key=lambda row: row[::-1]) == rows
    shuffled = arrays_of([*learnt[::-1], note(0, 72.0)])
    np.testing.assert_array_equal(shuffled["bits"], arrays["bits"])
    assert nearest_bits([learnt[7].mel], [60.0], arrays).tolist() == [0]


def test_a_sound_of_any_rate_is_compared(learnt: list[Heard]) -> None:
    marks = Fingerprints("notes", arrays_of(learnt), {BITS: 3.0})
    sounds = [Sound(learnt[5].sound(rate), rate, {"pitch": 60.0}) for rate in (16_000, 44_100)]
    assert compare_fingerprints(CONFIG, sounds, marks)[BITS].max() <= 3


def test_a_prepared_corpus_is_marked_and_a_model_heard(tmp_path: Path) -> None:
    cache = write_cache(tmp_path, held=("soft",), pitches=(55.0, 60.0))
    split = np.load(cache / "split.npy")
    np.save(cache / "split.npy", np.where(split == 2, 1, split).astype("|u1"))
    marks = take_fingerprints(cache, CONFIG, CorpusConfig(folder="x"))
    assert marks.facts["n_items"] == marks.facts["n_of_corpus"] == 12
    assert marks.facts["verdict"] == "no power", "one instrument held out"
    assert set(marks.facts["audit_limits"]) == {PARTIALS}
    assert marks.limits[BITS] > 0
    heard = hear_notes(CONFIG, Notes(cache, "train"), [0], with_vector=False)
    assert heard[0].name == "learnt at 55.0"
    train, valid = (Notes(cache, split) for split in ("train", "valid"))
    wanted = [(55.0, 0.5), (60.0, 0.9)] * 4
    found, material, n_twins = audit_notes_of(model_of(tmp_path), train, [valid], wanted)
    assert (found.verdict, found.n_made, found.n_held_out + n_twins) == ("no power", 8, len(valid))
    assert {one.key for one in material.made} <= {one.key for one in hear_notes(CONFIG, valid, with_vector=False)}
    made = hear_made(model_of(tmp_path), [60.0, 72.0], [0.5, 0.5], seed=0, with_vector=False)
    again = hear_made(model_of(tmp_path), [60.0, 72.0], [0.5, 0.5], seed=0, with_vector=False)
    assert [one.pitch for one in made] == [60.0, 60.0], "moved into the range"
    np.testing.assert_array_equal(made[1].mel, again[1].mel)
