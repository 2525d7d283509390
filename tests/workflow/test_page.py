import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

from audiogan.corpus.score import Score
from audiogan.pipeline import Model
from audiogan.preview import picture
from audiogan.rainbowgram import rainbowgram
from audiogan.workflow.page import Entry, render


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [(tag, value or "") for name, value in attrs if name in {"src", "href"}]


def links(page: str) -> Links:
    parser = Links()
    parser.feed(page)
    return parser


def test_the_page_needs_nothing_but_its_folder(score: Score) -> None:
    page = render("Clips", {"All": [Entry(score, "01_a.mid", "01_a.wav")]})
    parsed = links(page)
    assert [value for tag, value in parsed.found if tag != "img"] == ["01_a.mid", "01_a.wav"]
    assert "http:" not in page
    assert "https:" not in page
    assert "script" not in parsed.tags


def test_the_picture_on_the_page_is_the_pianoroll(score: Score) -> None:
    page = render("Clips", {"All": [Entry(score, "01_a.mid")]})
    match = re.search(r"base64,([^\"]+)", page)
    assert match
    assert base64.b64decode(match[1]) == picture(score)
    assert "audio" not in links(page).tags


def test_text_from_files_is_escaped(score: Score) -> None:
    track = replace(score.tracks[1], name='<script>alert("x")</script>')
    page = render("<b>", {"<i>": [Entry(score.with_tracks((track,)), "a&b.mid", note="<u>")], "two": []})
    assert set(links(page).tags).isdisjoint({"script", "b", "i", "u"})
    assert "&lt;script&gt;" in page


def test_headings_appear_only_when_there_are_several(score: Score) -> None:
    entry = Entry(score, "a.mid")
    assert "<h2>" not in render("t", {"one": [entry]})
    assert render("t", {"one": [entry], "two": [entry]}).count("<h2>") == 2


def test_the_legend_names_the_lanes_in_their_colours(score: Score) -> None:
    page = render("Clips", {"All": [Entry(score, "a.mid")]})
    expected = [("rgb(214, 69, 65)", "drums"), ("rgb(31, 119, 180)", "bass"), ("rgb(44, 160, 44)", "piano")]
    assert re.findall(r'color: ([^"]+)">(\w+)<', page) == expected
    assert "2 bars at 100 beats a minute" in page


def test_a_clip_without_notes_says_so(score: Score) -> None:
    assert "no notes; 0 bars" in render("Clips", {"All": [Entry(score.with_tracks(()), "a.mid")]})


def test_a_sound_has_a_rainbowgram_and_is_its_own_player(fake_sound_model: Model) -> None:
    sound = fake_sound_model.generate(count=1)[0]
    page = render("Notes", {"All": [Entry(sound, "01_a.wav", "01_a.wav")]})
    match = re.search(r"base64,([^\"]+)", page)
    assert match
    assert base64.b64decode(match[1]) == rainbowgram(sound.waveform, sound.sample_rate)
    assert "0.5 s, pitch 60" in page
    assert 'alt="Rainbowgram of 01_a.wav"' in page
    assert "plain sketch" not in page


def test_facts_of_a_sound_are_escaped(fake_sound_model: Model) -> None:
    sound = fake_sound_model.generate(count=1)[0]
    sound.facts["warnings"] = ["<script>"]
    assert "script" not in links(render("Notes", {"All": [Entry(sound, "a.wav")]})).tags
