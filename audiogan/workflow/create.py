"""The verbs that make music: new clips, and clips made with the user's own.

Every verb loads a model, makes scores, writes each as a MIDI file named `NN_SOURCE.mid` into one folder and returns
what it did. With `listen` it adds a sketch of the sound per clip and a page to see and hear them all, with `preview` a
picture per clip. With several input files, one that cannot be used is reported and the rest go on; options that no clip
could satisfy end the verb. `interpolate` serves sounds too and looks at the files to choose.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiogan.corpus import midi
from audiogan.corpus.names import escape, safe_stem
from audiogan.corpus.score import Metre, Note, Notes, Score, Track
from audiogan.errors import AudioganError, CorpusError, OutputError, UnsupportedError, UsageError
from audiogan.pipeline import MUSIC, SOUNDS, Model, Progress
from audiogan.workflow.auditing import Guard, add_checked, check_clips, with_summary
from audiogan.workflow.making import Where, Writer, check_folder, load_music, name_file, open_folder, within
from audiogan.workflow.model import track_names
from audiogan.workflow.outputs import Result, options
from audiogan.workflow.sounds import STEPS, interpolate_sounds
from audiogan.workflow.timbres import kind_of_file

Clips = str | Path | Sequence[str | Path]
Make = Callable[..., list[Score]]

# The pipeline has the same; they are checked here first, before a model is loaded and a folder made.
COUNTS, BARS, TEMPOS, TEMPERATURES = (1, 100_000), (1, 1000), (10, 1000), (0, 2)


def generate_midi(
    *,
    count: int = 4,
    bars: int | None = None,
    tempo: float | None = None,
    tracks: str | Sequence[str] | None = None,
    key: str | None = None,
    temperature: float = 1.0,
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
    """Make new multitrack clips, one MIDI file each.

    Args:
        count: How many clips, 1–100,000.
        bars: Length of each; None for the model's own.
        tempo: In quarter notes per minute, 10–1,000; None for the model's choice.
        tracks: Names of the tracks to keep, as a list or as `"drums,bass"`; None for all.
        key: Such as `C`, `F# minor` or `Bb`; None for keys like those of the model's songs.
        temperature: 0–2; 0 is the most typical clip, above 1 is wilder.
        audit: Compare each clip with the model's fingerprints; draw again, or refuse, what is too near.
        model: Shipped name or folder; None for the default model.
        seed: 0 or more; the same seed and options give the same bytes.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        out: Folder for the files; None for `audiogan-clips`.
        overwrite: Replace an earlier result.
        listen: Also write a WAV sketch of each clip and `index.html`.
        preview: Also write a pianoroll of each clip as PNG.
        progress: Called with the clips written and their number.

    Raises:
        UsageError: An option outside its range.
        CheckpointError: No such model.
        OutputError: The folder holds an earlier result, or cannot be written.
    """
    within("count", count, COUNTS)
    within("bars", bars, BARS)
    within("tempo", tempo, TEMPOS)
    within("temperature", temperature, TEMPERATURES)
    check_folder(out)
    given = options(
        {
            "count": count,
            "bars": bars,
            "tempo": tempo,
            "tracks": _names(tracks),
            "key": key,
            "temperature": temperature,
        }
    )
    chosen = _load(model, device, seed, "generate midi", given.get("tracks"))
    guard = Guard(chosen) if audit else None
    facts = given if guard is None else given | {"audit": guard.about}
    with open_folder(out or "audiogan-clips", "generate midi", chosen, seed, facts, overwrite) as folder:
        writer = Writer(folder, chosen, seed, listen=listen, preview=preview, progress=progress, n_items=count)
        made = chosen.generate(seed=seed, **given)
        if guard is None:
            writer.add_all(made, "clip")
        else:
            add_checked(writer, folder, check_clips(guard, chosen, made, seed, given), "clip")
        writer.finish("New clips")
    return with_summary(folder.result(), guard)


def interpolate(
    first: str | Path,
    second: str | Path,
    *,
    steps: int = 5,
    pitch: float | str | None = None,
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
    """Go from one MIDI clip to another, or from one timbre to another, in `steps` files, ends included.

    Args:
        first: The clip, recording or saved timbre to begin with.
        second: Another of the same kind, to end with.
        steps: How many files, 2–1,000.
        pitch: Of the notes between two timbres, MIDI or name; None for the middle of the model's range.
        refine: For timbres, as for `generate_notes`.
        save_timbre: The same.
        model: As for `generate_midi`, and so on to the last; None for the default model of that kind.
        seed: The same.
        device: The same.
        out: The same; None for `audiogan-interpolation`.
        overwrite: The same.
        listen: The same.
        preview: The same.
        progress: The same.

    Raises:
        UsageError: A clip and a sound, or an option of the other kind.
        CorpusError: One of the two is refused.
    """
    within("steps", steps, STEPS)
    given = {"steps": steps, "model": model, "seed": seed, "device": device, "out": out, "overwrite": overwrite}
    show = {"listen": listen, "preview": preview, "progress": progress}
    paths = Path(first), Path(second)
    if _are_sounds(*paths):
        return interpolate_sounds(*paths, pitch=pitch, refine=refine, save_timbre=save_timbre, **given, **show)
    if pitch is not None or refine or save_timbre:
        raise UsageError("pitch, refine and save-timbre are for sounds, and these are MIDI clips")
    return _interpolate_clips(*paths, **given, **show)


def _are_sounds(first: Path, second: Path) -> bool:
    """Whether two files are to be joined as sounds; what is neither sound nor MIDI is left to the reader to refuse."""
    kinds = kind_of_file(first), kind_of_file(second)
    if set(kinds) == {MUSIC, SOUNDS}:
        told = {MUSIC: "a MIDI clip", SOUNDS: "a sound"}
        is_what = " and ".join(
            f"{escape(path.name)} is {told[str(kind)]}" for path, kind in zip((first, second), kinds, strict=True)
        )
        raise UsageError(f"interpolate: {is_what}; expected two of a kind")
    return SOUNDS in kinds


def _interpolate_clips(
    *paths: Path,
    steps: int,
    model: Where,
    seed: int,
    device: str,
    out: Where,
    overwrite: bool,
    **show: Any,
) -> Result:
    check_folder(out)
    ends = [_read(path) for path in paths]
    chosen = _load(model, device, seed, "interpolate")
    given = {"steps": steps, "sources": [facts for _, facts in ends]}
    with open_folder(out or "audiogan-interpolation", "interpolate", chosen, seed, given, overwrite) as folder:
        writer = Writer(folder, chosen, seed, n_items=steps, **show)
        try:
            made = chosen.interpolate(ends[0][0], ends[1][0], steps=steps, seed=seed)
        except UnsupportedError as error:
            if _is_lacking(chosen, _there_and_back, {}, sounding=True):
                raise
            raise _of_which(error, chosen, paths, [score for score, _ in ends]) from None
        writer.add_all(made, "step")
        writer.finish("From one clip to another")
    return folder.result()


def _there_and_back(model: Model, clip: Score, **_: Any) -> list[Score]:
    return model.interpolate(clip, clip, steps=2)


def _of_which(error: AudioganError, model: Model, paths: Sequence[Path], clips: Sequence[Score]) -> AudioganError:
    """Return the refusal of the clip that cannot be used even alone; if each can, of both."""
    for path, clip in zip(paths, clips, strict=True):
        try:
            _there_and_back(model, clip)
        except UnsupportedError as its_own:
            return _refusal(its_own, path)
    return _refusal(error, " and ".join(map(str, paths)))


def continue_clip(clips: Clips, *, bars: int = 4, **common: Any) -> Result:
    """Add bars after each clip.

    Args:
        clips: One MIDI file or several.
        bars: How many to add, 1–1,000.
        common: `count`, `model`, `seed`, `device`, `out`, `overwrite`, `listen`, `preview` and `progress` as for
            `generate_midi`.

    Raises:
        UsageError: An option that no clip can satisfy.
        CorpusError: The only clip cannot be used: it is refused by the gate, or in a metre that the model lacks.
    """
    within("bars", bars, BARS)
    return _from_clips("continue", clips, {"bars": bars}, Model.continue_clip, **common)


def accompany(clips: Clips, *, tracks: str | Sequence[str], **common: Any) -> Result:
    """Add the named tracks to each clip; the notes given stay exactly.

    Args:
        clips: One MIDI file or several.
        tracks: Names of the tracks wanted, for example `["drums", "bass"]`.
        common: As for `continue_clip`.
    """
    names = _names(tracks)
    if not names:
        raise UsageError("tracks: none named; expected one or more, for example drums,bass")
    return _from_clips("accompany", clips, {"tracks": names}, Model.accompany, **common)


def infill(
    clips: Clips, *, bars: tuple[int, int] | str, tracks: str | Sequence[str] | None = None, **common: Any
) -> Result:
    """Write some bars of each clip anew; the rest stays exactly.

    Args:
        clips: One MIDI file or several.
        bars: First and last bar, counted from 1: `(3, 4)` or `"3-4"`.
        tracks: Only in these tracks; None for all.
        common: As for `continue_clip`.
    """
    if isinstance(bars, str):
        bars = parse_bars(bars)
    if not 1 <= bars[0] <= bars[1]:
        raise UsageError(f"bars {bars[0]}-{bars[1]}; expected first and last bar counted from 1, for example 3-4")
    given = options({"bars": bars, "tracks": _names(tracks)})
    return _from_clips("infill", clips, given, Model.infill, **common)


def vary(clips: Clips, *, strength: float = 0.3, **common: Any) -> Result:
    """Make clips like each given one.

    Args:
        clips: One MIDI file or several.
        strength: 0 copies the clip, 1 is a free sample.
        common: As for `continue_clip`.
    """
    within("strength", strength, (0, 1))
    return _from_clips("vary", clips, {"strength": strength}, Model.vary, **common)


def parse_bars(text: str) -> tuple[int, int]:
    """Read `3-4` or `3` as first and last bar.

    Example:
        >>> parse_bars("3-4"), parse_bars("3")
        ((3, 4), (3, 3))
    """
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal()):
        raise UsageError(f"bars {text!r}; expected first and last bar counted from 1, for example 3-4")
    return int(first), int(last)


def _from_clips(
    verb: str,
    clips: Clips,
    given: Mapping[str, Any],
    make: Make,
    *,
    count: int = 1,
    model: Where = None,
    seed: int = 0,
    device: str = "auto",
    out: Where = None,
    overwrite: bool = False,
    listen: bool = False,
    preview: bool = False,
    progress: Progress | None = None,
) -> Result:
    within("count", count, COUNTS)
    paths = [Path(clips)] if isinstance(clips, str | Path) else [Path(clip) for clip in clips]
    if not paths:
        raise UsageError(f"{verb}: no clip given; expected one MIDI file or more")
    check_folder(out)
    chosen = _load(model, device, seed, verb, given.get("tracks"))
    facts = {**given, "count": count}
    with open_folder(out or f"audiogan-{verb}", verb, chosen, seed, facts, overwrite) as folder:
        show = {"listen": listen, "preview": preview, "progress": progress}
        writer = Writer(folder, chosen, seed, n_items=count * len(paths), **show)
        for path in paths:
            try:
                score, source = _read(path)
                made = make(chosen, score, count=count, seed=seed, **given)
                writer.add_all(made, safe_stem(path.stem), source=source)
            except AudioganError as error:
                if not _is_of_the_clip(error, chosen, make, given):
                    raise
                if len(paths) == 1:
                    raise _refusal(error, path) from error
                folder.refuse(path, error)
        writer.finish(verb.capitalize())
    return folder.result()


def _is_of_the_clip(error: AudioganError, model: Model, make: Make, given: Mapping[str, Any]) -> bool:
    """Whether another clip might do, so that the others are worth a try."""
    if isinstance(error, UnsupportedError):
        return not _is_lacking(model, make, given)
    if isinstance(error, UsageError):
        # Bars may lie beyond the end, tracks may be there already; what does not depend on the clip has been checked.
        return make in (Model.infill, Model.accompany)
    return isinstance(error, CorpusError) or (isinstance(error, OutputError) and error.reason == "too_many_channels")


def _is_lacking(model: Model, make: Make, given: Mapping[str, Any], *, sounding: bool = False) -> bool:
    """Whether a model refuses even a plain note in its own metre, so that it lacks the verb altogether.

    Args:
        model: That refused.
        make: The verb.
        given: Its options.
        sounding: Whether the note is played by drums and an instrument of each kind, or by none of music.
    """
    numerator, _, denominator = str(getattr(model.config, "metre", "4/4")).partition("/")
    metre = Metre(0, int(numerator), int(denominator))
    bars = given.get("bars")
    # The note lies after the bars that are written anew, which would leave a piece without notes.
    onset = (bars[1] if isinstance(bars, tuple) else 0) * 480 * 4 * metre.numerator // metre.denominator
    # A gunshot belongs to no track of music, so that no track that is asked for is taken.
    shot = Track(Notes.from_list([Note(onset, onset + 480, 60, 64)]), program=127)
    band = (replace(shot, program=0, is_drum=True), *(replace(shot, program=kind) for kind in range(0, 128, 8)))
    plain = Score(480, band if sounding else (shot,), metres=(metre,))
    try:
        make(model, plain, count=1, seed=0, **given)
    except UnsupportedError:
        return True
    except AudioganError:
        return False
    return False


def _refusal(error: AudioganError, path: str | Path) -> AudioganError:
    """Return what ends a verb whose only clip cannot be used, with its name; wrong bars stay wrong usage."""
    kept = error if isinstance(error, CorpusError | UsageError) else CorpusError(str(error), error.reason)
    name_file(kept, path)
    return kept


def _load(model: Where, device: str, seed: int, verb: str, tracks: Sequence[str] | None = None) -> Model:
    chosen = load_music(model, device, seed, verb)
    known = track_names(chosen)
    for name in tracks or ():
        if known and name.lower() not in {track.lower() for track in known}:
            raise UsageError(f"track {name!r}; expected some of: {', '.join(known)}")
    return chosen


def _read(path: Path) -> tuple[Score, dict[str, Any]]:
    score, warnings = midi.read_with_warnings(path)
    return score, {"file": escape(path.name), "warnings": list(warnings)}


def _names(tracks: str | Sequence[str] | None) -> list[str] | None:
    if isinstance(tracks, str):
        tracks = tracks.split(",")
    return None if tracks is None else [name.strip() for name in tracks if name.strip()]
