"""Every hostile or odd MIDI file gets the code it should, loads in full when it can, and costs little."""

import importlib.util
import random
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from symusic.core import ScoreTick

from audiogan.corpus import midi
from audiogan.corpus.gate import check_midi
from audiogan.corpus.limits import LIMITS, REASONS
from audiogan.corpus.score import Score
from audiogan.errors import AudioganError

_spec = importlib.util.spec_from_file_location("hostile_midi", Path(__file__).with_name("hostile_midi.py"))
assert _spec is not None and _spec.loader is not None
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)


def _names(case) -> str:
    return case.name


def _read(data: bytes) -> tuple[Score, tuple[str, ...]] | AudioganError:
    """The score and its warnings, or the refusal; anything else that is raised fails the test."""
    try:
        return midi.parse(data, "hostile.mid")
    except AudioganError as error:
        return error


def test_suite_is_large_and_its_names_differ():
    assert len(hostile.CASES) >= 49
    assert len({case.name for case in hostile.CASES}) == len(hostile.CASES)


@pytest.mark.parametrize("case", hostile.CASES, ids=_names)
def test_case_is_refused_or_loaded_as_it_should(case):
    data = case.data()
    started = time.process_time()
    found = _read(data)
    assert time.process_time() - started < 10
    if isinstance(found, AudioganError):
        assert found.reason in case.expected
        assert found.reason in REASONS
        assert str(found).startswith("hostile.mid: ")
        assert "\n" not in str(found) and "expected" in str(found)
        return
    score, warnings = found
    assert not case.expected
    assert score.n_notes == case.n_notes
    assert warnings == case.warnings
    assert all((track.notes.offset > track.notes.onset).all() for track in score.tracks)


@pytest.mark.parametrize("case", [case for case in hostile.CASES if not case.expected], ids=_names)
def test_cleaning_twice_changes_nothing_more(case):
    cleaned = check_midi(case.data()).data
    again = check_midi(cleaned)
    assert again.data == cleaned
    assert again.warnings == ()


def test_huge_declarations_take_no_memory():
    liars = [case.data() for case in hostile.CASES if "declared" in case.name]
    assert len(liars) >= 5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in liars:
        _read(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # in KiB


def _mutate(rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 5)):
        kind, at = rng.randrange(6), rng.randrange(len(data) + 1)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice((0, 0x7F, 0x80, 0xF0, 0xF7, 0xFF, 0x2F, 0x51, 0x90))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = data[rng.randrange(len(data) + 1) :][: rng.randrange(40)]
        elif kind == 4:
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other)) :]
        else:
            del data[at : at + rng.randrange(1, 6)]
    return bytes(data[:20_000])


def test_mutants_leave_nothing_but_our_errors():
    rng = random.Random(7)
    seeds = [data for case in hostile.CASES if len(data := case.data()) < 5_000 and data]
    n_taken = 0
    for _ in range(3_000):
        mutant = _mutate(rng, seeds)
        found = _read(mutant)
        if isinstance(found, AudioganError):
            assert found.reason in REASONS
            continue
        n_taken += 1
        for one in found[0].tracks:
            assert (one.notes.offset > one.notes.onset).all()
            assert (one.notes.onset >= 0).all()
            assert np.isin(one.notes.pitch, range(128)).all()
        assert 0 < midi.decode(mutant).seconds <= LIMITS.seconds
        checked = check_midi(mutant)
        assert check_midi(checked.data).data == checked.data
        assert ScoreTick.from_midi(checked.data).note_num() <= checked.n_onsets
    assert 100 < n_taken < 2_900
