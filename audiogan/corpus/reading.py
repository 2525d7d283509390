"""Read song files one after the other or in worker processes, so that no file can take the program down with it.

A worker may add only so much address space and time per file (`LIMITS.worker_bytes`, `LIMITS.worker_seconds`); when
one dies, its files are read again, one at a time, and the file that kills a fresh worker is refused. Workers never
import torch.
"""

import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import NamedTuple

from audiogan.corpus import midi, rolls, wad
from audiogan.corpus.gate import name_warnings, open_checked
from audiogan.corpus.identity import content_hashes
from audiogan.corpus.limits import LIMITS
from audiogan.corpus.names import escape
from audiogan.corpus.spreading import Spread
from audiogan.errors import CorpusError

_log = logging.getLogger(__name__)
_FILES_PER_TASK = 16
_FILES_WORTH_A_PROCESS = 64
SONG_SEPARATOR = "#"


class Job(NamedTuple):
    """A file to read: its name, what it is, and the folder that links must not leave."""

    path: str
    kind: str
    root: str


class Song(NamedTuple):
    """What was learnt about one song; refused when `reason` is set, and then `message` says why."""

    path: str
    kind: str
    reason: str | None = None
    message: str = ""
    sha256: str = ""
    content: str = ""
    transposed: str = ""
    n_notes: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


def _refusal(path: str, kind: str, error: CorpusError) -> Song:
    return Song(path, kind, error.reason, str(error))


def _decode(data: bytes, kind: str, source: str) -> midi.Decoded:
    if kind == "rolls":
        score = rolls.parse_lpd(data, source)
        paces = [(tempo.tick, round(60e6 / tempo.qpm)) for tempo in score.tempos]
        return midi.Decoded(score, (), 0, midi.seconds_at(score.n_ticks, paces, score.resolution))
    return midi.decode(data, source)


def _song(data: bytes, path: str, kind: str, warnings: tuple[str, ...]) -> Song:
    try:
        decoded = _decode(data, kind, escape(path))
    except CorpusError as error:
        return _refusal(path, kind, error)
    except MemoryError:
        fact = f"{escape(path)}: takes more memory than a file may; expected an ordinary song"
        return _refusal(path, kind, CorpusError(fact, "decompression_bomb"))
    content, transposed = content_hashes(decoded.score)
    return Song(
        path,
        kind,
        None,
        "",
        hashlib.sha256(data).hexdigest(),
        content,
        transposed,
        decoded.score.n_notes,
        round(decoded.seconds, 6),
        tuple(sorted({*decoded.warnings, *warnings})),
    )


def examine(job: Job) -> list[Song]:
    """Read the songs of one file: one, or as many as a WAD file holds."""
    root = job.root or None
    try:
        if job.kind == "wad":
            return [
                _song(lump.data, f"{job.path}{SONG_SEPARATOR}{lump.name}", "midi", name_warnings(job.path))
                for lump in wad.read_songs(job.path, root=root)
            ]
        cap = LIMITS.rolls_bytes if job.kind == "rolls" else LIMITS.midi_bytes
        data = open_checked(job.path, root=root, max_bytes=cap)
    except CorpusError as error:
        return [_refusal(job.path, job.kind, error)]
    return [_song(data, job.path, job.kind, name_warnings(job.path))]


def _set_limits() -> None:
    """Bound the address space of a worker to what it has now and `LIMITS.worker_bytes` more."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    cap = used + LIMITS.worker_bytes
    resource.setrlimit(resource.RLIMIT_AS, (cap if hard == resource.RLIM_INFINITY else min(cap, hard), hard))


def _examine_timed(jobs: Sequence[Job]) -> list[list[Song]]:
    """Read several files; the alarm's default action ends the process when one takes too long."""
    found = []
    for job in jobs:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, LIMITS.worker_seconds)
        found.append(examine(job))
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    return found


def _ready() -> bool:
    return True


def _pool(n_processes: int) -> ProcessPoolExecutor:
    # Not "fork": the caller may have torch's threads running.
    return ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"), initializer=_set_limits)


def _can_start(pool: Executor) -> bool:
    try:
        return pool.submit(_ready).result()
    except (BrokenProcessPool, OSError) as error:
        _log.warning("no worker process could be started (%s); reading in this one", error)
        return False


def read_files(
    jobs: Sequence[Job],
    *,
    n_processes: int | None = None,
    spread: Spread | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Song]]:
    """Read files, each in a worker when there are enough of them; the answers come in the order of `jobs`.

    Args:
        n_processes: Workers; `None` takes the cores there are, but none for a few files. 1 reads in this process.
        spread: Reads elsewhere; these processes read what it leaves.
        progress: Called with files done and their number.
    """
    if n_processes is None:
        n_processes = min(os.cpu_count() or 1, len(jobs) // _FILES_WORTH_A_PROCESS + 1)
    found: dict[int, list[Song]] = {}
    for number, songs in _answers(jobs, n_processes, spread):
        found[number] = songs
        if progress is not None:
            progress(len(found), len(jobs))
    return [found[number] for number in range(len(jobs))]


def _answers(jobs: Sequence[Job], n_processes: int, spread: Spread | None) -> Iterator[tuple[int, list[Song]]]:
    done: set[int] = set()
    if spread is not None:
        for number, songs in spread(_examine_timed, [[job] for job in jobs]):
            done.add(number)
            yield number, songs[0]
    left = [number for number in range(len(jobs)) if number not in done]
    here = [jobs[number] for number in left]
    alone = n_processes <= 1 and spread is None  # what others left may be what killed them
    answers = _in_turn(here) if alone else _in_workers(here, max(1, n_processes))
    yield from ((left[place], songs) for place, songs in answers)


def _in_turn(jobs: Sequence[Job]) -> Iterator[tuple[int, list[Song]]]:
    for number, job in enumerate(jobs):
        yield number, examine(job)


def _in_workers(jobs: Sequence[Job], n_processes: int) -> Iterator[tuple[int, list[Song]]]:
    left: list[int] = []
    with _pool(n_processes) as pool:
        if not _can_start(pool):
            yield from _in_turn(jobs)
            return
        starts = range(0, len(jobs), _FILES_PER_TASK)
        tasks = {pool.submit(_examine_timed, jobs[start : start + _FILES_PER_TASK]): start for start in starts}
        for task in as_completed(tasks):
            start = tasks[task]
            try:
                yield from enumerate(task.result(), start)
            except BrokenProcessPool:
                left += range(start, min(start + _FILES_PER_TASK, len(jobs)))
    yield from _one_at_a_time(jobs, sorted(left))


def _one_at_a_time(jobs: Sequence[Job], numbers: list[int]) -> Iterator[tuple[int, list[Song]]]:
    """Read the files of a broken pool again; the one that breaks a fresh worker is refused."""
    while numbers:
        with _pool(1) as pool:
            for place, number in enumerate(numbers):
                try:
                    yield number, pool.submit(_examine_timed, [jobs[number]]).result()[0]
                except BrokenProcessPool:
                    shown = escape(jobs[number].path)
                    error = CorpusError(f"{shown}: the reading process died on it; expected a readable file", "corrupt")
                    yield number, [_refusal(jobs[number].path, jobs[number].kind, error)]
                    numbers = numbers[place + 1 :]
                    break
            else:
                return
