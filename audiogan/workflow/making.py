"""What the verbs that make files share: the right model, a folder for the results, numbered files, and the page.

What a model makes is either a `Score`, written as MIDI, or a sound, written as WAV. Both get their number, their line
in the manifest and, where asked for, a picture; a score gets a sketch of its sound, a sound is its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiogan.corpus import midi
from audiogan.corpus.names import escape
from audiogan.corpus.score import Score
from audiogan.errors import AudioganError, CorpusError, UnsupportedError, UsageError
from audiogan.pipeline import MUSIC, SOUNDS, Model, Progress, Sound
from audiogan.version import __version__
from audiogan.workflow.cards import CARD
from audiogan.workflow.model import PRETRAINED, licence_of, load, sha256_of
from audiogan.workflow.outputs import OutputFolder, describe, write_json
from audiogan.workflow.page import PAGE, Entry, add_page, add_picture, add_sound

Where = str | Path | None
Item = Score | Sound
SOUND_SUFFIXES = (".wav", ".flac")
_OF_FILES = frozenset({".mid", ".midi", *SOUND_SUFFIXES, ".mp3", ".ogg", ".sfz", ".onnx", ".json", ".png", ".html"})


class Writer:
    """Numbers what one verb makes and writes it.

    Args:
        folder: Being filled.
        model: Whose work it is.
        seed: It was made with.
        listen: Also write a page to hear everything, with a sketch of the sound for each score.
        preview: Also write a picture of each item.
        progress: Called with items done and their number.
        n_items: How many there will be.
        save_timbre: Also write the timbre of each sound as a file of its own.
    """

    def __init__(
        self,
        folder: OutputFolder,
        model: Model,
        seed: int,
        *,
        listen: bool = False,
        preview: bool = False,
        progress: Progress | None = None,
        n_items: int = 1,
        save_timbre: bool = False,
    ) -> None:
        self._folder, self._model, self._seed = folder, model, seed
        self._listen, self._preview, self._save_timbre = listen, preview, save_timbre
        self._n_digits = max(2, len(str(n_items)))
        self._progress, self._n_items = progress, n_items
        self._entries: list[Entry] = []

    def add_all(self, items: Sequence[Item], stem: str, **facts: Any) -> list[Entry]:
        """Write items as `NN_STEM` with the next numbers; a sound's pitch becomes part of its name.

        Args:
            items: What the model made.
            stem: Of the file names.
            facts: What is true of all of them, for the manifest.
        """
        return [
            self.add(item, f"{len(self._entries) + 1:0{self._n_digits}d}_{_named(stem, item)}{_suffix(item)}", **facts)
            for item in items
        ]

    def add(self, item: Item, name: str, **facts: Any) -> Entry:
        """Write one item under a name of its own, with all that was asked for beside it."""
        if isinstance(item, Score):
            write_score(self._folder, item, name, self._model, self._seed, **facts)
        else:
            write_sound(self._folder, item, name, self._model, **facts)
            if self._save_timbre:
                _write_timbre(self._folder, item, name)
        if self._preview:
            add_picture(self._folder, item, name)
        heard = None
        if self._listen and isinstance(item, Score):
            heard = add_sound(self._folder, item, name, made_by(self._model, self._seed))
        entry = Entry(item, name, heard if isinstance(item, Score) else name)
        self._entries.append(entry)
        if self._progress:
            self._progress(len(self._entries), self._n_items)
        return entry

    def finish(self, title: str, page: str = PAGE) -> None:
        """Add the page if it was asked for.

        Args:
            title: Of the page.
            page: Its file name.
        """
        if self._listen and self._entries:
            add_page(self._folder, title, {title: self._entries}, page)


def write_score(folder: OutputFolder, score: Score, name: str, model: Model, seed: int, **facts: Any) -> None:
    """Add a score to a folder as MIDI file."""
    text = made_by(model, seed)
    folder.add(name, lambda path: midi.write(score, path, text=text), **facts, **describe(score))


def made_by(model: Model, seed: int) -> str:
    """Return what a file says about itself: the program, the model and its hash, and the seed."""
    return f"made by audiogan {__version__}, model {escape(model.name)} {model.sha256[:12]}, seed {seed}"


def write_sound(folder: OutputFolder, sound: Sound, name: str, model: Model, **facts: Any) -> None:
    """Add a sound to a folder as its pipeline writes it."""
    about = {"sample_rate": sound.sample_rate, "seconds": round(len(sound.waveform) / sound.sample_rate, 4)}
    comment = made_by(model, int(folder.facts.get("seed", 0)))
    folder.add(
        name, lambda path: model.sounding.write(sound, path, comment=comment), **about | dict(sound.facts) | facts
    )


def _write_timbre(folder: OutputFolder, sound: Sound, name: str) -> None:
    timbre = sound.facts.get("timbre")
    if isinstance(timbre, Mapping):
        saved = f"{Path(name).stem}.timbre.json"
        folder.add(saved, lambda path: write_json(path, dict(timbre)), timbre_of=name)


_KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


def _named(stem: str, item: Item) -> str:
    """Put the key into the name of a note, with flats, since a sharp's sign cuts an address short."""
    pitch = None if isinstance(item, Score) else item.facts.get("pitch")
    if not isinstance(pitch, int | float) or pitch != round(pitch) or pitch < 12:
        return stem
    return f"{stem}_{_KEYS[int(pitch) % 12]}{int(pitch) // 12 - 1}"


def _suffix(item: Item) -> str:
    return ".mid" if isinstance(item, Score) else SOUND_SUFFIXES[0]


# ---- models and folders


def load_for(kind: str, model: Where, device: str, seed: int, verb: str) -> Model:
    """Load the model for a verb.

    Args:
        kind: `MUSIC` or `SOUNDS`: what it has to make.
        model: Shipped name or folder; None for the shipped one of that kind.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        seed: Checked first, since that is quick.
        verb: For the message.

    Raises:
        CheckpointError: No such model.
        UnsupportedError: A model that makes something else.
    """
    check_seed(seed)
    chosen = load(model, device=device, pipeline=kind)
    if chosen.makes != kind:
        made, wanted = ("MIDI", "sounds") if kind == SOUNDS else ("sounds", "MIDI")
        raise UnsupportedError(f"{verb}: model {escape(chosen.name)} makes {made}; expected one that makes {wanted}")
    return chosen


def load_music(model: Where, device: str, seed: int, verb: str) -> Model:
    """Load a model that writes MIDI; see `load_for`."""
    return load_for(MUSIC, model, device, seed, verb)


def load_sounds(model: Where, device: str, seed: int, verb: str) -> Model:
    """Load a model that makes sounds; see `load_for`."""
    return load_for(SOUNDS, model, device, seed, verb)


def about(model: Model) -> dict[str, str]:
    """Return what a manifest says of a model: also the licence of its weights, and where its card lies.

    `card` is `shipped` for the models of this package, `none` where there is no card, else the user's file.
    """
    path = model.folder / CARD
    is_there = path.is_file()
    place = "shipped" if model.folder.parent == PRETRAINED else str(path)
    return {
        "name": model.name,
        "sha256": model.sha256,
        "pipeline": model.pipeline,
        "licence": licence_of(model.card),
        "card": place if is_there else "none",
        "card_sha256": sha256_of(path) if is_there else "unknown",
    }


def open_folder(
    out: str | Path, verb: str, model: Model, seed: int, given: Mapping[str, Any], overwrite: bool
) -> OutputFolder:
    """Return the folder that a verb fills.

    Raises:
        UsageError: A name of a file, such as `new.mid`, where there is no folder of that name.
    """
    check_folder(out)
    return OutputFolder(Path(out), _facts(verb, model, seed, given), overwrite)


def open_file(
    out: Path,
    verb: str,
    model: Model,
    seed: int,
    given: Mapping[str, Any],
    overwrite: bool,
    *,
    beside: Sequence[str] = (),
) -> OutputFolder:
    """Return the folder of the one file that a verb makes; what is said about it lies beside it in `NAME.json`.

    Args:
        out: The file.
        verb, model, seed, given, overwrite: As for `open_folder`.
        beside: Names of other files that come with it, refused at once if they are there already.
    """
    facts = _facts(verb, model, seed, given)
    return OutputFolder(out.parent, facts, overwrite, manifest=f"{out.name}.json", claims=(out.name, *beside))


def check_folder(out: Where) -> None:
    """Refuse an `--out` that names a file where a folder is filled.

    Raises:
        UsageError: Its extension is one of sounds, MIDI, pictures or pages, and there is no such folder.
    """
    if out is not None and Path(out).suffix.lower() in _OF_FILES and not Path(out).is_dir():
        shown = escape(Path(out))
        raise UsageError(f"--out {shown}: a file, but this verb fills a folder; expected a name without extension")


def is_sound_file(out: Where) -> bool:
    """Whether `--out` names a sound file rather than a folder: a name without extension, or a folder that is there.

    Raises:
        UsageError: An extension that is not written.
    """
    if out is None or Path(out).is_dir() or not Path(out).suffix:
        return False
    if Path(out).suffix.lower() not in SOUND_SUFFIXES:
        suffix = escape(Path(out).suffix)
        told = "expected .wav or .flac, or for a folder a name without extension or one that exists"
        raise UsageError(f"--out {escape(Path(out))}: {suffix} is not written; {told}")
    return True


def check_out(out: Where, sources: Sequence[str | Path]) -> None:
    """Refuse an `--out` that cannot be written, or that is one of the files it is made from.

    Raises:
        UsageError: Either.
    """
    if not is_sound_file(out):
        return
    if any(Path(source).resolve() == Path(str(out)).resolve() for source in sources):
        raise UsageError(f"--out {escape(Path(str(out)))}: it is made from that file; expected another name")


def _facts(verb: str, model: Model, seed: int, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"command": verb, "model": about(model), "seed": seed, "options": dict(given)}


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Put the name of a file in front of why it is refused inside the block."""
    try:
        yield
    except CorpusError as error:
        name_file(error, path)
        raise


def name_file(error: AudioganError, path: str | Path) -> None:
    """Put the name of a file in front of what an error tells, in place of its short name if that is there already."""
    shown = escape(str(path))
    if not str(error).startswith(f"{shown}: "):
        error.args = (f"{shown}: {str(error).removeprefix(f'{escape(Path(path).stem)}: ')}",)


def check_seed(seed: int) -> None:
    """Refuse a seed that is negative or takes more than 63 bits."""
    within("seed", seed, (0, (1 << 63) - 1))


def within(name: str, value: float | None, limits: tuple[float, float]) -> None:
    """Refuse an option outside its range.

    Raises:
        UsageError: Naming the option, its value and the range.
    """
    low, high = limits
    if value is not None and not low <= value <= high:
        raise UsageError(f"{name}: {value}; expected {low} to {high}")
