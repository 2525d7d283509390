"""The verbs that make sound: notes, the way between two timbres, melodies and pieces played with them, an instrument.

They write as the verbs for MIDI do: numbered files in one folder with a manifest. `transfer` and `render` make one file
and may be given its name; what is known about it then lies beside it, in `NAME.wav.json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiogan.corpus import audio, midi
from audiogan.corpus.names import escape, safe_stem
from audiogan.corpus.score import Score
from audiogan.corpus.transcription import require_transcriber, score_of
from audiogan.errors import UnsupportedError, UsageError
from audiogan.pipeline import Model, Progress, Sound
from audiogan.version import __version__
from audiogan.workflow.auditing import Guard, add_checked, check_notes, with_summary
from audiogan.workflow.making import (
    SOUND_SUFFIXES,
    Where,
    Writer,
    check_folder,
    check_out,
    is_sound_file,
    load_sounds,
    naming,
    open_file,
    open_folder,
    within,
)
from audiogan.workflow.outputs import OutputFolder, Result, options, staging
from audiogan.workflow.page import Entry, add_page
from audiogan.workflow.pitches import Pitches, read_pitch, read_pitches, read_velocity
from audiogan.workflow.timbres import RANDOM, Timbres, check_references, read_recording

References = str | Path | Sequence[str | Path]

# Checked before a model is loaded and a folder made; a pipeline may take longer notes and fewer rates.
COUNTS, TEMPERATURES, STEPS = (1, 2000), (0, 2), (2, 1000)  # notes stay in memory until the page is written
NOTES_AT_ONCE = 64
DURATIONS, RATES, GLIDES = (0.01, 60), (16_000, 48_000), (0.01, 3600)
FORMATS = ("sfz",)
VOICES = ("auto", "one", "many")
MOST_HEARD = 8  # samples of an instrument on its page


def generate_notes(
    *,
    count: int | None = None,
    pitch: Pitches | None = None,
    velocity: float | None = None,
    duration: float | None = None,
    sample_rate: int | None = None,
    timbre: Where = None,
    temperature: float = 1.0,
    refine: bool = False,
    save_timbre: bool = False,
    audit: bool = False,
    model: Where = None,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    listen: bool = False,
    preview: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Make new notes, one WAV file each.

    Args:
        count: How many, 1–2,000, for more take another seed; None for one per pitch that is named, or 4.
        pitch: MIDI or name, several, or a range, as `pitches.read_pitches` takes them; None for the model's choice.
        velocity: Above 0 to 1, or a MIDI velocity up to 127; None for the model's choice.
        duration: Seconds until the note is let go; None for the model's own length.
        sample_rate: In Hz; None for the model's own.
        timbre: A recording, a saved timbre or `random`, for all notes; None for another timbre each.
        temperature: 0–2; 0 is the most typical note, above 1 is wilder.
        refine: Fit the timbre closer to its recording; takes seconds.
        save_timbre: Also write the timbre of each note, for `timbre`.
        audit: Compare each note with the model's fingerprints; draw again, or refuse, what is too near.
        model: Shipped name or folder; None for the default model of notes.
        seed: 0 or more; the same seed and options give the same samples.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        out: Folder for the files; None for `audiogan-notes`.
        overwrite: Replace an earlier result.
        listen: Also write `index.html`.
        preview: Also write a rainbowgram of each note as PNG.
        progress: Called with the notes written and their number.

    Raises:
        UsageError: An option outside its range.
        CorpusError: The recording is refused.
        CheckpointError: No such model.
        OutputError: The folder holds an earlier result, or cannot be written.
    """
    within("count", count, COUNTS)
    within("duration", duration, DURATIONS)
    within("sample rate", sample_rate, RATES)
    within("temperature", temperature, TEMPERATURES)
    pitches = read_pitches(pitch, count)
    n_notes = count or (4 if pitches is None else len(pitches))
    given = options({"pitches": pitches, "velocity": read_velocity(velocity), "duration": duration})
    given |= {"count": n_notes, "temperature": temperature} | options({"sample_rate": sample_rate})
    references = [] if timbre is None else [timbre]
    check_folder(out)
    check_references(references)
    chosen = load_sounds(model, device, seed, "generate notes")
    made_with: dict[str, Any] = {}
    guard = Guard(chosen) if audit else None
    facts = dict(given) if guard is None else given | {"audit": guard.about}
    if references:
        made_with["timbre"], facts["timbre"] = Timbres(chosen, seed, refine=refine).read(references[0])
    with open_folder(out or "audiogan-notes", "generate notes", chosen, seed, facts, overwrite) as folder:
        show = {"listen": listen, "preview": preview, "progress": progress, "save_timbre": save_timbre}
        writer = Writer(folder, chosen, seed, n_items=n_notes, **show)
        for first in range(0, n_notes, NOTES_AT_ONCE):
            group = given | made_with | {"first": first, "count": min(NOTES_AT_ONCE, n_notes - first)}
            if guard is None:
                writer.add_all(chosen.generate(seed=seed, **group), "note")
            else:
                add_checked(writer, folder, check_notes(guard, chosen, seed, group), "note", first)
        writer.finish("New notes")
    return with_summary(folder.result(), guard)


def interpolate_sounds(
    first: Path,
    second: Path,
    *,
    steps: int,
    pitch: float | str | None,
    model: Where,
    seed: int,
    device: str,
    out: Where,
    overwrite: bool,
    refine: bool = False,
    **show: Any,
) -> Result:
    """Go from one recording or saved timbre to another; see `create.interpolate`."""
    given = options({"steps": steps, "pitch": None if pitch is None else read_pitch(pitch)})
    check_folder(out)
    check_references([first, second])
    chosen = load_sounds(model, device, seed, "interpolate")
    ends, sources = Timbres(chosen, seed, refine=refine).read_all([first, second])
    facts = given | {"sources": sources}
    with open_folder(out or "audiogan-interpolation", "interpolate", chosen, seed, facts, overwrite) as folder:
        writer = Writer(folder, chosen, seed, n_items=steps, **show)
        writer.add_all(chosen.interpolate(ends[0], ends[1], seed=seed, **given), "step")
        writer.finish("From one timbre to another")
    return folder.result()


def transfer(
    source: str | Path,
    *,
    timbre: str | Path = RANDOM,
    voices: str = VOICES[0],
    save_midi: bool = False,
    refine: bool = False,
    model: Where = None,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    listen: bool = False,
    preview: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Play a recording, with its dynamics and for a melody its pitch curve, in another timbre.

    Args:
        source: A recording of one voice, or of several where a transcriber is installed.
        timbre: A recording, a saved timbre or `random`.
        voices: `one`, a melody with its pitch curve; `many`, transcribed into notes; `auto`, one voice if it is one
            voice, else transcribed.
        save_midi: Also write the notes that were heard as `NAME.mid`, at 120 quarter notes per minute.
        refine: As for `generate_notes`, and so on to the last.
        model: The same.
        seed: The same.
        device: The same.
        out: A `.wav` or `.flac` file, or a folder; None for the folder `audiogan-transfer`.
        overwrite: The same.
        listen: Also write a page to see and hear it: `index.html`, or beside a file `NAME.html`.
        preview: The same.
        progress: The same.

    Raises:
        UsageError: An extension that is not written, or other `voices`.
        CorpusError: The source or the recording of the timbre is refused.
        UnsupportedError: `many` where no transcriber is installed.
    """
    if voices not in VOICES:
        raise UsageError(f"voices: {voices!r}; expected {', '.join(VOICES[:-1])} or {VOICES[-1]}")
    if voices == "many":
        require_transcriber()
    path = Path(source)
    check_out(out, [path, timbre])
    check_references([path, timbre])
    recording, warnings = read_recording(path)
    chosen = load_sounds(model, device, seed, "transfer")
    wanted, from_where = Timbres(chosen, seed, refine=refine).read(timbre)
    given = {"source": {"file": escape(path.name), "warnings": warnings}, "timbre": from_where, "voices": voices}
    show = {"listen": listen, "preview": preview}
    asked = {} if voices == VOICES[0] else {"voices": voices}
    with _open(out, "transfer", chosen, seed, given, overwrite, save_midi=save_midi, **show) as folder:
        with naming(path):
            sound = chosen.sounding.transfer(chosen, recording, wanted, seed=seed, **asked)
        heard = _heard_in(sound, chosen, safe_stem(path.stem)) if save_midi else None
        _write_one(folder, chosen, seed, sound, safe_stem(path.stem), out, progress=progress, **show)
        if heard is not None:
            _write_heard(folder, heard)
    return folder.result()


def render(
    song: str | Path,
    *,
    timbre: References | None = None,
    glide: float | None = None,
    sample_rate: int | None = None,
    refine: bool = False,
    model: Where = None,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    listen: bool = False,
    preview: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Play a MIDI file with generated timbres.

    Args:
        song: A MIDI file of any length.
        timbre: Recordings, saved timbres or `random`, one or several; None is one random timbre.
        glide: Seconds from each timbre to the next; None to give each track its own, or a lone track all in turn.
        sample_rate: In Hz; None for the model's own.
        refine: As for `generate_notes`, and so on to the last.
        model: The same.
        seed: The same.
        device: The same.
        out: A `.wav` or `.flac` file, or a folder; None for the folder `audiogan-render`.
        overwrite: The same.
        listen: As for `transfer`.
        preview: The same.
        progress: The same.

    Raises:
        UsageError: `glide` with one timbre only, or an extension that is not written.
        CorpusError: The song or a recording is refused.
    """
    references = [timbre] if isinstance(timbre, str | Path) else list(timbre or ())
    within("glide", glide, GLIDES)
    within("sample rate", sample_rate, RATES)
    if glide is not None and len(references) < 2:
        raise UsageError("glide with fewer than two timbres; expected several, for example --timbre random twice")
    check_out(out, [song, *references])
    check_references(references)
    score, warnings = midi.read_with_warnings(song, apply_pedal=True)
    chosen = load_sounds(model, device, seed, "render")
    timbres, sources = Timbres(chosen, seed, refine=refine).read_all(references)
    given = options({"glide": glide, "sample_rate": sample_rate})
    source = {"file": escape(Path(song).name), "warnings": list(warnings)}
    facts = given | {"source": source, "timbres": sources}
    show = {"listen": listen, "preview": preview}
    with _open(out, "render", chosen, seed, facts, overwrite, **show) as folder:
        with naming(song):
            sound = chosen.render(score, timbres, seed=seed, **given)
        _write_one(folder, chosen, seed, sound, safe_stem(Path(song).stem), out, progress=progress, **show)
    return folder.result()


def export(
    model: str | Path,
    *,
    format: str = "sfz",  # noqa: A002  the name of the option
    timbre: str | Path = RANDOM,
    refine: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    listen: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Write a sampler instrument for music programs.

    Args:
        model: Shipped name or folder.
        format: `sfz`: a text file and the samples it names.
        timbre: A recording, a saved timbre or `random`.
        refine: As for `generate_notes`, and so on to the last.
        seed: The same.
        device: The same.
        out: Folder for the files; None for `audiogan-instrument`.
        overwrite: The same.
        listen: Also write `index.html` with a few of the samples.
        progress: Called with the samples written and their number.

    Raises:
        UsageError: Another format.
    """
    if format not in FORMATS:
        raise UsageError(f"format {format!r}; expected {' or '.join(FORMATS)}")
    check_folder(out)
    check_references([timbre])
    chosen = load_sounds(model, device, seed, "export")
    wanted, from_where = Timbres(chosen, seed, refine=refine).read(timbre)
    given = {"format": format, "timbre": from_where}
    with open_folder(out or "audiogan-instrument", "export", chosen, seed, given, overwrite) as folder:
        # Beside the results, so that they are moved without a copy; a stopped export leaves nothing half done.
        with staging(folder.path) as staged:
            facts = chosen.sounding.write_instrument(chosen, wanted, staged, seed=seed, progress=progress)
            folder.take_in(staged)
        if listen:
            add_page(folder, "A new instrument", {"Some of its samples": _samples_of(folder)})
        folder.facts = {**folder.facts, "instrument": dict(facts or {})}
    return folder.result()


def _samples_of(folder: OutputFolder) -> list[Entry]:
    """Return a few samples of the instrument in a folder, from all over it."""
    names = [file["file"] for file in folder.files if file["file"].endswith(SOUND_SUFFIXES)]
    chosen = names[:: max(1, len(names) // MOST_HEARD)][:MOST_HEARD]
    return [Entry(_Sample.read(folder.path / name), name, name) for name in chosen]


@dataclass(frozen=True)
class _Sample:
    """A written sample as a `Sound`."""

    waveform: NDArray[np.float32]
    sample_rate: int
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "_Sample":
        recording = audio.read(path)
        return cls(recording.waveform, recording.sample_rate, {})


def _open(
    out: Where,
    verb: str,
    model: Model,
    seed: int,
    given: Mapping[str, Any],
    overwrite: bool,
    *,
    listen: bool,
    preview: bool,
    save_midi: bool = False,
) -> OutputFolder:
    if out is None or not is_sound_file(out):
        return open_folder(out or f"audiogan-{verb}", verb, model, seed, given, overwrite)
    beside = [_page_of(out)] if listen else []
    beside += [f"{Path(out).stem}.png"] if preview else []
    beside += [f"{Path(out).stem}.mid"] if save_midi else []
    return open_file(Path(out), verb, model, seed, given, overwrite, beside=beside)


def _page_of(out: str | Path) -> str:
    """The page beside a file that was asked for; `index.html` may belong to others there."""
    return f"{Path(out).stem}.html"


def _write_one(folder: OutputFolder, model: Model, seed: int, sound: Sound, stem: str, out: Where, **show: Any) -> None:
    """Write the only sound of a verb under the name that was asked for, or as the first of a folder."""
    writer = Writer(folder, model, seed, **show)
    if out is not None and is_sound_file(out):
        writer.add(sound, Path(out).name)
        writer.finish(stem, _page_of(out))
    else:
        writer.add_all([sound], stem)
        writer.finish(stem)


def _heard_in(sound: Sound, model: Model, name: str) -> Score:
    """Return the notes that were heard in a recording as a piece of one track."""
    if "notes" not in sound.facts:
        raise UnsupportedError(f"--save-midi: {escape(model.name)} does not tell which notes it heard")
    rows = [
        (note["onset"], note["onset"] + note["seconds"], note["source_pitch"], note["velocity"])
        for note in sound.facts["notes"]
    ]
    return score_of(rows, name)


def _write_heard(folder: OutputFolder, heard: Score) -> None:
    """Write the notes beside the only sound of a folder."""
    name = next(file["file"] for file in folder.files if file["file"].endswith(SOUND_SUFFIXES))
    text = f"heard by audiogan {__version__}"
    folder.add(f"{Path(name).stem}.mid", lambda path: midi.write(heard, path, text=text), heard_in=name)
