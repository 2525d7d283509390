"""The verbs that only look: what a file holds, and what this computer can do.

`inspect` imports no torch, so that a folder can be judged in a moment on any machine.
"""

import os
import platform
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audiogan import recipe
from audiogan.corpus.limits import LIMITS, REASONS
from audiogan.corpus.names import escape
from audiogan.pipeline import pipeline_names
from audiogan.version import __version__
from audiogan.workflow.model import models

LIBRARIES = ("torch", "torchaudio", "numpy", "librosa", "soundfile", "soxr", "pretty_midi", "symusic", "accelerate")
LOAD_ERRORS = (ImportError, OSError, RuntimeError, AttributeError)
"""What a library with a compiled part raises when that part is missing or another version's."""


def inspect(path: str | Path, *, strict: bool = False) -> dict[str, Any]:
    """Say what the gate makes of a file, or of every file in a folder; nothing is written.

    Args:
        path: A file or a folder.
        strict: Refuse what is otherwise taken with a warning.

    Returns:
        For a file `status` (`ok` or `skip`), `reason`, `warnings`, `kind`, `notes`, `seconds`, and of a refused one
        `message`; for a sound also `sample_rate` in Hz and `channels`, and its `notes` are not counted. For a folder
        `files` and `counts`.
    """
    from audiogan.corpus import index

    path = Path(path)
    if path.is_dir():
        return _with_sounds(index.inspect_file(path, strict=strict), path, strict)
    if _is_sound(path):
        return _inspect_sound(path, strict)
    found = index.inspect_file(path, strict=strict)
    return found | {"message": _why(path, found["reason"])} if found.get("reason") else found


def _why(path: Path, reason: str) -> str:
    """Say in a sentence why a song is refused: what its reader says, or what it was not to be taken with."""
    from audiogan.corpus.gate import kind_of, read_head
    from audiogan.corpus.reading import Job, examine
    from audiogan.errors import CorpusError

    try:
        kind = kind_of(read_head(path))
    except CorpusError as error:
        return str(error)
    song = examine(Job(os.fspath(path), "midi" if kind in ("other", "audio") else kind, ""))[0]
    return song.message or _not_strictly(path, reason)


def _not_strictly(path: Path, reason: str) -> str:
    return f"{escape(path)}: {REASONS[reason]}; expected a file without such a warning"


def _is_sound(path: Path) -> bool:
    """Whether a file claims to be a sound, by its name or, where the name says nothing of music, by its content."""
    from audiogan.corpus.folder import MIDI_SUFFIXES, ROLL_SUFFIXES, WAD_SUFFIXES
    from audiogan.corpus.gate import sniff
    from audiogan.corpus.soundfolder import SUFFIXES
    from audiogan.errors import CorpusError

    suffix = path.suffix.lower()
    if suffix in MIDI_SUFFIXES | ROLL_SUFFIXES | WAD_SUFFIXES:
        return False
    try:
        kind = sniff(path)
    except CorpusError:
        return suffix in SUFFIXES
    return kind == "audio" or (suffix in SUFFIXES and kind == "other")


def _inspect_sound(path: Path, strict: bool, root: Path | None = None) -> dict[str, Any]:
    from audiogan.corpus import audio
    from audiogan.errors import CorpusError

    facts: dict[str, Any] = {"status": "skip", "warnings": [], "kind": "audio", "notes": 0, "seconds": 0.0}
    try:
        found = audio.read(path, root=root)
    except CorpusError as error:
        return facts | {"reason": error.reason, "message": str(error)}
    facts |= {"warnings": list(found.warnings), "seconds": round(found.seconds, 3)}
    facts |= {"sample_rate": found.source_rate, "channels": found.n_channels}
    reason = found.warnings[0] if strict and found.warnings else None
    facts |= {"status": "skip" if reason else "ok", "reason": reason}
    return facts | {"message": _not_strictly(path, reason)} if reason else facts


def _with_sounds(found: dict[str, Any], folder: Path, strict: bool) -> dict[str, Any]:
    """Add the sounds of a folder to what was found of its songs, whatever those are called; hidden ones are not."""
    from audiogan.corpus.soundfolder import SUFFIXES

    songs = {file["path"] for file in found["files"]}
    names = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and escape(path) not in songs
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_dir()
    ]
    if not names:
        return found
    sounds = [{"path": escape(name)} | _inspect_sound(name, strict, folder) for name in names]
    for sound in sounds:
        sound.pop("message", None)  # of a file alone; a folder's verdicts are codes
    files = sorted([*found["files"], *sounds], key=lambda file: file["path"])
    counts = Counter(file["reason"] or "ok" for file in files)
    return {"files": files, "counts": dict(sorted(counts.items()))}


def doctor() -> dict[str, Any]:
    """Say what this computer can do: versions, devices, libraries that load, models, recipes and limits.

    Returns:
        JSON-able facts under `audiogan`, `python`, `system`, `libraries`, `torch`, `torchaudio`, `models`, `recipes`,
        `pipelines` and `limits`.
    """
    return {
        "audiogan": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "torch": _torch_facts(),
        "torchaudio": _torchaudio_facts(),
        "models": [facts["name"] for facts in models()],
        "recipes": recipe.names(),
        "pipelines": pipeline_names(),
        "limits": LIMITS.table(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch_facts() -> dict[str, Any]:
    try:
        import torch
    except LOAD_ERRORS as error:
        return _does_not_load(error)
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(number) for number in range(n_devices)],
        "device": "cuda:0" if n_devices else "cpu",
    }


def _torchaudio_facts() -> dict[str, Any]:
    """Try to load torchaudio: its compiled part must match the installed torch, which pip does not check."""
    if "torchaudio" not in sys.modules and find_spec("torchaudio") is None:
        return {"loads": False, "why": "not installed"}
    try:
        import torchaudio
    except LOAD_ERRORS as error:
        return _does_not_load(error)
    return {"loads": True, "version": str(torchaudio.__version__)}


def _does_not_load(error: Exception) -> dict[str, Any]:
    return {"loads": False, "why": str(error).splitlines()[0] if str(error) else type(error).__name__}
