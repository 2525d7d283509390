"""Leaps and steps come to the same: every sum, every replacement, every warning, every word of a refusal."""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiogan.corpus import walk
from audiogan.corpus.columns import channel_columns, encode_number
from audiogan.corpus.events import TrackWalker
from audiogan.corpus.leaps import find_marks, leap
from audiogan.corpus.limits import LIMITS
from audiogan.errors import CorpusError

_spec = importlib.util.spec_from_file_location("hostile_midi", Path(__file__).with_name("hostile_midi.py"))
assert _spec is not None and _spec.loader is not None
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

SAMPLES = sorted((Path(__file__).parents[2] / "samples").rglob("*.mid"))


def verdict(data: bytes) -> object:
    """Everything `check_midi` says about a file, or the whole refusal."""
    try:
        return walk.check_midi(data, "song.mid")
    except CorpusError as error:
        return error.reason, str(error)


def both_verdicts(data: bytes) -> tuple[object, object]:
    """The verdict, and that of the steps alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "_go_through", walk._step_through)
        expected = verdict(data)
    return verdict(data), expected


def leaps_through(data: bytes) -> bool:
    """Whether the steps were not needed; what they would have said has to be the same, in every part."""
    try:
        chunks = walk._find_chunks(data, "song.mid", LIMITS, set())
        found = walk._leap_through(data, chunks.ranges, "song.mid", LIMITS)
    except CorpusError:
        return False
    assert found == walk._step_through(data, chunks.ranges, "song.mid", LIMITS)
    return True


# -------------------------------------------------------------------------------------------------------- whole files


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
def test_hostile_files_get_the_same_verdict(case) -> None:
    found, expected = both_verdicts(case.data())
    assert found == expected


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_songs_are_leapt_through(path: Path) -> None:
    assert leaps_through(path.read_bytes())
    found, expected = both_verdicts(path.read_bytes())
    assert found == expected


DATA = st.integers(0, 127)
DELTAS = st.one_of(st.integers(0, 200), st.sampled_from([127, 128, 8_191, 8_192, 16_383, 16_384, 2**21, 2**28 - 1]))
PADDED = DELTAS.map(lambda delta: encode_number(delta).rjust(4, b"\x80"))
ANY_DELTA = st.one_of(st.integers(0, 200).map(encode_number), DELTAS.map(encode_number), PADDED)


def _channel(kinds: list[int], n_data: int) -> st.SearchStrategy[bytes]:
    status = st.builds(lambda kind, channel: bytes((kind | channel,)), st.sampled_from(kinds), st.integers(0, 15))
    data = st.lists(DATA, min_size=n_data, max_size=n_data).map(bytes)
    return st.builds(bytes.__add__, st.one_of(st.just(b""), status, status), data)


TWOS, ONES = _channel([0x80, 0x90, 0xA0, 0xB0, 0xE0], 2), _channel([0xC0, 0xD0], 1)
METAS = st.builds(
    lambda kind, content: bytes((0xFF, kind)) + encode_number(len(content)) + content,
    st.sampled_from([1, 3, 5, 0x2F, 0x51, 0x51, 0x58, 0x59, 0x7F]),
    st.one_of(st.binary(max_size=6), st.just(b"\x07\xa1\x20"), st.binary(min_size=120, max_size=140)),
)
EXCLUSIVES = st.builds(
    lambda status, content: bytes((status,)) + encode_number(len(content)) + content,
    st.sampled_from([0xF0, 0xF7]),
    st.one_of(st.binary(max_size=6), st.just(b"\x7e\x7f\x09\x01\xf7")),
)
ODD = st.binary(min_size=1, max_size=3)
EVENTS = st.one_of(TWOS, TWOS, TWOS, TWOS, TWOS, ONES, METAS, METAS, EXCLUSIVES, ODD)


@st.composite
def tracks(draw: st.DrawFn) -> bytes:
    head = [event for event in draw(st.lists(st.tuples(ANY_DELTA, METAS), max_size=2)) if b"\xff\x2f" not in event[1]]
    events = head + draw(st.lists(st.tuples(ANY_DELTA, EVENTS), max_size=12))
    # Quiet notes around, so that marks are sparse enough for a leap.
    notes = hostile.NOTES * draw(st.integers(0, 6))
    end = draw(st.sampled_from([hostile.END, hostile.END, b"", b"\x83", b"\x00\x90"]))
    return notes + b"".join(delta + event for delta, event in events) + notes + end


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies=st.lists(tracks(), min_size=1, max_size=4))
def test_songs_of_any_events_get_the_same_verdict(bodies: list[bytes]) -> None:
    data = hostile.header(len(bodies)) + b"".join(hostile.chunk(body) for body in bodies)
    found, expected = both_verdicts(data)
    assert found == expected
    leaps_through(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.lists(st.tuples(ANY_DELTA, TWOS), min_size=1, max_size=60), data=st.data())
def test_one_byte_changed_gets_the_same_verdict(body: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = bytearray(hostile.header() + hostile.track(hostile.NOTES, *(delta + event for delta, event in body)))
    whole[data.draw(st.integers(22, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found, expected = both_verdicts(bytes(whole))
    assert found == expected
    leaps_through(bytes(whole))


def test_mutants_of_songs_get_the_same_verdict() -> None:
    rng = random.Random(11)
    seeds = [path.read_bytes() for path in SAMPLES]
    n_leapt = 0
    for _ in range(400):
        mutant = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(22, len(mutant))
            if rng.randrange(3):
                mutant[at] = rng.choice((0, 0x7F, 0x80, 0x90, 0xC0, 0xD5, 0xF0, 0xF7, 0xF8, 0xFF, rng.randrange(256)))
            else:
                del mutant[at : at + rng.randrange(1, 4)]
        found, expected = both_verdicts(bytes(mutant))
        assert found == expected
        n_leapt += leaps_through(bytes(mutant))
    assert 20 < n_leapt < 380


# -------------------------------------------------------------------------------------------------------- single tracks


def leapt(body: bytes) -> TrackWalker:
    walker = TrackWalker(body, "song.mid", LIMITS, set())
    leap(walker, 0, len(body), find_marks(body, [(0, len(body))])[0])
    walker.totals()
    return walker


QUIET = hostile.NOTES * 4


@pytest.mark.parametrize(
    "odd",
    [
        b"\0\xff\x80\0",
        b"\0\xff\x01",
        b"\0\xf8",
        b"\0\xc0\x80",
        b"\0\x90\xc0\x05",
        b"\0\x90\x3c",
        b"\0\x90\x3c\xff",
        b"\x81\x81\x81\x81\x00\x90\x3c\x40",
        b"\x81\x81\x81\x81\x00\xff\x01\x00",
        b"\xff\xff\xff\xff\x00\x90\x3c\x40",
        b"\0\x90\x90\x3c\x40",
        b"\0\xf0\x01\xf7\0\x3c\x40",
        b"\0\xc0\x05\0\xff\x01\0\0\x06",  # legal, but rare: a running program change
    ],
)
def test_what_is_odd_is_left_to_the_steps(odd: bytes) -> None:
    for body in (QUIET + odd, QUIET + odd + QUIET + hostile.END, odd + QUIET):
        with pytest.raises(CorpusError):
            leapt(body)
    leapt(QUIET + hostile.END)


def test_marks_everywhere_are_left_to_the_steps() -> None:
    with pytest.raises(CorpusError, match="marked"):
        find_marks(b"\xc0\x05" * 100, [(0, 200)])


def test_marks_are_kept_apart_by_track() -> None:
    data = b"\0" * 40 + b"\xff" + b"\xe5" * 40 + b"\xc0" + b"\0" * 40 + b"\xf0"
    assert find_marks(data, [(0, 41), (41, 82), (82, 122), (122, 123)]) == [[40], [81], [], [122]]


# ------------------------------------------------------------------------------------------------------------- columns


@settings(max_examples=200, deadline=None)
@given(
    n_data=st.integers(1, 2),
    stretches=st.lists(
        st.lists(st.tuples(DELTAS, st.booleans(), st.integers(0, 15), DATA, DATA), min_size=1, max_size=8), min_size=1
    ),
)
def test_columns_hold_what_was_laid_out(n_data: int, stretches: list) -> None:
    kind, status, laid, expected = 0xC0 if n_data == 1 else 0x90, -1, [], []
    for stretch in stretches:
        content = b""
        for delta, is_stated, channel, *data in stretch:
            is_stated = is_stated or status < 0
            status = kind | channel if is_stated else status
            content += encode_number(delta) + bytes((status,)) * is_stated + bytes(data[:n_data])
            expected.append((status, *data[:n_data]))
        laid.append(content)
    columns = channel_columns(laid, n_data)
    assert columns.ticks.tolist() == [sum(event[0] for event in stretch) for stretch in stretches]
    assert [tuple(row) for row in np.column_stack([columns.status, columns.low[:, 1:]]).tolist()] == expected
    if n_data == 2:
        assert columns.n_onsets == sum(event[2] > 0 for event in expected)


@pytest.mark.parametrize(
    ("stretches", "n_data"),
    [
        ([b"\0\x3c\x40"], 2),
        ([b"\0\x90\x3c"], 2),
        ([b"\0\x90\x3c\x40\x81"], 2),
        ([b"\0\x90\x3c\x40\x81", b"\0\x3c\x40"], 2),
        ([b"\0\x90\x3c\x40\0", b"\x3c\x40"], 2),
        ([b"\0\x90\x90\x3c\x40"], 2),
        ([b"\0\x90\x3c\x90\x40"], 2),
        ([b"\0\xc0\x3c\x40"], 2),
        ([b"\0\xf2\x3c\x40"], 2),
        ([b"\0\x90\x3c"], 1),
        ([b"\x80\x80\x80\x80\0\x90\x3c\x40"], 2),
    ],
)
def test_columns_prove_their_events(stretches: list[bytes], n_data: int) -> None:
    with pytest.raises(CorpusError) as caught:
        channel_columns(stretches, n_data)
    assert caught.value.reason == "bad_event"
