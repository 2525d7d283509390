"""The list of songs in a corpus: what was taken, with hash, licence and origin, what was refused, what was there twice.

A song is read once to be listed. Songs with equal bytes, equal notes or notes equal up to transposition are one song:
the first keeps its place. The split into train, valid and test follows from the notes' hash, so it does not depend on
the order or number of files, and transposed copies cannot lie on both sides.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiogan.corpus import midi, rolls, wad
from audiogan.corpus.files import write_whole
from audiogan.corpus.folder import Found, walk_folder
from audiogan.corpus.gate import escape, kind_of, open_checked, read_head
from audiogan.corpus.identity import split_of
from audiogan.corpus.reading import SONG_SEPARATOR, Job, Song, examine, read_files
from audiogan.corpus.score import Score
from audiogan.corpus.spreading import Spread
from audiogan.corpus.strict_json import parse_json
from audiogan.errors import CorpusError

__all__ = ["Duplicate", "Entry", "Index", "Refusal", "inspect_file", "read_index", "read_song", "scan", "scan_all"]

SCHEMA = 1
_LARGEST_INDEX = 1_000_000_000
Progress = Callable[[int, int], None]
Place = tuple[Path, str, str]


@dataclass(frozen=True)
class Entry:
    """One song.

    Args:
        path: The file; for a song in a WAD file followed by `#` and the name of its lump.
        root: The folder that was scanned.
        sha256: Of the song's bytes.
        content: Hash of its notes; `transposed` of its notes without regard to transposition.
        kind: `midi` or `rolls`.
        licence, origin: As given for its folder.
        split: `train`, `valid` or `test`.
        n_notes: Notes in it.
        seconds: End of its last note.
        warnings: Reason codes of what was tolerated.
    """

    path: Path
    root: Path
    sha256: str
    content: str
    transposed: str
    kind: str
    licence: str
    origin: str
    split: str
    n_notes: int
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A file that was not taken, the reason code and one sentence."""

    path: Path
    reason: str
    message: str


@dataclass(frozen=True)
class Duplicate:
    """A song left out because it equals the one at `first`: in its `bytes`, its `notes` or `transposed`."""

    path: Path
    first: Path
    by: str


@dataclass(frozen=True)
class Index:
    """All songs of a corpus."""

    entries: tuple[Entry, ...]
    refused: tuple[Refusal, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Counts by split, kind, reason and warning, with the first three names of each refusal and warning."""

        def named(pairs: list[tuple[str, Path]]) -> dict[str, dict[str, Any]]:
            groups: dict[str, list[str]] = {}
            for code, path in pairs:
                groups.setdefault(code, []).append(escape(path))
            return {code: {"count": len(paths), "first": paths[:3]} for code, paths in sorted(groups.items())}

        return {
            "songs": len(self.entries),
            "notes": sum(entry.n_notes for entry in self.entries),
            "seconds": round(sum(entry.seconds for entry in self.entries), 3),
            "splits": dict(sorted(Counter(entry.split for entry in self.entries).items())),
            "licences": dict(sorted(Counter(entry.licence for entry in self.entries).items())),
            "duplicates": dict(sorted(Counter(duplicate.by for duplicate in self.duplicates).items())),
            "refused": named([(refusal.reason, refusal.path) for refusal in self.refused]),
            "warned": named([(code, entry.path) for entry in self.entries for code in entry.warnings]),
        }

    def write(self, path: Path) -> None:
        """Write one JSON object a line: a header, then entries, refusals and duplicates.

        Raises:
            OutputError: The place cannot be written.
        """
        lines: list[dict[str, Any]] = [{"index": SCHEMA, "songs": len(self.entries)}]
        for name, rows in (("entry", self.entries), ("refused", self.refused), ("duplicate", self.duplicates)):
            lines += [{name: asdict(row)} for row in rows]
        write_whole(path, "".join(json.dumps(line, default=os.fspath) + "\n" for line in lines).encode("ascii"))


def read_index(path: Path) -> Index:
    """Read what `Index.write` wrote.

    Raises:
        CorpusError: As `open_checked`; `bad_config` for anything else than an index of this version.
    """
    shown = escape(path)
    lines = open_checked(path, max_bytes=_LARGEST_INDEX).splitlines()
    head, *rows = (parse_json(line, f"{shown} line {number}") for number, line in enumerate(lines, 1))
    if head.get("index") != SCHEMA:
        raise CorpusError(f"{shown}: index version {head.get('index')}; expected {SCHEMA}", "bad_config")
    kinds = {"entry": Entry, "refused": Refusal, "duplicate": Duplicate}
    found: dict[str, list[Any]] = {name: [] for name in kinds}
    try:
        for row in rows:
            ((name, values),) = row.items()
            for key in ("path", "root", "first"):
                if key in values:
                    values[key] = Path(values[key])
            if "warnings" in values:
                values["warnings"] = tuple(values["warnings"])
            found[name].append(kinds[name](**values))
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{shown}: not a line of an index ({error!r})", "bad_config") from error
    if len(found["entry"]) != head.get("songs"):
        raise CorpusError(f"{shown}: {len(found['entry'])} of {head.get('songs')} songs", "truncated")
    return Index(tuple(found["entry"]), tuple(found["refused"]), tuple(found["duplicate"]))


def scan(
    folder: Path | Sequence[Path],
    *,
    licence: str = "unknown",
    origin: str = "",
    valid_fraction: float = 0.1,
    test_fraction: float = 0.0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Index:
    """List the songs of one folder, or of several with one licence and origin; see `scan_all`.

    Raises:
        CorpusError: A folder is missing or cannot be read.
    """
    folders = [folder] if isinstance(folder, (str, os.PathLike)) else list(folder)
    return scan_all(
        [(Path(place), licence, origin) for place in folders],
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        jobs=jobs,
        progress=progress,
    )


def scan_all(
    places: Sequence[Place],
    *,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.0,
    jobs: int | None = None,
    spread: Spread | None = None,
    progress: Progress | None = None,
) -> Index:
    """List the songs of several folders or single files.

    Args:
        places: (folder or file, licence, origin); of equal songs the one in the earliest place stays.
        valid_fraction: Share of songs in `valid`, by hash; at least one song as soon as there are two.
        test_fraction: Share of songs in `test`.
        jobs: Processes that read; `None` for as many as are worth it.
        spread: Reads elsewhere, as `read_files`.
        progress: Called with files done and their number.

    Raises:
        CorpusError: A folder is missing or cannot be read.
    """
    found = [(place, one) for place in places for one in walk_folder(place[0])]
    readable = [(place, one) for place, one in found if one.refusal is None]
    tasks = [Job(os.fspath(one.path), one.kind, _root(place[0])) for place, one in readable]
    songs = read_files(tasks, n_processes=jobs, spread=spread, progress=progress)
    in_turn = iter(songs)
    listing = [
        (place, song) for place, one in found for song in (next(in_turn) if one.refusal is None else [_unread(one)])
    ]
    return _collect(listing, valid_fraction, test_fraction)


def _root(place: Path) -> str:
    return os.fspath(place if place.is_dir() else place.parent)


def _unread(found: Found) -> Song:
    assert found.refusal is not None, "every readable file was read"
    return Song(os.fspath(found.path), found.kind, found.refusal.reason, str(found.refusal))


def _collect(listing: list[tuple[Place, Song]], valid_fraction: float, test_fraction: float) -> Index:
    entries: list[Entry] = []
    refused: list[Refusal] = []
    duplicates: list[Duplicate] = []
    seen: dict[tuple[str, str], Path] = {}
    for (folder, licence, origin), song in listing:
        path = Path(song.path)
        if song.reason is not None:
            refused.append(Refusal(path, song.reason, song.message))
            continue
        keys = (("bytes", song.sha256), ("notes", song.content), ("transposed", song.transposed))
        by = next((key for key in keys if key in seen), None)
        if by is not None:
            duplicates.append(Duplicate(path, seen[by], by[0]))
            continue
        seen |= dict.fromkeys(keys, path)
        split = split_of(song.transposed, valid_fraction, test_fraction)
        entries.append(
            Entry(
                path,
                Path(_root(folder)),
                song.sha256,
                song.content,
                song.transposed,
                song.kind,
                licence,
                origin,
                split,
                song.n_notes,
                song.seconds,
                song.warnings,
            )
        )
    return Index(tuple(_with_valid(entries, valid_fraction)), tuple(refused), tuple(duplicates))


def _with_valid(entries: list[Entry], valid_fraction: float) -> list[Entry]:
    """Move the song with the smallest hash to `valid` when chance put none there."""
    train = [entry for entry in entries if entry.split == "train"]
    if not valid_fraction or len(train) < 2 or any(entry.split == "valid" for entry in entries):
        return entries
    chosen = min(train, key=lambda entry: entry.transposed)
    return [Entry(**{**vars(entry), "split": "valid"}) if entry is chosen else entry for entry in entries]


def read_song(entry: Entry, *, apply_pedal: bool = False) -> Score:
    """Read a listed song again, through the gate.

    Raises:
        CorpusError: As the reader of its kind.
    """
    name = os.fspath(entry.path)
    if entry.kind == "rolls":
        return rolls.read_lpd(name, root=entry.root)
    file, separator, lump = name.rpartition(SONG_SEPARATOR)
    if separator and not os.path.lexists(name):
        return midi.parse(wad.read_song(file, lump, root=entry.root), escape(name), apply_pedal=apply_pedal)[0]
    return midi.read(name, root=entry.root, apply_pedal=apply_pedal)


def _facts(song: Song) -> dict[str, Any]:
    return {
        "status": "ok" if song.reason is None else "skip",
        "reason": song.reason,
        "warnings": list(song.warnings),
        "kind": song.kind,
        "notes": song.n_notes,
        "seconds": round(song.seconds, 3),
    }


def _inspect_one(found: Found) -> list[Song]:
    return [_unread(found)] if found.refusal is not None else examine(Job(os.fspath(found.path), found.kind, ""))


def inspect_file(path: Path, *, strict: bool = False) -> dict[str, Any]:
    """Say what the gate makes of a file, a folder or a WAD file; writes nothing.

    Args:
        path: What to look at.
        strict: Refuse what is otherwise taken with a warning.

    Returns:
        For one song `status` (`ok` or `skip`), `reason`, `warnings`, `kind`, `notes`, `seconds`. For a folder or WAD
        file `files`: the same for each song with its `path`, and `counts` by reason (`ok` for those taken).
    """
    if path.is_dir():
        songs = [song for found in walk_folder(path) for song in _inspect_one(found)]
        return _many(songs, strict)
    try:
        kind = kind_of(read_head(path))
    except CorpusError as error:
        return _facts(Song(os.fspath(path), "other", error.reason, str(error)))
    songs = examine(Job(os.fspath(path), "midi" if kind in ("other", "audio") else kind, ""))
    if kind == "wad" and not (len(songs) == 1 and songs[0].kind == "wad"):
        return _many(songs, strict)
    return _facts(_strictly(songs[0]._replace(kind=kind), strict))


def _strictly(song: Song, strict: bool) -> Song:
    return song._replace(reason=song.warnings[0]) if strict and song.warnings and song.reason is None else song


def _many(songs: list[Song], strict: bool) -> dict[str, Any]:
    judged = [_strictly(song, strict) for song in songs]
    counts = Counter(song.reason or "ok" for song in judged)
    return {
        "files": [{"path": escape(song.path), **_facts(song)} for song in judged],
        "counts": dict(sorted(counts.items())),
    }
