"""The sampler instrument: every key and velocity has one sample, loops do not click, the header tells the licence."""

import re
from pathlib import Path

import numpy as np
import pytest

from audiogan.corpus import audio
from audiogan.errors import OutputError, UsageError
from audiogan.pipelines.waveform.instrument import write_instrument
from audiogan.pipelines.waveform.sound import soften
from audiogan.pipelines.waveform.timbre import Timbre
from tests.pipelines.waveform.small_sounds import RATE, Echo, cents_off, is_click_free, model_of

PLAIN = Timbre(np.zeros(5, np.float32), np.zeros(6, np.float32), "Cello\n<region> sample=/etc/passwd")


def regions(text: str) -> list[dict[str, str]]:
    """The opcodes of every region, as a player reads them."""
    plain = re.sub(r"//[^\n]*", "", text)
    return [dict(re.findall(r"(\w+)=(\S+)", part)) for part in plain.split("<region>")[1:]]


def test_every_key_and_velocity_has_one_sample(tmp_path: Path) -> None:
    facts = write_instrument(model_of(Echo()), PLAIN, tmp_path, keys=(60, 70), step=4, name="my cello")
    text = (tmp_path / "my_cello.sfz").read_text()
    found = regions(text)
    assert len(found) == len(facts["samples"]) == 3 * 3
    for key in range(60, 71):
        for velocity in range(1, 128):
            fits = [
                one
                for one in found
                if int(one["lokey"]) <= key <= int(one["hikey"]) and int(one["lovel"]) <= velocity <= int(one["hivel"])
            ]
            assert len(fits) == 1
            assert abs(int(fits[0]["pitch_keycenter"]) - key) <= 2
    assert "default_path=samples/" in text
    assert all((tmp_path / sample).is_file() for sample in facts["samples"])


def test_samples_are_in_tune_and_their_loops_do_not_click(tmp_path: Path) -> None:
    facts = write_instrument(model_of(Echo()), PLAIN, tmp_path, keys=(57, 58), velocities=(0.8,), name="a")
    assert facts["n_looped"] == 2
    for one in regions((tmp_path / "a.sfz").read_text()):
        sound = audio.read(tmp_path / "samples" / one["sample"])
        wave, key = sound.waveform, int(one["pitch_keycenter"])
        assert sound.sample_rate == RATE
        assert cents_off(wave, RATE, key) < 3
        assert is_click_free(wave, RATE)
        first, last = int(one["loop_start"]), int(one["loop_end"])
        assert 0 < first < last < len(wave)
        player = np.concatenate([wave[: last + 1], *[wave[first : last + 1]] * 5])
        assert is_click_free(soften(player, RATE), RATE)
        assert cents_off(player, RATE, key) < 3


def test_notes_that_die_away_have_no_loop(tmp_path: Path) -> None:
    facts = write_instrument(model_of(Echo(decay=40.0)), PLAIN, tmp_path, keys=(60, 60), name="pluck")
    assert facts["n_looped"] == 0
    assert all(one["loop_mode"] == "no_loop" for one in regions((tmp_path / "pluck.sfz").read_text()))


def test_the_header_is_comments_whatever_the_names_hold(tmp_path: Path) -> None:
    model = model_of(
        Echo(), card={"corpus": {"sources": [{"licence": "CC0-1.0\nsample=x"}, {}]}}, name="notes\n<global>"
    )
    write_instrument(model, PLAIN, tmp_path, keys=(60, 60), velocities=(0.5,), name="../../x")
    (sfz,) = tmp_path.glob("*.sfz")
    text = sfz.read_text()
    assert "Licences of the sounds that the model learnt from: CC0-1.0" in text
    assert len(regions(text)) == 1
    assert "/etc/passwd" not in re.sub(r"//[^\n]*", "", text)
    assert text.count("<global>") == 2  # one of them inside a comment
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples", sfz.name]


def test_takes_play_in_turn_and_differ(tmp_path: Path) -> None:
    write_instrument(model_of(), PLAIN, tmp_path, keys=(60, 60), velocities=(0.5,), takes=2, name="a", duration=0.2)
    found = regions((tmp_path / "a.sfz").read_text())
    assert [(one["seq_length"], one["seq_position"]) for one in found] == [("2", "1"), ("2", "2")]
    first, second = (audio.read(tmp_path / "samples" / one["sample"]).waveform for one in found)
    assert not np.array_equal(first, second)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_instrument(model_of(), PLAIN, tmp_path / name, keys=(60, 61), seed=3, name="a", duration=0.2)
    files = sorted((tmp_path / "one").rglob("*.*"))
    assert len(files) == 7
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    model = model_of(Echo())
    with pytest.raises(UsageError, match="within the trained 36-84"):
        write_instrument(model, PLAIN, tmp_path, keys=(30, 60))
    with pytest.raises(UsageError, match="rising numbers"):
        write_instrument(model, PLAIN, tmp_path, velocities=(0.5, 0.5))
    with pytest.raises(UsageError, match="step 0"):
        write_instrument(model, PLAIN, tmp_path, step=0)
    with pytest.raises(OutputError, match="can be written to"):
        write_instrument(model, PLAIN, tmp_path / "missing" / "folder")
