"""The card of a run: every file by name, hash, size, licence and split; nothing of where it lies."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from audiogan import recipe
from audiogan.evaluation.provenance import Card, list_hash
from audiogan.recipe import Recipe
from audiogan.workflow import sections
from audiogan.workflow.cache import Prepared
from audiogan.workflow.cards import read_card, write_card
from audiogan.workflow.provenance import note_average, provenance, source_revision

BEGAN = {"recipe": "own", "parent": None}


def prepared(folder: Path, summary: dict[str, Any], lines: list[dict[str, Any]]) -> Prepared:
    folder.mkdir()
    (folder / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Prepared(folder, summary, reused=False)


def card_of(run: Path, checked: Recipe, corpus: Prepared, began: dict[str, Any] | None = None) -> Card:
    (run / "model").mkdir(parents=True)
    (run / "model" / "model.safetensors").write_bytes(b"weights")
    return provenance(checked, began or BEGAN, corpus, run / "model", 6, {"generator": nn.Linear(2, 1)})


def test_every_song_is_on_the_card(tmp_path: Path) -> None:
    song = tmp_path / "music" / "a\x1b.mid"
    song.parent.mkdir()
    song.write_bytes(b"seven b")
    entry = {"path": str(song), "root": str(song.parent), "sha256": "ab" * 32, "licence": "CC0-1.0", "origin": ""}
    entry |= {"split": "train"}
    summary = {"n_songs": 1, "n_duplicates": 1, "n_clips": {"train": 5}, "refused": {"not_midi": ["b.mid: no"] * 150}}
    checked = sections.resolve("multitrack/smoke", [f"corpus.folder={song.parent}"])[0]
    card = card_of(tmp_path / "run", checked, prepared(tmp_path / "cache", summary, [{"index": 1}, {"entry": entry}]))
    (found,) = card.corpus.files
    assert (found.name, found.bytes, found.licence, found.origin) == ("a\\x1b.mid", 7, "CC0-1.0", "unknown")
    assert (found.split, found.author, found.hash_of) == ("train", "unknown", "bytes")
    assert card.corpus.list_sha256 == list_hash([("ab" * 32, "a\\x1b.mid")])
    assert (card.corpus.refused["not_midi"].n, len(card.corpus.refused["not_midi"].messages)) == (150, 100)
    assert (card.model.sample_rate, card.data.renderer, card.data.normaliser) == (None, "none", "none")
    assert card.model.tracks[:2] == ("drums", "bass")
    assert (card.recipe.sha256, card.recipe.name) == (
        recipe.digest(json.loads(json.dumps(card.recipe.resolved))),
        "own",
    )
    assert str(tmp_path) not in card.as_bytes().decode()


def test_the_folder_of_a_model_that_the_discriminator_looks_through_stays_at_home(tmp_path: Path) -> None:
    checked = sections.resolve("multitrack/smoke", [f"corpus.folder={tmp_path}"])[0]
    plain = checked.resolved
    projected = {"model": str(tmp_path / "secret" / "run"), "sha256": "ab" * 32}
    object.__setattr__(checked, "resolved", lambda: plain() | {"game": {"projected": projected}})
    card = card_of(tmp_path / "run", checked, prepared(tmp_path / "cache", {"n_songs": 0}, [{"index": 1}]))
    assert json.loads(card.as_bytes())["recipe"]["resolved"]["game"]["projected"] == projected | {"model": "run"}
    assert "secret" not in card.as_bytes().decode()


def test_a_soundfont_is_one_file_and_notes_of_a_folder_are_many(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "c4.wav").write_bytes(b"123")
    (tmp_path / "piano.sf2").write_bytes(b"12345")
    sources = [
        {"name": "piano.sf2", "kind": "soundfont", "family": "piano", "licence": "MIT", "origin": "a disk"},
        {"name": "notes", "kind": "folder", "family": "notes", "licence": "", "origin": "", "sha256": ""},
    ]
    sources[0]["sha256"] = "12" * 32
    rendered = {"name": "piano.sf2 key 60", "source": 0, "sha256": "34" * 32, "split": "train", "licence": "MIT"}
    recorded = {"name": "c4.wav", "source": 1, "sha256": "56" * 32, "split": "test", "licence": "", "origin": ""}
    lines = [{"index": 1, "sources": sources}, {"note": rendered}, {"note": recorded}]
    instruments = [{"name": "piano/piano", "split": "train", "n_notes": 1}]
    summary = {"sources": [source | {"n_notes": 1} for source in sources], "instruments": instruments}
    checked = sections.resolve("waveform/smoke")[0]
    values = checked.resolved()
    values["corpus"] |= {"folder": None, "sources": [{"folder": str(tmp_path / one["name"])} for one in sources]}

    class Given:
        seed, pipeline, source = checked.seed, checked.pipeline, checked.source

        def resolved(self) -> dict[str, Any]:
            return values

    given: Any = Given()
    card = card_of(tmp_path / "run", given, prepared(tmp_path / "cache", summary, lines))
    assert [(one.name, one.sha256, one.bytes, one.licence, one.split, one.hash_of) for one in card.corpus.files] == [
        ("piano.sf2", "12" * 32, 5, "MIT", "by instrument", "bytes"),
        ("c4.wav", "56" * 32, 3, "unknown", "test", "samples"),
    ]
    assert [(one.name, one.licence, one.n_notes) for one in card.corpus.sources] == [
        ("piano.sf2", "MIT", 1),
        ("notes", "unknown", 1),
    ]
    assert [font.name for font in card.data.fonts] == ["piano.sf2"]
    assert card.data.renderer.startswith("midirenderer ")
    assert (card.model.sample_rate, card.model.lowest_pitch) == (16000, 36)
    assert card.corpus.instruments[0].name == "piano/piano"


def test_a_card_never_grows_beyond_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"root": "", "sha256": "ab" * 32, "licence": "CC0-1.0", "origin": "", "split": "train"}
    lines = [{"entry": entry | {"path": f"{number}.mid"}} for number in range(100)]
    checked = sections.resolve("multitrack/smoke")[0]
    whole = card_of(tmp_path / "run", checked, prepared(tmp_path / "cache", {}, lines))
    assert (len(whole.corpus.files), whole.corpus.n_files_not_listed) == (100, 0)
    monkeypatch.setattr("audiogan.workflow.provenance.MAX_BYTES", len(whole.as_bytes()) - 1)
    card = card_of(tmp_path / "again", checked, Prepared(tmp_path / "cache", {}, reused=True))
    assert (len(card.corpus.files), card.corpus.n_files_not_listed) == (50, 50)
    assert card.corpus.list_sha256 == whole.corpus.list_sha256, "the hash is over all of them"


@pytest.mark.parametrize(
    "parent", [{"name": "first", "seed": 9, "steps": 5}, {"name": "first", "seeds": [9], "steps": 5}]
)
def test_runs_that_an_earlier_version_began_name_their_parent(tmp_path: Path, parent: dict[str, Any]) -> None:
    checked = sections.resolve("multitrack/smoke")[0]
    began = {"recipe": "own", "parent": parent}
    card = card_of(tmp_path / "run", checked, prepared(tmp_path / "cache", {}, []), began)
    found = card.as_json()["training"]["parent"]
    assert (found["name"], found["seeds"], found["steps"], found["n_seen"]) == ("first", [9], 5, "unknown")


def test_another_average_is_noted_on_the_card(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_card(tmp_path, Card(title="Music"))
    note_average(tmp_path, 0.2)
    card = read_card(tmp_path)
    assert card is not None
    assert (card.title, card.model.average_width, len(card.model.weights_sha256)) == ("Music", 0.2, 64)


def test_the_revision_of_a_checkout_is_read_from_its_files(tmp_path: Path) -> None:
    assert source_revision(tmp_path) == "unknown"
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert source_revision(tmp_path) == "unknown", "a branch without a commit"
    (git / "packed-refs").write_text(f"# pack-refs\n{'ab' * 20} refs/heads/main\n")
    assert source_revision(tmp_path) == "ab" * 20
    (git / "refs" / "heads" / "main").write_text("cd" * 20 + "\n")
    assert source_revision(tmp_path) == "cd" * 20
    (git / "HEAD").write_text("ef" * 20)
    assert source_revision(tmp_path) == "ef" * 20
    (git / "HEAD").write_text("<script>")
    assert source_revision(tmp_path) == "unknown"
