"""The report: strict to read, closed to the network and to foreign names, within bounds, the same every time."""

import base64
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from audiogan.corpus import audio
from audiogan.evaluation import report_page
from audiogan.evaluation.audit import Audit, Control, Rule
from audiogan.evaluation.curves import MOST_CURVES, N_POINTS, read_curves, svg
from audiogan.evaluation.exhibit import Exhibit, Shelf, flac
from audiogan.evaluation.report import MOST_CHARACTERS, Report, card_facts, write
from audiogan.evaluation.rows import ReportRow
from audiogan.evaluation.verdict import copies, verdict
from audiogan.preview import png

NAN = math.nan
HOSTILE = "<script>alert('x')</script>\"&\x1b[31m\u202e\ud800"
ROW = ReportRow(
    metric="kernel_distance", form="correct", column="drums", value=1.5, low=1.0, high=2.0, n=64, real=0.2,
    real_low=0.0, real_high=0.4, n_real=32, floor=0.2, ceiling=9.0, gap=0.15, split="test", embedding="e",
    embedding_sha256="ab", seed=3, passes=False,
)  # fmt: skip
AUDIT = Audit(
    "pass", (Rule("A hard copies", 0.0, 0.0, 0.002, 64, "pass"),), (Control("planted copies found", 20, 20),),
    {}, (), (), 900, 300, 64,
)  # fmt: skip
PICTURE = png(np.zeros((4, 6, 3), dtype=np.uint8))
SOUND = flac(np.sin(np.arange(4000) / 7.0), 16000)
SHELF = Shelf(
    "New notes", "First ones.", (Exhibit("Note 1", "c", SOUND, PICTURE, "a note", b"MThd"),) * 2, in_pairs=True
)


def report(**changes: Any) -> Report:
    whole = Report(
        facts={"pipeline": "waveform", "model": "m", "sha256": "cd", "seed": 3},
        verdict=verdict([ROW], AUDIT, items="notes", beside="64 notes"),
        rows=(ROW, replace(ROW, metric="other", form="paper", gap=NAN, value=NAN, passes=None, counted=False)),
        tables={"listening": [{"name": "key", "drop": 0.25}], "copying": None},
        audit=AUDIT,
        card={"title": "t"},
        shelves=(SHELF,),
    )
    return replace(whole, **changes)


def parsed(page: str) -> ET.Element:
    return ET.fromstring(page.replace("<!doctype html>", ""))


def test_the_page_is_well_formed_and_asks_for_nothing() -> None:
    page = report().as_html()
    root = parsed(page)
    assert not list(root.iter("script"))
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            if name in {"src", "href"}:
                assert value.startswith(("data:", "#")), value[:80]
    policy = next(one for one in root.iter("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.get("content") == "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    assert "url(" not in page
    assert "@import" not in page


def test_it_can_be_read_without_seeing_it() -> None:
    root = parsed(report().as_html())
    assert root.get("lang") == "en"
    assert next(one.tag for one in root.iter() if one.tag in {"h1", "h2"}) == "h1"
    assert all(one.get("alt") for one in root.iter("img"))
    assert all(one.get("aria-label") for one in [*root.iter("audio"), *root.iter("svg")])
    assert all(one.get("scope") for one in root.iter("th"))
    targets = {one.get("id") for one in root.iter()}
    assert all(one.get("href", "")[1:] in targets for one in root.iter("a") if one.get("href", "").startswith("#"))


def test_sounds_pictures_and_clips_are_inside() -> None:
    root = parsed(report().as_html())
    sources = [one.get("src", "") for one in root.iter("audio")]
    assert len(sources) == 2
    assert base64.b64decode(sources[0].removeprefix("data:audio/flac;base64,")) == SOUND
    assert [one.get("width") for one in root.iter("img")] == ["6", "6"]
    link = next(one for one in root.iter("a") if one.get("download"))
    assert (link.get("download"), link.get("href")) == ("Note-1.mid", "data:audio/midi;base64,TVRoZA==")


def test_names_from_files_are_text_and_nothing_else() -> None:
    exhibit = Exhibit(HOSTILE, HOSTILE, SOUND, PICTURE, HOSTILE, b"M", ((HOSTILE, (1, 2, 3)),))
    nasty = report(
        facts={"model": HOSTILE, HOSTILE: HOSTILE},
        rows=(replace(ROW, metric=HOSTILE, form=HOSTILE, column=HOSTILE, note=HOSTILE),),
        tables={HOSTILE: [{HOSTILE: HOSTILE}]},
        card={HOSTILE: HOSTILE},
        shelves=(Shelf(HOSTILE, HOSTILE, (exhibit,)),),
        verdict=(HOSTILE,),
    )
    page = nasty.as_html()
    root = parsed(page)
    assert not list(root.iter("script"))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    page.encode()
    assert "\x1b" not in page
    assert "\u202e" not in page
    json.dumps(nasty.as_json(), allow_nan=False)


def test_a_page_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Shelf("All", "", tuple(Exhibit(str(i), sound=SOUND, picture=PICTURE) for i in range(50)))
    root = parsed(report(shelves=(many,)).as_html())
    assert len(list(root.iter("audio"))) == 40
    assert len(list(root.iter("img"))) == 50
    monkeypatch.setattr(report_page, "MOST_BYTES", 3 * len(SOUND))
    page = report(shelves=(many,)).as_html()
    assert sum(map(len, re.findall(r"base64,([^\"]+)", page))) <= 3 * len(SOUND)
    assert "Its sound is left out" in page


def test_the_json_has_a_fixed_order_and_one_shape_of_rows(tmp_path: Path) -> None:
    write(report(), tmp_path, "# m\n")
    text = (tmp_path / "report.json").read_text()
    stored = json.loads(text)
    assert list(stored) == [
        "schema", "audiogan", "pipeline", "model", "sha256", "seed", "passed", "judged", "verdict", "rows", "listening",
        "copying", "audit", "card", "exhibits",
    ]  # fmt: skip
    assert (stored["passed"], stored["judged"]) == (0, 1)
    names = "metric form column value low high n real real_low real_high n_real floor ceiling gap split embedding"
    assert list(stored["rows"][0])[:16] == names.split()
    assert stored["rows"][1]["value"] is None
    assert stored["exhibits"][0]["exhibits"][0]["sound_sha256"]
    write(report(), tmp_path, "# m\n")
    assert (tmp_path / "report.json").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", "report.md"]


def test_a_card_gives_single_values_within_bounds() -> None:
    card = {"a": "x" * 1000, "b": {"c": 1, "d": {"e": 2}}, "f": [1], "g": NAN, "h": True}
    facts = card_facts(card)
    assert facts == {"a": "x" * (MOST_CHARACTERS - 1) + "…", "b.c": 1, "g": None, "h": True}


# ---- in plain words


def test_the_verdict_says_what_is_like_real_and_what_is_not() -> None:
    rows = [ROW, replace(ROW, metric="in_tune", passes=True), replace(ROW, metric="range", passes=None)]
    told = verdict(rows, AUDIT, items="notes", beside="64 notes beside 32")
    assert told[0].startswith("As a set, its notes can be told from held-out real notes: 15 % of the way")
    assert told[1] == "1 of 2 measures are as good as real notes, or good enough."
    assert "As good as real: in tune." in told
    assert "Not as good as real: kernel distance." in told
    assert any(line.startswith("No sign that it copies: 0 of 64 notes") for line in told)
    assert any("64 notes beside 32" in line for line in told)
    assert told[-1].startswith("1 measures carry no verdict")
    near = verdict([replace(ROW, passes=True)], None, items="notes", beside="")
    assert near[0].startswith("As a set, its notes lie as near")
    close = verdict([replace(ROW, low=0.3)], None, items="notes", beside="")
    assert any(line.startswith("1 of the 1 measures that fail are close calls") for line in close)


def test_the_verdict_on_copies() -> None:
    powerless = replace(AUDIT, verdict="no power", n_held_out=12)
    assert "cannot be said: 12 notes are held out, 200 are needed" in copies(powerless, [], "notes")
    blind = replace(AUDIT, verdict="no power", controls=(Control("planted copies found", 3, 20),))
    assert "failed its own test (planted copies found)" in copies(blind, [], "notes")
    assert copies(replace(AUDIT, verdict="fail", copies=(1, 2)), [], "notes").startswith("It copies: 2 of 64 notes")
    assert "not audited" in copies(None, [], "notes")
    card = {"audit": {"verdict": "fail", "in_words": "too near"}}
    told = verdict([ROW], None, items="notes", beside="", card=card)
    assert "Its card tells of an audit with the verdict fail: too near" in told
    assert not any("card" in line for line in verdict([ROW], AUDIT, items="notes", beside="", card=card))
    assert not any("card" in line for line in verdict([ROW], None, items="notes", beside="", card={"audit": "x"}))
    hint = copies(None, [replace(ROW, metric="copies", value=0.02)], "notes")
    assert "2 % of its notes lie nearer" in hint


# ---- curves


def test_curves_come_from_a_record_whatever_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    assert read_curves(path) == ()
    lines = [
        {"step": i, "generator/loss": i * 1.0, "generator/lr": 0.1, "score/distance": 1 / (i + 1)} for i in range(999)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(
        text + '[1]\nnot json\n{"step": "x", "a/b": 1}\n{"step": 1, "a/b": NaN}\n{"step": 2, "generator/loss"'
    )
    curves = read_curves(path)
    assert [curve.name for curve in curves] == ["score/distance", "generator/loss"]
    assert len(curves[1].steps) <= N_POINTS
    assert sum(curves[1].values) / len(curves[1].values) == pytest.approx(499, abs=4)
    drawn = ET.fromstring(svg(replace(curves[1], name=HOSTILE[:-1].replace("\x1b", ""))))
    assert drawn.find("svg") is not None
    path.write_text("".join(json.dumps({"step": i} | {f"p/{k}": i for k in range(40)}) + "\n" for i in range(3)))
    assert len(read_curves(path)) == MOST_CURVES


def test_a_sound_comes_back(tmp_path: Path) -> None:
    found = audio.parse(SOUND, "sound")
    assert found.sample_rate == 16000
    np.testing.assert_allclose(found.waveform, np.sin(np.arange(4000) / 7.0), atol=1e-4)
    assert flac(np.array([np.nan, 0.5] * 4000), 8000)


# ---- in a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0", "--dump-dom",
)  # fmt: skip


def browse(page: Path, profile: Path) -> tuple[str, str]:
    """Return the page as the browser understood it, and what it complained about."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", page.as_uri()], capture_output=True, text=True, timeout=240
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this computer")
def test_a_browser_finds_nothing_to_refuse(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    text = report(facts={"model": HOSTILE}).as_html()
    leak = '<img alt="" src="http://127.0.0.1:9/x.png"/><script>document.title = "run"</script>'
    page.write_text(text, encoding="utf-8")
    shown, complaints = browse(page, tmp_path / "profile")
    assert "In plain words" in shown
    assert complaints == ""
    # The same page with a picture from elsewhere and a script: both are refused, which the log tells.
    page.write_text(text.replace("<main>", f"<main>{leak}"), encoding="utf-8")
    shown, complaints = browse(page, tmp_path / "profile")
    assert "127.0.0.1:9" in complaints
    assert "<title>run" not in shown
