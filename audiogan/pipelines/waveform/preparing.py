"""Notes to planes, on all cores, in a way that a stopped preparation goes on where it was.

Each unit becomes one part: an array of planes and a JSON of what is known about its notes, written whole, the JSON
last. A unit whose part is there is not done again. A worker that dies takes no other unit with it: what it left is
given to new workers, the rest is tried sound by sound in fresh processes, and the one that kills is refused. Where no
worker can start, this process does the work. Work that is spread over other machines goes the same way; they write
into the same folder.
"""

import json
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiogan.corpus.arrays import map_array
from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import escape
from audiogan.corpus.limits import LIMITS
from audiogan.corpus.notes import NoteRefusal, hz_of
from audiogan.corpus.soundfolder import Heard
from audiogan.corpus.spreading import Spread
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.sources import Unit, forget_fonts, read_unit
from audiogan.representation.base import Representation

_log = logging.getLogger(__name__)
_NOTES_PER_BATCH = 8
_NOTES_WORTH_A_PROCESS = 64
Progress = Callable[[int, int], None]


# ---- one unit


def encode_unit(unit: Unit, corpus: CorpusConfig, config: Config, folder: Path, *, is_worker: bool = False) -> None:
    """Read a unit, encode its notes and write its part.

    Args:
        folder: Where parts lie.
        is_worker: Bound the time of each file with an alarm that ends the process.

    Raises:
        CorpusError: Its SoundFont cannot be read.
        UnsupportedError: An optional extra is missing.
        OutputError: The folder cannot be written.
    """
    taken = read_unit(unit, corpus, config, before_each=_wind_clock if is_worker else lambda: None)
    _stop_clock(is_worker)
    planes, is_fine = _encode(taken.heard, config.represent())
    broken = [_broken(heard) for heard, fine in zip(taken.heard, is_fine, strict=True) if not fine]
    rows = [_row(heard, unit.source) for heard, fine in zip(taken.heard, is_fine, strict=True) if fine]
    _write_part(folder, unit.key, planes, rows, [*taken.refused, *broken], taken.outside)


def _encode(heard: Sequence[Heard], representation: Representation) -> tuple[np.ndarray, list[bool]]:
    """Return planes `(note, plane, row, frame)` float16 of the notes that are finite, and which ones those are."""
    planes = [np.zeros((0, *representation.shape), np.float16)]
    is_fine: list[bool] = []
    with torch.no_grad():
        for first in range(0, len(heard), _NOTES_PER_BATCH):
            group = heard[first : first + _NOTES_PER_BATCH]
            waveform = torch.from_numpy(np.stack([one.note.waveform for one in group]))
            f0 = torch.tensor([hz_of(one.note.pitch) for one in group], dtype=torch.float32)
            encoded = representation.encode(waveform, f0).to(torch.float16).numpy()
            fine = np.isfinite(encoded.reshape(len(group), -1)).min(axis=1)
            planes.append(encoded[fine])
            is_fine += [bool(one) for one in fine]
    return np.concatenate(planes), is_fine


def _broken(heard: Heard) -> NoteRefusal:
    name = heard.note.name
    return NoteRefusal(name, "nonfinite", f"{name}: its planes are not finite; expected an ordinary note")


def _row(heard: Heard, source: int) -> dict[str, Any]:
    note = heard.note
    return {
        "name": note.name,
        "source": source,
        "instrument": note.instrument,
        "family": note.family,
        "pitch": round(note.pitch, 4),
        "velocity": None if math.isnan(note.velocity) else round(note.velocity, 6),
        "gain": note.gain,
        "disagreement": None if math.isnan(heard.disagreement) else round(heard.disagreement, 1),
        "sha256": note.sha256,
        "warnings": list(note.warnings),
    }


def _write_part(
    folder: Path,
    key: str,
    planes: np.ndarray,
    rows: list[dict[str, Any]],
    refused: list[NoteRefusal],
    outside: list[str],
) -> None:
    buffer = BytesIO()
    np.save(buffer, planes, allow_pickle=False)
    write_whole(folder / f"{key}.npy", buffer.getvalue())
    facts = {"rows": rows, "refused": [asdict(refusal) for refusal in refused], "outside": outside}
    write_whole(folder / f"{key}.json", json.dumps(facts).encode("ascii"))


def read_facts(folder: Path, unit: Unit) -> dict[str, Any]:
    """Return what a finished part says: `rows`, `refused`, `outside`."""
    return json.loads((folder / f"{unit.key}.json").read_text(encoding="ascii"))


# ---- all units


def encode_units(
    units: Sequence[Unit],
    corpus: CorpusConfig,
    config: Config,
    folder: Path,
    *,
    jobs: int | None = None,
    spread: Spread | None = None,
    progress: Progress | None = None,
) -> int:
    """Make the parts that are not there yet.

    Args:
        units: All work.
        folder: Where parts lie; must exist.
        jobs: Processes; None for one per core, but none for a few notes.
        spread: Does the work elsewhere; these processes do what it leaves.
        progress: Called with notes done and their number.

    Returns:
        How many notes lay in parts that were there before.

    Raises:
        CorpusError: A SoundFont cannot be read.
        UnsupportedError: An optional extra is missing.
        OutputError: The folder cannot be written.
    """
    left = _undone(units, folder)
    total = sum(unit.n_sounds for unit in units)
    before = done = total - sum(unit.n_sounds for unit in left)
    if before:
        _log.info("%d of %d notes were prepared before", before, total)
    if jobs is None:
        jobs = min(os.cpu_count() or 1, (total - before) // _NOTES_WORTH_A_PROCESS + 1)
    try:
        for unit in _finished(left, corpus, config, folder, jobs, spread):
            done += unit.n_sounds
            if progress is not None:
                progress(done, total)
    finally:
        forget_fonts()
    return before


def _undone(units: Sequence[Unit], folder: Path) -> list[Unit]:
    return [unit for unit in units if not (folder / f"{unit.key}.json").is_file()]


def _finished(
    units: Sequence[Unit], corpus: CorpusConfig, config: Config, folder: Path, jobs: int, spread: Spread | None
) -> Iterator[Unit]:
    """Yield units as they are done."""
    if spread is not None:
        work = partial(encode_unit, corpus=corpus, config=config, folder=folder.resolve(), is_worker=True)
        yield from (units[number] for number, _ in spread(work, units))
        units = _undone(units, folder)
    alone = jobs <= 1 and spread is None  # what others left may be what killed them
    yield from (
        _in_turn(units, corpus, config, folder) if alone else _in_workers(units, corpus, config, folder, max(1, jobs))
    )


def _in_turn(units: Sequence[Unit], corpus: CorpusConfig, config: Config, folder: Path) -> Iterator[Unit]:
    for unit in units:
        encode_unit(unit, corpus, config, folder)
        yield unit


def _in_workers(units: Sequence[Unit], corpus: CorpusConfig, config: Config, folder: Path, jobs: int) -> Iterator[Unit]:
    broken: list[Unit] = []
    yield from _by_pool(units, corpus, config, folder, jobs, broken)
    again, broken = broken[::-1], []  # the other way round, so that what killed comes after most of the rest
    if again:
        yield from _by_pool(again, corpus, config, folder, jobs, broken)
    for unit in broken:
        _one_by_one(unit, corpus, config, folder)
        yield unit


def _by_pool(
    units: Sequence[Unit], corpus: CorpusConfig, config: Config, folder: Path, jobs: int, broken: list[Unit]
) -> Iterator[Unit]:
    """Do units in workers of one pool; those that it did not finish because a worker died are added to `broken`."""
    with _pool(min(jobs, max(1, len(units)))) as pool:
        if not _can_start(pool):
            yield from _in_turn(units, corpus, config, folder)
            return
        tasks = {pool.submit(encode_unit, unit, corpus, config, folder, is_worker=True): unit for unit in units}
        try:
            for task in as_completed(tasks):
                try:
                    task.result()
                    yield tasks[task]
                except BrokenProcessPool:
                    broken.append(tasks[task])
        except BaseException:  # the first error, or the user's Ctrl-C: do not begin what is still waiting
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    broken.sort(key=units.index)


def _one_by_one(unit: Unit, corpus: CorpusConfig, config: Config, folder: Path) -> None:
    """Do a unit of a broken pool again: whole, then its sounds one at a time, each in a fresh process."""
    if _survives(unit, corpus, config, folder):
        return
    parts = [unit._replace(key=f"{unit.key}-{place}", sounds=(sound,)) for place, sound in enumerate(unit.sounds)]
    rows: list[dict[str, Any]] = []
    planes: list[np.ndarray] = []
    refused: list[NoteRefusal] = []
    outside: list[str] = []
    for part in parts or [unit]:
        shown = escape(Path(part.sounds[0].path).name if part.sounds else corpus.places[unit.source].folder)
        if not parts or not _survives(part, corpus, config, folder):
            refused.append(NoteRefusal(shown, "corrupt", f"{shown}: the reading process died on it"))
            continue
        facts = read_facts(folder, part)
        rows += facts["rows"]
        refused += [NoteRefusal(**values) for values in facts["refused"]]
        outside += facts["outside"]
        planes.append(np.array(map_array(folder / f"{part.key}.npy")))
    empty = np.zeros((0, *config.represent().shape), np.float16)
    _write_part(folder, unit.key, np.concatenate([empty, *planes]), rows, refused, outside)


def _survives(unit: Unit, corpus: CorpusConfig, config: Config, folder: Path) -> bool:
    with _pool(1) as pool:
        if not _can_start(pool):
            encode_unit(unit, corpus, config, folder)
            return True
        try:
            pool.submit(encode_unit, unit, corpus, config, folder, is_worker=True).result()
        except BrokenProcessPool:
            return False
    return True


# ---- workers


def _pool(n_processes: int) -> ProcessPoolExecutor:
    # Not "fork": the caller may have torch's threads running.
    return ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"), initializer=_settle)


def _ready() -> bool:
    return True


def _can_start(pool: Executor) -> bool:
    try:
        return pool.submit(_ready).result()
    except (BrokenProcessPool, OSError) as error:
        _log.warning("no worker process could be started (%s); reading in this one", error)
        return False


def _settle() -> None:
    """Give a worker one thread and a bound on its memory: what it has now and `LIMITS.worker_bytes` more."""
    torch.set_num_threads(1)
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    cap = used + LIMITS.worker_bytes
    resource.setrlimit(resource.RLIMIT_AS, (cap if hard == resource.RLIM_INFINITY else min(cap, hard), hard))


def _wind_clock() -> None:
    """Let the alarm's default action end this worker when one file takes too long."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, LIMITS.worker_seconds)


def _stop_clock(is_worker: bool) -> None:
    if is_worker and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
