import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import soundfont
from audiogan.corpus.notes import hz_of
from audiogan.corpus.programs import ACOUSTIC, PITCHED
from audiogan.corpus.soundfont import Slot, family_of, keys_of
from audiogan.corpus.tuning import measure_tuning
from audiogan.errors import CorpusError, UnsupportedError
from tests.corpus.tiny_font import make_font

FONT = make_font()


@pytest.fixture
def renderer() -> None:
    pytest.importorskip("midirenderer")


def test_fonts_of_the_same_recordings_are_one_family() -> None:
    names = ["/a/FluidR3_GM.sf2", "FluidR3Mono_GM.sf3", "C:\\fonts\\MuseScore_General_Lite.sf3", "FluidR3"]
    assert {family_of(name) for name in names} == {"FluidR3"}
    assert family_of("GeneralUser-v1.47.sf2") == "GeneralUser"
    assert family_of("my fonts/My Oboe.sf2") == "My_Oboe"


def test_ranges_are_those_of_real_instruments() -> None:
    assert (len(ACOUSTIC), len(PITCHED)) == (23, 99)
    assert set(ACOUSTIC.items()) <= set(PITCHED.items())
    assert all(0 <= low < high <= 127 for _, low, high in PITCHED.values())
    assert len({one.name for one in PITCHED.values()}) == len(PITCHED), "an instrument is known by its name"
    assert keys_of(73, 24, 84, "any") == list(range(60, 85))
    assert keys_of(40, 80, 90, "any", 2) == [80, 82, 84, 86, 88, 90]
    assert 84 not in keys_of(40, 24, 96, "GeneralUser"), "known to be out of tune"


def test_other_files_are_no_fonts(tmp_path: Path) -> None:
    def reason(data: bytes) -> str:
        (tmp_path / "a.sf2").write_bytes(data)
        with pytest.raises(CorpusError) as caught:
            soundfont.read_font(tmp_path / "a.sf2")
        return caught.value.reason

    assert reason(b"no font") == "bad_format"
    assert reason(b"RIFF\x10\0\0\0WAVEfmt ") == "bad_format"
    assert reason(FONT[: len(FONT) // 2]) == "truncated"


def test_without_the_renderer_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    with pytest.raises(UnsupportedError, match=r"pip install audiogan\[soundfont\]$"):
        soundfont.render(FONT, 0, [Slot(60, 100)], seconds=0.5)


@pytest.mark.usefixtures("renderer")
def test_notes_have_their_pitch_length_and_level() -> None:
    slots = [Slot(69, 127), Slot(60, 127), Slot(69, 40)]
    loud, low, soft = soundfont.render(FONT, 73, slots, seconds=0.5)
    assert {len(note) for note in (loud, low, soft)} == {24_000}
    for waveform, key in ((loud, 69), (low, 60)):
        found = measure_tuning(waveform, soundfont.RENDER_RATE, hz_of(key))
        assert found is not None
        assert abs(found[0]) < 1
    assert np.abs(soft).max() < 0.2 * np.abs(loud).max()


@pytest.mark.usefixtures("renderer")
def test_a_note_leaves_nothing_in_the_next_slot() -> None:
    alone = soundfont.render(FONT, 0, [Slot(60, 100)], seconds=0.5)[0]
    second = soundfont.render(FONT, 0, [Slot(72, 127), Slot(60, 100)], seconds=0.5)[1]
    lag = range(-128, 129)  # the renderer starts notes at blocks of 64 samples
    best = min(float(np.abs(np.roll(second, by)[2000:-2000] - alone[2000:-2000]).max()) for by in lag)
    assert best < 2 / 32768


@pytest.mark.usefixtures("renderer")
def test_quiet_notes_are_freed_from_rounding() -> None:
    (plain,) = soundfont.render(FONT, 0, [Slot(69, 12)], seconds=0.5)
    (clean,) = soundfont.render_clean(FONT, 0, [(69, 12)], seconds=0.5)
    assert np.abs(clean).max() == pytest.approx(np.abs(plain).max(), abs=1 / 32768)
    steps = len(np.unique(np.round(clean * 32768 * 15)))
    assert steps > 5 * len(np.unique(np.round(plain * 32768)))


@pytest.mark.usefixtures("renderer")
def test_rendering_is_the_same_each_time() -> None:
    once, again = ([*soundfont.render_clean(FONT, 0, [(60, 20), (64, 100)], seconds=0.5)] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.usefixtures("renderer")
def test_a_broken_font_is_refused_by_name() -> None:
    broken = bytearray(FONT)
    place = FONT.index(b"shdr")
    struct.pack_into("<I", broken, place + 8 + 20, 2**31)
    with pytest.raises(CorpusError, match="expected a working .sf2 file") as caught:
        soundfont.render(bytes(broken[: place + 20]), 0, [Slot(60, 100)], seconds=0.5)
    assert caught.value.reason == "corrupt"


def test_full_scale_three_times_in_a_row_is_clipping() -> None:
    wave = np.sin(np.arange(4800) / 50).astype(np.float32)
    assert not soundfont.is_clipped(0.9 * wave)
    assert soundfont.is_clipped(np.clip(1.5 * wave, -1, 32767 / 32768))
