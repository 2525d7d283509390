"""Put results into a folder: whole files only, nothing overwritten unasked, one manifest that says what each file is.

A verb opens an `OutputFolder`, adds files one by one and closes it; `manifest.json` comes last. The writers of this
package write under a temporary name and rename, so an interrupted verb leaves no half file behind. Files that are only
worth something together are made in `staging` and moved; what a killed process left there, the next one removes.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from audiogan.corpus.files import write_whole
from audiogan.corpus.names import escape
from audiogan.corpus.score import Metre, Score
from audiogan.errors import AudioganError, OutputError
from audiogan.version import __version__

MANIFEST = "manifest.json"
STAGING = ".audiogan-staging-"


@dataclass(frozen=True)
class Refusal:
    """One input that was not used: the file, the reason code and the sentence for the user."""

    file: str
    reason: str
    message: str


@dataclass(frozen=True)
class Result:
    """What a verb did.

    Args:
        folder: Where the files are.
        files: One mapping per file, as in the manifest.
        refused: Inputs that were passed over.
        exit_code: 0 all done, 5 some inputs refused, 3 all of them.
    """

    folder: Path
    files: tuple[Mapping[str, Any], ...]
    refused: tuple[Refusal, ...] = ()

    @property
    def exit_code(self) -> int:
        """Say how it went, as the command line does."""
        if not self.refused:
            return 0
        return 5 if self.files else 3

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        refused = [vars(refusal) for refusal in self.refused]
        return {"folder": str(self.folder), "files": [dict(file) for file in self.files], "refused": refused}


@dataclass
class OutputFolder:
    """A folder being filled. Use it in a `with` block: leaving without an error writes the manifest.

    Args:
        path: The folder; it is made if missing.
        facts: What is true of all files: command, model and its hash, seed, options.
        overwrite: Replace an earlier result: files of the same name at once, its other files when all went well.
        manifest: Name of the manifest.
        claims: Names of files that will come, to be refused at once if they are there already.
    """

    path: Path
    facts: Mapping[str, Any]
    overwrite: bool = False
    manifest: str = MANIFEST
    claims: tuple[str, ...] = ()
    files: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    made: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        """Make the folder and refuse one that holds an earlier result."""
        self.made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made ({error.strerror}); expected a writable folder") from None
        for name in (self.manifest, *self.claims):
            self._claim(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the manifest if all went well and at least one file came out; leave no empty folder of our own."""
        if kind is None and self.files:
            # Only now: an input may be one of the earlier result's files.
            self._remove_earlier()
            refused = [vars(refusal) for refusal in self.refused]
            facts = {"audiogan": __version__, **self.facts, "files": self.files, "refused": refused}
            write_json(self.path / self.manifest, facts)
        elif self.made:
            with suppress(OSError):  # somebody else may have put something in
                self.path.rmdir()

    def add(self, name: str, write: Callable[[Path], None], **facts: Any) -> Path:
        """Make one file.

        Args:
            name: File name without folder.
            write: Writes the file at the path it is given, whole or not at all.
            facts: What the file is, for the manifest.
        """
        target = self._claim(name)
        write(target)
        self.files.append({"file": name, "sha256": _sha256(target), **facts})
        return target

    def take_in(self, staged: Path, **facts: Any) -> None:
        """Move everything below another folder on the same disk in here, under the same names.

        Args:
            staged: The folder; it stays, without files.
            facts: What the files are, for the manifest.
        """
        names = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
        for name in names:
            self._claim(name)  # all of them before the first is moved
        for name in names:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            self.add(name, lambda path, name=name: move(staged / name, path), **facts)

    def refuse(self, source: Path, error: AudioganError) -> None:
        """Remember an input that could not be used."""
        self.refused.append(Refusal(escape(source), error.reason, str(error)))

    def result(self) -> Result:
        """Return what was done so far."""
        return Result(self.path, tuple(self.files), tuple(self.refused))

    def _remove_earlier(self) -> None:
        """Remove what the folder's manifest names and this result has not; names that lead elsewhere are not ours."""
        new = {file["file"] for file in self.files}
        for name, sha256 in _listed(self.path / self.manifest):
            if name not in new and self._is_ours(name, sha256):
                (self.path / name).unlink()
                if Path(name).name != name:
                    with suppress(OSError):  # not empty yet
                        (self.path / name).parent.rmdir()

    def _is_ours(self, name: str, sha256: str) -> bool:
        """Whether a name is a file in this folder; in a folder inside it also with the content that we wrote."""
        if "\0" in name or not (self.path / name).is_file():
            return False
        if Path(name).name == name:
            return True
        is_inside = not Path(name).is_absolute() and (self.path / name).resolve() == self.path.resolve() / name
        return is_inside and _sha256(self.path / name) == sha256

    def _claim(self, name: str) -> Path:
        target = self.path / name
        if target.exists() and not self.overwrite:
            raise OutputError(f"{target} exists already; choose another --out or add --overwrite", "exists")
        return target


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a hidden folder inside a folder, for files on their way; it is gone when the block ends, however it ends.

    Args:
        folder: An existing folder; what killed processes have left in it is removed.

    Raises:
        OutputError: The folder cannot be written.
    """
    for left in folder.glob(f"{STAGING}*"):
        with _lock(left) as is_ours:
            if is_ours and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as held:
        staged = _stage(folder)
        held.enter_context(_lock(staged))
        while not staged.exists():  # another process took it for a leftover before it was locked
            staged = _stage(folder)
            held.enter_context(_lock(staged))
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _stage(folder: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    except OSError as error:
        raise OutputError(f"{escape(folder)}: {error.strerror}; expected a writable folder") from None


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Lock a folder and yield whether that went well; the kernel drops the lock with its process, however that ends."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # gone, not ours, or Windows, which opens no folders
        yield False
        return
    try:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except OSError:  # somebody works there, or a network drive without locks
            is_locked = False
        yield is_locked
    finally:
        os.close(descriptor)


def _listed(path: Path) -> list[tuple[str, str]]:
    """Return names and hashes in a manifest; none if there is no manifest, or one that says nothing of use."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    files = value.get("files") if isinstance(value, dict) else None
    found = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return [(file["file"], str(file.get("sha256"))) for file in found if isinstance(file.get("file"), str)]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def move(source: Path, target: Path) -> None:
    """Give a file another name on the same disk, in place of what has it.

    Raises:
        OutputError: The place cannot be written.
    """
    try:
        source.replace(target)
    except OSError as error:
        raise OutputError(f"{escape(target)}: {error.strerror}; expected a writable folder") from None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def describe(score: Score) -> dict[str, Any]:
    """Return what a clip is: its tracks with their programs and notes, bars, tempo and seconds."""
    tracks = [
        {"name": track.name, "program": track.program, "is_drum": track.is_drum, "notes": len(track.notes)}
        for track in score.tracks
    ]
    qpm = score.tempos[0].qpm if score.tempos else 120.0
    return {
        "tracks": tracks,
        "bars": n_bars(score),
        "qpm": round(qpm, 3),
        "seconds": round(seconds(score, score.n_ticks), 3),
    }


def n_bars(score: Score) -> int:
    """Return how many bars the notes reach into, following the changes of metre."""
    metres = list(score.metres) or [Metre(0, 4, 4)]
    total = 0
    for position, metre in enumerate(metres):
        end = metres[position + 1].tick if position + 1 < len(metres) else score.n_ticks
        ticks_per_bar = score.resolution * 4 * metre.numerator / metre.denominator
        total += max(0, -int(-(min(end, score.n_ticks) - metre.tick) // ticks_per_bar))
    return total


def seconds(score: Score, tick: int) -> float:
    """Return the time of a tick in seconds, following the changes of tempo."""
    time, last, qpm = 0.0, 0, 120.0
    for change in score.tempos:
        if change.tick >= tick:
            break
        time += (change.tick - last) * 60.0 / qpm / score.resolution
        last, qpm = change.tick, change.qpm
    return time + (tick - last) * 60.0 / qpm / score.resolution


def options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options a user set, without those left at None."""
    return {name: value for name, value in values.items() if value is not None}
