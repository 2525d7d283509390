"""The verbs that make sound: notes, the way between two timbres, melodies and pieces played with them, an instrument.

They write as the verbs for MIDI do: numbered files in one folder with a manifest. `transfer` and `render` make one file
and may be given its name; what is known about it then lies beside it, in `NAME.wav.json`.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiogan.corpus import midi
from audiogan.corpus.names import escape, safe_stem
from audiogan.errors import OutputError, UsageError
from audiogan.pipeline import Model, Progress, Sound
from audiogan.workflow.making import Where, Writer, is_sound_file, load_sounds, open_file, open_folder, within
from audiogan.workflow.outputs import OutputFolder, Result, options
from audiogan.workflow.pitches import Pitches, read_pitch, read_pitches, read_velocity
from audiogan.workflow.timbres import RANDOM, Timbres, check_references, read_recording

References = str | Path | Sequence[str | Path]

# Checked before a model is loaded and a folder made; a pipeline may take longer notes and fewer rates.
COUNTS, TEMPERATURES, STEPS = (1, 2000), (0, 2), (2, 1000)  # notes stay in memory until the page is written
NOTES_AT_ONCE = 64
DURATIONS, RATES, GLIDES = (0.01, 60), (16_000, 48_000), (0.01, 3600)
FORMATS = ("sfz",)


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
    check_references(references)
    chosen = load_sounds(model, device, seed, "generate notes")
    made_with: dict[str, Any] = {}
    facts = dict(given)
    if references:
        made_with["timbre"], facts["timbre"] = Timbres(chosen, seed, refine=refine).read(references[0])
    with open_folder(out or "audiogan-notes", "generate notes", chosen, seed, facts, overwrite) as folder:
        show = {"listen": listen, "preview": preview, "progress": progress, "save_timbre": save_timbre}
        writer = Writer(folder, chosen, seed, n_items=n_notes, **show)
        for first in range(0, n_notes, NOTES_AT_ONCE):
            group = {"first": first, "count": min(NOTES_AT_ONCE, n_notes - first)}
            writer.add_all(chosen.generate(seed=seed, **(given | made_with | group)), "note")
        writer.finish("New notes")
    return folder.result()


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
    refine: bool = False,
    model: Where = None,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    preview: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Play the melody of a recording, with its dynamics and pitch curve, in another timbre.

    Args:
        source: A recording of one voice.
        timbre: A recording, a saved timbre or `random`.
        refine: As for `generate_notes`, and so on to the last.
        model: The same.
        seed: The same.
        device: The same.
        out: A `.wav` or `.flac` file, or a folder; None for the folder `audiogan-transfer`.
        overwrite: The same.
        preview: The same.
        progress: The same.

    Raises:
        CorpusError: The source or the recording of the timbre is refused.
    """
    path = Path(source)
    check_references([path, timbre])
    recording, warnings = read_recording(path)
    chosen = load_sounds(model, device, seed, "transfer")
    wanted, from_where = Timbres(chosen, seed, refine=refine).read(timbre)
    given = {"source": {"file": escape(path.name), "warnings": warnings}, "timbre": from_where}
    with _open(out, "transfer", chosen, seed, given, overwrite) as folder:
        sound = chosen.transfer(recording, wanted, seed=seed)
        _write_one(folder, chosen, seed, sound, safe_stem(path.stem), out, preview=preview, progress=progress)
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
        preview: The same.
        progress: The same.

    Raises:
        UsageError: `glide` with one timbre only.
        CorpusError: The song or a recording is refused.
    """
    references = [timbre] if isinstance(timbre, str | Path) else list(timbre or ())
    within("glide", glide, GLIDES)
    within("sample rate", sample_rate, RATES)
    if glide is not None and len(references) < 2:
        raise UsageError("glide with fewer than two timbres; expected several, for example --timbre random twice")
    check_references(references)
    score, warnings = midi.read_with_warnings(song, apply_pedal=True)
    chosen = load_sounds(model, device, seed, "render")
    timbres, sources = Timbres(chosen, seed, refine=refine).read_all(references)
    given = options({"glide": glide, "sample_rate": sample_rate})
    source = {"file": escape(Path(song).name), "warnings": list(warnings)}
    facts = given | {"source": source, "timbres": sources}
    with _open(out, "render", chosen, seed, facts, overwrite) as folder:
        sound = chosen.render(score, timbres, seed=seed, **given)
        _write_one(folder, chosen, seed, sound, safe_stem(Path(song).stem), out, preview=preview, progress=progress)
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
        progress: Called with the samples written and their number.

    Raises:
        UsageError: Another format.
    """
    if format not in FORMATS:
        raise UsageError(f"format {format!r}; expected {' or '.join(FORMATS)}")
    check_references([timbre])
    chosen = load_sounds(model, device, seed, "export")
    wanted, from_where = Timbres(chosen, seed, refine=refine).read(timbre)
    given = {"format": format, "timbre": from_where}
    with open_folder(out or "audiogan-instrument", "export", chosen, seed, given, overwrite) as folder:
        # Beside the results, so that they are moved without a copy; a stopped export leaves nothing half done.
        staged = _staging(folder.path)
        try:
            facts = chosen.sounding.write_instrument(chosen, wanted, staged, seed=seed, progress=progress)
            folder.take_in(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        folder.facts = {**folder.facts, "instrument": dict(facts or {})}
    return folder.result()


def _staging(folder: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    except OSError as error:
        raise OutputError(f"{escape(folder)}: {error.strerror}; expected a writable folder") from None


def _open(out: Where, verb: str, model: Model, seed: int, given: Mapping[str, Any], overwrite: bool) -> OutputFolder:
    if out is not None and is_sound_file(out):
        return open_file(Path(out), verb, model, seed, given, overwrite)
    return open_folder(out or f"audiogan-{verb}", verb, model, seed, given, overwrite)


def _write_one(folder: OutputFolder, model: Model, seed: int, sound: Sound, stem: str, out: Where, **show: Any) -> None:
    """Write the only sound of a verb under the name that was asked for, or as the first of a folder."""
    writer = Writer(folder, model, seed, **show)
    if out is not None and is_sound_file(out):
        writer.add(sound, Path(out).name)
    else:
        writer.add_all([sound], stem)
