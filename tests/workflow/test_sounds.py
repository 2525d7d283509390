import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile

from audiogan.errors import CheckpointError, CorpusError, OutputError, UnsupportedError, UsageError
from audiogan.evaluation.provenance import Card, Use
from audiogan.pipeline import Model
from audiogan.rainbowgram import rainbowgram
from audiogan.workflow import create, demo, making, sounds
from audiogan.workflow.cards import for_pipelines, write_card

Calls = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _fake_load(monkeypatch: pytest.MonkeyPatch, fake_sound_model: Model) -> None:
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: fake_sound_model)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def manifest(folder: Path, name: str = "manifest.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text())


def test_notes_are_numbered_files_named_after_their_key(tmp_path: Path, calls: Calls) -> None:
    result = sounds.generate_notes(pitch="60,61.5", count=3, velocity=0.5, seed=2, out=tmp_path)
    assert names(tmp_path) == ["01_note_C4.wav", "02_note.wav", "03_note_C4.wav", "manifest.json"]
    assert calls[0][1].items() >= {"pitches": [60.0, 61.5, 60.0], "velocity": 0.5, "count": 3, "seed": 2}.items()
    assert soundfile.info(tmp_path / "01_note_C4.wav").subtype == "PCM_24"
    assert result.files[0]["pitch"] == 60
    assert manifest(tmp_path)["model"]["pipeline"] == "waveform"


def test_manifest_and_files_lead_to_the_card(
    tmp_path: Path, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_card(folder, Card(use=Use(licence="CC0-1.0")))
    card = for_pipelines(Card(use=Use(licence="CC0-1.0")))
    monkeypatch.setattr(making, "load", lambda *_, **__: replace(fake_sound_model, folder=folder, card=card))
    sounds.generate_notes(count=1, seed=2, out=tmp_path / "out")
    told = manifest(tmp_path / "out")["model"]
    assert (told["licence"], told["card"]) == ("CC0-1.0", str(folder / "card.json"))
    assert told["card_sha256"] == hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()
    with soundfile.SoundFile(next((tmp_path / "out").glob("*.wav"))) as file:
        assert file.comment.startswith("made by audiogan ")
        assert file.comment.endswith(f"model tones {'cd' * 6}, seed 2")


def test_without_pitch_and_count_there_are_four(tmp_path: Path, calls: Calls) -> None:
    assert len(sounds.generate_notes(out=tmp_path).files) == 4
    assert "pitches" not in calls[0][1], "the model chooses"


def test_many_notes_are_made_and_written_group_by_group(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sounds, "NOTES_AT_ONCE", 2)
    told: list[tuple[int, int, int]] = []
    sounds.generate_notes(count=5, out=tmp_path, progress=lambda done, total: told.append((done, total, len(calls))))
    assert [(given["first"], given["count"]) for _, given in calls] == [(0, 2), (2, 2), (4, 1)]
    assert told == [(1, 5, 1), (2, 5, 1), (3, 5, 2), (4, 5, 2), (5, 5, 3)], "the first are there before the last begin"
    assert names(tmp_path)[4] == "05_note_C4.wav"
    with pytest.raises(UsageError, match="count: 2001; expected 1 to 2000"):
        sounds.generate_notes(count=2001, out=tmp_path / "more")


def test_a_timbre_holds_for_all_notes(tmp_path: Path, calls: Calls, tone: Path) -> None:
    sounds.generate_notes(timbre=tone, refine=True, out=tmp_path / "out")
    assert calls[0][1]["timbre"] == "of tone_A4.wav closely"
    assert manifest(tmp_path / "out")["options"]["timbre"] == {"file": "tone_A4.wav", "warnings": []}


def test_listen_preview_and_save_timbre_add_files(tmp_path: Path, fake_sound_model: Model) -> None:
    sounds.generate_notes(count=1, listen=True, preview=True, save_timbre=True, out=tmp_path)
    note = ["01_note_C4.png", "01_note_C4.timbre.json", "01_note_C4.wav"]
    assert names(tmp_path) == [*note, "index.html", "manifest.json"]
    page = (tmp_path / "index.html").read_text()
    assert 'src="01_note_C4.wav"' in page
    assert "sketch" not in page, "a sound is its own"
    assert json.loads((tmp_path / note[1]).read_text()) == {"name": "free 0-0"}
    sound = fake_sound_model.generate(count=1)[0]
    assert (tmp_path / note[0]).read_bytes() == rainbowgram(sound.waveform, sound.sample_rate)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0}, {"pitch": "H4"}, {"pitch": "72-48"}, {"pitch": "128"}, {"velocity": 128}, {"duration": 0},
        {"sample_rate": 1}, {"temperature": 3}, {"seed": -1},
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_told_before_anything_is_made(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong)).replace('_', ' ')}.*expected"):
        sounds.generate_notes(out=tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_interpolate_takes_recordings_and_saved_timbres(tmp_path: Path, calls: Calls, tone: Path) -> None:
    saved = tmp_path / "warm.json"
    saved.write_text("{}")
    create.interpolate(tone, saved, steps=2, pitch="C4", out=tmp_path / "out")
    assert calls == [("interpolate", {"first": "of tone_A4.wav", "second": "saved warm.json", "steps": 2, "pitch": 60})]
    assert names(tmp_path / "out") == ["01_step_C4.wav", "02_step_C4.wav", "manifest.json"]


def test_a_folder_of_recordings_is_one_timbre(
    tmp_path: Path, calls: Calls, tone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = tmp_path / "my oboe"
    (mine / "low").mkdir(parents=True)
    for name in ("low/oboe_C4.wav", "oboe_A4.wav", "odd.wav"):
        shutil.copy(tone, mine / name)
    (mine / "bad_C5.wav").write_text("no sound at all")
    sounds.transfer(tone, timbre=mine, out=tmp_path / "out")
    asked, made = (given for _, given in calls)
    assert asked == {
        "recordings": ["low/oboe_C4.wav", "oboe_A4.wav", "odd.wav"],
        "pitches": {"low/oboe_C4.wav": 60, "oboe_A4.wav": 69},
    }
    assert made["timbre"] == "of my oboe"
    told = manifest(tmp_path / "out")["options"]["timbre"]
    assert (told["folder"], told["recordings"]) == ("my oboe", 3)
    assert [(one["file"], one["reason"]) for one in told["refused"]] == [("bad_C5.wav", "not_audio")]
    assert "bad_C5.wav: " in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="empty: no recording that can be used"):
        create.interpolate(tone, tmp_path / "empty", out=tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_of_a_large_folder_some_are_read_evenly_by_pitch(tmp_path: Path, calls: Calls, tone: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for key in range(30, 100):
        shutil.copy(tone, mine / f"{key:03d}.wav")
    sounds.transfer(tone, timbre=mine, out=tmp_path / "out")
    keys = [int(name[:3]) for name in calls[0][1]["recordings"]]
    assert (len(keys), keys[0], keys[-1]) == (32, 30, 99)
    assert {high - low for low, high in pairwise(keys)} == {2, 3}
    told = manifest(tmp_path / "out")["options"]["timbre"]
    assert (told["recordings"], told["of"]) == (32, 70)


def test_the_folder_where_one_is_has_a_name(
    tmp_path: Path, calls: Calls, tone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "oboe"
    mine.mkdir()
    shutil.copy(tone, mine / "a_A4.wav")
    monkeypatch.chdir(mine)
    sounds.transfer(tone, timbre=".", out=tmp_path / "out")
    assert manifest(tmp_path / "out")["options"]["timbre"]["folder"] == "oboe"


def test_a_mixture_and_what_is_no_sound_are_refused(tmp_path: Path, tone: Path, clip: Path) -> None:
    with pytest.raises(UsageError, match="two of a kind"):
        create.interpolate(clip, tone)
    with pytest.raises(UsageError, match="pitch.*for sounds"):
        create.interpolate(clip, clip, pitch=60)
    (tmp_path / "b.wav").write_text("no sound at all")
    with pytest.raises(CorpusError) as caught:
        create.interpolate(tone, tmp_path / "b.wav", out=tmp_path / "out")
    assert caught.value.reason == "not_audio"
    with pytest.raises(CorpusError) as caught:
        create.interpolate(tone, tmp_path / "gone.wav")
    assert caught.value.reason == "missing"
    assert not (tmp_path / "out").exists()


def test_transfer_writes_a_folder_or_the_file_asked_for(tmp_path: Path, calls: Calls, tone: Path) -> None:
    sounds.transfer(tone, timbre=tone, out=tmp_path / "out")
    assert names(tmp_path / "out") == ["01_tone_A4.wav", "manifest.json"]
    sounds.transfer(tone, out=tmp_path / "deep" / "new.flac", preview=True)
    assert names(tmp_path / "deep") == ["new.flac", "new.flac.json", "new.png"]
    assert [given["timbre"] for _, given in calls] == ["of tone_A4.wav", "random 0-0"]
    assert manifest(tmp_path / "deep", "new.flac.json")["options"]["source"]["file"] == "tone_A4.wav"


def test_one_file_is_not_overwritten_unless_asked(tmp_path: Path, calls: Calls, tone: Path) -> None:
    mine = tmp_path / "mine.wav"
    mine.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        sounds.transfer(tone, out=mine)
    assert (mine.read_text(), calls) == ("mine", [])
    sounds.transfer(tone, out=mine, overwrite=True)
    assert soundfile.info(mine).samplerate == 16000
    assert tone.exists(), "what else lies there stays"
    with pytest.raises(UsageError, match=r"\.mp3 is not written"):
        sounds.transfer(tone, out=tmp_path / "new.mp3")


def test_render_plays_with_one_timbre_or_several(tmp_path: Path, calls: Calls, clip: Path) -> None:
    sounds.render(clip, out=tmp_path / "a")
    sounds.render(clip, timbre=["random", "random"], glide=2.5, sample_rate=16000, seed=3, out=tmp_path / "b")
    assert [given["timbres"] for _, given in calls] == [["random 0-0"], ["random 3-0", "random 3-1"]]
    assert calls[1][1].items() >= {"glide": 2.5, "sample_rate": 16000, "n_tracks": 3, "seed": 3}.items()
    assert names(tmp_path / "a") == ["01_my_clip.wav", "manifest.json"]
    with pytest.raises(UsageError, match="fewer than two timbres"):
        sounds.render(clip, timbre="random", glide=2)
    with pytest.raises(CorpusError, match="expected a recording"):
        sounds.render(clip, timbre=[clip])


def test_export_takes_in_what_the_pipeline_wrote(tmp_path: Path) -> None:
    result = sounds.export("tones", out=tmp_path / "out")
    assert names(tmp_path / "out") == ["manifest.json", "mine.sfz", "samples/c4.wav"]
    assert [file["file"] for file in result.files] == ["mine.sfz", "samples/c4.wav"]
    assert manifest(tmp_path / "out")["instrument"] == {"timbre": "random 0-0"}
    with pytest.raises(OutputError, match="exists"):
        sounds.export("tones", out=tmp_path / "out")
    with pytest.raises(UsageError, match="'onnx'; expected sfz"):
        sounds.export("tones", format="onnx")


def test_a_failed_export_leaves_nothing(
    tmp_path: Path, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: Model, timbre: str, folder: Path, **_: Any) -> None:
        (folder / "half.wav").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_sound_model.verbs, "write_instrument", fail)
    with pytest.raises(KeyboardInterrupt):
        sounds.export("tones", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_of_midi_makes_no_sounds(
    tmp_path: Path, fake_model: Model, monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: fake_model)
    with pytest.raises(UnsupportedError, match="makes MIDI; expected one that makes sounds"):
        sounds.render(clip)
    with pytest.raises(UnsupportedError, match="makes no sounds"):
        fake_model.random_timbre(0)


def test_the_demo_has_an_audible_half_where_a_model_of_notes_is_shipped(
    tmp_path: Path, fake_model: Model, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    shipped = {"multitrack": fake_model, "waveform": fake_sound_model}
    monkeypatch.setattr("audiogan.workflow.tour.load", lambda model, device, pipeline: shipped[pipeline])
    monkeypatch.setattr("audiogan.workflow.tour.has_default", lambda pipeline: True)
    demo(out=tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert page.count("<h2>") == 6
    assert page.count("<audio") == 4 + 5 + 2 + 4 + 5 + 1
    assert [verb for verb, _ in calls].count("render") == 1
    assert manifest(tmp_path)["model_of_notes"]["name"] == "tones"


def test_the_demo_of_a_model_of_notes_stands_alone(
    tmp_path: Path, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    monkeypatch.setattr("audiogan.workflow.tour.load", lambda model, device, pipeline: fake_sound_model)
    demo(model="tones", out=tmp_path)
    assert (tmp_path / "index.html").read_text().count("<h2>") == 3
    assert [given["n_tracks"] for verb, given in calls if verb == "render"] == [1], "a tune of ours"


def test_the_default_model_is_the_one_of_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiogan.workflow import model

    listed = [{"name": "songs", "pipeline": "multitrack"}, {"name": "notes", "pipeline": "waveform"}]
    monkeypatch.setattr(model, "models", lambda folder: listed)
    assert model._default("waveform", tmp_path).name == "notes"
    assert model._default(None, tmp_path).name == "songs"
    listed.pop()
    with pytest.raises(CheckpointError, match="waveform/smoke"):
        model._default("waveform", tmp_path)


def test_listen_adds_a_page_to_a_folder_or_beside_the_file(tmp_path: Path, tone: Path, clip: Path) -> None:
    sounds.render(clip, listen=True, out=tmp_path / "a")
    assert names(tmp_path / "a") == ["01_my_clip.wav", "index.html", "manifest.json"]
    result = sounds.transfer(tone, listen=True, preview=True, out=tmp_path / "b" / "new.flac")
    assert names(tmp_path / "b") == ["new.flac", "new.flac.json", "new.html", "new.png"]
    assert 'src="new.flac"' in (tmp_path / "b" / "new.html").read_text()
    assert [file["file"] for file in result.files if file.get("page")] == ["new.html"]


@pytest.mark.parametrize("name", ["new.html", "new.png"])
def test_what_comes_beside_a_file_is_not_overwritten(tmp_path: Path, calls: Calls, tone: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        sounds.transfer(tone, listen=True, preview=True, out=tmp_path / "new.wav")
    assert ((tmp_path / name).read_text(), calls) == ("mine", []), "told before the work"


def test_an_instrument_has_a_page_with_some_of_its_samples(
    tmp_path: Path, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch, tone: Path
) -> None:
    def write(model: Model, timbre: str, folder: Path, **_: Any) -> dict[str, Any]:
        for number in range(30):
            (folder / f"{number:02d}.wav").write_bytes(tone.read_bytes())
        return {}

    monkeypatch.setattr(fake_sound_model.verbs, "write_instrument", write)
    sounds.export("tones", listen=True, out=tmp_path / "out")
    heard = re.findall(r'src="(\d\d)\.wav"', (tmp_path / "out" / "index.html").read_text())
    assert len(heard) == sounds.MOST_HEARD
    assert (heard[0], int(heard[-1]) > 20) == ("00", True)


@pytest.mark.parametrize("name", ["new.xyz", "new.mp3", "new.mid", "new.WAVE", "v1.2"])
def test_an_extension_that_is_not_written_is_refused(tmp_path: Path, calls: Calls, clip: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not written; expected \.wav or \.flac, or for a folder") as caught:
        sounds.render(clip, out=tmp_path / name)
    assert f"--out {tmp_path / name}" in str(caught.value)
    assert (calls, [path.name for path in tmp_path.iterdir()]) == ([], ["my clip.mid"])
    (tmp_path / name).mkdir()
    sounds.render(clip, out=tmp_path / name)
    assert names(tmp_path / name) == ["01_my_clip.wav", "manifest.json"], "a folder that is there is taken"


@pytest.mark.parametrize("name", ["new.mid", "new.wav", "new.sfz", "new.json"])
def test_a_folder_is_not_named_like_a_file(tmp_path: Path, calls: Calls, tone: Path, name: str) -> None:
    verbs: list[Callable[..., Any]] = [
        lambda out: sounds.generate_notes(out=out),
        lambda out: sounds.export("tones", out=out),
        lambda out: create.interpolate(tone, tone, out=out),
    ]
    for verb in verbs:
        with pytest.raises(UsageError, match="this verb fills a folder; expected a name without extension"):
            verb(tmp_path / name)
    assert (calls, (tmp_path / name).exists()) == ([], False)


def test_a_refusal_by_the_pipeline_names_the_file(
    tmp_path: Path, fake_sound_model: Model, monkeypatch: pytest.MonkeyPatch, tone: Path, clip: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise CorpusError("no pitch was heard; expected one", "no_pitch")

    for verb in ("render", "transfer", "timbre_of"):
        monkeypatch.setattr(fake_sound_model.verbs, verb, refuse)
    for path, verb in (
        (clip, lambda: sounds.render(clip, out=tmp_path / "out")),
        (tone, lambda: sounds.transfer(tone, out=tmp_path / "out")),
        (tone, lambda: sounds.generate_notes(timbre=tone, out=tmp_path / "out")),
    ):
        with pytest.raises(CorpusError) as caught:
            verb()
        assert (str(caught.value), caught.value.reason) == (f"{path}: no pitch was heard; expected one", "no_pitch")
    assert not (tmp_path / "out").exists()


def test_an_export_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    left = tmp_path / "out" / ".audiogan-staging-abc" / "samples"
    left.mkdir(parents=True)
    (left / "half.wav").write_text("half")
    sounds.export("tones", out=tmp_path / "out")
    assert names(tmp_path / "out") == ["manifest.json", "mine.sfz", "samples/c4.wav"]


def test_a_recording_is_never_written_over_by_what_is_made_from_it(tmp_path: Path) -> None:
    melody = tmp_path / "melody.wav"
    melody.write_bytes(b"mine")
    for verb in (
        lambda: sounds.transfer(melody, out=melody, overwrite=True),
        lambda: sounds.render(
            tmp_path / "song.mid", timbre=str(melody), out=tmp_path / "." / "melody.wav", overwrite=True
        ),
    ):
        with pytest.raises(UsageError, match="made from that file; expected another name"):
            verb()
    assert melody.read_bytes() == b"mine"
