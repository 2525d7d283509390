import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from audiogan.corpus import midi
from audiogan.corpus.score import Metre, Score
from audiogan.errors import CorpusError, OutputError, UnsupportedError, UsageError
from audiogan.pipeline import Model
from audiogan.preview import picture
from audiogan.workflow import create, demo, making

Calls = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _fake_load(monkeypatch: pytest.MonkeyPatch, fake_model: Model) -> None:
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: fake_model)
    monkeypatch.setattr("audiogan.workflow.tour.load", lambda model, device, pipeline: fake_model)
    monkeypatch.setattr("audiogan.workflow.tour.has_default", lambda pipeline: False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_clips_are_numbered_files_that_hold_the_notes(
    tmp_path: Path, calls: Calls, score_of: Callable[..., Score]
) -> None:
    result = create.generate_midi(count=2, seed=3, tempo=90, tracks="drums, bass", bars=2, out=tmp_path / "out")
    assert names(tmp_path / "out") == ["01_clip.mid", "02_clip.mid", "manifest.json"]
    expected = {"count": 2, "seed": 3, "tempo": 90, "tracks": ["drums", "bass"], "bars": 2, "temperature": 1.0}
    assert calls == [("generate", expected | {"device": "cpu"})]
    for number, file in enumerate(result.files):
        read = midi.read(tmp_path / "out" / file["file"])
        assert [track.notes for track in read.tracks] == [track.notes for track in score_of(seed=3 + number).tracks]


def test_the_manifest_names_model_seed_and_options(tmp_path: Path) -> None:
    create.generate_midi(count=1, seed=3, out=tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["command"] == "generate midi"
    assert manifest["model"] == {
        "name": "fake",
        "sha256": "ab" * 32,
        "pipeline": "multitrack",
        "licence": "unknown",
        "card": "none",
        "card_sha256": "unknown",
    }
    assert (manifest["seed"], manifest["options"]) == (3, {"count": 1, "temperature": 1.0})
    assert manifest["files"][0]["bars"] == 2


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        create.generate_midi(count=2, seed=seed, out=tmp_path / name)
    first, second, other = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in "abc")
    assert first == second
    assert first != other


def test_the_file_says_who_made_it(tmp_path: Path) -> None:
    create.generate_midi(count=1, seed=3, out=tmp_path)
    assert b"made by audiogan" in (tmp_path / "01_clip.mid").read_bytes()


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    create.generate_midi(count=1, out=tmp_path)
    before = (tmp_path / "01_clip.mid").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        create.generate_midi(count=1, seed=1, out=tmp_path)
    assert (tmp_path / "01_clip.mid").read_bytes() == before
    create.generate_midi(count=1, seed=1, out=tmp_path, overwrite=True)
    assert (tmp_path / "01_clip.mid").read_bytes() != before


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0}, {"count": 100_001}, {"bars": 0}, {"bars": 1001}, {"tempo": 9}, {"tempo": 1001},
        {"temperature": -0.1}, {"temperature": 2.1}, {"seed": -1},
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_told_before_anything_is_made(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}: .*; expected"):
        create.generate_midi(out=tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("allowed", [{"bars": 1000}, {"tempo": 10}, {"tempo": 1000}, {"temperature": 2}])
def test_the_ends_of_a_range_are_allowed(tmp_path: Path, allowed: dict[str, Any], calls: Calls) -> None:
    create.generate_midi(count=1, out=tmp_path, **allowed)
    assert calls[0][1].items() >= allowed.items()


@pytest.mark.parametrize(
    ("name", "limits"),
    [("count", "COUNTS"), ("bars", "BARS"), ("tempo", "TEMPOS"), ("temperature", "TEMPERATURES")],
)
def test_the_ranges_are_those_of_the_pipeline(name: str, limits: str) -> None:
    from audiogan.pipelines.multitrack import generate

    low, high = getattr(create, limits)
    model: Any = SimpleNamespace(config=None)
    for value in (low - 1, high + 1):
        with pytest.raises(UsageError, match=name):
            generate(model, **{"count": 1, "seed": 0, name: value})
    for value in (low, high):
        with pytest.raises(AttributeError):  # past the check, at a model that is none
            generate(model, **{"count": 1, "seed": 0, name: value})


def test_numbers_are_as_wide_as_the_largest(tmp_path: Path) -> None:
    result = create.generate_midi(count=100, out=tmp_path)
    assert [file["file"] for file in result.files[::99]] == ["001_clip.mid", "100_clip.mid"]


@pytest.mark.parametrize(
    ("verb", "given", "n_files"),
    [
        (create.interpolate, {"steps": 2}, 2),
        (create.continue_clip, {}, 1),
        (create.accompany, {"tracks": "drums"}, 1),
        (create.infill, {"bars": "1-2"}, 1),
        (create.vary, {}, 1),
    ],
)
def test_preview_draws_every_clip(tmp_path: Path, clip: Path, verb: Any, given: dict[str, Any], n_files: int) -> None:
    clips = (clip, clip) if verb is create.interpolate else (clip,)
    result = verb(*clips, **given, out=tmp_path / "out", preview=True)
    _check_pictures(result, tmp_path / "out", n_files)


def test_preview_draws_new_clips(tmp_path: Path) -> None:
    _check_pictures(create.generate_midi(count=2, out=tmp_path, preview=True), tmp_path, 2)


def _check_pictures(result: Any, folder: Path, n_clips: int) -> None:
    pictures = [file for file in result.files if file["file"].endswith(".png")]
    assert len(pictures) == n_clips
    for file in pictures:
        clip = folder / file["picture_of"]
        assert file["file"] == f"{clip.stem}.png"
        assert (folder / file["file"]).read_bytes() == picture(midi.read(clip))


def test_listen_adds_sounds_and_a_page(tmp_path: Path) -> None:
    create.generate_midi(count=2, out=tmp_path, listen=True)
    expected = ["01_clip.mid", "01_clip.wav", "02_clip.mid", "02_clip.wav", "index.html", "manifest.json"]
    assert names(tmp_path) == expected
    assert soundfile.info(tmp_path / "01_clip.wav").duration == pytest.approx(8 * 0.6, abs=0.3)
    page = (tmp_path / "index.html").read_text()
    assert 'src="01_clip.wav"' in page
    assert page.count("data:image/png;base64,") == 2


def test_progress_counts_clips(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    create.generate_midi(count=3, out=tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_interpolate_reads_both_ends(tmp_path: Path, clip: Path, score_of: Callable[..., Score], calls: Calls) -> None:
    other = tmp_path / "other.mid"
    midi.write(score_of(seed=4), other)
    create.interpolate(clip, other, steps=3, seed=1, out=tmp_path / "out")
    assert names(tmp_path / "out") == ["01_step.mid", "02_step.mid", "03_step.mid", "manifest.json"]
    (verb, asked) = calls[0]
    assert (verb, asked["count"], asked["seed"]) == ("interpolate", 3, 1)
    assert asked["first"].tracks[2].notes == score_of(seed=0).tracks[2].notes
    assert asked["second"].tracks[2].notes == score_of(seed=4).tracks[2].notes


@pytest.mark.parametrize("steps", [1, 1001])
def test_interpolate_needs_two_steps_or_more(clip: Path, steps: int) -> None:
    with pytest.raises(UsageError, match="steps"):
        create.interpolate(clip, clip, steps=steps)


@pytest.mark.parametrize(
    ("verb", "options", "asked"),
    [
        (create.continue_clip, {"bars": 8}, ("continue_clip", {"bars": 8})),
        (create.accompany, {"tracks": ["drums"]}, ("accompany", {"tracks": ["drums"]})),
        (create.infill, {"bars": (1, 2), "tracks": "bass"}, ("infill", {"bars": (1, 2), "tracks": ["bass"]})),
        (create.infill, {"bars": (2, 2)}, ("infill", {"bars": (2, 2), "tracks": None})),
        (create.vary, {"strength": 0.5}, ("vary", {"strength": 0.5})),
    ],
)
def test_a_clip_reaches_the_model_with_its_options(
    tmp_path: Path, clip: Path, calls: Calls, verb: Callable[..., Any], options: dict[str, Any], asked: Any
) -> None:
    result = verb(clip, count=2, seed=9, out=tmp_path / "out", **options)
    assert [file["file"] for file in result.files] == ["01_my_clip.mid", "02_my_clip.mid"]
    assert result.files[0]["source"] == {"file": "my clip.mid", "warnings": []}
    name, given = calls[0]
    given.pop("score")
    assert (name, given) == (asked[0], asked[1] | {"count": 2, "seed": 9})


@pytest.mark.parametrize(
    ("verb", "options", "told"),
    [
        (create.continue_clip, {"bars": 0}, "bars: 0"),
        (create.accompany, {"tracks": []}, "tracks: none"),
        (create.infill, {"bars": (0, 2)}, "bars 0-2"),
        (create.infill, {"bars": (3, 2)}, "bars 3-2"),
        (create.vary, {"strength": 1.5}, "strength: 1.5"),
        (create.vary, {"count": 0}, "count: 0"),
    ],
)
def test_wrong_options_for_a_clip(clip: Path, verb: Callable[..., Any], options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        verb(clip, **options)


def test_one_bad_clip_alone_is_refused_with_its_code(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mid"
    bad.write_bytes(b"not MIDI at all")
    with pytest.raises(CorpusError) as caught:
        create.vary(bad, out=tmp_path / "out")
    assert caught.value.reason == "not_midi"


def test_of_many_clips_a_bad_one_is_told_and_the_rest_go_on(tmp_path: Path, clip: Path) -> None:
    bad = tmp_path / "bad.mid"
    bad.write_bytes(b"not MIDI at all")
    result = create.vary([bad, clip, tmp_path / "gone.mid"], out=tmp_path / "out")
    assert [file["file"] for file in result.files] == ["01_my_clip.mid"]
    assert [refusal.reason for refusal in result.refused] == ["not_midi", "missing"]
    assert result.exit_code == 5
    assert create.vary([bad, bad], out=tmp_path / "none").exit_code == 3


def _needs_four_four(score: Score) -> list[Score]:
    if score.metres[0] != Metre(0, 4, 4):
        raise UnsupportedError("the clip is in another metre; expected 4/4")
    return [score]


@pytest.fixture
def waltz(tmp_path: Path, score: Score) -> Path:
    """A clip in 3/4."""
    path = tmp_path / "waltz.mid"
    midi.write(replace(score, metres=(Metre(0, 3, 4),)), path)
    return path


@pytest.fixture
def in_four_four(fake_model: Model, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model with names and metre that varies clips in 4/4 only."""
    config = SimpleNamespace(metre="4/4", tracks=[SimpleNamespace(name=name) for name in ("drums", "piano")])
    monkeypatch.setattr(fake_model.verbs, "vary", lambda model, score, **_: _needs_four_four(score))
    return replace(fake_model, config=config)


def test_of_many_clips_one_in_another_metre_is_told(
    tmp_path: Path, clip: Path, waltz: Path, in_four_four: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: in_four_four)
    result = create.vary([waltz, clip], out=tmp_path / "out")
    assert [refusal.reason for refusal in result.refused] == ["unsupported"]
    assert [file["file"] for file in result.files] == ["01_my_clip.mid"]
    assert result.exit_code == 5
    assert create.vary([waltz, waltz], out=tmp_path / "none").exit_code == 3
    with pytest.raises(CorpusError, match="another metre") as caught:
        create.vary(waltz, out=tmp_path / "alone")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        (create.vary, {}),
        (create.continue_clip, {"bars": 1}),
        (create.accompany, {"tracks": "strings"}),
        (create.infill, {"bars": "1"}),
    ],
)
def test_the_default_network_passes_over_a_clip_in_another_metre(
    tmp_path: Path, clip: Path, waltz: Path, monkeypatch: pytest.MonkeyPatch, verb: Any, given: dict[str, Any]
) -> None:
    from audiogan.pipelines.multitrack import build
    from audiogan.pipelines.multitrack.config import CellsConfig, Config

    config = Config(n_bars=2, network=CellsConfig(width=8, depth=1, beat_width=8, step_width=8, code_dim=4, n_voices=2))
    modules = {name: module.eval().requires_grad_(False) for name, module in build(config).items()}
    model = Model(modules, config, {}, tmp_path, "untrained")
    monkeypatch.setattr(making, "load", lambda model_, device, pipeline: model)
    result = verb([waltz, clip], **given, out=tmp_path / "out")
    assert [refusal.reason for refusal in result.refused] == ["unsupported"]
    assert [file["file"] for file in result.files] == ["01_my_clip.mid"]


def test_a_verb_that_the_model_lacks_is_wrong_usage(
    tmp_path: Path, clip: Path, waltz: Path, fake_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedError("this model makes new clips only")

    monkeypatch.setattr(fake_model.verbs, "vary", refuse)
    with pytest.raises(UnsupportedError, match="new clips only"):
        create.vary([waltz, clip], out=tmp_path / "out")


def test_a_clip_with_too_many_instruments_is_told(
    tmp_path: Path, clip: Path, score: Score, fake_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = tuple(replace(score.tracks[1], program=program, name=f"track {program}") for program in range(17))

    def crowded(model: Model, score: Score, **_: Any) -> list[Score]:
        return [score.with_tracks(crowd)] if len(score.tracks) == 1 else [score]

    lonely = tmp_path / "lonely.mid"
    midi.write(score.with_tracks(score.tracks[:1]), lonely)
    monkeypatch.setattr(fake_model.verbs, "vary", crowded)
    result = create.vary([lonely, clip], out=tmp_path / "out")
    assert [refusal.reason for refusal in result.refused] == ["too_many_channels"]
    assert [file["file"] for file in result.files] == ["01_my_clip.mid"]
    with pytest.raises(CorpusError) as caught:
        create.vary(lonely, out=tmp_path / "alone")
    assert caught.value.reason == "too_many_channels"


@pytest.mark.parametrize("verb", [create.accompany, create.infill])
def test_a_track_that_the_model_lacks_is_wrong_usage_for_many_clips_too(
    tmp_path: Path, clip: Path, verb: Any, in_four_four: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: in_four_four)
    bars = {"bars": "1-2"} if verb is create.infill else {}
    with pytest.raises(UsageError, match="kazoo.*expected some of: drums, piano"):
        verb([clip, clip], tracks="Drums,kazoo", out=tmp_path / "out", **bars)
    assert not (tmp_path / "out").exists()


def test_a_usage_error_of_the_model_ends_all(
    tmp_path: Path, clip: Path, fake_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UsageError("wrong in itself")

    monkeypatch.setattr(fake_model.verbs, "vary", refuse)
    for verb in ("infill", "accompany"):
        monkeypatch.setattr(fake_model.verbs, verb, refuse)
    with pytest.raises(UsageError, match="wrong in itself"):
        create.vary([clip, clip], out=tmp_path / "out")
    assert create.infill([clip, clip], bars="1-9", out=tmp_path / "infill").exit_code == 3, "too short for bar 9"
    assert create.accompany([clip, clip], tracks="bass", out=tmp_path / "band").exit_code == 3, "has a bass"


def test_no_clip_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no clip given"):
        create.vary([])


@pytest.mark.parametrize(("text", "bars"), [("3-4", (3, 4)), ("7", (7, 7))])
def test_bars_are_read(text: str, bars: tuple[int, int]) -> None:
    assert create.parse_bars(text) == bars


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1-2-3", "1.5"])
def test_odd_bars_show_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="for example 3-4"):
        create.parse_bars(text)


def test_the_demo_shows_every_verb_on_one_page(tmp_path: Path, calls: Calls) -> None:
    result = demo(out=tmp_path, seed=2)
    assert [verb for verb, _ in calls] == ["generate", "interpolate", "accompany"]
    assert [track.name for track in calls[2][1]["score"].tracks] == ["piano"]
    page = (tmp_path / "index.html").read_text()
    assert page.count("<figure>") == 4 + 5 + 2
    assert page.count("<h2>") == 3
    assert len(result.files) == 2 * 11 + 1


def test_the_demo_passes_over_what_a_model_cannot_do(
    tmp_path: Path, fake_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedError("this model cannot accompany")

    monkeypatch.setattr(fake_model.verbs, "accompany", refuse)
    demo(out=tmp_path)
    assert (tmp_path / "index.html").read_text().count("<h2>") == 2


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (("drums", "bass", "piano", "guitar", "strings"), ["drums", "bass", "strings"]),
        (("drums", "piano"), ["drums"]),
        (("piano", "flute", "oboe"), ["flute", "oboe"]),
        (("piano",), None),
    ],
)
def test_the_band_of_the_demo_has_the_model_s_own_tracks(
    tmp_path: Path,
    fake_model: Model,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    asked: list[str] | None,
) -> None:
    config = SimpleNamespace(tracks=[SimpleNamespace(name=name) for name in names])
    monkeypatch.setattr(
        "audiogan.workflow.tour.load", lambda model, device, pipeline: replace(fake_model, config=config)
    )
    demo(out=tmp_path)
    assert [given["tracks"] for verb, given in calls if verb == "accompany"] == ([] if asked is None else [asked])
    assert (tmp_path / "index.html").read_text().count("<h2>") == (2 if asked is None else 3)


def test_an_end_in_another_metre_is_refused_input(
    tmp_path: Path, clip: Path, waltz: Path, in_four_four: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def between(model: Model, first: Score, second: Score, **_: Any) -> list[Score]:
        return [*_needs_four_four(first), *_needs_four_four(second)]

    monkeypatch.setattr(in_four_four.verbs, "interpolate", between)
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: in_four_four)
    with pytest.raises(CorpusError, match="another metre"):
        create.interpolate(clip, waltz, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert create.interpolate(clip, clip, out=tmp_path / "fine").exit_code == 0


def test_the_end_that_cannot_be_used_is_named(
    tmp_path: Path, clip: Path, waltz: Path, in_four_four: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def between(model: Model, first: Score, second: Score, **_: Any) -> list[Score]:
        made = [*_needs_four_four(first), *_needs_four_four(second)]
        if first.n_notes != second.n_notes:
            raise UnsupportedError("no bar in common")
        return made

    other = tmp_path / "other.mid"
    midi.write(make_lonely(midi.read(clip)), other)
    monkeypatch.setattr(in_four_four.verbs, "interpolate", between)
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: in_four_four)
    for ends, named in (((clip, waltz), waltz), ((waltz, clip), waltz), ((clip, other), f"{clip} and {other}")):
        with pytest.raises(CorpusError) as caught:
            create.interpolate(*ends, out=tmp_path / "out")
        assert str(caught.value).startswith(f"{named}: ")


def make_lonely(score: Score) -> Score:
    """One track of a score."""
    return score.with_tracks(score.tracks[:1])


def test_a_refusal_by_the_model_names_the_clip(
    tmp_path: Path, clip: Path, waltz: Path, in_four_four: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "load", lambda model, device, pipeline: in_four_four)
    with pytest.raises(CorpusError, match="another metre") as caught:
        create.vary(waltz, out=tmp_path / "out")
    assert str(caught.value).startswith(f"{waltz}: ")
    refused = create.vary([clip, waltz], out=tmp_path / "both").refused
    assert [refusal.file for refusal in refused] == [str(waltz)]


@pytest.mark.parametrize("name", ["new.mid", "new.wav"])
def test_a_folder_is_not_named_like_a_file(tmp_path: Path, calls: Calls, clip: Path, name: str) -> None:
    verbs: list[Callable[..., Any]] = [
        lambda out: create.generate_midi(out=out),
        lambda out: demo(out=out),
        lambda out: create.vary(clip, out=out),
        lambda out: create.interpolate(clip, clip, out=out),
    ]
    for verb in verbs:
        with pytest.raises(UsageError, match="this verb fills a folder; expected a name without extension"):
            verb(tmp_path / name)
    assert (calls, (tmp_path / name).exists()) == ([], False)
    (tmp_path / name).mkdir()
    assert create.vary(clip, out=tmp_path / name).exit_code == 0, "a folder that is there is taken"
