"""Real notes that a model was not trained on: what a shipped model carries of them, and where others come from.

The folder `reference` of a model is small: planes of some held-out notes, and of many more only the vector of
descriptors and the features of `note_net`, which is enough to compare sets; beside them those of training notes, for
the scale, for bins and for copies. Features of another version of the network are not used: notes with planes are heard
again. Other sources are the run that made the model, and any folder of sounds; both are prepared as for training.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiogan import recipe as recipes
from audiogan.corpus.arrays import map_array
from audiogan.corpus.files import write_whole
from audiogan.corpus.gate import open_checked
from audiogan.corpus.limits import LIMITS, refuse
from audiogan.corpus.names import escape
from audiogan.corpus.strict_json import parse_json
from audiogan.errors import CorpusError, UsageError
from audiogan.evaluation.splits import check_parted_as_before
from audiogan.pipeline import Model
from audiogan.pipelines.waveform.config import Config, CorpusConfig
from audiogan.pipelines.waveform.dataset import Notes, open_dataset, prepare
from audiogan.pipelines.waveform.descriptors import Array
from audiogan.pipelines.waveform.measuring import features_of, measure
from audiogan.pipelines.waveform.note_net import N_FEATURES, SHA256
from audiogan.pipelines.waveform.timbre_vector import NAMES

REFERENCE = "reference"
N_PLANES, N_DESCRIBED, N_LEARNT = 64, 1024, 1024
LEAST_NOTES = 8
_SCHEMA = "audiogan/held-out-notes/1"
_COLUMNS = ("pitch", "velocity", "gain", "instrument", "rms_db")
_FEATURES = ("features", "learnt_features")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Real notes.

    Args:
        pitch, velocity, gain, instrument, rms_db: `(note,)`: MIDI; 0 to 1; what was taken out of the level; number of
            the instrument; level of the note in dB, gain left out.
        vectors: `(note, descriptor)`.
        planes: `(k, plane, row, frame)` float16 of the first k notes.
        learnt: `(n, descriptor)` of training notes; none where those are not at hand.
        instruments: Their names.
        features: `(k, 128)` of `note_net`, of the first k notes: of all, or of those with planes.
        learnt_features: `(n, 128)` of training notes; none where those are not at hand.
    """

    pitch: Array
    velocity: Array
    gain: Array
    instrument: NDArray[np.int64]
    rms_db: Array
    vectors: Array
    planes: NDArray[np.float16]
    learnt: Array
    instruments: tuple[str, ...]
    features: Array
    learnt_features: Array

    def __len__(self) -> int:
        return len(self.pitch)

    @property
    def groups(self) -> list[int]:
        """The instrument of each note."""
        return self.instrument.tolist()

    @property
    def level_db(self) -> Array:
        """`(note,)` level of the notes as they were played."""
        return self.rms_db + 20 * np.log10(np.maximum(self.gain, 1e-6))


# ---- taking


def spread_over(instrument: NDArray[np.int64], n_notes: int, seed: int = 0) -> NDArray[np.int64]:
    """Choose up to `n_notes` places, as many of every instrument as can be, the notes of each in random order.

    Example:
        >>> sorted(np.array([5, 5, 5, 7])[spread_over(np.array([5, 5, 5, 7]), 2)].tolist())
        [5, 7]
    """
    order = np.random.default_rng(seed).permutation(len(instrument))
    turn = np.zeros(len(instrument), dtype=np.int64)
    for number in np.unique(instrument):
        mine = order[instrument[order] == number]
        turn[mine] = np.arange(len(mine))
    return order[np.argsort(turn[order], kind="stable")][:n_notes]


def take(notes: Notes, config: Config, *, n_planes: int, n_described: int, learnt: Notes | None) -> HeldOut:
    """Describe notes of a prepared corpus.

    Args:
        notes: Held-out ones.
        config: The model's.
        n_planes: Notes whose planes are kept.
        n_described: Notes to describe.
        learnt: Training notes, of which `N_LEARNT` at most are described.

    Raises:
        UsageError: Fewer than eight notes.
    """
    if len(notes) < LEAST_NOTES:
        raise UsageError(f"{len(notes)} held-out notes; expected {LEAST_NOTES} or more to compare with")
    chosen = spread_over(notes.instrument, n_described)
    planes = np.asarray(notes.planes[notes.rows[chosen]])
    found = measure(config, planes, notes.pitch[chosen], with_features=True)
    vectors, features = np.zeros((0, len(NAMES))), np.zeros((0, N_FEATURES))
    if learnt is not None and len(learnt):
        some = np.sort(spread_over(learnt.instrument, N_LEARNT))
        known = np.asarray(learnt.planes[learnt.rows[some]])
        beside = measure(config, known, learnt.pitch[some], with_features=True)
        vectors, features = beside.vectors, beside.features
    numbers, instrument = np.unique(notes.instrument[chosen], return_inverse=True)
    return HeldOut(
        pitch=notes.pitch[chosen].astype(np.float64),
        velocity=notes.velocity[chosen].astype(np.float64),
        gain=notes.gain[chosen].astype(np.float64),
        instrument=instrument.astype(np.int64),
        rms_db=found.rms_db,
        vectors=found.vectors,
        planes=planes[:n_planes],
        learnt=vectors,
        instruments=tuple(notes.instruments[number] for number in numbers),
        features=found.features,
        learnt_features=features,
    )


# ---- keeping


def hold_out(
    cache: Path, config: Config, folder: Path, *, n_notes: int = N_PLANES, n_described: int = N_DESCRIBED
) -> HeldOut:
    """Keep held-out notes of a prepared corpus in a model's `reference` folder: test notes, valid ones without them.

    Args:
        cache: What `prepare` filled.
        config: The model's.
        folder: The model's folder.
        n_notes: Notes whose planes are kept, which is what takes room.
        n_described: Notes whose descriptors are kept.

    Raises:
        UsageError: Fewer than eight held-out notes.
        OutputError: The folder cannot be written.
    """
    held = take(_held_part(cache), config, n_planes=n_notes, n_described=n_described, learnt=Notes(cache, "train"))
    save(held, folder / REFERENCE)
    return held


def _held_part(cache: Path) -> Notes:
    test = Notes(cache, "test")
    return test if len(test) >= LEAST_NOTES else Notes(cache, "valid")


def save(held: HeldOut, folder: Path) -> None:
    """Write notes: `notes.json`, `columns.npy`, `vectors.npy`, `learnt.npy`, `planes.npy`, and the features."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = np.stack([getattr(held, name) for name in _COLUMNS], axis=1)
    arrays = {"columns": columns, "vectors": held.vectors, "learnt": held.learnt}
    for name, values in arrays.items():
        _write_array(folder / f"{name}.npy", values.astype("<f4"))
    for name in ("planes", *_FEATURES):
        _write_array(folder / f"{name}.npy", getattr(held, name).astype("<f2"))
    facts = {"schema": _SCHEMA, "columns": _COLUMNS, "descriptors": NAMES, "instruments": held.instruments}
    facts |= {"note_net": SHA256}
    write_whole(folder / "notes.json", json.dumps(facts).encode("ascii"))


def _write_array(path: Path, values: NDArray) -> None:
    buffer = BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_whole(path, buffer.getvalue())


def load(folder: Path, config: Config) -> HeldOut:
    """Read what `save` wrote.

    Raises:
        CorpusError: `bad_config` and others: no such notes, or those of another model or version.
    """
    source = escape(folder)
    facts = parse_json(open_checked(folder / "notes.json", max_bytes=LIMITS.json_bytes), source)
    expected = {"schema": _SCHEMA, "columns": list(_COLUMNS), "descriptors": list(NAMES)}
    if any(facts.get(name) != value for name, value in expected.items()):
        refuse(
            "bad_config", f"{source}: held-out notes of another version; expected {_SCHEMA} with {len(NAMES)} values"
        )
    names = facts.get("instruments")
    if not isinstance(names, list) or not names:
        refuse("bad_config", f"{source}: no instruments; expected a list of names")
    arrays = [
        np.array(map_array(folder / f"{name}.npy"), dtype=np.float64) for name in ("columns", "vectors", "learnt")
    ]
    columns, vectors, learnt = arrays
    planes = np.array(map_array(folder / "planes.npy"))
    n_notes, shape = len(columns), config.represent().shape
    sizes = (columns.shape, vectors.shape, learnt.shape[1:], planes.shape[1:])
    if sizes != ((n_notes, len(_COLUMNS)), (n_notes, len(NAMES)), (len(NAMES),), shape) or len(planes) > n_notes:
        refuse("bad_config", f"{source}: arrays that do not belong together; expected planes of {shape}")
    instrument = columns[:, _COLUMNS.index("instrument")]
    if not (np.isfinite(columns).all() and (instrument >= 0).all() and (instrument < len(names)).all()):
        refuse("bad_config", f"{source}: columns out of range; expected what was written with the model")
    pitch, velocity, gain, _, rms_db = columns.T
    instruments = tuple(map(str, names))
    features = _features(folder, facts, config, planes, pitch, len(learnt))
    return HeldOut(
        pitch, velocity, gain, instrument.astype(np.int64), rms_db, vectors, planes, learnt, instruments, *features
    )


def _features(
    folder: Path, facts: Mapping[str, object], config: Config, planes: NDArray, pitch: Array, n_learnt: int
) -> tuple[Array, Array]:
    """Return what `note_net` heard of the held-out and of the training notes, if it was this very network."""
    if facts.get("note_net") != SHA256:
        return features_of(config, planes, pitch[: len(planes)]), np.zeros((0, N_FEATURES))
    found, known = (np.array(map_array(folder / f"{name}.npy"), dtype=np.float64) for name in _FEATURES)
    if (found.shape, known.shape) != ((len(pitch), N_FEATURES), (n_learnt, N_FEATURES)):
        refuse("bad_config", f"{escape(folder)}: features of other notes; expected {N_FEATURES} of each")
    if not (np.isfinite(found).all() and np.isfinite(known).all()):
        refuse(
            "bad_config", f"{escape(folder)}: features that are no numbers; expected what was written with the model"
        )
    return found, known


# ---- finding


def find(model: Model, reference: Path | None, *, count: int, progress: Progress | None = None) -> HeldOut:
    """Return held-out notes for a model: of a folder, of the model's own `reference`, or of its run.

    Args:
        model: Trained networks.
        reference: Folder of recordings; None for the model's own notes.
        count: Most notes to compare with.
        progress: Called while notes are prepared, with notes done and their number.

    Raises:
        UsageError: No notes at hand, too few, or only such as the model was trained on.
        CorpusError: The sounds or the kept notes cannot be read.
    """
    if reference is None and (model.folder / REFERENCE).is_dir():
        held = load(model.folder / REFERENCE, model.config)
        return first_notes(held, count)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        cache = Path(folder)
        if reference is None:
            corpus = _own_corpus(model)
            taken = prepare(corpus, model.config, cache, progress=progress)
            check_parted_as_before(model.folder.parent, "instruments", taken.instruments)
            notes, learnt = _held_part(cache), Notes(cache, "train")
        else:
            notes, learnt = _new_notes(model, reference, cache, progress), None
        return take(notes, model.config, n_planes=count, n_described=count, learnt=learnt)


def first_notes(held: HeldOut, count: int) -> HeldOut:
    """Return the first `count` notes; `spread_over` has put all instruments among them."""
    names = ("pitch", "velocity", "gain", "instrument", "rms_db", "vectors", "planes", "features")
    return replace(held, **{name: getattr(held, name)[:count] for name in names})


def _new_notes(model: Model, reference: Path, cache: Path, progress: Progress | None) -> Notes:
    """Prepare a folder, and leave out instruments that the card names among those trained on."""
    corpus = CorpusConfig.model_validate({"folder": str(reference), "valid_fraction": 0.0, "test_fraction": 0.0})
    prepare(corpus, model.config, cache, progress=progress)
    notes = open_dataset(cache, model.config, corpus, "train")
    trained = _trained_on(model)
    known = [name in trained for name in notes.instruments]
    if known and all(known):
        raise UsageError(f"{escape(reference)}: the model was trained on all these; expected instruments new to it")
    if any(known):
        return _without(notes, np.array(known))
    return notes


def _trained_on(model: Model) -> set[str]:
    summary = model.card.get("summary", {})
    instruments: Sequence[dict[str, str]] = summary.get("instruments", ()) if isinstance(summary, dict) else ()
    return {one["name"] for one in instruments if one.get("split") == "train"}


def _without(notes: Notes, known: NDArray[np.bool_]) -> Notes:
    keep = ~known[notes.instrument]
    for name in ("rows", "pitch", "velocity", "gain", "instrument"):
        setattr(notes, name, getattr(notes, name)[keep])
    return notes


def _own_corpus(model: Model) -> CorpusConfig:
    """Read the corpus section of the run that a model lies in."""
    path = model.folder.parent / "recipe.yaml"
    if not path.is_file():
        name = escape(model.name)
        raise UsageError(f"{name}: its held-out notes are not at hand; expected a reference folder of recordings")
    try:
        return CorpusConfig.model_validate(recipes.read(path)["corpus"])
    except (ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(
            f"{escape(path)}: corpus: {escape(reason)}; expected the run's recipe", "bad_config"
        ) from None
